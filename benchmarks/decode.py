"""Decode 12 pictures of a long video: CPU time beside other readers, and the pitfall files.

    pip install -r benchmarks/requirements.txt     # in an environment of its own
    PYTHONPATH=src python benchmarks/decode.py     # writes results/decode.json and results/decode.md

Every reader runs in a process of its own with one thread; the readers take turns, round after round, and
each round's CPU time is that of the whole process. Readers that are not installed are reported as missing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from decode_files import FPS, Pitfall, encode, make_up, number_in, pitfalls
from decode_readers import JUDGED, PEERS, READERS, TIMED
from measuring import ROOT, command_line, processor, write_results

SECONDS, FRAMES = 30, 12
COMMAND = command_line(__file__, "PYTHONPATH=src")
GOPS = (250, 30)
GROUNDS = {
    "smooth": ("Smooth ground, as through a lens, x264 veryfast", "veryfast"),
    "hard": ("Hard texture, x264 medium", "medium"),
}
TARGETS = {250: 1.4, 30: 1.3}
PACKAGES = ("av", "torchcodec", "torch", "decord", "opencv-python-headless", "pillow", "numpy")


def serve(name: str) -> None:
    """Answer requests on standard input, one JSON object a line, until it closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    try:
        reader = READERS[name]()
    except Exception as error:
        print(
            json.dumps({"missing": f"{type(error).__name__}: {error}".splitlines()[0]}),
            file=answers,
            flush=True,
        )
        return
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        begin = time.process_time()
        try:
            pictures = reader(request["path"], request["times"])
            spent = time.process_time() - begin
            answer: dict[str, Any] = {"cpu_seconds": spent, "numbers": [number_in(p) for p in pictures]}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """A reader in its own process."""

    def __init__(self, name: str) -> None:
        """Start it, and learn whether the reader is installed."""
        environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.missing: str | None = self._line().get("missing", None)

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"missing": "stopped", "error": "the process stopped"}

    def ask(self, path: Path, times: list[float]) -> dict[str, Any]:
        """Read the pictures once."""
        assert self.process.stdin is not None
        try:
            print(json.dumps({"path": str(path), "times": times}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"error": "the process stopped"}
        return self._line()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(workers: dict[str, Worker], path: Path, rounds: int) -> dict[str, Any]:
    """Time every reader on 12 pictures at the middles of equal parts; the first round is not counted."""
    times = [(place + 0.5) * SECONDS / FRAMES for place in range(FRAMES)]
    expected = [int(seconds * FPS + 1e-9) for seconds in times]
    timed = {name: worker for name, worker in workers.items() if name in TIMED}
    rows: dict[str, Any] = {name: {"cpu_ms": [], "right": None} for name in timed}
    for turn in range(rounds + 1):
        for name, worker in timed.items():
            answer = worker.ask(path, times)
            row = rows[name]
            if "error" in answer:
                row["error"] = answer["error"]
                continue
            row["right"] = sum(a == b for a, b in zip(answer["numbers"], expected, strict=True))
            if turn:
                row["cpu_ms"].append(round(answer["cpu_seconds"] * 1000, 1))
    for row in rows.values():
        if row["cpu_ms"]:
            row["min_ms"] = min(row["cpu_ms"])
            row["median_ms"] = round(statistics.median(row["cpu_ms"]), 1)
    return rows


def compare(rows: dict[str, Any]) -> dict[str, Any]:
    """Ratios against the fastest peer."""
    peers = {name: rows[name] for name in PEERS if name in rows and "min_ms" in rows[name]}
    if not peers:
        return {}
    best = min(peers, key=lambda name: float(peers[name]["min_ms"]))
    ours = rows["vidsift"]
    return {
        "best_peer": best,
        "ratio_min": round(peers[best]["min_ms"] / ours["min_ms"], 2),
        "ratio_median": round(min(p["median_ms"] for p in peers.values()) / ours["median_ms"], 2),
    }


def pitfall_row(workers: dict[str, Worker], pitfall: Pitfall) -> dict[str, Any]:
    """How many of 12 pictures each reader gets right, or that it fails."""
    times, expected = pitfall.questions() if pitfall.readable else ([0.1], [])
    row: dict[str, Any] = {}
    for name in JUDGED:
        if name not in workers:
            continue
        answer = workers[name].ask(pitfall.path, times)
        if "error" in answer:
            row[name] = "error"
        else:
            row[name] = sum(a == b for a, b in zip(answer["numbers"], expected, strict=False))
    return row


def _installed() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "missing"
    return versions


def _speed_table(files: dict[str, Any]) -> list[str]:
    """One table for each file: the readers' times, and the ratio to the best of the others."""
    lines: list[str] = []
    for name, file in files.items():
        made = file["made_up"]
        spare = f"{made['spare_pictures']:.0%} of the pictures ({made['spare_bytes']:.0%} of the bytes)"
        lines += [
            "",
            f"### {name}",
            "",
            f"{made['megabytes']} MB; no other picture refers to {spare}.",
            "",
            "| reader | min ms | median ms | right |",
            "|---|---:|---:|---:|",
        ]
        for reader, row in file["readers"].items():
            if "min_ms" in row:
                lines.append(f"| {reader} | {row['min_ms']:.0f} | {row['median_ms']:.0f} | {row['right']} |")
            else:
                lines.append(f"| {reader} | error | | |")
        summary, target = file["summary"], TARGETS[file["gop"]]
        if summary:
            verdict = "met" if summary["ratio_min"] >= target else "missed"
            lines += [
                "",
                f"Least time {summary['ratio_min']:.2f}x, median {summary['ratio_median']:.2f}x faster than",
                f"the fastest other reader ({summary['best_peer']}); target {target}x {verdict}.",
            ]
    return lines


def table(result: dict[str, Any]) -> str:
    """Write the results as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    present = [name for name in JUDGED if name not in result["missing"]]
    lines = [
        "# Decoding",
        "",
        f"`{COMMAND}` on {result['machine']}; {versions}.",
        "",
        f"## {FRAMES} pictures of {SECONDS} s, 1280x720, H.264 with B-frames at 2.7 Mbit/s, to 224 px",
        "",
        f"CPU time of the process, one thread; the readers take turns, {result['rounds']} rounds counted.",
        f"Right: exact pictures of {FRAMES}. How much is gained over readers that seek depends on how many",
        "pictures nothing else refers to, and how large they are.",
        *_speed_table(result["speed"]),
        "",
        "## Pictures right, of 12, on files where readers go wrong",
        "",
        "| file | " + " | ".join(present) + " |",
        "|---|" + "---:|" * len(present),
    ]
    for name, row in result["pitfalls"].items():
        lines.append(f"| {name} | " + " | ".join(str(row[reader]) for reader in present) + " |")
    lines += [
        "",
        "The question is always which picture is shown at a time. PyAV is used plainly (its own",
        "timestamps, no rotation); OpenCV has only frame numbers to ask with, taken as time x rate.",
        "No reader can read an MP4 without its moov.",
        *(f"\nMissing: {name} ({why})" for name, why in result["missing"].items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the files, run the readers, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=list(READERS), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--files", type=Path, default=Path(tempfile.gettempdir()) / "vidsift-decode-benchmark"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    arguments.files.mkdir(parents=True, exist_ok=True)
    print("making the files", flush=True)
    traps = pitfalls(arguments.files)
    videos = {
        (ground, gop): encode(
            arguments.files / f"{ground}-gop{gop}.mp4",
            frames=SECONDS * FPS,
            width_px=1280,
            height_px=720,
            gop=gop,
            bit_rate=2_700_000,
            smooth=ground == "smooth",
            preset=GROUNDS[ground][1],
        )
        for ground in GROUNDS
        for gop in GOPS
    }
    workers = {name: Worker(name) for name in READERS}
    missing = {name: worker.missing for name, worker in workers.items() if worker.missing}
    workers = {name: worker for name, worker in workers.items() if not worker.missing}
    result: dict[str, Any] = {
        "command": COMMAND,
        "machine": processor(),
        "versions": _installed(),
        "rounds": arguments.rounds,
        "missing": missing,
        "speed": {},
        "pitfalls": {},
    }
    for (ground, gop), path in videos.items():
        name = f"{GROUNDS[ground][0]}, GOP {gop}"
        print(name, flush=True)
        rows = measure(workers, path, arguments.rounds)
        result["speed"][name] = {
            "gop": gop,
            "made_up": make_up(path),
            "readers": rows,
            "summary": compare(rows),
        }
    result["pitfalls"] = {trap.name: pitfall_row(workers, trap) for trap in traps}
    for worker in workers.values():
        worker.close()
    write_results(arguments.results, "decode", result, table(result))


if __name__ == "__main__":
    main()
