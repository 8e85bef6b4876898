/* Reads the pages of another process; see pages.h. */
#include "cli/inspect/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/common/clock.h"
#include "cli/process/proc_stat.h"

#define RANGE_MAX (UINT64_C(256) << 20)
#define PAGES_MAX 4096u
#define PAGES_MIN 256u
#define SLOW_NS 1000000
#define BUSY_NS 150000
#define PAUSE_NS 50000

/* Bits of an entry; Documentation/admin-guide/mm/pagemap.rst. */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_FILE (UINT64_C(1) << 61)

int lz_pages_open(struct lz_pages *pages, pid_t pid)
{
	char path[PATH_MAX];

	lz_proc_path(path, "", pid, "pagemap");
	pages->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (pages->most_pages == 0)
		pages->most_pages = PAGES_MAX;
	pages->page = lz_os_linux.page_size();
	return pages->fd < 0 ? -errno : 0;
}

bool lz_pages_are_current(const struct lz_pages *pages)
{
	uint64_t entry;

	/* The file is empty once its address space has no user (pagemap_read in fs/proc/task_mmu.c). */
	return pread(pages->fd, &entry, sizeof entry, 0) == (ssize_t)sizeof entry;
}

void lz_pages_close(struct lz_pages *pages)
{
	if (pages->fd >= 0)
		close(pages->fd);
	pages->fd = -1;
}

/*
 * Notes how long a call took. Pauses now and then: a thread that used up its time slice would be preempted
 * while the kernel holds the lock. With three busy programs on two processors, the longest call takes 0.3 to
 * 0.5 ms in most runs, instead of 4 to 16 ms.
 */
static void end_call(struct lz_pages *pages, uint64_t ns)
{
	pages->calls++;
	pages->longest_ns = lz_max_u64(pages->longest_ns, ns);
	if (ns > SLOW_NS && pages->most_pages > PAGES_MIN)
		pages->most_pages /= 2;
	pages->busy_ns += ns;
	if (pages->busy_ns >= BUSY_NS) {
		pages->busy_ns = 0;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
}

/* Reads the entries of at most PAGES_MAX pages from *at on, and visits each run of equal ones. */
static int read_entries(
	struct lz_pages *pages, uint64_t *at, uint64_t end, lz_page_run_visitor *visit, void *context)
{
	const uint64_t state = ENTRY_PRESENT | ENTRY_SWAPPED | ENTRY_FILE;
	static uint64_t entries[PAGES_MAX];
	size_t wanted = (size_t)lz_min_u64((end - *at) / pages->page, PAGES_MAX), count, next;
	ssize_t got = pread(
		pages->fd, entries, wanted * sizeof *entries, (off_t)(*at / pages->page * sizeof *entries));

	if (got < 0)
		return -errno;
	count = (size_t)got / sizeof *entries;
	for (size_t i = 0; i < count; i = next) {
		for (next = i + 1; next < count && ((entries[next] ^ entries[i]) & state) == 0;)
			next++;
		if ((entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)) != 0)
			visit(context, &(struct lz_page_run){.start = *at + i * pages->page,
					       .end = *at + next * pages->page,
					       .file = (entries[i] & ENTRY_FILE) != 0,
					       .not_present = (entries[i] & ENTRY_PRESENT) == 0});
	}
	/* At the end of the address space, or of the process, the file ends. */
	*at = count > 0 ? *at + count * pages->page : end;
	return 0;
}

int lz_pages_walk(
	struct lz_pages *pages, uint64_t start, uint64_t end, lz_page_run_visitor *visit, void *context)
{
	int error = 0;

	while (start < end && error == 0) {
		uint64_t before = lz_monotonic_ns(), stop = lz_min_u64(end, start + RANGE_MAX);

		if (pages->from_entries)
			error = read_entries(pages, &start, stop, visit, context);
		else
			error = lz_pagemap_walk_step(
				&lz_os_linux, pages->fd, &start, stop, pages->most_pages, visit, context);
		if (error == -ENOTTY && !pages->from_entries) {
			pages->from_entries = true;
			error = 0;
			continue;
		}
		end_call(pages, lz_monotonic_ns() - before);
	}
	return error;
}
