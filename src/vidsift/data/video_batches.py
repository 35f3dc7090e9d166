"""Batches decoded from video files: each video once and in order, or shuffled for training; and their cache.

A video that cannot be read has no row in its batch and is named in ``Batch.failed``: it never becomes zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.data.folder import Entry
from vidsift.data.loading import Batch, Look, look_at
from vidsift.errors import FrameCacheError, NotSavedError, TooFewVideosError, VideoReadError
from vidsift.files.disk_errors import saving
from vidsift.files.whole import whole_folder
from vidsift.types import Frames, Span
from vidsift.video import read_frames
from vidsift.video.preprocessing import VideoReading
from vidsift.video.probe import probe

__all__ = ["FolderBatches", "FrameCache", "OrderedVideos"]

_File: TypeAlias = tuple[str, str, tuple[int, ...], type[np.generic]]


# A step compares videos with each other.
_FEWEST = 2
_REPLACEMENTS_KEY = 29
_NAMED = 5


@dataclass(frozen=True)
class OrderedVideos:
    """Every video once, in order: batch i holds the i-th ``batch_size`` of them. For evaluation.

    Attributes:
        paths: the files.
        reading: which seconds, how many, how large.
        batch_size: videos a batch.
    """

    paths: tuple[Path, ...]
    reading: VideoReading
    batch_size: int = 8

    @property
    def batches(self) -> int:
        """Number of batches."""
        return -(-len(self.paths) // self.batch_size)

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        return self.batch_size * self.reading.frames * self.reading.size_px**2 * 3

    def __call__(self, step: int) -> Batch:
        """Decode one batch."""
        first = step * self.batch_size
        rows = range(first, min(first + self.batch_size, len(self.paths)))
        read = [_read(self.paths[row], self.reading.wanted_times, self.reading.size_px) for row in rows]
        return _assemble(rows, [self.paths[row] for row in rows], read, [], self.reading)


@dataclass(frozen=True)
class FolderBatches:
    """Videos of a folder in random order, each once an epoch, with one of its captions at random.

    Batches take no video twice, so no caption of a batch holds of another video for being the same video.
    The last videos of an epoch that fill no batch are left out of it.

    Where fewer than two videos of a batch can be read, others take the places of those that cannot: which, is
    decided by seed and step alone, so that a run that is resumed draws the same.

    Attributes:
        entries: videos and captions.
        seed: of order, captions, seconds and replacements.
        looks: batch size and frames over the steps.
        reading: which seconds, and the side of the pictures.
        cache: decoded pictures kept on disk, always of the same seconds; None decodes every time.
        jitter: how far a picture that is not from the cache may move, see
            :meth:`~vidsift.video.preprocessing.VideoReading.training_times`.
    """

    entries: tuple[Entry, ...]
    seed: int
    looks: tuple[Look, ...]
    reading: VideoReading
    cache: FrameCache | None = None
    jitter: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a folder with too few videos for a batch."""
        most = max(look.batch_size for look in self.looks)
        if len(self.entries) < most:
            raise ValueError(
                f"a batch takes {most} videos, the split has {len(self.entries)}; lower data.batch_size"
            )

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        return max(look.batch_size * look.frames for look in self.looks) * self.reading.size_px**2 * 3

    def __call__(self, step: int) -> Batch:
        """Decode the batch of a step.

        Raises:
            TooFewVideosError: of all videos, fewer than two can be read.
        """
        rows = self._rows(step)
        rng = np.random.default_rng([self.seed, step])
        captions = [self._caption(row, rng) for row in rows]
        read = [self._look(step, row) for row in rows]
        drawn: list[int] = []
        if _readable(read) < _FEWEST:
            drawn = self._replace(step, rows, captions, read)
        paths = [self.entries[row].path for row in rows]
        batch = _assemble(rows, paths, read, captions, self._reading(step))
        return batch._replace(replacements=tuple(str(self.entries[row].path) for row in drawn))

    def _reading(self, step: int) -> VideoReading:
        return replace(self.reading, frames=look_at(self.looks, step).frames)

    def _caption(self, row: int, rng: np.random.Generator) -> str:
        return self.entries[row].captions[rng.integers(len(self.entries[row].captions))]

    def _look(self, step: int, row: int) -> Frames | VideoReadError:
        path, reading = self.entries[row].path, self._reading(step)
        if self.cache is not None and reading.frames == self.cache.reading.frames:
            return self.cache.read(row, path)
        rng = np.random.default_rng([self.seed, step, row])
        return _read(path, lambda span: reading.training_times(span, self.jitter, rng), reading.size_px)

    def _replace(
        self, step: int, rows: list[int], captions: list[str], read: list[Frames | VideoReadError]
    ) -> list[int]:
        """Draw other videos, in an order that seed and step decide, until the batch is full; return which."""
        rng = np.random.default_rng([self.seed, step, _REPLACEMENTS_KEY, len(rows)])
        wanted, drawn = len(rows), []
        for row in rng.permutation(len(self.entries)).tolist():
            if row in rows:
                continue
            if _readable(read) == wanted:
                break
            rows.append(row)
            captions.append(self._caption(row, rng))
            read.append(self._look(step, row))
            if isinstance(read[-1], Frames):
                drawn.append(row)
        if _readable(read) < _FEWEST:
            raise _too_few([one for one in read if isinstance(one, VideoReadError)], len(read))
        return drawn

    def _rows(self, step: int) -> list[int]:
        """Which videos a step takes: looks are walked one after the other, each over whole epochs."""
        look = look_at(self.looks, step)
        batches = len(self.entries) // look.batch_size
        epoch, place = divmod(step - look.first_step, batches)
        order = np.random.default_rng([self.seed, look.first_step, epoch]).permutation(len(self.entries))
        return [int(row) for row in order[place * look.batch_size : (place + 1) * look.batch_size]]


