/* Passing system calls on to the next definition; see next_calls.h. */
#include "shim/next_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/interpose.h"

/* --- direct system calls --- */

#define PASS(number, a, b, c, d, e, f)                                                                       \
	lz_os_linux.any_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static void *direct_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return pointer_result(lz_os_linux.mmap(address, length, protection, flags, fd, offset));
}

static int direct_munmap(void *address, size_t length)
{
	return int_result(lz_os_linux.munmap(address, length));
}

static void *direct_mremap(void *address, size_t old_length, size_t new_length, int flags, ...)
{
	void *target;
	va_list arguments;

	va_start(arguments, flags);
	target = va_arg(arguments, void *);
	va_end(arguments);
	return pointer_result(lz_os_linux.mremap(address, old_length, new_length, flags, target));
}

static int direct_mprotect(void *address, size_t length, int protection)
{
	return int_result(lz_os_linux.mprotect(address, length, protection));
}

static int direct_madvise(void *address, size_t length, int advice)
{
	return int_result(lz_os_linux.madvise(address, length, advice));
}

static int direct_mincore(void *address, size_t length, unsigned char *pages)
{
	return int_result(lz_os_linux.mincore(address, length, pages));
}

/* On machines with a zero window, libc adds nothing to the system call. */
static int direct_ioctl(int fd, unsigned long request, ...)
{
	void *argument;
	va_list arguments;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return int_result(lz_os_linux.ioctl(fd, request, argument));
}

static void *direct_shmat(int id, const void *address, int flags)
{
	return pointer_result(lz_os_linux.shmat(id, address, flags));
}

static int direct_shmdt(const void *address)
{
	return int_result(lz_os_linux.shmdt(address));
}

static int direct_pkey_mprotect(void *address, size_t length, int protection, int key)
{
	return int_result(PASS(SYS_pkey_mprotect, address, length, protection, key, 0, 0));
}

static int direct_mlock(const void *address, size_t length)
{
	return int_result(PASS(SYS_mlock, address, length, 0, 0, 0, 0));
}

static int direct_mlock2(const void *address, size_t length, unsigned flags)
{
	/* A kernel without mlock2 has mlock. */
	return flags == 0 ? direct_mlock(address, length)
			  : int_result(PASS(SYS_mlock2, address, length, flags, 0, 0, 0));
}

static int direct_mlockall(int flags)
{
	return int_result(PASS(SYS_mlockall, flags, 0, 0, 0, 0, 0));
}

/* On 64-bit machines struct rlimit and struct rlimit64 are the same type. */
static int direct_prlimit(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit *changed, struct rlimit *found)
{
	return int_result(PASS(SYS_prlimit64, pid, resource, changed, found, 0, 0));
}

static int direct_prlimit64(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *changed, struct rlimit64 *found)
{
	return int_result(PASS(SYS_prlimit64, pid, resource, changed, found, 0, 0));
}

static int direct_setrlimit(__rlimit_resource_t resource, const struct rlimit *changed)
{
	return direct_prlimit(0, resource, changed, NULL);
}

static int direct_setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *changed)
{
	return direct_prlimit64(0, resource, changed, NULL);
}

static int direct_prctl(int option, ...)
{
	unsigned long argument[4];
	va_list arguments;

	va_start(arguments, option);
	for (int i = 0; i < 4; i++)
		argument[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	return int_result(PASS(SYS_prctl, option, argument[0], argument[1], argument[2], argument[3], 0));
}

static int direct_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	return int_result(PASS(SYS_setsockopt, fd, level, option, value, length, 0));
}

static ssize_t direct_vmsplice(int fd, const struct iovec *ranges, size_t count, unsigned flags)
{
	return long_result(PASS(SYS_vmsplice, fd, ranges, count, flags, 0, 0));
}

struct lz_next_calls lz_next_calls = {
	.mmap = direct_mmap,
	.mmap64 = direct_mmap,
	.munmap = direct_munmap,
	.mremap = direct_mremap,
	.mprotect = direct_mprotect,
	.madvise = direct_madvise,
	.mincore = direct_mincore,
	.ioctl = direct_ioctl,
	.shmat = direct_shmat,
	.shmdt = direct_shmdt,
	.pkey_mprotect = direct_pkey_mprotect,
	.mlock = direct_mlock,
	.mlock2 = direct_mlock2,
	.mlockall = direct_mlockall,
	.setrlimit = direct_setrlimit,
	.setrlimit64 = direct_setrlimit64,
	.prlimit = direct_prlimit,
	.prlimit64 = direct_prlimit64,
	.prctl = direct_prctl,
	.setsockopt = direct_setsockopt,
	.vmsplice = direct_vmsplice,
};

/* --- finding the next definitions --- */

static void find(const char *name, void **entry)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function != NULL)
		*entry = function;
}

/* dlsym returns an object pointer; POSIX allows calling it. */
#define FIND(name) find(#name, (void **)&found.name)

void lz_next_calls_find(void)
{
	struct lz_next_calls found = lz_next_calls;

	FIND(mmap);
	FIND(mmap64);
	FIND(munmap);
	FIND(mremap);
	FIND(mprotect);
	FIND(madvise);
	FIND(mincore);
	FIND(ioctl);
	FIND(shmat);
	FIND(shmdt);
	FIND(pkey_mprotect);
	FIND(mlock);
	FIND(mlock2);
	FIND(mlockall);
	FIND(setrlimit);
	FIND(setrlimit64);
	FIND(prlimit);
	FIND(prlimit64);
	FIND(prctl);
	FIND(setsockopt);
	FIND(vmsplice);
	lz_next_calls = found;
}

