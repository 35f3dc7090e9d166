"""Small photos for the tests: stills in every container, and photos that carry a video."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

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
