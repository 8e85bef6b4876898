/*
 * Preemptive user-level threads in one thread: a timer's handler suspends one wherever it is, also within the
 * library, and goes on with another, whose stack of 16 KiB lies beside, by swapcontext or by a jump. And
 * handlers on a signal stack of 8 KiB that make the same calls. As bare, the malloc family itself is not
 * suspended.
 */
#include "stress.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define COROUTINES 4
#define STACK (16 * KB)
#define SIGNAL_STACK (8 * KB)
#define THINGS 4u
#define STEPS_PER_ROUND 64u
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum mode { BY_CONTEXT, BY_JUMP, ON_SIGNAL_STACK };
enum family { MAPPED, ALLOCATED, OWN };

/* What a coroutine has. */
struct thing {
	char *at;
	size_t size;
	enum family family;
};

static struct coroutine {
	ucontext_t context;
	sigjmp_buf jump;
	bool started, ended;
	struct thing things[THINGS];
	uint64_t state;
} coroutines[COROUTINES + 1]; /* the last is the handler's own, where nothing is switched */

static ucontext_t outside;
static enum mode mode;
static volatile sig_atomic_t current, in_allocator;
static volatile uint64_t steps;
static uint64_t wanted;
static void *timer;

/* --- what each does --- */

static void mark(const struct thing *thing)
{
	char value = (char)((uintptr_t)thing / sizeof *thing | 1);

	thing->at[0] = thing->at[thing->size / 2] = thing->at[thing->size - 1] = value;
}

static bool is_marked(const struct thing *thing)
{
	char value = (char)((uintptr_t)thing / sizeof *thing | 1);

	return thing->at[0] == value && thing->at[thing->size / 2] == value &&
	       thing->at[thing->size - 1] == value;
}

static void make_thing(struct thing *thing, uint64_t *state, bool may_allocate)
{
	enum family family = (enum family)(next_random(state) % 3);

	thing->size = 64 * KB + next_random(state) % (2 * MB);
	if (family == ALLOCATED && !may_allocate)
		family = MAPPED;
	if (family == OWN && !preloaded())
		family = MAPPED;
	thing->family = family;
	if (family == MAPPED) {
		thing->at = mmap(NULL, thing->size, RW, ANON, -1, 0);
		if (!CHECK(thing->at != MAP_FAILED))
			thing->at = NULL;
	} else if (family == ALLOCATED) {
		in_allocator = 1;
		thing->at = calloc(1, thing->size);
		in_allocator = 0;
		CHECK(thing->at != NULL);
	} else {
		/* None where the library cannot serve it now. */
		thing->at = own_alloc(thing->size);
	}
	if (thing->at == NULL)
		return;
	CHECK(thing->at[0] == 0 && thing->at[thing->size / 2] == 0 && thing->at[thing->size - 1] == 0);
	mark(thing);
}

static void end_thing(struct thing *thing)
{
	CHECK(is_marked(thing));
	if (thing->family == MAPPED) {
		CHECK(munmap(thing->at, thing->size) == 0);
	} else if (thing->family == ALLOCATED) {
		in_allocator = 1;
		free(thing->at);
		in_allocator = 0;
	} else {
		own_free(thing->at);
	}
	thing->at = NULL;
}

static void alter_thing(struct thing *thing, uint64_t *state)
{
	char *p;

	CHECK(is_marked(thing));
	if (thing->family == MAPPED) {
		CHECK(mprotect(thing->at, 4096, PROT_READ) == 0);
		CHECK(mprotect(thing->at, 4096, RW) == 0);
		CHECK(madvise(thing->at, thing->size, MADV_WILLNEED) == 0);
	} else if (thing->family == ALLOCATED) {
		size_t size = thing->size + next_random(state) % MB;

		in_allocator = 1;
		p = realloc(thing->at, size);
		in_allocator = 0;
		if (!CHECK(p != NULL))
			return;
		thing->at = p;
		CHECK(p[thing->size - 1] == p[0]);
		thing->size = size;
		mark(thing);
	}
}

static void step(struct coroutine *coroutine, bool may_allocate)
{
	struct thing *thing = &coroutine->things[next_random(&coroutine->state) % THINGS];

	if (thing->at == NULL)
		make_thing(thing, &coroutine->state, may_allocate);
	else if (!may_allocate && thing->family == ALLOCATED)
		CHECK(is_marked(thing));
	else if (next_random(&coroutine->state) % 2)
		alter_thing(thing, &coroutine->state);
	else
		end_thing(thing);
	if (++steps % STEPS_PER_ROUND == 0)
		progress();
}

/* --- switching --- */

static void block_ticks(int how)
{
	sigset_t tick;

	sigemptyset(&tick);
	sigaddset(&tick, SIGALRM);
	pthread_sigmask(how, &tick, NULL);
}

