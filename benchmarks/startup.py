"""Start-up: ``vidsift --help``, and a cold ``vidsift search`` against importing torch and CLIP alone.

Whole processes, wall time, interleaved; writes results/startup.json and results/startup.md. Needs nothing but
the bundled model:

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from measuring import ROOT, command_line, rows_of, take_turns, write_results

IMPORTS = "import torch; from transformers import CLIPModel, CLIPTokenizer"


def run(command: list[str]) -> None:
    """Run a process that has to succeed."""
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--results", type=Path, default=ROOT / "results")
    chosen = options.parse_args()
    python = sys.executable
    vidsift = [python, "-m", "vidsift"]
    with tempfile.TemporaryDirectory() as place:
        run([*vidsift, "demo", "--folder", place, "--videos", "16"])
        cases = {
            "python -c pass": [python, "-c", "pass"],
            "vidsift --help": [*vidsift, "--help"],
            "import torch and transformers' CLIP": [python, "-c", IMPORTS],
            "vidsift search (cold)": [*vidsift, "search", "a red square", "--index", f"{place}/index"],
        }
        ways = {name: partial(run, command) for name, command in cases.items()}
        taken = take_turns(ways, chosen.rounds, clock=time.perf_counter)  # the first warms the file cache
    rows = {
        name: {"min_seconds": min(values), "median_seconds": statistics.median(values)}
        for name, values in taken.items()
    }
    ratio = (
        rows["vidsift search (cold)"]["min_seconds"]
        / rows["import torch and transformers' CLIP"]["min_seconds"]
    )
    report = {
        "command": command_line(__file__, ""),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "rounds": chosen.rounds,
        "rows": rows,
        "search_over_imports": ratio,
    }
    cells = [[name, *(f"{value:.2f}" for value in row.values())] for name, row in rows.items()]
    lines = [
        "# Start-up",
        "",
        f"`{report['command']}`, {report['machine']}, {chosen.rounds} rounds, whole processes, wall time.",
        "",
        *rows_of(["process", "min s", "median s"], cells),
        "",
        f"A cold search takes {ratio:.2f} times what importing torch and the CLIP classes alone takes.",
    ]
    write_results(chosen.results, "startup", report, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
