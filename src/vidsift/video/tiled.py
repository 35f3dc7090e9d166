"""Photos that are stored in tiles (HEIF, AVIF): the picture that is put together from them.

FFmpeg gives each tile as a stream of its own, and says to nobody but its own programs how they lie.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from av.stream import Disposition
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from vidsift.errors import VideoReadError
from vidsift.video.container import DECODE_ERRORS, OpenVideo, message_of
from vidsift.video.file_parts import FilePart, boxes

__all__ = ["is_tiled", "put_together"]

_DEPENDENT = getattr(Disposition, "dependent", 1 << 19)  # not named by every PyAV; the bit is FFmpeg's


def is_tiled(video: OpenVideo) -> bool:
    """Whether the stream that was chosen is a tile of a picture."""
    return bool(video.stream.disposition & _DEPENDENT)


@dataclass
class _Plan:
    """How tiles lie: rows of items, the size of the whole, and how it is turned and mirrored."""

    columns: int = 0
    height_px: int = 0
    width_px: int = 0
    items: list[int] = field(default_factory=list)
    turns: list[tuple[bytes, int]] = field(default_factory=list)


def put_together(video: OpenVideo) -> VideoFrame:
    """Decode the tiles of a photo into the one picture that they are, upright.

    Raises:
        VideoReadError: how they lie cannot be read, or one cannot be decoded.

    Source: ISO/IEC 23008-12, 6.6.2.3 (grid), 6.5.10 (irot) and 6.5.12 (imir).
    """
    with video.path.open("rb") as file:
        plan = _plan_of(file)
    tiles: dict[int, NDArray[np.uint8]] = {}
    try:
        for packet in video.container.demux(*video.container.streams.video):
            if packet.size and packet.stream.id in plan.items:
                decoder: Any = packet.stream.codec_context
                # A tile is one picture: its decoder gives it up only at the end of the stream.
                for frame in [*decoder.decode(packet), *decoder.decode(None)]:
                    pixels = frame.to_ndarray(format="rgb24", interpolation="BICUBIC", threads=1)
                    tiles.setdefault(packet.stream.id, np.asarray(pixels, np.uint8))
    except DECODE_ERRORS as error:
        raise VideoReadError(video.path, f"is a photo in tiles, and damaged: {message_of(error)}") from error
    lost = len(set(plan.items) - set(tiles))
    if not plan.items or lost or len(plan.items) % plan.columns:
        raise VideoReadError(video.path, f"is a photo in tiles, of which {lost or 'all'} cannot be read")
    rows = [plan.items[at : at + plan.columns] for at in range(0, len(plan.items), plan.columns)]
    whole = np.concatenate([np.concatenate([tiles[item] for item in row], axis=1) for row in rows])
    # Tiles are of one size, so that those at the right and the bottom reach beyond the picture.
    whole = whole[: plan.height_px, : plan.width_px]
    for kind, value in plan.turns:
        # imir: 1 exchanges left and right, 0 top and bottom.
        mirrored = whole[:, ::-1] if value else whole[::-1]
        whole = np.rot90(whole, value) if kind == b"irot" else mirrored
    shown = VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="rgb24")
    shown.pts = 0
    return shown


class _BoxReader:
    """Numbers of a box, one after the other."""

    def __init__(self, file: BinaryIO, box: FilePart) -> None:
        file.seek(box.start)
        self._data = io.BytesIO(file.read(min(box.stop - box.start, 1 << 20)))
        self.version, self.flags = self.number(1), self.number(3)

    def number(self, width: int) -> int:
        return int.from_bytes(self._data.read(width), "big")

    @property
    def ends(self) -> bool:
        return self._data.tell() >= self._data.getbuffer().nbytes


def _plan_of(file: BinaryIO) -> _Plan:
    plan, parts = _Plan(), dict[bytes, FilePart]()
    meta = next((box for box in boxes(file, 0, file.seek(0, 2)) if box.kind == b"meta"), None)
    if meta is not None:
        parts = {box.kind: box for box in boxes(file, meta.start + 4, meta.stop)}
    if not {b"pitm", b"iref", b"iloc", b"iprp"} <= parts.keys():
        return plan
    head = _BoxReader(file, parts[b"pitm"])
    whole = head.number(2 if head.version == 0 else 4)
    _read_grid(file, _place_of(file, parts, whole), plan)
    references = _BoxReader(file, parts[b"iref"])
    width = 2 if references.version == 0 else 4
    for box in boxes(file, parts[b"iref"].start + 4, parts[b"iref"].stop):
        file.seek(box.start)
        numbers = file.read(min(box.stop - box.start, 1 << 20))
        if box.kind == b"dimg" and int.from_bytes(numbers[:width], "big") == whole:
            at = range(width + 2, len(numbers) - width + 1, width)
            plan.items = [int.from_bytes(numbers[offset : offset + width], "big") for offset in at]
    plan.turns = _turns_of(file, parts[b"iprp"], whole)
    return plan


def _place_of(file: BinaryIO, parts: dict[bytes, FilePart], wanted: int) -> int:
    """Byte at which the data of an item begins."""
    places = _BoxReader(file, parts[b"iloc"])
    sizes = places.number(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(places.number(2 if places.version < 2 else 4)):
        item = places.number(2 if places.version < 2 else 4)
        method = places.number(2) & 15 if places.version else 0
        places.number(2)
        start, count = places.number(base), places.number(2)
        for number in range(min(count, 1 << 12)):
            places.number(index if places.version else 0)
            at = places.number(offset)
            places.number(length)
            if item == wanted and number == 0:
                inside = parts[b"idat"].start if method == 1 and b"idat" in parts else 0
                return inside + start + at
    return 0


def _read_grid(file: BinaryIO, place: int, plan: _Plan) -> None:
    file.seek(place)
    data = file.read(12)
    width = 4 if data[1:2] == b"\1" else 2
    if len(data) == 4 + 2 * width or len(data) == 12:
        plan.columns = data[3] + 1
        plan.width_px = int.from_bytes(data[4 : 4 + width], "big")
        plan.height_px = int.from_bytes(data[4 + width : 4 + 2 * width], "big")


def _turns_of(file: BinaryIO, properties: FilePart, wanted: int) -> list[tuple[bytes, int]]:
    """How an item is turned (quarters against the clock) and mirrored, in order."""
    parts = {box.kind: box for box in boxes(file, properties.start, properties.stop)}
    if not {b"ipco", b"ipma"} <= parts.keys():
        return []
    known = list(boxes(file, parts[b"ipco"].start, parts[b"ipco"].stop))
    links = _BoxReader(file, parts[b"ipma"])
    for _ in range(links.number(4)):
        if links.ends:
            break
        item = links.number(2 if links.version == 0 else 4)
        wide = links.flags & 1
        linked = [links.number(1 + wide) & (0x7FFF if wide else 0x7F) for _ in range(links.number(1))]
        if item == wanted:
            linked_boxes = [known[number - 1] for number in linked if 0 < number <= len(known)]
            return [
                (box.kind, _first_byte(file, box)) for box in linked_boxes if box.kind in (b"irot", b"imir")
            ]
    return []


def _first_byte(file: BinaryIO, box: FilePart) -> int:
    file.seek(box.start)
    return int.from_bytes(file.read(1), "big") & 3
