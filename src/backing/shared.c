/* Shared memory of the program: where it is placed, and making it huge; see shared.h. */
#include "backing/shared.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "backing/strategies.h"
#include "base/checked.h"
#include "os/collapse.h"
#include "os/memfd.h"
#include "os/mman.h"
#include "os/procfs.h"
#include "support/shared_driver.h"

#define MEMORY_NAME "lazyzero-shared"

/* Below this a process saves less than 8 page tables, and a driver would have many objects to look at. */
#define DRIVEN_MIN ((size_t)16 << 20)

/* It was said that there is no driver. */
static _Atomic bool said_undriven;

/* This process or one that forked it has told the driver of memory. */
static _Atomic bool driver_knows_memory;

static size_t block_of(struct lz_backings *backings)
{
	/* Determines the geometry. */
	lz_books_resolve_budget_early(backings->books);
	return lz_window_map_unit(&backings->books->windows);
}

static enum lz_shared mode_of(const struct lz_backings *backings)
{
	return (enum lz_shared)backings->options->shared.mode;
}

static bool has_driver(const struct lz_backings *backings)
{
	return backings->options->shared.driver[0] != '\0';
}

static bool is_shared(const struct lz_program_mapping *mapping)
{
	int type = mapping->flags & MAP_TYPE;

	return (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) && (mapping->flags & MAP_HUGETLB) == 0;
}

/* Whether a file is a memfd or in a tmpfs: only those can be sealed, besides hugetlbfs. */
static bool is_memory_file(struct lz_backings *backings, int fd)
{
	struct lz_mappable_file file;

	return backings->os->get_seals(fd) >= 0 && backings->os->describe_file(fd, &file) == 0 &&
	       file.huge_page == 0;
}

/* --- placement --- */

uintptr_t lz_shared_hint(struct lz_backings *backings, size_t length, uint64_t offset)
{
	size_t block, page = backings->books->page, whole;
	intptr_t at;

	if (mode_of(backings) == LZ_SHARED_OFF || length < LZ_SHARED_MIN)
		return 0;
	block = block_of(backings);
	if (length < block || block <= page || !lz_books_page_length(backings->books, length, &length) ||
		__builtin_add_overflow(length, block - page, &whole))
		return 0;
	at = backings->os->mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lz_os_failed(at))
		return 0;
	backings->os->munmap((void *)at, whole);
	offset &= block - page;
	return lz_round_down((uintptr_t)at + block - page - offset, block) + offset;
}

static uintptr_t place(struct lz_backings *backings, const struct lz_program_mapping *mapping)
{
	bool anonymous = (mapping->flags & MAP_ANONYMOUS) != 0;

	if (!is_shared(mapping) || mapping->length < LZ_SHARED_MIN || mode_of(backings) == LZ_SHARED_OFF ||
		(!anonymous && !is_memory_file(backings, mapping->fd)))
		return 0;
	return lz_shared_hint(backings, mapping->length, anonymous ? 0 : (uint64_t)mapping->offset);
}

/* --- handing memory to the driver --- */

/* Said when it first makes a difference: a line at each start would come from every child. */
__attribute__((noinline)) static void say_undriven(struct lz_backings *backings, size_t bytes)
{
	char buffer[200];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	if (atomic_exchange_explicit(&said_undriven, true, memory_order_relaxed))
		return;
	lz_text_string(&text, "LAZYZERO_SHARED=auto: ");
	lz_text_size(&text, bytes);
	lz_text_string(&text,
		" of shared memory are aligned, but nothing makes them huge: that takes `lazyzero run` "
		"with a summary, or LAZYZERO_SHARED=huge");
	lz_log_note(backings->log, buffer);
}

/* Whether memory of that size is for a driver, and there is one. */
static bool is_driven(struct lz_backings *backings, size_t bytes)
{
	if (mode_of(backings) != LZ_SHARED_AUTO || bytes < DRIVEN_MIN)
		return false;
	if (!has_driver(backings))
		say_undriven(backings, bytes);
	return has_driver(backings);
}

static void tell_driver(struct lz_backings *backings, struct lz_shared_message *message)
{
	if (lz_shared_driver_send(backings->os, backings->options->shared.driver, message, -1, false) == 0)
		atomic_store_explicit(&driver_knows_memory, true, memory_order_relaxed);
}

