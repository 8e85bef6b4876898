/* The fuzzer's command: runs generated sequences for some time, or sequences from files. */
#include "fuzz.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define SEQUENCE 20000 /* operations in one process */
#define SCRIPT "fuzz-failure.txt"

static const char usage[] =
	"usage: fuzz [--seconds N] [--operations N] [--seed S] [--threads N] [--length N]\n"
	"       fuzz --replay FILE... [--trace]\n"
	"       fuzz --print FILE     a file of records, as text\n"
	"The library to preload is named by LZ_LIBRARY; without, nothing is preloaded.\n";

static uint64_t operations_made, incomparable, unfollowed;

/* The entry point of the processes that make the calls; records and progress are inherited. */
static int run_inherited(char **arguments)
{
	size_t count = strtoul(arguments[0], NULL, 10);
	unsigned threads = (unsigned)strtoul(arguments[1], NULL, 10);
	/* A raw call, because the library's settings may refuse it. */
	void *progress = (void *)raw_map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 41, 0);
	void *records = NULL;

	if (count != 0)
		records = (void *)raw_map(NULL, count * sizeof(struct record), PROT_READ, MAP_SHARED, 40, 0);
	if (records == MAP_FAILED || progress == MAP_FAILED || threads == 0 || threads > THREADS_MAX) {
		perror("fuzz: records");
		return UNUSABLE;
	}
	run_records(records, count, threads, progress, strcmp(arguments[2], "traced") == 0);
	return 0;
}

static bool is_unfollowed(const struct outcome *outcome)
{
	return WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == UNFOLLOWED;
}

static void print_outcome(const struct outcome *outcome)
{
	fputs(outcome->text, stdout);
	if (WIFSIGNALED(outcome->status))
		printf("fuzz: %s, at operation %lu\n",
			WTERMSIG(outcome->status) == SIGALRM ? "it hangs"
							     : strsignal(WTERMSIG(outcome->status)),
			outcome->at[0]);
}

static void report(struct sequence *sequence, const struct outcome *first)
{
	struct outcome outcome = *first;
	const char *library;
	FILE *file;

	print_outcome(first);
	shrink(sequence, first);
	run_child(sequence, false, &outcome);
	print_outcome(&outcome);
	printf("--- %s; replay with --replay FILE --trace ---\n", SCRIPT);
	script_print(stdout, sequence);
	puts("---");
	library = getenv("LZ_LIBRARY");
	if (library != NULL && *library != '\0') {
		unsetenv("LZ_LIBRARY");
		run_child(sequence, false, &outcome);
		printf("fuzz: without the library it %s\n",
			outcome.failed ? "FAILS AS WELL: the fuzzer or the kernel is to blame" : "succeeds");
		setenv("LZ_LIBRARY", library, 1);
	}
	file = fopen(SCRIPT, "w");
	if (file != NULL) {
		script_print(file, sequence);
		fclose(file);
	}
}

static bool replay(const char *path, bool traced)
{
	/* Records contain no settings; these exercise what is off by default. */
	static const char *const settings[][4] = {
		{"LAZYZERO_LOG=none", "LAZYZERO_BACKING=window", "LAZYZERO_THRESHOLD=64K",
			"LAZYZERO_MALLOC_THRESHOLD=128K"},
		{"LAZYZERO_LOG=none", "LAZYZERO_BUDGET=1M", "LAZYZERO_THRESHOLD=64K",
			"LAZYZERO_MALLOC_THRESHOLD=64K"},
		{"LAZYZERO_LOG=none", "LAZYZERO_BUDGET=256K", "LAZYZERO_POLICY=refuse",
			"LAZYZERO_THRESHOLD=4K"},
	};
	struct sequence sequence;
	struct outcome outcome;

	if (!script_read(path, &sequence))
		exit(UNUSABLE);
	for (unsigned i = 0; i < (sequence.is_text ? 1 : 3); i++) {
		for (unsigned k = 0; k < 4 && !sequence.is_text; k++)
			snprintf(sequence.settings[k], sizeof sequence.settings[k], "%s", settings[i][k]);
		if (!sequence.is_text)
			sequence.setting_count = 4;
		run_child(&sequence, traced, &outcome);
		operations_made += outcome.operations;
		if (outcome.failed) {
			printf("fuzz: %s fails with", path);
			for (unsigned k = 0; k < sequence.setting_count; k++)
				printf(" %s", sequence.settings[k]);
			puts("");
			print_outcome(&outcome);
			return false;
		}
	}
	free(sequence.records);
	return true;
}

