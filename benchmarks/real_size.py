"""A CLIP of ViT-B/32's real size, with random weights, through train, evaluate, index and search.

Every recipe of MSR-VTT takes two steps (zero-shot none) on a stand-in that ``recipes/stand_in.py`` writes,
with its own words and frames and the smallest batch; the last run is evaluated, indexes the videos and is
searched. Each command is a process of its own; its seconds and its peak of memory, workers included, are
written to results/real-size.json and .md. Nothing is downloaded:

    OMP_NUM_THREADS=2 PYTHONPATH=src python benchmarks/real_size.py
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import ROOT, command_line, features, machine, processor_class, rows_of, where, write_results

sys.path.insert(0, str(ROOT))

from recipes.stand_in import write_msrvtt

VIDEOS = 8
BATCH = 2
LAST = "drl-wti"
LIMIT_SECONDS, LIMIT_GB = 600.0, 6.0


def write_real_clip(folder: Path, captions: list[str]) -> float:
    """Write ``CLIPModel(CLIPConfig())`` with a tokenizer; return its millions of parameters."""
    import torch
    from transformers import CLIPConfig

    from vidsift.encoders.clip import ClipTowers
    from vidsift.encoders.pixels import PixelNorm
    from vidsift.encoders.tokenizer import train_tokenizer
    from vidsift.encoders.weights import save_clip

    tokenizer = train_tokenizer(captions, 1280)
    config = CLIPConfig()
    # The sizes are CLIP's, 49,408 words among them; the captions use the first of these.
    config.text_config.bos_token_id, config.text_config.eos_token_id = tokenizer.start_id, tokenizer.end_id
    torch.manual_seed(0)
    towers = ClipTowers(config)
    save_clip(folder, towers, tokenizer, PixelNorm(config.vision_config.image_size))
    return sum(parameter.numel() for parameter in towers.parameters()) / 1e6


class MemoryPeak:
    """Samples what a process and all that it started take of memory: shared pages count once, in GiB."""

    def __init__(self, process_id: int) -> None:
        """See the class; begins at once."""
        self.gib = 0.0
        self._process_id = process_id
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._over.wait(0.05):
            kib = sum(map(_proportional_kib, _with_descendants(self._process_id)))
            self.gib = max(self.gib, kib / 2**20)

    def stop(self) -> float:
        """Return the peak."""
        self._over.set()
        self._thread.join()
        return self.gib


def _with_descendants(process_id: int) -> Iterator[int]:
    yield process_id
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process_id}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _with_descendants(int(child))


def _proportional_kib(process_id: int) -> int:
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def timed(arguments: list[str], cwd: Path) -> dict[str, float]:
    """Run ``vidsift`` and return its seconds by the clock and of all processors, and its peak in GiB.

    Raises:
        SystemExit: it fails; with its last lines.
    """
    begin, spent = time.perf_counter(), _processor_seconds()
    # Errors go to the same pipe: it is read while the command runs, so that neither fills up.
    process = subprocess.Popen(
        [sys.executable, "-m", "vidsift", *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")},
    )
    peak = MemoryPeak(process.pid)
    assert process.stdout is not None
    said = process.stdout.read()
    status = process.wait()
    gib = peak.stop()
    if status:
        raise SystemExit(f"vidsift {' '.join(arguments)} ended with {status}:\n{said[-3000:]}")
    return {
        "seconds": time.perf_counter() - begin,
        "processor_seconds": _processor_seconds() - spent,
        "peak_gib": gib,
    }


def _processor_seconds() -> float:
    """Of all processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def commands(
    recipes: list[Path], clip: Path, data: Path, runs: Path
) -> Iterator[tuple[str, list[str], Path | None]]:
    """What is run: its name in the table, the arguments, and a folder that nothing needs afterwards."""
    place = [f"data.videos={data / 'videos'}", f"data.annotations={data / 'annotations'}"]
    for recipe in recipes:
        run = runs / recipe.stem
        changes = [f"model.start={clip}", *place, "validation=null", "data.workers=1"]
        if recipe.stem != "zeroshot":
            # Of PIDRo's three stages each wants one.
            changes += [f"steps={4 if recipe.stem == 'pidro' else 2}", f"data.batch_size={BATCH}"]
        train = ["train", str(recipe), *changes, "-o", str(run), "--device", "cpu"]
        yield f"train msrvtt/{recipe.name}", train, None if recipe.stem == LAST else run
    run = runs / LAST
    evaluate = ["evaluate", str(run), str(data / "videos"), "--data", "msrvtt", "--split", "1k-A"]
    yield "evaluate", [*evaluate, "--annotations", str(data / "annotations"), "--device", "cpu"], None
    index = runs / "index"
    yield (
        "index",
        ["index", str(data / "videos"), "--model", str(run), "--index", str(index), "--device", "cpu"],
        None,
    )
    yield "search", ["search", "a red square moves left", "--index", str(index), "--device", "cpu"], None


