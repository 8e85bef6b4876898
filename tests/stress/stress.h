/*
 * What the parts of the stress program share. Each part runs in a process of its own under a watchdog: a
 * part that makes no progress for a while has deadlocked.
 *
 * All that a part does is what a program may do bare: a signal handler allocates only where it cannot have
 * interrupted the allocator of its own thread, the child of a raw clone uses the mmap family alone.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)

/* A part: does `rounds` of them, calls progress() for each. */
struct part {
	const char *name;
	void (*run)(uint64_t rounds);
};

/* One round is over. */
void progress(void);
uint64_t rounds_done(void);

/* A failed check is described on stderr and makes the program fail. */
bool check(bool ok, const char *file, int line, const char *what);
#define CHECK(condition) check(condition, __FILE__, __LINE__, #condition)
bool failed(void);

/* Whether the library is there, and, if so, whether it still serves: a lock that nobody gives back would
 * show. */
bool preloaded(void);
bool still_serves(void);

/* lz_alloc and lz_free, which may be called in any handler; NULL bare, and where the library cannot now. */
void *own_alloc(size_t size);
void own_free(void *p);

uint32_t next_random(uint64_t *state);
double seconds(void);

/* One step of an allocating thread: makes, passes on, resizes, checks and frees regions. And of a mapping
 * one. */
void allocate_once(uint64_t *state);
void map_once(uint64_t *state);

/* Regions that allocate_once passes on: takes one out, or NULL; frees all. */
char *take_region(uint64_t *state);
void free_regions(void);

/* Threads that allocate until they are stopped. */
void start_allocating(unsigned threads);
void stop_allocating(void);

/*
 * A timer for the calling thread alone; it is set anew before each thing that is to be interrupted, since a
 * handler that takes longer than a period would leave no time for anything else.
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

/* What `stress exit HOW` does: never returns from some. */
int exit_somehow(const char *how);

extern const char *stress_program;

#endif
