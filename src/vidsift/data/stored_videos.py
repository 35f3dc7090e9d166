"""Training videos whose pictures lie in a cache and stay the same, so that frozen towers see them once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry, captions_of
from vidsift.data.frame_shards import FrameShards
from vidsift.types import Frames

__all__ = ["StoredVideos"]


@dataclass(frozen=True)
class StoredVideos:
    """See :class:`~vidsift.data.source.StoredClips`.

    Attributes:
        shards: the pictures, a row for each entry.
        entries: the videos.
        cache: folder of the cache.
    """

    shards: FrameShards
    entries: tuple[Entry, ...]
    cache: Path

    @classmethod
    def whole(cls, shards: FrameShards, entries: Sequence[Entry], cache: Path) -> StoredVideos | None:
        """Return them, if all that can be read have as many pictures as the model looks at; else None.

        What towers make of a video is looked up without padding: with it, methods that score padding would
        score something else.
        """
        wanted = shards.preprocessing.frames
        counts = {len(video.times_seconds) for _, video in shards.videos if video.error is None}
        return cls(shards, tuple(entries), cache) if counts == {wanted} else None

    @property
    def folder(self) -> Path:
        """A folder of this very set: another split has other rows."""
        contents = repr([(video.digest, video.part) for _, video in self.shards.videos])
        return self.cache / f"set-{hashlib.sha256(contents.encode()).hexdigest()[:16]}"

    @property
    def clips(self) -> int:
        """How many videos there are."""
        return len(self.entries)

    @property
    def pictures(self) -> int:
        """Pictures of each."""
        return self.shards.preprocessing.frames

    @property
    def sentences(self) -> list[str]:
        """All captions of the videos."""
        return captions_of(self.entries)

    def pixels(self, rows: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """Return the pictures of some videos, ``(B, F, S, S, 3)``; zeros for one that cannot be read."""
        numbers = np.arange(self.clips)[rows]
        side = self.shards.preprocessing.size_px
        pixels = np.zeros((len(numbers), self.pictures, side, side, 3), np.uint8)
        for place, row in enumerate(numbers.tolist()):
            frames = self.shards.read(row, self.entries[row])
            # No batch has a row for the others, so nobody asks what towers make of them.
            if isinstance(frames, Frames):
                pixels[place] = frames.pixels
        return pixels
