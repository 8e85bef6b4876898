"""What is measured: one row for each workload, with its peers, its size, and the targets it is held against.

Sizes are those of the targets. `memory` and `faults` say what a run may take at most, without huge pages but where a
peer has them, so that a row that would endanger the machine or take for ever is made smaller (run.fit).
"""

from dataclasses import dataclass, field
from typing import Callable, Optional

from machine import GIB, KIB, MIB, PAGE, TIB
from peers import ALL, GLIBC, HUGETLB, JEMALLOC, LAZYZERO, OTHERS, RUN, WINDOW, WITHOUT_THP

HUGE = 2 * MIB
WRITES = 10_000


@dataclass
class Target:
    """subject's figure, divided by that of the best of `against` (or by its own `per`), held against `bound`."""

    text: str
    subject: str
    figure: str
    bound: Optional[float] = None  # None: reported, held against nothing
    against: tuple = ()            # none: the figure itself
    per: Optional[str] = None      # the divisor's figure, where it is another one
    inverse: bool = False          # the others' divided by the subject's, which must be at least the bound
    finishes: bool = False         # that it ends well is the target


@dataclass
class Row:
    name: str
    title: str                     # {size}, {count}: as the row was run
    argv: Callable                 # of the size: arguments of the workload, or a whole command (program)
    size: int                      # bytes or rounds, divided by 2 until it fits
    memory: Callable = lambda size, zero_page: 64 * MIB
    faults: Callable = lambda size: 0
    peers: tuple = ALL
    targets: list = field(default_factory=list)
    least: int = 1                 # not made smaller than that
    resized: bool = True           # False: peers that would not fit are left out instead
    limits: dict = field(default_factory=dict)  # of the control group, by peer
    rounds: Optional[int] = None   # instead of what was asked
    more_rounds: int = 1           # as a factor, for targets of a hundredth
    longer: int = 1                # a run may take so many times longer than others
    full_only: bool = False
    zero_page_only: bool = False
    thp: Optional[str] = None      # only where the system's setting is this
    program: bool = False          # a real program: timed and counted from outside
    settings: dict = field(default_factory=dict)  # environment of all peers; only lazyzero heeds LAZYZERO_*
    needs: tuple = ()              # (program, Debian package)
    stdin: Optional[str] = None    # a file beside this one


def reading(size, zero_page):
    return size // 512 if zero_page else size + size // 512


def pages(size):
    return size // PAGE


def scan_rows():
    yield Row("scan", "calloc {size}, read a byte of every page", lambda s: ["scan", s, "calloc"], 16 * GIB,
              reading, pages, least=MIB, targets=[
                  Target("time, window / best without THP", WINDOW, "seconds", 1 / 10, WITHOUT_THP),
                  Target("page tables, window / best", WINDOW, "tables", 1 / 100, OTHERS),
                  Target("PSS of window, MB", WINDOW, "pss_mb", 10)])
    yield Row("read-twice", "mmap {size}, read a byte of every page, twice", lambda s: ["scan", s, "mmap"], 100 * GIB,
              reading, pages, (GLIBC, LAZYZERO, WINDOW), least=MIB, targets=[
                  Target("time, bare / window", WINDOW, "seconds", 50, (GLIBC,), inverse=True),
                  Target("growth of VmPTE, bare / window", WINDOW, "tables_growth", 400, (GLIBC,), inverse=True),
                  Target("first / second pass over the window", WINDOW, "first_seconds", 1.25, per="second_seconds")])
    yield Row("fork", "read {size}, write 10,000 pages, fork", lambda s: ["fork", s, WRITES], 100 * GIB,
              lambda s, zero_page: reading(s, zero_page) + WRITES * PAGE, pages, (GLIBC, LAZYZERO, WINDOW),
              least=WRITES * PAGE, targets=[
                  Target("time of fork, bare / window", WINDOW, "seconds", None, (GLIBC,), inverse=True),
                  Target("child's VmPTE, bare / window", WINDOW, "child_tables", None, (GLIBC,), inverse=True)])


