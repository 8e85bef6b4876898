/* Accesses to memory that may not be mapped: a load, a store or a memset returns the signal that it raised.
 */
#include "fuzz.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static __thread sigjmp_buf landing;
static __thread volatile sig_atomic_t expected;
static __thread uintptr_t volatile faulted;
static struct sigaction before[2];
static bool caught;

/* A place for a debugger's breakpoint. */
static __attribute__((noinline)) void unexpected(const void *address)
{
	dprintf(STDERR_FILENO, "fuzz: an unexpected fault at %p\n", address);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (expected) {
		faulted = (uintptr_t)info->si_addr;
		siglongjmp(landing, signal);
	}
	unexpected(info->si_addr);
	/* Returning repeats the access, with the handler that was installed before. */
	sigaction(signal, signal == SIGSEGV ? &before[0] : &before[1], NULL);
}

void catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	if (caught)
		return;
	caught = true;
	sigaction(SIGSEGV, &action, &before[0]);
	sigaction(SIGBUS, &action, &before[1]);
}

int load(const void *at, uint64_t *value)
{
	int signal = sigsetjmp(landing, 0);

	if (signal == 0) {
		expected = 1;
		*value = *(const volatile uint64_t *)at;
	} else {
		*value = 0;
	}
	expected = 0;
	return signal;
}

int store(void *at, uint64_t value)
{
	int signal = sigsetjmp(landing, 0);

	if (signal == 0) {
		expected = 1;
		*(volatile uint64_t *)at = value;
	}
	expected = 0;
	return signal;
}

static void clear_by(enum clear_name name, void *at, size_t length)
{
	switch (name) {
	case CLEAR_MEMSET:
		memset(at, 0, length);
		break;
	case CLEAR_BZERO:
		bzero(at, length);
		break;
	case CLEAR_EXPLICIT_BZERO:
		explicit_bzero(at, length);
		break;
	default:
		for (size_t i = 0; i < length; i++)
			((volatile char *)at)[i] = 0;
	}
}

int clear(enum clear_name name, void *at, size_t length, size_t *page)
{
	int signal = sigsetjmp(landing, 0);

	if (signal == 0) {
		expected = 1;
		clear_by(name, at, length);
	}
	expected = 0;
	*page = signal == 0 ? 0 : (faulted - ((uintptr_t)at & -PAGE)) / PAGE;
	return signal;
}
