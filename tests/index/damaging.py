"""Files that are damaged in many ways, and what the indexer's workers may say of them."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.index.strange import PREPROCESSING

from vidsift.index.decode_worker import (
    Done,
    Facts,
    Failed,
    Known,
    Message,
    ReadSettings,
    Segment,
    decode_pool,
)
from vidsift.workers.process import ProcessLimits

_EVERY_NEIGHBOUR = 10
_BEYOND = ("crashed", "no progress", "of memory")


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


def _damaged(folder: Path, sources: Sequence[Path], files: int, rng: random.Random) -> list[Path]:
    """Write the damaged files, each kind of damage to each source in turn."""
    folder.mkdir()
    whole = {path: path.read_bytes() for path in sources}
    made = []
    for number in range(files):
        source = sources[number % len(sources)]
        damage = _DAMAGE[number // len(sources) % len(_DAMAGE)]
        data = damage(bytearray(whole[source]), whole[rng.choice(sources)], rng)
        made.append(folder / f"{number:04d}-{source.stem}{damage.__name__}{source.suffix}")
        made[-1].write_bytes(data)
    return made


def read_damaged(
    folder: Path, sources: Sequence[Path], files: int, *, seed: int, workers: int, limit_seconds: float
) -> str:
    """Damage sources so many times, read all with whole files between them, and check what came.

    Args:
        folder: for the files.
        sources: whole videos.
        files: how many damaged ones.
        seed: of the damage.
        workers: processes that read.
        limit_seconds: without progress, after which a file is given up.

    Returns:
        How it ended, in words.
    """
    rng = random.Random(seed)
    paths: list[str] = []
    neighbours: dict[str, Path] = {}
    for number, damaged in enumerate(_damaged(folder, sources, files, rng)):
        paths.append(str(damaged))
        if number % _EVERY_NEIGHBOUR == 0:
            source = sources[number // _EVERY_NEIGHBOUR % len(sources)]
            whole = folder / f"{number:04d}-whole-{source.name}"
            shutil.copy(source, whole)
            paths.append(str(whole))
            neighbours[str(whole)] = source

    messages: dict[str, list[Message]] = {path: [] for path in paths}
    last = time.monotonic()
    slowest = 0.0
    limits = ProcessLimits(time_limit_seconds=limit_seconds)
    with decode_pool(ReadSettings(PREPROCESSING, "auto", frozenset()), workers, limits) as pool:
        for item in pool.run(paths):
            silence = time.monotonic() - last
            assert silence < 2 * limit_seconds, f"nothing came for {silence:.0f} s: {_open_ones(messages)}"
            if item is not None:
                slowest, last = max(slowest, silence), time.monotonic()
                messages[item[0]].append(item[1])

    for path, got in messages.items():
        assert got, path
        assert _is_last(got[-1]), path
        assert not any(_is_last(message) for message in got[:-1]), path
        end = got[-1]
        assert not isinstance(end, Failed) or not end.reason.startswith("unexpected"), f"{path}: {end.reason}"
        if isinstance(end, Done):
            assert any(isinstance(message, Segment) for message in got), path
    undisturbed = {source: _whole(source) for source in set(neighbours.values())}
    for path, source in neighbours.items():
        assert _summary(messages[path]) == undisturbed[source], path
    ends = Counter(_kind(got[-1]) for path, got in messages.items() if path not in neighbours)
    harmful = [f"{Path(path).name}: {got[-1]}" for path, got in messages.items() if _kind(got[-1]) in _BEYOND]
    summary = f"{files} damaged files: {dict(ends)}; longest silence {slowest:.1f} s"
    return "\n  ".join([summary, *harmful])


def _open_ones(messages: Mapping[str, Sequence[Message]]) -> list[str]:
    return [path for path, got in messages.items() if got and not _is_last(got[-1])]


def _is_last(message: Message) -> bool:
    return isinstance(message, Known | Done | Failed)


def _kind(message: Message) -> str:
    if isinstance(message, Failed):
        return next((kind for kind in _BEYOND if kind in message.reason), "failed")
    return "whole" if isinstance(message, Done) and message.damage is None else "partial"


def _whole(source: Path) -> list[object]:
    """What a worker says of an undamaged file that it reads by itself."""
    with decode_pool(ReadSettings(PREPROCESSING, "auto", frozenset()), 1) as pool:
        return _summary([item[1] for item in pool.run([str(source)]) if item is not None])


def _summary(messages: list[Message]) -> list[object]:
    """What the messages about a file say, but for when it was written."""
    contents: list[object] = []
    for message in messages:
        if isinstance(message, Segment):
            contents.append(
                (message.span, message.times_seconds.tolist(), message.pixels.tobytes(), message.thumbnails)
            )
        elif isinstance(message, Facts):
            contents.append(message)
        else:
            contents.append(
                (type(message), getattr(message, "damage", None), getattr(message, "reason", None))
            )
    return contents
