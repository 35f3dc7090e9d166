"""The Shapes world as a source of data: scenes drawn while a run goes on, or a set that is rendered once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from vidsift.data.entries import Entry
from vidsift.data.folder import CAPTIONS_FILE, read_folder
from vidsift.data.grounding import parse_grounding
from vidsift.data.loading import BatchMaker
from vidsift.data.shapes_batches import SceneStage, ShapesBatches, ShapesSetBatches
from vidsift.data.source import (
    DataSource,
    Epoch,
    GridTestSet,
    PlannedStage,
    Positive,
    StageSection,
    ValidationSet,
    expanded,
)
from vidsift.errors import CaptionsError
from vidsift.shapes.captions import draw_captions
from vidsift.shapes.groups import GROUP_SIZE, draw_scene
from vidsift.shapes.library import DrawnVideo, draw_split, write_library
from vidsift.shapes.render import render
from vidsift.shapes.set import ShapesSet
from vidsift.shapes.stream import clip_times
from vidsift.shapes.world import TAGS
from vidsift.types import Frames
from vidsift.video.preprocessing import Preprocessing

__all__ = ["SEED_OF_SPLITS", "VOCABULARY_KEY", "DrawnSource", "Shapes", "ShapesStage"]

VOCABULARY_KEY = 11  # no caption of the vocabulary is drawn with the numbers of a batch
SEED_OF_SPLITS = 0  # the same validation videos for all runs, so that they can be compared


class ShapesStage(StageSection):
    """A stage that may choose its scenes.

    Attributes:
        grouped: False draws scenes one by one: no hard negatives in a batch.
        tags: kinds of scenes that take turns in this stage; empty for those of the data.
    """

    grouped: bool = True
    tags: tuple[str, ...] = ()


class DrawnSource(DataSource):
    """What is drawn and rendered while the run goes on, or a set that is rendered once.

    Attributes:
        captions_each: sentences for each clip; with more than one, the loss is their mean.
        jitter: how far a picture may move in what it stands for (its stretch of the clip for sampling
            "uniform", around the middle; the second that it begins for the others), 0 to 1.
        tags: kinds of groups that take turns; empty for all.
        clips: train on a set of so many clips, a multiple of 4, epoch after epoch; without, none is seen
            twice.
        cache: folder that keeps the set, and what frozen towers make of it.
    """

    splits: ClassVar = ("val", "train", "test")
    all_tags: ClassVar = TAGS
    group_size: ClassVar = GROUP_SIZE
    stage: ClassVar = ShapesStage
    test_videos: ClassVar = 640
    draws_test_videos: ClassVar = True

    batch_size: Annotated[int, Field(ge=4, multiple_of=GROUP_SIZE)] = 64
    captions_each: Positive = 1
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.5
    tags: tuple[str, ...] = ()
    clips: Annotated[int, Field(ge=4, multiple_of=GROUP_SIZE)] | None = None
    cache: str | None = None

    @model_validator(mode="after")
    def _set_has_a_place(self) -> Self:
        if (self.clips is None) != (self.cache is None):
            raise ValueError("clips (how many) and cache (the folder that keeps them) belong together")
        if self.clips is not None and self.jitter:
            raise ValueError("a set of clips is rendered once, at fixed seconds: give jitter: 0.0 with clips")
        return self

    @property
    def where(self) -> str:
        """See :class:`~vidsift.data.source.DataSource`."""
        return self.title

    def test_splits(self) -> tuple[str, ...]:
        """See :class:`~vidsift.data.source.DataSource`."""
        return ("test",)

    def entries(self, split: str | None) -> list[Entry]:
        """Refuse: what is drawn has no end, and no files.

        Raises:
            CaptionsError: always.
        """
        raise CaptionsError(f"{self.title} has no files of the split {split!r}; render a library of them")

    def training_files(self) -> list[Entry]:
        """Return nothing: what is trained on is drawn."""
        return []

    def epoch(self) -> Epoch:
        """See :class:`~vidsift.data.source.DataSource`; scenes that are drawn anew have none."""
        if self.clips is None:
            raise CaptionsError(
                f"{self.title} has no epochs where all scenes are drawn anew: give steps, or data.clips"
            )
        return Epoch(f"an epoch is every clip once: {self.clips:,} clips", self.clips, whole_batches=True)

    def batches(
        self,
        stages: Sequence[PlannedStage],
        preprocessing: Preprocessing,
        seed: int,
        *,
        say: Callable[[str], None] = lambda _line: None,
    ) -> BatchMaker:
        """See :class:`~vidsift.data.source.DataSource`."""
        planned = tuple(_scene_stage(stage) for stage in stages)
        clips = self.stored_clips(preprocessing, say)
        if clips is not None:
            return ShapesSetBatches(clips, seed, planned, self.captions_each)
        return self.fresh_batches(planned, preprocessing, seed)

    @abstractmethod
    def fresh_batches(
        self, stages: tuple[SceneStage, ...], preprocessing: Preprocessing, seed: int
    ) -> BatchMaker:
        """Return what draws the training batch of any step."""

    @abstractmethod
    def stored_clips(
        self, preprocessing: Preprocessing, say: Callable[[str], None] = lambda _line: None
    ) -> ShapesSet | None:
        """Return the set of clips, rendered the first time; None where all are drawn anew."""

    def test_set(self, folder: Path, videos: int | None, seed: int = 0) -> GridTestSet:
        """Render so many videos of the test split into the folder, unless they are there."""
        count = self.test_videos if videos is None else videos
        library = folder / (self.library_name(count) + (f"-seed{seed}" if seed else ""))
        # They are written after the videos: where they are, those are whole.
        if not (library / CAPTIONS_FILE).is_file():
            self.write_test_library(library, count, seed)
        remedy = f"Delete the folders {library}*; the next run makes them anew"
        return GridTestSet(library.name, read_folder(library), remedy)

    @abstractmethod
    def library_name(self, videos: int) -> str:
        """Return what the folder of so many test videos is called."""

    @abstractmethod
    def write_test_library(self, folder: Path, videos: int, seed: int) -> None:
        """Render so many videos of the test split, drawn with a seed."""

    def identity(self) -> dict[str, Any]:
        """See :class:`~vidsift.data.source.DataSource`."""
        # Where the clips are kept changes none.
        return super().identity() | {"cache": self.cache is not None}


class Shapes(DrawnSource):
    """Scenes of the Shapes world, version 1."""

    title: ClassVar = "Shapes"

    source: Literal["shapes-stream"]

    def sentences(self, seed: int, count: int) -> list[str]:
        """See :class:`~vidsift.data.source.DataSource`."""
        rng = np.random.default_rng([seed, VOCABULARY_KEY])
        return [
            draw_captions(draw_scene(rng, "train", TAGS[number % len(TAGS)]), rng, 1)[0]
            for number in range(count)
        ]

    def fresh_batches(
        self, stages: tuple[SceneStage, ...], preprocessing: Preprocessing, seed: int
    ) -> BatchMaker:
        """See :class:`DrawnSource`."""
        return ShapesBatches(
            seed,
            stages,
            preprocessing.size_px,
            captions_each=self.captions_each,
            jitter=self.jitter,
            tags=self.tags,
            sampling=preprocessing.sampling,
        )

    def stored_clips(
        self, preprocessing: Preprocessing, say: Callable[[str], None] = lambda _line: None
    ) -> ShapesSet | None:
        """See :class:`DrawnSource`; rendering is a matter of seconds."""
        del say
        if self.clips is None or self.cache is None:
            return None
        return ShapesSet.open(
            expanded(self.cache),
            clips=self.clips,
            frames=preprocessing.frames,
            size_px=preprocessing.size_px,
            tags=self.tags or TAGS,
            sampling=preprocessing.sampling,
        )

    def validation_set(self, split: str, videos: int, preprocessing: Preprocessing) -> ValidationSet:
        """Draw and render so many videos of a split, a multiple of four; always the same ones."""
        drawn = draw_split(split, videos, SEED_OF_SPLITS)
        entries = [_entry(video, split) for video in drawn]
        times = clip_times(preprocessing.frames, preprocessing.sampling)
        return ValidationSet(
            entries, [Frames(render(video.scene, times, preprocessing.size_px), times) for video in drawn]
        )

    def library_name(self, videos: int) -> str:
        """See :class:`DrawnSource`."""
        return f"shapes-test-{videos}"

    def write_test_library(self, folder: Path, videos: int, seed: int) -> None:
        """See :class:`DrawnSource`."""
        write_library(folder, "test", videos, seed)


def _entry(video: DrawnVideo, split: str) -> Entry:
    """What is known of a video, with which word is true when."""
    return Entry(
        Path(video.name),
        video.captions,
        video.scene.tag,
        str(video.group),
        split,
        grounding=parse_grounding(video.grounding(), video.captions, video.name),
    )


def _scene_stage(stage: PlannedStage) -> SceneStage:
    options = ShapesStage.model_validate(stage.section.model_dump())
    return SceneStage(
        stage.first_step, stage.batch_size, stage.frames, options.grouped, options.tags, stage.with_pixels
    )
