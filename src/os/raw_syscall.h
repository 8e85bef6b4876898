/*
 * A system call made right here. libc's syscall(2) is a name like any other: this library interposes it, and
 * so may another preload; what lazyzero asks the kernel for itself must reach neither.
 *
 * On machines that have no code here, LZ_HAVE_RAW_SYSCALL is not defined; libc's syscall is used there, and
 * is not interposed.
 */
#ifndef LZ_OS_RAW_SYSCALL_H
#define LZ_OS_RAW_SYSCALL_H

#if defined(__x86_64__) && !defined(__ILP32__)
#define LZ_HAVE_RAW_SYSCALL 1

/* The kernel's own answer: a result, or -errno. */
static inline long lz_raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__) && !defined(__ILP32__)
#define LZ_HAVE_RAW_SYSCALL 1

static inline long lz_raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}
#endif

#endif
