/*
 * How to get from a function's stack frame to that of its caller, at one instruction: from the call frame
 * information in .eh_frame, which every object has on x86-64 and arm64 (DWARF 5, section 6.4; the header is
 * described in the Linux Standard Base, "Exception Frames").
 *
 * Why not libgcc's _Unwind_Backtrace: it takes 8 to 10 us for 32 frames, 2 KiB of stack, may call malloc and
 * take locks. Here only the two registers that frames are found by are followed, each rule is found once and
 * kept (stack.h), all memory is read so that a wrong address cannot fault, and there is no lock.
 *
 * Thread-safe and async-signal-safe. No heap; one scratch buffer.
 */
#ifndef LZ_SITES_FRAME_RULE_H
#define LZ_SITES_FRAME_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

/* What an offset is relative to. The canonical frame address (CFA) is the caller's stack pointer. */
enum lz_frame_base {
	LZ_FRAME_UNKNOWN,   /* the caller cannot be found; of a register: it is unchanged */
	LZ_FRAME_UNDEFINED, /* of the return address: this is the outermost frame */
	LZ_FRAME_STACK_POINTER,
	LZ_FRAME_FRAME_POINTER,
	LZ_FRAME_CFA
};

struct lz_frame_rule {
	int32_t cfa_offset, return_offset, pointer_offset;
	uint8_t cfa_base;
	bool cfa_is_loaded;   /* the CFA is the word at that place, not its address */
	uint8_t return_base;  /* where the return address is saved */
	uint8_t pointer_base; /* where the caller's frame pointer is saved */
	bool is_signal_frame; /* the return address is the interrupted instruction, not one after a call */
};

/*
 * Finds the rule at the instruction that contains the address pc. `header` is the address of the object's
 * .eh_frame_hdr (PT_GNU_EH_FRAME). Returns 0; -ENOENT if the object does not describe pc; -EFAULT if it is
 * not readable; -ENOTSUP for a description that is not understood.
 */
int lz_frame_rule_find(const struct lz_os *os, uint64_t header, uint64_t pc, struct lz_frame_rule *rule);

#endif
