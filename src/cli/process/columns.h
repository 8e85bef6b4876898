/*
 * The columns by which processes are shown and sorted, in one table: of `stat`, of `top`, of their help.
 */
#ifndef LZ_CLI_COLUMNS_H
#define LZ_CLI_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/common/command.h"
#include "cli/process/process.h"

enum lz_column_kind {
	LZ_COLUMN_NUMBER,
	LZ_COLUMN_BYTES,
	LZ_COLUMN_RATIO, /* thousandths, shown in percent */
	LZ_COLUMN_USER,
	LZ_COLUMN_NAME /* the last column takes the room that is left */
};

struct lz_column {
	const char *name; /* as -o takes it; its header in capitals */
	const char *json; /* the key in JSON */
	const char *help;
	enum lz_column_kind kind;
	int width;           /* of its values in automatic units */
	unsigned read_flags; /* LZ_READ_* that it needs */
	bool from_library;
	size_t offset; /* of its uint64_t in struct lz_process */
};

extern const struct lz_column lz_column_table[];
extern const size_t lz_column_count;

#define LZ_COLUMNS_MAX 32u

/* A choice of columns, in order. */
struct lz_columns {
	size_t count;
	const struct lz_column *column[LZ_COLUMNS_MAX];
};

/* How byte counts are shown. */
enum lz_units { LZ_UNITS_AUTO, LZ_UNITS_B, LZ_UNITS_K, LZ_UNITS_M, LZ_UNITS_G };

/* The column of that name; NULL after saying that there is none. */
const struct lz_column *lz_column_find(const char *name);

/* Takes a list such as "pid,rss,name". Returns 0, or -EINVAL after saying what is wrong. */
int lz_columns_parse(struct lz_columns *columns, const char *list);

/* Its number, LZ_UNKNOWN where it is not known; not of texts. */
uint64_t lz_column_number(const struct lz_column *column, const struct lz_process *process);

/* Its value as it stands in a table: "-" where it is not known. */
struct lz_display lz_column_text(
	const struct lz_column *column, const struct lz_process *process, enum lz_units units);

/* Bytes in few characters: "1.02G", "512B"; or in whole units without a letter, rounded up. */
struct lz_display lz_size_text_in(uint64_t bytes, enum lz_units units);

/* The name of a user, or the number. */
struct lz_display lz_column_user(uint64_t uid);

/* Whether `a` stands before `b`: numbers fall, texts and process IDs rise, what is unknown comes last. */
int lz_column_compare(const struct lz_column *column, const struct lz_process *a, const struct lz_process *b);

/* Prints the list for --help. */
void lz_columns_help(void);

#endif
