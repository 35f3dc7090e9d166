"""How fast the Shapes world is rendered to files and to training batches.

    python benchmarks/shapes.py [--videos 2000] [--clips 10000] [--results results]

Writes ``shapes-render.json`` and ``shapes-render.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from vidsift.shapes.clip_library import draw_clips
from vidsift.shapes.clip_stream import clip_batch
from vidsift.shapes.library import draw_split, write_library
from vidsift.shapes.stream import stream_batch


def measure(videos: int) -> dict[str, float]:
    """Time a library of 4 s clips at 128 px on all cores, and 64 px training batches on one."""
    before = time.perf_counter()
    draw_split("train", videos)
    drawn = time.perf_counter() - before
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        write_library(folder, "train", videos)
        wall = time.perf_counter() - before
        size = sum(path.stat().st_size for path in Path(folder).glob("*.mp4"))
    stream_batch(0, 0)
    before = time.process_time()
    for step in range(1, 21):
        stream_batch(0, step)
    batch = (time.process_time() - before) / 20
    return {
        "videos": videos,
        "cores": len(os.sched_getaffinity(0)),
        "library_seconds": round(wall, 1),
        "of_which_scenes_and_captions_seconds": round(drawn, 1),
        "library_megabytes": round(size / 1e6, 1),
        "batch_of_64x8_at_64px_milliseconds": round(1e3 * batch, 1),
        "load_average_1min": round(os.getloadavg()[0], 1),
    }


def _batch_seconds(step: int) -> float:
    """Draw, describe and render 64 clips of 16 pictures at 64 px; CPU time."""
    before = time.process_time()
    clip_batch(0, step, 64, 16, 64)
    return time.process_time() - before


def measure_clips(clips: int) -> dict[str, float]:
    """Time clips of Shapes 2 as arrays on two cores, and the drawing of a split alone."""
    before = time.process_time()
    draw_clips("test", 640)
    drawn = time.process_time() - before
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_batch_seconds, range(2)))
        before = time.perf_counter()
        spent = list(pool.map(_batch_seconds, range(2, 2 + -(-clips // 64))))
        wall = time.perf_counter() - before
    return {
        "clips": len(spent) * 64,
        "clips_of_16_at_64px_wall_seconds_on_2_cores": round(wall, 1),
        "of_which_cpu_seconds_of_both": round(sum(spent), 1),
        "a_clip_cpu_milliseconds": round(1e3 * sum(spent) / len(spent) / 64, 2),
        "split_of_640_clips_with_3_captions_each_cpu_seconds": round(drawn, 2),
        "load_average_1min_at_clips": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--clips", type=int, default=10_000)
    options = parser.parse_args()
    measured = measure(options.videos) | measure_clips(options.clips)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "shapes-render.json").write_text(json.dumps(measured, indent=2) + "\n")
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in measured.items())
    (options.results / "shapes-render.md").write_text(
        "# Rendering Shapes\n\n"
        "`python benchmarks/shapes.py`: 4 s clips, 128 px, 12 frames a second, H.264, all cores;\n"
        "training batches on one core (CPU time). The target is 2,000 clips in under 180 s on 2 cores.\n"
        "Below them Shapes 2: clips of 4 to 16 s, drawn, described and rendered as arrays by two processes.\n"
        "The target is 10,000 clips in at most 900 s on 2 cores.\n\n"
        f"| | |\n|---|---|\n{rows}\n"
    )
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
