/*
 * The fuzzer: random sequences of the malloc and mmap families, preloaded. What a block of the malloc family
 * must hold is known from a shadow model (blocks.c). Mappings stand twice, once made through the C library's
 * names and once by raw system calls, and both must answer alike (mapping_pairs.c).
 *
 * A sequence is an array of records of 16 bytes, every one of which means something: random numbers, a file,
 * what libFuzzer makes up and what is left of a sequence while it is shrunk are all read alike.
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
#define FAILED 1     /* exit status: something was not as it must be */
#define UNUSABLE 2   /* the fuzzer was called wrongly or lacks something */
#define UNFOLLOWED 3 /* it went wrong after the library said that it could not follow a call */

/* One operation. What the fields choose is the operation's matter. */
struct record {
	uint8_t op, thread;
	uint8_t a, b;  /* which block or area, which kind */
	uint16_t s, t; /* sizes (size_of) */
	uint32_t x, y; /* places, patterns, finer choices */
};

_Static_assert(sizeof(struct record) == 16, "a sequence is read from files");

/* What a thread works on. */
struct worker;

struct operation {
	const char *name;
	void (*make)(struct worker *, const struct record *);
	unsigned weight; /* how often, at random */
	bool maps;       /* of the mmap family */
};

extern const struct operation operations[];
extern const size_t operation_count;

const struct operation *operation_of(const struct record *record);

/* What the process that makes the calls tells the one that watches it, in memory that both map. */
struct progress {
	_Atomic uint64_t operations;
	_Atomic uint64_t incomparable; /* times that plain memory itself had no certain answer */
	_Atomic uint64_t at[THREADS_MAX];
};

/* --- run.c: making the calls --- */

/* Whether requests of that size may be refused, by the settings in the environment. */
bool may_be_refused(size_t size);
/* Whether a call was refused by the settings rather than by the kernel. */
bool was_refused(size_t bytes, long result, int error);
/* Whether lazyzero itself serves it, rather than the C library. */
bool is_served(size_t size, bool zeroed);

/* Ends the process, telling which call it was; __attribute__ format as printf. */
void fail(const struct worker *worker, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* Says what is called, where that is wanted. */
void trace(const struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));

void run_records(
	const struct record *records, size_t count, unsigned threads, struct progress *progress, bool traced);

/* --- blocks.c, mapping_pairs.c: what each thread has of both families --- */

struct blocks *blocks_of(struct worker *worker);
struct pairs *pairs_of(struct worker *worker);
struct blocks *blocks_new(unsigned thread);
struct pairs *pairs_new(unsigned thread);

/* Looks at everything; and gives everything back. */
void blocks_check(struct worker *worker);
void blocks_end(struct worker *worker);
void pairs_check(struct worker *worker);
void pairs_end(struct worker *worker);
void pairs_count_incomparable(struct worker *worker);

/* In a forked child: both sides write, and neither sees what the other wrote. */
void blocks_write_all(struct worker *worker, uint64_t stamp);
void pairs_store_all(struct worker *worker, uint64_t value);

/* A size: small ones, some of pages, of megabytes, sparse ones of up to 4 GiB, and those at the edges. */
size_t size_of(uint16_t code, uint32_t fine);

/* --- access.c: memory that may not be there --- */

void catch_faults(void);

/* 0, or the signal that came instead. */
int load(const void *at, uint64_t *value);
int store(void *at, uint64_t value);

/* The system call itself. */
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
/* Text, or records as they are; false with a message on stderr. */
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
	char text[4096]; /* the beginning of what it said */
};

void run_child(const struct sequence *sequence, bool traced, struct outcome *outcome);

/* --- shrink.c --- */

void shrink(struct sequence *sequence, const struct outcome *outcome);

#endif
