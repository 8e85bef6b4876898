# `run` and signals: signals sent to the command, signals that kill the program, the initial mask and dispositions.

# In the background SIGINT is ignored, and a shell cannot trap a signal that was ignored when it started. Start again
# with default dispositions.
if [ -z "${LZ_SIGNALS_RESET:-}" ] && env --default-signal true 2> /dev/null; then
	exec timeout --foreground 120 env --default-signal LZ_SIGNALS_RESET=1 sh "$0"
fi
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

# If a signal kills the program, the command is killed by it as well, and a shell shows 128 + its number.
for pair in TERM:15 KILL:9 SEGV:11 INT:2 QUIT:3 ABRT:6 HUP:1 SYS:31; do
	signal=${pair%:*} number=${pair#*:}
	run run sh -c "kill -$signal \$\$"
	expect "status after SIG$signal" $((128 + number)) "$status"
	expect_match "summary after SIG$signal" "^lazyzero: sh was killed by SIG$signal after" "$work/err"
done
expect_match "cause of SIGSYS" "SIGSYS: a seccomp filter may deny" "$work/err"
if command -v python3 > /dev/null; then
	python3 - "$LZ_COMMAND" <<'END' || fail "killed by the signal of the program"
import subprocess, sys
run = subprocess.run([sys.argv[1], "run", "sh", "-c", "kill -TERM $$"], stderr=subprocess.DEVNULL)
assert run.returncode == -15, run.returncode
END
fi

# wait_for FILE TEXT: waits until the file contains the text, at most 5 seconds.
wait_for()
{
	tries=0
	until grep -q "$2" "$1" 2> /dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.05
	done
}

# Signals sent to the command are forwarded to the program.
# (INT and QUIT are tested below, since a shell ignores them in background jobs.)
for signal in TERM HUP USR1 USR2 WINCH ALRM; do
	: > "$work/out"
	"$LZ_COMMAND" run sh -c "trap 'echo got $signal; exit 42' $signal; echo ready; while :; do sleep 0.02; done" \
		> "$work/out" 2> "$work/err" &
	pid=$!
	wait_for "$work/out" ready || fail "the program did not start"
	kill -$signal $pid
	wait_for "$work/out" "got $signal" || { fail "SIG$signal was not forwarded"; kill -9 $pid; }
	status=0
	wait $pid || status=$?
	expect "status after a handled SIG$signal" 42 "$status"
done

# Without a trap it ends both.
: > "$work/out"
"$LZ_COMMAND" run sh -c 'echo ready; exec sleep 30' > "$work/out" 2> "$work/err" &
pid=$!
wait_for "$work/out" ready
kill -TERM $pid
status=0
wait $pid || status=$?
expect "status after SIGTERM" 143 "$status"

command -v python3 > /dev/null || { echo "skipped: masks, dispositions, terminals (no python3)"; finish; }

# The program starts with the signal mask and dispositions of the command.
python3 - "$LZ_COMMAND" <<'END' || fail "mask and dispositions"
import os, signal, subprocess, sys
show = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]
def prepare():
	signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR1, signal.SIGTERM])
	for number in range(1, 32):
		if number not in (9, 19):
			signal.signal(number, signal.SIG_DFL)
	signal.signal(signal.SIGCHLD, signal.SIG_IGN)
	signal.signal(signal.SIGINT, signal.SIG_IGN)
for preparation in (None, prepare):
	bare = subprocess.run(show, preexec_fn=preparation, stdout=subprocess.PIPE).stdout
	for form in ("text", "none"):
		ours = subprocess.run([sys.argv[1], "run", "--summary=" + form] + show, preexec_fn=preparation,
			stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
		assert ours.stdout == bare and ours.returncode == 0, (form, bare, ours)
END

# INT and QUIT are forwarded if a process sent them, but not if the terminal did.
python3 - "$LZ_COMMAND" <<'END' || fail "INT and QUIT from a process"
import signal, subprocess, sys
for name in ("INT", "QUIT"):
	script = "trap 'echo got; exit 42' %s; echo ready; while :; do sleep 0.02; done" % name
	with subprocess.Popen([sys.argv[1], "run", "sh", "-c", script], stdout=subprocess.PIPE,
			stderr=subprocess.DEVNULL) as process:
		assert process.stdout.readline() == b"ready\n"
		process.send_signal(getattr(signal, "SIG" + name))
		assert process.stdout.readline() == b"got\n"
		assert process.wait(10) == 42
END

# On a terminal: one Ctrl-C is one SIGINT, and the command waits for a program that handles it. Ctrl-Z stops both, and
# the job can be continued. If the program stops itself, the command stops as well.
python3 - "$LZ_COMMAND" <<'END' || fail "on a terminal"
import os, pty, signal, sys, time
def start(script):
	pid, terminal = pty.fork()
	if pid:
		return pid, terminal
	# A session leader in the foreground with the job in a process group of its own, as under a shell.
	job = os.fork()
	if job == 0:
		os.setpgid(0, 0)
		signal.signal(signal.SIGTTOU, signal.SIG_IGN)
		os.tcsetpgrp(0, os.getpid())
		signal.signal(signal.SIGTTOU, signal.SIG_DFL)
		os.execv(sys.argv[1], [sys.argv[1], "run", "sh", "-c", script])
	while True:
		_, status = os.waitpid(job, os.WUNTRACED)
		if os.WIFSTOPPED(status):
			os.write(1, b"[stopped by %d]" % os.WSTOPSIG(status))
			time.sleep(0.2)
			os.killpg(job, signal.SIGCONT)
		else:
			code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
			os.write(1, b"[ended with %d]" % code)
			os._exit(0)
def read_until(terminal, text, seen=b""):
	limit = time.time() + 8
	while text not in seen:
		assert time.time() < limit, (text, seen)
		try:
			seen += os.read(terminal, 4096)
		except OSError:
			break
	assert text in seen, (text, seen)
	return seen
wait = "while [ $n -lt 1 ]; do sleep 0.05; done; sleep 0.3; echo count $n; exit 6"
pid, terminal = start("n=0; trap 'n=$((n+1))' INT; echo ready; " + wait)
read_until(terminal, b"ready")
os.write(terminal, b"\x03")
seen = read_until(terminal, b"[ended with 6]")
assert b"count 1" in seen, seen
os.waitpid(pid, 0)

pid, terminal = start("trap 'echo resumed; exit 8' CONT; echo ready; while :; do sleep 0.05; done")
read_until(terminal, b"ready")
os.write(terminal, b"\x1a")
seen = read_until(terminal, b"[ended with 8]")
assert b"[stopped by 20]" in seen and b"resumed" in seen, seen
os.waitpid(pid, 0)

pid, terminal = start("kill -TSTP $$; echo resumed; exit 9")
seen = read_until(terminal, b"[ended with 9]")
assert b"[stopped by 20]" in seen and b"resumed" in seen, seen
os.waitpid(pid, 0)
END

finish
