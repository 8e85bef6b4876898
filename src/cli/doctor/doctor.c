/*
 * `lazyzero doctor`: what this machine offers, and what lazyzero will do with it. What can be tried is tried,
 * in this process, with a few megabytes: versions and settings only say what should be.
 */
#include "cli/doctor/probes.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/command.h"
#include "cli/common/json.h"
#include "os/os.h"

enum { FLAG_JSON };

static const struct lz_flag flags[] = {
	[FLAG_JSON] = {.name = "json", .help = "Print a JSON object."},
};

static const char *const health_names[] = {
	[LZ_HEALTH_OK] = "ok", [LZ_HEALTH_NOTE] = "note", [LZ_HEALTH_BAD] = "bad"};
static const char *const health_colours[] = {
	[LZ_HEALTH_OK] = "\033[32m", [LZ_HEALTH_NOTE] = "\033[33m", [LZ_HEALTH_BAD] = "\033[31m"};

#define FILL(text, format)                                                                                   \
	do {                                                                                                 \
		va_list values;                                                                              \
                                                                                                             \
		va_start(values, format);                                                                    \
		vsnprintf(text, sizeof(text), format, values);                                               \
		va_end(values);                                                                              \
	} while (0)

void lz_finding_set(struct lz_finding *finding, enum lz_health health, const char *found, ...)
{
	finding->health = health;
	FILL(finding->found, found);
}

void lz_finding_set_meaning(struct lz_finding *finding, const char *format, ...)
{
	FILL(finding->meaning, format);
}

void lz_finding_set_fix(struct lz_finding *finding, const char *format, ...)
{
	FILL(finding->fix, format);
}

static void print_finding(const char *name, const struct lz_finding *finding)
{
	bool colours = lz_colours_enabled(stdout);
	char line[sizeof *finding];

	snprintf(line, sizeof line, "%s%s%s", finding->found, *finding->meaning != '\0' ? ": " : "",
		finding->meaning);
	printf("%s%-4s%s  %-15s ", colours ? health_colours[finding->health] : "",
		health_names[finding->health], colours ? "\033[0m" : "", name);
	lz_print_wrapped(line, 22, 22);
	if (*finding->fix != '\0') {
		printf("%22s", "");
		snprintf(line, sizeof line, "To mend: %s", finding->fix);
		lz_print_wrapped(line, 24, 22);
	}
}

static json_t *finding_json(const char *name, const struct lz_finding *finding)
{
	json_t *object = json_object();

	json_object_set_new(object, "name", json_string(name));
	json_object_set_new(object, "health", json_string(health_names[finding->health]));
	json_object_set_new(object, "found", lz_json_string(finding->found));
	json_object_set_new(object, "meaning", lz_json_string(finding->meaning));
	json_object_set_new(object, "mend", lz_json_string(finding->fix));
	return object;
}

static void run_probes(
	const struct lz_probe *probes, size_t count, struct lz_probe_context *context, json_t *array)
{
	for (size_t i = 0; i < count; i++) {
		struct lz_finding finding = {.health = LZ_HEALTH_OK};

		probes[i].run(context, &finding);
		if (array != NULL)
			json_array_append_new(array, finding_json(probes[i].name, &finding));
		else
			print_finding(probes[i].name, &finding);
	}
}

static int run(const struct lz_arguments *arguments)
{
	json_t *array = arguments->values[FLAG_JSON] != NULL ? json_array() : NULL;
	struct lz_probe_context context = {.geometry = lz_geometry_probe(&lz_os_linux), .window = -1};
	int status;

	context.window_bytes = context.geometry->levels > 1 ? 1ul << lz_table_span_shift(context.geometry, 0)
							    : 1ul << context.geometry->page_shift;
	/* With RLIMIT_FSIZE at 0, ftruncate would kill. */
	signal(SIGXFSZ, SIG_IGN);
	run_probes(lz_system_probes, lz_system_probe_count, &context, array);
	run_probes(lz_memory_probes, lz_memory_probe_count, &context, array);
	run_probes(lz_window_probes, lz_window_probe_count, &context, array);
	if (context.window >= 0)
		close(context.window);
	status = context.window_works ? 0 : 1;
	if (array != NULL) {
		json_t *object = json_object();

		json_object_set_new(object, "window_works", json_boolean(context.window_works));
		json_object_set_new(object, "findings", array);
		return lz_json_print(object) != 0 ? LZ_EXIT_FAILURE : status;
	}
	putchar('\n');
	lz_print_wrapped(
		context.window_works
			? "The zero window works here: what is only read can do without page tables."
			: "The zero window does not work here: every region stands on plain memory, and "
			  "beyond the budget the policy decides.",
		0, 0);
	return status;
}

const struct lz_command lz_command_doctor = {
	.name = "doctor",
	.summary = "examine what this machine offers",
	.usage = "[OPTION]...",
	.description =
		"Tries what the library relies on, and says for each thing what was found, what that means, "
		"and how to mend it. The status is 0 when the zero window works, else 1.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.run = run,
};
