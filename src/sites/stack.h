/*
 * The call stack of a request: return addresses, innermost first.
 *
 * Frames are found by call frame information (frame_rule.h). The rule of each return address is kept, so a
 * walk of 32 frames takes 3 us once they are known, most of it for reading the stack. The stack is read as
 * process_vm_readv(2) does, so that no wrong rule can fault: a rule may be stale after the program has
 * replaced a module by another at the same place, which gives a wrong stack.
 *
 * Thread-safe and async-signal-safe: no lock, no heap. x86-64 and arm64; elsewhere, and from code without
 * call frame information (JIT compilers), the stack is as long as is known, at least the innermost address.
 */
#ifndef LZ_SITES_STACK_H
#define LZ_SITES_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"
#include "sites/frame_rule.h"
#include "sites/modules.h"

#define LZ_STACK_FRAMES 32u
#define LZ_FRAME_RULES 8192u /* a power of two */

/* A rule, by the address in the calling instruction. Zero-initialised. */
struct lz_kept_rule {
	_Atomic uint64_t pc; /* 0: a free entry */
	_Atomic bool known;  /* the rule is valid */
	bool is_missing;     /* there is none */
	struct lz_frame_rule rule;
};

struct lz_stack_rules {
	struct lz_kept_rule rule[LZ_FRAME_RULES];
};

struct lz_stack {
	unsigned count;
	uint64_t frame[LZ_STACK_FRAMES];  /* return addresses */
	uint64_t lowest[LZ_STACK_FRAMES]; /* the stack pointers of the functions they are in; 0: unknown */
};

/*
 * Walks the stack of the calling thread from the frame that `caller`, a return address, names. Addresses of
 * frames that a signal interrupted are moved by one, as if they were return addresses. If the walk does not
 * reach `caller`, the stack is that address alone.
 */
void lz_stack_walk(struct lz_stack *stack, struct lz_stack_rules *rules, struct lz_site_modules *modules,
	const void *caller);

#endif
