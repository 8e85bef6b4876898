/*
 * What a call site is called by: the innermost frame of its stack that is the user's. Frames of the C and C++
 * libraries, of Rust's standard library, and of functions that only pass a size on are skipped; in a Python
 * program those of the interpreter, of Python's library and of numpy.
 */
#ifndef LZ_CLI_REPORT_HEADLINE_H
#define LZ_CLI_REPORT_HEADLINE_H

#include "cli/report/model.h"

/*
 * Sets the headline of every site. `skip`: further patterns (fnmatch(3)) of functions and of base names of
 * modules to be skipped, separated by commas; NULL: none. If every frame is skipped, the innermost is used,
 * of a Python program if it has one.
 */
void lz_report_set_headlines(struct lz_report *report, const char *skip);

/*
 * The name of a function of C++ or Rust without its return type and parameters: "ns::f<int>" of
 * "void ns::f<int>(char)"; to be freed. NULL: no memory.
 */
char *lz_report_bare_name(const char *function);

#endif
