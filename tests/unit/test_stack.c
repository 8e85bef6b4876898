/* sites/stack.c, sites/frame_rule.c, sites/modules.c: walks of the stack, against glibc's backtrace(3). */
#include "core_fixture.h"

#include <execinfo.h>
#include <signal.h>

#include "sites/sites.h"

static struct lz_stack_rules rules;
static struct lz_site_modules modules;
static struct lz_stack walked;
static void *reference[64];
static int reference_count;

/* Walks from the caller of the function that this is inlined in, with libgcc's unwinder and with ours. */
static inline __attribute__((always_inline)) void walk_both(void)
{
	modules.os = &lz_os_linux;
	reference_count = backtrace(reference, 64);
	lz_stack_walk(&walked, &rules, &modules, __builtin_return_address(0));
}

/* Both walks agree from the caller of the function that walked, whose frame is the first of the reference. */
static void expect_same(void)
{
	cr_assert_gt(reference_count, 3);
	cr_expect_gt(walked.count, 2);
	for (unsigned i = 0; i < walked.count && (int)i + 1 < reference_count; i++) {
		uintptr_t expected = (uintptr_t)reference[i + 1];

		cr_expect(walked.frame[i] == expected || walked.frame[i] == expected + 1,
			"frame %u: %#zx instead of %#zx", i, (size_t)walked.frame[i], (size_t)expected);
	}
}

__attribute__((noinline)) static void plain(void)
{
	walk_both();
	__asm__ volatile("" : : : "memory");
}

__attribute__((noinline)) static void variable(size_t n)
{
	char room[n];

	memset(room, 1, n);
	__asm__ volatile("" : : "r"(room) : "memory");
	plain();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) static void aligned_frame(void)
{
	char room[128] __attribute__((aligned(128)));

	__asm__ volatile("" : : "r"(room) : "memory");
	plain();
	__asm__ volatile("" : : "r"(room) : "memory");
}

__attribute__((noinline)) static void recursive(unsigned depth)
{
	if (depth > 0)
		recursive(depth - 1);
	else
		plain();
	__asm__ volatile("" : : : "memory");
}

static void handler(int signal)
{
	(void)signal;
	plain();
	__asm__ volatile("" : : : "memory");
}

#if defined __x86_64__ || defined __aarch64__

Test(stack, agrees_with_the_unwinder_of_libgcc)
{
	for (int round = 0; round < 2; round++) { /* the second time with kept rules */
		plain();
		expect_same();
		variable(10);
		expect_same();
		variable(5000);
		expect_same();
		aligned_frame();
		expect_same();
		recursive(5);
		expect_same();
	}
}

Test(stack, holds_the_innermost_frames_of_a_deep_one)
{
	recursive(50);
	cr_expect_eq(walked.count, LZ_STACK_FRAMES);
	expect_same();
}

#if defined __x86_64__ && defined __GLIBC__
Test(stack, continues_beyond_a_signal)
{
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	expect_same();
	cr_expect_gt(walked.count, 4);
}
#endif

static unsigned reads;
static int64_t refused_after;

static ssize_t failing_read(const void *address, void *buffer, size_t length)
{
	return reads++ >= refused_after ? -EFAULT : lz_os_linux.read_memory(address, buffer, length);
}

/* Memory that cannot be read ends the walk at any point; at least the innermost address is known. */
Test(stack, ends_where_memory_cannot_be_read)
{
	struct lz_os failing = lz_os_linux;
	unsigned longest = 0;

	failing.read_memory = failing_read;
	modules.os = &failing;
	for (refused_after = 0; refused_after < 400; refused_after++) {
		memset(&rules, 0, sizeof rules);
		memset(&modules.entry, 0, sizeof modules.entry);
		modules.count = reads = 0;
		lz_stack_walk(&walked, &rules, &modules, __builtin_return_address(0));
		cr_assert_geq(walked.count, 1);
		cr_assert_eq(walked.frame[0], (uintptr_t)__builtin_return_address(0));
		longest = walked.count > longest ? walked.count : longest;
	}
	cr_expect_gt(longest, 1);
}

/* Call frame information of random bytes is refused, or gives some rule; it is never read beyond its end. */
Test(stack, survives_damaged_call_frame_information)
{
	static uint8_t copy[1 << 16];
	struct lz_frame_rule rule;
	unsigned module, found = 0;
	uint64_t header;

	modules.os = &lz_os_linux;
	module = lz_modules_find(&modules, (uintptr_t)plain);
	cr_assert_neq(module, LZ_MODULE_NONE);
	header = modules.entry[module].frame_header;
	cr_assert_neq(header, 0);
	cr_expect_eq(lz_frame_rule_find(&lz_os_linux, header, (uintptr_t)plain, &rule), 0);
	cr_expect_eq(rule.return_base, LZ_FRAME_CFA);
	cr_expect_eq(rule.return_offset, -8);
	srand(1);
	for (int i = 0; i < 300; i++) {
		memcpy(copy, (const void *)header, sizeof copy);
		/* The table's offsets are from the header, so they lead into the copy. */
		for (int j = 0; j < 2000; j++)
			copy[12 + (size_t)rand() % (sizeof copy - 12)] = (uint8_t)rand();
		found += lz_frame_rule_find(&lz_os_linux, (uintptr_t)copy,
				 (uintptr_t)copy + (uintptr_t)plain - header, &rule) == 0;
	}
	cr_expect_lt(found, 300, "no damage was noticed");
}

#endif

Test(modules, have_a_build_id_and_are_recognised)
{
	unsigned first, again;

	memset(&modules, 0, sizeof modules);
	modules.os = &lz_os_linux;
	first = lz_modules_find(&modules, (uintptr_t)malloc);
	again = lz_modules_find(&modules, (uintptr_t)free);
	cr_assert_neq(first, LZ_MODULE_NONE);
	cr_expect_eq(first, again);
	cr_expect_eq(modules.count, 1);
	cr_expect_eq(modules.entry[first].module.path[0], '/');
	cr_expect_eq(lz_modules_find(&modules, (uintptr_t)&modules), LZ_MODULE_NONE, "no file: %s",
		modules.entry[0].module.path);
	/* Another object at the same place is not taken for it. */
	modules.entry[first].file_header[20] ^= 1;
	again = lz_modules_find(&modules, (uintptr_t)malloc);
	cr_expect_neq(again, LZ_MODULE_NONE);
}
