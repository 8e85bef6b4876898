/* What the subcommands share when they print JSON, which jansson writes. */
#ifndef LZ_CLI_JSON_H
#define LZ_CLI_JSON_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Null for what is beyond a JSON integer: UINT64_MAX, by which unknown values are kept. */
json_t *lz_json_number(uint64_t value);

/* JSON is UTF-8, the text need not be; null for NULL. */
json_t *lz_json_string(const char *text);

/* Prints the value to standard output, indented, and lets go of it. Returns the exit status. */
int lz_json_print(json_t *value);

#endif
