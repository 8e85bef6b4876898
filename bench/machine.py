"""What the machine is, and what one run may take of it."""

import ctypes
import datetime
import json
import os
import platform
import subprocess

KIB, MIB, GIB, TIB = (1 << shift for shift in (10, 20, 30, 40))
PAGE = os.sysconf("SC_PAGE_SIZE")
THP = "/sys/kernel/mm/transparent_hugepage/"


def parse_size(text):
    """Bytes of "64M", "12G", "4096"; ValueError for anything else."""
    shifts = {"K": 10, "M": 20, "G": 30, "T": 40}
    if text and text[-1].upper() in shifts:
        return int(text[:-1]) << shifts[text[-1].upper()]
    return int(text)


def read_text(path):
    """The file's text without space around it; None where it cannot be read."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def chosen(path):
    """Of "always [madvise] never" the word in brackets; None where the kernel has no such setting."""
    text = read_text(path)
    return text[text.index("[") + 1 : text.index("]")] if text and "[" in text else text


def memory_info():
    """/proc/meminfo in bytes."""
    lines = (line.split() for line in (read_text("/proc/meminfo") or "").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * KIB for words in lines if len(words) > 2}


def processor():
    for line in (read_text("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model", "cpu model", "Processor")):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def glibc():
    version = ctypes.CDLL(None).gnu_get_libc_version
    version.restype = ctypes.c_char_p
    return version().decode()


def describe(workload):
    """A dictionary for the results file. `workload` is the program; it tries the zero page and a fault."""
    probe = json.loads(subprocess.run([workload, "probe"], stdout=subprocess.PIPE, check=True).stdout)
    pages = 16 * MIB // PAGE
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "ram": memory_info().get("MemTotal", 0),
        "glibc": glibc(),
        "zero_page": probe["rss_growth"] < 8 * MIB,
        "fault_seconds": probe["seconds"] / pages,
        "thp": {name: chosen(THP + name) for name in ("enabled", "defrag", "shmem_enabled")},
        "overcommit_memory": read_text("/proc/sys/vm/overcommit_memory"),
        "max_map_count": read_text("/proc/sys/vm/max_map_count"),
        "load_average": os.getloadavg()[0],
    }


def memory_share(machine, cgroup_limit):
    """Bytes that one run may have: half of the memory, and no more than is free without pushing others out."""
    memory = min(machine["ram"], cgroup_limit or machine["ram"])
    return min(memory // 2, memory_info().get("MemAvailable", memory) * 8 // 10)
