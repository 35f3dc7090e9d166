"""Thousands of damaged files through the indexer's workers: none stops the run, none costs a neighbour."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
from tests.conftest import MEDIA
from tests.index.damaging import read_damaged
from tests.soak.lives import count
from tests.video.making import Recipe, copy_packets, make

from vidsift.errors import VideoReadError
from vidsift.video import probe

FILES = count("FILES", 5000)
LIMIT_SECONDS = count("LIMIT_SECONDS", 60)
WORKERS = 2
_LARGEST_BYTES = 4_000_000
_AT_ONCE = 500

_MADE = {
    "h264": Recipe(frames=90),
    "h264-long-gop": Recipe(frames=90, gop=90, b_frames=3),
    "mkv": Recipe(frames=90, suffix=".mkv"),
    "avi": Recipe(frames=90, suffix=".avi", codec="mpeg4", b_frames=0),
    "mpeg2": Recipe(frames=75, fps=25, suffix=".mpg", codec="mpeg2video", gop=12),
    "vp9": Recipe(frames=60, suffix=".webm", codec="libvpx-vp9", options={"deadline": "realtime"}),
    "hevc": Recipe(frames=60, codec="libx265", options={"x265-params": "log-level=none"}),
    "mjpeg": Recipe(frames=30, suffix=".avi", codec="mjpeg", pix_fmt="yuvj420p", b_frames=0),
    "ten-bit": Recipe(frames=60, pix_fmt="yuv420p10le"),
    "fast-start": Recipe(frames=90, container_options={"movflags": "faststart"}),
    "fragments": Recipe(frames=90, container_options={"movflags": "frag_keyframe+empty_moov"}),
}


def _sources(folder: Path) -> list[Path]:
    folder.mkdir()
    sources = [
        make(folder, recipe, name) for name, recipe in _MADE.items() if recipe.codec in av.codecs_available
    ]
    sources.append(copy_packets(sources[0], folder / "stream.ts"))
    if MEDIA.is_dir():
        real = sorted(path for path in MEDIA.iterdir() if path.is_file() and _readable(path))
        sources += [path for path in real if path.stat().st_size <= _LARGEST_BYTES]
    return sources


def _readable(path: Path) -> bool:
    try:
        return probe(path).duration_seconds > 0
    except VideoReadError:
        return False


def test_no_damaged_file_stops_the_run_or_costs_a_neighbour(tmp_path: Path) -> None:
    sources = _sources(tmp_path / "sources")
    for first in range(0, FILES, _AT_ONCE):
        folder = tmp_path / "damaged"
        files = min(_AT_ONCE, FILES - first)
        seed = count("SEED", 0) + first
        summary = read_damaged(
            folder, sources, files, seed=seed, workers=WORKERS, limit_seconds=LIMIT_SECONDS
        )
        print(f"from {first}: {summary}", flush=True)
        shutil.rmtree(folder)
