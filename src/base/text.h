/*
 * Text that is built in a buffer of the caller: numbers, sizes, escaped strings, JSON strings.
 *
 * Nothing here allocates, locks or makes a system call, so it may run inside malloc and in a signal handler.
 * Text that does not fit is truncated and stays NUL-terminated; `truncated` is then set. The functions append
 * to the text. A struct lz_text must not be shared between threads.
 */
#ifndef LZ_BASE_TEXT_H
#define LZ_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lz_text {
	char *buffer;    /* always NUL-terminated */
	size_t capacity; /* size of buffer in bytes, including the NUL; at least 1 */
	size_t length;   /* bytes written, excluding the NUL */
	bool truncated;  /* some text did not fit */
};

/* Starts an empty text in buffer. capacity is in bytes and must be at least 1. */
struct lz_text lz_text_init(char *buffer, size_t capacity);

void lz_text_char(struct lz_text *text, char c);
void lz_text_string(struct lz_text *text, const char *string);
void lz_text_bytes(struct lz_text *text, const char *bytes, size_t length);
void lz_text_u64(struct lz_text *text, uint64_t value);
void lz_text_i64(struct lz_text *text, int64_t value);

/* Appends a lower-case hexadecimal number with the prefix "0x". */
void lz_text_hex(struct lz_text *text, uint64_t value);

/*
 * Appends a number of bytes in human-readable form: three significant digits and a binary unit ("1.00 GiB",
 * "51.2 MiB", "512 B"). Rounds to nearest; values below 1 KiB are exact.
 */
void lz_text_size(struct lz_text *text, uint64_t bytes);

/*
 * Appends text from outside the library (an environment value, a file name) in a form that is safe to print
 * on a terminal: bytes other than printable ASCII become \xNN, and text of more than 64 bytes is truncated
 * and ends in "...".
 */
void lz_text_escaped(struct lz_text *text, const char *string);

/* Appends a JSON string with its quotes. Bytes other than printable ASCII become \u00NN. */
void lz_text_json_string(struct lz_text *text, const char *string);

#endif
