"""Video files for the decoding benchmark: every picture carries its number inside the central square."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 10
FPS = 30


def number_in(pixels_SS3: NDArray[np.uint8]) -> int:
    """Read the number from the central square of a picture."""
    side = pixels_SS3.shape[0]
    row = pixels_SS3[int(side * 0.15) : int(side * 0.25)].mean(axis=(0, 2))
    centres = ((np.arange(BITS) + 0.5) * side / BITS).astype(int)
    return int(sum(1 << bit for bit, x in enumerate(centres) if row[x] > 128))


def _write_number(pixels_HW3: NDArray[np.uint8], number: int) -> None:
    height, width = pixels_HW3.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    bit = np.arange(side) * BITS // side
    bars = np.where((number >> bit) & 1, 235, 16).astype(np.uint8)
    pixels_HW3[top + side // 10 : top + side * 3 // 10, left : left + side] = bars[None, :, None]


def _enlarged(coarse: NDArray[np.float64], cell: int, smooth: bool) -> NDArray[np.float32]:
    if not smooth:
        return coarse.repeat(cell, 0).repeat(cell, 1).astype(np.float32)
    size = (coarse.shape[1] * cell, coarse.shape[0] * cell)
    layers = [
        Image.fromarray(coarse[..., colour].astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        for colour in range(3)
    ]
    return np.stack([np.asarray(layer) for layer in layers], axis=-1)


class Scene:
    """A slow pan over a ground, with things moving through it and a little grain.

    The smooth ground has no edge sharper than a lens draws; the hard one is made of small blocks.
    """

    def __init__(self, width_px: int, height_px: int, smooth: bool) -> None:
        """Draw the ground and the grain once."""
        rng = np.random.default_rng(0)
        self.width, self.height = width_px, height_px
        ground = np.zeros((height_px + 200, width_px + 400, 3), np.float32)
        for cell, weight in ((160, 60), (40, 40), (10, 25), (3, 12)):
            rows, columns = ground.shape[0] // cell + 2, ground.shape[1] // cell + 2
            layer = _enlarged(rng.normal(size=(rows, columns, 3)), cell, smooth)
            ground += weight * layer[: ground.shape[0], : ground.shape[1]]
        self.ground = np.clip(ground + 120, 0, 255).astype(np.int16)
        self.grain = rng.normal(0, 2.0, (6, height_px, width_px, 1)).astype(np.int16)
        self.rows, self.columns = np.ogrid[:height_px, :width_px]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Draw one picture."""
        at = number / FPS
        x, y = int(200 + 180 * np.sin(at / 3)), int(100 + 90 * np.cos(at / 4))
        pixels = self.ground[y : y + self.height, x : x + self.width].copy()
        for thing in range(5):
            centre_x = self.width * (0.5 + 0.45 * np.sin(at * (0.5 + 0.2 * thing) + thing))
            centre_y = self.height * (0.55 + 0.35 * np.cos(at * (0.4 + 0.25 * thing) + 2 * thing))
            radius = self.height * (0.06 + 0.015 * thing)
            left, top = max(0, int(centre_x - radius)), max(0, int(centre_y - radius))
            rows = self.rows[top : int(centre_y + radius) + 2]
            columns = self.columns[:, left : int(centre_x + radius) + 2]
            inside = (columns - centre_x) ** 2 + (rows - centre_y) ** 2 < radius**2
            near = pixels[top : top + inside.shape[0], left : left + inside.shape[1]]
            near[inside] = (40 * thing + 30, 255 - 45 * thing, (90 * thing) % 256)
        pixels += self.grain[number % len(self.grain)]
        drawn = np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)
        _write_number(drawn, number)
        return drawn


