/* Collapses blocks; see work.h. */
#include "cli/collapse/work.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/collapse/driver.h"
#include "cli/common/clock.h"
#include "cli/common/messages.h"
#include "os/collapse.h"

/* The first try and two more. */
#define PASSES 3u
#define PAUSE_BETWEEN_PASSES (LZ_NS_PER_SECOND / 5)

/* So many blocks in a row for which the kernel has no huge page: the next one will not have one either. */
#define NO_MEMORY_MAX 3u

#define PROGRESS_INTERVAL (LZ_NS_PER_SECOND / 5)

static volatile sig_atomic_t caught_signal;

static void note_signal(int signal)
{
	caught_signal = signal;
}

/* The handlers stay: from now on a signal only ends the loop, and the result is still printed. */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND}, old;

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

static void pause_ns(uint64_t ns)
{
	struct timespec time = {(time_t)(ns / LZ_NS_PER_SECOND), (long)(ns % LZ_NS_PER_SECOND)};

	if (caught_signal == 0 && ns > 0)
		nanosleep(&time, NULL);
}

static void print_progress(struct lz_collapse_work *work, uint64_t started)
{
	uint64_t now = lz_monotonic_ns(), done = work->collapsed + work->changed + work->failed;

	if (!work->progress || now - work->printed_ns < PROGRESS_INTERVAL)
		return;
	work->printed_ns = now;
	fprintf(stderr, "\rcollapsing: %" PRIu64 " of %" PRIu64 " blocks", done, work->planned);
	if (done > 0)
		fprintf(stderr, ", %" PRIu64 " s left ",
			(now - started) / done * (work->planned - done) / LZ_NS_PER_SECOND);
	fflush(stderr);
}

/*
 * Whether there is room for a block that holds so many pages. The control group is charged for the whole huge
 * page until the small ones are freed, the file system only for holes. The room of a file system is not known
 * if the file could not be opened; the other objects are on one without a limit.
 */
static bool has_room(const struct lz_collapse_work *work, const struct lz_shared_object *object,
	const struct lz_view *view, pid_t pid, uint64_t pages)
{
	const struct lz_sharing *sharing = work->sharing;
	bool holes = pages * sharing->page < sharing->block;

	if (holes && view->fd < 0 && object->kind == LZ_SHARED_FILE)
		return false;
	return lz_room_of(&lz_os_linux, pid, holes ? view->fd : -1) >= sharing->block;
}

/* Returns the new state of the block, LZ_BLOCK_DENSE if it is to be tried again, and the error of a try. */
static enum lz_block_state try_block(struct lz_collapse_work *work, struct lz_shared_object *object,
	const struct lz_view *view, size_t block, int *error)
{
	struct lz_sharing *sharing = work->sharing;
	const struct lz_shared_mapping *mapping = lz_plan_mapping(sharing, object, block, &object->problem);
	uint64_t pages;
	bool huge;

	*error = 0;
	if (mapping == NULL)
		return LZ_BLOCK_UNREACHABLE;
	if (lz_view_block(view, block, &pages, &huge) != 0 ||
		!lz_plan_is_dense(sharing, object, &work->densities, pages))
		return LZ_BLOCK_CHANGED;
	object->blocks[block].pages = (uint16_t)pages;
	if (huge)
		return LZ_BLOCK_HUGE;
	if (!has_room(work, object, view, sharing->sharers[mapping->sharer].pid, pages)) {
		*error = -ENOSPC;
		return LZ_BLOCK_DENSE;
	}
	*error = lz_drive_block(sharing, view, mapping, block);
	switch (*error) {
	case 0:
		work->filled += sharing->block - pages * sharing->page;
		return LZ_BLOCK_COLLAPSED;
	case -ESRCH:
		/* Another chosen process may map it, too. */
		sharing->sharers[mapping->sharer].gone = true;
		return LZ_BLOCK_DENSE;
	case -EINVAL:
	case -EFAULT:
		/* Truncated, punched or unmapped meanwhile, or not huge for a reason that does not pass. */
		return LZ_BLOCK_CHANGED;
	default:
		return LZ_BLOCK_DENSE;
	}
}

static void note_result(struct lz_collapse_work *work, enum lz_block_state state, int error, unsigned pass)
{
	work->no_memory = error == -ENOMEM ? work->no_memory + 1 : 0;
	work->no_huge_page = work->no_memory >= NO_MEMORY_MAX;
	work->collapsed += state == LZ_BLOCK_COLLAPSED;
	work->changed += state == LZ_BLOCK_CHANGED || state == LZ_BLOCK_UNREACHABLE || state == LZ_BLOCK_HUGE;
	if (pass + 1 == PASSES && state == LZ_BLOCK_DENSE && error != -EPERM) {
		work->failed++;
		work->no_room += error == -ENOSPC;
	}
}

/* Tries each block of the object that is still to be collapsed. */
static void try_object(struct lz_collapse_work *work, struct lz_shared_object *object,
	const struct lz_view *view, unsigned pass, uint64_t started)
{
	for (size_t block = 0; block < object->block_count; block++) {
		uint64_t begin = lz_monotonic_ns();
		enum lz_block_state state;
		int error;

		if (object->blocks[block].state != LZ_BLOCK_DENSE)
			continue;
		if (caught_signal != 0 || work->no_huge_page)
			return;
		state = try_block(work, object, view, block, &error);
		object->blocks[block].state = (uint8_t)state;
		note_result(work, state, error, pass);
		if (error == -EPERM) {
			work->no_permission = true;
			return;
		}
		print_progress(work, started);
		pause_ns((lz_monotonic_ns() - begin) * (100 - work->rate) / work->rate);
	}
}

static int work_on_object(
	struct lz_collapse_work *work, struct lz_shared_object *object, unsigned pass, uint64_t started)
{
	struct lz_view view;
	uint64_t counts[LZ_BLOCK_STATES] = {0}, pages = 0;
	int error;

	lz_plan_count(object, counts, &pages);
	if (counts[LZ_BLOCK_DENSE] == 0)
		return 0;
	error = lz_view_open(&view, work->sharing, object);
	/* If all its processes have ended, it cannot be seen any more, nor is there anything to do. */
	if (error == 0)
		try_object(work, object, &view, pass, started);
	lz_view_close(&view);
	return error == -ENOMEM ? lz_fail_memory() : 0;
}

int lz_collapse_work(struct lz_collapse_work *work)
{
	struct lz_sharing *sharing = work->sharing;
	uint64_t started = lz_monotonic_ns();
	int status = 0;

	catch_signals();
	for (unsigned pass = 0; pass < PASSES && status == 0; pass++) {
		if (pass > 0 && work->collapsed + work->changed < work->planned)
			pause_ns(PAUSE_BETWEEN_PASSES);
		for (size_t i = 0; i < sharing->object_count && status == 0; i++)
			status = work_on_object(work, &sharing->objects[i], pass, started);
	}
	work->elapsed_ns = lz_monotonic_ns() - started;
	work->signal = caught_signal;
	if (work->progress && work->planned > 0)
		fprintf(stderr, "\r%60s\r", "");
	return status;
}
