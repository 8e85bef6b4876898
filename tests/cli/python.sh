#!/bin/sh
# `report`: Python programs. A row names the line of the script; LZ_PYTHONS is a list of further interpreters to be tested.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

[ -f "${LZ_LIBRARY:-}" ] || { echo "no library at $LZ_LIBRARY"; exit 1; }
case $(uname -m) in
x86_64 | aarch64) ;;
*) echo "skipped: stacks are not walked on this machine"; exit 77 ;;
esac
options="--threshold=1M --malloc-threshold=1M --log=none"
export PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1
unset PYTHONPATH PYTHONHOME

# is_known PYTHON: whether its frames can be read; a free-threaded build's cannot.
is_known()
{
	"$1" -c 'import sys, sysconfig
known = sys.implementation.name == "cpython" and (3, 11) <= sys.version_info < (3, 16)
sys.exit(not known or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))' 2> /dev/null
}

pythons=
for python in ${LZ_PYTHON3:-} /usr/bin/python3 python3 python3.11 python3.12 python3.13 python3.14 python3.15 ${LZ_PYTHONS:-}; do
	# pyenv's shims are scripts that start another interpreter.
	python=$("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))' 2> /dev/null) || continue
	case " $pythons " in *" $python "*) ;; *) pythons="$pythons $python" ;; esac
done
[ -n "$pythons" ] || { echo "skipped: python3 is missing"; exit 77; }
# A python to read JSON with.
reader=${pythons# }
reader=${reader%% *}

# rows [mmap]: the function, base name of the file and line of each row of $work/out that has a line, sorted: those of the
# malloc family, or of mmap, with which Python makes its arenas. Two rows may have the same line, if it was reached through
# different code of the interpreter.
rows()
{
	"$reader" -c '
import json, os, sys
text = open(sys.argv[1]).read()
for site in json.loads(text[text.index("{\n"):])["sites"]:
    if site["line"] and site["call"].startswith("mmap") == (len(sys.argv) > 2):
        print(site["function"], os.path.basename(site["file"]), site["line"])' "$work/out" "$@" | sort -u
}

# chain LINE: the functions and lines of Python in the stack of the row of a line, innermost first.
chain()
{
	"$reader" -c '
import json, sys
text = open(sys.argv[1]).read()
for site in json.loads(text[text.index("{\n"):])["sites"]:
    if site["line"] == int(sys.argv[2]) and not site["call"].startswith("mmap"):
        frames = [f for f in site["stack"] if f["file"] and f["file"] == f["module"]]
        print(" ".join("%s:%s" % (f["function"], f["line"]) for f in frames))' "$work/out" "$1"
}

cat > "$work/lines.py" <<'END_OF_PYTHON'
def two():
    a = bytearray(4000000)
    b = bytearray(4000000)
    return a, b

class Table:
    def fill(self):
        return [bytearray(5000000) for _ in range(2)]  # line 8

def generator():
    yield bytearray(6000000)  # line 11

async def coroutine():
    return bytearray(7000000)  # line 14

async def awaits():
    return await coroutine()  # line 17

def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value

kept = [two(), Table().fill(), list(generator()), run(awaits())]
kept.append((lambda: bytearray(
    8000000))())
# 28: a function whose name is not ASCII, and one of several lines.
def größe(
        size):
    return bytearray(
        size)
kept.append(größe(9000000))
exec(compile("\n" * 99 + "made = bytearray(10000000)", "<made>", "exec"))
END_OF_PYTHON

# A recursion while obmalloc maps arenas.
cat > "$work/arenas.py" <<'END_OF_PYTHON'
kept = []
def deep(n):
    held = [object() for _ in range(500)]
    kept.append(held)
    return deep(n - 1) if n else bytearray(3000000)  # line 5
for _ in range(20):
    kept.append(deep(150))
END_OF_PYTHON

# A thread that releases the GIL: ctypes does for the functions of a CDLL. Another thread runs meanwhile.
cat > "$work/threads.py" <<'END_OF_PYTHON'
import ctypes, threading
libc = ctypes.CDLL(None)
libc.calloc.restype = ctypes.c_void_p
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
stop = False
def busy():
    while not stop:
        sum(range(100))
def released():
    for _ in range(20):
        libc.free(ctypes.c_void_p(libc.calloc(1, 4000000)))  # line 11
libc.free.argtypes = [ctypes.c_void_p]
others = [threading.Thread(target=busy) for _ in range(2)]
workers = [threading.Thread(target=released) for _ in range(3)]
for thread in others + workers:
    thread.start()
for thread in workers:
    thread.join()
stop = True
END_OF_PYTHON

# A second interpreter in the same thread, with the GIL and without.
cat > "$work/interpreters.py" <<'END_OF_PYTHON'
import sys
code = """
x = bytearray(4000000)
import ctypes
libc = ctypes.CDLL(None)
libc.calloc.restype = ctypes.c_void_p
y = libc.calloc(1, 5000000)
"""
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters
if sys.version_info >= (3, 13):
    other = interpreters.create("legacy")
else:
    other = interpreters.create(isolated=False)
def enter():
    problem = interpreters.exec(other, code) if sys.version_info >= (3, 13) else interpreters.run_string(other, code)
    if problem:
        print(problem)
enter()  # line 21
z = bytearray(6000000)  # line 22
interpreters.destroy(other)
END_OF_PYTHON

# A thread that Python does not know, and one that calls back into Python.
compile foreign.so -shared -fPIC -O1 -g -pthread <<'END_OF_C' && foreign=1 || foreign=
#include <pthread.h>
#include <stdlib.h>
static void *volatile kept;
static void *ask(void *argument)
{
	(void)argument;
	kept = calloc(1, 4000000); /* line 7 */
	return NULL;
}
void in_thread(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, ask, NULL);
	pthread_join(thread, NULL);
}
void *ask_here(void)
{
	return calloc(1, 5000000); /* line 18 */
}
void call_back(void (*function)(void))
{
	function();
}
END_OF_C
cat > "$work/foreign.py" <<'END_OF_PYTHON'
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])
library.in_thread()
library.ask_here.restype = ctypes.c_void_p
def here():
    return library.ask_here()  # line 6
