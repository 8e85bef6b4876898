/*
 * syscall(2), for calls that share pages with the kernel and that many programs make by number
 * (interpose_zerocopy.c). io_uring_register, seccomp and userfaultfd have no other name in libc.
 *
 * The interposer must be transparent for every number: clone may return on another stack, and vfork returns
 * twice on the same one. So it is written in assembler: it compares the number, changes neither the stack nor
 * an argument register, and jumps to the next definition, which sees the caller's frame. Only for the numbers
 * of interest a function is called first.
 *
 * The pointer that it jumps through initially points to a plain system call; start-up stores the next
 * definition's address. On machines without code here, syscall is not interposed.
 */
#include "shim/interpose_syscall.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "os/raw_syscall.h"
#include "shim/interpose.h"
#include "shim/shim.h"

#ifdef LZ_HAVE_RAW_SYSCALL

/* The name may be a macro: a test builds this file with other names. */
#define TEXT(name) TEXT_OF(name)
#define TEXT_OF(name) #name

#pragma GCC visibility push(hidden)
extern void lz_syscall_direct(void);
void *lz_syscall_next = (void *)lz_syscall_direct;
void lz_syscall_before(long number, long a, long b, long c);
long lz_syscall_failed(int error);
#pragma GCC visibility pop

__attribute__((used)) void lz_syscall_before(long number, long a, long b, long c)
{
	if (!is_active())
		return;
	if (number == SYS_seccomp || number == SYS_prctl) {
		if (number == SYS_seccomp || lz_prctl_restricts_syscalls((int)a))
			lz_deactivate();
	} else if (number == SYS_userfaultfd) {
		lz_calls_stop_zeroing(&lz_core.calls);
	} else if (number != SYS_setsockopt || ((int)b == SOL_SOCKET && (int)c == SO_ZEROCOPY)) {
		lz_calls_before_kernel_keeps_pages(&lz_core.calls);
	}
}

__attribute__((used)) long lz_syscall_failed(int error)
{
	errno = error;
	return -1;
}

void lz_syscall_find(void)
{
	void *next = dlsym(RTLD_NEXT, "syscall");

	if (next != NULL)
		__atomic_store_n(&lz_syscall_next, next, __ATOMIC_RELEASE);
}

/* clang-format indents each line of assembler by the length of the one before. */
/* clang-format off */
#ifdef __x86_64__
__asm__(".text\n"
	".p2align 4\n"
	".globl " TEXT(syscall) "\n"
	".type " TEXT(syscall) ", @function\n"
	TEXT(syscall) ":\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	cmpq $" TEXT(SYS_io_uring_register) ", %rdi\n"
	"	je 1f\n"
	"	cmpq $" TEXT(SYS_vmsplice) ", %rdi\n"
	"	je 1f\n"
	"	cmpq $" TEXT(SYS_setsockopt) ", %rdi\n"
	"	je 1f\n"
	"	cmpq $" TEXT(SYS_seccomp) ", %rdi\n"
	"	je 1f\n"
	"	cmpq $" TEXT(SYS_prctl) ", %rdi\n"
	"	je 1f\n"
	"	cmpq $" TEXT(SYS_userfaultfd) ", %rdi\n"
	"	je 1f\n"
	"	jmp *lz_syscall_next(%rip)\n"
	/*
	 * Saves all registers that may hold an argument; al is the count of vector registers. Seven pushes
	 * keep the stack aligned.
	 */
	"1:	pushq %rdi\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rsi\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rdx\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rcx\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r8\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %r9\n	.cfi_adjust_cfa_offset 8\n"
	"	pushq %rax\n	.cfi_adjust_cfa_offset 8\n"
	"	call lz_syscall_before\n"
	"	popq %rax\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %r9\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %r8\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rcx\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdx\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rsi\n	.cfi_adjust_cfa_offset -8\n"
	"	popq %rdi\n	.cfi_adjust_cfa_offset -8\n"
	"	jmp *lz_syscall_next(%rip)\n"
	"	.cfi_endproc\n"
	".size " TEXT(syscall) ", . - " TEXT(syscall) "\n"
	/* Moves the arguments to the registers of the kernel's convention; the last one is on the stack. */
	".p2align 4\n"
	".globl lz_syscall_direct\n"
	".hidden lz_syscall_direct\n"
	".type lz_syscall_direct, @function\n"
	"lz_syscall_direct:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	movq %rcx, %rdx\n"
	"	movq %r8, %r10\n"
	"	movq %r9, %r8\n"
	"	movq 8(%rsp), %r9\n"
	"	syscall\n"
	"	cmpq $-4095, %rax\n"
	"	jae 2f\n"
	"	ret\n"
	"2:	movl %eax, %edi\n"
	"	negl %edi\n"
	"	jmp lz_syscall_failed\n"
	"	.cfi_endproc\n"
	".size lz_syscall_direct, . - lz_syscall_direct\n");
