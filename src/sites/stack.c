/* Walks stacks; see stack.h. */
#include "sites/stack.h"

#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "os/scratch.h"

#define PROBES 32u
#define STEPS_MAX 96u /* frames of the library, and of what lies between, included */

/* The part of the stack that was read last. */
struct window {
	const struct lz_os *os;
	uint64_t start;
	size_t length;
	uint64_t word[(LZ_SCRATCH_BYTES - 64) / 8];
};

struct registers {
	uint64_t pc, stack, frame; /* pc: an address in the instruction */
	bool is_interrupted;       /* pc is where a signal came, not after a call */
};

/* Reads a word of the stack, and what follows on the same page with it. */
static bool load(struct window *window, uint64_t address, uint64_t *value)
{
	uint64_t page_end = lz_round_down(address, 4096) + 4096;

	if (address % 8 != 0)
		return false;
	if (address < window->start || address - window->start + 8 > window->length) {
		size_t length = (size_t)lz_min_u64(page_end - address, sizeof window->word);
		ssize_t got = window->os->read_memory((const void *)address, window->word, length);

		window->start = address;
		window->length = got < 0 ? 0 : (size_t)got;
		if (window->length < 8)
			return false;
	}
	*value = window->word[(address - window->start) / 8];
	return true;
}

__attribute__((noinline)) static bool find_rule(
	struct lz_site_modules *modules, uint64_t pc, struct lz_frame_rule *rule)
{
	unsigned module = lz_modules_find(modules, pc);

	return module != LZ_MODULE_NONE && modules->entry[module].frame_header != 0 &&
	       lz_frame_rule_find(modules->os, modules->entry[module].frame_header, pc, rule) == 0;
}

/* Gets the rule at pc, from what is kept if possible. */
__attribute__((noinline)) static bool rule_at(struct lz_stack_rules *rules, struct lz_site_modules *modules,
	uint64_t pc, struct lz_frame_rule *rule)
{
	unsigned at = (unsigned)(pc * UINT64_C(0x9E3779B97F4A7C15) >> 32) % LZ_FRAME_RULES;
	struct lz_kept_rule *kept = NULL;
	bool found;

	for (unsigned i = 0; i < PROBES; i++, at = (at + 1) % LZ_FRAME_RULES) {
		uint64_t present = atomic_load_explicit(&rules->rule[at].pc, memory_order_relaxed);

		kept = &rules->rule[at];
		if (present == pc && atomic_load_explicit(&kept->known, memory_order_acquire)) {
			*rule = kept->rule;
			return !kept->is_missing;
		}
		/* An entry that another thread is filling is not waited for. */
		if (present == pc)
			kept = NULL;
		if (present == pc ||
			(present == 0 && atomic_compare_exchange_strong_explicit(&kept->pc, &present, pc,
						 memory_order_relaxed, memory_order_relaxed)))
			break;
		kept = NULL;
	}
	found = find_rule(modules, pc, rule);
	if (kept != NULL) {
		kept->rule = *rule;
		kept->is_missing = !found;
		atomic_store_explicit(&kept->known, true, memory_order_release);
	}
	return found;
}

static uint64_t place(const struct registers *at, uint64_t cfa, uint8_t base, int32_t offset)
{
	uint64_t from = base == LZ_FRAME_CFA ? cfa : base == LZ_FRAME_STACK_POINTER ? at->stack : at->frame;

	return from + (uint64_t)(int64_t)offset;
}

static uint64_t strip_signature(uint64_t address)
{
#if defined __aarch64__
	return address & UINT64_C(0x0000ffffffffffff);
#else
	return address;
#endif
}

/* Goes to the caller. *back gets the return address, as return addresses are reported. */
static bool step(
	struct registers *at, struct window *window, const struct lz_frame_rule *rule, uint64_t *back)
{
	uint64_t cfa, frame = at->frame;

	if (rule->cfa_base == LZ_FRAME_UNKNOWN || rule->return_base == LZ_FRAME_UNKNOWN ||
		rule->return_base == LZ_FRAME_UNDEFINED)
		return false;
	cfa = place(at, 0, rule->cfa_base, rule->cfa_offset);
	if (rule->cfa_is_loaded && !load(window, cfa, &cfa))
		return false;
	/* Only a signal leads to another stack. */
	if (cfa <= at->stack && !rule->is_signal_frame)
		return false;
	if (!load(window, place(at, cfa, rule->return_base, rule->return_offset), back))
		return false;
	if (rule->pointer_base >= LZ_FRAME_STACK_POINTER &&
		!load(window, place(at, cfa, rule->pointer_base, rule->pointer_offset), &frame))
		return false;
	*back = strip_signature(*back) + rule->is_signal_frame;
	at->pc = *back - 1;
	at->stack = cfa;
	at->frame = frame;
	return *back > 4096;
}

static bool get_registers(struct registers *at)
{
#if defined __x86_64__
	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"
			 : "=&r"(at->pc), "=&r"(at->stack), "=&r"(at->frame));
	return true;
#elif defined __aarch64__
	__asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29"
			 : "=&r"(at->pc), "=&r"(at->stack), "=&r"(at->frame));
	return true;
#else
	(void)at;
	return false;
#endif
}

__attribute__((noinline)) void lz_stack_walk(struct lz_stack *stack, struct lz_stack_rules *rules,
	struct lz_site_modules *modules, const void *caller)
{
	struct window *window = lz_scratch_take(modules->os);
	struct lz_frame_rule rule;
	struct registers at;
	uint64_t back;

	_Static_assert(sizeof *window <= LZ_SCRATCH_BYTES, "it fits a scratch buffer");
	stack->count = 0;
	if (window != NULL && get_registers(&at)) {
		window->os = modules->os;
		window->start = window->length = 0;
		for (unsigned i = 0; i < STEPS_MAX && stack->count < LZ_STACK_FRAMES; i++) {
			if (!rule_at(rules, modules, at.pc, &rule) || !step(&at, window, &rule, &back))
				break;
			if (stack->count == 0 && back != (uintptr_t)caller)
				continue;
			stack->lowest[stack->count] = at.stack;
			stack->frame[stack->count++] = back;
		}
	}
	if (stack->count == 0) {
		stack->lowest[0] = 0;
		stack->frame[stack->count++] = (uintptr_t)caller;
	}
	lz_scratch_release(modules->os, window);
}
