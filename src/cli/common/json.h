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

/*
 * The version of what the command prints, in the member format_version of each object. It changes when a
 * member is removed or gets another meaning, not when one is added.
 */
#define LZ_JSON_FORMAT_VERSION 1

/* Puts format_version in front of the members of an object, unless it has one. Releases the object. */
json_t *lz_json_versioned(json_t *object);

/*
 * Prints an object to standard output, indented, with its format_version, and releases it. Returns the exit
 * status.
 */
int lz_json_print(json_t *object);

#endif
