/* The table of columns by which processes are shown and sorted in `stat` and `top`. */
#ifndef LZ_CLI_PROCESS_COLUMNS_H
#define LZ_CLI_PROCESS_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/common/display.h"
#include "cli/process/process.h"

enum lz_column_kind {
	LZ_COLUMN_NUMBER,
	LZ_COLUMN_BYTES,
	LZ_COLUMN_RATIO, /* in thousandths, shown in percent */
	LZ_COLUMN_USER,
	LZ_COLUMN_NAME /* as the last column it takes the remaining width */
};

struct lz_column {
	const char *name;     /* as given to -o */
	const char *json_key; /* its key in JSON output */
	const char *help;
	enum lz_column_kind kind;
	int width;           /* of its values with LZ_UNITS_AUTO */
	unsigned read_flags; /* LZ_READ_* that it needs */
	bool from_library;   /* a counter of the library; unknown unless the process is preloaded */
	size_t offset;       /* of its uint64_t in struct lz_process */
};

extern const struct lz_column lz_column_table[];
extern const size_t lz_column_count;

#define LZ_COLUMNS_MAX 32u

/* The columns shown by default. */
#define LZ_DEFAULT_COLUMNS "pid,user,virtual,rss,pss,tables,touched,ratio,name"

/* A selection of columns, in order. */
struct lz_columns {
	size_t count;
	const struct lz_column *column[LZ_COLUMNS_MAX];
};

/* The column of that name, or NULL after an error message. */
const struct lz_column *lz_column_find(const char *name);

/* Parses a list such as "pid,rss,name". Returns 0, or -EINVAL after an error message. */
int lz_columns_parse(struct lz_columns *columns, const char *list);

/* The LZ_READ_* flags that the selection and the sort column need. */
unsigned lz_columns_read_flags(const struct lz_columns *columns, const struct lz_column *sort);

/* Whether the column is text, which is aligned to the left. */
bool lz_column_is_text(const struct lz_column *column);

/* The column's value; LZ_UNKNOWN if it is not known. Not for LZ_COLUMN_NAME. */
uint64_t lz_column_number(const struct lz_column *column, const struct lz_process *process);

/* The value as text; "-" if it is not known. */
struct lz_display lz_column_text(
	const struct lz_column *column, const struct lz_process *process, enum lz_units units);

/* The column's name in capitals. */
struct lz_display lz_column_header(const struct lz_column *column);

/* The name of a user, or the number if there is no such user. */
struct lz_display lz_column_user(uint64_t uid);

/*
 * Orders two processes, as qsort expects: numbers in descending order, texts and process IDs in ascending
 * order, unknown values last.
 */
int lz_column_compare(const struct lz_column *column, const struct lz_process *a, const struct lz_process *b);

/* Orders by the column, in reverse on request, and by process ID among equals. */
int lz_column_compare_rows(
	const struct lz_column *column, bool reverse, const struct lz_process *a, const struct lz_process *b);

/* Prints the list of columns for --help. */
void lz_columns_help(void);

#endif
