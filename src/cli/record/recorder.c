/* Writes a record; see recorder.h. */
#include "cli/record/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/common/clock.h"
#include "cli/common/display.h"
#include "cli/common/json.h"
#include "cli/common/messages.h"
#include "cli/record/format.h"
#include "pagetables/geometry.h"
#include "os/os.h"

#define INTERVAL_NS UINT64_C(100000000)
#define PROGRESS_AFTER_NS UINT64_C(2000000000) /* none for short runs */
#define PROGRESS_NS UINT64_C(1000000000)

static void write_line(struct lz_recorder *recorder, json_t *line)
{
	if (!recorder->failed && (json_dumpf(line, recorder->file,
					  JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) != 0 ||
					 fputc('\n', recorder->file) == EOF || fflush(recorder->file) != 0)) {
		recorder->failed = true;
		lz_warning("cannot write the rest of the record '%s': %s", lz_printable(recorder->path).text,
			strerror(errno));
	}
	json_decref(line);
}

int lz_recorder_open(struct lz_recorder *recorder, const char *path, char *const argv[])
{
	json_t *line = json_object(), *program = json_array();
	char kernel[3 * sizeof(struct utsname)];
	struct utsname host;
	int fd;

	*recorder = (struct lz_recorder){.path = path, .progress = isatty(STDERR_FILENO) == 1};
	/* For the owner only: it holds the program's arguments. */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	recorder->file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (recorder->file == NULL) {
		json_decref(line);
		json_decref(program);
		return lz_fail("cannot write the record '%s': %s", lz_printable(path).text, strerror(errno));
	}
	for (size_t i = 0; argv[i] != NULL; i++)
		json_array_append_new(program, lz_json_string(argv[i]));
	json_object_set_new(line, "lazyzero_record", json_integer(LZ_RECORD_VERSION));
	json_object_set_new(line, "program", program);
	json_object_set_new(line, "unix_time", json_integer((json_int_t)time(NULL)));
	json_object_set_new(line, "geometry", json_string(lz_geometry_probe(&lz_os_linux)->name));
	if (uname(&host) == 0) {
		snprintf(kernel, sizeof kernel, "%s %s %s", host.sysname, host.release, host.machine);
		json_object_set_new(line, "host", lz_json_string(host.nodename));
		json_object_set_new(line, "kernel", lz_json_string(kernel));
	}
	write_line(recorder, line);
	return 0;
}

static void add_process(void *context, const struct lz_process *process)
{
	json_t *object = json_object();

	json_object_set_new(object, "pid", lz_json_number(process->pid));
	json_object_set_new(object, "name", lz_json_string(process->name));
	json_object_set_new(object, "virtual", lz_json_number(process->virtual));
	json_object_set_new(object, "rss", lz_json_number(process->rss));
	json_object_set_new(object, "shmem", lz_json_number(process->rss_shmem));
	json_object_set_new(object, "pss", lz_json_number(process->pss));
	json_object_set_new(object, "tables", lz_json_number(process->tables));
	json_object_set_new(object, "minflt", lz_json_number(process->stat.minor_faults));
	json_object_set_new(object, "majflt", lz_json_number(process->stat.major_faults));
	json_array_append_new(context, object);
}

static void show_progress(
	struct lz_recorder *recorder, uint64_t now, const struct lz_process_tree_totals *sum)
{
	struct winsize size;
	char line[sizeof(struct lz_display) * 3];
	int width = 79;

	if (!recorder->progress || now - recorder->started_ns < PROGRESS_AFTER_NS ||
		now - recorder->progress_ns < PROGRESS_NS)
		return;
	recorder->progress_ns = now;
	recorder->progress_shown = true;
	snprintf(line, sizeof line, "%" PRIu64 " s  page tables %s  PSS %s  %" PRIu64 " process%s",
		(now - recorder->started_ns) / LZ_NS_PER_SECOND, lz_size_text(sum->tables).text,
		lz_size_text(sum->pss).text, sum->processes, sum->processes == 1 ? "" : "es");
	/* Leave the last column free: a full line would wrap. */
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		width = size.ws_col - 1;
	fprintf(stderr, "\r\033[K%.*s", width, line);
}

void lz_recorder_sample(void *context, pid_t pid)
{
	struct lz_recorder *recorder = context;
	uint64_t now = lz_monotonic_ns(), interval;
	struct lz_process_tree_totals sum;
	json_t *line, *processes;

	if (!recorder->started) {
		lz_process_tree_init(&recorder->tree, pid);
		recorder->started_ns = now;
		recorder->started = true;
	} else {
		/* At most a tenth of the time so far, so that short runs have enough samples as well. */
		interval = (now - recorder->started_ns) / 10;
		if (now - recorder->sampled_ns < (interval < INTERVAL_NS ? interval : INTERVAL_NS) ||
			!lz_process_tree_sample_due(&recorder->tree))
			return;
	}
	recorder->sampled_ns = now;
	line = json_object();
	processes = json_array();
	if (lz_process_tree_sample(&recorder->tree, &sum, add_process, processes)) {
		json_object_set_new(line, "t", json_real((double)(now - recorder->started_ns) / 1e9));
		json_object_set(line, "processes", processes);
		write_line(recorder, line);
		show_progress(recorder, now, &sum);
	} else {
		json_decref(line);
	}
	json_decref(processes);
}

void lz_recorder_close(struct lz_recorder *recorder, const struct lz_child_result *result)
{
	json_t *line = json_object();

	if (recorder->progress_shown)
		fputs("\r\033[K", stderr);
	json_object_set_new(line, "end", json_real(result->seconds));
	json_object_set_new(line, "exit_status", lz_json_exit_status(result->status));
	json_object_set_new(line, "signal", lz_json_signal(result->status));
	write_line(recorder, line);
	fclose(recorder->file);
	lz_process_tree_free(&recorder->tree);
}
