"""Pictures of entries, decoded from their files; and the cache of them that earlier versions laid out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry
from vidsift.errors import FrameCacheError, VideoReadError
from vidsift.files.disk_errors import saving
from vidsift.types import Frames, Span
from vidsift.video import read_frames
from vidsift.video.preprocessing import Preprocessing
from vidsift.video.probe import probe

__all__ = ["OLD_ABOUT_FILE", "FrameCache", "read_entry"]

OLD_ABOUT_FILE = "about.json"
"""By this file a cache of an earlier version is known; new ones are shards."""

_File: TypeAlias = tuple[str, str, tuple[int, ...], type[np.generic]]


def read_entry(
    entry: Entry, times_of: Callable[[Span], NDArray[np.float64]], size_px: int
) -> Frames | VideoReadError:
    """Read pictures of a video, or of a part of one; what cannot be read is returned and not raised.

    Args:
        entry: which video.
        times_of: gives the seconds to look at, for the stretch of the file that is meant.
        size_px: side of the pictures.
    """
    try:
        duration = probe(entry.path).duration_seconds
        if entry.is_part and entry.start_seconds >= duration:
            behind = (
                f"{entry.start_seconds:g} s, where the part begins, is not before its end at {duration:.2f} s"
            )
            raise VideoReadError(entry.path, behind)
        return read_frames(entry.path, times_of(entry.span(duration)), size_px=size_px)
    except VideoReadError as error:
        return error
    except OSError as error:  # a folder that may not be opened, a name that is too long
        return VideoReadError(entry.path, f"cannot be reached: {error.strerror or error}")


@dataclass(frozen=True)
class FrameCache:
    """Decoded pictures of many videos in one file, as earlier versions laid them out.

    They go on being read, and filled as videos are first wanted; new caches are
    :class:`~vidsift.data.frame_shards.FrameShards`.

    The folder holds ``about.json`` (what the pictures were made from), ``pixels.u8``, ``times.f64`` and
    ``counts.i32`` (pictures of each video, 0 while absent). Several processes may fill it: a video's
    pictures are written before its count.

    Attributes:
        folder: where.
        preprocessing: which seconds, how many, how large.
        videos: how many.
    """

    folder: Path
    preprocessing: Preprocessing
    videos: int
    _maps: dict[str, NDArray[np.generic]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, folder: str | Path, entries: Sequence[Entry], preprocessing: Preprocessing) -> FrameCache:
        """Open a cache.

        Raises:
            FrameCacheError: the folder holds the pictures of other files, or of another way to look at them.
        """
        root = Path(folder)
        about = {
            "format": 1,
            "reading": preprocessing.to_dict(),
            "videos": len(entries),
            "files": _digest(entries),
        }
        # As it is read back below, tuples as lists.
        about = json.loads(json.dumps(about))
        if json.loads((root / OLD_ABOUT_FILE).read_text(encoding="utf-8")) != about:
            raise FrameCacheError(
                f"the cache {root} was made from other videos, or looks at them otherwise; delete it or "
                "name another"
            )
        return cls(root, preprocessing, len(entries))

    def __getstate__(self) -> dict[str, object]:
        """Travel to workers without the open files."""
        return {
            "folder": self.folder,
            "preprocessing": self.preprocessing,
            "videos": self.videos,
            "_maps": {},
        }

    def read(self, row: int, entry: Entry) -> Frames | VideoReadError:
        """Return the pictures of a video, decoding it the first time."""
        if not self._maps:
            for name, key, shape, kind in _layout(self.videos, self.preprocessing):
                self._maps[key] = np.memmap(self.folder / name, kind, "r", shape=shape)
        pixels, times, counts = (self._maps[key] for key in ("pixels", "times", "counts"))
        count = int(counts[row])
        if count:
            # Copies: the map stays open, and other processes fill it.
            return Frames(np.array(pixels[row, :count]), np.array(times[row, :count]))
        frames = read_entry(entry, self.preprocessing.wanted_times, self.preprocessing.size_px)
        # What gives a part today may give all of it once it is repaired: only whole videos are kept.
        if isinstance(frames, VideoReadError) or frames.damage:
            return frames
        # The count comes last: whoever reads it, in any process, finds the pictures there.
        with saving("decoded pictures", self.folder):
            self._put("pixels.u8", row * pixels[0].nbytes, frames.pixels)
            self._put("times.f64", row * times[0].nbytes, frames.times_seconds)
            self._put("counts.i32", row * counts.itemsize, np.asarray([len(frames)], np.int32))
        return frames

    def _put(self, name: str, at: int, values: NDArray[np.generic]) -> None:
        # Through a file and not the map: where the disk is full, writing to a map kills the process.
        with (self.folder / name).open("r+b") as file:
            file.seek(at)
            file.write(np.ascontiguousarray(values).data)


def _layout(videos: int, preprocessing: Preprocessing) -> list[_File]:
    side = preprocessing.size_px
    return [
        ("pixels.u8", "pixels", (videos, preprocessing.frames, side, side, 3), np.uint8),
        ("times.f64", "times", (videos, preprocessing.frames), np.float64),
        ("counts.i32", "counts", (videos,), np.int32),
    ]


def _digest(entries: Sequence[Entry]) -> str:
    facts: list[tuple[object, ...]] = []
    for entry in entries:
        about = entry.path.stat()
        # Nothing is added for whole files: caches of version 0.1, which knew no parts, stay good.
        part = (entry.start_seconds, entry.end_seconds) if entry.is_part else ()
        # By name and not by path: a folder that was moved holds the same pictures.
        facts.append((entry.path.name, about.st_size, about.st_mtime_ns, *part))
    return hashlib.sha256(repr(facts).encode()).hexdigest()
