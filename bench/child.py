"""Runs one program once, in a memory control group of its own where one can be made, and says what it took.

Whatever happens, nothing of the program is left behind when `run` returns.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import tempfile
import time

from machine import KIB

SAMPLE_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Interrupted(Exception):
    """SIGINT, SIGTERM or SIGHUP came. Raised between runs and while waiting for one, never elsewhere."""


class Interrupts:
    """Signals set a flag, so that none comes between the making of something and the note that it is there."""

    seen = None

    @classmethod
    def catch(cls):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda caught, frame: setattr(cls, "seen", caught))

    @classmethod
    def check(cls):
        if cls.seen is not None:
            raise Interrupted


class Sampler:
    """Peaks that only the kernel knows and only while it runs; sums over the processes of the run."""

    def __init__(self):
        self.tables = self.rss = self.unshared = 0

    def take(self, pids):
        total = {"VmPTE": 0, "VmRSS": 0, "RssAnon": 0}
        for pid in pids:
            try:
                with open(f"/proc/{pid}/status") as status:
                    for line in status:
                        name = line.split(":", 1)[0]
                        if name in total:
                            total[name] += int(line.split()[1]) * KIB
            except (OSError, ValueError):
                continue  # it has ended
        self.tables = max(self.tables, total["VmPTE"])
        self.rss = max(self.rss, total["VmRSS"])
        # Without the shared pages, of which the window shows many more than there are.
        self.unshared = total["RssAnon"] + total["VmPTE"]


def enter(group):
    """In the child, before it becomes the program."""
    os.setsid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # If the machine itself runs out of memory, this goes first.
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    if group:
        group.enter()


def wait(process, pids, sampler, limit, deadline):
    """Until the program ends; returns why it was stopped, or None. pidfd wakes us at once, not at a tick."""
    watch = os.pidfd_open(process.pid)
    try:
        while not select.select([watch], [], [], SAMPLE_SECONDS)[0]:
            Interrupts.check()
            sampler.take(pids())
            if limit and sampler.unshared > limit:
                return "killed (out of memory)"
            if time.monotonic() > deadline:
                return "stopped"
    finally:
        os.close(watch)
    return None


def kill_all(process, group):
    """The program and what it started: its session, and who left that is still in the group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for _ in range(100):
        pids = group.pids() if group else []
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not pids:
            return
        time.sleep(0.01)


def parse_output(text):
    """Lines of JSON: figures, and steps of a curve (those with "read")."""
    figures, curve = {}, []
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if "read" in values:
            curve.append(values)
        else:
            figures.update(values)
    return figures, curve


def describe_end(status, group, errors):
    if status != 0 and group and group.kills():
        # The kernel counts it in the group as well when it was the machine that had none left.
        mine = (group.peak() or group.limit) > group.limit * 0.9
        return "killed (out of memory)" if mine else "killed (the whole machine was out of memory)"
    if os.WIFSIGNALED(status):
        return f"crashed: {signal.Signals(os.WTERMSIG(status)).name}"
    if os.WEXITSTATUS(status) != 0:
        last = errors.strip().splitlines()[-1:] or ["it said nothing"]
        return f"failed: status {os.WEXITSTATUS(status)}: {last[0][:80]}"
    return "ok"


def run(argv, environment, *, group=None, limit=None, timeout=120, stdin=None, directory=None):
    """A dictionary: "status" is "ok" or says what went wrong; the rest are figures in seconds and bytes.

    `group` is removed at the end. `limit` (bytes) holds where there is no group. `environment` is the whole one.
    """
    sampler = Sampler()
    result, process = {}, None
    output, errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    source = open(stdin) if stdin else subprocess.DEVNULL
    try:
        process = subprocess.Popen(argv, env=environment, stdin=source, stdout=output, stderr=errors,
                                   cwd=directory, preexec_fn=lambda: enter(group))
        start = time.monotonic()
        stopped = wait(process, group.pids if group else lambda: [process.pid], sampler,
                       None if group else limit, start + timeout)
        seconds = time.monotonic() - start
        # Before it is reaped: until then its number is no one else's.
        kill_all(process, group)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (output, errors)]
        figures, curve = parse_output(texts[0])
        result = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "faults": usage.ru_minflt,
                  "tables": sampler.tables, "rss_peak": sampler.rss}
        result.update(figures)
        result["tables"] = max(result["tables"], sampler.tables)
        result["status"] = stopped or describe_end(status, group, texts[1])
        if "refused" in result:
            result["status"] = "refused: " + result.pop("refused")
        elif stopped == "stopped":
            result["status"] = f"stopped after {timeout} s"
        if curve:
            result["curve"] = curve
        if group and group.peak() is not None:
            result["cgroup_peak"] = group.peak()
    except (OSError, subprocess.SubprocessError) as error:
        result["status"] = f"failed: {error}"
    finally:
        if process and process.returncode is None:
            kill_all(process, group)
            process.wait()
        if group:
            group.remove()
        for file in (output, errors) + ((source,) if stdin else ()):
            file.close()
    return result
