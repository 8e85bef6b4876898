/* JSON values (jansson) as every subcommand prints them. */
#ifndef LZ_CLI_COMMON_JSON_H
#define LZ_CLI_COMMON_JSON_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* A JSON integer; null for values above INT64_MAX. UINT64_MAX, which stands for an unknown value, is one. */
json_t *lz_json_number(uint64_t value);

/* A JSON string; null for NULL. Text that is not UTF-8 is escaped (lz_printable). */
json_t *lz_json_string(const char *text);

/* The exit status and the signal in a status of wait(2): one of the two is null. */
json_t *lz_json_exit_status(int wait_status);
json_t *lz_json_signal(int wait_status);

/* Prints the value to standard output, indented, and releases it. Returns the exit status. */
int lz_json_print(json_t *value);

#endif
