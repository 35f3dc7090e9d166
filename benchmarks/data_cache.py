"""What a cached sample costs: a video of 12 pictures of 224 px, from JPEG, from uint8 and from its file.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/data_cache.py [--videos FOLDER]

writes results/data-cache.json and .md. A sample is read and copied into its place in a batch, in one process,
CPU time, the ways taking turns, least of the rounds a video; the files lie in the system's memory. Videos are
4 s of 640 x 480 at 25 frames a second, a camera that pans over a texture as rough as real clips (those of
MSR-VTT and NASA take 190 to 290 kB by this JPEG), or those of a folder. Then the seconds that a run waits for
data: two worker processes make batches of 8, a step takes 0.15 s in which this process computes nothing, wall
time. Targets: 3 ms from JPEG, 0.5 ms from uint8.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from measuring import ROOT, command_line, features, machine, rows_of, take_turns, where, write_results

from vidsift.data.entries import Entry
from vidsift.data.frame_shards import FrameShards
from vidsift.data.loading import BatchStage, Feed
from vidsift.data.make_shards import make_shards
from vidsift.data.picture_codec import PictureFormat
from vidsift.data.video_batches import ShuffledVideos
from vidsift.types import Frames
from vidsift.video import read_frames
from vidsift.video.find import VIDEO_EXTENSIONS
from vidsift.video.preprocessing import Preprocessing
from vidsift.video.probe import probe

COMMAND = command_line(__file__)
LOOKS = Preprocessing(12, "uniform", 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
DISTINCT, VIDEOS, ROUNDS, FRAMES = 4, 16, 5, 100
BATCH, STEPS, STEP_SECONDS, WORKERS = 8, 6, 0.15, 2
TARGET_MS = {"jpeg": 3.0, "uint8": 0.5}


def texture(seed: int, side: int = 1024) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture with the spectrum of photographs."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    colours = []
    for _ in range(3):
        noise = np.fft.rfft2(rng.standard_normal((side, side)))
        plane = np.fft.irfft2(noise / frequency**1.35, (side, side))
        colours.append(plane / plane.std())
    # Colours of photographs go together: mostly brightness.
    picture = np.stack([colours[0] * 0.9 + colour * 0.3 for colour in colours], axis=-1)
    return np.clip(picture * 48 + 120, 0, 255).astype(np.uint8)


def write_video(path: Path, seed: int) -> None:
    """Pan over a texture for four seconds."""
    picture = texture(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(FRAMES):
            top, left = number * 2, number
            view = np.ascontiguousarray(picture[top : top + 480, left : left + 640])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, "rgb24")))
        container.mux(stream.encode())


def written(folder: Path) -> list[Entry]:
    """A few distinct videos, each several times under other names."""
    for number in range(VIDEOS):
        path = folder / f"{number:03}.mp4"
        if number < DISTINCT:
            write_video(path, number)
        else:
            shutil.copy(folder / f"{number % DISTINCT:03}.mp4", path)
    return [Entry(path, ("a camera pans",)) for path in sorted(folder.glob("*.mp4"))]


@contextmanager
def without_simplejpeg() -> Iterator[None]:
    """Decode as where the extra ``jpeg`` is not installed."""
    held = sys.modules.get("simplejpeg")
    sys.modules["simplejpeg"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["simplejpeg"]
        if held is not None:
            sys.modules["simplejpeg"] = held


def sample_costs(caches: dict[str, FrameShards], entries: list[Entry]) -> dict[str, float]:
    """Milliseconds a sample by each way."""
    place = np.zeros((LOOKS.frames, LOOKS.size_px, LOOKS.size_px, 3), np.uint8)

    def cached(name: str) -> None:
        for row, entry in enumerate(entries[:DISTINCT]):
            frames = caches[name].read(row, entry)
            assert isinstance(frames, Frames), frames
            place[:] = frames.pixels

    def by_pillow() -> None:
        with without_simplejpeg():
            cached("jpeg")

    def from_video() -> None:
        for entry in entries[:DISTINCT]:
            span = entry.span(probe(entry.path).duration_seconds)
            place[:] = read_frames(entry.path, LOOKS.wanted_times(span), size_px=LOOKS.size_px).pixels

    ways = {
        "JPEG, simplejpeg (the extra jpeg)": lambda: cached("jpeg"),
        "JPEG, Pillow": by_pillow,
        "uint8": lambda: cached("uint8"),
    }
    spent = take_turns(ways, 10 * ROUNDS, warm=3) | take_turns({"video": from_video}, 3)
    return {name: 1000 * min(seconds) / DISTINCT for name, seconds in spent.items()}


def waited(maker: ShuffledVideos) -> float:
    """Seconds a step that a run waits, the first batch of each worker left out."""
    seconds = []
    with Feed(maker, stop=STEPS + WORKERS, workers=WORKERS, ahead=1) as feed:
        for _ in range(STEPS + WORKERS):
            begin = time.perf_counter()
            next(feed)
            seconds.append(time.perf_counter() - begin)
            time.sleep(STEP_SECONDS)
    return sum(seconds[WORKERS:]) / STEPS


def bytes_each(folder: Path, videos: int) -> float:
    """Bytes of a sample on disk."""
    return sum(file.stat().st_size for file in folder.glob("*.shard")) / videos


def measure(folder: Path, entries: list[Entry]) -> dict[str, Any]:
    """All figures."""
    caches: dict[str, FrameShards] = {}
    sizes = {}
    formats: tuple[PictureFormat, ...] = ("jpeg", "uint8")
    for pictures in formats:
        made = make_shards(folder / pictures, entries, LOOKS, pictures=pictures, workers=WORKERS)
        assert not made.unreadable, made.unreadable
        caches[pictures] = FrameShards.open(folder / pictures, entries, LOOKS)
        sizes[pictures] = bytes_each(folder / pictures, len(entries))
    maker = ShuffledVideos(tuple(entries), 0, (BatchStage(0, BATCH, LOOKS.frames),), LOOKS, jitter=0.0)
    makers = {"video": maker} | {
        name: ShuffledVideos(maker.entries, 0, maker.stages, LOOKS, cache) for name, cache in caches.items()
    }
    return {
        "command": COMMAND,
        "able": features(),
        "bytes": sizes,
        "sample_ms": sample_costs(caches, entries),
        "waited_seconds": {name: waited(maker) for name, maker in makers.items()},
        "machine": machine(),
    }


def page(measured: dict[str, Any]) -> str:
    """Put the figures into words."""
    milliseconds, sizes = measured["sample_ms"], measured["bytes"]
    rows = []
    for name, spent in milliseconds.items():
        kind = "jpeg" if name.startswith("JPEG") else name
        size = f"{sizes[kind] / 1000:.0f}" if kind in sizes else ""
        rows.append((name, f"{spent:.2f}", f"{TARGET_MS[kind]:g}" if kind in TARGET_MS else "", size))
    waits = [(name, f"{seconds:.3f}") for name, seconds in measured["waited_seconds"].items()]
    return "\n".join(
        [
            "# What a cached sample costs",
            "",
            f"`{measured['command']}`: a sample is a video of {LOOKS.frames} pictures of {LOOKS.size_px} px,",
            "read and copied into its batch by one process; CPU time, ways in turn, least of the rounds.",
            f"{where(measured['machine'])}; {', '.join(measured['able'])}.",
            "",
            *rows_of(("from", "ms", "target ms", "kB"), rows),
            "",
            f"Seconds a step that a run waits for batches of {BATCH} with {WORKERS} worker processes, where",
            f"a step takes {STEP_SECONDS} s on another device; wall time.",
            "",
            *rows_of(("from", "s waited a step"), waits),
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=Path, help="a folder of videos instead of made-up ones")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "videos").mkdir()
        if arguments.videos is None:
            entries = written(folder / "videos")
        else:
            files = [
                path for path in sorted(arguments.videos.iterdir()) if path.suffix.lower() in VIDEO_EXTENSIONS
            ]
            entries = [Entry(path, ("a video",)) for path in files]
        measured = measure(folder, entries)
    write_results(arguments.results, "data-cache", measured, page(measured))


if __name__ == "__main__":
    main()
