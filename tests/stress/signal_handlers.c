/* What interrupts a thread: handlers that map and allocate, that jump out, and cancellation. */
#include "stress.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static uint64_t wanted;

/* --- handlers that map, and that allocate where it is allowed --- */

static __thread uint64_t handler_state __attribute__((tls_model("initial-exec")));
static __thread bool may_allocate __attribute__((tls_model("initial-exec")));

static void map_in_handler(void)
{
	size_t size = 2 * MB + next_random(&handler_state) % 4 * MB;
	char *p = mmap(NULL, size, RW, ANON, -1, 0), *own;

	if (!CHECK(p != MAP_FAILED))
		return;
	CHECK(p[size / 2] == 0);
	p[0] = 1;
	CHECK(mprotect(p, MB, PROT_READ) == 0);
	p = mremap(p + MB, size - MB, size, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED && munmap(p, size) == 0);
	own = own_alloc(size);
	if (own != NULL)
		CHECK(own[size / 2] == 0);
	own_free(own);
}

static void on_tick(int number)
{
	int saved = errno;

	(void)number;
	if (may_allocate) {
		allocate_once(&handler_state);
		free(malloc(100));
	}
	map_in_handler();
	progress();
	errno = saved;
}

/* Odd ones are interrupted in the allocator, by handlers that leave it alone; even ones the other way round.
 */
static void *be_interrupted(void *number)
{
	uint64_t state = handler_state = (uintptr_t)number;
	void *timer;

	may_allocate = (uintptr_t)number % 2 == 0;
	timer = make_timer(SIGUSR1);
	while (rounds_done() < wanted && !failed()) {
		interrupt_me(timer, &state);
		errno = 77;
		if (may_allocate)
			map_once(&state);
		else
			allocate_once(&state);
		CHECK(!may_allocate || errno == 77);
	}
	stop_interrupting(timer);
	return NULL;
}

void run_signals(uint64_t rounds)
{
	struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
	pthread_t threads[4];

	wanted = rounds;
	sigaction(SIGUSR1, &action, NULL);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, be_interrupted, (void *)(i + 1));
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	free_regions();
}

/* --- handlers that jump --- */

static __thread sigjmp_buf back __attribute__((tls_model("initial-exec")));
static __thread volatile sig_atomic_t may_jump __attribute__((tls_model("initial-exec")));

static void on_jump(int number)
{
	(void)number;
	if (may_jump) {
		may_jump = 0;
		siglongjmp(back, 1);
	}
}

/* What is interrupted is bare a system call or two; the library's own allocator may be left as well. */
static void *be_jumped_out_of(void *number)
{
	static __thread uint64_t state
		__attribute__((tls_model("initial-exec"))); /* a jump leaves it whole */
	void *timer = make_timer(SIGUSR2);
	volatile uint64_t jumps = 0;

	if (sigsetjmp(back, 1) != 0) {
		jumps++;
		progress();
		if (jumps % 16 == 0)
			CHECK(still_serves());
	}
	may_jump = 1;
	while (rounds_done() < wanted && !failed()) {
		interrupt_me(timer, &state);
		if (number != NULL)
			map_once(&state);
		else
			own_free(own_alloc(2 * MB + next_random(&state) % (4 * MB)));
	}
	may_jump = 0;
	stop_interrupting(timer);
	return NULL;
}

void run_jumps(uint64_t rounds)
{
	struct sigaction action = {.sa_handler = on_jump, .sa_flags = SA_RESTART};
	pthread_t threads[3];
	unsigned first = preloaded() ? 0 : 1;

	wanted = rounds;
	sigaction(SIGUSR2, &action, NULL);
	start_allocating(1);
	for (uintptr_t i = first; i < 3; i++)
		pthread_create(&threads[i], NULL, be_jumped_out_of, (void *)i);
	for (unsigned i = first; i < 3; i++)
		pthread_join(threads[i], NULL);
	stop_allocating();
}

/* --- cancellation --- */

struct victim {
	bool asynchronous;
	atomic_bool runs;
	uint64_t state;
};

static void free_it(void *p)
{
	free(p);
}

/* Deferred: every region is freed by a cleanup handler. */
static void allocate_until_cancelled(struct victim *victim)
{
	for (;;) {
		char *p = calloc(1, 64 * KB + next_random(&victim->state) % (4 * MB));

		pthread_cleanup_push(free_it, p);
		p[0] = 1;
		allocate_once(&victim->state);
		pthread_testcancel();
		pthread_cleanup_pop(1);
	}
}

/* Asynchronous: only what bare is a system call, on address space of its own. */
static void map_until_cancelled(void)
{
	char *room = mmap(NULL, 16 * MB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;) {
		mmap(room, 8 * MB, RW, ANON | MAP_FIXED, -1, 0);
		mprotect(room, 4 * MB, PROT_READ);
		madvise(room, 8 * MB, MADV_DONTNEED);
		mmap(room, 8 * MB, PROT_NONE, ANON | MAP_NORESERVE | MAP_FIXED, -1, 0);
	}
}

static void *be_cancelled(void *argument)
{
	struct victim *victim = argument;

	atomic_store(&victim->runs, true);
	if (victim->asynchronous)
		map_until_cancelled();
	else
		allocate_until_cancelled(victim);
	return NULL;
}

void run_cancels(uint64_t rounds)
{
	uint64_t state = 1;

	start_allocating(1);
	for (uint64_t i = 0; i < rounds && !failed(); i++) {
		struct victim victim = {.asynchronous = i % 2 == 1, .state = i};
		struct timespec nap = {.tv_nsec = next_random(&state) % 500000};
		void *result = NULL;
		pthread_t thread;

		if (!CHECK(pthread_create(&thread, NULL, be_cancelled, &victim) == 0))
			break;
		while (!atomic_load(&victim.runs))
			nanosleep(&nap, NULL);
		nanosleep(&nap, NULL);
		CHECK(pthread_cancel(thread) == 0);
		CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
		if (i % 16 == 0)
			CHECK(still_serves());
		progress();
	}
	stop_allocating();
}
