/*
 * Measures how much of the caller's stack the library uses. Each operation runs on a stack filled with a
 * pattern; the lowest changed byte, minus the depth of a plain system call on the same stack, is the depth of
 * the operation, including libc's part. The stack is shared memory, so that children, exit and signal
 * handlers can be measured as well.
 *
 *      stack            prints bytes and name of each operation; status 1 if one needs more than 1,536
 *
 * To be run with LD_BIND_NOW=1: the dynamic linker would use about a kilobyte of the stack itself.
 */
#include <errno.h>
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define STACK_BYTES (256u << 10)
#define MOST 1536u
#define PAINT 0xa5
#define MADV_GUARD_INSTALL_ 102 /* Linux 6.13 */

static unsigned char *stack;
static ucontext_t back, there;
static size_t baseline;
static int failed;
static uintptr_t *exit_frame; /* shared: the stack pointer in the program's own destructor */

/* volatile, so that the compiler keeps the calls */
static void *volatile block, *volatile other;

/* --- measuring --- */

static size_t depth_below(uintptr_t top)
{
	const unsigned char *at = stack;

	while (*at == PAINT)
		at++;
	return top - (uintptr_t)at;
}

static void repaint(void)
{
	memset(stack, PAINT, STACK_BYTES);
}

static size_t depth_of(void (*operation)(void))
{
	repaint();
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = STACK_BYTES;
	there.uc_link = &back;
	makecontext(&there, operation, 0);
	swapcontext(&back, &there);
	return depth_below((uintptr_t)stack + STACK_BYTES);
}

static void print_depth(const char *name, size_t bytes)
{
	printf("%6zu %s%s\n", bytes, name, bytes > MOST ? "   TOO MUCH" : "");
	failed |= bytes > MOST;
}

static void measure(const char *name, void (*operation)(void))
{
	size_t depth = depth_of(operation);

	print_depth(name, depth > baseline ? depth - baseline : 0);
}

static void nothing(void)
{
	syscall(SYS_getppid);
}

/* Runs in a child that ends without exit. */
static void (*in_child)(void);

