"""What a source of training and evaluation data is.

A source gives entries (videos and what is said of them), says which of its splits are test splits, and makes
batches. It is a section of the recipe too: the keys below ``data`` are its fields. Sources of video files
inherit batching, parts of videos and caching from :class:`~vidsift.data.video_files.VideoFiles` and only
parse annotations. ``data/catalog.py`` lists all sources; nothing else knows one by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from vidsift.data.entries import Entry
from vidsift.data.loading import BatchMaker
from vidsift.errors import CaptionsError
from vidsift.types import Frames
from vidsift.video.preprocessing import Preprocessing

__all__ = [
    "DataSource",
    "Epoch",
    "GridTestSet",
    "PlannedStage",
    "Positive",
    "RecipeSection",
    "StageSection",
    "StoredClips",
    "ValidationSet",
    "expanded",
]

Positive = Annotated[int, Field(gt=0)]


def expanded(path: str) -> Path:
    """Where a path of a recipe leads: in a file no shell has made ``~`` the home folder."""
    return Path(path).expanduser()


class RecipeSection(BaseModel):
    """A section of a recipe: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class StageSection(RecipeSection):
    """A stretch of the run; a source may have a subclass with options of its own.

    Attributes:
        name: for the log.
        share: part of all steps that it takes; shares are normalised to 1.
        trained: prefixes of the parameters that learn; empty for all.
        frames: frames a clip in this stage; 1 trains on stills.
        batch_size: clips a step in this stage.
        without: parts of the method that do not take part in this stage.
        own_rates: True if the rate warms up and falls within this stage, False if once over the run.
    """

    name: str
    share: Annotated[float, Field(gt=0)] = 1.0
    trained: tuple[str, ...] = ()
    frames: Positive | None = None
    batch_size: Positive | None = None
    without: tuple[str, ...] = ()
    own_rates: bool = False


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its place in the run: from ``first_step`` up to the next stage's.

    Attributes:
        section: what the recipe, or else the method, says of it.
        first_step: its first step.
        steps: how many it has.
        frames: pictures a clip.
        batch_size: clips a step.
        with_pixels: False where the model knows the pictures of :meth:`DataSource.stored_clips` already.
    """

    section: StageSection
    first_step: int
    steps: int
    frames: int
    batch_size: int
    with_pixels: bool = True


class Epoch(NamedTuple):
    """What one round through the training data is.

    Attributes:
        about: in a sentence: "an epoch is every caption once: 180,000 captions".
        items: how many captions, or videos, it has.
        whole_batches: whether what fills no batch is left out of each epoch; else it begins the next one.
    """

    about: str
    items: int
    whole_batches: bool

    def steps(self, batch_size: int) -> Fraction:
        """Steps of an epoch; no whole number where epochs share a batch."""
        exact = Fraction(self.items, batch_size)
        return Fraction(int(exact)) if self.whole_batches else exact


class StoredClips(Protocol):
    """Training clips whose pictures lie on a disk and stay the same, so that frozen towers see them once."""

    @property
    def folder(self) -> Path:
        """Where they lie."""
        ...

    @property
    def clips(self) -> int:
        """How many there are."""
        ...

    @property
    def pictures(self) -> int:
        """Pictures of each."""
        ...

    @property
    def sentences(self) -> list[str]:
        """What is said of them, as training reads it; a sentence may stand there more than once."""
        ...

    def pixels(self, rows: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """Return pictures of some clips, ``(B, F, S, S, 3)``."""
        ...


class ValidationSet(NamedTuple):
    """Videos to validate on; ``frames`` are their pictures, None where they are decoded from files."""

    entries: list[Entry]
    frames: list[Frames] | None


class GridTestSet(NamedTuple):
    """Videos that judge the runs of a grid.

    ``name`` is for files that are made of them, ``remedy`` what to do where one is missing.
    """

    name: str
    entries: list[Entry]
    remedy: str


class DataSource(RecipeSection, ABC):
    """Where training and evaluation data come from.

    Attributes:
        title: its name for people.
        splits: those that it has for everybody; empty where they are read from files.
        all_tags: the kinds of questions that it has for everybody; empty where they are read from files.
        group_size: videos come in groups of so many: a batch, or a test set, takes whole groups.
        stage: the stages of a recipe that trains on it.
        test_videos: how many videos judge a grid that does not say; None for the whole test split.
        listed_in: where a person takes a video out that is not there.
        test_split_remedy: how a person says which splits are test splits, where that is up to them.
        source: its name in recipes and on the command line.
        batch_size: videos a step.
        workers: processes that make batches ahead; 0 makes them in the training process.
    """

    title: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ()
    all_tags: ClassVar[tuple[str, ...]] = ()
    group_size: ClassVar[int] = 1
    stage: ClassVar[type[StageSection]] = StageSection
    test_videos: ClassVar[int | None] = None
    draws_test_videos: ClassVar[bool] = False
    listed_in: ClassVar[str] = "the annotations"
    test_split_remedy: ClassVar[str] = ""

    source: str
    batch_size: Annotated[int, Field(ge=2)] = 64
    workers: Annotated[int, Field(ge=0)] = 1

    @classmethod
    def from_files(cls, source: str, videos: str, annotations: str | None) -> DataSource:
        """Return the source of files that lie somewhere, with the defaults of everything else.

        Args:
            source: its name.
            videos: folder of the videos.
            annotations: what says which they are, where that lies elsewhere.

        Raises:
            ValueError: it has no such files, or needs annotations.
        """
        # Sources of files override this.
        del source, videos, annotations
        raise CaptionsError(f"{cls.title} is drawn while it is used and has no files; name another data set")

    @classmethod
    def from_annotations(cls, source: str, annotations: str) -> DataSource:
        """Return the source for which only annotations are there, to be counted.

        Args:
            source: its name.
            annotations: as for :meth:`from_files`.

        Raises:
            ValueError: as for :meth:`from_files`.
        """
        return cls.from_files(source, annotations, annotations)

    @property
    @abstractmethod
    def where(self) -> str:
        """Where it lies, for messages."""

    @property
    def training_split(self) -> str:
        """The split that a run trains on."""
        return "train"

    @abstractmethod
    def test_splits(self) -> tuple[str, ...]:
        """Return which splits are test splits: nothing is trained on them, nothing chosen by them."""

    @abstractmethod
    def entries(self, split: str | None) -> list[Entry]:
        """Return the videos of a split, whether or not they are there; None where there is one split only.

        Raises:
            CaptionsError: the annotations cannot be read, or there is no such split.
        """

    def split_names(self) -> list[str]:
        """Return the names of all splits; "" for videos that are of none."""
        return list(self.splits)

    def training_files(self) -> list[Entry]:
        """Return what is trained on, as far as it lies in files: those have to be there."""
        return self.entries(self.training_split)

    @property
    def cut_entries(self) -> tuple[Entry, ...]:
        """The videos that :meth:`cut_for_validation` took out of the training split."""
        return ()

    def cut_for_validation(self, videos: int, seed: int) -> DataSource:
        """Return the source with a smaller training split: what it lacks is to be validated on.

        Args:
            videos: how many to take out.
            seed: which ones; the same for everybody with this seed.

        Raises:
            CaptionsError: there are no files to take out, or too few.
        """
        del videos, seed
        raise CaptionsError(f"{self.title} has splits to validate on: leave validation.cut out")

    def cut_note(self) -> str:
        """Say in a sentence what was taken out; "" if nothing was."""
        return ""

    def epoch(self) -> Epoch:
        """Return what an epoch of the training data is.

        Raises:
            CaptionsError: the data have no end, or cannot be read.
        """
        raise CaptionsError(f"{self.title} has no epochs: say for how many steps to train")

    @abstractmethod
    def sentences(self, seed: int, count: int) -> list[str]:
        """Return captions of the training split, from which a new vocabulary is learned."""

    @abstractmethod
    def batches(
        self,
        stages: Sequence[PlannedStage],
        preprocessing: Preprocessing,
        seed: int,
        *,
        say: Callable[[str], None] = lambda _line: None,
    ) -> BatchMaker:
        """Return what makes the training batch of any step.

        Args:
            stages: batch size and frames over the steps, and whether pictures are wanted.
            preprocessing: how the model looks at a video.
            seed: of everything random.
            say: takes a line where this takes a while.

        Raises:
            ValueError: if the stages and the data do not suit each other.
        """

    def stored_clips(
        self, preprocessing: Preprocessing, say: Callable[[str], None] = lambda _line: None
    ) -> StoredClips | None:
        """Return the clips that are trained on where their pictures are stored once and for all.

        Args:
            preprocessing: how the model looks at a video.
            say: takes a line where this takes a while.
        """
        del preprocessing, say
        return None

    @abstractmethod
    def validation_set(self, split: str, videos: int, preprocessing: Preprocessing) -> ValidationSet:
        """Return so many videos of a split, to be looked at while a run goes on."""

    @abstractmethod
    def test_set(self, folder: Path, videos: int | None, seed: int = 0) -> GridTestSet:
        """Return the videos that judge a grid, as files.

        Args:
            folder: of the grid, for files that have to be made.
            videos: how many; None for all.
            seed: which ones, where they are drawn (``draws_test_videos``); files are what they are.
        """

    def identity(self) -> dict[str, Any]:
        """Return what of the section the result of a run depends on, as JSON has it."""
        values = self.model_dump(mode="json")
        # How many processes make the batches changes none of them.
        del values["workers"]
        return values