def encode(
    path: Path,
    *,
    frames: int,
    width_px: int = 320,
    height_px: int = 240,
    gop: int = 30,
    bit_rate: int = 300_000,
    x264: str = "",
    pts_ms: Sequence[int] | None = None,
    quarter_turn: bool = False,
    smooth: bool = False,
    preset: str = "medium",
) -> Path:
    """Write H.264 with B-frames; done already, if the file is there."""
    if path.exists():
        return path
    shown = (height_px, width_px) if quarter_turn else (width_px, height_px)
    scene = Scene(*shown, smooth)
    unfinished = path.with_name(f"unfinished-{path.name}")
    params = ":".join(part for part in (f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=3", x264) if part)
    with av.open(str(unfinished), "w") as container:
        video: Any = container.add_stream(
            "libx264", rate=FPS, options={"preset": preset, "x264-params": params}
        )
        video.width, video.height, video.pix_fmt, video.bit_rate = width_px, height_px, "yuv420p", bit_rate
        video.codec_context.time_base = time_base = Fraction(1, FPS if pts_ms is None else 1000)
        if quarter_turn:
            video.set_display_matrix([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30])
        for number in range(frames):
            pixels = scene.picture(number)
            stored = np.ascontiguousarray(np.rot90(pixels)) if quarter_turn else pixels
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number if pts_ms is None else pts_ms[number], time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return unfinished.rename(path)


def _cut_with_edit_list(source: Path, path: Path, first_key: int, first_shown: int) -> None:
    """Copy packets from a key frame on, and let the edit list hide those before ``first_shown``."""
    with av.open(str(source)) as given, av.open(str(path), "w") as cut:
        stream = given.streams.video[0]
        out = cut.add_stream_from_template(stream)
        tick = stream.time_base
        assert tick is not None
        step = round(1 / (FPS * tick))
        for packet in given.demux(stream):
            if (
                packet.size
                and packet.pts is not None
                and packet.dts is not None
                and packet.pts >= first_key * step
            ):
                packet.pts, packet.dts = packet.pts - first_shown * step, packet.dts - first_shown * step
                packet.stream = out
                cut.mux(packet)


def make_up(path: Path) -> dict[str, float]:
    """Count the pictures, and the share in pictures and in bytes of those that no other refers to (H.264)."""
    pictures, spare, spare_bytes, all_bytes = 0, 0, 0, 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            data, at = bytes(packet), 0
            while at + 4 < len(data) and data[at + 4] & 31 not in (1, 5):
                at += 4 + int.from_bytes(data[at : at + 4], "big")
            if not data:
                continue
            unused = not data[at + 4] & 0x60
            pictures, all_bytes = pictures + 1, all_bytes + len(data)
            spare, spare_bytes = spare + unused, spare_bytes + unused * len(data)
    return {
        "pictures": pictures,
        "megabytes": round(all_bytes / 1e6, 1),
        "spare_pictures": round(spare / pictures, 2),
        "spare_bytes": round(spare_bytes / all_bytes, 2),
    }


@dataclass(frozen=True)
class Pitfall:
    """A file on which readers go wrong, with the truth about it.

    Attributes:
        numbers: the pictures that are shown, in order.
        starts_seconds: when each is shown, counted from the container's start.
        readable: whether anything can be read at all.
    """

    name: str
    path: Path
    numbers: list[int] = field(default_factory=list)
    starts_seconds: list[float] = field(default_factory=list)
    readable: bool = True

    def questions(self, count: int = 12) -> tuple[list[float], list[int]]:
        """Return times inside ``count`` pictures spread over the file, and the numbers shown then."""
        places = np.linspace(1, len(self.numbers) - 2, count).round().astype(int)
        starts = np.asarray(self.starts_seconds)
        return [float((starts[p] + starts[p + 1]) / 2) for p in places], [self.numbers[p] for p in places]


def _observed(name: str, path: Path, central: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Pitfall:
    """Take the truth from decoding everything in order, by the stream's own timestamps."""
    with av.open(str(path)) as container:
        start = (container.start_time or 0) / 1_000_000
        seen = [
            (
                number_in(central(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))),
                float(frame.time) - start,
            )
            for frame in container.decode(video=0)
        ]
    return Pitfall(name, path, [number for number, _ in seen], [seconds for _, seconds in seen])


def _square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    side = min(height, width)
    return pixels[(height - side) // 2 :, (width - side) // 2 :][:side, :side]


def pitfalls(folder: Path) -> list[Pitfall]:
    """Make the files of the pitfall table."""
    frames = 250
    numbers = list(range(frames))
    even = [number / FPS for number in numbers]
    plain = encode(folder / "plain.mp4", frames=frames)
    opened = encode(folder / "open_gop.mp4", frames=frames, x264="open-gop=1:b-pyramid=2")
    uneven = np.cumsum([0, *np.random.default_rng(1).choice([17, 33, 50, 120], frames - 1)]).tolist()
    variable = encode(folder / "variable.mp4", frames=frames, pts_ms=uneven)
    cut = folder / "cut.mp4"
    _cut_with_edit_list(plain, cut, first_key=0, first_shown=33)
    turned = encode(folder / "turned.mp4", frames=frames, quarter_turn=True)
    avi = encode(folder / "b_frames.avi", frames=frames)
    bare = encode(folder / "bare.h264", frames=frames)
    stream = encode(folder / "whole.ts", frames=frames)
    data = stream.read_bytes()
    truncated = folder / "truncated.ts"
    truncated.write_bytes(data[len(data) // 8 : len(data) * 7 // 8])
    headless = folder / "no_moov.mp4"
    headless.write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])
    return [
        _observed("constant rate, open GOP", opened, _square),
        Pitfall("variable rate", variable, numbers, [ms / 1000 for ms in uneven]),
        Pitfall("cut with an edit list", cut, numbers[33:], even[: frames - 33]),
        Pitfall("rotated by 90 degrees", turned, numbers, even),
        Pitfall("AVI with B-frames", avi, numbers, even),
        Pitfall("bare H.264", bare, numbers, even),
        _observed("truncated transport stream", truncated, _square),
        Pitfall("MP4 without moov", headless, readable=False),
    ]
