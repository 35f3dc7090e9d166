"""Pictures by their first bytes: which hold more than one, and where a photo keeps its video.

Cheap on purpose: a folder may hold ten thousand photos, and each is opened for a few hundred bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from vidsift.video.boxes import boxes

__all__ = ["animated_webp", "pictures_in_png", "still_brands", "video_in_photo", "video_within"]

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

_STILL_BRANDS = frozenset({b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"j2ki", b"vvic"})
_SEQUENCE_BRANDS = frozenset(
    {b"avis", b"msf1", b"hevc", b"hevx", b"hevm", b"hevs", b"isom", b"mp41", b"mp42"}
)
_MOST_PARTS = 200
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MOTION = re.compile(rb"(?:MotionPhoto|MicroVideo)\s*(?:=\s*[\"']|>)\s*1\b")
_OFFSET = re.compile(rb"MicroVideoOffset[^0-9]{1,3}(\d{1,12})")
_ITEM = re.compile(rb"<[^<>]*Semantic\s*=\s*[\"']MotionPhoto[\"'][^<>]*>", re.S)
_LENGTH = re.compile(rb"Length\s*=\s*[\"'](\d{1,12})[\"']")
_SAMSUNG_VIDEO = 0x0A30


def animated_webp(head: bytes) -> bool:
    """Whether a WebP file says that it is animated; ``head`` are its first bytes, 21 or more.

    Source: RFC 9649, 2.7.1 (VP8X).
    """
    webp = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return webp and len(head) > 20 and bool(head[20] & 0x02)


def pictures_in_png(file: BinaryIO) -> int:
    """How many pictures a PNG file announces: those of its animation, else one.

    Source: Portable Network Graphics (third edition), 11.3.6.1 (acTL stands before the picture).
    """
    at = len(PNG)
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(12)
        kind = head[4:8]
        if kind == b"acTL":
            return max(1, int.from_bytes(head[8:12], "big"))
        if len(head) < 12 or kind == b"IDAT":
            break
        at += 12 + int.from_bytes(head[:4], "big")
    return 1


def still_brands(head: bytes) -> bool:
    """Whether a file calls itself a picture (HEIF, AVIF) and no sequence of pictures.

    Sources: ISO/IEC 23008-12, 10 (brands); AV1 Image File Format, 6.
    """
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or not 16 <= size <= len(head):
        return False
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    return brands[0] in _STILL_BRANDS and _SEQUENCE_BRANDS.isdisjoint(brands)


def video_in_photo(path: Path) -> tuple[int, int] | None:
    """Where the video in a motion photo begins and ends; None for other files.

    Of an ordinary photo the first and the last bytes are read, and the headers between its parts at most.

    Sources: Motion Photo format 1.0 and Micro Video (XMP, ``mpvd``); Samsung's trailer (SEFT).
    """
    with path.open("rb") as file:
        return video_within(file)


def video_within(file: BinaryIO) -> tuple[int, int] | None:
    """The same of an open file, whose place is moved."""
    file.seek(0)
    head = file.read(64)
    size = file.seek(0, os.SEEK_END)
    if head.startswith(JPEG):
        file.seek(max(0, size - 8))
        tail = file.read(8)
        if tail.endswith(b"\xff\xd9"):  # the picture is the last thing in the file
            return None
        trailer = _in_trailer(file, size) if tail.endswith(b"SEFT") else None
        found = trailer or _by_xmp(file, size)
    elif still_brands(head) or (head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS):
        found = _in_box(file, size)
    else:
        return None
    if found is None:
        return None
    file.seek(found[0] + 4)
    return found if file.read(4) == b"ftyp" else None


def _in_trailer(file: BinaryIO, size: int) -> tuple[int, int] | None:
    file.seek(size - 8)
    length = int.from_bytes(file.read(4), "little")
    table = size - 8 - length
    if not 12 <= length < min(size, 1 << 16):
        return None
    file.seek(table)
    data = file.read(length)
    for at in range(12, len(data) - 11, 12):
        kind = int.from_bytes(data[at + 2 : at + 4], "little")
        back, count = (int.from_bytes(data[at + part : at + part + 4], "little") for part in (4, 8))
        if data[:4] == b"SEFH" and kind == _SAMSUNG_VIDEO and count <= back <= table:
            file.seek(table - back + 4)
            start = table - back + 8 + int.from_bytes(file.read(4), "little")
            return start, table - back + count
    return None


def _by_xmp(file: BinaryIO, size: int) -> tuple[int, int] | None:
    for text in _xmp_of(file):
        if not _MOTION.search(text):
            continue
        item = _ITEM.search(text)
        length = _OFFSET.search(text) if item is None else _LENGTH.search(item[0])
        if length is not None and 0 < int(length[1]) < size:
            return size - int(length[1]), size
    return None


def _xmp_of(file: BinaryIO) -> Iterator[bytes]:
    """The descriptions in a JPEG file."""
    at = 2
    for _ in range(_MOST_PARTS):
        file.seek(at)
        head = file.read(4 + len(_XMP))
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
            return
        length = int.from_bytes(head[2:4], "big")
        if head[1] == 0xE1 and head[4:] == _XMP:
            yield file.read(max(0, length - 2 - len(_XMP)))
        at += 2 + length


def _in_box(file: BinaryIO, size: int) -> tuple[int, int] | None:
    parts = islice(boxes(file, 0, size), _MOST_PARTS)
    return next(((box.start, box.stop) for box in parts if box.kind == b"mpvd"), None)
