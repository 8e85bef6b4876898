/*
 * The fuzzer: random sequences of the malloc and mmap families, preloaded. The expected contents of malloc's
 * blocks come from a shadow model (blocks.c). Each mapping exists twice, made through the C library's names
 * and by raw system calls, and both must behave the same (mapping_pairs.c).
 *
 * A sequence is an array of records of 16 bytes. Every value is valid, so random numbers, a file, libFuzzer's
 * inputs and the remains of a sequence that is being shrunk are all read in the same way.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)
#define GB ((size_t)1 << 30)
#define PAGE ((size_t)4096)

#define THREADS_MAX 8
#define UNTOUCHED 77 /* errno before every call */
#define FAILED 1     /* exit status: a check failed */
#define UNUSABLE 2   /* exit status: wrong usage, or something is missing */
#define UNFOLLOWED                                                                                           \
	3 /* exit status: a check failed after the library logged that it could not follow a call */

/* One operation, which interprets the fields. */
struct record {
	uint8_t op, thread;
	uint8_t a, b;  /* which block or area, and which kind */
	uint16_t s, t; /* sizes (size_of) */
	uint32_t x, y; /* places, patterns, details */
};

_Static_assert(sizeof(struct record) == 16, "a sequence is read from files");

/* The state of a thread. */
struct worker;

struct operation {
	const char *name;
	void (*make)(struct worker *, const struct record *);
	unsigned weight; /* relative frequency */
	bool maps;       /* belongs to the mmap family */
};

extern const struct operation operations[];
extern const size_t operation_count;

const struct operation *operation_of(const struct record *record);

/* What the process that makes the calls reports to the one that watches it, in shared memory. */
struct progress {
	_Atomic uint64_t operations;
	_Atomic uint64_t incomparable; /* how often plain memory itself had no definite result */
	_Atomic uint64_t at[THREADS_MAX];
};

/* --- run.c: making the calls --- */

/* Whether requests of that size may be refused under the settings in the environment. */
bool may_be_refused(size_t size);
/* Whether a call was refused because of the settings and not by the kernel. */
bool was_refused(size_t bytes, long result, int error);
/* Whether lazyzero serves the request, not the C library. */
bool is_served(size_t size, bool zeroed);

/* Ends the process with a message about the current call; format as for printf. */
void fail(const struct worker *worker, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* Prints the current call, if tracing is on. */
void trace(const struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));

void run_records(
	const struct record *records, size_t count, unsigned threads, struct progress *progress, bool traced);

/* --- blocks.c, mapping_pairs.c: each thread's blocks and areas --- */

struct blocks *blocks_of(struct worker *worker);
struct pairs *pairs_of(struct worker *worker);
struct blocks *blocks_new(unsigned thread);
struct pairs *pairs_new(unsigned thread);

/* Check everything; release everything. */
void blocks_check(struct worker *worker);
void blocks_end(struct worker *worker);
void pairs_check(struct worker *worker);
void pairs_end(struct worker *worker);
void pairs_count_incomparable(struct worker *worker);

/* In a forked child: both processes write, and must not see each other's writes. */
void blocks_write_all(struct worker *worker, uint64_t stamp);
void pairs_store_all(struct worker *worker, uint64_t value);

/* A size: small ones, some of pages, of megabytes, sparse ones of up to 4 GiB, and limits. */
size_t size_of(uint16_t code, uint32_t fine);

/* --- access.c: memory that may not be mapped --- */

void catch_faults(void);

/* Return 0, or the signal that was raised. */
int load(const void *at, uint64_t *value);
int store(void *at, uint64_t value);

/* Clears a range by one of the names, or by stores in ascending order. After a signal, *page is the number of
 * the page that faulted, counted from the first one. */
enum clear_name { CLEAR_MEMSET, CLEAR_BZERO, CLEAR_EXPLICIT_BZERO, CLEAR_NAMES, CLEAR_BY_STORES };
int clear(enum clear_name name, void *at, size_t length, size_t *page);

/* mmap(2) as a raw system call. */
long raw_map(void *address, size_t length, int protection, int flags, int fd, off_t offset);

/* --- script.c: a sequence as text --- */

struct sequence {
	struct record *records;
	size_t count;
	unsigned threads;
	char settings[16][96]; /* NAME=VALUE */
	unsigned setting_count;
	bool is_text;
};

void script_print(FILE *to, const struct sequence *sequence);
/* Reads a script, or raw records; false and a message on stderr on failure. */
bool script_read(const char *path, struct sequence *sequence);

/* --- generate.c --- */

uint64_t draw(uint64_t *state, uint64_t below);
void generate(struct sequence *sequence, uint64_t seed, size_t count, unsigned threads);

/* --- child_process.c: a sequence in a process of its own, preloaded --- */

struct outcome {
	bool failed;
	int status;
	uint64_t operations, incomparable;
	uint64_t at[THREADS_MAX];
	char text[4096]; /* the beginning of its stderr */
};

void run_child(const struct sequence *sequence, bool traced, struct outcome *outcome);

/* --- shrink.c --- */

void shrink(struct sequence *sequence, const struct outcome *outcome);

#endif
