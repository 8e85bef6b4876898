/* How workloads get and touch memory; see workload.h. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../examples/common.h"
#include "workload.h"

void *volatile pointer_sink;
volatile uint64_t value_sink;

char *zeroed(uint64_t size)
{
	char *block = pointer_sink = calloc(1, size);

	if (block == NULL)
		measure_refused(strerror(errno));
	return block;
}

char *mapped(uint64_t size)
{
	char *block =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (block == MAP_FAILED)
		measure_refused(strerror(errno));
	pointer_sink = block;
	return block;
}

char *zeroed_or_mapped(uint64_t size)
{
	char *block = pointer_sink = calloc(1, size);
	const char *tunables = getenv("GLIBC_TUNABLES");

	if (block != NULL)
		return block;
	block = mapped(size);
	if (tunables != NULL && strstr(tunables, "glibc.malloc.hugetlb=1") != NULL)
		madvise(block, size, MADV_HUGEPAGE);
	return block;
}

void read_pages(const char *block, uint64_t size)
{
	const volatile char *bytes = block;
	uint64_t page = page_bytes(), sum = 0;

	for (uint64_t offset = 0; offset < size; offset += page)
		sum += (unsigned char)bytes[offset];
	value_sink = sum;
}

void write_scattered(char *block, uint64_t size, uint64_t count)
{
	volatile char *bytes = block;
	uint64_t step = size / count, place = 0;

	/* A stride near the golden section that shares no divisor with count visits every place once. */
	uint64_t stride = count * 618 / 1000 + 1, a, b;

	for (;; stride++) {
		for (a = stride, b = count; b != 0;) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			break;
	}
	for (uint64_t i = 0; i < count; i++) {
		bytes[place * step] = 1;
		place = (place + stride) % count;
	}
}

/* splitmix64 */
uint64_t next_random(uint64_t *state)
{
	uint64_t value = *state += 0x9e3779b97f4a7c15;

	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
	return value ^ (value >> 31);
}

struct thread {
	pthread_t id;
	unsigned number;
	void (*body)(unsigned number);
};

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	thread->body(thread->number);
	return NULL;
}

void in_threads(unsigned threads, void (*body)(unsigned number))
{
	struct thread all[MAX_THREADS];

	for (unsigned i = 0; i < threads; i++) {
		all[i] = (struct thread){.number = i, .body = body};
		errno = pthread_create(&all[i].id, NULL, thread_main, &all[i]);
		if (errno != 0) {
			fprintf(stderr, "workload: no thread can be made: %s\n", strerror(errno));
			exit(1);
		}
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(all[i].id, NULL);
}
