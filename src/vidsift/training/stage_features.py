"""In stages in which the image tower does not learn, it looks once at videos whose pictures are stored.

Where the text tower learns in no stage, it reads their sentences once, too.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vidsift.data.loading import BatchMaker
from vidsift.data.source import PlannedStage, StoredClips
from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.feature_cache import CachedTowers
from vidsift.encoders.text_cache import CachedTexts
from vidsift.methods.model import Model
from vidsift.training.recipe import Recipe
from vidsift.training.setup import batch_maker, refuse_unfit, set_stage_trained

__all__ = ["StageFeatures"]

# Class tokens of every benchmark fit (35,000 videos of 12 frames: 0.9 GB), and all tokens of some thousand
# videos. Files that are larger than the memory of usual machines would be read from the disk at every step,
# 150 MB for all tokens of 128 videos and twenty times that for every block's.
_MOST_BYTES = 8 * 10**9

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Place:
    """Where a stage keeps which kinds of results, and which files they are of."""

    folder: Path
    kinds: tuple[str, ...]
    description: dict[str, Any]


class StageFeatures:
    """What the image tower makes of the training videos, once for each stage in which it does not learn.

    It is exact to the rounding of other batch sizes, in fp32: a run in bf16 sees what fp32 gives. Where the
    tower learns, has dropout, or pictures are others each time, nothing is kept.

    Args:
        recipe: the run.
        model: whose towers are exchanged for :class:`~vidsift.encoders.feature_cache.CachedTowers`.
        folder: keeps features of weights that the run itself has trained, until their stage ends. Those of
            weights that it only starts from stay beside the pictures, for other runs.
        removes: whether this process removes them.
    """

    def __init__(self, recipe: Recipe, model: Model, folder: Path, *, removes: bool = True) -> None:
        """See the class; nothing is done before :meth:`batch_maker`."""
        self._recipe, self._model = recipe, model
        self._folder, self._removes = folder, removes
        self._places: dict[int, _Place] = {}
        self._place: _Place | None = None
        self._texts: CachedTexts | None = None

    def batch_maker(self, stages: Sequence[PlannedStage], say: Say = lambda _line: None) -> BatchMaker:
        """Find out which stages keep features; return what makes batches, theirs without pictures.

        Args:
            stages: of the run.
            say: takes a line for each stage in which the image tower does not learn.

        Raises:
            ValueError: see :func:`~vidsift.training.setup.batch_maker`.
        """
        recipe, model = self._recipe, self._model
        still = [self._is_still(stage) for stage in stages]
        clips = self._stored_clips(say) if any(still) else None
        if clips is not None:
            model.method.towers = towers = self._cached_towers(clips)
            for number, stage in enumerate(stages):
                # A short stage sees fewer videos than there are; what never learns serves other runs too.
                looks = stage.steps * stage.batch_size
                if still[number] and (recipe.model.frozen_towers or looks > clips.clips):
                    fresh = all(still[:number])
                    self._plan(stage, clips, towers, say, fresh=fresh)
            towers.use(None)
            model.method.leave_out(())
            if self._places and recipe.model.frozen_towers:
                self._texts = self._plan_texts(clips, say)
        planned = [replace(stage, with_pixels=stage.first_step not in self._places) for stage in stages]
        return batch_maker(recipe, model, planned, say)

    def _plan_texts(self, clips: StoredClips, say: Say) -> CachedTexts | None:
        """Keep what the text tower makes of the sentences, unless that is too large or varies."""
        model, folder = self._model, clips.folder / "towers"
        if model.method.full_width or model.method.towers.clip.text_model.config.attention_dropout:
            return None
        tokenized = model.inputs.tokenize(clips.sentences)
        texts = CachedTexts(folder, tokenized.ids, tokenized.mask)
        size = texts.bytes(model.method.towers.dim)
        about = f"the text tower does not learn; what it makes of {texts.count:,} sentences"
        room, limit = _room(folder)
        if size > room:
            say(
                f"{about} is {_megabytes(size)}, more than {_megabytes(room)} ({limit}); it runs at each step"
            )
            return None
        say(f"{about} is computed once, {_megabytes(size)} in {folder}")
        return texts

    def _is_still(self, stage: PlannedStage) -> bool:
        """Whether the image tower makes the same of a video throughout a stage."""
        set_stage_trained(self._recipe, self._model.method, stage)
        return not _learns(self._model.method.towers)

    def _stored_clips(self, say: Say) -> StoredClips | None:
        model = self._model
        if model.method.towers.clip.vision_model.config.attention_dropout:
            return None
        refuse_unfit(self._recipe.data)
        clips = self._recipe.data.stored_clips(model.preprocessing, say)
        if clips is None or (model.method.full_width and clips.pictures < model.preprocessing.frames):
            return None  # padding, which such a method scores too, is in no memory
        return clips

    def _cached_towers(self, clips: StoredClips) -> CachedTowers:
        inputs = self._model.inputs

        def pixels_of(rows: slice) -> torch.Tensor:
            pixels = torch.from_numpy(clips.pixels(rows))
            mask = torch.ones(pixels.shape[:2], dtype=torch.bool)
            # Pictures alone are wanted: their times play no part.
            return inputs.video(pixels, mask, torch.zeros(mask.shape)).pixels

        description = asdict(self._model.norm)
        return CachedTowers(
            self._model.method.towers, clips.folder / "towers", clips.clips, pixels_of, description
        )

    def _plan(
        self, stage: PlannedStage, clips: StoredClips, towers: CachedTowers, say: Say, *, fresh: bool
    ) -> None:
        """Keep the features of a stage unless they are too large; ``fresh`` if nothing changed the tower."""
        if stage.frames != self._model.preprocessing.frames:
            return  # what is stored are the pictures that the finished model looks at
        kinds = self._kinds(stage, clips, towers)
        place = _Place(clips.folder / "towers", tuple(kinds), asdict(self._model.norm))
        if not fresh:
            # Pictures of other files may come to stand there while a run is stopped.
            place = replace(
                place, folder=self._folder, description={**place.description, "set": clips.folder.name}
            )
        size = sum(kinds.values())
        about = f"stage {stage.section.name}: the image tower does not learn"
        room, limit = _room(place.folder)
        if size > room:
            say(
                f"{about}, but what it makes of {clips.clips} clips is {_megabytes(size)}, more than "
                f"{_megabytes(room)} ({limit}); it is computed at each step"
            )
            return
        what = f"what it makes of {clips.clips} clips is computed once"
        say(f"{about}; {what}, {_megabytes(size)} in {place.folder}")
        self._places[stage.first_step] = place

    def _kinds(self, stage: PlannedStage, clips: StoredClips, towers: CachedTowers) -> dict[str, int]:
        """Let the method look at one video, to see what it wants of the tower."""
        model = self._model
        model.method.leave_out(stage.section.without)
        pixels = torch.from_numpy(clips.pixels(slice(0, 1)))
        mask = torch.ones(pixels.shape[:2], dtype=torch.bool)
        inputs = model.inputs.video(pixels, mask, torch.zeros(mask.shape), device=model.device)
        training = model.method.training
        model.method.eval()  # nothing is drawn: a run draws the same with it and without
        try:
            return towers.kinds_of(lambda: model.method.video_features(*inputs))
        finally:
            model.method.train(training)

    def begin(self, stage: PlannedStage) -> bool:
        """Begin a stage, with the weights as they are now; return whether it keeps features."""
        towers = self._model.method.towers
        self._place = self._places.get(stage.first_step)
        if not isinstance(towers, CachedTowers):
            return False
        if self._place is None:
            towers.use(None)
            self._remove()
            return False
        towers.use(self._place.folder, self._place.description, self._texts)
        self._remove(but=towers.files)
        return True

    def compute(self) -> bool:
        """Compute the features of the stage, where an earlier process has not; return True.

        Raises:
            NotSavedError: the disk takes no more.
        """
        towers = self._model.method.towers
        if self._place is not None and isinstance(towers, CachedTowers):
            towers.compute(self._place.kinds)
        return True

    def end(self) -> None:
        """Let the towers look for themselves again, and remove what no other run needs."""
        towers = self._model.method.towers
        if isinstance(towers, CachedTowers):
            towers.use(None)
        self._remove()

    def _remove(self, but: Path | None = None) -> None:
        """Remove the features of other weights that the run has trained."""
        if self._removes and self._folder.is_dir():
            for folder in self._folder.iterdir():
                if folder != but:
                    shutil.rmtree(folder, ignore_errors=True)
            if but is None:
                shutil.rmtree(self._folder, ignore_errors=True)


def _learns(towers: ClipTowers) -> bool:
    parts = towers.clip.vision_model, towers.clip.visual_projection
    return any(parameter.requires_grad for part in parts for parameter in part.parameters())


def _room(folder: Path) -> tuple[int, str]:
    """How many bytes features may take, and what that limit is."""
    half = _free_bytes(folder) // 2
    return (half, "half of the free disk") if half < _MOST_BYTES else (_MOST_BYTES, "the limit")


def _free_bytes(folder: Path) -> int:
    """Free bytes of the disk on which a folder is or will be, with those of the files in it."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    # A run that goes on finds its files there: what it decided before, it decides again.
    present = sum(file.stat().st_size for file in folder.rglob("*.npy")) if there == folder else 0
    return shutil.disk_usage(there).free + present


def _megabytes(size: int) -> str:
    return f"{math.ceil(size / 1e6):,} MB"