/* --- the os table for the core --- */

/* Initial-exec, because allocating a TLS block lazily would call malloc. */
static __thread enum lz_called_as called_as __attribute__((tls_model("initial-exec")));

enum lz_called_as lz_next_calls_set_name(enum lz_called_as name)
{
	enum lz_called_as before = called_as;

	called_as = name;
	return before;
}

/* The -errno of a failed call. A library may have left an invalid value in errno. */
static int failure(void)
{
	return errno > 0 && errno < 4096 ? -errno : -EINVAL;
}

/*
 * Makes a call and converts its result to 0, an address or -errno; errno is preserved, because a library may
 * change it.
 */
#define PASSED(type, call, failed)                                                                           \
	({                                                                                                   \
		int saved_errno = errno;                                                                     \
		__typeof__(call) answered = (call);                                                          \
		type passed = answered == (failed) ? (type)failure() : (type)answered;                       \
		errno = saved_errno;                                                                         \
		passed;                                                                                      \
	})

static intptr_t next_mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)
{
	/* Calls made from within the next definition have a name of their own. */
	enum lz_called_as name = lz_next_calls_set_name(LZ_CALLED_BY_STANDARD_NAME);
	void *(*map)(void *, size_t, int, int, int, off64_t) =
		name == LZ_CALLED_AS_MMAP64 ? lz_next_calls.mmap64 : lz_next_calls.mmap;
	intptr_t result = PASSED(intptr_t, map(address, length, protection, flags, fd, offset), MAP_FAILED);

	lz_next_calls_set_name(name);
	return result;
}

static int next_munmap(void *address, size_t length)
{
	return PASSED(int, lz_next_calls.munmap(address, length), -1);
}

static intptr_t next_mremap(void *address, size_t old_length, size_t new_length, int flags, void *target)
{
	return PASSED(
		intptr_t, lz_next_calls.mremap(address, old_length, new_length, flags, target), MAP_FAILED);
}

static int next_mprotect(void *address, size_t length, int protection)
{
	enum lz_called_as name = lz_next_calls_set_name(LZ_CALLED_BY_STANDARD_NAME);
	int error = name == LZ_CALLED_AS_PKEY_MPROTECT
			    ? PASSED(int, lz_next_calls.pkey_mprotect(address, length, protection, -1), -1)
			    : PASSED(int, lz_next_calls.mprotect(address, length, protection), -1);

	lz_next_calls_set_name(name);
	return error;
}

static int next_madvise(void *address, size_t length, int advice)
{
	return PASSED(int, lz_next_calls.madvise(address, length, advice), -1);
}

static int next_mincore(void *address, size_t length, unsigned char *pages)
{
	return PASSED(int, lz_next_calls.mincore(address, length, pages), -1);
}

static int next_mlock(void *address, size_t length)
{
	return PASSED(int, lz_next_calls.mlock(address, length), -1);
}

static int next_ioctl(int fd, unsigned long request, void *argument)
{
	return PASSED(int, lz_next_calls.ioctl(fd, request, argument), -1);
}

static intptr_t next_shmat(int id, const void *address, int flags)
{
	return PASSED(intptr_t, lz_next_calls.shmat(id, address, flags), MAP_FAILED);
}

static int next_shmdt(const void *address)
{
	return PASSED(int, lz_next_calls.shmdt(address), -1);
}

/* System calls that the core makes by number on behalf of the program. */
static long next_pass(long number, long a, long b, long c, long d, long e, long f)
{
	__typeof__(lz_next_calls.mbind) next_mbind = __atomic_load_n(&lz_next_calls.mbind, __ATOMIC_RELAXED);
	__typeof__(lz_next_calls.process_madvise) next_process_madvise =
		__atomic_load_n(&lz_next_calls.process_madvise, __ATOMIC_RELAXED);

	if (number == SYS_pkey_mprotect)
		return PASSED(int, lz_next_calls.pkey_mprotect((void *)a, (size_t)b, (int)c, (int)d), -1);
	if (number == SYS_mbind && next_mbind != NULL)
		return PASSED(long,
			next_mbind((void *)a, (unsigned long)b, (int)c, (const unsigned long *)d,
				(unsigned long)e, (unsigned)f),
			-1);
	if (number == SYS_process_madvise && next_process_madvise != NULL)
		return PASSED(long,
			next_process_madvise((int)a, (const struct iovec *)b, (size_t)c, (int)d, (unsigned)e),
			-1);
	return lz_os_linux.any_syscall(number, a, b, c, d, e, f);
}

const struct lz_os *lz_next_calls_os(void)
{
	static struct lz_os os;

	os = lz_os_linux;
	os.mmap = next_mmap;
	os.munmap = next_munmap;
	os.mremap = next_mremap;
	os.mprotect = next_mprotect;
	os.madvise = next_madvise;
	os.mincore = next_mincore;
	os.mlock = next_mlock;
	os.ioctl = next_ioctl;
	os.shmat = next_shmat;
	os.shmdt = next_shmdt;
	os.any_syscall = next_pass;
	return &os;
}
