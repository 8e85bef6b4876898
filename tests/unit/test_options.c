/* support/options.c: all options of the table, bad values, unknown names, LAZYZERO_ONLY. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/options.h"

static char warnings[4096];
static int warning_count;

static void collect(void *context, const char *text)
{
	(void)context;
	strncat(warnings, text, sizeof warnings - strlen(warnings) - 2);
	strcat(warnings, "\n");
	warning_count++;
}

static void read_environment(struct lz_options *options, char *const *envp)
{
	warnings[0] = '\0';
	warning_count = 0;
	memset(options, 0, sizeof *options); /* so that two structs can be compared byte by byte */
	lz_options_from_environment(options, envp, collect, NULL);
}

Test(options, defaults_match_the_table)
{
	struct lz_options options;

	read_environment(&options, NULL);
	cr_expect_eq(options.threshold, 1 << 20);
	cr_expect_eq(options.malloc_threshold, 32 << 20);
	cr_expect(options.budget.is_percent);
	cr_expect_eq(options.budget.millionths, 50000);
	cr_expect_eq(options.policy, LZ_POLICY_LOG);
	cr_expect_eq(options.backing, LZ_BACKING_AUTO);
	cr_expect_eq(options.thp, LZ_THP_AUTO);
	cr_expect_eq(options.populate, LZ_POPULATE_OFF);
	cr_expect_eq(options.memset_threshold, 4 << 20);
	cr_expect_eq(options.intercept,
		LZ_INTERCEPT_MALLOC | LZ_INTERCEPT_CALLOC | LZ_INTERCEPT_MMAP | LZ_INTERCEPT_MEMSET);
	cr_expect_eq(options.disable, 0);
	cr_expect_str_eq(options.only, "");
	cr_expect_str_eq(options.log, "stderr");
	cr_expect_str_eq(options.stats, "");
	cr_expect_eq(warning_count, 0);
}

Test(options, every_default_is_accepted_and_documented)
{
	struct lz_options options;

	lz_options_defaults(&options);
	for (size_t i = 0; i < lz_option_count; i++) {
		const struct lz_option *option = &lz_option_table[i];

		cr_expect_eq(lz_option_set(&options, option, option->default_value), 0, "%s", option->name);
		cr_expect_neq(*option->help, '\0', "%s", option->name);
		cr_expect_neq(*option->accepts, '\0', "%s", option->name);
		cr_expect_eq(lz_option_by_name(option->name, strlen(option->name)), option);
	}
}

Test(options, values_are_parsed)
{
	char *envp[] = {"HOME=/", "LAZYZERO_THRESHOLD=64K", "LAZYZERO_BUDGET=64M", "LAZYZERO_POLICY=refuse",
		"LAZYZERO_THP=never", "LAZYZERO_INTERCEPT=mmap,calloc", "LAZYZERO_ONLY=a:b",
		"LAZYZERO_LOG=fd:7", "LAZYZERO_LOG_FORMAT=json", "LAZYZERO_DISABLE=1",
		"LAZYZERO_POPULATE=read", NULL};
	struct lz_options options;

	read_environment(&options, envp);
	cr_expect_eq(warning_count, 0, "%s", warnings);
	cr_expect_eq(options.threshold, 65536);
	cr_expect_not(options.budget.is_percent);
	cr_expect_eq(options.budget.bytes, 64 << 20);
	cr_expect_str_eq(options.budget.text, "64M");
	cr_expect_eq(options.policy, LZ_POLICY_REFUSE);
	cr_expect_eq(options.thp, LZ_THP_NEVER);
	cr_expect_eq(options.intercept, LZ_INTERCEPT_CALLOC | LZ_INTERCEPT_MMAP);
	cr_expect_eq(options.log_format, LZ_LOG_JSON);
	cr_expect_eq(options.disable, 1);
	cr_expect_eq(options.populate, LZ_POPULATE_READ);
}

Test(options, bad_values_warn_once_and_keep_the_default)
{
	static char *const bad[] = {"LAZYZERO_THRESHOLD=", "LAZYZERO_THRESHOLD=0", "LAZYZERO_THRESHOLD=-1",
		"LAZYZERO_THRESHOLD=99999999999999999999", "LAZYZERO_BUDGET=", "LAZYZERO_BUDGET=101%",
		"LAZYZERO_BUDGET=\xff\xfe", "LAZYZERO_POLICY=", "LAZYZERO_POLICY=Refuse",
		"LAZYZERO_POLICY=refused", "LAZYZERO_INTERCEPT=malloc;calloc", "LAZYZERO_INTERCEPT=,",
		"LAZYZERO_LOG=", "LAZYZERO_LOG=fd:", "LAZYZERO_LOG=fd:x", "LAZYZERO_LOG=fd:99999999999",
		"LAZYZERO_DISABLE=yes", "LAZYZERO_THP=1"};
	struct lz_options default_options, options;

	read_environment(&default_options, NULL);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char *envp[] = {bad[i], NULL};
		const char *value = strchr(bad[i], '=') + 1;

		read_environment(&options, envp);
		cr_expect_eq(warning_count, 1, "%s: %s", bad[i], warnings);
		cr_expect_eq(memcmp(&options, &default_options, sizeof options), 0, "%s", bad[i]);
		cr_expect_eq(strncmp(warnings, bad[i], (size_t)(value - bad[i])), 0, "%s", warnings);
		cr_expect_not_null(strstr(warnings, "it takes "), "%s", warnings);
		cr_expect_not_null(strstr(warnings, "using "), "%s", warnings);
	}
}

