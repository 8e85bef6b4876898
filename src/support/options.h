/*
 * The options. One table defines the LAZYZERO_* variables, the flags of `lazyzero run`, the help text and the
 * options section of the manual.
 *
 * The parsers do not allocate and do not modify errno. A value that is not accepted is reported once through
 * a callback, and the default applies: a program must start whatever its environment contains. Filling a
 * struct lz_options is for start-up, before there are threads; reading it needs no lock.
 */
#ifndef LZ_SUPPORT_OPTIONS_H
#define LZ_SUPPORT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LZ_OPTION_PREFIX "LAZYZERO_"
#define LZ_OPTION_TEXT_MAX 1024u /* maximum size of a path or a list in bytes, including the NUL */

enum lz_policy { LZ_POLICY_LOG, LZ_POLICY_REFUSE };
enum lz_backing_choice { LZ_BACKING_AUTO, LZ_BACKING_ZEROPAGE, LZ_BACKING_WINDOW };
enum lz_thp { LZ_THP_AUTO, LZ_THP_NEVER, LZ_THP_INHERIT, LZ_THP_ALWAYS };
enum lz_populate { LZ_POPULATE_OFF, LZ_POPULATE_READ };
enum lz_intercept { LZ_INTERCEPT_MALLOC = 1, LZ_INTERCEPT_CALLOC = 2, LZ_INTERCEPT_MMAP = 4, LZ_INTERCEPT_MEMSET = 8 };
enum lz_report_signal { LZ_REPORT_NONE, LZ_REPORT_HUP, LZ_REPORT_USR1, LZ_REPORT_USR2 };
enum lz_log_format { LZ_LOG_TEXT, LZ_LOG_JSON };
enum lz_shared { LZ_SHARED_OFF, LZ_SHARED_ALIGN, LZ_SHARED_HUGE, LZ_SHARED_AUTO };
enum lz_shared_files { LZ_SHARED_FILES_FULL, LZ_SHARED_FILES_DENSITY };

/* A budget as the user wrote it: a size, or a share of the memory that this process may use. */
struct lz_budget_spec {
	bool is_percent;
	uint32_t millionths; /* if is_percent: of min(RAM, cgroup limit) */
	uint64_t bytes;      /* if not is_percent */
	char text[24];       /* the text as written, for messages */
};

/* The address of a driver and what its messages must contain; see support/shared_driver.h. */
#define LZ_SHARED_DRIVER_DIGITS 32u

/* What is done with shared memory, and who does it. */
struct lz_shared_choice {
	uint32_t mode;                            /* enum lz_shared */
	char driver[LZ_SHARED_DRIVER_DIGITS + 1]; /* "": none */
};

struct lz_options {
	uint64_t threshold;        /* bytes, at least 1 */
	uint64_t malloc_threshold; /* bytes, at least 1 */
	uint64_t memset_threshold; /* bytes, at least 1 */
	uint64_t cache;            /* bytes, 0 for none */
	struct lz_budget_spec budget;
	uint32_t policy;             /* enum lz_policy */
	uint32_t backing;            /* enum lz_backing_choice */
	uint32_t thp;                /* enum lz_thp */
	uint32_t populate;           /* enum lz_populate */
	uint32_t intercept;          /* bits of enum lz_intercept */
	uint32_t log_format;         /* enum lz_log_format */
	uint32_t disable;            /* 0 or 1 */
	uint32_t report_signal;      /* enum lz_report_signal */
	uint32_t shared_density;     /* millionths of a block, at least 1 */
	uint32_t shared_files;       /* enum lz_shared_files */
	uint32_t set_in_environment; /* bit i is set if the environment sets lz_option_table[i] */
	struct lz_shared_choice shared;
	char budget_scope[80];
	char only[LZ_OPTION_TEXT_MAX];
	char log[LZ_OPTION_TEXT_MAX];
	char stats[LZ_OPTION_TEXT_MAX];
	char report[LZ_OPTION_TEXT_MAX];
};

enum lz_option_kind {
	LZ_OPTION_SIZE,    /* uint64_t, at least 1 */
	LZ_OPTION_CACHE,   /* uint64_t, 0 for none */
	LZ_OPTION_BUDGET,  /* struct lz_budget_spec */
	LZ_OPTION_CHOICE,  /* uint32_t, index into choices */
	LZ_OPTION_SET,     /* uint32_t, bit i stands for choices[i] */
	LZ_OPTION_SCOPE,   /* char[80], a scope; see support/group.h */
	LZ_OPTION_SHARED,  /* struct lz_shared_choice */
	LZ_OPTION_DENSITY, /* uint32_t, millionths, 1 to 1,000,000 */
	LZ_OPTION_LOG,     /* char[], a log target */
	LZ_OPTION_PATH,    /* char[], a path or "" */
	LZ_OPTION_PATTERN, /* char[], a path with % sequences as in LAZYZERO_LOG, or "" */
	LZ_OPTION_TEXT     /* char[] */
};

struct lz_option {
	const char *name;          /* name of the variable without prefix: "MALLOC_THRESHOLD" */
	const char *flag;          /* flag of the command: "malloc-threshold" */
	const char *value;         /* placeholder for the value in usage lines: "SIZE" */
	const char *default_value; /* the default, in the syntax of the variable */
	const char *accepts;       /* accepted values; completes the sentence "it takes ..." */
	const char *help;          /* one or two sentences for --help and the manual */
	const char *const *choices;
	enum lz_option_kind kind;
	size_t offset; /* in struct lz_options */
};

extern const struct lz_option lz_option_table[];
extern const size_t lz_option_count;

/* Sets every option to its default. */
void lz_options_defaults(struct lz_options *options);

/*
 * Sets one option from text. Returns 0; or -EINVAL, -ERANGE or -ENAMETOOLONG, and leaves the option
 * unchanged.
 */
int lz_option_set(struct lz_options *options, const struct lz_option *option, const char *value);

/* Whether the value, which must be acceptable for the option, names a file or a directory. */
bool lz_option_is_path(const struct lz_option *option, const char *value);

/* Returns the option with this variable name (without prefix, `length` bytes), or NULL. */
const struct lz_option *lz_option_by_name(const char *name, size_t length);

/* Called with one line of text, without a newline, for each problem. */
typedef void lz_option_warning(void *context, const char *text);

/*
 * Sets all options to their defaults, then parses every LAZYZERO_* variable of envp (as environ(7); NULL is
 * an empty environment).
 */
void lz_options_from_environment(
	struct lz_options *options, char *const *envp, lz_option_warning *warn, void *context);

/* Whether the environment sets the option with this variable name (without prefix) to an accepted value. */
bool lz_option_is_set(const struct lz_options *options, const char *name);

/* Whether LAZYZERO_ONLY selects a program with this executable name (a path or a base name). */
bool lz_options_match_executable(const struct lz_options *options, const char *executable);

#endif