def limited_rows(full):
    """Runs in control groups so small that the page tables alone decide."""
    bare = GIB if full else 128 * MIB
    yield Row("read-512g", "mmap {size}, read it once in a memory control group: window in 32 MiB, others in "
              + ("1 GiB" if full else "128 MiB"), lambda s: ["curve", s], 512 * GIB, lambda s, zero_page: 0,
              peers=(GLIBC, LAZYZERO, WINDOW), resized=False, rounds=1, limits={WINDOW: 32 * MIB, None: bare},
              targets=[Target("all of it read, charged to 32 MiB", WINDOW, "seconds", finishes=True)])
    yield Row("read-4t", "mmap {size}, read it once in a memory control group of 192 MiB", lambda s: ["curve", s],
              4 * TIB, lambda s, zero_page: 0, peers=(WINDOW,), resized=False, rounds=1, full_only=True,
              limits={WINDOW: 192 * MIB},
              targets=[Target("all of it read, charged to 192 MiB", WINDOW, "seconds", finishes=True)])


def sparse_rows():
    yield Row("sparse-writes", "calloc 64 GiB, {count} scattered writes", lambda n: ["writes", 64 * GIB, n, "fresh"],
              WRITES, lambda n, zero_page: n * HUGE, lambda n: 3 * n, targets=[
                  Target("RSS growth, lazyzero / THP user", LAZYZERO, "rss_growth", 1 / 100, (HUGETLB,)),
                  Target("RSS growth, window / THP user", WINDOW, "rss_growth", 1 / 100, (HUGETLB,)),
                  Target("time, lazyzero / glibc", LAZYZERO, "seconds", 1.7, (GLIBC,)),
                  Target("time, window / glibc", WINDOW, "seconds", 1.7, (GLIBC,))])
    yield Row("writes-after-reads", "100 GiB read, then {count} scattered writes",
              lambda n: ["writes", 100 * GIB, n, "read"], WRITES, lambda n, zero_page: GIB, lambda n: 0,
              (GLIBC, LAZYZERO, WINDOW), zero_page_only=True, full_only=True, targets=[
                  Target("time, window / zero page", WINDOW, "seconds", 1.7, (GLIBC,))])
    yield Row("writes-advised", "mmap 100 GiB, MADV_HUGEPAGE, {count} scattered writes",
              lambda n: ["writes", 100 * GIB, n, "advised"], WRITES, lambda n, zero_page: n * HUGE,
              lambda n: 128 * n, (GLIBC, LAZYZERO, WINDOW), targets=[
                  Target("RSS growth of bare / PSS of window", WINDOW, "pss", 100, (GLIBC,), per="rss_growth",
                         inverse=True)])


def reuse_rows():
    """calloc and free of one size: sizes with rounds enough to be timed."""
    for mib, rounds in ((1, 2000), (16, 200), (64, 50)):
        targets = [Target("time, lazyzero / jemalloc", LAZYZERO, "seconds", 1, (JEMALLOC,))]
        if mib == 16:
            targets.insert(0, Target("time, lazyzero / glibc", LAZYZERO, "seconds", 1 / 30, (GLIBC,)))
        yield Row(f"reuse-sparse-{mib}m", f"calloc {mib} MiB, 10 writes, free; {{count}} times",
                  lambda n, mib=mib: ["reuse", mib * MIB, n, "sparse"], rounds, faults=lambda n: 12 * n,
                  targets=targets)
    for mib, rounds in ((1, 1000), (16, 60), (64, 16)):
        yield Row(f"reuse-dense-{mib}m", f"calloc {mib} MiB, write every byte, free; {{count}} times",
                  lambda n, mib=mib: ["reuse", mib * MIB, n, "dense"], rounds, lambda n, zero_page: 128 * MIB,
                  lambda n, mib=mib: n * pages(mib * MIB), least=5, targets=[
                      Target("time, lazyzero / best", LAZYZERO, "seconds", 1.05, OTHERS)])
    yield Row("reuse-mixed", "calloc of 64 KiB to 64 MiB, written at random, free; {count} times in 2 threads",
              lambda n: ["mixed", 2, n, 64 * MIB], 400, lambda n, zero_page: 512 * MIB, lambda n: 1000 * n,
              least=20, targets=[Target("time, lazyzero / best", LAZYZERO, "seconds", 1, OTHERS)])