#else
/* "hint 34" is "bti c", which older assemblers do not know. */
__asm__(".text\n"
	".p2align 4\n"
	".globl " TEXT(syscall) "\n"
	".type " TEXT(syscall) ", %function\n"
	TEXT(syscall) ":\n"
	"	.cfi_startproc\n"
	"	hint 34\n"
	"	cmp x0, " TEXT(SYS_io_uring_register) "\n"
	"	b.eq 1f\n"
	"	cmp x0, " TEXT(SYS_vmsplice) "\n"
	"	b.eq 1f\n"
	"	cmp x0, " TEXT(SYS_setsockopt) "\n"
	"	b.eq 1f\n"
	"	cmp x0, " TEXT(SYS_seccomp) "\n"
	"	b.eq 1f\n"
	"	cmp x0, " TEXT(SYS_prctl) "\n"
	"	b.eq 1f\n"
	"	mov x16, " TEXT(SYS_userfaultfd) "\n"
	"	cmp x0, x16\n"
	"	b.eq 1f\n"
	"3:	adrp x16, lz_syscall_next\n"
	"	ldr x16, [x16, :lo12:lz_syscall_next]\n"
	"	br x16\n"
	"1:	stp x29, x30, [sp, -80]!\n"
	"	.cfi_def_cfa_offset 80\n"
	"	.cfi_offset 29, -80\n"
	"	.cfi_offset 30, -72\n"
	"	stp x0, x1, [sp, 16]\n"
	"	stp x2, x3, [sp, 32]\n"
	"	stp x4, x5, [sp, 48]\n"
	"	stp x6, x7, [sp, 64]\n"
	"	bl lz_syscall_before\n"
	"	ldp x0, x1, [sp, 16]\n"
	"	ldp x2, x3, [sp, 32]\n"
	"	ldp x4, x5, [sp, 48]\n"
	"	ldp x6, x7, [sp, 64]\n"
	"	ldp x29, x30, [sp], 80\n"
	"	.cfi_def_cfa_offset 0\n"
	"	.cfi_restore 29\n"
	"	.cfi_restore 30\n"
	"	b 3b\n"
	"	.cfi_endproc\n"
	".size " TEXT(syscall) ", . - " TEXT(syscall) "\n"
	".p2align 4\n"
	".globl lz_syscall_direct\n"
	".hidden lz_syscall_direct\n"
	".type lz_syscall_direct, %function\n"
	"lz_syscall_direct:\n"
	"	.cfi_startproc\n"
	"	hint 34\n"
	"	mov x8, x0\n"
	"	mov x0, x1\n"
	"	mov x1, x2\n"
	"	mov x2, x3\n"
	"	mov x3, x4\n"
	"	mov x4, x5\n"
	"	mov x5, x6\n"
	"	svc 0\n"
	"	cmn x0, 4095\n"
	"	b.cs 2f\n"
	"	ret\n"
	"2:	neg w0, w0\n"
	"	b lz_syscall_failed\n"
	"	.cfi_endproc\n"
	".size lz_syscall_direct, . - lz_syscall_direct\n");
#endif
/* clang-format on */

#else
void lz_syscall_find(void)
{
}
#endif
