"""Where the parts of a file begin, by the lengths that it states: boxes in a file, files joined to one.

Only heads are read. Of joined files FFmpeg reads the first, of Matroska the first two, and stops in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["FilePart", "boxes", "starts_of_parts"]

_MOST_BOXES = 4096


class FilePart(NamedTuple):
    """A box: its kind, and where its content begins and ends."""

    kind: bytes
    start: int
    stop: int


def boxes(file: BinaryIO, start: int, stop: int) -> Iterator[FilePart]:
    """Boxes that follow one another, until one makes no sense; only their heads are read.

    Source: ISO/IEC 14496-12, 4.2.
    """
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(16)
        if start >= stop or len(head) < 8:
            return
        size, content = int.from_bytes(head[:4], "big"), start + 8
        # 1: the size follows in 64 bits; 0, below: as far as what this box lies in.
        if size == 1 and len(head) == 16:
            size, content = int.from_bytes(head[8:], "big"), start + 16
        end = stop if size == 0 else min(stop, start + size)
        if end < content:
            return
        yield FilePart(head[4:8], content, end)
        start = end


_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MOST_CHUNKS = 4096


def starts_of_parts(path: Path) -> list[int]:
    """Bytes at which the files begin that a Matroska, MP4, AVI or ASF file is made of, the first included.

    Empty for other files. An MP4 each of whose fragments has a head gives many, which FFmpeg may all read.

    Sources: RFC 8794, 4 and 5, RFC 9559, 5.1; ISO/IEC 14496-12, 4.2; OpenDML AVI, 3; ASF, 2.1 and 3.1.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
        size = file.seek(0, 2)
        if head.startswith(_EBML):
            return list(_matroska(file, size))
        if head == _ASF:
            return list(_asf(file, size))
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return list(_avi(file, size))
        return _mp4(file, size) if head[4:8] == b"ftyp" else []


def _matroska(file: BinaryIO, size: int) -> Iterator[int]:
    at = 0
    while at < size:
        start = at
        for identity in (_EBML, _SEGMENT):
            file.seek(at)
            head = file.read(12)
            if head[:4] != identity:
                return
            if identity == _EBML:
                yield start
            if not head[4:5] or not head[4]:
                return
            # As in all EBML: leading zeros say how many bytes the number has.
            width = 9 - head[4].bit_length()
            most = (1 << 7 * width) - 1
            length = int.from_bytes(head[4 : 4 + width], "big") & most
            if length == most:  # not known when it was written
                return
            at += 4 + width + length


def _asf(file: BinaryIO, size: int) -> Iterator[int]:
    at = 0
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(24)
        if head[:16] == _ASF:
            yield at
        length = int.from_bytes(head[16:], "little")
        at += length
        if length < 24 or at >= size:
            return


def _avi(file: BinaryIO, size: int) -> Iterator[int]:
    at = 0
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            yield at
        length = int.from_bytes(head[4:8], "little")
        # RIFF fills odd chunks up to even ones; the byte is not counted.
        at += 8 + length + length % 2
        if not length or at >= size:
            return


def _mp4(file: BinaryIO, size: int) -> list[int]:
    starts, whole, at = list[int](), list[int](), 0
    for box in boxes(file, 0, size):
        if box.kind == b"ftyp":
            starts.append(at)
        if box.kind == b"moov" and len(starts) > len(whole):  # without one it is no file, but a remainder
            whole = [*starts]
        at = box.stop
    return whole
