"""Boxes of ISO media files (MP4, MOV, HEIF, AVIF): where each begins and ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

__all__ = ["Box", "boxes"]

_MOST_BOXES = 4096


class Box(NamedTuple):
    """A box: its kind, and where its content begins and ends."""

    kind: bytes
    start: int
    stop: int


def boxes(file: BinaryIO, start: int, stop: int) -> Iterator[Box]:
    """Boxes that follow one another, until one makes no sense; only their heads are read.

    Source: ISO/IEC 14496-12, 4.2.
    """
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(16)
        if start >= stop or len(head) < 8:
            return
        size, content = int.from_bytes(head[:4], "big"), start + 8
        if size == 1 and len(head) == 16:
            size, content = int.from_bytes(head[8:], "big"), start + 16
        end = stop if size == 0 else min(stop, start + size)
        if end < content:
            return
        yield Box(head[4:8], content, end)
        start = end
