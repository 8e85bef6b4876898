/* Names of functions of C++ and Rust as their authors write them. */
#ifndef LZ_CLI_REPORT_DEMANGLE_H
#define LZ_CLI_REPORT_DEMANGLE_H

/*
 * Returns the demangled name (C++, and both manglings of Rust), or a copy of a name that is not mangled; to
 * be freed. NULL: no memory.
 */
char *lz_demangle(const char *name);

#endif