Test(options, long_value_is_truncated_in_the_warning)
{
	size_t length = 1 << 20;
	char *huge = malloc(length + 1);
	char *envp[] = {huge, NULL};
	struct lz_options options;

	for (size_t i = 0; i < lz_option_count; i++) {
		memset(huge, 'x', length);
		huge[length] = '\0';
		memcpy(huge, "LAZYZERO_", 9);
		memcpy(huge + 9, lz_option_table[i].name, strlen(lz_option_table[i].name));
		huge[9 + strlen(lz_option_table[i].name)] = '=';
		read_environment(&options, envp);
		cr_expect_eq(warning_count, 1, "%s", lz_option_table[i].name);
		cr_expect_lt(strlen(warnings), 400);
	}
	memset(huge, 'x', length);
	memcpy(huge, "LAZYZERO_", 9);
	huge[length - 1] = '=';
	read_environment(&options, envp);
	cr_expect_eq(warning_count, 1);
	free(huge);
}

Test(options, unknown_names_suggest_the_nearest)
{
	char *envp[] = {"LAZYZERO_BUDGT=1", "LAZYZERO_NOTHINGLIKEIT=1", "LAZYZERO_", "LAZYZEROX=1", NULL};
	struct lz_options options;

	read_environment(&options, envp);
	cr_expect_eq(warning_count, 2, "%s", warnings);
	cr_expect_not_null(
		strstr(warnings, "LAZYZERO_BUDGT is not a known variable; did you mean LAZYZERO_BUDGET?"));
	cr_expect_not_null(strstr(warnings, "see lazyzero(1)"));
}

Test(options, only_matches_base_names_and_paths)
{
	static const struct {
		const char *only, *executable;
		bool applies;
	} cases[] = {
		{"", "/bin/x", true},
		{"x", "/bin/x", true},
		{"x", "x", true},
		{"y", "/bin/x", false},
		{"y:x", "/bin/x", true},
		{"/bin/x", "/bin/x", true},
		{"/usr/bin/x", "/bin/x", false},
		{"xx", "/bin/x", false},
		{":", "/bin/x", false},
		{"x:", "/bin/x", true},
		{"x", "", false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct lz_options options;

		lz_options_defaults(&options);
		strcpy(options.only, cases[i].only);
		cr_expect_eq(lz_options_match_executable(&options, cases[i].executable), cases[i].applies,
			"%s on %s", cases[i].only, cases[i].executable);
	}
}

Test(options, is_set)
{
	static struct lz_options options;
	char *envp[] = {(char *)"LAZYZERO_THP=never", (char *)"LAZYZERO_CACHE=nonsense",
		(char *)"LAZYZERO_BUDGET=5%", NULL};

	lz_options_from_environment(&options, envp, collect, NULL);
	cr_expect(lz_option_is_set(&options, "THP"));
	cr_expect(lz_option_is_set(&options, "BUDGET"));
	cr_expect_not(lz_option_is_set(&options, "CACHE"));
	cr_expect_not(lz_option_is_set(&options, "BACKING"));
	cr_expect_not(lz_option_is_set(&options, "NONE"));
	lz_options_from_environment(&options, NULL, collect, NULL);
	cr_expect_not(lz_option_is_set(&options, "THP"));
}

Test(options, shared_memory_has_a_mode_and_perhaps_a_driver)
{
	char *const chosen[] = {"LAZYZERO_SHARED=huge", "LAZYZERO_SHARED_DENSITY=12.5%",
		"LAZYZERO_SHARED_FILES=density", NULL};
	char *const driven[] = {"LAZYZERO_SHARED=auto:0123456789abcdef0123456789abcdef", NULL};
	static char *const refused[] = {"LAZYZERO_SHARED=auto:", "LAZYZERO_SHARED=auto:0123456789abcdef",
		"LAZYZERO_SHARED=auto:0123456789abcdef0123456789abcdeg",
		"LAZYZERO_SHARED=align:0123456789abcdef0123456789abcdef",
		"LAZYZERO_SHARED=", "LAZYZERO_SHARED_DENSITY=0%", "LAZYZERO_SHARED_DENSITY=101%",
		"LAZYZERO_SHARED_DENSITY=50"};
	struct lz_options options;

	read_environment(&options, NULL);
	cr_expect_eq(options.shared.mode, LZ_SHARED_ALIGN);
	cr_expect_str_eq(options.shared.driver, "");
	cr_expect_eq(options.shared_density, 500000);
	cr_expect_eq(options.shared_files, LZ_SHARED_FILES_FULL);
	read_environment(&options, chosen);
	cr_expect_eq(options.shared.mode, LZ_SHARED_HUGE);
	cr_expect_eq(options.shared_density, 125000);
	cr_expect_eq(options.shared_files, LZ_SHARED_FILES_DENSITY);
	read_environment(&options, driven);
	cr_expect_eq(options.shared.mode, LZ_SHARED_AUTO);
	cr_expect_str_eq(options.shared.driver, "0123456789abcdef0123456789abcdef");
	cr_expect_eq(warning_count, 0);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		char *const envp[] = {refused[i], NULL};

		read_environment(&options, envp);
		cr_expect_eq(warning_count, 1, "%s", refused[i]);
		cr_expect_eq(options.shared.mode, LZ_SHARED_ALIGN);
		cr_expect_eq(options.shared_density, 500000);
	}
}
