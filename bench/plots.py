"""Draws a results file of run.py as SVG, with gnuplot.

    plots.py RESULTS DIRECTORY

    page-tables.svg   page tables against bytes read, one process (row read-512g)
    scan-time.svg     the time of a scan against its size (rows scale-)
    scan-tables.svg   the page tables of a scan against its size
    regions.svg       the time of one request against the number of regions alive (rows crowd-)
    shared.svg        page tables of all processes over one shared memory (rows shared-)
    ratios.svg        the time of each row and allocator against glibc

A picture for which the file has no figures is not drawn, and that is said. The file is copied beside the pictures.
"""

import json
import os
import shutil
import subprocess
import sys

import peers
from machine import GIB, KIB, MIB, PAGE
from report import size, whole_size

# Of Okabe and Ito: told apart by people who do not see all colours. Points differ as well.
STYLES = {
    peers.GLIBC: ("glibc", "#000000", 7), peers.HUGETLB: ("glibc, hugetlb=1", "#999999", 6),
    peers.JEMALLOC: ("jemalloc", "#d55e00", 9), peers.MIMALLOC: ("mimalloc", "#cc79a7", 11),
    peers.TCMALLOC: ("tcmalloc", "#e69f00", 13), peers.LAZYZERO: ("lazyzero", "#0072b2", 5),
    peers.WINDOW: ("lazyzero, window", "#009e73", 15), peers.RUN: ("lazyzero run", "#0072b2", 5),
}


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def machine_line(results):
    machine = results["machine"]
    return (f"{machine['cpu']}, {machine['cpus']} processors, {size(machine['ram'])}, Linux {machine['kernel']}, "
            f"{machine['date'][:10]}" + ("" if machine["zero_page"] else "; this kernel has no zero page"))


def size_tics(low, high, factor):
    tics, value = [], low
    while value <= high:
        tics.append(f"{quoted(whole_size(value))} {value}")
        value *= factor
    return "(" + ", ".join(tics) + ")"


def preamble(path, title, results, height=480):
    return [
        f"set terminal svg size 820,{height} font 'DejaVu Sans,Helvetica,sans-serif,13' background '#ffffff' "
        "noenhanced dashed",
        f"set output {quoted(path)}",
        f"set title {quoted(title)} font ',15'",
        f"set label {quoted(machine_line(results))} at screen 0.5, screen 0.02 center font ',10' "
        "textcolor rgb '#555555'",
        "set bmargin 7",
        "set key at screen 0.5, screen 0.09 center horizontal maxrows 1",
        "set grid xtics ytics lc rgb '#dddddd' lt 1",
        "set border 3",
        "set tics nomirror",
    ]


def draw(path, lines):
    """A warning of gnuplot is a defect of ours: it is shown."""
    subprocess.run(["gnuplot"], input="\n".join(lines) + "\n", text=True, check=True)
    print(f"drawn: {path}")


def draw_lines(path, title, axes, series, results, extra=(), computed=None):
    """`series` is a list of (label, colour, point, [(x, y)...]); `computed` a (label, expression of x)."""
    lines = preamble(path, title, results) + list(axes) + ["set logscale xy"] + list(extra)
    plots = []
    for number, (label, colour, point, values) in enumerate(series):
        lines += [f"$data{number} << EOD", *(f"{x} {y}" for x, y in values), "EOD"]
        plots.append(f"$data{number} using 1:2 with linespoints lw 2 pt {point} ps 0.8 lc rgb '{colour}' "
                     f"title {quoted(label)}")
    if computed:
        plots.append(f"{computed[1]} with lines lw 1.5 dt 2 lc rgb '#888888' title {quoted(computed[0])}")
    draw(path, lines + ["plot " + ", \\\n     ".join(plots)])


def rows_of(results, beginning):
    return [row for row in results["rows"] if row["name"].startswith(beginning)]


def curve_of(rows, peer):
    """The longest curve that the rows have of the peer, and how its run ended."""
    runs = [run for row in rows for run in row["peers"].get(peer, {}).get("runs", []) if run.get("curve")]
    return max(runs, key=lambda run: run["curve"][-1]["read"], default=None)