static int next_coroutine(int from)
{
	for (int i = 1; i < COROUTINES; i++)
		if (!coroutines[(from + i) % COROUTINES].ended)
			return (from + i) % COROUTINES;
	return -1;
}

static void on_tick(int number)
{
	int from = current, saved = errno, to;

	(void)number;
	if (mode == ON_SIGNAL_STACK) {
		step(&coroutines[COROUTINES], false);
		errno = saved;
		return;
	}
	to = next_coroutine(from);
	if (in_allocator || to < 0)
		return;
	if (mode == BY_CONTEXT) {
		current = to;
		swapcontext(&coroutines[from].context, &coroutines[to].context);
	} else if (sigsetjmp(coroutines[from].jump, 1) == 0) {
		current = to;
		if (coroutines[to].started)
			siglongjmp(coroutines[to].jump, 1);
		coroutines[to].started = true;
		setcontext(&coroutines[to].context);
	}
	errno = saved;
}

/* The last one goes back to where the first was begun. */
static void end_coroutine(int id)
{
	int to;

	block_ticks(SIG_BLOCK);
	coroutines[id].ended = true;
	to = next_coroutine(id);
	if (to < 0)
		setcontext(&outside);
	current = to;
	if (mode == BY_JUMP && coroutines[to].started)
		siglongjmp(coroutines[to].jump, 1);
	coroutines[to].started = true;
	setcontext(&coroutines[to].context);
}

static void work(int id)
{
	struct coroutine *coroutine = &coroutines[id];

	block_ticks(SIG_UNBLOCK);
	while (rounds_done() < wanted && !failed()) {
		interrupt_me(timer, &coroutine->state);
		step(coroutine, true);
	}
	for (unsigned i = 0; i < THINGS; i++)
		if (coroutine->things[i].at != NULL)
			end_thing(&coroutine->things[i]);
	if (mode != ON_SIGNAL_STACK)
		end_coroutine(id);
}

/* --- one mode --- */

static void run_coroutines(void)
{
	char *stacks = mmap(NULL, COROUTINES * STACK, RW, ANON, -1, 0);
	static volatile bool begun;

	if (!CHECK(stacks != MAP_FAILED))
		return;
	/* Each begins with ticks blocked: setcontext sets the mask while it is on the other's stack. */
	block_ticks(SIG_BLOCK);
	for (int i = 0; i < COROUTINES; i++) {
		getcontext(&coroutines[i].context);
		coroutines[i].context.uc_stack.ss_sp = stacks + (size_t)i * STACK;
		coroutines[i].context.uc_stack.ss_size = STACK;
		makecontext(&coroutines[i].context, (void (*)(void))work, 1, i);
	}
	begun = false;
	getcontext(&outside);
	if (!begun) {
		begun = true;
		current = 0;
		coroutines[0].started = true;
		setcontext(&coroutines[0].context);
	}
	CHECK(munmap(stacks, COROUTINES * STACK) == 0);
}

static void run_on_signal_stack(void)
{
	unsigned long least = getauxval(AT_MINSIGSTKSZ);
	/* Where a processor's state alone takes most of that, by so much more. */
	size_t size = SIGNAL_STACK + (least > 4096 ? least - 4096 : 0);
	stack_t stack = {.ss_sp = malloc(size), .ss_size = size}, none = {.ss_flags = SS_DISABLE};

	CHECK(sigaltstack(&stack, NULL) == 0);
	work(0);
	block_ticks(SIG_BLOCK);
	sigaltstack(&none, NULL);
	free(stack.ss_sp);
	for (unsigned i = 0; i < THINGS; i++)
		if (coroutines[COROUTINES].things[i].at != NULL)
			end_thing(&coroutines[COROUTINES].things[i]);
}

static void *run_mode(void *unused)
{
	struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART | SA_ONSTACK};

	memset(coroutines, 0, sizeof coroutines);
	for (int i = 0; i <= COROUTINES; i++)
		coroutines[i].state = (uint64_t)i + 1;
	sigaction(SIGALRM, &action, NULL);
	timer = make_timer(SIGALRM);
	if (mode == ON_SIGNAL_STACK)
		run_on_signal_stack();
	else
		run_coroutines();
	stop_interrupting(timer);
	return unused;
}

/* Each mode in a thread of its own, beside one that allocates. */
void run_switches(uint64_t rounds)
{
	pthread_t thread;

	start_allocating(1);
	for (unsigned i = 0; i < 3 && !failed(); i++) {
		mode = (enum mode)i;
		wanted = rounds * (i + 1) / 3;
		CHECK(pthread_create(&thread, NULL, run_mode, NULL) == 0);
		pthread_join(thread, NULL);
	}
	stop_allocating();
}
