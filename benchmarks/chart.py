"""Ratios as a bar chart. Imports matplotlib when it draws."""

from __future__ import annotations

from typing import Any

INK, OURS, SLOWER = "#333333", "#2a6f97", "#c1666b"


def draw(result: dict[str, Any], path: str) -> None:
    """One panel per group, one bar per layer: how many times faster than the best other library. ValueError if none."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = []
    for group in result["groups"]:
        label = next(iter(group.get("summaries", ())), None)
        if group.get("bars") and label:
            rows = [(row["task"], row["ratios"][label]) for row in group["rows"] if label in row["ratios"]]
            panels.append((group, group["summaries"][label], rows))
    if not panels:
        raise ValueError("no group that can be drawn was measured beside another library")
    heights = [len(rows) + 2 for *_, rows in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        squeeze=False,
        figsize=(9, 0.24 * sum(heights) + 0.6),
        height_ratios=heights,
        layout="constrained",
    )
    for ax, (group, found, rows) in zip(axes[:, 0], panels, strict=True):
        ratios = [ratio["ratio"] for _, ratio in rows]
        places = range(len(rows))
        ax.barh(places, ratios, color=[OURS if ratio >= 1 else SLOWER for ratio in ratios])
        for place, (_, ratio) in zip(places, rows, strict=True):
            text = ax.text(
                ratio["ratio"], place, f" {ratio['ratio']:.2f}  {ratio['best']}", va="center", size=7, color=INK
            )
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.4})
        ax.set_yticks(places, [task for task, _ in rows], size=8)
        ax.invert_yaxis()
        ax.set_xscale("log")
        ax.set_xlim(min(0.5, *ratios) * 0.9, max(2.0, *ratios) * 4)
        ax.axvline(1, color=INK, linewidth=0.8)
        ax.axvline(found["geometric_mean"], color=INK, linewidth=0.8, linestyle=":")
        ax.set_title(f"{group['title']} (geometric mean {found['geometric_mean']:.2f})", size=9, loc="left")
        ax.tick_params(axis="x", labelsize=7)
        ax.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        ax.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        ax.spines[["top", "right"]].set_visible(False)
    processor, threads = result["machine"]["processor"], result["machine"]["cores used"]
    axes[-1, 0].set_xlabel(
        f"time of the best other library (named) / time of pyconvx; {processor}, {threads} thread(s)",
        size=8,
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)
