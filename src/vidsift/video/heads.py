"""What a file may be, by its first bytes, before FFmpeg looks at it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias

from vidsift.video.photos import JPEG, PNG, animated_webp, pictures_in_png, still_brands, video_within

__all__ = ["Glance", "at_a_glance", "container_head", "transport_stream_head"]

Glance: TypeAlias = Literal["container", "single picture", "animated WebP file"]
"""What a file seems to be: the container of a video, or what is passed over and counted."""

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
    if head.startswith(_STARTS) or any(one.match(head) for one in (_UNITS, _DV, _GXF)):
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
