/*
 * Everything at once: threads, signals, forks, jumps, cancellation, libraries that are loaded and unloaded,
 * exits, and what lazyzero does not see: reads and writes by the kernel, mappings over freed memory, children
 * that live on, plugins with another malloc, preemptive switching. The same program must pass without the
 * library and preloaded. Contents are checked throughout; a watchdog finds deadlocks.
 *
 *   stress ROUNDS [PART...]
 */
#include "stress.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lazyzero.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define SLOTS 64u
#define ALLOCATING 4u
#define NO_PROGRESS_SECONDS 60

const char *stress_program;

/* Shared with the watchdog and with all children. */
static struct shared {
	_Atomic uint64_t rounds;
	_Atomic uint32_t failures;
} * shared;

void progress(void)
{
	atomic_fetch_add(&shared->rounds, 1);
}

uint64_t rounds_done(void)
{
	return atomic_load(&shared->rounds);
}

bool check(bool ok, const char *file, int line, const char *what)
{
	char text[300];
	int length, saved = errno;

	if (ok || atomic_fetch_add(&shared->failures, 1) > 20)
		return ok;
	length = snprintf(text, sizeof text, "%s:%d: wrong: %s (errno %d)\n", file, line, what, saved);
	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		return ok;
	errno = saved;
	return ok;
}

bool failed(void)
{
	return atomic_load(&shared->failures) != 0;
}

/* --- the library --- */

static __typeof__(&lz_alloc) api_alloc;
static __typeof__(&lz_free) api_free;
static __typeof__(&lz_region_info) api_region_info;

__attribute__((constructor)) static void find_library(void)
{
	*(void **)&api_alloc = dlsym(RTLD_DEFAULT, "lz_alloc");
	*(void **)&api_free = dlsym(RTLD_DEFAULT, "lz_free");
	*(void **)&api_region_info = dlsym(RTLD_DEFAULT, "lz_region_info");
}

bool preloaded(void)
{
	return api_alloc != NULL;
}

void *own_alloc(size_t size)
{
	return preloaded() ? api_alloc(size, LZ_AUTO) : NULL;
}

void own_free(void *p)
{
	if (p != NULL)
		api_free(p);
}

/* Another thread may hold the lock for longer than the library waits, so several attempts are made. */
bool still_serves(void)
{
	struct timespec nap = {.tv_nsec = 20000000};
	bool served = !preloaded();

	for (int attempt = 0; !served && attempt < 100; attempt++) {
		struct lz_region region;
		char *p = calloc(1, 3 * MB);

		served = p != NULL && api_region_info(p, &region) == 0 && region.size >= 3 * MB;
		free(p);
		if (!served)
			nanosleep(&nap, NULL);
	}
	return served;
}

/* --- helpers --- */

uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void *make_timer(int signal)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal};
	timer_t timer = NULL;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	return timer;
}

void interrupt_me(void *timer, uint64_t *state)
{
	struct itimerspec once = {.it_value.tv_nsec = 2000 + next_random(state) % 150000};

	CHECK(timer_settime(timer, 0, &once, NULL) == 0);
}

void stop_interrupting(void *timer)
{
	timer_delete(timer);
}

/* --- work of the threads --- */

static _Atomic(char *) slots[SLOTS];

/* A region contains its length in its first and in its last word. */
static char *make_region(size_t size, bool zeroed)
{
	char *p = zeroed ? calloc(1, size) : aligned_alloc(4096, size);

	if (!CHECK(p != NULL))
		return NULL;
	if (zeroed)
		CHECK(p[0] == 0 && p[size / 2] == 0 && p[size - 1] == 0);
	memcpy(p, &size, sizeof size);
	memcpy(p + size - sizeof size, &size, sizeof size);
	return p;
}

static size_t verify(const char *p)
{
	size_t size, last;

	memcpy(&size, p, sizeof size);
	if (!CHECK(size >= 64 * KB && size <= 64 * MB))
		return 0;
	memcpy(&last, p + size - sizeof last, sizeof last);
	CHECK(last == size);
	return size;
}

char *take_region(uint64_t *state)
{
	return atomic_exchange(&slots[next_random(state) % SLOTS], NULL);
}

static char *resized(char *p, size_t size, size_t new_size)
{
	char *q = realloc(p, new_size);
	size_t first;

	if (!CHECK(q != NULL))
		return p;
	memcpy(&first, q, sizeof first);
	CHECK(first == size);
	memcpy(q, &new_size, sizeof new_size);
	memcpy(q + new_size - sizeof new_size, &new_size, sizeof new_size);
	return q;
}

void allocate_once(uint64_t *state)
{
	size_t size = (64 * KB + next_random(state) % (5 * MB)) & ~(size_t)4095;
	char *p = make_region(size, next_random(state) % 4 != 0);

	if (p == NULL)
		return;
	p = atomic_exchange(&slots[next_random(state) % SLOTS], p);
	if (p == NULL)
		return;
	size = verify(p);
	if (size != 0 && next_random(state) % 3 == 0)
		p = resized(p, size, 64 * KB + next_random(state) % (6 * MB));
	CHECK(malloc_usable_size(p) >= 64 * KB);
	free(p);
}

