/*
 * Short texts for output, returned by value so that lz_size_text(x).text can be used within one expression.
 */
#ifndef LZ_CLI_COMMON_DISPLAY_H
#define LZ_CLI_COMMON_DISPLAY_H

#include <stddef.h>
#include <stdint.h>

struct lz_display {
	char text[272];
};

/* Units for byte counts. AUTO chooses one that fits the value. */
enum lz_units { LZ_UNITS_AUTO, LZ_UNITS_B, LZ_UNITS_K, LZ_UNITS_M, LZ_UNITS_G };

/* Untrusted text with the bytes outside printable ASCII escaped; longer text is cut (base/text.h). */
struct lz_display lz_printable(const char *text);

/*
 * The same in at most `width` columns, 2 to 64. Of longer text ".." and the end are kept, which distinguishes
 * paths.
 */
struct lz_display lz_printable_tail(const char *text, size_t width);

/* A byte count such as "1.02 GiB" or "512 B". */
struct lz_display lz_size_text(uint64_t bytes);

/*
 * A byte count for a narrow column: "1.02G" or "512B" for AUTO, else whole units without a letter, rounded
 * up.
 */
struct lz_display lz_size_text_in(uint64_t bytes, enum lz_units units);

/* The part of a path after its last slash; the whole path if that part is empty. */
const char *lz_base_name(const char *path);

#endif
