"""Hundreds of damaged files through the indexer's workers: none stops the run, none costs a neighbour."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
from tests.conftest import MEDIA
from tests.index.strange import READING
from tests.soak.lives import count
from tests.video.making import Recipe, copy_packets, make

from vidsift.index.pool import DecodePool
from vidsift.index.reader import Done, Facts, Failed, Known, Message, ReadSettings, Segment
from vidsift.video import VideoReadError, probe

FILES = count("FILES", 500)
LIMIT_SECONDS = count("LIMIT_SECONDS", 120)
WORKERS = 2
_LARGEST_BYTES = 4_000_000
_EVERY_NEIGHBOUR = 10

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
    found = [make(folder, one, name) for name, one in _MADE.items() if one.codec in av.codecs_available]
    found.append(copy_packets(found[0], folder / "stream.ts"))
    if MEDIA.is_dir():
        real = sorted(path for path in MEDIA.iterdir() if path.is_file() and _readable(path))
        found += [path for path in real if path.stat().st_size <= _LARGEST_BYTES]
    return found


def _readable(path: Path) -> bool:
    try:
        return probe(path).duration_seconds > 0
    except VideoReadError:
        return False


def _flip(data: bytearray, _other: bytes, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 8, 64, 512])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _flip_head(data: bytearray, _other: bytes, rng: random.Random) -> bytearray:
    """Containers keep what they know of the streams near the start."""
    for _ in range(rng.choice([1, 4, 16])):
        data[rng.randrange(min(len(data), 1500))] ^= 1 << rng.randrange(8)
    return data


def _flip_tail(data: bytearray, _other: bytes, rng: random.Random) -> bytearray:
    """Or near the end."""
    for _ in range(rng.choice([1, 4, 16])):
        data[-rng.randint(1, min(len(data), 2500))] ^= 1 << rng.randrange(8)
    return data


def _cut_off(data: bytearray, _other: bytes, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def _cut_out(data: bytearray, _other: bytes, rng: random.Random) -> bytearray:
    first, last = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:first] + data[last:]


def _blank(data: bytearray, _other: bytes, rng: random.Random) -> bytearray:
    first = rng.randrange(len(data))
    length = min(rng.randrange(1, 5000), len(data) - first)
    data[first : first + length] = bytes([rng.choice([0, 0xFF, 0xA5])]) * length
    return data


def _splice(data: bytearray, other: bytes, rng: random.Random) -> bytearray:
    first, at = rng.randrange(len(other)), rng.randrange(len(data))
    piece = other[first : first + rng.randrange(1, 20_000)]
    return data[:at] + piece + data[at + (len(piece) if rng.random() < 0.5 else 0) :]


def _repeat(data: bytearray, _other: bytes, rng: random.Random) -> bytearray:
    first, at = rng.randrange(len(data)), rng.randrange(len(data))
    return data[:at] + data[first : first + rng.randrange(1, 20_000)] + data[at:]


_DAMAGE: list[Callable[[bytearray, bytes, random.Random], bytearray]] = [
    _flip,
    _flip_head,
    _flip_tail,
    _cut_off,
    _cut_out,
    _blank,
    _splice,
    _repeat,
]


def _damaged(folder: Path, sources: list[Path], rng: random.Random) -> list[Path]:
    """Write the damaged files, each kind of damage to each source in turn."""
    folder.mkdir()
    whole = {path: path.read_bytes() for path in sources}
    made = []
    for number in range(FILES):
        source = sources[number % len(sources)]
        damage = _DAMAGE[number // len(sources) % len(_DAMAGE)]
        data = damage(bytearray(whole[source]), whole[rng.choice(sources)], rng)
        made.append(folder / f"{number:04d}-{source.stem}{damage.__name__}{source.suffix}")
        made[-1].write_bytes(data)
    return made


def test_no_damaged_file_stops_the_run_or_costs_a_neighbour(tmp_path: Path) -> None:
    rng = random.Random(count("SEED", 0))
    sources = _sources(tmp_path / "sources")
    paths: list[str] = []
    neighbours: dict[str, Path] = {}
    for number, damaged in enumerate(_damaged(tmp_path / "damaged", sources, rng)):
        paths.append(str(damaged))
        if number % _EVERY_NEIGHBOUR == 0:
            source = sources[number // _EVERY_NEIGHBOUR % len(sources)]
            whole = tmp_path / "damaged" / f"{number:04d}-whole-{source.name}"
            shutil.copy(source, whole)
            paths.append(str(whole))
            neighbours[str(whole)] = source

    messages: dict[str, list[Message]] = {path: [] for path in paths}
    last = time.monotonic()
    slowest = 0.0
    with DecodePool(ReadSettings(READING, "auto", frozenset()), WORKERS) as pool:
        for item in pool.read(paths):
            silence = time.monotonic() - last
            begun = [path for path, got in messages.items() if not got or not _is_last(got[-1])]
            assert silence < LIMIT_SECONDS, (
                f"nothing came for {silence:.0f} s; not finished: {begun[:WORKERS]}"
            )
            if item is not None:
                slowest, last = max(slowest, silence), time.monotonic()
                messages[item[0]].append(item[1])

    for path, got in messages.items():
        assert got, path
        assert _is_last(got[-1]), path
        assert not any(_is_last(one) for one in got[:-1]), path
        end = got[-1]
        assert not isinstance(end, Failed) or not end.reason.startswith("unexpected"), f"{path}: {end.reason}"
        if isinstance(end, Done):
            assert any(isinstance(one, Segment) for one in got), path
    undisturbed = {source: _whole(source) for source in set(neighbours.values())}
    for path, source in neighbours.items():
        assert _summary(messages[path]) == undisturbed[source], path
    ends = Counter(_kind(got[-1]) for path, got in messages.items() if path not in neighbours)
    print(f"{FILES} damaged files: {dict(ends)}; longest silence {slowest:.1f} s")
    for path, got in messages.items():
        if _kind(got[-1]) == "crashed":
            print(f"  crashed: {Path(path).name}: {got[-1]}")


def _is_last(message: Message) -> bool:
    return isinstance(message, Known | Done | Failed)


def _kind(message: Message) -> str:
    if isinstance(message, Failed):
        return "crashed" if "crashed" in message.reason else "failed"
    return "whole" if isinstance(message, Done) and message.damage is None else "partial"


def _whole(source: Path) -> list[object]:
    """What a worker says of an undamaged file that it reads by itself."""
    with DecodePool(ReadSettings(READING, "auto", frozenset()), 1) as pool:
        return _summary([item[1] for item in pool.read([str(source)]) if item is not None])


def _summary(messages: list[Message]) -> list[object]:
    """What the messages about a file say, but for when it was written."""
    found: list[object] = []
    for one in messages:
        if isinstance(one, Segment):
            found.append((one.span, one.times_seconds.tolist(), one.pixels.tobytes(), one.thumbnails))
        elif isinstance(one, Facts):
            found.append(one)
        else:
            found.append((type(one), getattr(one, "damage", None), getattr(one, "reason", None)))
    return found
