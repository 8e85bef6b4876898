/*
 * Proves that the mmap family answers as the kernel does: every case makes its calls twice in the same place,
 * through the C library's names (which lazyzero takes over) and as raw system calls, and both the results
 * with errno and the mappings they leave behind must be equal.
 */
#include "raw_comparison.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static int file; /* 4 MiB of ascending bytes */
static int shared_memory;

static void mmap_valid(const struct calls *c)
{
	char *p;

	POINTER(c->map(AT(0), 4096, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(64 * KB), 1, PROT_READ, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(2 * MB), 8 * MB, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(16 * MB), 8 * MB, PROT_NONE, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0));
	POINTER(c->map(AT(32 * MB), 8 * MB, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(48 * MB), 4 * MB, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0));
	POINTER(c->map(AT(56 * MB), 2 * MB, RW, MAP_PRIVATE | MAP_FIXED, file, MB));
	POINTER(c->map(AT(64 * MB), 4 * MB, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0));
	POINTER(c->map(AT(72 * MB), 2 * MB, RW, ANON | MAP_FIXED | MAP_POPULATE, -1, 0));
	POINTER(c->map(AT(80 * MB), 2 * MB, RW, ANON | MAP_FIXED | MAP_STACK | MAP_GROWSDOWN, -1, 0));
	POINTER(c->map(AT(1 * GB), 40 * GB, RW, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0));
	p = POINTER(c->map(AT(50 * GB), 2 * MB, RW, ANON, -1, 0)); /* a hint */
	VALUE(p[0] + p[2 * MB - 1]);
	VALUE(AT(48 * MB)[4 * MB - 1]);
	VALUE(AT(56 * MB)[1]);
	p = POINTER(c->map(NULL, 3 * MB, RW, ANON, -1, 0));
	memset(p, 1, 3 * MB);
	INT(c->unmap(p, 3 * MB));
	p = POINTER(c->map(NULL, 100, PROT_READ, MAP_PRIVATE, file, 4096));
	VALUE(p[7]);
	INT(c->unmap(p, 100));
}

