#!/bin/sh
# A program with another C library that inherits LD_PRELOAD starts, and its large blocks are served.
. "$LZ_SRCDIR/tests/suites/lib.sh"
need musl-gcc musl-tools
cat >"$work/program.c" <<'END_OF_C'
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define MIB ((size_t)1 << 20)
static void *in_thread(void *unused)
{
	char *p = calloc(1, 70 * MIB);
	p[MIB] = 2;
	p = realloc(p, 140 * MIB);
	printf("thread: %d %d\n", p[MIB], p[100 * MIB]);
	free(p);
	return unused;
}
int main(void)
{
	pthread_t thread;
	void *aligned = NULL;
	char *p = calloc(1, 64 * MIB), *q = malloc(40 * MIB), *m;
	p[MIB] = 1;
	memset(q, 3, 40 * MIB);
	printf("main: %d %d %d\n", p[MIB], p[2 * MIB], q[39 * MIB]);
	free(p);
	free(q);
	errno = 0;
	m = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m = mremap(m, 64 * MIB, 80 * MIB, MREMAP_MAYMOVE);
	m[79 * MIB] = 4;
	printf("mapped: %d", m[79 * MIB]);
	printf(" %d", madvise(m, 80 * MIB, MADV_DONTNEED));
	printf(" %d", m[79 * MIB]);
	printf(" %d\n", munmap(m, 80 * MIB));
	printf("aligned: %d\n", posix_memalign(&aligned, 65536, 50 * MIB));
	free(aligned);
	printf("calls: %d %d %d\n", syscall(SYS_getpid) == getpid(), (int)syscall(SYS_close, -1) == -1 && errno == EBADF,
		prctl(PR_SET_NAME, "musl", 0, 0, 0));
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	fflush(stdout);
	if (fork() == 0) {
		in_thread(NULL);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	return 0;
}
END_OF_C
musl-gcc -O1 -fno-builtin -o "$work/program" "$work/program.c" >"$work/cc.log" 2>&1 ||
  { echo "skipped: musl-gcc does not build a program: $(head -n 1 "$work/cc.log")"; exit 77; }
run_with '' alone "$work/program"
grep -qx 'status 0' "$work/alone" || { echo 'skipped: a musl program does not run bare'; exit 77; }
for setting in LAZYZERO_LOG=none LAZYZERO_BACKING=window LAZYZERO_DISABLE=1 LAZYZERO_CACHE=0; do
  run_with "$LZ_LIBRARY" both env LAZYZERO_LOG=none $setting "$work/program"
  same "a musl program with $setting" alone both
done
# The library is active in it; error names that musl lacks are left out of messages.
run_with "$LZ_LIBRARY" both env LAZYZERO_BUDGET=4K LAZYZERO_STATS=/nowhere/at/all "$work/program"
grep -q 'served calloc(67108864).*from program+0x' "$work/both" || { fail 'no message in a musl program'; cat "$work/both"; }
grep -q 'no statistics: cannot write' "$work/both" || { fail 'no message of an error'; cat "$work/both"; }
exit $failed
