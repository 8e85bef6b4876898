/*
 * Mappings that the program makes over the addresses of blocks it has just freed, by the C library's names
 * and by raw system calls, while other threads allocate: no allocated block overlaps them, all contents stay,
 * and files mapped there do not change.
 */
#include "marks.h"
#include "stress.h"
#include "os/raw_syscall.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* System calls by an instruction of our own, which no library sees. */
#ifdef LZ_HAVE_RAW_SYSCALL
#define HAS_UNSEEN_CALLS true
#else
#define HAS_UNSEEN_CALLS false
#define lz_raw_syscall syscall /* never called */
#endif

#define PAGE ((size_t)4096)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define OVERLAYS 6u
#define THREADS 3u

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/*
 * Without lazyzero, another thread may get a freed address a moment later, so nothing is acquired meanwhile.
 * A raw call must not coincide with a call that unmaps cached memory: the kernel offers no way to check and
 * unmap in one step.
 */
static pthread_rwlock_t acquiring, calling;
static uint64_t wanted;
static bool unheard_is_noticed;

/* Since Linux 6.11 the kernel reports the bounds of a single mapping. */
static bool is_noticed(void)
{
	struct utsname system;
	int major = 0, minor = 0;

	return HAS_UNSEEN_CALLS && uname(&system) == 0 &&
	       sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 11));
}

static size_t some_size(uint64_t *state)
{
	return MB + next_random(state) % 4 * MB / 2 + (next_random(state) % 2 ? 0 : 5 * PAGE + 100);
}

/* --- overlays --- */

enum kind { PRIVATE, SHARED_FILE, PRIVATE_FILE, SEGMENT, MOVED, KINDS };

struct overlay {
	char *at; /* NULL: none */
	size_t length;
	uint64_t number;
	enum kind kind;
	int file;
};

/* A file of marks, so that a stray write shows. */
static int make_file(size_t length, uint64_t number)
{
	int file = memfd_create("overlay", MFD_CLOEXEC);

	CHECK(file >= 0 && ftruncate(file, (off_t)length) == 0);
	for (size_t at = 0; at + 8 <= length; at += GRAIN) {
		uint64_t mark = mark_at(number, at);

		CHECK(pwrite(file, &mark, sizeof mark, (off_t)at) == sizeof mark);
	}
	return file;
}

static bool file_has_marks(const struct overlay *overlay)
{
	for (size_t at = 0; at + 8 <= overlay->length; at += GRAIN) {
		uint64_t mark = 0;

		if (pread(overlay->file, &mark, sizeof mark, (off_t)at) != sizeof mark ||
			mark != mark_at(overlay->number, at))
			return false;
	}
	return true;
}

/*
 * The mapping that MREMAP_FIXED moves there; made in advance, so that nothing is acquired in between. A
 * mapping that is moved by a raw system call must not be on a window: the bounds of its pieces equal those of
 * a freed region.
 */
static char *elsewhere(const struct overlay *overlay, bool is_unseen)
{
	if (overlay->kind != MOVED)
		return NULL;
	return is_unseen ? (char *)lz_raw_syscall(SYS_mmap, 0, (long)overlay->length, RW, ANON, -1, 0)
			 : mmap(NULL, overlay->length, RW, ANON, -1, 0);
}

static char *map_over(struct overlay *overlay, char *at, char *from, bool is_unseen, int fixed)
{
	int flags = (overlay->kind == PRIVATE              ? ANON
			    : overlay->kind == SHARED_FILE ? MAP_SHARED
							   : MAP_PRIVATE) |
		    fixed;
	char *result;
	int id;

	if (overlay->kind == SEGMENT) {
		id = shmget(IPC_PRIVATE, overlay->length, 0600 | IPC_CREAT);
		result = is_unseen ? (char *)lz_raw_syscall(SYS_shmat, id, (long)at, SHM_REMAP, 0, 0, 0)
				   : shmat(id, at, SHM_REMAP);
		shmctl(id, IPC_RMID, NULL);
		return result;
	}
	if (overlay->kind == MOVED)
		return is_unseen ? (char *)lz_raw_syscall(SYS_mremap, (long)from, (long)overlay->length,
					   (long)overlay->length, MREMAP_MAYMOVE | MREMAP_FIXED, (long)at, 0)
				 : mremap(from, overlay->length, overlay->length,
					   MREMAP_MAYMOVE | MREMAP_FIXED, at);
	return is_unseen ? (char *)lz_raw_syscall(
				   SYS_mmap, (long)at, (long)overlay->length, RW, flags, overlay->file, 0)
			 : mmap(at, overlay->length, RW, flags, overlay->file, 0);
}

/* Chooses a part of a block in whole pages. */
static void choose_part(uint64_t *state, size_t length, size_t *from, size_t *part)
{
	size_t pages = length / PAGE;

	*from = 0;
	*part = length;
	switch (next_random(state) % 5) {
	case 0: /* all */
		break;
	case 1: /* the head */
		*part = (1 + next_random(state) % pages) * PAGE;
		break;
	case 2: /* the tail */
		*from = next_random(state) % pages * PAGE;
		*part = length - *from;
		break;
	case 3: /* a page */
		*from = next_random(state) % pages * PAGE;
		*part = PAGE;
		break;
	default: /* the middle */
		*from = pages / 4 * PAGE;
		*part = pages / 2 * PAGE;
	}
}

