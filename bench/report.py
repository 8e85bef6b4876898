"""The results as text that fits 100 columns."""

import textwrap

HEAD = ("", "time", "from..to", "ratio", "faults", "peak RSS", "PSS", "tables", "cgroup")
LINE = "  {:<13}{:>10} {:>17} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}"
WIDTH = 100


def seconds(value):
    if value is None:
        return ""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 1 or unit == "us":
            return f"{significant(value * factor)} {unit}"


def significant(value):
    """Three digits, or four behind the point: 0.0021, 0.213, 2.13, 21.3, 2130."""
    for below, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if abs(value) < below:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def size(value):
    if value is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1000 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024


def whole_size(value):
    """Of a size that was asked for: "16 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value % 1024 or value == 0:
            return f"{value} {unit}"
        value //= 1024
    return f"{value} TiB"


def between(figure, unit=seconds):
    return f"{unit(figure['min'])}..{unit(figure['max'])}" if figure and figure["n"] > 1 else ""


def peer_line(name, peer):
    figures = peer.get("figures", {})

    def median_of(key, unit):
        return unit(figures[key]["median"]) if key in figures else ""

    ratio = peer.get("ratio")
    line = LINE.format(
        name, median_of("seconds", seconds), between(figures.get("seconds")),
        significant(ratio["median"]) if ratio else "", median_of("faults", lambda value: f"{value:.0f}"),
        median_of("rss_peak", size), median_of("pss", size), median_of("tables", size),
        median_of("cgroup_peak", size))
    if peer["status"] == "ok":
        return line.rstrip()
    ended = peer["status"]
    if figures.get("tables", {"median": 0})["median"]:
        ended += f"; page tables {median_of('tables', size)}, RSS {median_of('rss_peak', size)}"
    return textwrap.fill(f"  {name:<13} {ended}", WIDTH, subsequent_indent=" " * 18)


def target_text(target, reduced):
    if target["verdict"] == "not measured":
        return f"{target['text']}: not measured: {target['why']}"
    if "ended" in target:
        return f"{target['text']}: {target['ended']}: {target['verdict']}"
    best = f" ({target['best']})" if target.get("best") else ""
    found = f"{significant(target['value'])} ({significant(target['min'])}..{significant(target['max'])})"
    if target["bound"] is None:
        return f"{target['text']}{best}: {found}"
    bound = f"at {'least' if target['at_least'] else 'most'} {target['bound']:.3g}"
    return f"{target['text']}{best}: {found}; target {bound}: {target['verdict']}" + (
        " at this size" if reduced else "")


def wrapped(text, begin):
    return textwrap.fill(text, WIDTH, initial_indent=begin, subsequent_indent="    ")


def row_text(row):
    lines = [wrapped(f"{row['name']}: {row['title']}", "")]
    lines += [wrapped(note, "  ! ") for note in row["notes"]]
    if row["peers"]:
        lines.append(LINE.format(*HEAD).rstrip())
        lines += [peer_line(name, peer) for name, peer in row["peers"].items()]
    lines += [wrapped(target_text(target, row["reduced"]), "  > ") for target in row["targets"]]
    return "\n".join(lines) + "\n"


def head_text(results):
    machine, settings = results["machine"], results["settings"]
    zero = "a zero page" if machine["zero_page"] else "NO zero page: reading untouched memory allocates it"
    scaled = f"every size and count divided by {settings['scale']}; " if settings["scale"] > 1 else ""
    lines = [
        f"lazyzero {results['version']}, {machine['date']}",
        f"{machine['cpu']}, {machine['cpus']} processors, {size(machine['ram'])}; Linux {machine['kernel']}, "
        f"glibc {machine['glibc']}; load {machine['load_average']:.1f}",
        f"{zero}; a page fault takes {seconds(machine['fault_seconds'])}; THP {machine['thp']['enabled']}, "
        f"shmem {machine['thp']['shmem_enabled']}",
        f"{settings['rounds']} rounds or more; {scaled}a run may have {size(settings['memory'])}"
        f"{'' if settings['cgroup'] is None else ' (' + settings['cgroup'] + ')'}",
        "Ratios are against glibc, round by round. Peaks of real programs are sampled from outside."]
    return "\n".join(wrapped(line, "") for line in lines) + "\n"


def summary_text(results):
    verdicts = [target["verdict"] for row in results["rows"] for target in row["targets"]]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("reached", "missed", "not measured", "reported"))
    return f"Targets: {counts}."
