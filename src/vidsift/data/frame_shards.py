"""Decoded pictures of many videos on disk: few large files, made once, from which training reads.

A cache is a folder with ``cache.json`` (which seconds, how many, how large, JPEG or uint8) and shards. A
shard holds the pictures of some hundred videos one after the other, then what it knows of each video as JSON,
then the length of that and a mark. A shard is put in place whole and never changed; where two hold the same
video, the later one counts. So what is missing, or has changed since, is always added in new shards
(:mod:`~vidsift.data.make_shards`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry
from vidsift.data.frame_cache import FrameCache
from vidsift.data.picture_codec import PictureFormat, decode_pictures
from vidsift.errors import FrameCacheError, VideoReadError
from vidsift.types import Frames
from vidsift.video.preprocessing import Preprocessing

__all__ = [
    "ABOUT_FILE",
    "CachedFrames",
    "CachedVideo",
    "FrameShards",
    "KnownVideos",
    "ShardsAbout",
    "content_digest",
    "read_about",
    "read_videos",
    "shard_end",
    "shard_files",
]

ABOUT_FILE = "cache.json"
_FORMAT = 2
_MARK = b"vidsift\x02"
_END_BYTES = 8 + len(_MARK)
_BLOCK_BYTES = 1 << 20

_Key: TypeAlias = tuple[str, float, float]
CachedFrames: TypeAlias = "FrameCache | FrameShards"
"""Pictures that are there already, in whichever form."""


@dataclass(frozen=True)
class ShardsAbout:
    """What all pictures of a cache have in common, see :class:`~vidsift.video.preprocessing.Preprocessing`.

    Attributes:
        frames: most pictures of a video.
        sampling: which seconds.
        size_px: side of the pictures.
        pictures: "jpeg" or "uint8".
    """

    frames: int
    sampling: str
    size_px: int
    pictures: PictureFormat

    @classmethod
    def of(cls, preprocessing: Preprocessing, pictures: PictureFormat) -> ShardsAbout:
        """Return what a cache for a model is."""
        return cls(preprocessing.frames, preprocessing.sampling, preprocessing.size_px, pictures)

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.frames} frames of {self.size_px} px, sampling {self.sampling}, as {self.pictures}"

    def require(self, wanted: ShardsAbout, folder: Path) -> None:
        """Refuse a cache whose pictures are not the ones that are wanted, whatever their format.

        Raises:
            FrameCacheError: they are others.
        """
        if (self.frames, self.sampling, self.size_px) != (wanted.frames, wanted.sampling, wanted.size_px):
            raise FrameCacheError(
                f"the cache {folder} holds {self}; wanted are {wanted.frames} frames of {wanted.size_px} px, "
                f"sampling {wanted.sampling}: name another folder, or delete it"
            )

    def to_json(self) -> str:
        """Return what ``cache.json`` holds."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n"


@dataclass(frozen=True)
class CachedVideo:
    """What a shard knows of a video, or of a part of one.

    Attributes:
        name: path of the file, below the folder of the videos where that is known.
        start_seconds: where the part begins.
        end_seconds: where it ends; None for the end of the file.
        bytes: size of the file.
        modified_ns: when it was last changed.
        digest: of its content (BLAKE2b), so that a copy counts as the same.
        times_seconds: when each picture is shown; empty for a video that cannot be read.
        at: where its pictures begin in the shard.
        lengths: bytes of the parts that they are stored in.
        damage: why it gave less than it should have, or None.
        error: why it cannot be read, or None.
    """

    name: str
    start_seconds: float
    end_seconds: float | None
    bytes: int
    modified_ns: int
    digest: str
    times_seconds: tuple[float, ...] = ()
    at: int = 0
    lengths: tuple[int, ...] = ()
    damage: str | None = None
    error: str | None = None

    @property
    def part(self) -> tuple[float, float]:
        """Start and end, as an entry has them."""
        return self.start_seconds, math.inf if self.end_seconds is None else self.end_seconds

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CachedVideo:
        """Build from what stands at the end of a shard."""
        tuples = {name: tuple(values[name]) for name in ("times_seconds", "lengths")}
        return cls(**{**values, **tuples})

    def is_of(self, path: Path) -> bool:
        """Whether a file is still the one that was read."""
        try:
            about = path.stat()
        except OSError:
            return False
        if about.st_size != self.bytes:
            return False
        # A file that was copied is another one by its time alone.
        return about.st_mtime_ns == self.modified_ns or content_digest(path) == self.digest


def content_digest(path: Path) -> str:
    """BLAKE2b of a file's content, 16 bytes in hexadecimal; "" for a file that cannot be read."""
    try:
        about = path.stat()
    except OSError:
        return ""
    return _content_digest(path, about.st_size, about.st_mtime_ns)


