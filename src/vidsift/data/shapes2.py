"""Shapes 2 as a source of data: clips of 4 to 16 seconds, with which word is true of which seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from vidsift.data.entries import Entry, Moment
from vidsift.data.grounding import parse_grounding
from vidsift.data.loading import Batch, BatchMaker, stage_at
from vidsift.data.shapes import SEED_OF_SPLITS, VOCABULARY_KEY, DrawnSource
from vidsift.data.shapes_batches import SceneStage, ShapesBatches
from vidsift.data.source import ValidationSet, expanded
from vidsift.shapes.clip_captions import describe_clip
from vidsift.shapes.clip_groups import clip_group
from vidsift.shapes.clip_library import DrawnClip, draw_clips, write_clip_library
from vidsift.shapes.clip_set import ClipSet
from vidsift.shapes.clip_stream import clip_batch
from vidsift.shapes.render import render
from vidsift.shapes.stream import clip_times
from vidsift.shapes.world import TAGS, pick
from vidsift.types import Frames
from vidsift.video.preprocessing import Preprocessing

__all__ = ["ClipBatches", "Shapes2"]


@dataclass(frozen=True)
class ClipBatches(ShapesBatches):
    """Fresh clips of Shapes 2; see :func:`vidsift.shapes.clip_stream.clip_batch`.

    Attributes:
        paragraphs: several sentences for each caption.
    """

    paragraphs: bool = False

    def __call__(self, step: int) -> Batch:
        """Draw the batch of a step and render it, or this process's rows of it."""
        _, batch, frames, grouped, tags, _ = stage_at(self.stages, step)
        mine = self.share.rows(batch)
        drawn = clip_batch(
            self.seed,
            step,
            batch,
            frames,
            self.size_px,
            captions_each=self.captions_each,
            jitter=self.jitter,
            grouped=grouped,
            tags=tags or self.tags or TAGS,
            paragraphs=self.paragraphs,
            sampling=self.sampling,
            rendered=range(mine.start, mine.stop),
        )
        rows = np.arange(batch, dtype=np.int64)[mine] + step * batch
        return Batch(drawn.pixels, drawn.mask, drawn.times_seconds, drawn.captions, rows)


class Shapes2(DrawnSource):
    """Clips of Shapes 2, drawn and rendered while the run goes on, or a set that is rendered once.

    Attributes:
        paragraphs: several sentences for each caption, for models that take 64 tokens.
    """

    title: ClassVar = "Shapes 2"

    source: Literal["shapes2-stream"]
    paragraphs: bool = False

    def sentences(self, seed: int, count: int) -> list[str]:
        """See :class:`~vidsift.data.source.DataSource`."""
        rng = np.random.default_rng([seed, VOCABULARY_KEY])
        clips = (pick(rng, clip_group(rng, "train", TAGS[number % len(TAGS)])) for number in range(count))
        return [describe_clip(clip, rng, paragraph=self.paragraphs).text for clip in clips]

    def fresh_batches(
        self, stages: tuple[SceneStage, ...], preprocessing: Preprocessing, seed: int
    ) -> BatchMaker:
        """See :class:`~vidsift.data.shapes.DrawnSource`."""
        return ClipBatches(
            seed,
            stages,
            preprocessing.size_px,
            captions_each=self.captions_each,
            jitter=self.jitter,
            tags=self.tags,
            sampling=preprocessing.sampling,
            paragraphs=self.paragraphs,
        )

    def stored_clips(
        self, preprocessing: Preprocessing, say: Callable[[str], None] = lambda _line: None
    ) -> ClipSet | None:
        """See :class:`~vidsift.data.shapes.DrawnSource`."""
        if self.clips is None or self.cache is None:
            return None
        say(f"opening {self.clips:,} clips of {self.title}, rendered the first time")
        return ClipSet.open(
            expanded(self.cache),
            clips=self.clips,
            frames=preprocessing.frames,
            size_px=preprocessing.size_px,
            tags=self.tags or TAGS,
            sampling=preprocessing.sampling,
            paragraphs=self.paragraphs,
        )

    def validation_set(self, split: str, videos: int, preprocessing: Preprocessing) -> ValidationSet:
        """Draw and render so many clips of a split, a multiple of four; always the same ones."""
        drawn = draw_clips(split, videos, SEED_OF_SPLITS, paragraphs=self.paragraphs)
        frames = []
        for it in drawn:
            times = clip_times(preprocessing.frames, preprocessing.sampling, it.clip.duration_seconds)
            frames.append(Frames(render(it.clip, times, preprocessing.size_px), times))
        return ValidationSet([_entry(it, split) for it in drawn], frames)

    def library_name(self, videos: int) -> str:
        """See :class:`~vidsift.data.shapes.DrawnSource`."""
        return f"shapes2-test-{videos}{'-paragraphs' if self.paragraphs else ''}"

    def write_test_library(self, folder: Path, videos: int, seed: int) -> None:
        """See :class:`~vidsift.data.shapes.DrawnSource`."""
        write_clip_library(folder, "test", videos, seed, paragraphs=self.paragraphs)


def _entry(drawn: DrawnClip, split: str) -> Entry:
    """What a written library says of a clip."""
    return Entry(
        Path(drawn.name),
        drawn.texts,
        drawn.clip.tag,
        str(drawn.group),
        split,
        moments=tuple(Moment(it["caption"], it["start"], it["end"]) for it in drawn.moments()),
        grounding=parse_grounding(drawn.grounding(), drawn.texts, drawn.name),
    )
