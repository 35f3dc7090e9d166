"""Start-up: ``vidsift --help``, and a cold ``vidsift search`` against importing torch and CLIP alone.

Whole processes, wall time, interleaved; writes results/startup.json and results/startup.md. Needs nothing but
the bundled model:

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = "import torch; from transformers import CLIPModel, CLIPTokenizer"


def seconds_of(command: list[str]) -> float:
    """Wall seconds of a process that has to succeed."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--results", type=Path, default=ROOT / "results")
    chosen = options.parse_args()
    python = sys.executable
    vidsift = [python, "-m", "vidsift"]
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(
            [*vidsift, "demo", "--folder", place, "--videos", "16"], check=True, capture_output=True
        )
        cases = {
            "python -c pass": [python, "-c", "pass"],
            "vidsift --help": [*vidsift, "--help"],
            "import torch and transformers' CLIP": [python, "-c", IMPORTS],
            "vidsift search (cold)": [*vidsift, "search", "a red square", "--index", f"{place}/index"],
        }
        taken: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(chosen.rounds + 1):
            for name, command in cases.items():
                taken[name].append(seconds_of(command))
    # The first round warms the file cache.
    rows = {
        name: {"min_seconds": min(values[1:]), "median_seconds": statistics.median(values[1:])}
        for name, values in taken.items()
    }
    ratio = (
        rows["vidsift search (cold)"]["min_seconds"]
        / rows["import torch and transformers' CLIP"]["min_seconds"]
    )
    report = {
        "command": "python benchmarks/startup.py",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "rounds": chosen.rounds,
        "rows": rows,
        "search_over_imports": ratio,
    }
    chosen.results.mkdir(exist_ok=True)
    (chosen.results / "startup.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Start-up",
        "",
        f"`{report['command']}`, {report['machine']}, {chosen.rounds} rounds, whole processes, wall time.",
        "",
        "| process | min s | median s |",
        "|---|---|---|",
        *(f"| {n} | {r['min_seconds']:.2f} | {r['median_seconds']:.2f} |" for n, r in rows.items()),
        "",
        f"A cold search takes {ratio:.2f} times what importing torch and the CLIP classes alone takes.",
    ]
    (chosen.results / "startup.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
