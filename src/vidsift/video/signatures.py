"""What a file may be, by its first bytes, before FFmpeg looks at it; and where a photo keeps its video.

Cheap on purpose: a folder may hold ten thousand photos, and each is opened for a few hundred bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from vidsift.video.file_parts import boxes

__all__ = [
    "Glance",
    "animated_webp",
    "at_a_glance",
    "container_head",
    "pictures_in_png",
    "still_brands",
    "transport_stream_head",
    "video_in_photo",
    "video_within",
]

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
        place = trailer or _by_xmp(file, size)
    elif still_brands(head) or (head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS):
        place = _in_box(file, size)
    else:
        return None
    if place is None:
        return None
    # Programs that edit a photo keep its description and drop the video: what is there has to begin as one.
    file.seek(place[0] + 4)
    return place if file.read(4) == b"ftyp" else None


def _in_trailer(file: BinaryIO, size: int) -> tuple[int, int] | None:
    file.seek(size - 8)
    length = int.from_bytes(file.read(4), "little")
    table = size - 8 - length
    if not 12 <= length < min(size, 1 << 16):
        return None
    file.seek(table)
    data = file.read(length)
    # Entries of 12 bytes behind a head of 12: kind, how far back from the table it begins, how long it is.
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


Glance: TypeAlias = Literal["container", "single picture", "animated WebP file"]
"""What a file seems to be: the container of a video, or what is passed over and counted."""

# Enough for a photo; and then for three packets of a transport stream wherever the first begins.
_HEAD_BYTES, _MORE_BYTES = 400, 624

_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"OggS",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
    b".RMF",
    b"\x06\x0e+4\x02\x05\x01\x01",  # MXF
    b"GIF87a",
    b"GIF89a",
    b"nut/multimedia container",
    b"\xb7\xd8\x00 7I\xda\x11\xa6N\x00\x07\xe9^\xad\x8d",  # WTV, recordings of Windows Media Center
    b"DKIF\x00\x00",  # IVF
    b"YUV4MPEG2 ",
    b"DHAV",  # recorders
    b"\x12\x00\x0a",  # AV1 without a container
)

# Streams without a container begin with a start code and a unit that says what they are.
_UNITS = re.compile(
    rb"\x00?\x00\x00\x01(?:[\xba\xb3\xb0]"  # MPEG program stream, MPEG-1 and 2 video, MPEG-4 video
    rb"|[\x27\x47\x67][\x2c\x42\x4d\x53\x56\x58\x64\x6e\x76\x7a\xf4]"  # H.264: parameters
    rb"|\x09[\x10\x30\x50\x70\x90\xb0\xd0\xf0]"  # H.264: a picture begins
    rb"|[\x40\x42\x46]\x01)"  # H.265
)
_DV = re.compile(rb"\x1f\x07\x00[\x3f\xbf]")
_GXF = re.compile(rb"\x00{4}\x01\xbc.{8}\xe1\xe2", re.DOTALL)


def container_head(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a container, or a bare stream, that can hold video."""
    if head.startswith(_STARTS) or any(pattern.match(head) for pattern in (_UNITS, _DV, _GXF)):
        return True
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return True
    return transport_stream_head(head)


def transport_stream_head(head: bytes) -> bool:
    """Whether first bytes are those of MPEG-TS: packets of 188 bytes, a time before or a check behind each.

    A file that was cut out of another one, or split, begins within a packet; there three have to follow.
    """
    # 0x47, with which each packet begins, is the letter G.
    if any(head[first::step][:2] == b"GG" for first, step in ((0, 188), (4, 192), (0, 204))):
        return True
    return any(head[first::step][:3] == b"GGG" for step in (188, 192, 204) for first in range(step))


def at_a_glance(path: Path) -> Glance | None:
    """What a file seems to be; None for what no video can be in, ordinary photos among them.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head.startswith(PNG):
            return "container" if pictures_in_png(file) > 1 else None
        if head.startswith(JPEG):
            return "container" if video_within(file) is not None else None
        if still_brands(head):
            return "container" if video_within(file) is not None else "single picture"
        head += file.read(_MORE_BYTES)
    if animated_webp(head):
        return "animated WebP file"
    return "container" if container_head(head) else None
