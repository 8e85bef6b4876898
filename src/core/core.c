/* Life of the core: what is set up before the first request, and what is said at exit. */
#include "core/inside.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "os/descriptors.h"

static void warn(void *context, const char *text)
{
	lz_log_note(context, text);
}

static void ignore(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static const char *base_name(const char *path)
{
	const char *base = path;

	for (; *path != '\0'; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

static void note_stats_failure(struct lz_core *core, int error)
{
	char buffer[256];
	struct lz_text text = lz_text_in(buffer, sizeof buffer);
	size_t length = strlen(core->options.stats);

	/* A directory (by its last slash) that is gone: whoever wanted to read it is, too, and this process
	 * has outlived `lazyzero run`. */
	if (core->options.stats[length - 1] == '/' && (error == -EISDIR || error == -ENOENT))
		return;
	lz_text_string(&text, "no statistics: cannot write LAZYZERO_STATS=\"");
	lz_text_foreign(&text, core->options.stats);
	lz_text_string(&text, "\": ");
	lz_text_string(&text, lz_error_text(error));
	lz_log_note(&core->log, buffer);
}

/* LAZYZERO_ONLY names programs as they were started (a script) or as they are (its interpreter). */
static bool is_meant(struct lz_core *core, const char *executable)
{
	char path[LZ_OPTION_TEXT_MAX];

	if (core->options.disable)
		return false;
	return lz_options_apply_to(&core->options, executable) ||
	       (core->os->readlink("/proc/self/exe", path, sizeof path) > 0 &&
		       lz_options_apply_to(&core->options, path));
}

int lz_core_init(struct lz_core *core, const struct lz_os *os, char *const *envp, const char *executable)
{
	int error;

	core->os = core->calls = os;
	core->page = os->page_size();
	core->page_shift = (unsigned)__builtin_ctzl(core->page);
	core->actual = UINT64_MAX;
	lz_regions_init(&core->regions, os);
	lz_windows_init(&core->windows);
	/* Twice: the log's own options must be known before it can say what is wrong with any. */
	lz_options_from_environment(&core->options, envp, ignore, NULL);
	lz_log_open(&core->log, os, &core->options, base_name(executable));
	bool active = is_meant(core, executable);
	if (active)
		lz_descriptors_open(os);
	if (active)
		lz_options_from_environment(&core->options, envp, warn, &core->log);
	error = lz_stats_open(&core->stats, os, active ? core->options.stats : "", base_name(executable));
	if (error)
		note_stats_failure(core, error);
	error = lz_lock_init(&core->lock, os);
	core->active = active && error == 0;
	/* Without the mmap family, nobody says what the program maps and changes. */
	core->overlaid = core->windows.altered = !(core->options.intercept & LZ_INTERCEPT_MMAP);
	if (core->active)
		lz_report_open(core, base_name(executable));
	return error;
}

void lz_core_close(struct lz_core *core)
{
	if (atomic_load(&core->passive))
		return;
	lz_report_write(core, "exit");
	/* Without a file nobody would read the last figures, and a sandboxed program may no longer open
	 * /proc. In a forked child the file is still the parent's until the books have been opened. */
	if (lz_stats_in_file(&core->stats)) {
		core->window_sampled_ms = 0; /* once more in any case */
		lz_core_sample_window(core);
		if (!lz_core_enter(core))
			return;
		lz_core_read_actual(core, 0);
		lz_core_leave(core);
	}
	lz_log_close(&core->log);
	lz_stats_close(&core->stats);
}