def dense_rows(thp):
    def row(name, title, way, **more):
        return Row(name, title, lambda s: ["dense", s, way], 2 * GIB, lambda s, zero_page: s + s // 512, pages,
                   least=MIB, **more)

    bare = Target("time, lazyzero / bare", LAZYZERO, "seconds", 1.02, (GLIBC,))
    window = Target("time, window / bare", WINDOW, "seconds", 1.15, (GLIBC,))
    yield row("dense-malloc", "malloc {size} once, fill; system's THP: " + str(thp), "malloc", targets=[bare])
    yield row("dense-calloc", "calloc {size} once, fill; system's THP: " + str(thp), "calloc", targets=[bare, window])
    yield row("dense-advised", "calloc {size} once, MADV_HUGEPAGE, fill", "advised", targets=[bare])
    yield row("dense-always", "calloc {size} once, fill; THP always", "calloc", targets=[bare], thp="always")


def zero_rows():
    """Memory that the program clears itself, by memset. The lazyzero of a row with huge pages has LAZYZERO_THP=always."""
    def vector(name, title, way, targets, size=2 * GIB, rounds=1, **more):
        return Row(name, "malloc {size}, memset to 0, " + title, lambda s: ["vector", s, rounds, way], size,
                   lambda s, zero_page: s + s // 512, lambda s: rounds * pages(s), least=MIB, longer=6,
                   targets=targets, **more)

    def beside(bound, against, what):
        return [Target(f"processor time, lazyzero / {what}", LAZYZERO, "cpu", bound, against)]

    yield vector("vector-sparse", "10,000 scattered writes", "sparse", [
        Target("time, best without THP / lazyzero", LAZYZERO, "seconds", 50, WITHOUT_THP, inverse=True),
        Target("time, THP user / lazyzero", LAZYZERO, "seconds", 20, (HUGETLB,), inverse=True),
        Target("peak RSS, best / lazyzero", LAZYZERO, "rss_peak", 50, OTHERS, inverse=True)], 4 * GIB)
    for way, bound, what in (("stores", 1.02, "fill it by stores"), ("additions", 1.15, "add 1 to every element")):
        yield vector(f"vector-{way}", what, way, beside(bound, WITHOUT_THP, "best without THP"),
                     peers=OTHERS + (LAZYZERO,))
        yield vector(f"vector-{way}-huge", what + "; huge pages", way, beside(bound, (HUGETLB,), "THP user"),
                     peers=(GLIBC, HUGETLB, LAZYZERO), settings={"LAZYZERO_THP": "always"})
        # Other peers than glibc keep the memory of earlier rounds.
        yield vector(f"vector-{way}-again", what + "; the third time", way, beside(1.02, (GLIBC,), "bare"), GIB, 3,
                     peers=(GLIBC, LAZYZERO))
    for mib, bound in ((4, 1.10), (16, 1.02), (64, 1.02)):
        yield Row(f"refill-{mib}m", f"memset to 0 of {mib} MiB that are full, {{count}} times; beside the C library's",
                  lambda n, mib=mib: ["refill", mib * MIB, n], 1280 // mib, lambda n, zero_page: 256 * MIB,
                  lambda n, mib=mib: 2 * n * pages(mib * MIB), (GLIBC, LAZYZERO), least=10, longer=4, targets=[
                      Target("processor time, lazyzero / plain memset, first time", LAZYZERO, "first_ratio", bound),
                      Target("processor time, lazyzero / plain memset, again", LAZYZERO, "again_ratio", 1.02)])
    for way, targets in (
            ("same", [Target("processor time, plain memset / lazyzero, all rounds", LAZYZERO, "total_ratio", 10,
                             inverse=True)]),
            ("random", [Target("processor time, lazyzero / plain memset, last tenth", LAZYZERO, "last_ratio", 1.02)])):
        yield Row(f"table-{way}", f"memset to 0 of a table of 64 MiB, 1% written before ({way} pages), {{count}} times; "
                  "beside the C library's", lambda n, way=way: ["table", 64 * MIB, n, way], 200,
                  lambda n, zero_page: 256 * MIB, lambda n: n * pages(MIB), (GLIBC, LAZYZERO), least=10, longer=4,
                  targets=targets)


