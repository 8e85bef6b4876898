/*
 * Makes a system call with an inline instruction. libc's syscall(2) is an ordinary symbol: this library
 * interposes it, and another preloaded library may do so, too. System calls of lazyzero itself must reach
 * neither.
 *
 * On architectures without an implementation here, LZ_HAVE_RAW_SYSCALL is not defined; lazyzero then uses
 * libc's syscall(2) and does not interpose it.
 */
#ifndef LZ_OS_RAW_SYSCALL_H
#define LZ_OS_RAW_SYSCALL_H

#if defined(__x86_64__) && !defined(__ILP32__)
#define LZ_HAVE_RAW_SYSCALL 1

/* Returns the kernel's result, or -errno. */
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
