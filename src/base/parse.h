/*
 * Parsers for sizes with units, percentages and whole numbers, and a search for the nearest of several names.
 *
 * Pure functions: no allocation, no locale, no system calls. Thread-safe and async-signal-safe.
 */
#ifndef LZ_BASE_PARSE_H
#define LZ_BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Parses a size in bytes with an optional binary unit: "65536", "64K", "1.5 GiB", "2tb". The units are B, K,
 * M, G, T, P and E, each also as KB or KiB, in upper or lower case.
 *
 * Returns 0; -EINVAL if the text is not a size (empty, negative, trailing characters); or -ERANGE if it does
 * not fit in 64 bits. *bytes is written only on success.
 */
int lz_parse_size(const char *string, uint64_t *bytes);

/*
 * Parses a percentage from 0% to 100% ("5%", "0.25%") into millionths of the whole (50000, 2500). Returns 0,
 * -EINVAL, or -ERANGE if it is above 100%. *millionths is written only on success.
 */
int lz_parse_percent(const char *string, uint32_t *millionths);

/*
 * Parses a decimal number that consists of digits only. Returns 0, -EINVAL, or -ERANGE if it does not fit in
 * 64 bits.
 */
int lz_parse_u64(const char *string, uint64_t *value);

/*
 * Scans a run of decimal digits at *cursor and advances *cursor past it. Returns 0, -EINVAL if there is no
 * digit, or -ERANGE if the number does not fit in 64 bits.
 */
int lz_scan_u64(const char **cursor, uint64_t *value);

/* Does the same for hexadecimal digits without a "0x" prefix. */
int lz_scan_hex(const char **cursor, uint64_t *value);

/*
 * Returns the index of the name that is nearest to `word` by edit distance (insertions, deletions,
 * replacements), or -1 if no name lies within a third of the length of `word`. Words of more than 40
 * characters match nothing.
 */
int lz_nearest_name(const char *word, const char *const names[], size_t count);

#endif
