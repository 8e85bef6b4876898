/*
 * `lazyzero doctor`: checks the features of the machine that the library relies on. Features are tested by
 * using them, in this process and with a few megabytes, since versions and settings do not prove that they
 * work.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/commands.h"
#include "cli/common/help.h"
#include "cli/common/json.h"
#include "cli/common/messages.h"
#include "cli/doctor/finding.h"
#include "cli/doctor/probes.h"
#include "os/os.h"

enum { FLAG_JSON };

static const struct lz_flag flags[] = {
	[FLAG_JSON] = {.name = "json", .help = "Print a JSON object."},
};

static const char *const health_names[] = {
	[LZ_HEALTH_OK] = "ok", [LZ_HEALTH_NOTE] = "note", [LZ_HEALTH_BAD] = "bad"};
static const char *const health_colours[] = {
	[LZ_HEALTH_OK] = "\033[32m", [LZ_HEALTH_NOTE] = "\033[33m", [LZ_HEALTH_BAD] = "\033[31m"};

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
		snprintf(line, sizeof line, "Fix: %s", finding->fix);
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

static void report(const char *name, const struct lz_finding *finding, json_t *array)
{
	if (array != NULL)
		json_array_append_new(array, finding_json(name, finding));
	else
		print_finding(name, finding);
}

static void run_probes(
	const struct lz_probe *probes, size_t count, struct lz_probe_context *context, json_t *array)
{
	for (size_t i = 0; i < count; i++) {
		struct lz_finding finding = {.health = LZ_HEALTH_OK};

		probes[i].run(context, &finding);
		report(probes[i].name, &finding, array);
	}
}

static void report_facts(json_t *array)
{
	for (size_t i = 0; i < lz_fact_finding_count; i++) {
		struct lz_finding finding = {.health = LZ_HEALTH_OK};
		const char *name = lz_fact_finding(i, &finding);

		report(name, &finding, array);
	}
}

static int run(const struct lz_arguments *arguments)
{
	json_t *array = arguments->values[FLAG_JSON] != NULL ? json_array() : NULL;
	struct lz_probe_context context = {.geometry = lz_geometry_probe(&lz_os_linux), .window = -1};
	int status;

	context.window_bytes = context.geometry->levels > 1 ? 1ul << lz_table_span_shift(context.geometry, 0)
							    : 1ul << context.geometry->page_shift;
	/* ftruncate raises SIGXFSZ beyond RLIMIT_FSIZE. */
	signal(SIGXFSZ, SIG_IGN);
	run_probes(lz_system_probes, lz_system_probe_count, &context, array);
	run_probes(lz_memory_probes, lz_memory_probe_count, &context, array);
	report_facts(array);
	run_probes(lz_window_probes, lz_window_probe_count, &context, array);
	run_probes(lz_shared_probes, lz_shared_probe_count, &context, array);
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
			? "The zero window works here: memory that is only read needs no page tables."
			: "The zero window does not work here: every region is backed by plain memory, and "
			  "the policy handles requests that exceed the budget.",
		0, 0);
	return status;
}

const struct lz_command lz_command_doctor = {
	.name = "doctor",
	.summary = "check the features of this machine that the library uses",
	.usage = "[OPTION]...",
	.description =
		"Tests the kernel features that the library relies on. For each it shows what was found, "
		"what that means for the library, and how to fix it. The status is 0 if the zero window "
		"works, else 1.",
	.flags = flags,
	.flag_count = sizeof flags / sizeof *flags,
	.run = run,
};
