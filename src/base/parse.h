/*
 * Text to numbers: sizes with units, percentages, whole numbers; and the nearest of several names.
 * Pure functions: no allocation, no locale, no system calls.
 */
#ifndef LZ_BASE_PARSE_H
#define LZ_BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes with an optional binary unit: "65536", "64K", "1.5 GiB", "2tb"; B, K, M, G, T, P, E, each also as
 * KB or KiB, in any case. Returns 0, -EINVAL for text that is no size (empty, negative, trailing
 * characters), or -ERANGE where it does not fit in 64 bits. *bytes is written only on success.
 */
int lz_parse_size(const char *string, uint64_t *bytes);

/*
 * "5%", "0.25%": a percentage as millionths of the whole (50000, 2500), 0% to 100%.
 * Returns 0, -EINVAL, or -ERANGE above 100%.
 */
int lz_parse_percent(const char *string, uint32_t *millionths);

/* A decimal number, digits only. Returns 0, -EINVAL or -ERANGE. */
int lz_parse_u64(const char *string, uint64_t *value);

/*
 * A run of decimal digits at *cursor, which moves behind it. Returns 0, -EINVAL when there is no digit, or
 * -ERANGE.
 */
int lz_scan_u64(const char **cursor, uint64_t *value);

/* The same for hexadecimal digits, without a prefix. */
int lz_scan_hex(const char **cursor, uint64_t *value);

/*
 * The index of the name nearest to `word` by edit distance (insert, delete, replace), or -1 when none is
 * within a third of the word's length. Words over 40 characters match nothing.
 */
int lz_nearest_name(const char *word, const char *const names[], size_t count);

#endif
