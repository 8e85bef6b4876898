#!/bin/sh
# Programs in which the library cannot or must not act: statically linked, set-user-ID, with a sanitizer.
# Preloaded, they behave as without it, and `lazyzero run` says why it has no effect.
. "$LZ_SRCDIR/tests/suites/lib.sh"
need "$CC" gcc

# Prints whether the library is mapped, uses large memory, and exits with status 5. Memory that is referenced
# only from a large block must not be reported as a leak.
cat >"$work/program.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static void ***keep;
int main(void)
{
	char line[4096];
	FILE *maps = fopen("/proc/self/maps", "r");
	int mapped = 0;
	char *zeros = calloc(1, 64 << 20), *grown = realloc(malloc(100), 40 << 20);
	char *memory = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
		mapped |= strstr(line, "liblazyzero") != NULL;
	if (maps != NULL)
		fclose(maps);
	keep = calloc(8 << 20, sizeof *keep);
	for (int i = 0; i < 1000; i++)
		keep[i * 8000] = malloc(1000);
	zeros[12345] = 1;
	memset(grown, 2, 40 << 20);
	memory[1 << 20] = 3;
	printf("%d %d %d %d\n", mapped, zeros[12345] + zeros[12346], grown[39 << 20], memory[1 << 20] + memory[0]);
	free(zeros);
	free(grown);
	munmap(memory, 64 << 20);
	return 5;
}
END

# made NAME FLAGS...: whether the program can be built, and works without lazyzero.
made() {
  name=$1
  shift
  if $CC -g -fno-builtin -o "$work/$name" "$work/program.c" "$@" >"$work/cc.log" 2>&1; then
    run_with '' bare "$work/$name"
    grep -qx 'status 5' "$work/bare" && return
  fi
  echo "not tested: a $name program ($(head -n 1 "$work/cc.log" "$work/bare" 2>/dev/null | tail -n 1))"
  return 1
}

# says NAME PATTERN: the command runs the program as without lazyzero, and prints the message once.
says() {
  run_with '' run "$LZ_COMMAND" run --summary=none -- "$work/$1"
  [ "$(grep -c "^lazyzero: warning: .*$2" "$work/run")" = 1 ] || { fail "run $1 does not say \"$2\""; cat "$work/run"; }
  grep -v '^lazyzero: warning' "$work/run" >"$work/rest"
  same "$1 under the command" bare rest
}

for flag in static static-pie; do
  made $flag -$flag || continue
  run_with "$LZ_LIBRARY" preloaded "$work/$flag"
  same "$flag" bare preloaded
  says $flag 'statically linked'
done

made dynamic || fail 'a plain program'
run_with "$LZ_LIBRARY" preloaded "$work/dynamic"
grep -q '^1 ' "$work/preloaded" || fail 'in a plain program the library is not seen'
if [ "$(id -u)" -eq 0 ] && ! grep -q 'NoNewPrivs:.*1' /proc/self/status; then
  chown 65534 "$work/dynamic" && chmod 4755 "$work/dynamic"
  run_with '' set-user-ID-bare "$work/dynamic"
  run_with "$LZ_LIBRARY" preloaded env LAZYZERO_BUDGET=4K LAZYZERO_LOG="$work/followed" "$work/dynamic"
  # On a file system that ignores set-user-ID, it is a plain program.
  if grep -q '^0 ' "$work/preloaded"; then
    sed '/^ERROR: ld.so/d' "$work/preloaded" >"$work/rest"
    same 'set-user-ID' set-user-ID-bare rest
    [ ! -e "$work/followed" ] || fail 'a set-user-ID program wrote a log to the file that its caller named'
    cp "$work/set-user-ID-bare" "$work/bare"
    says dynamic 'set-user-ID'
  else
    echo 'not tested: set-user-ID, which has no effect here'
  fi
else
  echo 'not tested: a set-user-ID program (not root)'
fi

# With gcc, AddressSanitizer must come first in the process and says so itself. The others work, without false
# reports.
for pair in address:AddressSanitizer thread:ThreadSanitizer leak:LeakSanitizer; do
  kind=${pair%:*}
  made "$kind" -fsanitize="$kind" || continue
  runtime=$(ldd "$work/$kind" | awk '/lib[a-z]san/ { print $3 }')
  run_with "$LZ_LIBRARY" preloaded "$work/$kind"
  # As its message says: preload the runtime first.
  ! grep -q 'runtime does not come first' "$work/preloaded" ||
    run_with "$runtime $LZ_LIBRARY" preloaded "$work/$kind"
  [ "$(grep -c "^lazyzero.*built with ${pair#*:}.*lazyzero is inactive" "$work/preloaded")" = 1 ] ||
    { fail "$kind: no message says that lazyzero is inactive"; cat "$work/preloaded"; }
  sed -e '/^lazyzero/d' -e 's/^1 /0 /' "$work/preloaded" >"$work/rest"
  same "with -fsanitize=$kind" bare rest
  says "$kind" "built with ${pair#*:}"
done
exit $failed