/* Whether a memfd in place of shared anonymous memory makes no difference for the program; see shared.h. */
static bool can_be_memfd(struct lz_backings *backings, const struct lz_program_mapping *mapping)
{
	const int allowed = MAP_TYPE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint64_t overcommit;

	return (mapping->flags & ~allowed) == 0 && (mapping->protection & ~(PROT_READ | PROT_WRITE)) == 0 &&
	       lz_proc_number(backings->os, "/proc/sys/vm/overcommit_memory", &overcommit) == 0 &&
	       overcommit != 2 && backings->os->thp_disabled() == 0;
}

/* Creates the memfd, locks its open file and hands its descriptor over. Returns the descriptor or -errno. */
__attribute__((noinline)) static int make_driven_memfd(
	struct lz_backings *backings, size_t length, struct lz_file_id *id)
{
	const struct lz_os *os = backings->os;
	struct lz_shared_message message = {.kind = LZ_MESSAGE_MEMORY, .bytes = length};
	int fd = lz_memfd_create_high(os, MEMORY_NAME), error;

	if (fd < 0)
		return fd;
	error = os->ftruncate(fd, (int64_t)length);
	if (error == 0)
		error = (int)os->any_syscall(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0);
	if (error == 0)
		error = os->identify(fd, id);
	if (error == 0) {
		message.device = id->device;
		message.inode = id->inode;
		error = lz_shared_driver_send(os, backings->options->shared.driver, &message, fd, false);
	}
	if (error == 0)
		return fd;
	os->close(fd);
	return error;
}

/* Whether the descriptor is still the file: the program may have closed it, and opened another one. */
static bool is_same_file(struct lz_backings *backings, int fd, const struct lz_file_id *id)
{
	struct lz_file_id now;

	return backings->os->identify(fd, &now) == 0 && now.device == id->device && now.inode == id->inode;
}

/*
 * Replaces a new mapping of shared anonymous memory by a memfd that the driver has. On failure it stays, or
 * is made again; returns false if not even that was possible, and then nothing is mapped.
 */
static bool hand_over(struct lz_backings *backings, const struct lz_program_mapping *mapping, uintptr_t at)
{
	const struct lz_os *os = backings->os;
	struct lz_file_id id;
	size_t length;
	intptr_t mapped;
	int fd;

	if (!can_be_memfd(backings, mapping) ||
		!lz_books_page_length(backings->books, mapping->length, &length))
		return true;
	fd = make_driven_memfd(backings, length, &id);
	if (fd < 0)
		return true;
	mapped = os->mmap((void *)at, length, mapping->protection, MAP_SHARED | MAP_FIXED, fd, 0);
	if (!is_same_file(backings, fd, &id) && !lz_os_failed(mapped))
		mapped = -EBADF; /* another file may be mapped */
	else
		os->close(fd);
	if (lz_os_failed(mapped)) {
		mapped = os->mmap((void *)at, length, mapping->protection, mapping->flags | MAP_FIXED, -1, 0);
		return !lz_os_failed(mapped);
	}
	atomic_store_explicit(&driver_knows_memory, true, memory_order_relaxed);
	return true;
}

void lz_shared_note_segment(struct lz_backings *backings, int id, size_t bytes)
{
	struct lz_shared_message message = {
		.kind = LZ_MESSAGE_SEGMENT, .id = id, .inode = (uint64_t)id, .bytes = bytes};

	if (is_driven(backings, bytes))
		tell_driver(backings, &message);
}

static void note_file(struct lz_backings *backings, const struct lz_program_mapping *mapping)
{
	struct lz_shared_message message = {.kind = LZ_MESSAGE_FILE, .id = mapping->fd};
	struct lz_file_id id;

	if (backings->os->identify(mapping->fd, &id) != 0)
		return;
	message.device = id.device;
	message.inode = id.inode;
	message.bytes = id.size;
	tell_driver(backings, &message);
}

/* The parts of the range that are shared memory, by /proc/thread-self/maps. */
__attribute__((noinline)) static void restrict_mappings(
	struct lz_backings *backings, uintptr_t start, uintptr_t end, struct lz_shared_message *message)
{
	struct lz_line_reader lines;
	struct lz_mapping mapping;
	char *line;

	if (lz_line_reader_open(&lines, backings->os, LZ_MAPS) != 0)
		return;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		uint64_t from, to;