@dataclass(frozen=True)
class FrameCache:
    """Decoded pictures of many videos in one file, filled as they are first wanted.

    The folder holds ``about.json`` (what the pictures were made from), ``pixels.u8``, ``times.f64`` and
    ``counts.i32`` (pictures of each video, 0 while absent). Several processes may fill it: a video's
    pictures are written before its count.

    Attributes:
        folder: where.
        reading: which seconds, how many, how large.
        videos: how many.
    """

    folder: Path
    reading: VideoReading
    videos: int
    _maps: dict[str, NDArray[np.generic]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, folder: str | Path, paths: Sequence[Path], reading: VideoReading) -> FrameCache:
        """Open a cache, or lay out an empty one.

        Raises:
            FrameCacheError: the folder holds the pictures of other files, or of another way to look at them.
        """
        root = Path(folder)
        about = {"format": 1, "reading": reading.to_dict(), "videos": len(paths), "files": _digest(paths)}
        about = json.loads(json.dumps(about))
        note = root / "about.json"
        if not note.is_file():
            _lay_out(root, _layout(len(paths), reading), json.dumps(about))
        if json.loads(note.read_text(encoding="utf-8")) != about:
            raise FrameCacheError(
                f"the cache {root} was made from other videos, or looks at them otherwise; delete it or "
                "name another"
            )
        return cls(root, reading, len(paths))

    def __getstate__(self) -> dict[str, object]:
        """Travel to workers without the open files."""
        return {"folder": self.folder, "reading": self.reading, "videos": self.videos, "_maps": {}}

    def read(self, row: int, path: Path) -> Frames | VideoReadError:
        """Return the pictures of a video, decoding it the first time."""
        if not self._maps:
            for name, key, shape, kind in _layout(self.videos, self.reading):
                self._maps[key] = np.memmap(self.folder / name, kind, "r", shape=shape)
        pixels, times, counts = (self._maps[key] for key in ("pixels", "times", "counts"))
        count = int(counts[row])
        if count:
            return Frames(np.array(pixels[row, :count]), np.array(times[row, :count]))
        read = _read(path, self.reading.wanted_times, self.reading.size_px)
        if isinstance(read, VideoReadError) or read.damage:
            return read
        with saving("decoded pictures", self.folder):
            self._put("pixels.u8", row * pixels[0].nbytes, read.pixels)
            self._put("times.f64", row * times[0].nbytes, read.times_seconds)
            self._put("counts.i32", row * counts.itemsize, np.asarray([len(read)], np.int32))
        return read

    def _put(self, name: str, at: int, values: NDArray[np.generic]) -> None:
        # Through a file and not the map: where the disk is full, writing to a map kills the process.
        with (self.folder / name).open("r+b") as file:
            file.seek(at)
            file.write(np.ascontiguousarray(values).data)


