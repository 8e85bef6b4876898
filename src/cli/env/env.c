/*
 * `lazyzero env`: prints the variables that `run` would set, for a shell, a systemd unit or a Dockerfile.
 *
 * Each format has its own quoting, which preserves every value unchanged.
 */
#include <stdio.h>
#include <string.h>

#include "cli/common/arguments.h"
#include "cli/common/commands.h"
#include "cli/common/messages.h"
#include "cli/launch/library.h"
#include "support/options.h"

enum { FLAG_FORMAT, FLAG_LIBRARY };

static const char *const formats[] = {"shell", "systemd", "docker", NULL};

static const struct lz_flag flags[] = {
	[FLAG_FORMAT] = {"format", "shell|systemd|docker",
		"Output for a POSIX shell, for the [Service] section of a systemd unit, or for a Dockerfile. "
		"Default: shell",
		formats, "shell, systemd or docker", 0},
	[FLAG_LIBRARY] = LZ_LIBRARY_FLAG,
};

/* Only the quote itself is special between single quotes. */
static void shell_value(const char *value)
{
	putchar('\'');
	for (; *value != '\0'; value++) {
		if (*value == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*value);
	}
	putchar('\'');
}

static void shell_variable(const char *name, const char *value)
{
	printf("export %s=", name);
	shell_value(value);
	putchar('\n');
}

static void shell_preload(const char *path)
{
	fputs("export LD_PRELOAD=", stdout);
	shell_value(path);
	puts("\"${LD_PRELOAD:+:$LD_PRELOAD}\"");
}

/* systemd.syntax(7): C escapes between double quotes; systemd.unit(5): % starts a specifier. */
static void systemd_variable(const char *name, const char *value)
{
	printf("Environment=\"%s=", name);
	for (; *value != '\0'; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c == '%')
			fputs("%%", stdout);
		else if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	puts("\"");
}

/* A unit file cannot refer to an inherited LD_PRELOAD, so the library replaces it. */
static void systemd_preload(const char *path)
{
	systemd_variable("LD_PRELOAD", path);
}

static void docker_value(const char *value)
{
	for (; *value != '\0'; value++) {
		if (strchr("\"\\$", *value) != NULL)
			putchar('\\');
		putchar(*value);
	}
}

static void docker_variable(const char *name, const char *value)
{
	printf("ENV %s=\"", name);
	docker_value(value);
	puts("\"");
}

static void docker_preload(const char *path)
{
	fputs("ENV LD_PRELOAD=\"", stdout);
	docker_value(path);
	puts("${LD_PRELOAD:+:$LD_PRELOAD}\"");
}

static const struct {
	void (*variable)(const char *name, const char *value);
	void (*preload)(const char *path);
	bool allows_newlines;
} writers[] = {
	{shell_variable, shell_preload, true}, {systemd_variable, systemd_preload, true},
	{docker_variable, docker_preload, false}, /* a Dockerfile has no escape for newlines */
};

static int run(const struct lz_arguments *arguments)
{
	unsigned format = lz_arguments_choice(arguments, FLAG_FORMAT);
	struct lz_library library;

	for (size_t i = 0; i < lz_option_count; i++) {
		const char *value = lz_arguments_option(arguments, i);

		if (value != NULL && !writers[format].allows_newlines && strpbrk(value, "\n\r") != NULL)
			return lz_fail("--%s: a Dockerfile cannot hold a value with a line break",
				lz_option_table[i].flag);
	}
	if (lz_library_find(&library, arguments->values[FLAG_LIBRARY]))
		return LZ_EXIT_FAILURE;
	for (size_t i = 0; i < lz_option_count; i++) {
		const char *value = lz_arguments_option(arguments, i);

		if (value != NULL)
			writers[format].variable(lz_arguments_variable(i).text, value);
	}
	writers[format].preload(library.path);
	return 0;
}

const struct lz_command lz_command_env = {
	.name = "env",
	.summary = "print the environment variables that run sets",
	.usage = "[OPTION]...",
	.description = "Prints LD_PRELOAD and a variable for each option given, so that a program can be run "
		       "with the library but without this command: eval \"$(lazyzero env --budget=64M)\".",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.takes_options = true,
	.run = run,
};