static void measure_first_in_child(const char *name, void (*operation)(void))
{
	size_t depth;
	pid_t pid;

	fflush(stdout);
	repaint();
	in_child = operation;
	pid = fork();
	if (pid == 0) {
		getcontext(&there);
		there.uc_stack.ss_sp = stack;
		there.uc_stack.ss_size = STACK_BYTES;
		there.uc_link = &back;
		makecontext(&there, operation, 0);
		swapcontext(&back, &there);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	depth = depth_below((uintptr_t)stack + STACK_BYTES);
	print_depth(name, depth - baseline);
}

/* --- the malloc family --- */

static void touch(char *p, size_t bytes, size_t step)
{
	for (size_t i = 0; p != NULL && i < bytes; i += step)
		p[i] = 1;
}

static void do_calloc(void)
{
	block = calloc(1, 24 * MIB);
}

static void do_calloc_other(void)
{
	other = calloc(1, 6 * MIB);
}

static void do_calloc_huge(void)
{
	other = calloc(1, (size_t)64 << 30);
}

static void do_malloc(void)
{
	block = malloc(40 * MIB);
}

static void do_memalign(void)
{
	block = memalign(4 * MIB, 40 * MIB);
}

static void do_grow(void)
{
	void *grown = realloc(block, 50 * MIB);

	if (grown != NULL)
		block = grown;
}

static void do_shrink(void)
{
	void *shrunk = realloc(block, 33 * MIB);

	if (shrunk != NULL)
		block = shrunk;
}

static void do_usable_size(void)
{
	malloc_usable_size(block);
}

static void do_free(void)
{
	free(block);
	block = NULL;
}

static void do_free_other(void)
{
	free(other);
	other = NULL;
}

static void malloc_family(void)
{
	measure("calloc, the first", do_calloc);
	measure("malloc_usable_size", do_usable_size);
	touch(block, 24 * MIB, 4096);
	measure("free, full", do_free);
	measure("calloc, from what was full", do_calloc);
	touch(block, 24 * MIB, 100000);
	measure("calloc of another size", do_calloc_other);
	touch(other, 6 * MIB, 300000);
	measure("free, sparse", do_free);
	measure("free, another", do_free_other);
	measure("calloc, from what was sparse", do_calloc);
	measure("free, untouched", do_free);
	measure("calloc of 64 GiB", do_calloc_huge);
	measure("free of 64 GiB", do_free_other);
	measure("malloc", do_malloc);
	touch(block, 40 * MIB, 100000);
	measure("realloc, growing", do_grow);
	touch(block, 40 * MIB, 100000);
	measure("realloc, shrinking", do_shrink);
	measure("free after realloc", do_free);
	measure("memalign", do_memalign);
	mprotect((char *)block + 8 * MIB, MIB, PROT_READ);
	measure("realloc of what is several mappings", do_grow);
	measure("free of what is several mappings", do_free);
}

/* --- the mmap family --- */

static void *area;
static size_t length, want;
static int number, result;

static void do_mmap(void)
{
	area = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void do_mmap_over(void)
{
	mmap((char *)area + 4 * MIB, 2 * MIB, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void do_mprotect(void)
{
	mprotect((char *)area + 8 * MIB, MIB, number);
}

static void do_madvise(void)
{
	result = madvise((char *)area + 16 * MIB, 8 * MIB, number);
}

static void do_mincore(void)
{
	static unsigned char pages[16384];

	mincore(area, 32 * MIB, pages);
}

static void do_mlock(void)
{
	mlock((char *)area + 32 * MIB, 64 << 10);
}

static void do_mremap(void)
{
	void *moved = mremap(area, length, want, MREMAP_MAYMOVE);

	if (moved != MAP_FAILED) {
		area = moved;
		length = want;
	}
}

static void do_mremap_over(void)
{
	mremap((char *)area + 40 * MIB, 2 * MIB, 2 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED,
		(char *)area + 50 * MIB);
}

static void do_munmap_part(void)
{
	munmap((char *)area + 20 * MIB, MIB);
}

static void do_munmap(void)
{
	munmap(area, length);
}

static int segment;

static void do_shmat(void)
{
	other = shmat(segment, NULL, 0);
}

static void do_shmdt(void)
{
	shmdt(other);
}

static void mmap_family(void)
{
	static const struct {
		int advice;
		const char *name;
	} advices[] = {{MADV_DONTNEED, "madvise DONTNEED"}, {8, "madvise FREE"}, {18, "madvise WIPEONFORK"},
		{19, "madvise KEEPONFORK"}, {14, "madvise HUGEPAGE"}, {10, "madvise DONTFORK"},
		{25, "madvise COLLAPSE"}, {20, "madvise COLD"},
		{MADV_GUARD_INSTALL_, "madvise GUARD_INSTALL"}, {103, "madvise GUARD_REMOVE"},
		{9, "madvise REMOVE"}};

	length = 64 * MIB;
	want = 96 * MIB;
	measure("mmap", do_mmap);
	if (area == MAP_FAILED) {
		puts("       mmap was refused");
		return;
	}
	touch(area, length, 50000);
	number = PROT_READ;
	measure("mprotect", do_mprotect);
	measure("mmap over", do_mmap_over);
	for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
		/* A guard page must not be touched. */
		if (number != MADV_GUARD_INSTALL_)
			touch((char *)area + 16 * MIB, MIB, 50000);
		number = advices[i].advice;
		measure(advices[i].name, do_madvise);
	}
	measure("mincore", do_mincore);
	measure("mlock", do_mlock);
	measure("mremap over", do_mremap_over);
	for (size_t i = 0; i < 8; i++)
		mprotect((char *)area + i * 3 * MIB, MIB, PROT_READ);
	/* By then the books are old enough to be reconciled, if the budget is exceeded. */
	usleep(150000);
	measure("mremap, growing", do_mremap);
	measure("munmap of a part", do_munmap_part);
	measure("munmap", do_munmap);
	segment = shmget(IPC_PRIVATE, 8 * MIB, IPC_CREAT | 0600);
	if (segment >= 0) {
		measure("shmat", do_shmat);
		shmctl(segment, IPC_RMID, NULL);
		if (other != (void *)-1)
			measure("shmdt", do_shmdt);
		other = NULL;
	}
}

/* --- the public functions --- */

static int (*region_info)(const void *, void *);
static int (*stats)(void *, size_t);

static void do_region_info(void)
{
	static uint64_t info[64];

	region_info(block, info);
}

static void do_statistics(void)
{
	static uint64_t statistics[17];

	stats(statistics, sizeof statistics);
}

static void own_functions(void)
{
	*(void **)&region_info = dlsym(RTLD_DEFAULT, "lz_region_info");
	*(void **)&stats = dlsym(RTLD_DEFAULT, "lz_stats");
	block = calloc(1, 24 * MIB);
	touch(block, 24 * MIB, 100000);
	if (region_info != NULL && block != NULL)
		measure("lz_region_info", do_region_info);
	if (stats != NULL)
		measure("lz_stats", do_statistics);
	do_free();
}

/* --- signals and exit --- */

static void ignore(int number_of_signal)
{
	(void)number_of_signal;
	syscall(SYS_getppid);
}

/*
 * Depth of the handler of `number_of_signal` on the filled stack; the kernel's signal frame is in the
 * baseline.
 */
static size_t handler_depth(int number_of_signal)
{
	stack_t alternate = {.ss_sp = stack, .ss_size = STACK_BYTES}, before;

	repaint();
	sigaltstack(&alternate, &before);
	kill(getpid(), number_of_signal);
	sigaltstack(&before, NULL);
	return depth_below((uintptr_t)stack + STACK_BYTES);
}

static void report_at_a_signal(void)
{
	struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_ONSTACK};
	size_t bare;

	if (getenv("LAZYZERO_REPORT_SIGNAL") == NULL)
		return;
	sigaction(SIGUSR2, &action, NULL);
	bare = handler_depth(SIGUSR2);
	do_calloc();
	touch(block, 24 * MIB, 100000);
	do_calloc_other();
	print_depth("report at a signal", handler_depth(SIGUSR1) - bare);
	do_free();
	do_free_other();
}

__attribute__((destructor)) static void note_exit(void)
{
	if (exit_frame != NULL)
		*exit_frame = (uintptr_t)__builtin_frame_address(0);
}

static void do_exit(void)
{
	exit(0);
}

/* The library's destructor is called at the same depth in libc as the program's. */
static void at_exit(void)
{
	pid_t pid;

	do_calloc();
	touch(block, 24 * MIB, 100000);
	fflush(stdout);
	exit_frame = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	repaint();
	pid = fork();
	if (pid == 0)
		depth_of(do_exit);
	waitpid(pid, NULL, 0);
	print_depth("exit", *exit_frame == 0 ? 0 : depth_below(*exit_frame));
	exit_frame = NULL;
	do_free();
}

int main(void)
{
	/* By a raw system call: with a budget that refuses everything, the library would refuse mmap. */
	stack = (unsigned char *)syscall(
		SYS_mmap, NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 4096);
	depth_of(nothing);
	baseline = depth_of(nothing);
	malloc_family();
	mmap_family();
	own_functions();
	measure_first_in_child("calloc, the first in a forked child", do_calloc);
	length = 64 * MIB;
	measure_first_in_child("mmap, the first in a forked child", do_mmap);
	report_at_a_signal();
	at_exit();
	return failed;
}