# For the parts of a file, which follow each other.
@lru_cache(maxsize=64)
def _content_digest(path: Path, _size: int, _modified_ns: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def shard_files(folder: Path) -> list[Path]:
    """Return the shards of a cache, the oldest first."""
    return sorted(folder.glob("[0-9]*.shard"))


def shard_end(videos: Sequence[CachedVideo]) -> bytes:
    """Return what stands behind the pictures of a shard."""
    text = json.dumps([asdict(video) for video in videos]).encode()
    return text + len(text).to_bytes(8, "little") + _MARK


def read_about(folder: Path) -> ShardsAbout | None:
    """Return what the pictures of a cache are; None where there is none.

    Raises:
        FrameCacheError: the folder's ``cache.json`` is none that this version reads.
    """
    file = folder / ABOUT_FILE
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        version = values.pop("format")
        if version != _FORMAT:
            raise FrameCacheError(
                f"{file} is of format {version!r}, this version reads {_FORMAT}; name another folder"
            )
        return ShardsAbout(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, FrameCacheError):
            raise
        raise FrameCacheError(f"{file} cannot be read ({error}); delete the cache {folder}") from error


def read_videos(shard: Path) -> list[CachedVideo]:
    """Return what a shard knows of its videos.

    Raises:
        FrameCacheError: it is damaged.
    """
    try:
        with shard.open("rb") as file:
            file.seek(-_END_BYTES, 2)
            end = file.read(_END_BYTES)
            length = int.from_bytes(end[:8], "little")
            if end[8:] != _MARK:
                raise ValueError("its end is not that of a shard")
            file.seek(-_END_BYTES - length, 2)
            return [CachedVideo.from_json(values) for values in json.loads(file.read(length))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(shard, error) from error


def _damaged(shard: Path, what: object) -> FrameCacheError:
    return FrameCacheError(
        f"{shard} is damaged ({what}); delete it and run the same command again, which decodes its "
        "videos anew"
    )


def cached_videos(folder: Path) -> Iterator[tuple[Path, CachedVideo]]:
    """Yield all that the shards of a cache know, the oldest first."""
    for shard in shard_files(folder):
        for video in read_videos(shard):
            yield shard, video


class KnownVideos:
    """Finds what a cache has of an entry, wherever the folder of the videos lies by now.

    Args:
        folder: of the cache.
    """

    def __init__(self, folder: Path) -> None:
        """See the class; reads the end of each shard."""
        self._by_name: dict[_Key, list[tuple[Path, CachedVideo]]] = {}
        for shard, video in cached_videos(folder):
            key = (video.name.rpartition("/")[2], *video.part)
            self._by_name.setdefault(key, []).append((shard, video))

    def find(self, entry: Entry) -> tuple[Path, CachedVideo] | None:
        """Return the shard and what it knows of an entry whose file is still the same; or None."""
        candidates = self._by_name.get((entry.path.name, entry.start_seconds, entry.end_seconds), [])
        place = f"/{entry.path.as_posix()}"
        # Of files of one name in several folders, first the one whose folders end alike.
        ordered = sorted(candidates, key=lambda c: not place.endswith(f"/{c[1].name}"))
        return next((candidate for candidate in ordered if candidate[1].is_of(entry.path)), None)


@dataclass(frozen=True)
class FrameShards:
    """The pictures of some videos, in the shards of a cache.

    Attributes:
        about: what they are.
        preprocessing: which seconds, how many, how large.
        videos: shard and what it knows of each row.
    """

    about: ShardsAbout
    preprocessing: Preprocessing
    videos: tuple[tuple[Path, CachedVideo], ...]
    _maps: dict[Path, NDArray[np.uint8]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, folder: Path, entries: Sequence[Entry], preprocessing: Preprocessing) -> FrameShards:
        """Find videos in a cache.

        Args:
            folder: of the cache.
            entries: the videos, a row each.
            preprocessing: how they are to be looked at.

        Raises:
            FrameCacheError: the cache is of other pictures, damaged, or lacks videos, or some have changed.
        """
        about = read_about(folder)
        if about is None:
            raise FrameCacheError(f"there is no cache {folder}; make it with vidsift data cache")
        about.require(ShardsAbout.of(preprocessing, about.pictures), folder)
        known = KnownVideos(folder)
        videos = [known.find(entry) for entry in entries]
        absent = [entry.name for entry, video in zip(entries, videos, strict=True) if video is None]
        if absent:
            raise FrameCacheError(
                f"{len(absent)} of {len(entries)} videos are not in the cache {folder}, or have changed "
                f"since (the first: {absent[0]}); run vidsift data cache again"
            )
        return cls(about, preprocessing, tuple(video for video in videos if video is not None))

    def __getstate__(self) -> dict[str, object]:
        """Travel to workers without the open files."""
        return {**self.__dict__, "_maps": {}}

    def read_times(self, row: int, entry: Entry) -> Frames | VideoReadError:
        """Return the same as :meth:`read` with pictures of a single pixel: for whom the times are enough."""
        _, video = self.videos[row]
        if video.error is not None:
            return VideoReadError(entry.path, video.error)
        times = np.asarray(video.times_seconds, np.float64)
        return Frames(np.zeros((len(times), 1, 1, 3), np.uint8), times, video.damage)

    def read(self, row: int, entry: Entry) -> Frames | VideoReadError:
        """Return the pictures of a video, or why there are none; of uint8 a view of the file.

        Raises:
            FrameCacheError: its JPEGs are damaged; of uint8 every change is a picture, too.
        """
        shard, video = self.videos[row]
        if video.error is not None:
            return VideoReadError(entry.path, video.error)
        if shard not in self._maps:
            # Mapped and not read: shards together may be larger than the memory.
            self._maps[shard] = np.memmap(shard, np.uint8, "r")
        whole, at = self._maps[shard], video.at
        parts = []
        for length in video.lengths:
            parts.append(np.asarray(whole[at : at + length]))
            at += length
        try:
            pixels = decode_pictures(parts, self.about.pictures, self.about.size_px)
        except (ValueError, OSError) as error:
            raise _damaged(shard, f"the pictures of {video.name}: {error}") from error
        return Frames(pixels, np.asarray(video.times_seconds, np.float64), video.damage)