/*
 * Frees a block and maps over it at once; or, if another thread may take the address, only if it is still
 * free.
 */
static void make_overlay(uint64_t *state, struct overlay *overlay)
{
	size_t size = some_size(state), from, length;
	bool is_unseen = unheard_is_noticed && next_random(state) % 3 == 0;
	bool may_fail = !is_unseen && next_random(state) % 3 == 0;
	char *block, *start, *result, *moved;

	*overlay = (struct overlay){.number = new_number(),
		.kind = may_fail ? PRIVATE : (enum kind)(next_random(state) % KINDS),
		.file = -1};
	block = calloc(1, size);
	if (!CHECK(block != NULL && is_zero(block, size)))
		return;
	set_marks(block, size, overlay->number);
	start = (char *)(((uintptr_t)block + PAGE - 1) & ~(PAGE - 1));
	choose_part(state, (size - (size_t)(start - block)) & ~(PAGE - 1), &from, &length);
	overlay->length = length;
	if (overlay->kind == SHARED_FILE || overlay->kind == PRIVATE_FILE)
		overlay->file = make_file(length, overlay->number);
	moved = elsewhere(overlay, is_unseen);
	if (may_fail) {
		free(block);
		result = map_over(overlay, start + from, moved, false, MAP_FIXED_NOREPLACE);
		if (result == MAP_FAILED) {
			CHECK(errno == EEXIST);
			return;
		}
	} else {
		pthread_rwlock_wrlock(is_unseen ? &calling : &acquiring);
		free(block);
		result = map_over(overlay, start + from, moved, is_unseen, MAP_FIXED);
		pthread_rwlock_unlock(is_unseen ? &calling : &acquiring);
	}
	if (!CHECK(result == start + from))
		return;
	overlay->at = result;
	if (overlay->file < 0)
		set_marks(result, length, overlay->number);
}

static void end_overlay(struct overlay *overlay, bool is_unseen)
{
	if (overlay->at == NULL)
		return;
	CHECK(has_marks(overlay->at, overlay->length, overlay->number));
	if (overlay->file >= 0) {
		CHECK(file_has_marks(overlay));
		close(overlay->file);
	}
	if (is_unseen)
		CHECK(lz_raw_syscall(SYS_munmap, (long)overlay->at, (long)overlay->length, 0, 0, 0, 0) == 0);
	else
		CHECK((overlay->kind == SEGMENT ? shmdt(overlay->at)
						: munmap(overlay->at, overlay->length)) == 0);
	overlay->at = NULL;
}

static void *map_over_blocks(void *seed)
{
	struct overlay overlays[OVERLAYS];
	uint64_t state = (uintptr_t)seed;

	memset(overlays, 0, sizeof overlays);
	while (rounds_done() < wanted && !failed()) {
		struct overlay *overlay = &overlays[next_random(&state) % OVERLAYS];

		end_overlay(overlay, unheard_is_noticed && next_random(&state) % 4 == 0);
		make_overlay(&state, overlay);
		progress();
	}
	for (unsigned i = 0; i < OVERLAYS; i++)
		end_overlay(&overlays[i], false);
	return NULL;
}

/* --- threads that allocate --- */

static void begin_call(bool acquires)
{
	pthread_rwlock_rdlock(&calling);
	if (acquires)
		pthread_rwlock_rdlock(&acquiring);
}

static void end_call(bool acquires)
{
	if (acquires)
		pthread_rwlock_unlock(&acquiring);
	pthread_rwlock_unlock(&calling);
}

static void *use_blocks(void *seed)
{
	struct block blocks[4] = {{NULL, 0, 0}};
	uint64_t state = (uintptr_t)seed;

	while (rounds_done() < wanted && !failed()) {
		struct block *block = &blocks[next_random(&state) % 4];

		CHECK(is_whole(block));
		begin_call(false);
		free(block->p);
		end_call(false);
		begin_call(true);
		make_block(block, some_size(&state));
		end_call(true);
	}
	for (unsigned i = 0; i < 4; i++)
		free(blocks[i].p);
	return NULL;
}

/* Writers must not wait until no other thread wants to allocate. */
static void make_locks(void)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&acquiring, &attributes);
	pthread_rwlock_init(&calling, &attributes);
}

void run_overlays(uint64_t rounds)
{
	pthread_t threads[THREADS];

	/* Each round takes some hundred microseconds. */
	wanted = rounds * 8;
	unheard_is_noticed = is_noticed();
	if (!unheard_is_noticed)
		fputs("not tested: system calls past the library, over freed blocks (before Linux 6.11)\n",
			stderr);
	/* Without lazyzero, every block must be a mapping of its own. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	make_locks();
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, i == 0 ? map_over_blocks : use_blocks,
			      (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}
