/*
 * Shortens a failing sequence: first removes what follows the failure, then ever smaller runs of records as
 * long as it still fails (Zeller's delta debugging), then threads and settings. Each trial is a process of
 * its own. With several threads a trial is repeated a few times, because the failure may be a race.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define SECONDS_AT_MOST 60

static time_t started;
static unsigned trials;

static bool in_time(void)
{
	return time(NULL) - started < SECONDS_AT_MOST;
}

static bool still_fails(const struct sequence *sequence)
{
	unsigned tries = sequence->threads > 1 ? 4 : 1;
	struct outcome outcome;

	for (unsigned i = 0; i < tries; i++) {
		trials++;
		run_child(sequence, false, &outcome);
		if (outcome.failed &&
			!(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == UNFOLLOWED))
			return true;
	}
	return false;
}

/* Removes [from, from + count) if the sequence then still fails. */
static bool cut(struct sequence *sequence, struct record *spare, size_t from, size_t count)
{
	struct sequence shorter = *sequence;

	shorter.records = spare;
	shorter.count = sequence->count - count;
	memcpy(spare, sequence->records, from * sizeof *spare);
	memcpy(spare + from, sequence->records + from + count, (shorter.count - from) * sizeof *spare);
	if (!still_fails(&shorter))
		return false;
	memcpy(sequence->records, spare, shorter.count * sizeof *spare);
	sequence->count = shorter.count;
	return true;
}

static void cut_records(struct sequence *sequence, struct record *spare)
{
	for (size_t run = sequence->count / 2; run != 0 && in_time();) {
		bool shorter = false;

		for (size_t end = sequence->count; end >= run && in_time();) {
			if (end > sequence->count)
				end = sequence->count;
			if (end < run)
				break;
			shorter |= cut(sequence, spare, end - run, run);
			end -= run < end ? run : end;
		}
		if (!shorter || run > 1)
			run /= 2;
	}
}

static void cut_threads(struct sequence *sequence)
{
	struct sequence fewer = *sequence;

	fewer.threads = 1;
	if (sequence->threads > 1 && still_fails(&fewer))
		sequence->threads = 1;
}

static void cut_settings(struct sequence *sequence)
{
	for (unsigned i = sequence->setting_count; i-- > 0 && in_time();) {
		struct sequence fewer = *sequence;

		memmove(fewer.settings[i], fewer.settings[i + 1],
			(fewer.setting_count - i - 1) * sizeof fewer.settings[0]);
		fewer.setting_count--;
		if (still_fails(&fewer))
			*sequence = fewer;
	}
}

void shrink(struct sequence *sequence, const struct outcome *outcome)
{
	struct record *spare = malloc(sequence->count * sizeof *spare);
	size_t last = 0, count = sequence->count;

	if (spare == NULL)
		return;
	started = time(NULL);
	trials = 0;
	for (unsigned i = 0; i < sequence->threads; i++)
		last = outcome->at[i] > last ? outcome->at[i] : last;
	if (last + 1 < sequence->count)
		cut(sequence, spare, last + 1, sequence->count - last - 1);
	cut_threads(sequence);
	cut_records(sequence, spare);
	cut_settings(sequence);
	cut_threads(sequence);
	free(spare);
	printf("fuzz: shrunk from %zu operations to %zu in %u trials, %ld s\n", count, sequence->count,
		trials, (long)(time(NULL) - started));
}
