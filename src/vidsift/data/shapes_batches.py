"""Batches of the Shapes world: fresh scenes without end, or a set of clips that is rendered once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.data.loading import Batch, stage_at
from vidsift.data.share import WHOLE, Share
from vidsift.shapes.groups import GROUP_SIZE
from vidsift.shapes.set import CAPTIONS_EACH, ShapesSet
from vidsift.shapes.stream import clip_times, stream_batch
from vidsift.shapes.world import TAGS
from vidsift.video.preprocessing import Sampling

__all__ = ["SceneStage", "ShapesBatches", "ShapesSetBatches"]


class SceneStage(NamedTuple):
    """From step ``first_step`` on, batches have ``batch_size`` clips of ``frames`` pictures.

    ``grouped`` and ``tags`` say of which scenes, see :func:`vidsift.shapes.stream.stream_batch`; without
    ``with_pixels`` a set leaves the pictures out, for towers that have their features cached.
    """

    first_step: int
    batch_size: int
    frames: int
    grouped: bool = True
    tags: tuple[str, ...] = ()
    with_pixels: bool = True


@dataclass(frozen=True)
class ShapesBatches:
    """Fresh scenes of the Shapes world; see :func:`vidsift.shapes.stream.stream_batch`.

    Attributes:
        seed: of the whole stream.
        stages: batch size, frames and kinds of scenes over the steps.
        size_px: side of the pictures.
        captions_each: sentences for each clip.
        jitter: how far a picture may be from where it belongs; the times given are those without.
        tags: kinds of groups that take turns; empty for all.
        sampling: which seconds of a clip are looked at.
        share: whose rows are rendered.
    """

    seed: int
    stages: tuple[SceneStage, ...]
    size_px: int
    captions_each: int = 1
    jitter: float = 0.0
    tags: tuple[str, ...] = ()
    sampling: Sampling = "uniform"
    share: Share = WHOLE

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        rows = self.share.most_rows
        return max(rows(stage.batch_size) * stage.frames for stage in self.stages) * self.size_px**2 * 3

    def __call__(self, step: int) -> Batch:
        """Draw the batch of a step and render it, or this process's rows of it."""
        _, batch, frames, grouped, tags, _ = stage_at(self.stages, step)
        mine = self.share.rows(batch)
        pixels, captions = stream_batch(
            self.seed,
            step,
            batch,
            frames,
            self.size_px,
            captions_each=self.captions_each,
            jitter=self.jitter,
            grouped=grouped,
            tags=tags or self.tags or TAGS,
            sampling=self.sampling,
            rendered=range(mine.start, mine.stop),
        )
        fixed = clip_times(frames, self.sampling)
        rows = np.arange(batch, dtype=np.int64)[mine] + step * batch
        times = np.broadcast_to(fixed, (len(rows), len(fixed)))
        return Batch(pixels, np.ones(times.shape, bool), times, captions, rows)


@dataclass(frozen=True)
class ShapesSetBatches:
    """Batches of a set: whole groups of hard negatives in random order, each once an epoch.

    Groups at the end of an epoch that fill no batch are left out of it.

    Attributes:
        clips: the set.
        seed: of the order and of the choice of sentences.
        stages: batch size over the steps; the set says how many frames.
        captions_each: sentences for each clip.
        share: whose rows are given.
    """

    clips: ShapesSet
    seed: int
    stages: tuple[SceneStage, ...]
    captions_each: int = 1
    share: Share = WHOLE

    def __post_init__(self) -> None:
        """Refuse what the set cannot give."""
        for stage in self.stages:
            if stage.frames != self.clips.frames:
                raise ValueError(
                    f"a stage wants {stage.frames} frames, the set of clips has {self.clips.frames}; a set "
                    "has one number of frames: leave data.clips out, or frames out of the stage"
                )
            if stage.batch_size > self.clips.clips:
                raise ValueError(
                    f"a batch takes {stage.batch_size} clips, the set has {self.clips.clips}; raise "
                    "data.clips or lower data.batch_size"
                )
            if not stage.grouped or stage.tags:
                raise ValueError("grouped: false and tags of a stage need fresh scenes: leave data.clips out")

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        rows, frames = self.share.most_rows, self.clips.frames
        sides = [self.clips.size_px if stage.with_pixels else 1 for stage in self.stages]
        return max(
            rows(stage.batch_size) * frames * side**2 * 3
            for stage, side in zip(self.stages, sides, strict=True)
        )

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, or this process's rows of it."""
        stage = stage_at(self.stages, step)
        rows = self._rows(step, stage)
        mine = self.share.rows(len(rows))
        rng = np.random.default_rng([self.seed, step])
        # Drawn for all rows, of which this process may have some.
        # With several sentences each, no clip gets one twice before all were used.
        orders = [rng.permutation(CAPTIONS_EACH) for _ in rows][mine]
        rows = rows[mine]
        times, mask = self.clips.times(rows), self.clips.mask(rows)
        # Without pictures, a pixel each: a batch keeps its shape, and a worker its slots.
        pixels = self.clips.pixels(rows) if stage.with_pixels else np.zeros((*mask.shape, 1, 1, 3), np.uint8)
        captions = [
            self.clips.captions[row][order[number % CAPTIONS_EACH]]
            for number in range(self.captions_each)
            for row, order in zip(rows, orders, strict=True)
        ]
        return Batch(pixels, mask, times, captions, rows)

    def _rows(self, step: int, stage: SceneStage) -> NDArray[np.int64]:
        groups, together = self.clips.clips // GROUP_SIZE, stage.batch_size // GROUP_SIZE
        epoch, place = divmod(step - stage.first_step, groups // together)
        # By stage and epoch alone, so that any process, and a run that resumes, makes the same order.
        order = np.random.default_rng([self.seed, stage.first_step, epoch]).permutation(groups)
        group_rows = order[place * together : (place + 1) * together]
        return (group_rows[:, None] * GROUP_SIZE + np.arange(GROUP_SIZE)).reshape(-1).astype(np.int64)