def page_tables(results, path):
    rows, series, extra = rows_of(results, "read-512g") + rows_of(results, "read-4t"), [], []
    end = 0
    for peer in (peers.GLIBC, peers.LAZYZERO, peers.WINDOW):
        run = curve_of(rows, peer)
        if not run:
            continue
        label, colour, point = STYLES[peer]
        label = "bare" if peer == peers.GLIBC else label
        values = [(step["read"], step["tables"]) for step in run["curve"]]
        end = max(end, values[-1][0])
        if run["status"] != "ok":
            x, y = values[-1]
            # Towards the middle, and each further off, for two may end at the same point.
            place = f"left offset 0.9,{-0.5 - len(extra)}" if x < 4 * GIB else f"right offset -0.9,{0.9 + len(extra)}"
            extra.append(f"set label {quoted(label + ': ' + run['status'])} at {x}, {y} {place} font ',11' "
                         f"textcolor rgb '{colour}'")
        series.append((label, colour, point, values))
    if not series:
        return False
    end = max(end, 512 * GIB)
    axes = ["set xlabel 'bytes read, one of each page'", "set ylabel 'page tables of the process'",
            f"set xrange [{16 * MIB}:{end}]", f"set yrange [{16 * KIB}:{max(end // 512 * 2, GIB)}]",
            f"set xtics {size_tics(16 * MIB, end, 8)}", f"set ytics {size_tics(16 * KIB, end // 256, 8)}"]
    draw_lines(path, "Page tables against bytes read", axes, series, results, extra,
               ("8 bytes a page (computed)", f"x * 8 / {PAGE}"))
    return True


def scan(results, path, title, figure, ylabel, ytics):
    series = []
    for peer in (peers.GLIBC, peers.WINDOW):
        label, colour, point = STYLES[peer]
        values = []
        for row in rows_of(results, "scale-"):
            cell = row["peers"].get(peer, {})
            if cell.get("status") == "ok" and figure in cell.get("figures", {}):
                values.append((row["size"], cell["figures"][figure]["median"]))
        if values:
            series.append(("bare" if peer == peers.GLIBC else label, colour, point, sorted(values)))
    if not series:
        return False
    low, high = (bound(x for *_, values in series for x, _ in values) for bound in (min, max))
    least, most = (bound(y for *_, values in series for _, y in values) for bound in (min, max))
    axes = ["set xlabel 'size, a byte of each page read'", f"set ylabel {quoted(ylabel)}", ytics,
            f"set xrange [{low / 1.5}:{max(high * 1.5, low * 8)}]", f"set yrange [{least / 2}:{most * 2}]",
            f"set xtics {size_tics(low, high, 4)}"]
    draw_lines(path, title, axes, series, results)
    return True


def regions(results, path):
    series = []
    for way, dash in (("calloc", 0), ("mmap", 1)):
        for peer in (peers.GLIBC, peers.LAZYZERO, peers.WINDOW):
            label, colour, point = STYLES[peer]
            values = [(row["size"], row["peers"][peer]["figures"]["seconds_each"]["median"] * 1e6)
                      for row in rows_of(results, f"crowd-{way}-")
                      if "seconds_each" in row["peers"].get(peer, {}).get("figures", {})]
            if values:
                label = "bare" if peer == peers.GLIBC else label
                series.append((f"{way}, {label}", colour, point - dash, sorted(values)))
    if not series:
        return False
    axes = ["set xlabel 'regions of 2 MiB that are alive'", "set ylabel 'one more, and freed'",
            "set format x '%.0f'", "set format y '%g us'", "set xrange [5:200000]", "set yrange [1:*]",
            "set key at screen 0.5, screen 0.15 maxrows 3", "set bmargin 10"]
    draw_lines(path, "The time of a request against the number of regions", axes, series, results)
    return True


