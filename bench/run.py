"""The benchmark: each workload bare and under each allocator, interleaved; a table, and a file of results.

It prints figures and judges nothing: its exit status is 0 whatever they are. Ctrl-C ends it with the results so far.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time

import child
import machine
import peers
import report
import results
from cgroup import Cgroups
from child import Interrupted, Interrupts
from rows import all_rows

HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--workload", metavar="FILE", default="bench/workload", help="the program with the workloads")
    add("--library", dest="preload", metavar="FILE", default=".libs/liblazyzero.so", help="liblazyzero.so")
    add("--command", metavar="FILE", default="./lazyzero", help="the command lazyzero")
    add("--output", metavar="FILE", default="bench-results.json", help="the results file")
    add("--full", action="store_true", help="full sizes, and the rows that take long")
    add("--rows", metavar="NAMES", help="only these, separated by commas; a name that ends in - is a beginning")
    add("--peers", metavar="NAMES", help="only these; glibc is always among them")
    add("--peer", metavar="NAME=LIBRARY", action="append", default=[], help="one more, to be preloaded")
    add("--rounds", type=int, default=5, help="rounds of each row")
    add("--scale", type=int, default=1, help="divides every size and count")
    add("--memory", metavar="SIZE", help="what one run may take (default: half of the memory)")
    add("--patience", type=float, metavar="SECONDS",
        help="a peer that has taken longer in a row has no more rounds there (default: 15; full: 120)")
    add("--json", action="store_true", help="print the results as JSON instead of tables")
    add("--list", action="store_true", help="print the names of the rows and end")
    options = parser.parse_args()
    for name in ("rounds", "scale"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.memory:
        try:
            options.memory = machine.parse_size(options.memory)
        except ValueError:
            parser.error(f'--memory: "{options.memory}" is not a size such as 4G')
    for pair in options.peer:
        if "=" not in pair:
            parser.error(f'--peer: "{pair}" is not NAME=LIBRARY')
    if not options.list and not os.access(options.workload, os.X_OK):
        parser.error(f"--workload: {options.workload} is no program; `make bench` builds it")
    options.patience = options.patience or (120 if options.full else 15)
    options.run_seconds = 30 if options.full else 3
    return options, parser


class Benchmark:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.workload = os.path.abspath(options.workload)
        self.cgroups = Cgroups()
        self.machine = machine.describe(self.workload)
        self.memory = options.memory or machine.memory_share(self.machine, self.cgroups.limit())
        more = [pair.split("=", 1) for pair in options.peer]
        library = os.path.abspath(options.preload)
        self.peers = peers.candidates(library, os.path.abspath(options.command), more)
        self.more = tuple(name for name, _ in more)
        if options.peers:
            chosen = options.peers.split(",") + [peers.GLIBC] + list(self.more)
            self.peers = {name: peer for name, peer in self.peers.items() if name in chosen}
        self.results = {
            "format": 1, "version": self.version(), "machine": self.machine, "rows": [],
            "settings": {"full": options.full, "rounds": options.rounds, "scale": options.scale,
                         "memory": self.memory, "patience": options.patience, "cgroup": self.cgroups.why}}

    def version(self):
        return os.environ.get("LZ_VERSION", "of unknown version")

    def too_much(self, row, size):
        """Why a run of that size is too much: a list, empty where it is not."""
        memory, fault = row.memory(size, self.machine["zero_page"]), self.machine["fault_seconds"]
        taken, reasons = row.faults(size) * fault, []
        if memory > self.memory:
            reasons.append(f"it could take {report.size(memory)} of memory here")
        if taken > self.options.run_seconds * row.longer:
            reasons.append(f"{report.seconds(taken)}, at {report.seconds(fault)} for a page fault")
        return reasons

    def fit(self, row):
        """(size, notes, title): made smaller until a run is neither dangerous nor endless."""
        size = wanted = max(row.size // self.options.scale, row.least)
        while row.resized and size // 2 >= row.least and self.too_much(row, size):
            size //= 2
        text = report.whole_size if row.size > 1 << 20 and row.size % (1 << 20) == 0 else str
        notes = []
        if size != wanted:
            notes = [f"{text(size)} instead of {text(wanted)}: " + " and ".join(self.too_much(row, wanted))]
        return size, notes, row.title.format(size=text(size), count=size)

    def not_measured(self, row):
        """Why the row cannot run at all; None if it can."""
        for program, package in row.needs:
            if not shutil.which(program):
                return f"{program} is missing (Debian package {package})"
        if row.limits and self.cgroups.why:
            return self.cgroups.why
        if row.zero_page_only and not self.machine["zero_page"]:
            return "this kernel has no zero page: reading allocates"
        if row.thp and self.machine["thp"]["enabled"] != row.thp:
            return (f"the system's THP setting is {self.machine['thp']['enabled']}, not {row.thp}, and no process "
                    "can turn that on for itself")
        if row.full_only and not self.options.full:
            return "only with BENCH=full"
        return None

    def run_once(self, row, size, peer):
        limit = row.limits.get(peer.name, row.limits.get(None, self.memory))
        environment = peers.clean_environment()
        argv = [str(word) for word in row.argv(size)]
        if row.program:
            # For scripts that preload one of the programs they start, and not themselves.
            environment["BENCH_ENVIRONMENT"] = " ".join(f"{name}={value}" for name, value in peer.settings.items())
        else:
            argv[:0] = [*peer.command, self.workload]
        if argv[0] != "sh":
            environment.update({**peer.settings, **row.settings})
        group = self.cgroups.make(limit) if not self.cgroups.why else None
        return child.run(argv, environment, group=group, limit=limit, stdin=row.stdin, directory=self.scratch,
                         timeout=max(60, 4 * self.options.patience))

    def measure(self, row, size, cells, rounds):
        """Fills cells (by peer, with a list of runs) round by round, each time beginning with another peer."""
        running = [self.peers[name] for name in cells if cells[name]["status"] == "ok"]
        for turn in range(rounds if running else 0):
            for peer in running[turn % len(running):] + running[: turn % len(running)]:
                cell = cells[peer.name]
                if cell["status"] != "ok" or cell["taken"] > self.options.patience:
                    continue
                Interrupts.check()
                self.progress(f"{row.name}: round {turn + 1} of {rounds}, {peer.name}")
                start = time.monotonic()
                run = self.run_once(row, size, peer)
                cell["taken"] += time.monotonic() - start
                cell["runs"].append(run)
                cell["status"] = run["status"]

    def run_row(self, row):
        size, notes, title = self.fit(row)
        entry = {"name": row.name, "title": title, "size": size, "reduced": size < row.size,
                 "notes": notes, "peers": {}, "targets": []}
        why = self.not_measured(row)
        self.results["rows"].append(entry)
        if why:
            entry["notes"] = [f"not measured: {why}"]
            entry["title"] = row.title.format(size=report.whole_size(row.size), count=row.size)
            entry["targets"] = [{"text": target.text, "bound": target.bound, "at_least": target.inverse,
                                 "verdict": "not measured", "why": why} for target in row.targets]
            return entry
        cells = {}
        for name in [name for name in self.peers if name in row.peers + self.more]:
            status = self.peers[name].missing or "ok"
            if not row.resized and not row.limits and name != peers.WINDOW and (reasons := self.too_much(row, size)):
                status = "not run: " + " and ".join(reasons)
            cells[name] = {"status": status, "taken": 0, "runs": []}
        try:
            rounds = row.rounds or self.options.rounds * row.more_rounds
            self.measure(row, size, cells, rounds)
        finally:
            self.progress("")
            entry["peers"] = cells
            self.finish(row, entry)
        return entry

    def finish(self, row, entry):
        bare = entry["peers"].get(peers.GLIBC, {}).get("runs", [])
        for cell in entry["peers"].values():
            if cell["runs"]:
                cell.update(results.summarise(cell["runs"]))
                cell["ratio"] = results.ratios(cell["runs"], "seconds", bare)
            elif cell["status"] == "ok":
                cell["status"] = "not run: interrupted"
            del cell["taken"]
        entry["targets"] = [results.verdict(target, entry["peers"]) for target in row.targets]

    def progress(self, text):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()

    def save(self):
        """At once or not at all."""
        path = self.options.output
        with open(path + ".new", "w") as file:
            json.dump(self.results, file, indent=1)
            file.write("\n")
        os.replace(path + ".new", path)


def choose(rows, names, parser):
    if not names:
        return list(rows.values())
    chosen = []
    for name in names.split(","):
        found = [row for key, row in rows.items() if key == name or (name.endswith("-") and key.startswith(name))]
        if not found:
            parser.error(f'--rows: there is no "{name}"; --list shows the names')
        chosen += [row for row in found if row not in chosen]
    return chosen


def write_unit(path):
    """Something for gcc to compile."""
    with open(path, "w") as file:
        for number in range(200):
            file.write(f"int f{number}(int a, int *b)\n{{\n\tint s = a;\n\tfor (int i = 0; i < {number % 50 + 9}; i++)\n"
                       f"\t\ts = (b[i] % (s | 1) == a) ? s + b[i * {number % 37 + 1} % 40] : s ^ i << {number % 13};\n"
                       f"\treturn s{f' + f{number - 1}(b[0], b)' if number else ''};\n}}\n")


def main():
    options, parser = arguments()
    Interrupts.catch()
    with tempfile.TemporaryDirectory(prefix="lazyzero-bench-") as scratch:
        if options.list:
            print("\n".join(all_rows(True, {"thp": {"enabled": None}}, HERE, scratch)))
            return 0
        benchmark = Benchmark(options, scratch)
        chosen = choose(all_rows(options.full, benchmark.machine, HERE, scratch), options.rows, parser)
        write_unit(f"{scratch}/unit.c")
        show = (lambda text: None) if options.json else (lambda text: print(text, flush=True))
        show(report.head_text(benchmark.results))
        try:
            for row in chosen:
                benchmark.run_row(row)
                show(report.row_text(benchmark.results["rows"][-1]))
                benchmark.save()
        except Interrupted:
            if benchmark.results["rows"]:
                show(report.row_text(benchmark.results["rows"][-1]))
            benchmark.results["interrupted"] = True
            benchmark.save()
        if options.json:
            print(json.dumps(benchmark.results, indent=1))
        show(report.summary_text(benchmark.results))
        print(f"{'interrupted; ' if Interrupts.seen else ''}results in {options.output}", file=sys.stderr)
    return 128 + Interrupts.seen if Interrupts.seen else 0


if __name__ == "__main__":
    sys.exit(main())
