/*
 * Shared by the parts of the stress program. Each part runs in a process of its own under a watchdog: a part
 * that makes no progress for a while is deadlocked.
 *
 * A part does only what a program may do without lazyzero: a signal handler allocates only if it cannot have
 * interrupted its own thread's allocator, and the child of a raw clone uses only the mmap family.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)

/* A part: runs `rounds` rounds and calls progress() for each. */
struct part {
	const char *name;
	void (*run)(uint64_t rounds);
};

/* Counts a finished round. */
void progress(void);
uint64_t rounds_done(void);

/* Describes a failed check on stderr; the program then fails. */
bool check(bool ok, const char *file, int line, const char *what);
#define CHECK(condition) check(condition, __FILE__, __LINE__, #condition)
bool failed(void);

/*
 * Whether the library is preloaded; and whether it still serves requests: a lock that was never released
 * would show.
 */
bool preloaded(void);
bool still_serves(void);

/* lz_alloc and lz_free, which any handler may call; NULL without the library, or if it cannot serve now. */
void *own_alloc(size_t size);
void own_free(void *p);

uint32_t next_random(uint64_t *state);
double seconds(void);

/*
 * One step of an allocating thread: allocates, exchanges, resizes, checks and frees regions. And one of a
 * mapping thread.
 */
void allocate_once(uint64_t *state);
void map_once(uint64_t *state);

/* The regions that allocate_once exchanges: takes one out, or NULL; frees all. */
char *take_region(uint64_t *state);
void free_regions(void);

/* Threads that allocate until they are stopped. */
void start_allocating(unsigned threads);
void stop_allocating(void);

/*
 * A timer for the calling thread. It is set again before each interruption, because a handler that takes
 * longer than a period would leave no time for anything else.
 */
void *make_timer(int signal);
void interrupt_me(void *timer, uint64_t *state);
void stop_interrupting(void *timer);

void run_signals(uint64_t rounds);
void run_jumps(uint64_t rounds);
void run_cancels(uint64_t rounds);
void run_forks(uint64_t rounds);
void run_clones(uint64_t rounds);
void run_spawns(uint64_t rounds);
void run_libraries(uint64_t rounds);
void run_exits(uint64_t rounds);
void run_windows(uint64_t rounds);
void run_overlays(uint64_t rounds);
void run_children(uint64_t rounds);
void run_plugins(uint64_t rounds);
void run_switches(uint64_t rounds);

/* Implements `stress exit HOW`; some ways never return. */
int exit_somehow(const char *how);

extern const char *stress_program;

#endif
