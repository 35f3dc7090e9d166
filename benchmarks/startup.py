"""Start-up: ``vidsift --help`` against a bare interpreter, a cold search against importing torch and CLIP.

Whole processes, one thread, CPU time, interleaved; writes results/startup.json and results/startup.md. Needs
the bundled model alone, and a system that counts the CPU time of child processes (not Windows):

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from measuring import ROOT, command_line, rows_of, take_turns, write_results

IMPORTS = "import torch; from transformers import CLIPModel, CLIPTokenizer"
BARE, HELP, WATCH_HELP = "python -c pass", "vidsift --help", "vidsift index watch --help"
IMPORT, SEARCH = "import torch and transformers' CLIP", "vidsift search (cold)"
MOST_BARE_STARTS = 12


def run(command: list[str], times: int = 1) -> None:
    """Run a process that has to succeed, once or several times."""
    for _ in range(times):
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def spent_by_children() -> float:
    """CPU seconds of all processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--light", type=int, default=10, help="runs in a round of what imports little")
    options.add_argument("--results", type=Path, default=ROOT / "results")
    chosen = options.parse_args()
    python = sys.executable
    vidsift = [python, "-m", "vidsift"]
    with tempfile.TemporaryDirectory() as place:
        run([*vidsift, "demo", "--folder", place, "--videos", "16"])
        # The clock counts hundredths of a second: what is short is run several times.
        cases = {
            BARE: ([python, "-c", "pass"], chosen.light),
            HELP: ([*vidsift, "--help"], chosen.light),
            WATCH_HELP: ([*vidsift, "index", "watch", "--help"], chosen.light),
            IMPORT: ([python, "-c", IMPORTS], 1),
            SEARCH: ([*vidsift, "search", "a red square", "--index", f"{place}/index"], 1),
        }
        ways = {name: partial(run, command, times) for name, (command, times) in cases.items()}
        taken = take_turns(ways, chosen.rounds, clock=spent_by_children)  # the first warms the file cache
    seconds = {name: [value / cases[name][1] for value in values] for name, values in taken.items()}
    bare = statistics.median(seconds[BARE])
    rows = {
        name: {
            "min_cpu_seconds": min(values),
            "median_cpu_seconds": statistics.median(values),
            "bare_starts": statistics.median(values) / bare,
        }
        for name, values in seconds.items()
    }
    ratio = rows[SEARCH]["median_cpu_seconds"] / rows[IMPORT]["median_cpu_seconds"]
    report = {
        "command": command_line(__file__, ""),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "rounds": chosen.rounds,
        "rows": rows,
        "search_over_imports": ratio,
    }
    cells = [
        [
            name,
            f"{row['min_cpu_seconds']:.3f}",
            f"{row['median_cpu_seconds']:.3f}",
            f"{row['bare_starts']:.1f}",
        ]
        for name, row in rows.items()
    ]
    how = f"{report['machine']}, {chosen.rounds} rounds, whole processes, one thread, CPU time"
    summary = (
        f"`{HELP}` takes {rows[HELP]['bare_starts']:.1f} times what a bare interpreter takes (at most "
        f"{MOST_BARE_STARTS} are allowed), a cold search {ratio:.2f} times what importing torch and the CLIP "
        "classes alone takes."
    )
    table = rows_of(["process", "min s", "median s", "in bare starts"], cells)
    lines = ["# Start-up", "", f"`{report['command']}`, {how}.", "", *table, "", summary]
    write_results(chosen.results, "startup", report, "\n".join(lines) + "\n")
    if rows[HELP]["bare_starts"] > MOST_BARE_STARTS:
        sys.exit(f"{HELP} takes more than {MOST_BARE_STARTS} bare starts")


if __name__ == "__main__":
    main()