p = here()
@ctypes.CFUNCTYPE(None)
def called():
    global x
    x = bytearray(6000000)  # line 11
library.call_back(called)
END_OF_PYTHON

cat > "$work/arrays.py" <<'END_OF_PYTHON'
import numpy as np
def two():
    a = np.zeros(500000)
    b = np.zeros(500000)
    return a, b, np.ones(700000)  # line 5
kept = two()
END_OF_PYTHON

# A forked child, whose first large request is made after the parent's.
cat > "$work/fork.py" <<'END_OF_PYTHON'
import os, sys
kept = bytearray(4000000)
child = os.fork()
if child == 0:
    def work():
        return bytearray(5000000)  # line 6
    kept = work()
    sys.exit(0)
os.waitpid(child, 0)
END_OF_PYTHON

test_python()
{
	python=$1
	version=$("$python" -c 'import platform; print(platform.python_version())')
	echo "$python: $version"

	run report $options --json --all -- "$python" "$work/lines.py"
	expect "$version: the lines" "<lambda> lines.py 26
<module> <made> 100
Table.fill lines.py 8
coroutine lines.py 14
generator lines.py 11
größe lines.py 31
two lines.py 2
two lines.py 3" "$(rows | sed 's/^Table.fill.<locals>.<listcomp>/Table.fill/' | sort -u)"
	expect "$version: the chain of a method" "two:2 <module>:25" "$(chain 2 | head -n 1)"
	expect "$version: the chain of a generator" "generator:11 <module>:25" "$(chain 11)"
	expect "$version: the chain of a coroutine" "coroutine:14 awaits:17 run:21 <module>:25" "$(chain 14)"
	run report $options --all --width=200 -- "$python" "$work/lines.py"
	expect_no_match "$version: a note on what is not read" '^Frames of' "$work/out"
	expect_match "$version: a row" ' two (lines.py:3)$' "$work/out"
	expect_match "$version: the callers" '^ *called by awaits (lines.py:17) < run (lines.py:21) < ' "$work/out"
	run report $options --folded -- "$python" "$work/lines.py"
	expect_match "$version: folded stacks" ';<module> (lines.py:25);.*two (lines.py:2);.*\] [0-9]*$' "$work/out"
	run report $options --by=module -- "$python" "$work/lines.py"
	expect_match "$version: by module" ' lines.py$' "$work/out"
	run report $options --html="$work/lines.html" -- "$python" "$work/lines.py"
	expect_match "$version: the page" 'two (lines.py:3)' "$work/lines.html"
	run report $options --json --all --skip=two,lines.py -- "$python" "$work/lines.py"
	expect "$version: a file that is skipped" "<module> <made> 100" "$(rows | grep -v lines.py)"

	# A program on standard input, and one on the command line.
	run report $options --json -- "$python" -c 'x = bytearray(4000000)
y = bytearray(4000000)'
	expect "$version: -c" "<module> <string> 1
<module> <string> 2" "$(rows)"
	run report $options --json -- "$python" < "$work/arenas.py"
	expect "$version: standard input" "deep <stdin> 5" "$(rows)"

	run report $options --threshold=64K --malloc-threshold=64K --json --all -- "$python" "$work/arenas.py"
	expect "$version: status while arenas are mapped" 0 "$status"
	expect "$version: a deep recursion" 1 "$(rows | grep -c '^deep arenas.py 5')"
	expect "$version: arenas" 1 "$(rows mmap | grep -c '^deep.* arenas.py 3$')"
	expect "$version: the innermost 24 frames" "$(yes deep:5 | head -n 24 | paste -s -d ' ' -)" "$(chain 5 | head -n 1)"

	rm -rf "$work/forks"
	mkdir "$work/forks"
	run run --report="$work/forks/" $options --summary=none "$python" "$work/fork.py"
	run report --json "$work/forks"
	expect "$version: a forked child" "<module> fork.py 2
work fork.py 6" "$(rows)"

	run report $options --json --all -- "$python" "$work/threads.py"
	expect "$version: threads without the GIL" "released threads.py 11" "$(rows)"

	run report $options --json --all -- "$python" "$work/interpreters.py"
	expect "$version: status with two interpreters" 0 "$status"
	expect_match "$version: the first interpreter's own" '"line": 22' "$work/out"
	# In 3.11 the thread state is the first interpreter's, whose frames must not be taken for the second's.
	expect "$version: the other interpreter" "$(case $version in 3.11.*) ;; *) printf '<module> <script> 2\n<module> <script> 6\n' ;; esac)" \
		"$(rows | grep '^<' | grep -v 'interpreters.py 22' | sed 's/<string>/<script>/')"

	if [ -n "$foreign" ]; then
		run report $options --json --all -- "$python" "$work/foreign.py" "$work/foreign.so"
		expect "$version: code in C" "ask foreign.so.c 7
ask_here foreign.so.c 18
called foreign.py 11" "$(rows)"
		expect "$version: a thread that Python does not know" "" "$(chain 7)"
		expect "$version: the caller of C" "here:6 <module>:7" "$(chain 18)"
		expect "$version: called back from C" "called:11 <module>:12" "$(chain 11)"
	fi

	if "$python" -c 'import numpy' 2> /dev/null; then
		run report $options --json --all -- "$python" "$work/arrays.py"
		expect "$version: numpy" "two arrays.py 3
two arrays.py 4
two arrays.py 5" "$(rows)"
	else
		echo "skipped: numpy for $version is missing"
	fi
}

tested=
for python in $pythons; do
	if is_known "$python"; then
		test_python "$python"
		tested=1
	else
		# Another version: the native stack, nothing worse.
		run report $options --json --all -- "$python" "$work/lines.py"
		expect "$python: status" 0 "$status"
		expect_no_match "$python: no line of a script" '"file": ".*lines.py"' "$work/out"
		run report $options -- "$python" "$work/lines.py"
		expect_match "$python: a note" '^Frames of Python (other than CPython 3.11 to 3.15) are not read' "$work/out"
	fi
done
[ -n "$tested" ] || { echo "skipped: no CPython 3.11 to 3.15"; exit 77; }
finish
