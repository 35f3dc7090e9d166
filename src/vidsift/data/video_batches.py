"""Batches decoded from video files: each video once and in order, or shuffled for training.

A video that cannot be read has no row in its batch and is named in ``Batch.failed``: it never becomes zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from vidsift.data.caption_order import CaptionOrder
from vidsift.data.entries import Entry
from vidsift.data.frame_cache import read_entry
from vidsift.data.frame_shards import CachedFrames, FrameShards
from vidsift.data.loading import Batch, BatchStage, stage_at
from vidsift.data.share import WHOLE, Share
from vidsift.errors import TooFewVideosError, VideoReadError
from vidsift.types import Frames
from vidsift.video.preprocessing import Preprocessing
from vidsift.video.stack import stack_videos

__all__ = ["CaptionsTaken", "OrderedVideos", "ShuffledVideos"]

CaptionsTaken: TypeAlias = Literal["one", "every"]

# A step compares videos with each other.
_FEWEST = 2
# Keeps the draws of replacements apart from those of captions, which have the same seed and step.
_REPLACEMENTS_KEY = 29
# And the order of every caption from that of the videos.
_EVERY_KEY = 31
_NAMED = 5


@dataclass(frozen=True)
class OrderedVideos:
    """Every video once, in order: batch i holds the i-th ``batch_size`` of them. For evaluation.

    Attributes:
        entries: the videos.
        preprocessing: which seconds, how many, how large.
        batch_size: videos a batch.
    """

    entries: tuple[Entry, ...]
    preprocessing: Preprocessing
    batch_size: int = 8

    @property
    def batches(self) -> int:
        """Number of batches."""
        return -(-len(self.entries) // self.batch_size)

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        return self.batch_size * self.preprocessing.frames * self.preprocessing.size_px**2 * 3

    def __call__(self, step: int) -> Batch:
        """Decode one batch."""
        first = step * self.batch_size
        rows = range(first, min(first + self.batch_size, len(self.entries)))
        entries = [self.entries[row] for row in rows]
        read = [
            read_entry(entry, self.preprocessing.wanted_times, self.preprocessing.size_px)
            for entry in entries
        ]
        return _assemble(rows, entries, read, [], self.preprocessing)


@dataclass(frozen=True)
class ShuffledVideos:
    """Videos in random order, each once an epoch with one of its captions at random, or with every caption.

    Batches take no video twice, so no caption of a batch holds of another video for being the same video.
    With one caption each, the last videos of an epoch that fill no batch are left out of it; with every
    caption, they begin the next one's first batch (see :class:`~vidsift.data.caption_order.CaptionOrder`).

    Where fewer than two videos of a batch can be read, others take the places of those that cannot: which, is
    decided by seed and step alone, so that a run that is resumed draws the same.

    Attributes:
        entries: videos and captions.
        seed: of order, captions, seconds and replacements.
        stages: batch size and frames over the steps; where they leave pictures out, the cache is of shards.
        preprocessing: which seconds, and the side of the pictures.
        cache: decoded pictures kept on disk, always of the same seconds; None decodes every time.
        jitter: how far a picture that is not from the cache may move, see
            :meth:`~vidsift.video.preprocessing.Preprocessing.training_times`.
        share: whose rows are read. A process that has a part of them cannot tell how many of all can be read,
            and so puts no video in the place of another.
        captions: an epoch is every video once, with "one" of its captions, or "every" caption once.
    """

    entries: tuple[Entry, ...]
    seed: int
    stages: tuple[BatchStage, ...]
    preprocessing: Preprocessing
    cache: CachedFrames | None = None
    jitter: float = 1.0
    share: Share = WHOLE
    captions: CaptionsTaken = "one"
    _orders: dict[int, CaptionOrder] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse too few videos for a batch, and captions that cannot be parted into batches."""
        if self.captions == "every":
            counts = [len(entry.captions) for entry in self.entries]
            for stage in self.stages:
                seed = (self.seed, stage.first_step, _EVERY_KEY)
                self._orders[stage.first_step] = CaptionOrder(counts, stage.batch_size, seed)
            return
        most = max(stage.batch_size for stage in self.stages)
        if len(self.entries) < most:
            raise ValueError(
                f"a batch takes {most} videos, the split has {len(self.entries)}; lower data.batch_size"
            )

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        rows = self.share.most_rows
        return max(
            rows(stage.batch_size) * stage.frames * self._side(stage) ** 2 * 3 for stage in self.stages
        )

    def __call__(self, step: int) -> Batch:
        """Decode the batch of a step, or this process's rows of it.

        Raises:
            TooFewVideosError: of all videos, fewer than two can be read.
        """
        rows, captions = self._chosen(step)
        mine = self.share.rows(len(rows))
        rows, captions = rows[mine], captions[mine]
        read = [self._read(step, row) for row in rows]
        drawn: list[int] = []
        if self.share.processes == 1 and _readable(read) < _FEWEST:
            drawn = self._replace(step, rows, captions, read)
        entries = [self.entries[row] for row in rows]
        batch = _assemble(rows, entries, read, captions, self._preprocessing(step))
        return batch._replace(replacements=tuple(self.entries[row].name for row in drawn))

    def _chosen(self, step: int) -> tuple[list[int], list[str]]:
        """Which videos a step takes, and which caption of each."""
        if self.captions == "every":
            first = stage_at(self.stages, step).first_step
            chosen = self._orders[first].batch(step - first)
            return [row for row, _ in chosen], [self.entries[row].captions[place] for row, place in chosen]
        rows = self._rows(step)
        rng = np.random.default_rng([self.seed, step])
        # Drawn for all rows before any is read: which files can be read must not change the draws.
        return rows, [self._caption(row, rng) for row in rows]

    def _preprocessing(self, step: int) -> Preprocessing:
        stage = stage_at(self.stages, step)
        return replace(self.preprocessing, frames=stage.frames, size_px=self._side(stage))

    def _side(self, stage: BatchStage) -> int:
        # Without pictures, a pixel each: a batch keeps its shape, and a worker its slots.
        return self.preprocessing.size_px if stage.with_pixels else 1

    def _caption(self, row: int, rng: np.random.Generator) -> str:
        return self.entries[row].captions[rng.integers(len(self.entries[row].captions))]

    def _read(self, step: int, row: int) -> Frames | VideoReadError:
        entry, preprocessing = self.entries[row], self._preprocessing(step)
        if not stage_at(self.stages, step).with_pixels and isinstance(self.cache, FrameShards):
            return self.cache.read_times(row, entry)
        if self.cache is not None and preprocessing.frames == self.cache.preprocessing.frames:
            return self.cache.read(row, entry)
        # A generator for each video: its seconds do not depend on what else is in the batch.
        rng = np.random.default_rng([self.seed, step, row])
        return read_entry(
            entry, lambda span: preprocessing.training_times(span, self.jitter, rng), preprocessing.size_px
        )

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
            read.append(self._read(step, row))
            if isinstance(read[-1], Frames):
                drawn.append(row)
        if _readable(read) < _FEWEST:
            raise _too_few([frames for frames in read if isinstance(frames, VideoReadError)], len(read))
        return drawn

    def _rows(self, step: int) -> list[int]:
        """Which videos a step takes: stages follow one another, each over whole epochs."""
        stage = stage_at(self.stages, step)
        # The order hangs on the epoch's number alone: any process, and a run that resumes, makes the same.
        batches = len(self.entries) // stage.batch_size
        epoch, place = divmod(step - stage.first_step, batches)
        order = np.random.default_rng([self.seed, stage.first_step, epoch]).permutation(len(self.entries))
        return [int(row) for row in order[place * stage.batch_size : (place + 1) * stage.batch_size]]


