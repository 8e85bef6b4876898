/*
 * Generates sequences and settings from a seed. Each sequence has a profile of its own: one family or both, a
 * few sizes that recur (so that freed regions are reused), few blocks or many.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "worker.h"

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
	{"MEMSET_THRESHOLD", {"64K", "64K", "64K", "8K", "4M"}},
	{"INTERCEPT", {"malloc,calloc,mmap,memset", "malloc,calloc,mmap,memset", "malloc,calloc,mmap,memset",
			      "malloc,calloc,mmap", "calloc,memset", "mmap,memset", "calloc,mmap,memset",
			      "calloc", "mmap", "memset"}},
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

struct profile {
	unsigned total;
	bool blocks, maps;
	bool stops_zeroing; /* userfaultfd and mlock2, after which memset is passed on */
	uint8_t slots;
	unsigned sizes, again; /* recurring sizes; out of ten requests, `again` use one of them */
	uint16_t code[6];
	uint32_t fine[6];
};

static bool is_preferred(const struct profile *profile, const struct operation *operation)
{
	if (!profile->stops_zeroing && (operation->make == do_userfault || operation->make == do_lock))
		return false;
	return operation->maps ? profile->maps : profile->blocks;
}

static struct profile draw_profile(uint64_t *state)
{
	struct profile profile = {.total = 0};
	uint64_t kind = draw(state, 4);

	profile.blocks = kind != 0;
	profile.maps = kind != 1;
	profile.stops_zeroing = draw(state, 2) == 0;
	profile.slots = (uint8_t)(2 << draw(state, 5));
	profile.sizes = 1 + (unsigned)draw(state, 6);
	profile.again = (unsigned)draw(state, 10);
	for (unsigned i = 0; i < 6; i++) {
		profile.code[i] = (uint16_t)draw(state, 65536);
		profile.fine[i] = (uint32_t)draw(state, UINT64_C(1) << 32);
	}
	for (size_t i = 0; i < operation_count; i++)
		if (is_preferred(&profile, &operations[i]))
			profile.total += operations[i].weight;
	return profile;
}

static uint8_t draw_operation(const struct profile *profile, uint64_t *state)
{
	unsigned sum = (unsigned)draw(state, profile->total);

	for (size_t i = 0; i < operation_count; i++) {
		if (!is_preferred(profile, &operations[i]))
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
	struct profile profile;

	for (int i = 0; i < 8; i++)
		draw(&state, 2);
	draw_settings(sequence, &state);
	profile = draw_profile(&state);
	sequence->threads = draw(&state, 3) == 0 ? threads : 1;
	sequence->count = count;
	for (size_t i = 0; i < count; i++) {
		uint64_t one = draw(&state, UINT64_C(1) << 48), two = draw(&state, UINT64_C(1) << 48);
		struct record *record = &sequence->records[i];

		*record = (struct record){.op = draw_operation(&profile, &state),
			.thread = (uint8_t)(one >> 40),
			.a = (uint8_t)((one >> 32 & 0xff) % profile.slots),
			.b = (uint8_t)(two >> 40),
			.s = (uint16_t)(two >> 24),
			.t = (uint16_t)draw(&state, 65536),
			.x = (uint32_t)one,
			.y = (uint32_t)two ^ (uint32_t)(one >> 13)};
		if (draw(&state, 10) < profile.again) {
			unsigned which = (unsigned)draw(&state, profile.sizes);

			record->s = profile.code[which];
			record->x = profile.fine[which];
		}
	}
}