static int fuzz(uint64_t seed, long seconds, uint64_t most, unsigned threads, size_t length)
{
	struct sequence sequence = {.records = calloc(length, sizeof(struct record))};
	struct outcome outcome;
	time_t start = time(NULL);
	uint64_t sequences = 0;

	for (; time(NULL) - start < seconds && operations_made < most; sequences++) {
		generate(&sequence, seed + sequences, length, threads);
		run_child(&sequence, false, &outcome);
		operations_made += outcome.operations;
		incomparable += outcome.incomparable;
		if (outcome.failed && is_unfollowed(&outcome)) {
			unfollowed++;
			outcome.failed = false;
		}
		if (outcome.failed) {
			printf("fuzz: seed %lu fails (--seed %lu --threads %u --length %zu --operations 1)\n",
				seed + sequences, seed + sequences, threads, length);
			report(&sequence, &outcome);
			break;
		}
	}
	printf("fuzz: %lu operations in %lu sequences from seed %lu, %ld s; begun anew %lu times%s\n",
		operations_made, sequences, seed, (long)(time(NULL) - start), incomparable,
		outcome.failed ? "; ONE FAILED" : "");
	if (unfollowed != 0)
		printf("fuzz: %lu sequences were given up: the library's lock was not to be had for a "
		       "second\n",
			unfollowed);
	free(sequence.records);
	return outcome.failed ? FAILED : 0;
}

static int print(const char *path)
{
	struct sequence sequence;

	if (!script_read(path, &sequence))
		return UNUSABLE;
	script_print(stdout, &sequence);
	return 0;
}

int main(int count, char **arguments)
{
	static const struct option options[] = {{"seconds", 1, NULL, 's'}, {"operations", 1, NULL, 'o'},
		{"seed", 1, NULL, 'S'}, {"threads", 1, NULL, 't'}, {"length", 1, NULL, 'l'},
		{"replay", 0, NULL, 'r'}, {"trace", 0, NULL, 'v'}, {"print", 1, NULL, 'p'},
		{NULL, 0, NULL, 0}};
	uint64_t seed = (uint64_t)time(NULL) * 1000, most = UINT64_MAX;
	long seconds = 10;
	size_t length = SEQUENCE;
	unsigned threads = 3;
	bool replays = false, traced = false;
	int option, failures = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (count == 5 && strcmp(arguments[1], "--run") == 0)
		return run_inherited(arguments + 2);
	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1)
		switch (option) {
		case 's':
			seconds = strtol(optarg, NULL, 10);
			break;
		case 'o':
			most = strtoull(optarg, NULL, 10);
			seconds = INT32_MAX;
			break;
		case 'S':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 't':
			threads = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'l':
			length = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			replays = true;
			break;
		case 'v':
			traced = true;
			break;
		case 'p':
			return print(optarg);
		default:
			fputs(usage, stderr);
			return UNUSABLE;
		}
	if (threads == 0 || threads > THREADS_MAX || length == 0 || replays != (optind < count)) {
		fputs(usage, stderr);
		return UNUSABLE;
	}
	if (!replays)
		return fuzz(seed, seconds, most, threads, length);
	for (int i = optind; i < count; i++)
		failures += !replay(arguments[i], traced);
	printf("fuzz: %d files replayed, %lu operations; %d failed\n", count - optind, operations_made,
		failures);
	return failures != 0;
}