def shared(results, path):
    series = []
    for peer in (peers.GLIBC, peers.RUN):
        label, colour, point = STYLES[peer]
        values = [(row["size"], row["peers"][peer]["figures"]["tables_sum"]["median"])
                  for row in rows_of(results, "shared-")
                  if "tables_sum" in row["peers"].get(peer, {}).get("figures", {})]
        if values:
            series.append(("bare" if peer == peers.GLIBC else label, colour, point, sorted(values)))
    if not series:
        return False
    least, most = (bound(y for *_, values in series for _, y in values) for bound in (min, max))
    counts = sorted({x for *_, values in series for x, _ in values})
    axes = ["set xlabel 'processes that have read all of one shared memory of 256 MiB'",
            "set ylabel 'page tables of all of them'", f"set xrange [{counts[0] / 1.3}:{counts[-1] * 1.3}]",
            "set xtics (" + ", ".join(f"{quoted(str(x))} {x}" for x in counts) + ")",
            f"set yrange [{least / 2}:{most * 2}]", f"set ytics {size_tics(16 * KIB, most * 2, 4)}"]
    draw_lines(path, "Page tables against the number of processes", axes, series, results)
    return True


def ratios(results, path):
    rows = [row for row in results["rows"]
            if not row["name"].startswith(("scale-", "read-512g", "read-4t", "crowd-", "many", "shared-"))
            and any(cell.get("ratio") for name, cell in row["peers"].items() if name != peers.GLIBC)]
    if not rows:
        return False
    names = ", ".join(f"{quoted(row['name'])} {-number}" for number, row in enumerate(rows))
    lines = preamble(path, "Time against glibc: further left is faster", results, 200 + 28 * len(rows)) + [
        "unset ylabel", "set logscale x", f"set yrange [{-len(rows) + 0.3}:0.7]", f"set ytics ({names})",
        "set xlabel 'time / time of glibc, median of the rounds; the line spans them'",
        "set grid noytics", *(f"set arrow from graph 0, first {-number - 0.5} to graph 1, first {-number - 0.5} "
                              "nohead lc rgb '#dddddd'" for number in range(len(rows) - 1)),
        "set lmargin 20", "set bmargin 9", "set key maxrows 2",
        "set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb '#000000' lw 1"]
    plots = []
    shown = [name for name in peers.ALL if name != peers.GLIBC]
    for place, name in enumerate(shown):
        label, colour, point = STYLES[name]
        values = [(row["peers"][name]["ratio"], -number) for number, row in enumerate(rows)
                  if row["peers"].get(name, {}).get("ratio")]
        if not values:
            continue
        # One above the other within the row, so that none hides another.
        shift = ((len(shown) - 1) / 2 - place) * 0.14
        lines += [f"$data{place} << EOD",
                  *(f"{ratio['median']} {y + shift} {ratio['min']} {ratio['max']}" for ratio, y in values), "EOD"]
        plots.append(f"$data{place} using 1:2:3:4 with xerrorbars pt {point} ps 0.7 lw 1.2 lc rgb '{colour}' "
                     f"title {quoted(label)}")
    draw(path, lines + ["plot " + ", \\\n     ".join(plots)])
    return True


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if not shutil.which("gnuplot"):
        sys.exit("plots.py: gnuplot is missing; install gnuplot-nox (Debian), gnuplot (Fedora, Arch)")
    source, directory = sys.argv[1:]
    try:
        with open(source) as file:
            results = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"plots.py: {source} cannot be read: {error}; `make bench` writes it")
    os.makedirs(directory, exist_ok=True)
    seconds = "set format y '%g s'"
    tables = f"set ytics {size_tics(4 * KIB, 4 * GIB, 8)}"
    pictures = {
        "page-tables.svg": page_tables,
        "scan-time.svg": lambda r, path: scan(r, path, "The time of one scan", "seconds", "time", seconds),
        "scan-tables.svg": lambda r, path: scan(r, path, "The page tables of one scan", "tables",
                                                "page tables of the process", tables),
        "regions.svg": regions,
        "shared.svg": shared,
        "ratios.svg": ratios,
    }
    for name, picture in pictures.items():
        path = os.path.join(directory, name)
        if not picture(results, path):
            print(f"not drawn: {path}: {source} has no figures for it")
    copy = os.path.join(directory, "results.json")
    if os.path.abspath(copy) != os.path.abspath(source):
        shutil.copyfile(source, copy)


if __name__ == "__main__":
    main()