static void mmap_invalid(const struct calls *c)
{
	static const int flags[] = {ANON, ANON | MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MAP_ANONYMOUS, 0,
		MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, ANON | MAP_FIXED_NOREPLACE,
		MAP_SHARED_VALIDATE | 0x40000000, ANON | MAP_HUGETLB | MAP_FIXED | (60 << 26)};
	/* From 2^56 bytes on, no machine has room: with five levels of tables, less is granted over
	 * everything. */
	const size_t lengths[] = {0, 4096, 2 * MB, (size_t)1 << 56, (size_t)1 << 57, SIZE_MAX / 2,
		SIZE_MAX / 2 + 2, SIZE_MAX - 4096, SIZE_MAX};

	for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
		for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
			bool sound = (flags[f] & MAP_ANONYMOUS) &&
				     (flags[f] & (MAP_PRIVATE | MAP_SHARED)) != 0 &&
				     (lengths[l] == 4096 || lengths[l] == 2 * MB);

			if (!sound)
				POINTER(c->map(AT(4096), lengths[l], RW, flags[f], -1, 0));
		}
	POINTER(c->map(AT(1), 2 * MB, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(1), 2 * MB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	POINTER(c->map(AT(0), 2 * MB, RW, MAP_PRIVATE, 999, 0));
	POINTER(c->map(AT(0), 2 * MB, RW, MAP_PRIVATE, file, 1));
	POINTER(c->map(AT(0), 2 * MB, RW, MAP_PRIVATE, file, -4096));
	POINTER(c->map(AT(0), 2 * MB, RW, MAP_PRIVATE, file, (off_t)1 << 62));
	POINTER(c->map((void *)0, 2 * MB, RW, ANON | MAP_FIXED, -1, 1));
	POINTER(c->map((void *)-4096, 2 * MB, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map((void *)0xffffffffff0000, 2 * MB, RW, ANON | MAP_FIXED, -1, 0));
}

static void mmap_over_live(const struct calls *c)
{
	POINTER(c->map(AT(0), 16 * MB, RW, ANON | MAP_FIXED, -1, 0));
	memset(AT(0), 5, 16 * MB);
	POINTER(c->map(AT(4 * MB), 2 * MB, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(8 * MB), 2 * MB, PROT_NONE, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(12 * MB), 2 * MB, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0));
	POINTER(c->map(AT(15 * MB), 2 * MB, RW, ANON | MAP_FIXED, -1, 0));
	VALUE(AT(4 * MB)[0]);
	VALUE(AT(4 * MB - 1)[0]);
	VALUE(AT(6 * MB)[0]);
	VALUE(AT(12 * MB)[3]);
	POINTER(c->map(AT(1 * MB), 2 * MB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	POINTER(c->map(AT(16 * MB), 2 * MB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	POINTER(c->map(AT(17 * MB), 2 * MB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	POINTER(c->map(AT(8 * MB), 2 * MB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	POINTER(c->map(AT(10 * MB - 1), 2 * MB, RW, ANON | MAP_FIXED, -1, 0));
}

static void munmap_cases(const struct calls *c)
{
	POINTER(c->map(AT(0), 16 * MB, RW, ANON | MAP_FIXED, -1, 0));
	INT(c->unmap(AT(0), 4096));
	INT(c->unmap(AT(2 * MB), 2 * MB));
	INT(c->unmap(AT(3 * MB), 2 * MB)); /* half of it is gone */
	INT(c->unmap(AT(3 * MB), MB));     /* all of it is gone */
	INT(c->unmap(AT(8 * MB), 1));
	INT(c->unmap(AT(12 * MB) + 1, MB)); /* not aligned */
	INT(c->unmap(AT(12 * MB), 0));
	INT(c->unmap(AT(12 * MB), MB + 1));
	INT(c->unmap(AT(12 * MB), SIZE_MAX));
	INT(c->unmap(AT(12 * MB), SIZE_MAX - 4095));
	INT(c->unmap((void *)-4096, 4096));
	INT(c->unmap((void *)-4096, 8192));
	INT(c->unmap(AT(0), 32 * MB));
}

static void mprotect_cases(const struct calls *c)
{
	POINTER(c->map(AT(0), 16 * MB, PROT_NONE, ANON | MAP_FIXED, -1, 0));
	INT(c->protect(AT(0), 4 * MB, RW));
	INT(c->protect(AT(2 * MB), MB, PROT_NONE));
	INT(c->protect(AT(4096), 4096, PROT_READ));
	INT(c->protect(AT(4 * MB), 0, RW));
	INT(c->protect(AT(4 * MB) + 1, MB, RW));
	INT(c->protect(AT(4 * MB), MB + 1, RW));
	INT(c->unmap(AT(8 * MB), MB));
	INT(c->protect(AT(6 * MB), 4 * MB, RW)); /* over a hole: ENOMEM, and the part before it is changed */
	INT(c->protect(AT(8 * MB), MB, RW));
	INT(c->protect(AT(15 * MB), 2 * MB, RW)); /* past the end */
	INT(c->protect(AT(0), SIZE_MAX, RW));
	INT(c->protect(AT(0), SIZE_MAX - 4095, RW));
	INT(c->protect((void *)-4096, 4096, RW));
	INT(c->protect(AT(0), MB, 0x40));
	INT(c->protect(AT(0), MB, PROT_READ | PROT_GROWSDOWN));
	INT(c->protect(AT(0), MB, PROT_GROWSDOWN | PROT_GROWSUP));
	POINTER(c->map(AT(32 * MB), 2 * MB, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0));
	INT(c->protect(AT(32 * MB), 2 * MB, RW)); /* the file is open for reading only: EACCES */
	POINTER(c->map(AT(1 * GB), 8 * GB, PROT_NONE, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0));
	INT(c->protect(AT(2 * GB), 2 * GB, RW));
	INT(c->protect(AT(1 * GB), 8 * GB, RW));
	INT(c->protect(AT(1 * GB), 8 * GB, PROT_NONE));
}

static void mremap_cases(const struct calls *c)
{
	char *p;

	POINTER(c->map(AT(0), 4 * MB, RW, ANON | MAP_FIXED, -1, 0));
	memset(AT(0), 9, 4 * MB);
	POINTER(c->remap(AT(0), 4 * MB, 2 * MB, 0, NULL));
	POINTER(c->remap(AT(0), 2 * MB, 6 * MB, 0, NULL));
	VALUE(AT(2 * MB)[0]);
	POINTER(c->map(AT(6 * MB), 4096, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->remap(AT(0), 6 * MB, 8 * MB, 0, NULL)); /* no room: ENOMEM */
	p = POINTER(c->remap(AT(0), 6 * MB, 8 * MB, MREMAP_MAYMOVE, NULL));
	VALUE(p[0]);
	VALUE(p[7 * MB]);
	POINTER(c->remap(p, 8 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(32 * MB)));
	POINTER(c->remap(
		AT(32 * MB), 8 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(36 * MB))); /* overlaps */
	POINTER(c->remap(AT(32 * MB), 8 * MB, 8 * MB, MREMAP_FIXED, AT(64 * MB)));
	POINTER(c->remap(AT(32 * MB), 8 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(64 * MB) + 1));
	POINTER(c->remap(AT(32 * MB) + 1, 8 * MB, 8 * MB, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(32 * MB), 8 * MB, 0, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(32 * MB), 8 * MB, 8 * MB, 0x80, NULL));
	POINTER(c->remap(AT(32 * MB), 8 * MB, SIZE_MAX, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(32 * MB), 8 * MB, SIZE_MAX / 2, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(32 * MB), SIZE_MAX, MB, MREMAP_MAYMOVE, NULL));
	POINTER(c->remap(AT(200 * MB), 8 * MB, 16 * MB, MREMAP_MAYMOVE, NULL)); /* nothing there: EFAULT */
	POINTER(c->remap(AT(32 * MB), 16 * MB, 32 * MB, MREMAP_MAYMOVE, NULL)); /* over the end */
	POINTER(c->remap(AT(32 * MB), 8 * MB - 1, 8 * MB - 5, MREMAP_MAYMOVE, NULL));
	/* Shrunk, then moved onto something live. */
	POINTER(c->map(AT(96 * MB), 8 * MB, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->remap(AT(32 * MB), 8 * MB, 2 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(98 * MB)));
	VALUE(AT(98 * MB)[0]);
	/* Part of a mapping. */
	POINTER(c->remap(AT(98 * MB), MB, MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(130 * MB)));
	/* Grown out of the middle: moves. */
	POINTER(c->map(AT(160 * MB), 16 * MB, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->remap(AT(164 * MB), 4 * MB, 8 * MB, 0, NULL));
	POINTER(c->remap(AT(164 * MB), 4 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(200 * MB)));
}

static void mremap_kinds(const struct calls *c)
{
	POINTER(c->map(AT(0), 4 * MB, RW, ANON | MAP_FIXED, -1, 0));
	AT(0)[0] = 3;
	POINTER(c->remap(
		AT(0), 4 * MB, 4 * MB, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, AT(16 * MB)));
	VALUE(AT(16 * MB)[0]);
	VALUE(AT(0)[0]);
	POINTER(c->remap(
		AT(0), 4 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, AT(32 * MB)));
	POINTER(c->remap(AT(0), 4 * MB, 4 * MB, MREMAP_DONTUNMAP, NULL));
	POINTER(c->remap(AT(0), 0, 4 * MB, MREMAP_MAYMOVE, NULL)); /* only shared memory is duplicated */
	POINTER(c->map(AT(64 * MB), 4 * MB, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	AT(64 * MB)[5] = 6;
	POINTER(c->remap(AT(64 * MB), 0, 4 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(80 * MB)));
	VALUE(AT(80 * MB)[5]);
	POINTER(c->remap(AT(64 * MB), 0, 4 * MB, 0, NULL));
	POINTER(c->map(AT(128 * MB), 2 * MB, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0));
	POINTER(c->remap(AT(128 * MB), 2 * MB, 4 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(160 * MB)));
	VALUE(AT(160 * MB)[3 * MB + 2]);
	POINTER(c->map(AT(256 * MB), 8 * MB, PROT_NONE, ANON | MAP_FIXED, -1, 0));
	POINTER(c->remap(AT(256 * MB), 8 * MB, 16 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(300 * MB)));
	INT(c->protect(AT(300 * MB), 16 * MB, RW));
	AT(300 * MB)[16 * MB - 1] = 1;
	/* Several mappings at once: newer kernels move them, older ones say EFAULT. */
	INT(c->protect(AT(302 * MB), MB, PROT_READ));
	POINTER(c->remap(AT(300 * MB), 16 * MB, 16 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, AT(400 * MB)));
	POINTER(c->remap(AT(300 * MB), 16 * MB, 32 * MB, MREMAP_MAYMOVE, NULL));
}

static void madvise_cases(const struct calls *c)
{
	POINTER(c->map(AT(0), 8 * MB, RW, ANON | MAP_FIXED, -1, 0));
	POINTER(c->map(AT(16 * MB), 4 * MB, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0));
	for (int advice = 0; advice < 28; advice++) {
		/* Waits for memory to be made good or poisoned; nothing to do with what is tested. */
		if (advice == 9 || advice == MADV_COLD || advice == MADV_PAGEOUT || advice == 25)
			continue;
		INT(c->advise(AT(0), 2 * MB, advice));
		INT(c->advise(AT(16 * MB), 2 * MB, advice));
	}
	INT(c->advise(AT(0), 2 * MB, 100));
	INT(c->advise(AT(0), 2 * MB, 101));
	INT(c->advise(AT(0), 2 * MB, -1));
	INT(c->advise(AT(0), 2 * MB, 12345));
	memset(AT(4 * MB), 1, 2 * MB);
	INT(c->advise(AT(4 * MB), MB, MADV_DONTNEED));
	VALUE(AT(4 * MB)[0]);
	VALUE(AT(5 * MB)[0]);
	INT(c->advise(AT(0) + 1, MB, MADV_DONTNEED));
	INT(c->advise(AT(0), 0, MADV_DONTNEED));
	INT(c->advise(AT(0), SIZE_MAX, MADV_DONTNEED));
	INT(c->advise(AT(7 * MB), 4 * MB, MADV_DONTNEED)); /* over a hole */
	INT(c->advise(AT(10 * MB), MB, MADV_DONTNEED));
	INT(c->advise(AT(0), 2 * MB, MADV_HUGEPAGE));
	INT(c->advise(AT(10 * MB), 2 * MB, MADV_HUGEPAGE));
	INT(c->advise(AT(0) + 1, 2 * MB, MADV_HUGEPAGE));
}

static void shared_memory_cases(const struct calls *c)
{
	POINTER(c->attach(shared_memory, AT(0), 0));
	AT(0)[3] = 4;
	POINTER(c->attach(shared_memory, AT(16 * MB), SHM_RDONLY));
	VALUE(AT(16 * MB)[3]);
	POINTER(c->attach(shared_memory, AT(MB), 0)); /* taken */
	POINTER(c->attach(shared_memory, AT(32 * MB) + 1, 0));
	POINTER(c->attach(shared_memory, AT(32 * MB) + 1, SHM_RND));
	POINTER(c->attach(shared_memory, AT(2 * MB), SHM_REMAP));
	POINTER(c->attach(shared_memory, NULL, SHM_REMAP));
	POINTER(c->attach(-1, NULL, 0));
	POINTER(c->attach(0x7ffffff0, AT(64 * MB), 0));
	INT(c->detach(AT(1 * MB)));
	INT(c->detach(AT(16 * MB)));
	INT(c->detach(AT(16 * MB)));
	INT(c->detach(NULL));
	INT(c->detach(AT(2 * MB)));
	INT(c->detach(AT(0)));
	INT(c->detach(AT(32 * MB)));
}

/* A long series of random calls in 256 pages of 64 KiB; half of them fail for one reason or another. */
static uint64_t series;

static void random_cases(const struct calls *c)
{
	uint64_t state = series * 2654435761u + 88172645463325252u;

	for (int i = 0; i < 200; i++) {
		uint64_t r;
		char *at;
		size_t length;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		r = state;
		at = AT((r >> 8 & 255) * 64 * KB + ((r >> 16 & 31) == 0));
		length = (r >> 24 & 63) * 64 * KB + (r >> 32 & 1);
		switch (r & 7) {
		case 0:
		case 1:
			POINTER(c->map(at, length, r >> 40 & 1 ? RW : PROT_NONE, ANON | MAP_FIXED, -1, 0));
			break;
		case 2:
			INT(c->unmap(at, length));
			break;
		case 3:
			INT(c->protect(at, length, (int)(r >> 40 & 3)));
			break;
		case 4:
			POINTER(c->remap(at, length, (r >> 40 & 63) * 64 * KB, MREMAP_MAYMOVE | MREMAP_FIXED,
				AT((r >> 48 & 255) * 64 * KB)));
			break;
		case 5:
			POINTER(c->remap(at, length, (r >> 40 & 63) * 64 * KB, 0, NULL));
			break;
		case 6:
			POINTER(c->map(at, length, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
			break;
		case 7:
			INT(c->advise(at, length, r >> 40 & 1 ? MADV_DONTNEED : MADV_HUGEPAGE));
			break;
		}
	}
}

static int make_file(void)
{
	char name[] = "/tmp/lazyzero-probe-XXXXXX";
	static char content[4 * MB];
	int writable = mkstemp(name);
	int readable = open(name, O_RDONLY | O_CLOEXEC);

	unlink(name);
	for (size_t i = 0; i < sizeof content; i++)
		content[i] = (char)(i * 7 + (i >> 12));
	if (writable < 0 || write(writable, content, sizeof content) != (ssize_t)sizeof content)
		CHECK(false, "cannot write a temporary file");
	close(writable);
	return readable;
}

int probe_main(void)
{
	file = make_file();
	shared_memory = shmget(IPC_PRIVATE, 4 * MB, IPC_CREAT | 0600);
	run_case("mmap, valid", mmap_valid);
	run_case("mmap, invalid", mmap_invalid);
	run_case("mmap over live ranges", mmap_over_live);
	run_case("munmap", munmap_cases);
	run_case("mprotect", mprotect_cases);
	run_case("mremap", mremap_cases);
	run_case("mremap of other kinds", mremap_kinds);
	run_case("madvise", madvise_cases);
	if (shared_memory >= 0)
		run_case("shmat", shared_memory_cases);
	for (series = 0; series < 20; series++)
		run_case("random", random_cases);
	if (shared_memory >= 0)
		shmctl(shared_memory, IPC_RMID, NULL);
	close(file);
	return probe_status_of_checks();
}
