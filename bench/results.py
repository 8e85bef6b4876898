"""From runs to figures: medians, ratios with their spread, and whether a target is reached.

A ratio is formed within each round and the median taken of those, so that what disturbs a whole round cancels.
"""

from statistics import median


def spread(values):
    return {"median": median(values), "min": min(values), "max": max(values), "n": len(values)}


def figure_of(run, name):
    """A figure of one run; None where it has none or did not end well."""
    if run.get("status") != "ok":
        return None
    if name == "pss_mb":
        return run["pss"] / 1e6 if "pss" in run else None
    return run.get(name)


def summarise(runs):
    """Of the runs of one peer: its status, and spread of each figure."""
    broken = next((run["status"] for run in runs if run["status"] != "ok"), None)
    result = {"status": broken or "ok", "figures": {}}
    for name in runs[0]:
        # What a killed run took before it died is shown, too.
        values = [run[name] for run in runs if isinstance(run.get(name), (int, float))]
        if values:
            result["figures"][name] = spread(values)
    return result


def paired(subject, other, figure, per):
    """subject / other, round by round; the last rounds of who ran more often have no partner."""
    pairs = ((figure_of(a, figure), figure_of(b, per)) for a, b in zip(subject, other))
    return [a / b for a, b in pairs if a is not None and b]


def ratios(runs, figure, bare):
    """Spread of a peer's figure against the bare run's; None where one of them has none."""
    values = paired(runs, bare, figure, figure) if runs and bare else []
    return spread(values) if values else None


def best_of(peers, names, figure):
    """The peer with the lowest median; None where no peer has the figure."""
    medians = {}
    for name in names:
        values = [figure_of(run, figure) for run in peers.get(name, {}).get("runs", [])]
        values = [value for value in values if value is not None]
        if values:
            medians[name] = median(values)
    return min(medians, key=medians.get, default=None)


def ended(name, peers):
    """"window missing", "glibc killed (out of memory)"."""
    status = peers.get(name, {}).get("status", "not run")
    return f"{name} {'missing' if status.startswith('missing') else status}"


def verdict(target, peers):
    """{"text", "value", "bound", "verdict", ...}; the verdict is reached, missed, reported or not measured."""
    result = {"text": target.text, "bound": target.bound, "at_least": target.inverse}
    subject = peers.get(target.subject, {})
    runs = subject.get("runs", [])
    if target.finishes and runs:
        return {**result, "verdict": "reached" if subject["status"] == "ok" else "missed", "ended": subject["status"]}
    best = best_of(peers, target.against, target.per or target.figure)
    if not any(figure_of(run, target.figure) is not None for run in runs):
        return {**result, "verdict": "not measured", "why": ended(target.subject, peers)}
    if target.against and best is None:
        why = "; ".join(ended(name, peers) for name in target.against[:2])
        return {**result, "verdict": "not measured", "why": why}
    if target.against:
        values = paired(runs, peers[best]["runs"], target.figure, target.per or target.figure)
        if len(target.against) > 1:
            result["best"] = best
    elif target.per:
        values = paired(runs, runs, target.figure, target.per)
    else:
        values = [figure_of(run, target.figure) for run in runs]
        values = [value for value in values if value is not None]
    if target.inverse:
        values = [1 / value for value in values if value]
    if not values:
        return {**result, "verdict": "not measured", "why": "a figure of 0"}
    result.update(value=median(values), min=min(values), max=max(values))
    if target.bound is None:
        return {**result, "verdict": "reported"}
    reached = result["value"] >= target.bound if target.inverse else result["value"] <= target.bound
    return {**result, "verdict": "reached" if reached else "missed"}