		if (lz_mapping_parse(line, &mapping) != 0 || !mapping.shared || mapping.inode == 0 ||
			mapping.end <= start || mapping.start >= end)
			continue;
		from = lz_max_u64(start, mapping.start);
		to = lz_min_u64(end, mapping.end);
		message->inode = mapping.inode;
		message->offset = mapping.offset + (from - mapping.start);
		message->bytes = to - from;
		lz_shared_driver_send(backings->os, backings->options->shared.driver, message, -1, true);
	}
	lz_line_reader_close(&lines);
}

void lz_shared_restrict(struct lz_backings *backings, uintptr_t start, uintptr_t end, bool permanent)
{
	struct lz_shared_message message = {.kind = permanent ? LZ_MESSAGE_LEAVE : LZ_MESSAGE_PUNCHED};

	if (atomic_load_explicit(&driver_knows_memory, memory_order_relaxed) && has_driver(backings))
		restrict_mappings(backings, start, end, &message);
}

/* --- huge from the start --- */

static bool kernel_makes_huge_on_advice(struct lz_backings *backings)
{
	struct lz_line_reader lines;
	const char *line;
	bool advised;

	if (lz_line_reader_open(&lines, backings->os, "/sys/kernel/mm/transparent_hugepage/shmem_enabled") !=
		0)
		return false;
	line = lz_line_reader_next(&lines);
	advised = line != NULL && strstr(line, "[advise]") != NULL;
	lz_line_reader_close(&lines);
	return advised;
}

static void say_why_not_huge(struct lz_backings *backings, size_t length, const char *reason, int error)
{
	char buffer[200];
	struct lz_text text = lz_text_init(buffer, sizeof buffer);

	lz_text_string(&text, "LAZYZERO_SHARED=huge: ");
	lz_text_size(&text, length);
	lz_text_string(&text, " of shared memory get small pages: ");
	lz_text_string(&text, reason);
	if (error != 0) {
		lz_text_string(&text, ": ");
		lz_text_string(&text, lz_error_text(error));
	}
	lz_log_note(backings->log, buffer);
}

/*
 * Allocates the memory block by block. The kernel collapses a block only if one of its pages exists, and
 * fills it up; that takes less time than allocating its pages first.
 */
__attribute__((noinline)) static bool make_huge(
	struct lz_backings *backings, const struct lz_program_mapping *mapping, uintptr_t at)
{
	size_t block = block_of(backings), whole = lz_round_down(mapping->length, block);
	uint64_t reserve = lz_room_reserve(backings->books->budget.memory);
	int error = 0;

	if (lz_room(backings->os, -1, reserve) < whole) {
		say_why_not_huge(backings, mapping->length,
			"they do not fit into the memory that is free, of "
			"which 64 MiB or 5% are kept",
			0);
		return false;
	}
	if (kernel_makes_huge_on_advice(backings))
		backings->os->madvise((void *)at, whole, MADV_HUGEPAGE);
	for (uintptr_t start = at; start < at + whole && error == 0; start += block) {
		error = backings->os->madvise((void *)start, backings->books->page, MADV_POPULATE_WRITE);
		/* EAGAIN: a page was not yet on its LRU list. */
		for (int attempt = 0; attempt < 3 && (error == 0 || error == -EAGAIN); attempt++)
			if (lz_collapse_block(backings->os, start, block, &error) == LZ_COLLAPSED)
				break;
	}
	if (error)
		say_why_not_huge(
			backings, mapping->length, "no huge page was available (MADV_COLLAPSE)", error);
	return error == 0;
}

/* --- the table --- */

static enum lz_adopted adopt(
	struct lz_backings *backings, const struct lz_program_mapping *mapping, uintptr_t at)
{
	bool anonymous = (mapping->flags & MAP_ANONYMOUS) != 0;

	if (mode_of(backings) == LZ_SHARED_HUGE && anonymous && (mapping->protection & PROT_WRITE) &&
		(mapping->flags & MAP_NORESERVE) == 0)
		return make_huge(backings, mapping, at) ? LZ_ADOPTED_HUGE : LZ_ADOPTED_PLAIN;
	if (!is_driven(backings, mapping->length))
		return LZ_ADOPTED_PLAIN;
	if (anonymous)
		return hand_over(backings, mapping, at) ? LZ_ADOPTED_PLAIN : LZ_ADOPTED_LOST;
	note_file(backings, mapping);
	return LZ_ADOPTED_PLAIN;
}

const struct lz_backing lz_shared_backing = {
	.name = "shared",
	.place = place,
	.adopt = adopt,
};
