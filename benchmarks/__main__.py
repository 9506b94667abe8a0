"""The command: python -m benchmarks. Imports the rest only when the process is set up for timing."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from . import machine

if TYPE_CHECKING:
    from .peers import Loaded

NAMES = (
    *("layers", "first", "untuned", "backward", "double", "pooling", "activations", "pictures", "smallest", "memory"),
    "scaling",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time pyconvx beside other libraries.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(NAMES)}; all if none is named")
    parser.add_argument("--threads", type=int, default=1, help="threads and cores that everybody uses (1)")
    parser.add_argument(
        "--peers", metavar="NAMES", help="files of benchmarks/peers, with commas, or none; all if left out"
    )
    parser.add_argument("--match", default="", metavar="TEXT", help="only layers with TEXT in their name")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each layer and library (0.4)")
    parser.add_argument(
        "--apart",
        action=argparse.BooleanOptionalAction,
        help="each library in a process of its own, stopped while others are timed (where there are several threads)",
    )
    parser.add_argument("--reuse", action="store_true", help="pyconvx writes into an array made once (out=)")
    parser.add_argument("--quick", action="store_true", help="the two smallest layers of each group, timed briefly")
    parser.add_argument("--json", metavar="FILE", help="write all results")
    parser.add_argument("--chart", metavar="FILE", help="draw the ratios (needs matplotlib)")
    options = parser.parse_args()
    unknown = set(options.groups) - set(NAMES)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    if not 1 <= options.threads <= len(machine.AVAILABLE):
        parser.error(f"--threads must be in 1...{len(machine.AVAILABLE)}, the cores there are, got {options.threads}")
    if options.apart is None:
        options.apart = options.threads > 1
    options.groups = [name for name in NAMES if name in options.groups or not options.groups]
    return options


def progress(what: str) -> None:
    """Tell where we are, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def main() -> None:
    options = arguments()
    machine.calm(options.threads)
    machine.pin(options.threads)
    result = run(options)
    progress("")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
    if options.chart:
        from .chart import draw

        draw(result, options.chart)
    errors = [error for group in result["groups"] for error in group.get("errors", ())]
    if errors:
        sys.exit("\n".join(["Wrong results:", *errors]))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and print the groups asked for."""
    from . import apart, peers
    from .peers import own

    modules = peers.MODULES if options.peers is None else [] if options.peers == "none" else options.peers.split(",")
    unknown = set(modules) - set(peers.MODULES)
    if unknown:
        sys.exit(f"no peer {', '.join(sorted(unknown))}: there are {', '.join(peers.MODULES)}")
    if options.apart and not apart.SUPPORTED:
        sys.exit("--apart needs a system that can stop processes")
    own.Own.reuse = options.reuse
    modules = ["own", *modules]
    with apart.load(modules, options.reuse) if options.apart else nullcontext(peers.load(modules)) as loaded:
        return measure(options, loaded)


def measure(options: argparse.Namespace, loaded: Loaded) -> dict[str, Any]:
    """Measure and print with these peers."""
    from . import memory, report
    from .layers import GROUPS
    from .measure import run_group
    from .peers import own
    from .timing import Plan

    found, versions, missing = loaded
    plan = Plan(seconds=0.005, sample=0.0005, least=3) if options.quick else Plan(seconds=options.seconds)
    result: dict[str, Any] = {
        "machine": machine.describe(options.threads),
        "versions": {"pyconvx" if name == "own" else name: version for name, version in versions.items()},
        "missing": missing,
        "options": vars(options),
        "groups": [],
    }
    print(report.preamble(result), flush=True)
    if (result["machine"]["load before"] or 0) + options.threads > len(machine.AVAILABLE) + 0.5:
        print("\nThe machine is busy: others want the same cores, and the figures are worth little.", flush=True)
    groups = {group.name: group for group in GROUPS}
    for name in options.groups:
        if name == "memory":
            if not memory.SUPPORTED:
                print("\nmemory is left out: this system does not tell the peak of a process")
                continue
            kernels, size = ((1, 3), 128) if options.quick else (memory.KERNELS, 1024)
            ours = set(own.WAYS) - {own.PREPARED}
            names = [peer.name for peer in found if peer.name not in {"scipy", "cv2"} | ours]
            measured = memory.run(names, size, kernels, progress)
        else:
            tasks = [task for task in groups[name].tasks if options.match in task.name]
            if options.quick:
                tasks = sorted(tasks, key=lambda task: (task.flops, task.bytes))[:2]
            measured = run_group(groups[name], tasks, found, plan, options.threads, progress)
        result["groups"].append(measured)
        progress("")
        print(f"\n{report.text(measured)}", flush=True)
    rows = [row for group in result["groups"] for row in group["rows"] if "peak" in row]
    result["peaks"] = {f"{row['threads']} thread(s), {row['dtype']}": row["peak"] for row in rows}
    result["peak of"] = machine.PEAK_OF
    result["load after"] = machine.load()
    print(f"\n{report.closing(result)}")
    return result


if __name__ == "__main__":
    main()
