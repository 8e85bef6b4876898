/*
 * Preemptive user-level threads: a timer's handler suspends whatever runs, be it in the middle of the
 * library, and goes on with another thread whose stack lies beside. Each maps, protects and unmaps memory,
 * and checks what it wrote.
 *
 *   preempt swapcontext|longjmp|signal-stack MILLISECONDS [STACK]
 *
 * swapcontext   switches by swapcontext(3)
 * longjmp       by sigsetjmp and siglongjmp
 * signal-stack  does not switch: the handler, on a signal stack of 8 KiB, makes the same calls
 */
#include "probe.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define THREADS 4
#define SLOTS 8
#define PAGE ((size_t)4096)

static ucontext_t contexts[THREADS], outside;
static sigjmp_buf jumps[THREADS];
static bool started[THREADS], by_jumps;
static volatile sig_atomic_t current, stop;
static volatile unsigned long operations, switches, wrong;

struct mapped {
	unsigned char *at;
	size_t length;
};

/* One of the calls, on one of the thread's mappings. */
static void operate(struct mapped slots[SLOTS], unsigned *seed, int id)
{
	int which = rand_r(seed) % SLOTS;
	struct mapped *slot = &slots[which];
	unsigned char mark = (unsigned char)(id * SLOTS + which + 1);

	operations++;
	if (slot->at == NULL) {
		slot->length = (size_t)(1 + rand_r(seed) % 600) * PAGE;
		slot->at =
			mmap(NULL, slot->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (slot->at == MAP_FAILED) {
			slot->at = NULL;
			wrong++;
			return;
		}
		wrong += slot->at[0] != 0;
		slot->at[0] = mark;
		return;
	}
	wrong += slot->at[0] != mark;
	if (rand_r(seed) & 1) {
		mprotect(slot->at, PAGE, rand_r(seed) & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
	} else {
		wrong += munmap(slot->at, slot->length) != 0;
		slot->at = NULL;
	}
}

/* The end is in processor time, so that slow machines do as much. */
static int milliseconds;

static void start_timers(void)
{
	struct itimerval every = {{0, 500}, {0, 500}};
	struct itimerval once = {{0, 0}, {milliseconds / 1000, milliseconds % 1000 * 1000}};

	setitimer(ITIMER_PROF, &once, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void set_blocked(int how)
{
	sigset_t tick;

	sigemptyset(&tick);
	sigaddset(&tick, SIGALRM);
	sigprocmask(how, &tick, NULL);
}

static void run_thread(int id)
{
	struct mapped slots[SLOTS] = {{NULL, 0}};
	unsigned seed = (unsigned)id + 1;

	/* Not before: what the handler suspends must be a thread. */
	if (id == 0)
		start_timers();
	set_blocked(SIG_UNBLOCK);
	while (!stop)
		operate(slots, &seed, id);
	setcontext(&outside);
}

static void on_tick(int number)
{
	static struct mapped slots[SLOTS];
	static unsigned seed = 99;
	int from = current, to = (from + 1) % THREADS, saved_errno = errno;

	(void)number;
	if (stop)
		return;
	switches++;
	if (contexts[0].uc_stack.ss_sp == NULL) {
		operate(slots, &seed, THREADS);
	} else if (!by_jumps) {
		current = to;
		swapcontext(&contexts[from], &contexts[to]);
	} else if (sigsetjmp(jumps[from], 1) == 0) {
		current = to;
		if (started[to])
			siglongjmp(jumps[to], 1);
		started[to] = true;
		setcontext(&contexts[to]);
	}
	errno = saved_errno;
}

static void on_end(int number)
{
	(void)number;
	stop = 1;
}

static void make_threads(size_t stack)
{
	char *stacks =
		mmap(NULL, THREADS * stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* A thread begins with the tick blocked: setcontext sets the mask while it is on the other's stack.
	 */
	set_blocked(SIG_BLOCK);
	for (int i = 0; i < THREADS; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stacks + (size_t)i * stack;
		contexts[i].uc_stack.ss_size = stack;
		makecontext(&contexts[i], (void (*)(void))run_thread, 1, i);
	}
}

int probe_main(void)
{
	const char *mode = probe_argc > 1 ? probe_argv[1] : "swapcontext";
	size_t stack = probe_argc > 3 ? (size_t)atol(probe_argv[3]) : 16 * KB;
	struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_RESTART | SA_ONSTACK};
	struct sigaction end = {.sa_handler = on_end};
	static char signal_stack[8 * KB];
	stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
	unsigned seed = 7;
	struct mapped slots[SLOTS] = {{NULL, 0}};

	milliseconds = probe_argc > 2 ? atoi(probe_argv[2]) : 500;
	by_jumps = strcmp(mode, "longjmp") == 0;
	if (strcmp(mode, "signal-stack") == 0)
		sigaltstack(&alternate, NULL);
	else
		make_threads(stack);
	sigaction(SIGALRM, &tick, NULL);
	sigaction(SIGPROF, &end, NULL);
	started[0] = true;
	getcontext(&outside);
	if (!stop && contexts[0].uc_stack.ss_sp != NULL)
		setcontext(&contexts[0]);
	if (contexts[0].uc_stack.ss_sp == NULL)
		start_timers();
	while (!stop)
		operate(slots, &seed, THREADS + 1);
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
	CHECK_EQUAL(wrong, 0);
	CHECK(operations > 100 && switches > 10, "%lu operations and %lu switches prove nothing", operations,
		switches);
	return probe_status_of_checks();
}
