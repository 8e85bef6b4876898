/*
 * A sparse array without a data structure: 2^37 counters of 64 bits in one calloc of 1 TiB.
 *
 *   sparse_array FILE [TEXT...]
 *
 * It counts the 7-grams of a text, that is, every run of seven characters. Letters are taken as lower case;
 * whatever is no ASCII letter or digit becomes a space, and of several spaces one is kept. That leaves 37
 * characters, and 37^7 is just below 2^37: the seven characters, read as a number, are the index of their
 * counter. No hashing, no collisions, no resizing, and the count of a TEXT is one look at the array.
 *
 * Only pages that were written take memory, so the ten most frequent are noted while counting: a search over
 * the array afterwards would map all of it, at the price of 2 GiB of page tables.
 *
 * The C library alone refuses such a calloc; with lazyzero preloaded, on the 35 KB of the GNU GPL, version 3:
 *
 *   33497 7-grams, 16653 different; the most frequent:
 *        122  ' licens'
 *        118  'license'
 *        102  'icense '
 *     ...
 *   array 1 TiB, resident (VmRSS) 44.8 MiB, page tables (VmPTE) 18.2 MiB
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lazyzero.h>

#include "common.h"

/* NULL when no liblazyzero.so is in this process: the program is not linked with it. */
#pragma weak lz_version

#define COUNTERS ((uint64_t)1 << 37)
#define LENGTH 7
#define ALPHABET 37
#define GRAMS (UINT64_C(94931877133)) /* 37^7 */
#define TOP 10

_Static_assert(GRAMS <= COUNTERS, "every 7-gram has a counter");

struct entry {
	uint64_t key, count;
};

/* The most frequent so far, best first. */
struct top {
	struct entry entries[TOP];
	unsigned used;
};

/* In the order of their ASCII codes, so that sorted keys are sorted texts. */
static unsigned symbol_of(int c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(1 + c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(11 + c - 'a');
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(11 + c - 'A');
	return 0;
}

static void text_of(uint64_t key, char text[LENGTH + 1])
{
	text[LENGTH] = '\0';
	for (int i = LENGTH - 1; i >= 0; i--, key /= ALPHABET)
		text[i] = " 0123456789abcdefghijklmnopqrstuvwxyz"[key % ALPHABET];
}

static bool is_better(struct entry a, struct entry b)
{
	return a.count > b.count || (a.count == b.count && a.key < b.key);
}

/*
 * Counts only grow, so whoever belongs to the best at the end gets in here with its last occurrence at the
 * latest. Equal counts stand in the order of their text.
 */
static void note(struct top *top, struct entry entry)
{
	struct entry *entries = top->entries;
	unsigned at = 0;

	if (top->used == TOP && !is_better(entry, entries[TOP - 1]))
		return;
	while (at < top->used && entries[at].key != entry.key)
		at++;
	if (at == TOP)
		at--;
	else if (at == top->used)
		top->used++;
	for (; at > 0 && is_better(entry, entries[at - 1]); at--)
		entries[at] = entries[at - 1];
	entries[at] = entry;
}

/* Returns how many 7-grams there were, and in *distinct how many different ones. */
static uint64_t count_grams(FILE *file, uint64_t *counters, struct top *top, uint64_t *distinct)
{
	uint64_t key = 0, characters = 0, total = 0;
	unsigned symbol, last = ALPHABET;
	int c;

	while ((c = getc(file)) != EOF) {
		symbol = symbol_of(c);
		if (symbol == 0 && last == 0)
			continue;
		last = symbol;
		key = (key * ALPHABET + symbol) % GRAMS;
		if (++characters < LENGTH)
			continue;
		total++;
		*distinct += counters[key] == 0;
		note(top, (struct entry){.key = key, .count = ++counters[key]});
	}
	return total;
}

static uint64_t *make_array(void)
{
	uint64_t *counters = calloc(COUNTERS, sizeof *counters);

	if (counters != NULL)
		return counters;
	fprintf(stderr, "sparse_array: calloc of 1 TiB: %s\n", strerror(errno));
	if (lz_version == NULL)
		fprintf(stderr,
			"The C library promises no more than the machine could fill. Preload lazyzero, which "
			"serves\n"
			"the array from the zero page:  LD_PRELOAD=liblazyzero.so sparse_array FILE\n");
	else
		fprintf(stderr, "An array that might be touched everywhere needs 2 GiB of page tables. "
				"LAZYZERO_POLICY=log\n"
				"serves it over the budget, LAZYZERO_BUDGET=2100M allows for it.\n");
	exit(1);
}

/* Looks up a text of seven characters in the array. */
static int look_up(const uint64_t *counters, const char *text)
{
	uint64_t key = 0;

	if (strlen(text) != LENGTH) {
		fprintf(stderr, "sparse_array: '%s' is not %d characters long\n", text, LENGTH);
		return 1;
	}
	for (int i = 0; i < LENGTH; i++)
		key = key * ALPHABET + symbol_of((unsigned char)text[i]);
	printf("%8" PRIu64 "  '%s'\n", counters[key], text);
	return 0;
}

static void show_memory(void)
{
	char array[SIZE_TEXT], resident[SIZE_TEXT], tables[SIZE_TEXT];

	printf("array %s, resident (VmRSS) %s, page tables (VmPTE) %s\n",
		format_size(array, COUNTERS * sizeof(uint64_t)),
		format_size(resident, status_bytes(0, "VmRSS")),
		format_size(tables, status_bytes(0, "VmPTE")));
}

int main(int argc, char **argv)
{
	struct top top = {0};
	uint64_t total, distinct = 0;
	uint64_t *counters;
	int status = 0;
	FILE *file;

	if (argc < 2 || strcmp(argv[1], "--help") == 0) {
		fprintf(argc < 2 ? stderr : stdout,
			"Usage: sparse_array FILE [TEXT...]     each TEXT of %d characters\n", LENGTH);
		return argc < 2 ? 2 : 0;
	}
	file = fopen(argv[1], "re");
	if (file == NULL) {
		fprintf(stderr, "sparse_array: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	counters = make_array();
	total = count_grams(file, counters, &top, &distinct);
	if (ferror(file)) {
		fprintf(stderr, "sparse_array: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("%" PRIu64 " 7-grams, %" PRIu64 " different; the most frequent:\n", total, distinct);
	for (unsigned i = 0; i < top.used; i++) {
		char text[LENGTH + 1];

		text_of(top.entries[i].key, text);
		printf("%8" PRIu64 "  '%s'\n", top.entries[i].count, text);
	}
	for (int i = 2; i < argc; i++)
		status |= look_up(counters, argv[i]);
	show_memory();
	fclose(file);
	free(counters);
	return status;
}
