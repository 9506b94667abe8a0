"""Results as tables that can be pasted into a page. Imports nothing of the project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return " | ".join(["| " + first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "|".join(["|" + "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def microseconds(seconds: float) -> str:
    """Three digits, or all before the point."""
    value = seconds * 1e6
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _names(rows: Sequence[dict[str, Any]], field: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row[field]))


def speed(group: dict[str, Any]) -> str:
    """Microseconds of everybody, ratios, and what was computed or moved per second."""
    rows = group["rows"]
    times, labels = _names(rows, "times"), _names(rows, "ratios")
    computes = any("gflops" in row for row in rows)
    header = ["microseconds", *times, *labels, *(["GFLOP/s", "of peak"] if computes else ["GB/s"])]
    lines = []
    for row in rows:
        cells = [row["task"]]
        cells += [microseconds(row["times"][name]["median"]) if name in row["times"] else "" for name in times]
        cells += [f"{row['ratios'][label]['ratio']:.2f}" if label in row["ratios"] else "" for label in labels]
        if computes:
            cells += [f"{row['gflops']:.1f}", f"{row['gflops'] / row['peak']:.0%}"]
        else:
            cells += [f"{row['gigabytes_per_second']:.1f}"]
        lines.append(cells)
    means = [
        f"{label}: geometric mean {found['geometric_mean']:.2f} of {found['tasks']}, "
        f"minimum {found['minimum']:.2f} ({found['minimum_at']})"
        for label, found in group["summaries"].items()
    ]
    return "\n\n".join([f"## {group['title']}", table(header, lines), *means])


def memory(group: dict[str, Any]) -> str:
    """Peaks as multiples of the result."""
    names = _names(group["rows"], "peaks")
    lines = [[row["task"], *(f"{row['peaks'][name]:.2f}" for name in names)] for row in group["rows"]]
    return f"## {group['title']}\n\n{table(['times the result', *names], lines)}"


def text(group: dict[str, Any]) -> str:
    if not group["rows"]:
        return f"## {group['title']}\n\nNothing was measured."
    return memory(group) if group["name"] == "memory" else speed(group)


def preamble(result: dict[str, Any]) -> str:
    """What was measured where."""
    facts = [f"{name}: {value}" for name, value in result["machine"].items()]
    facts += [f"{name}: {version}" for name, version in result["versions"].items()]
    facts += [f"{name} is left out: {reason}" for name, reason in result["missing"].items()]
    return "\n".join(facts)


def closing(result: dict[str, Any]) -> str:
    """How to read it."""
    where = "each library in a process of its own, stopped while others are timed"
    lines = [
        "ratio = time of the best other / time of pyconvx, so more than 1 is faster. Times are medians of samples",
        f"taken in turns, {where if result['options']['apart'] else 'all in one process'}.",
        "GFLOP/s and GB/s are those of pyconvx; they count the multiplications and additions of the definition, so",
        "that an algorithm that saves some may exceed the peak.",
    ]
    for name, gflops in result["peaks"].items():
        lines.append(f"Peak, {name}: {gflops:.0f} GFLOP/s, {result['peak of']}.")
    lines.append(f"Load: {result['machine']['load before']} before, {result['load after']} after.")
    return "\n".join(lines)