def within_a_hundredth():
    """On a machine that others use, too, processor time is the steadier of the two."""
    return [Target("time, lazyzero / bare", LAZYZERO, "seconds", 1.01, (GLIBC,)),
            Target("processor time, lazyzero / bare", LAZYZERO, "cpu", None, (GLIBC,))]


def small_rows(full):
    for threads in (1, 2):
        yield Row(f"small-{threads}", f"malloc and free of 8 to 1032 bytes, {{count}} times in each of {threads}",
                  lambda n, threads=threads: ["small", threads, n], 10_000_000 if full else 3_000_000, more_rounds=2,
                  targets=within_a_hundredth())
    in_place = (GLIBC, JEMALLOC, LAZYZERO, WINDOW)  # the others fill the block, and would take minutes
    for threads in (1, 2):
        yield Row(f"regions-{threads}", f"calloc 64 MiB, free, {{count}} times in each of {threads}",
                  lambda n, threads=threads: ["regions", threads, n, 64 * MIB], 2000, peers=in_place,
                  targets=[Target("time, lazyzero / bare", LAZYZERO, "seconds", None, (GLIBC,))])


def address_rows():
    for name, end, full_only in (("grow-4g", 4 * GIB, False), ("grow-10g", 10 * GIB, True)):
        yield Row(name, "realloc from 1 MiB to {size} in steps of 1/4, a byte written in each 64 KiB",
                  lambda s: ["grow", MIB, s], end, lambda s, zero_page: s // 16 + s // 512,
                  lambda s: s // (64 * KIB), least=2 * MIB, full_only=full_only, targets=[
                      Target("time, lazyzero / best", LAZYZERO, "seconds", 1.05, OTHERS)])
    yield Row("churn", "{count} small mmaps and munmaps", lambda n: ["churn", n], 100_000, more_rounds=2, targets=[
        Target("time, lazyzero / bare", LAZYZERO, "seconds", 1.10, (GLIBC,))])


OURS = (GLIBC, LAZYZERO, WINDOW)
CROWDS = (10, 100, 1000, 10_000, 100_000)


def crowd_rows():
    """Many regions at once; and for the plot, what one request costs against the number of regions."""
    # Bare it is killed, after a minute.
    yield Row("many", "30 callocs of {size}, all read, in a memory control group of 512 MiB",
              lambda s: ["many", 30, s], 12 * GIB, lambda s, zero_page: 0, peers=(LAZYZERO, WINDOW), resized=False,
              rounds=1, limits={None: 512 * MIB},
              targets=[Target("all of it read, charged to 512 MiB", LAZYZERO, "seconds", finishes=True)])
    yield Row("reserve", "{count} mmaps of 4 GiB with MAP_NORESERVE, 340 KiB of each written",
              lambda n: ["reserve", n, 4 * GIB], 1000, lambda n, zero_page: n * 512 * KIB, lambda n: 100 * n, OURS,
              least=10, targets=[Target("time, lazyzero / bare", LAZYZERO, "seconds", 1.5, (GLIBC,))])
    yield Row("stacks", "{count} callocs of 2 MiB, 8 KiB of each written, freed; 3 times",
              lambda n: ["stacks", n, 2 * MIB], 20_000, lambda n, zero_page: 24 * KIB * n, lambda n: 12 * n, OURS,
              least=10, longer=4, targets=[
                  Target("time, lazyzero / bare", LAZYZERO, "seconds", None, (GLIBC,)),
                  Target("time, window / bare", WINDOW, "seconds", None, (GLIBC,))])
    for way in ("calloc", "mmap"):
        for count in CROWDS:
            yield Row(f"crowd-{way}-{count}", f"1,000 {way}s of 2 MiB more, and freed, while {{count}} are alive",
                      lambda n, way=way: ["crowd", n, 2 * MIB, way], count, lambda n, zero_page: 64 * MIB + 8 * KIB * n,
                      lambda n: 2 * n, OURS, resized=False, longer=4)