def _lay_out(root: Path, layout: Sequence[_File], about: str) -> None:
    """Put an empty cache in place whole: another process may want the same one now."""
    try:
        with saving("the cache of decoded pictures", root), whole_folder(root) as temporary:
            for name, _, shape, kind in layout:
                with (temporary / name).open("wb") as file:
                    # A file of holes: zeros that take no room until they are written.
                    file.truncate(int(np.prod(shape)) * np.dtype(kind).itemsize)
            (temporary / "about.json").write_text(about, encoding="utf-8")
    except NotSavedError:
        raise
    except OSError as error:
        raise FrameCacheError(
            f"the cache {root} cannot be laid out: {error}; name an empty folder"
        ) from error
    if not (root / "about.json").is_file():
        raise FrameCacheError(
            f"the cache {root} cannot be laid out: it holds other files; name an empty folder"
        )


def _layout(videos: int, reading: VideoReading) -> list[_File]:
    side = reading.size_px
    return [
        ("pixels.u8", "pixels", (videos, reading.frames, side, side, 3), np.uint8),
        ("times.f64", "times", (videos, reading.frames), np.float64),
        ("counts.i32", "counts", (videos,), np.int32),
    ]


def _digest(paths: Sequence[Path]) -> str:
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _too_few(failed: Sequence[VideoReadError], tried: int) -> TooFewVideosError:
    named = "; ".join(f"{one.path}: {one.reason}" for one in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return TooFewVideosError(
        f"{len(failed)} of all {tried} training videos cannot be read, a step needs {_FEWEST} that can "
        f"({named}{more}); mend or replace the files, or look whether their drive is there, and run the same "
        "command again"
    )


def _readable(read: Sequence[Frames | VideoReadError]) -> int:
    return sum(isinstance(one, Frames) for one in read)


def _read(
    path: Path, times_of: Callable[[Span], NDArray[np.float64]], size_px: int
) -> Frames | VideoReadError:
    try:
        return read_frames(path, times_of(Span(0.0, probe(path).duration_seconds)), size_px=size_px)
    except VideoReadError as error:
        return error
    except OSError as error:  # a folder that may not be opened, a name that is too long
        return VideoReadError(path, f"cannot be reached: {error.strerror or error}")


def _assemble(
    rows: Sequence[int],
    paths: Sequence[Path],
    read: Sequence[Frames | VideoReadError],
    captions: Sequence[str],
    reading: VideoReading,
) -> Batch:
    good = [(place, one) for place, one in enumerate(read) if isinstance(one, Frames)]
    failed = tuple(
        (str(path), one.reason)
        for path, one in zip(paths, read, strict=True)
        if isinstance(one, VideoReadError)
    )
    partial = tuple((str(paths[place]), one.damage) for place, one in good if one.damage)
    longest = max((len(one) for _, one in good), default=1)
    pixels = np.zeros((len(good), longest, reading.size_px, reading.size_px, 3), np.uint8)
    mask = np.zeros((len(good), longest), bool)
    times = np.zeros((len(good), longest), np.float64)
    for row, (_, one) in enumerate(good):
        pixels[row, : len(one)], mask[row, : len(one)] = one.pixels, True
        times[row, : len(one)] = one.times_seconds
    said = [captions[place] for place, _ in good] if captions else []
    return Batch(
        pixels, mask, times, said, np.asarray([rows[place] for place, _ in good], np.int64), failed, partial
    )