def main() -> None:
    """Run everything and write the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--results", type=Path, default=ROOT / "results")
    options.add_argument(
        "--folder", type=Path, help="Where the runs go, some 4 GB; a temporary folder if absent."
    )
    chosen = options.parse_args()
    able = features()
    kind = processor_class(able)
    recipes = sorted(
        (ROOT / "recipes" / "msrvtt").glob("*.yaml"), key=lambda path: (path.stem == LAST, path.stem)
    )
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as place:
        root = Path(place)
        begin = time.perf_counter()
        captions = write_msrvtt(root / "msrvtt", training=VIDEOS, test=VIDEOS, size_px=224)
        millions = write_real_clip(root / "clip", captions)
        for name, arguments, unneeded in commands(recipes, root / "clip", root / "msrvtt", root / "runs"):
            rows[name] = timed(arguments, root)
            print(
                f"{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in rows[name].items()), flush=True
            )
            if unneeded is not None:
                shutil.rmtree(unneeded)
        whole = time.perf_counter() - begin
    measured: dict[str, Any] = {
        "command": command_line(__file__, "OMP_NUM_THREADS=2 PYTHONPATH=src"),
        **machine(),
        "able": able,
        "million_parameters": millions,
        "batch": BATCH,
        "seconds": whole,
        "processor_seconds": sum(row["processor_seconds"] for row in rows.values()),
        "peak_gib": max(row["peak_gib"] for row in rows.values()),
        "rows": rows,
    }
    write_results(chosen.results, "real-size", measured, page(measured, kind))
    if whole > LIMIT_SECONDS or measured["peak_gib"] > LIMIT_GB:
        raise SystemExit(f"more than {LIMIT_SECONDS / 60:g} minutes or {LIMIT_GB:g} GiB")


def page(measured: dict[str, Any], kind: str) -> str:
    """Lay out the table."""
    cells = [
        (
            f"`vidsift {name.split()[0]}` {' '.join(name.split()[1:])}".strip(),
            *map("{:.1f}".format, row.values()),
        )
        for name, row in measured["rows"].items()
    ]
    parameters = f"{measured['million_parameters']:.1f} M random weights"
    lines = [
        "# A real-size model on the command line",
        "",
        f"`{measured['command']}`",
        "",
        f"{where(measured)}; {kind} ({', '.join(measured['able'])}).",
        "",
        f"`CLIPModel(CLIPConfig())`, ViT-B/32 with {parameters}: what it scores means nothing. Every",
        f"recipe of MSR-VTT takes two steps of {BATCH} videos with its own words and frames, and writes",
        f"checkpoints and model; `{LAST}` is then evaluated, indexes {2 * VIDEOS} videos and is searched.",
        "Seconds by the clock of whole processes, files and all; the peak is of a command with all the",
        "processes that it starts.",
        "",
        *rows_of(("command", "seconds", "of processors", "peak GiB"), cells),
        "",
        f"Together {measured['seconds'] / 60:.1f} minutes by the clock;",
        f"{measured['processor_seconds'] / 60:.1f} minutes of processors.",
        f"The largest peak is {measured['peak_gib']:.1f} GiB.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
