/* Makes the calls of a sequence, each thread its own, and stops at the first failed check. */
#include "fuzz.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lazyzero.h"
#include "worker.h"

extern __typeof__(lz_stats) lz_stats __attribute__((weak));

#define LOOK_EVERY 64 /* calls between two complete checks */
#define STACK (16 * MB)

static struct worker workers[THREADS_MAX];
static bool is_traced, is_forked;
static const char *policy;
static size_t threshold[2]; /* of malloc and of calloc */

static size_t any_size_of(uint16_t code, uint32_t fine)
{
	static const size_t edges[] = {
		4 * KB, 64 * KB, 128 * KB, 256 * KB, MB, 2 * MB, 4 * MB, 32 * MB, 64 * MB, GB};
	unsigned kind = code & 15;
	size_t mantissa = code >> 4; /* of 4096 */

	if (kind < 3)
		return 1 + fine % (4 * KB);
	if (kind < 8)
		return (1 + mantissa % 64) * PAGE - (fine % 3 == 0 ? fine % 4095 : 0);
	if (kind < 12)
		return 64 * KB + (4 * MB >> (fine % 6)) * mantissa / 4096 / 8 * 8;
	if (kind == 12 || (kind == 13 && fine % 4 != 0))
		return 2 * MB + (62 * MB >> (fine % 6)) / 4096 * mantissa;
	if (kind == 13)
		return 32 * MB + ((4 * GB - 32 * MB) >> (fine % 7)) / 4096 * mantissa;
	return edges[mantissa % 10] + fine % 3 - 1;
}

size_t size_of(uint16_t code, uint32_t fine)
{
	size_t size = any_size_of(code, fine);

#ifdef __SANITIZE_ADDRESS__ /* its realloc always copies, and gigabytes take a minute */
	size %= 64 * MB;
#endif
	return size;
}

/* A setting in bytes: digits and K or M, as generate.c writes it. */
static size_t size_setting(const char *name, size_t standard)
{
	const char *text = getenv(name);
	char *unit;
	size_t bytes;

	if (text == NULL)
		return standard;
	bytes = strtoul(text, &unit, 10);
	return *unit == 'K' ? bytes * KB : *unit == 'M' ? bytes * MB : *unit == 'G' ? bytes * GB : bytes;
}

static void read_settings(void)
{
	const char *families = getenv("LAZYZERO_INTERCEPT");
	bool is_there = lz_stats != NULL;

	policy = getenv("LAZYZERO_POLICY") != NULL ? getenv("LAZYZERO_POLICY") : "log";
	threshold[0] = size_setting("LAZYZERO_MALLOC_THRESHOLD", 32 * MB);
	threshold[1] = size_setting("LAZYZERO_THRESHOLD", MB);
	if (families == NULL)
		families = "malloc,calloc,mmap";
	if (!is_there || strstr(families, "malloc") == NULL)
		threshold[0] = SIZE_MAX;
	if (!is_there || strstr(families, "calloc") == NULL)
		threshold[1] = SIZE_MAX;
}

bool is_served(size_t size, bool zeroed)
{
	return size >= threshold[zeroed];
}

bool may_be_refused(size_t size)
{
	/* No threshold is below this. */
	return strcmp(policy, "refuse") == 0 && size >= 4096;
}

const struct operation *operation_of(const struct record *record)
{
	return &operations[record->op % operation_count];
}

/*
 * The number of calls that the library logged as not followed because it could not get its lock in time. If
 * the machine does not run the lock's holder for a second, results are not reliable any more.
 */
static uint64_t unfollowed(void)
{
	struct lz_statistics statistics;

	return lz_stats != NULL && lz_stats(&statistics, sizeof statistics) == 0 ? statistics.untracked : 0;
}

