/*
 * Random sequences and settings, told by a seed. Each has its own taste: one family or both, a few sizes that
 * come again and again (what is freed is then recycled), few blocks or many.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

uint64_t draw(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state * UINT64_C(0x2545F4914F6CDD1D) >> 11) % below;
}

static const struct {
	const char *name;
	const char *values[10];
} settings[] = {
	{"THRESHOLD", {"4K", "64K", "64K", "256K", "1M"}},
	{"MALLOC_THRESHOLD", {"4K", "128K", "128K", "1M", "32M"}},
	{"BUDGET", {"0", "16K", "256K", "1M", "4M", "5%", "5%"}},
	{"POLICY", {"log", "log", "log", "refuse"}},
	{"BACKING", {"auto", "auto", "window", "window", "zeropage"}},
	{"THP", {"auto", "auto", "never", "inherit", "always"}},
	{"POPULATE", {"off", "off", "off", "off", "off", "off", "off", "read"}},
	{"CACHE", {"64M", "64M", "0", "1M", "16M", "1G"}},
	{"INTERCEPT", {"malloc,calloc,mmap", "malloc,calloc,mmap", "malloc,calloc,mmap", "calloc", "mmap",
			      "calloc,mmap"}},
	{"LOG", {"none"}},
};

static void draw_settings(struct sequence *sequence, uint64_t *state)
{
	sequence->setting_count = 0;
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		unsigned count = 0;

		while (count < 10 && settings[i].values[count] != NULL)
			count++;
		snprintf(sequence->settings[sequence->setting_count++], sizeof sequence->settings[0],
			"LAZYZERO_%s=%s", settings[i].name, settings[i].values[draw(state, count)]);
	}
}

struct taste {
	unsigned total;
	bool blocks, maps;
	uint8_t slots;
	unsigned sizes, again; /* of ten sizes, so many are one of these */
	uint16_t code[6];
	uint32_t fine[6];
};

static bool likes(const struct taste *taste, const struct operation *operation)
{
	return operation->maps ? taste->maps : taste->blocks;
}

static struct taste draw_taste(uint64_t *state)
{
	struct taste taste = {.total = 0};
	uint64_t kind = draw(state, 4);

	taste.blocks = kind != 0;
	taste.maps = kind != 1;
	taste.slots = (uint8_t)(2 << draw(state, 5));
	taste.sizes = 1 + (unsigned)draw(state, 6);
	taste.again = (unsigned)draw(state, 10);
	for (unsigned i = 0; i < 6; i++) {
		taste.code[i] = (uint16_t)draw(state, 65536);
		taste.fine[i] = (uint32_t)draw(state, UINT64_C(1) << 32);
	}
	for (size_t i = 0; i < operation_count; i++)
		if (likes(&taste, &operations[i]))
			taste.total += operations[i].weight;
	return taste;
}

static uint8_t draw_operation(const struct taste *taste, uint64_t *state)
{
	unsigned sum = (unsigned)draw(state, taste->total);

	for (size_t i = 0; i < operation_count; i++) {
		if (!likes(taste, &operations[i]))
			continue;
		if (sum < operations[i].weight)
			return (uint8_t)i;
		sum -= operations[i].weight;
	}
	abort();
}

void generate(struct sequence *sequence, uint64_t seed, size_t count, unsigned threads)
{
	uint64_t state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
	struct taste taste;

	for (int i = 0; i < 8; i++)
		draw(&state, 2);
	draw_settings(sequence, &state);
	taste = draw_taste(&state);
	sequence->threads = draw(&state, 3) == 0 ? threads : 1;
	sequence->count = count;
	for (size_t i = 0; i < count; i++) {
		uint64_t one = draw(&state, UINT64_C(1) << 48), two = draw(&state, UINT64_C(1) << 48);
		struct record *record = &sequence->records[i];

		*record = (struct record){.op = draw_operation(&taste, &state),
			.thread = (uint8_t)(one >> 40),
			.a = (uint8_t)((one >> 32 & 0xff) % taste.slots),
			.b = (uint8_t)(two >> 40),
			.s = (uint16_t)(two >> 24),
			.t = (uint16_t)draw(&state, 65536),
			.x = (uint32_t)one,
			.y = (uint32_t)two ^ (uint32_t)(one >> 13)};
		if (draw(&state, 10) < taste.again) {
			unsigned which = (unsigned)draw(&state, taste.sizes);

			record->s = taste.code[which];
			record->x = taste.fine[which];
		}
	}
}
