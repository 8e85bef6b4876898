/* The table of options and its parsers; see options.h. */
#include "support/options.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"
#include "support/group.h"

static const char *const policies[] = {"log", "refuse", NULL};
static const char *const backings[] = {"auto", "zeropage", "window", NULL};
static const char *const thp_modes[] = {"auto", "never", "inherit", "always", NULL};
static const char *const populate_modes[] = {"off", "read", NULL};
static const char *const call_families[] = {"malloc", "calloc", "mmap", "memset", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const report_signals[] = {"none", "HUP", "USR1", "USR2", NULL};
static const char *const shared_modes[] = {"off", "align", "huge", "auto", NULL};
static const char *const shared_files[] = {"full", "density", NULL};
static const char *const zero_or_one[] = {"0", "1", NULL};

#define FIELD(member) .offset = offsetof(struct lz_options, member)

const struct lz_option lz_option_table[] = {
	{"THRESHOLD", "threshold", "SIZE", "1M", "a size of at least 1 byte, such as 1M",
		"Zeroed allocations (calloc) of at least this size are served by lazyzero, and mappings "
		"(mmap) of at least this size count against the budget.",
		NULL, LZ_OPTION_SIZE, FIELD(threshold)},
	{"MALLOC_THRESHOLD", "malloc-threshold", "SIZE", "32M", "a size of at least 1 byte, such as 32M",
		"The same for malloc, realloc and the aligned family. glibc itself maps requests of 32 "
		"MiB or more.",
		NULL, LZ_OPTION_SIZE, FIELD(malloc_threshold)},
	{"MEMSET_THRESHOLD", "memset-threshold", "SIZE", "4M", "a size of at least 1 byte, such as 4M",
		"Calls of memset, bzero and explicit_bzero that write zeros over at least this size write only "
		"the pages that hold something (Linux 6.7). Pages that were never touched stay untouched, so "
		"clearing memory does not prefault it.",
		NULL, LZ_OPTION_SIZE, FIELD(memset_threshold)},
	{"BUDGET", "budget", "SIZE|PERCENT", "5%", "a size such as 64M, or a percentage such as 5%",
		"Page tables that the process may need: bytes, or a percentage of the smaller of RAM and "
		"the memory limit of its control group. With 0, every large request exceeds the budget.",
		NULL, LZ_OPTION_BUDGET, FIELD(budget)},
	{"BUDGET_SCOPE", "budget-scope", "SCOPE", "process",
		"process, group, or group:NAME with a name of 1 to 63 bytes",
		"Whose page tables count against the budget. process: those of this process. group: the sum "
		"of "
		"all processes that 'lazyzero run' started, where it is the default, or else of all "
		"processes "
		"of this user in the same control group. group:NAME: the sum of all processes of this user "
		"that "
		"name the same group.",
		NULL, LZ_OPTION_SCOPE, FIELD(budget_scope)},
	{"POLICY", "policy", "POLICY", "log", "log or refuse",
		"What happens to a request whose page tables would exceed the budget. log: it is served, "
		"and a message is written. refuse: it fails with ENOMEM, and a message is written.",
		policies, LZ_OPTION_CHOICE, FIELD(policy)},
	{"BACKING", "backing", "BACKING", "auto", "auto, zeropage or window",
		"How large zeroed memory is backed. zeropage: by the kernel's shared zero page. window: "
		"by the zero window, which needs no page tables for memory that is only read (Linux 6.1). "
		"auto: by the zero page, or by the window if the budget would be exceeded (below 32 MiB, "
		"if it would be exceeded by half, or the policy is refuse).",
		backings, LZ_OPTION_CHOICE, FIELD(backing)},
	{"THP", "thp", "MODE", "auto", "auto, never, inherit or always",
		"Transparent huge pages in regions that lazyzero serves. never: a write takes 4 KiB, not "
		"2 MiB, and the program's own MADV_HUGEPAGE is ignored there; inherit: as the system and "
		"the program request; always: requested by lazyzero; auto: never for a region larger than "
		"half of min(RAM, cgroup limit), which cannot be filled, else inherit.",
		thp_modes, LZ_OPTION_CHOICE, FIELD(thp)},
	{"POPULATE", "populate", "MODE", "off", "off or read",
		"read fills the page-table entries of each region with the zero page when the region is "
		"allocated (MADV_POPULATE_READ, Linux 5.14): later reads cause no page faults, but all "
		"page tables are allocated at once.",
		populate_modes, LZ_OPTION_CHOICE, FIELD(populate)},
	{"CACHE", "cache", "SIZE", "64M", "a size such as 64M, or 0",
		"Maximum resident size of freed regions that are kept for reuse. It is never more than an "
		"eighth of the memory that the process may use. 0 keeps none.",
		NULL, LZ_OPTION_CACHE, FIELD(cache)},
	{"SHARED", "shared", "MODE", "align", "off, align, huge or auto",
		"Huge pages in large shared mappings, whose page tables every process needs once more. "
		"align: "
		"they are placed where huge pages are possible. huge: shared anonymous memory is also filled "
		"with huge pages when it is mapped, if there is room. auto: its blocks are made huge as they "
		"fill; 'lazyzero run' does that, and there auto is the default. off: nothing.",
		shared_modes, LZ_OPTION_SHARED, FIELD(shared)},
	{"SHARED_DENSITY", "shared-density", "PERCENT", "50%", "a percentage above 0% and up to 100%",
		"With LAZYZERO_SHARED=auto, how full a block (2 MiB on x86-64) must be to be made huge, "
		"which "
		"fills it up.",
		NULL, LZ_OPTION_DENSITY, FIELD(shared_density)},
	{"SHARED_FILES", "shared-files", "WHEN", "full", "full or density",
		"With LAZYZERO_SHARED=auto, when a block of a memory file (memfd, /dev/shm) is made huge. "
		"full: "
		"when no page of it is missing, so that no hole is ever filled; density: at "
		"LAZYZERO_SHARED_DENSITY.",
		shared_files, LZ_OPTION_CHOICE, FIELD(shared_files)},
	{"INTERCEPT", "intercept", "LIST", "malloc,calloc,mmap,memset",
		"a comma-separated list of malloc, calloc, mmap, memset",
		"Families of calls that are handled. Other calls pass through unchanged. Empty: none.",
		call_families, LZ_OPTION_SET, FIELD(intercept)},
	{"ONLY", "only", "NAMES", "", "names of executables separated by colons, at most 1023 bytes",
		"Act only in programs with these names (the base name, or the path by which they were "
		"started). All other programs run unchanged. Empty: act in all.",
		NULL, LZ_OPTION_TEXT, FIELD(only)},
	{"LOG", "log", "TARGET", "stderr", "stderr, none, fd:N, syslog, or the path of a file",
		"Target of messages. Of each call site three of a kind are written, and the others summed up "
		"at "
		"exit. In a path, %p becomes the process id, %e the executable's name and "
		"%% a percent sign. A file is created with mode 0600 and appended to; symbolic links are "
		"not followed.",
		NULL, LZ_OPTION_LOG, FIELD(log)},
	{"LOG_FORMAT", "log-format", "FORMAT", "text", "text or json",
		"Format of messages: one event on each line, as text or as a JSON object.", log_formats,
		LZ_OPTION_CHOICE, FIELD(log_format)},
	{"STATS", "stats", "PATH", "", "the path of a file or of a directory, at most 1023 bytes",
		"Keep live statistics in this file, for the first process that opens it; or in this "
		"directory, in lazyzero.PID for each process. lazyzero/wire.h defines the layout. Empty: "
		"no file; the command then finds the statistics in the memory of the process.",
		NULL, LZ_OPTION_PATH, FIELD(stats)},
	{"REPORT", "report", "PATH", "", "the path of a file or of a directory, at most 1023 bytes",
		"At exit, append to this file how the regions of each call site were used, for 'lazyzero "
		"report'; in a directory, to lazyzero-report.PID. %p, %e and %% are replaced as in "
		"LAZYZERO_LOG. A file beside it, whose name ends in .sites, holds what is known while the "
		"program runs. Freed regions lose their pages. Empty: no report.",
		NULL, LZ_OPTION_PATTERN, FIELD(report)},
	{"REPORT_SIGNAL", "report-signal", "SIGNAL", "none", "none, HUP, USR1 or USR2",
		"Also write the report when the process receives this signal, unless the program handles "
		"or ignores it.",
		report_signals, LZ_OPTION_CHOICE, FIELD(report_signal)},
	{"DISABLE", "disable", "0|1", "0", "0 or 1", "1 disables lazyzero: all calls pass through unchanged.",
		zero_or_one, LZ_OPTION_CHOICE, FIELD(disable)},
};

const size_t lz_option_count = sizeof lz_option_table / sizeof *lz_option_table;

static_assert(sizeof lz_option_table / sizeof *lz_option_table <= 32,
	"each option has a bit in set_in_environment");

static int index_of(const char *const choices[], const char *word, size_t length)
{
	for (int i = 0; choices[i] != NULL; i++)
		if (strlen(choices[i]) == length && memcmp(choices[i], word, length) == 0)
			return i;
	return -1;
}

static int set_size(uint64_t *field, const char *value)
{
	uint64_t bytes;
	int error = lz_parse_size(value, &bytes);

	if (error == 0 && bytes == 0)
		return -ERANGE;
	if (error == 0)
		*field = bytes;
	return error;
}

static int set_budget(struct lz_budget_spec *field, const char *value)
{
	struct lz_budget_spec spec = {.is_percent = strchr(value, '%') != NULL};
	struct lz_text text = lz_text_init(spec.text, sizeof spec.text);
	int error = spec.is_percent ? lz_parse_percent(value, &spec.millionths)
				    : lz_parse_size(value, &spec.bytes);

	if (error)
		return error;
	lz_text_string(&text, value);
	*field = spec;
	return 0;
}

/* A mode; "auto:" and hexadecimal digits name the driver. */
static int set_shared(struct lz_shared_choice *field, const char *value)
{
	struct lz_shared_choice choice = {.mode = LZ_SHARED_AUTO};
	struct lz_text text = lz_text_init(choice.driver, sizeof choice.driver);
	int mode = index_of(shared_modes, value, strnlen(value, 32));

	if (mode >= 0) {
		choice.mode = (uint32_t)mode;
	} else {
		if (strncmp(value, "auto:", 5) != 0 || strlen(value + 5) != LZ_SHARED_DRIVER_DIGITS)
			return -EINVAL;
		for (const char *digit = value + 5; *digit != '\0'; digit++) {
			if (!(*digit >= '0' && *digit <= '9') && !(*digit >= 'a' && *digit <= 'f'))
				return -EINVAL;
			lz_text_char(&text, *digit);
		}
	}
	*field = choice;
	return 0;
}

static int set_density(uint32_t *field, const char *value)
{
	uint32_t millionths;
	int error = strchr(value, '%') != NULL ? lz_parse_percent(value, &millionths) : -EINVAL;

	if (error == 0 && millionths == 0)
		return -ERANGE;
	if (error == 0)
		*field = millionths;
	return error;
}

static int set_list(uint32_t *field, const char *const choices[], const char *value)
{
	uint32_t bits = 0;

	while (*value != '\0') {
		size_t length = strcspn(value, ",");
		int choice = index_of(choices, value, length);

		if (choice < 0)
			return -EINVAL;
		bits |= 1u << choice;
		value += length + (value[length] == ',');
	}
	*field = bits;
	return 0;
}

static int set_text(char *field, const char *value)
{
	struct lz_text text;

	if (strnlen(value, LZ_OPTION_TEXT_MAX) == LZ_OPTION_TEXT_MAX)
		return -ENAMETOOLONG;
	text = lz_text_init(field, LZ_OPTION_TEXT_MAX);
	lz_text_string(&text, value);
	return 0;
}

/*
 * A log target is a keyword, fd:N, or any path. An empty target is rejected, because it would discard all
 * messages without a warning.
 */
static int set_log(char *field, const char *value)
{
	uint64_t fd;

	if (*value == '\0')
		return -EINVAL;
	if (strncmp(value, "fd:", 3) == 0 && (lz_parse_u64(value + 3, &fd) || fd > INT32_MAX))
		return -EINVAL;
	return set_text(field, value);
}

static int set_scope(char *field, const char *value)
{
	struct lz_text text;

	if (!lz_group_scope_is_valid(value))
		return -EINVAL;
	text = lz_text_init(field, sizeof((struct lz_options *)0)->budget_scope);
	lz_text_string(&text, value);
	return 0;
}

int lz_option_set(struct lz_options *options, const struct lz_option *option, const char *value)
{
	void *field = (char *)options + option->offset;
	int choice;

	switch (option->kind) {
	case LZ_OPTION_SIZE:
		return set_size(field, value);
	case LZ_OPTION_CACHE:
		return lz_parse_size(value, field);
	case LZ_OPTION_BUDGET:
		return set_budget(field, value);
	case LZ_OPTION_CHOICE:
		choice = index_of(option->choices, value, strnlen(value, 32));
		if (choice < 0)
			return -EINVAL;
		*(uint32_t *)field = (uint32_t)choice;
		return 0;
	case LZ_OPTION_SET:
		return set_list(field, option->choices, value);
	case LZ_OPTION_SCOPE:
		return set_scope(field, value);
	case LZ_OPTION_SHARED:
		return set_shared(field, value);
	case LZ_OPTION_DENSITY:
		return set_density(field, value);
	case LZ_OPTION_LOG:
		return set_log(field, value);
	case LZ_OPTION_PATH:
	case LZ_OPTION_PATTERN:
	case LZ_OPTION_TEXT:
		return set_text(field, value);
	}
	return -EINVAL;
}

void lz_options_defaults(struct lz_options *options)
{
	for (size_t i = 0; i < lz_option_count; i++)
		lz_option_set(options, &lz_option_table[i], lz_option_table[i].default_value);
}

bool lz_option_is_path(const struct lz_option *option, const char *value)
{
	static const char *const words[] = {"stderr", "none", "syslog", NULL};

	if (option->kind == LZ_OPTION_LOG)
		return index_of(words, value, strlen(value)) < 0 && strncmp(value, "fd:", 3) != 0;
	return (option->kind == LZ_OPTION_PATH || option->kind == LZ_OPTION_PATTERN) && *value != '\0';
}

const struct lz_option *lz_option_by_name(const char *name, size_t length)
{
	for (size_t i = 0; i < lz_option_count; i++) {
		const char *known = lz_option_table[i].name;

		if (strlen(known) == length && memcmp(known, name, length) == 0)
			return &lz_option_table[i];
	}
	return NULL;
}

static void warn_value(
	const struct lz_option *option, const char *value, lz_option_warning *warn, void *context)
{
	char buffer[400];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_string(&text, LZ_OPTION_PREFIX);
	lz_text_string(&text, option->name);
	lz_text_string(&text, "=\"");
	lz_text_escaped(&text, value);
	lz_text_string(&text, "\" is not accepted: it takes ");
	lz_text_string(&text, option->accepts);
	lz_text_string(&text, "; using ");
	lz_text_string(&text, *option->default_value != '\0' ? option->default_value : "the default, none");
	warn(context, buffer);
}

static void warn_unknown(const char *variable, size_t length, lz_option_warning *warn, void *context)
{
	const char *names[sizeof lz_option_table / sizeof *lz_option_table];
	char word[48] = "";
	char buffer[256];
	struct lz_text short_name = lz_text_init(word, sizeof word);
	struct lz_text text = lz_text_init(buffer, sizeof buffer);
	int nearest = -1;

	for (size_t i = 0; i < lz_option_count; i++)
		names[i] = lz_option_table[i].name;
	lz_text_bytes(&short_name, variable, length);
	if (!short_name.truncated)
		nearest = lz_nearest_name(word, names, lz_option_count);
	lz_text_string(&text, LZ_OPTION_PREFIX);
	lz_text_escaped(&text, word);
	lz_text_string(
		&text, short_name.truncated ? "... is not a known variable" : " is not a known variable");
	if (nearest >= 0) {
		lz_text_string(&text, "; did you mean " LZ_OPTION_PREFIX);
		lz_text_string(&text, names[nearest]);
		lz_text_char(&text, '?');
	} else {
		lz_text_string(&text, "; see lazyzero(1) for the list");
	}
	warn(context, buffer);
}

void lz_options_from_environment(
	struct lz_options *options, char *const *envp, lz_option_warning *warn, void *context)
{
	const size_t prefix = strlen(LZ_OPTION_PREFIX);

	lz_options_defaults(options);
	options->set_in_environment = 0;
	if (envp == NULL)
		return;
	for (; *envp != NULL; envp++) {
		const char *name = *envp + prefix;
		const struct lz_option *option;
		const char *equals;

		if (strncmp(*envp, LZ_OPTION_PREFIX, prefix) != 0)
			continue;
		equals = strchr(name, '=');
		if (equals == NULL)
			continue;
		option = lz_option_by_name(name, (size_t)(equals - name));
		if (option == NULL)
			warn_unknown(name, (size_t)(equals - name), warn, context);
		else if (lz_option_set(options, option, equals + 1) != 0)
			warn_value(option, equals + 1, warn, context);
		else
			options->set_in_environment |= 1u << (option - lz_option_table);
	}
}

bool lz_option_is_set(const struct lz_options *options, const char *name)
{
	const struct lz_option *option = lz_option_by_name(name, strlen(name));

	return option != NULL && (options->set_in_environment >> (option - lz_option_table) & 1) != 0;
}

bool lz_options_match_executable(const struct lz_options *options, const char *executable)
{
	const char *slash = strrchr(executable, '/');
	const char *base = slash != NULL ? slash + 1 : executable;
	const char *name = options->only;

	if (*name == '\0')
		return true;
	while (*name != '\0') {
		size_t length = strcspn(name, ":");
		const char *against = memchr(name, '/', length) != NULL ? executable : base;

		if (strlen(against) == length && memcmp(against, name, length) == 0)
			return true;
		name += length + (name[length] == ':');
	}
	return false;
}