void fail(const struct worker *worker, const char *format, ...)
{
	char text[600];
	va_list arguments;
	int length = snprintf(text, sizeof text,
		"fuzz: %sthread %u, operation %zu, %s: ", is_forked ? "in a forked child, " : "",
		worker->number, worker->at,
		worker->record != NULL ? operation_of(worker->record)->name : "the end");

	va_start(arguments, format);
	length += vsnprintf(text + length, sizeof text - (size_t)length - 2, format, arguments);
	va_end(arguments);
	if (length > (int)sizeof text - 2)
		length = sizeof text - 2;
	text[length++] = '\n';
	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		_exit(UNUSABLE);
	if (unfollowed() != 0)
		_exit(UNFOLLOWED);
	if (getenv("FUZZ_ABORT") != NULL)
		abort();
	_exit(FAILED);
}

void trace(const struct worker *worker, const char *format, ...)
{
	char text[400];
	va_list arguments;
	int length;

	if (!is_traced)
		return;
	length = snprintf(text, sizeof text, "%zu t%u ", worker->at, worker->number);
	va_start(arguments, format);
	length += vsnprintf(text + length, sizeof text - (size_t)length - 2, format, arguments);
	va_end(arguments);
	text[length++] = '\n';
	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		_exit(UNUSABLE);
}

struct blocks *blocks_of(struct worker *worker)
{
	return worker->blocks;
}

struct pairs *pairs_of(struct worker *worker)
{
	return worker->pairs;
}

void pairs_count_incomparable(struct worker *worker)
{
	atomic_fetch_add_explicit(&worker->progress->incomparable, 1, memory_order_relaxed);
}

void note_forked(void)
{
	is_forked = true;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	size_t made = 0;

	for (size_t i = 0; i < worker->count; i++) {
		const struct record *record = &worker->records[i];

		if (record->thread % worker->threads != worker->number)
			continue;
		worker->at = i;
		worker->record = record;
		atomic_store_explicit(&worker->progress->at[worker->number], i, memory_order_relaxed);
		operation_of(record)->make(worker, record);
		if (++made % LOOK_EVERY == 0) {
			blocks_check(worker);
			pairs_check(worker);
			atomic_fetch_add_explicit(
				&worker->progress->operations, LOOK_EVERY, memory_order_relaxed);
		}
	}
	atomic_fetch_add_explicit(&worker->progress->operations, made % LOOK_EVERY, memory_order_relaxed);
	blocks_check(worker);
	pairs_check(worker);
	worker->record = NULL;
	blocks_end(worker);
	pairs_end(worker);
	return NULL;
}

/* Starts a thread on a stack that the settings cannot refuse. */
static void start(pthread_t *thread, struct worker *worker)
{
	pthread_attr_t attributes;
	long stack = raw_map(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pthread_attr_init(&attributes);
	if (stack == -1 || pthread_attr_setstack(&attributes, (void *)stack, STACK) != 0 ||
		pthread_create(thread, &attributes, work, worker) != 0)
		fail(worker, "no thread");
	pthread_attr_destroy(&attributes);
}

/* The growth of a MAP_GROWSDOWN mapping must not depend on whether the kernel merged it with another. */
static void let_stacks_grow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_STACK, &limit);
	}
}

void run_records(
	const struct record *records, size_t count, unsigned threads, struct progress *progress, bool traced)
{
	pthread_t thread[THREADS_MAX];

	const char *library = getenv("LZ_LIBRARY");

	if (library != NULL && *library != '\0' && lz_stats == NULL) {
		fprintf(stderr, "fuzz: %s was not loaded\n", library);
		_exit(UNUSABLE);
	}
	is_traced = traced;
	read_settings();
	catch_faults();
	let_stacks_grow();
	for (unsigned i = 0; i < threads; i++)
		workers[i] = (struct worker){.records = records,
			.count = count,
			.threads = threads,
			.number = i,
			.progress = progress,
			.blocks = blocks_new(i),
			.pairs = pairs_new(i)};
	for (unsigned i = 1; i < threads; i++)
		start(&thread[i], &workers[i]);
	work(&workers[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	blocks_end_exchange(&workers[0]);
}