def _too_few(failed: Sequence[VideoReadError], videos: int) -> TooFewVideosError:
    named = "; ".join(f"{error.path}: {error.reason}" for error in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return TooFewVideosError(
        f"{len(failed)} of all {videos} training videos cannot be read, a step needs {_FEWEST} that can "
        f"({named}{more}); repair or replace the files, or look whether their drive is there, and run the "
        "same command again"
    )


def _readable(read: Sequence[Frames | VideoReadError]) -> int:
    return sum(isinstance(frames, Frames) for frames in read)


def _assemble(
    rows: Sequence[int],
    entries: Sequence[Entry],
    read: Sequence[Frames | VideoReadError],
    captions: Sequence[str],
    preprocessing: Preprocessing,
) -> Batch:
    good = [(place, frames) for place, frames in enumerate(read) if isinstance(frames, Frames)]
    failed = tuple(
        (entry.name, error.reason)
        for entry, error in zip(entries, read, strict=True)
        if isinstance(error, VideoReadError)
    )
    partial = tuple((entries[place].name, frames.damage) for place, frames in good if frames.damage)
    arrays = stack_videos(
        [frames.pixels for _, frames in good],
        [frames.times_seconds for _, frames in good],
        (preprocessing.size_px, preprocessing.size_px, 3),
    )
    said = [captions[place] for place, _ in good] if captions else []
    names = tuple(entries[place].name for place, _ in good)
    numbers = np.asarray([rows[place] for place, _ in good], np.int64)
    return Batch(*arrays, said, numbers, failed, partial, names=names)