def decision_rows():
    """What a decision costs, within the budget and over it; and calls that must not become dear."""
    over = {"LAZYZERO_BUDGET": "1M"}
    kinds = (("within", {}), ("over", over), ("over-zeropage", {**over, "LAZYZERO_BACKING": "zeropage"}))
    for way in ("calloc", "mmap"):
        for mib, rounds in ((2, 3000), (64, 1000), (1024, 300)):
            for kind, settings in kinds:
                yield Row(f"{way}-{mib}m-{kind}", f"{way} {mib} MiB and free it, {{count}} times; "
                          + kind.replace("-", " the budget, ", 1) + ("" if "-" in kind else " the budget"),
                          lambda n, way=way, mib=mib, kind=kind: [
                              "held", 64 * KIB if kind == "within" else 2 * GIB, mib * MIB, n, way],
                          rounds, peers=(GLIBC, LAZYZERO), settings=settings, least=10)
    yield Row("toolarge", "malloc and calloc of half the address space, {count} times", lambda n: ["toolarge", n], 10_000,
              peers=OURS, least=10, targets=[Target("time, lazyzero / bare", LAZYZERO, "seconds", 3, (GLIBC,))])
    yield Row("hugetry", "{count} pairs of mprotect, 1 GiB resident, after a mmap with MAP_HUGETLB that may fail",
              lambda n: ["hugetry", GIB, n], 10_000, lambda n, zero_page: GIB + 64 * MIB, lambda n: pages(GIB), OURS,
              least=10, targets=[Target("time, lazyzero / bare", LAZYZERO, "seconds", 5, (GLIBC,))])


def shared_rows():
    """N processes over one shared memory; size is N. Their page tables when these have stopped changing."""
    memory = 256 * MIB
    for count in (1, 2, 4, 8, 16, 32, 64):
        yield Row(f"shared-{count}", "{count} processes read 256 MiB of one shared memory", lambda n: ["shared", n, memory],
                  count, lambda n, zero_page: memory + n * 2 * MIB, lambda n: n * pages(memory) // 16, (GLIBC, RUN),
                  least=count, rounds=3, longer=4, targets=[
                      Target("page tables of all, bare / lazyzero run", RUN, "tables_sum", 7 if count >= 32 else None,
                             (GLIBC,), inverse=True),
                      Target("time of the first pass, lazyzero run / bare", RUN, "first_seconds", None, (GLIBC,)),
                      Target("time of a later pass, lazyzero run / bare", RUN, "seconds", 1, (GLIBC,))])


def program_rows(full, here, scratch):
    """Real programs. The whole run is timed, but for Redis, whose script times the load."""
    def row(name, title, argv, needs, **more):
        return Row(name, title, argv, more.pop("size", 1), lambda n, zero_page: 512 * MIB, program=True,
                   more_rounds=3 if full else 1, needs=needs, targets=within_a_hundredth(), **more)

    yield row("sqlite3", "sqlite3: a speed test in memory", lambda n: ["sqlite3", "-batch", ":memory:"],
              (("sqlite3", "sqlite3"),), stdin=f"{here}/programs/speed.sql")
    yield row("python3", "python3: objects, strings, arrays",
              lambda n: ["python3", f"{here}/programs/objects.py", n], (("python3", "python3"),), size=3000)
    yield row("gcc", "gcc -O2 of 200 functions", lambda n: ["gcc", "-O2", "-c", f"{scratch}/unit.c", "-o", "/dev/null"],
              (("gcc", "gcc"),))
    yield row("redis", "redis-server under redis-benchmark", lambda n: ["sh", f"{here}/programs/redis.sh", n],
              (("redis-server", "redis-server"), ("redis-benchmark", "redis-tools")), size=50000)


def scale_rows():
    """For the plots: one pass over 1 GiB to 1 TiB; bare as far as the machine allows."""
    size = GIB
    while size <= TIB:
        yield Row(f"scale-{size // GIB}g", "mmap {size}, read a byte of every page", lambda s: ["scan", s, "mmap"],
                  size, reading, pages, (GLIBC, WINDOW), resized=False, rounds=1, longer=4, full_only=size > 64 * GIB)
        size *= 4


def all_rows(full, machine, here, scratch):
    rows = [*scan_rows(), *limited_rows(full), *sparse_rows(), *reuse_rows(), *dense_rows(machine["thp"]["enabled"]),
            *zero_rows(), *small_rows(full), *address_rows(), *crowd_rows(), *decision_rows(),
            *shared_rows(), *program_rows(full, here, scratch), *scale_rows()]
    return {row.name: row for row in rows}
