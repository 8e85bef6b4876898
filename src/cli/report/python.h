/* Frames of Python programs in stacks: each is an address in a module that is a source file. */
#ifndef LZ_CLI_REPORT_PYTHON_H
#define LZ_CLI_REPORT_PYTHON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/report/model.h"

/*
 * Returns the index of the address of a place, {"python":N,"file":...}, adding it if necessary; SIZE_MAX
 * after an error message.
 */
size_t lz_report_python_address(struct lz_report *report, const json_t *line);

/* Whether a source file is of Python's own library or of numpy: its functions allocate for their callers. */
bool lz_report_python_skips_file(const char *path);

/*
 * Marks the frames of the interpreter, and of libraries in C that allocate for Python code, as passing
 * requests on, in stacks with frames of a Python program.
 */
void lz_report_python_mark_interpreter(struct lz_report *report);

/* Whether an address is a frame of a Python program. */
static inline bool lz_report_is_python(
	const struct lz_report *report, const struct lz_report_address *address)
{
	return address->module != SIZE_MAX && report->modules[address->module].is_source;
}

/* The innermost frame of a Python program in a stack; its frame_count: there is none. */
size_t lz_report_python_innermost(const struct lz_report *report, const struct lz_report_site *site);

#endif
