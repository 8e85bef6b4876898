/*
 * Text built in a caller's buffer: numbers, sizes, escapes, JSON strings.
 *
 * Nothing here allocates, locks, or makes a system call, so it may run inside malloc and in a signal
 * handler. A text that does not fit is truncated and stays NUL-terminated; `truncated` says so.
 */
#ifndef LZ_BASE_TEXT_H
#define LZ_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lz_text {
	char *buffer;    /* always NUL-terminated */
	size_t capacity; /* bytes of buffer, the NUL included; at least 1 */
	size_t length;   /* bytes written, the NUL not included */
	bool truncated;  /* something did not fit */
};

/* Starts an empty text in buffer; capacity must be at least 1. */
struct lz_text lz_text_init(char *buffer, size_t capacity);

void lz_text_char(struct lz_text *text, char c);
void lz_text_string(struct lz_text *text, const char *string);
void lz_text_bytes(struct lz_text *text, const char *bytes, size_t length);
void lz_text_u64(struct lz_text *text, uint64_t value);
void lz_text_i64(struct lz_text *text, int64_t value);

/* Lower-case hexadecimal behind "0x". */
void lz_text_hex(struct lz_text *text, uint64_t value);

/*
 * A byte count as a person reads it: three significant digits and a binary unit ("1.00 GiB", "51.2 MiB",
 * "512 B"). Rounds to nearest; values under 1 KiB are exact.
 */
void lz_text_size(struct lz_text *text, uint64_t bytes);

/*
 * Text that came from outside (an environment value, a file name), made safe for a terminal: bytes outside
 * printable ASCII become \xNN, and what is longer than 64 bytes is truncated with "...".
 */
void lz_text_escaped(struct lz_text *text, const char *string);

/* A JSON string with its quotes; bytes outside printable ASCII become \u00NN. */
void lz_text_json_string(struct lz_text *text, const char *string);

#endif
