"""Memory control groups of our own, versions 1 and 2: one for each run, so that what takes too much is killed there.

A group is made below the group of this process, or below the nearest one above it that lets us.
"""

import os
import re
import time

from machine import read_text

PREFIX = "lazyzero-bench-"
FILES = {
    1: {"limit": "memory.limit_in_bytes", "swap": "memory.memsw.limit_in_bytes",
        "peak": "memory.max_usage_in_bytes", "events": "memory.oom_control"},
    2: {"limit": "memory.max", "swap": "memory.swap.max", "peak": "memory.peak", "events": "memory.events"},
}


def membership():
    """(version, path of our group, mount point); None where no memory controller is mounted."""
    version, group = None, None
    for line in (read_text("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            version, group = 1, path
            break
        if controllers == "":
            version, group = 2, path
    for line in (read_text("/proc/self/mountinfo") or "").splitlines():
        fields, rest = line.split(" - ", 1)
        kind, _, options = rest.split(" ", 2)
        if (version == 2 and kind == "cgroup2") or (
                version == 1 and kind == "cgroup" and "memory" in options.split(",")):
            root, mount = fields.split()[3:5]
            # A container may be shown only a part of the hierarchy.
            below = group[len(root.rstrip("/")):] if group.startswith(root.rstrip("/")) else ""
            return version, (mount + below).rstrip("/"), mount
    return None


def number_of(path):
    text = read_text(path)
    return int(text) if text and text.isdigit() else None


class Cgroups:
    """Where groups can be made. `why` is None, or says why none can."""

    def __init__(self):
        self.version, self.parent, self.why, self.made = 0, None, "no memory control groups are mounted", 0
        own = membership()
        if own is None:
            return
        self.version, group, mount = own
        while True:
            self.parent = group
            try:
                remove_stale(group)
                self.make(1 << 30).remove()
                self.why = None
                return
            except OSError as error:
                self.why = f"no memory control group can be made: {error.strerror}"
            if len(group) <= len(mount):
                return
            group = os.path.dirname(group)

    def limit(self):
        """The least limit of our group and those above it; None for none."""
        own = membership()
        limits = []
        while own and len(own[1]) >= len(own[2]):
            limits.append(number_of(f"{own[1]}/{FILES[own[0]]['limit']}"))
            own = (own[0], os.path.dirname(own[1]), own[2])
        return min((limit for limit in limits if limit), default=None)

    def make(self, limit):
        self.made += 1
        return Cgroup(f"{self.parent}/{PREFIX}{os.getpid()}-{self.made}", self.version, limit)


class Cgroup:
    """One group; `remove` when its processes have ended."""

    def __init__(self, path, version, limit):
        self.path, self.files, self.limit = path, FILES[version], limit
        os.mkdir(path)
        try:
            # Without a memory controller in version 2 the file is missing.
            self.write("limit", limit)
        except OSError:
            self.remove()
            raise
        # No refuge in swap. Kernels without swap accounting lack the file.
        for name, value in (("swap", limit if version == 1 else 0),) + ((("events", 0),) if version == 1 else ()):
            try:
                self.write(name, value)
            except OSError:
                pass

    def write(self, name, value):
        # Not "w", which would ask to create what is missing.
        with open(f"{self.path}/{self.files[name]}", "r+") as file:
            file.write(str(value))

    def enter(self):
        with open(f"{self.path}/cgroup.procs", "w") as file:
            file.write("0")

    def pids(self):
        return [int(pid) for pid in (read_text(f"{self.path}/cgroup.procs") or "").split()]

    def peak(self):
        return number_of(f"{self.path}/{self.files['peak']}")

    def kills(self):
        """Processes killed here for want of memory."""
        found = re.search(r"^oom_kill (\d+)", read_text(f"{self.path}/{self.files['events']}") or "", re.M)
        return int(found.group(1)) if found else 0

    def remove(self):
        """The kernel may need a moment after the last process has gone."""
        for _ in range(150):
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)
        raise OSError(f"the control group {self.path} cannot be removed")


def remove_stale(parent):
    """Groups of runs that were killed and could not clean up."""
    for name in os.listdir(parent):
        pid = name[len(PREFIX):].split("-")[0] if name.startswith(PREFIX) else ""
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            try:
                os.rmdir(f"{parent}/{name}")
            except OSError:
                pass
