"""Small video files for the tests: every picture carries its own number, readable after compression."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

BITS = 8
BAR_PX = 8
WIDTH_PX = BITS * BAR_PX
HEIGHT_PX = 48


def picture(number: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> NDArray[np.uint8]:
    """Return an RGB picture whose upper half spells ``number`` in bars, over a moving gradient."""
    rows = np.arange(height_px)[:, None]
    columns = np.arange(width_px)[None, :]
    moving = (columns * 3 + rows * 2 + number * 7) % 256
    pixels = np.stack([moving, 255 - moving, (moving // 2 + 40) % 256], axis=-1).astype(np.uint8)
    bar = np.minimum(np.arange(width_px) * BITS // width_px, BITS - 1)
    pixels[: height_px // 2] = np.where((number >> bar) & 1, 235, 16)[None, :, None]
    return pixels


def number_in(pixels_HW3: NDArray[np.uint8]) -> int:
    """Read the number back from a picture made by :func:`picture`."""
    height_px, width_px = pixels_HW3.shape[:2]
    row = pixels_HW3[height_px // 8 : height_px * 3 // 8].mean(axis=(0, 2))
    centres = ((np.arange(BITS) + 0.5) * width_px / BITS).astype(int)
    return int(sum(1 << bit for bit, x in enumerate(centres) if row[x] > 128))


@dataclass(frozen=True)
class Recipe:
    """How a test file is made; the defaults give a small H.264 MP4 with B-frames."""

    suffix: str = ".mp4"
    codec: str = "libx264"
    frames: int = 60
    fps: int = 30
    gop: int = 30
    b_frames: int = 2
    pix_fmt: str = "yuv420p"
    width_px: int = WIDTH_PX
    height_px: int = HEIGHT_PX
    options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    pts: Sequence[int] | None = None
    """Presentation times in 1/1000 s; None for a constant rate."""
    display_matrix: Sequence[int] | None = None
    pixel_aspect: Fraction | None = None


def _options(recipe: Recipe) -> dict[str, str]:
    options = {"g": str(recipe.gop), "bf": str(recipe.b_frames)}
    if recipe.codec == "libx264":
        options |= {"preset": "fast", "crf": "20", "x264-params": "scenecut=0"}
    return options | dict(recipe.options)


def make(folder: Path, recipe: Recipe, name: str = "made") -> Path:
    """Write the file that ``recipe`` describes and return its path."""
    path = folder / f"{name}{recipe.suffix}"
    with av.open(
        str(path), "w", format=recipe.format, container_options=dict(recipe.container_options)
    ) as container:
        stream = container.add_stream(recipe.codec, rate=recipe.fps, options=_options(recipe))
        video = cast(Any, stream)
        video.width, video.height, video.pix_fmt = recipe.width_px, recipe.height_px, recipe.pix_fmt
        video.codec_context.thread_count = 1
        video.codec_context.gop_size = recipe.gop
        video.codec_context.max_b_frames = recipe.b_frames
        time_base = Fraction(1, recipe.fps) if recipe.pts is None else Fraction(1, 1000)
        video.codec_context.time_base = time_base
        if recipe.pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = recipe.pixel_aspect
        if recipe.display_matrix is not None:
            video.set_display_matrix(list(recipe.display_matrix))
        for number in range(recipe.frames):
            frame = av.VideoFrame.from_ndarray(
                picture(number, recipe.width_px, recipe.height_px), format="rgb24"
            ).reformat(format=recipe.pix_fmt)
            frame.pts = number if recipe.pts is None else recipe.pts[number]
            frame.time_base = time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def anamorphic(folder: Path, recipe: Recipe, aspect: tuple[int, int]) -> Path:
    """A file whose pixels are so wide and so high."""
    return make(folder, replace(recipe, pixel_aspect=Fraction(*aspect)), "anamorphic")


def copy_packets(
    source: Path, target: Path, *, skip_packets: int = 0, options: Mapping[str, str] | None = None
) -> Path:
    """Copy the video packets of ``source`` into another container without encoding."""
    with (
        av.open(str(source)) as given,
        av.open(str(target), "w", container_options=dict(options or {})) as copy,
    ):
        stream = given.streams.video[0]
        out = copy.add_stream_from_template(stream)
        for number, packet in enumerate(given.demux(stream)):
            if packet.size and packet.dts is not None and number >= skip_packets:
                packet.stream = out
                copy.mux(packet)
    return target


def moved(source: Path, target: Path, change: Callable[[int, float], float]) -> Path:
    """Copy the packets of a file, each at another time: ``change(number, seconds)``."""
    with av.open(str(source)) as given, av.open(str(target), "w") as copy:
        stream = given.streams.video[0]
        out = copy.add_stream_from_template(stream)
        for number, packet in enumerate(given.demux(stream)):
            if packet.size and packet.dts is not None and packet.pts is not None:
                assert packet.time_base is not None
                at = float(packet.dts * packet.time_base)
                more = round((change(number, at) - at) / packet.time_base)
                packet.pts, packet.dts = packet.pts + more, packet.dts + more
                packet.stream = out
                copy.mux(packet)
    return target


def png_bomb(folder: Path, name: str, side_px: int) -> Path:
    """A small file whose two black pictures are ``side_px`` wide and high: PNGs in a MOV."""
    rows = zlib.compress(bytes(side_px * (side_px + 1)), 1)
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content
        data += struct.pack(">I", zlib.crc32(kind + content))
    path = folder / f"{name}.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=1)
        video = cast(Any, stream)
        video.width, video.height, video.pix_fmt = side_px, side_px, "gray"
        for second in range(2):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, second, second
            packet.time_base, packet.is_keyframe = Fraction(1, 1), True
            container.mux(packet)
    return path


def claim_size(path: Path, width_px: int, height_px: int) -> Path:
    """Have the header of an AVI file claim another size of its pictures."""
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12
    struct.pack_into("<ii", data, at, width_px, height_px)
    path.write_bytes(data)
    return path


def all_numbers(pictures: Iterable[NDArray[np.uint8]]) -> list[int]:
    """Numbers of many pictures."""
    return [number_in(pixels) for pixels in pictures]
