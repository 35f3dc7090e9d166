"""Small photos for the tests: stills in every container, and photos that carry a video."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.video.making import Recipe, make, picture

STILLS = {
    ".mp4": Recipe(),
    ".mov": Recipe(),
    ".mkv": Recipe(suffix=".mkv"),
    ".webm": Recipe(suffix=".webm", codec="libvpx-vp9", b_frames=0),
    ".avi": Recipe(suffix=".avi", codec="mpeg4", b_frames=0),
    ".ts": Recipe(suffix=".ts"),
    ".mpg": Recipe(suffix=".mpg", codec="mpeg2video"),
    ".gif": Recipe(suffix=".gif", codec="gif", pix_fmt="rgb8", b_frames=0, fps=25),
    ".h264": Recipe(suffix=".h264", format="h264"),
    ".ivf": Recipe(suffix=".ivf", codec="libvpx-vp9", b_frames=0),
}
"""How one picture is written as each of them."""


def still(folder: Path, suffix: str, frames: int = 1) -> Path:
    """A file with so many pictures."""
    return make(folder, replace(STILLS[suffix], suffix=suffix, frames=frames), f"still{frames}")


def jpeg(xmp: bytes = b"") -> bytes:
    """A JPEG photo, with a description."""
    buffer = io.BytesIO()
    Image.fromarray(picture(3)).save(buffer, "JPEG")
    data = buffer.getvalue()
    if not xmp:
        return data
    content = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    return data[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + data[2:]


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def heif(brands: Sequence[bytes] = (b"heic", b"mif1", b"heic")) -> bytes:
    """What a photo of a telephone begins with."""
    return box(b"ftyp", brands[0] + bytes(4) + b"".join(brands[1:])) + box(b"meta", bytes(40))


def motion_photos(video: bytes) -> Iterator[tuple[str, bytes]]:
    """Photos that carry a video, as the makers of telephones write them; by name."""
    items = b'<Item Semantic="Primary" Length="0"/><Item:Item Item:Length="%d" Item:Semantic="MotionPhoto"/>'
    described = b'<x Camera:MotionPhoto="1">' + items % len(video) + b"</x>"
    yield "google.jpg", jpeg(described) + video
    yield "older.JPG", jpeg(b'<x GCamera:MicroVideo="1" GCamera:MicroVideoOffset="%d"/>' % len(video)) + video
    element = b"<x><MicroVideo>1</MicroVideo><MicroVideoOffset>%d</MicroVideoOffset></x>"
    yield "elements.jpeg", jpeg(element % len(video)) + video
    name = b"MotionPhoto_Data"
    part = b"\0\0\x30\x0a" + len(name).to_bytes(4, "little") + name + video
    entry = b"\0\0\x30\x0a" + len(part).to_bytes(4, "little") * 2
    table = b"SEFH" + (106).to_bytes(4, "little") + (1).to_bytes(4, "little") + entry
    yield "samsung.jpg", jpeg() + part + table + len(table).to_bytes(4, "little") + b"SEFT"
    yield "motion.heic", heif() + box(b"mpvd", video) + box(b"sefd", b"tail")


def write_gif(path: Path, frames: int) -> Path:
    """A GIF written by another program."""
    pictures = [Image.fromarray(picture(number)) for number in range(frames)]
    with contextlib.closing(pictures[0]):
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    return path


def tiled_heif(
    folder: Path,
    tiles: Sequence[NDArray[np.uint8]],
    columns: int,
    size: tuple[int, int],
    turns: Sequence[bytes] = (),
) -> Path:
    """A photo whose picture is put together from tiles, as telephones write them.

    Args:
        folder: where.
        tiles: from left to right and from top to bottom.
        columns: how many stand beside one another.
        size: width and height of the whole.
        turns: boxes that say how it is turned.

    Source: ISO/IEC 23008-12, 6.6.2.3 (grid) and ISO/IEC 14496-12, 8.11 (items).
    """
    setup, coded = b"", list[bytes]()
    for pixels in tiles:
        setup, sample = _coded_tile(pixels)
        coded.append(sample)
    count, side = len(coded), tiles[0].shape
    grid = bytes([0, 0, len(tiles) // columns - 1, columns - 1]) + struct.pack(">HH", *size)
    entries = [(1, b"grid"), *((item + 2, b"hvc1") for item in range(count))]
    names = [box(b"infe", b"\2\0\0\0" + struct.pack(">HH", item, 0) + kind + b"\0") for item, kind in entries]
    spatial = [struct.pack(">4xII", *pair) for pair in (size, (side[1], side[0]))]
    properties = box(b"ispe", spatial[0]) + box(b"ispe", spatial[1]) + box(b"hvcC", setup) + b"".join(turns)
    links = struct.pack(">4xI", count + 1) + struct.pack(">HBB", 1, 1 + len(turns), 1)
    links += bytes(4 + number for number in range(len(turns)))
    links += b"".join(struct.pack(">HBBB", item + 2, 2, 2, 0x83) for item in range(count))
    tied = struct.pack(">HH", 1, count) + b"".join(struct.pack(">H", item + 2) for item in range(count))

    def meta(first: int) -> bytes:
        places, at = struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(grid)), first
        for item, sample in enumerate(coded):
            places += struct.pack(">HHHHII", item + 2, 0, 0, 1, at, len(sample))
            at += len(sample)
        parts = (
            box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            box(b"pitm", bytes(4) + struct.pack(">H", 1)),
            box(b"iloc", b"\1\0\0\0\x44\0" + struct.pack(">H", count + 1) + places),
            box(b"iinf", bytes(4) + struct.pack(">H", count + 1) + b"".join(names)),
            box(b"iref", bytes(4) + box(b"dimg", tied)),
            box(b"iprp", box(b"ipco", properties) + box(b"ipma", links)),
            box(b"idat", grid),
        )
        return box(b"meta", bytes(4) + b"".join(parts))

    head = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    before = len(head) + len(meta(0)) + 8
    path = folder / "tiled.heic"
    path.write_bytes(head + meta(before) + box(b"mdat", b"".join(coded)))
    return path


def _coded_tile(pixels: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """A picture as HEVC: the decoder's configuration, and the one sample."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        # Without B frames: with them the encoder leaves the decoding time of a picture alone in a file unset.
        options = {"x265-params": "log-level=none:bframes=0", "crf": "5"}
        stream: Any = container.add_stream("libx265", rate=1, options=options)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        packet = next(packet for packet in container.demux(video=0) if packet.size)
        return container.streams.video[0].codec_context.extradata or b"", bytes(packet)