void free_regions(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		char *p = atomic_exchange(&slots[i], NULL);

		if (p != NULL)
			verify(p);
		free(p);
	}
}

void map_once(uint64_t *state)
{
	size_t size = (2 * MB + next_random(state) % (3 * MB)) & ~(size_t)4095;
	char *p = mmap(NULL, size, next_random(state) % 2 ? PROT_NONE : RW, ANON, -1, 0), *q;

	if (!CHECK(p != MAP_FAILED))
		return;
	CHECK(mprotect(p, size, RW) == 0);
	CHECK(p[0] == 0 && p[size - 1] == 0);
	p[0] = p[size - 1] = 7;
	if (next_random(state) % 3 == 0) {
		q = mremap(p, size, size + MB, MREMAP_MAYMOVE);
		if (CHECK(q != MAP_FAILED)) {
			p = q;
			CHECK(p[0] == 7 && p[size - 1] == 7 && p[size] == 0);
			size += MB;
		}
	}
	if (next_random(state) % 3 == 0) {
		CHECK(madvise(p, size, MADV_DONTNEED) == 0);
		CHECK(p[0] == 0);
	}
	CHECK(munmap(p + 4096, size - 8192) == 0);
	CHECK(munmap(p, 4096) == 0 && munmap(p + size - 4096, 4096) == 0);
}

static pthread_t allocating[ALLOCATING];
static unsigned allocating_count;
static atomic_bool stop;

static void *allocate(void *seed)
{
	uint64_t state = (uintptr_t)seed;

	while (!stop) {
		allocate_once(&state);
		map_once(&state);
	}
	return NULL;
}

void start_allocating(unsigned threads)
{
	stop = false;
	for (allocating_count = 0; allocating_count < threads; allocating_count++)
		CHECK(pthread_create(&allocating[allocating_count], NULL, allocate,
			      (void *)(uintptr_t)(allocating_count + 1)) == 0);
}

void stop_allocating(void)
{
	stop = true;
	while (allocating_count > 0)
		pthread_join(allocating[--allocating_count], NULL);
	free_regions();
}

/* --- parts under a watchdog --- */

static const struct part parts[] = {{"signals", run_signals}, {"jumps", run_jumps}, {"cancels", run_cancels},
	{"forks", run_forks}, {"clones", run_clones}, {"spawns", run_spawns}, {"libraries", run_libraries},
	{"exits", run_exits}, {"windows", run_windows}, {"overlays", run_overlays},
	{"children", run_children}, {"plugins", run_plugins}, {"switches", run_switches}};

/* Ends a process group that makes no progress, with a message. */
static int watch(pid_t child)
{
	uint64_t before = 0;
	double since = seconds();
	struct timespec nap = {.tv_nsec = 50000000};
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		nanosleep(&nap, NULL);
		if (rounds_done() != before) {
			before = rounds_done();
			since = seconds();
		} else if (seconds() - since > NO_PROGRESS_SECONDS) {
			fprintf(stderr, "no progress for %d seconds after %llu rounds: deadlock\n",
				NO_PROGRESS_SECONDS, (unsigned long long)before);
			if (getenv("STRESS_KEEP") != NULL)
				pause();
			kill(-child, SIGKILL);
			waitpid(child, &status, 0);
		}
	}
	return status;
}

static bool run_part(const struct part *part, uint64_t rounds)
{
	double start = seconds();
	pid_t child;
	int status;

	shared->rounds = 0;
	child = fork();
	if (child == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		part->run(rounds);
		CHECK(still_serves());
		_exit(failed());
	}
	status = watch(child);
	if (status != 0 && !failed())
		fprintf(stderr, "%s: ended by %s %d\n", part->name, WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	printf("%-10s %7llu rounds %7.1f s\n", part->name, (unsigned long long)rounds_done(),
		seconds() - start);
	fflush(stdout);
	return status == 0 && !failed();
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc <= 2;
}

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
	bool ok = true;

	/* The dynamic linker only warns about a library that it cannot load. */
	if (!preloaded() && getenv("LZ_BARE") == NULL) {
		fputs("stress: the library is not there, and LZ_BARE is not set\n", stderr);
		return 1;
	}
	/*
	 * Without lazyzero, large blocks must be mappings of their own: on the heap, freed memory stays with
	 * the children (run_children). Set before anything is freed, because glibc raises the threshold at
	 * each free.
	 */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	stress_program = "/proc/self/exe";
	shared = mmap(NULL, 4096, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc > 2 && strcmp(argv[1], "exit") == 0)
		return exit_somehow(argv[2]);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (is_wanted(parts[i].name, argc, argv))
			ok = run_part(&parts[i], rounds) && ok;
	return ok ? 0 : 1;
}
