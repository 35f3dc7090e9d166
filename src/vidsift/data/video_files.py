"""What data sets of video files share: batches, parts of videos, the cache. They only parse annotations."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from vidsift.data.annotation_files import AnnotationFolder
from vidsift.data.entries import (
    Entry,
    captions_of,
    checked_captions,
    is_inside,
    joined_entries,
)
from vidsift.data.frame_shards import FrameShards
from vidsift.data.loading import BatchMaker, BatchStage
from vidsift.data.make_shards import open_cache
from vidsift.data.source import DataSource, Epoch, GridTestSet, PlannedStage, ValidationSet, expanded
from vidsift.data.stored_videos import StoredVideos
from vidsift.data.video_batches import CaptionsTaken, ShuffledVideos
from vidsift.data.videos_on_disk import VideosOnDisk
from vidsift.errors import CaptionsError
from vidsift.video.preprocessing import Preprocessing

__all__ = ["AnnotatedVideos", "CaptionProtocol", "VideoFiles"]

CaptionProtocol = Literal["one caption", "every caption", "paragraph"]
"""What a query of a benchmark is."""

# Keeps the draw of what is cut for validation apart from all others of the same seed.
_CUT_KEY = 37


class VideoFiles(DataSource):
    """Videos in files.

    Attributes:
        cache: folder of decoded pictures, so that each video is decoded once; with it, every epoch sees the
            same pictures. What ``vidsift data cache`` did not make, the run makes before its first step.
        jitter: how far a picture that is not from the cache may move in what it stands for (its part of the
            video for sampling "uniform", around the middle; the second that it begins for the others): 1 for
            anywhere in it, which is the default without a cache, 0 for the very pictures that the finished
            model looks at. There are as many pictures as it looks at, whatever the jitter.
        captions: an epoch is every video once, with "one" of its captions at random, or "every" caption once.
    """

    cache: str | None = None
    jitter: Annotated[float, Field(ge=0, le=1)] | None = None
    captions: CaptionsTaken = "one"

    _cut: tuple[Entry, ...] = PrivateAttr(default=())
    _cut_note: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _cache_keeps_still(self) -> VideoFiles:
        if self.cache is not None and self.jitter:
            raise ValueError("a cache keeps the pictures of fixed seconds: leave jitter out, or cache")
        return self

    @property
    def cut_entries(self) -> tuple[Entry, ...]:
        """See :class:`~vidsift.data.source.DataSource`."""
        return self._cut

    def cut_for_validation(self, videos: int, seed: int) -> DataSource:
        """See :class:`~vidsift.data.source.DataSource`; whole files, with all their parts."""
        entries = self.training_files()
        # By name and not by place: annotations in another order cut the same.
        files = sorted({entry.path for entry in entries}, key=lambda path: path.as_posix())
        if videos > len(files) - 2:
            raise CaptionsError(
                f"validation.cut is {videos}, but {self.where} has {len(files)} videos to train on; cut fewer"
            )
        drawn = np.random.default_rng([seed, _CUT_KEY]).permutation(len(files))[:videos]
        chosen = {files[number] for number in drawn.tolist()}
        # A copy: the source itself is frozen, and others may hold it.
        smaller = self.model_copy()
        smaller._cut = tuple(entry for entry in entries if entry.path in chosen)
        some = f"{videos} of {len(files)} training videos, cut by seed {seed}"
        smaller._cut_note = f"{some}, are validated on, not trained on"
        return smaller

    def cut_note(self) -> str:
        """See :class:`~vidsift.data.source.DataSource`."""
        return self._cut_note

    def _trained_on(self) -> list[Entry]:
        """The training split without what was cut from it."""
        cut = {entry.path for entry in self._cut}
        return [entry for entry in self.training_files() if entry.path not in cut]

    def sentences(self, seed: int, count: int) -> list[str]:
        """See :class:`~vidsift.data.source.DataSource`; the first ones, whatever the seed."""
        del seed
        return captions_of(self._trained_on())[:count]

    def epoch(self) -> Epoch:
        """See :class:`~vidsift.data.source.DataSource`."""
        entries = self._trained_on()
        if self.captions == "one":
            about = f"an epoch is every video once, with one caption: {len(entries):,} videos"
            return Epoch(about, len(entries), whole_batches=True)
        count = len(captions_of(entries))
        return Epoch(f"an epoch is every caption once: {count:,} captions", count, whole_batches=False)

    def batches(
        self,
        stages: Sequence[PlannedStage],
        preprocessing: Preprocessing,
        seed: int,
        *,
        say: Callable[[str], None] = lambda _line: None,
    ) -> BatchMaker:
        """See :class:`~vidsift.data.source.DataSource`."""
        entries = tuple(self._trained_on())
        cache = None
        if self.cache is not None:
            folder = expanded(self.cache)
            cache = open_cache(folder, entries, preprocessing, workers=max(1, self.workers), say=say)
        planned = tuple(
            BatchStage(stage.first_step, stage.batch_size, stage.frames, stage.with_pixels)
            for stage in stages
        )
        jitter = 1.0 if self.jitter is None else self.jitter
        return ShuffledVideos(
            entries,
            seed,
            planned,
            preprocessing,
            cache,
            jitter,
            captions=self.captions,
        )

    def stored_clips(
        self, preprocessing: Preprocessing, say: Callable[[str], None] = lambda _line: None
    ) -> StoredVideos | None:
        """See :class:`~vidsift.data.source.DataSource`; those of a cache of shards."""
        if self.cache is None:
            return None
        folder, entries = expanded(self.cache), self._trained_on()
        cache = open_cache(folder, entries, preprocessing, workers=max(1, self.workers), say=say)
        return StoredVideos.whole(cache, entries, folder) if isinstance(cache, FrameShards) else None

    def validation_set(self, split: str, videos: int, preprocessing: Preprocessing) -> ValidationSet:
        """See :class:`~vidsift.data.source.DataSource`; the first ones."""
        del preprocessing
        return ValidationSet(self.entries(split)[:videos], None)

    def test_set(self, folder: Path, videos: int | None, seed: int = 0) -> GridTestSet:
        """See :class:`~vidsift.data.source.DataSource`; the first videos of the first test split.

        Raises:
            CaptionsError: no split is a test split.
        """
        del folder, seed
        if not self.test_splits():
            raise CaptionsError(
                f"{self.where} has no test split to judge a grid on. {self.test_split_remedy}"
            )
        split = self.test_splits()[0]
        remedy = f"Put them back, or take them out of {self.listed_in} in {self.where}"
        # It becomes part of a file's name, where not every letter may stand.
        name = re.sub(r"[^\w.-]", "_", f"{self.source}-{split}")
        return GridTestSet(name, self.entries(split)[:videos], remedy)

    def identity(self) -> dict[str, Any]:
        """See :class:`~vidsift.data.source.DataSource`."""
        # Version 0.1 knew no jitter, and judged all grids on Shapes.
        values = super().identity() | {"judged_on": "its test split"}
        values["cache"] = self.cache is not None  # where pictures are kept changes none
        later = {"jitter": None, "captions": "one"}
        return {name: value for name, value in values.items() if (name, value) not in later.items()}


class AnnotatedVideos(VideoFiles):
    """A published data set: a folder of videos called by their ids, and a folder of annotation files.

    A subclass names ``splits``, ``tests`` among them, and the ``split`` that is trained on, and says what a
    split holds (:meth:`read`).

    Attributes:
        tests: the splits that are test splits, the usual one first.
        validation_split: the split to choose a model by after training on the default split. None where
            there is none that is not trained on: one has to be cut from the training videos.
        caption_protocol: what a query is where papers report numbers: the only caption of a video, each of
            its captions, or all of them joined to a paragraph.
        max_words: tokens of a text that papers look at.
        frames: pictures of a video that papers look at.
        videos: folder of the videos, absolute or relative to the working directory.
        annotations: folder of the annotation files, likewise.
        split: which videos to train on.
    """

    tests: ClassVar[tuple[str, ...]]
    validation_split: ClassVar[str | None] = None
    caption_protocol: ClassVar[CaptionProtocol] = "every caption"
    max_words: ClassVar[int] = 32
    frames: ClassVar[int] = 12

    videos: str
    annotations: str
    split: str

    @abstractmethod
    def read(self, split: str) -> Iterable[Entry]:
        """Parse what the annotation files say of one of the ``splits``; see the helpers below."""

    @classmethod
    def from_files(cls, source: str, videos: str, annotations: str | None) -> DataSource:
        """See :class:`~vidsift.data.source.DataSource`."""
        if annotations is None:
            raise CaptionsError(f"{cls.title} needs the folder of its annotation files: --annotations FOLDER")
        if expanded(annotations).is_file():
            raise CaptionsError(
                f"{annotations} is a file; expected the folder of {cls.title}'s annotation files"
            )
        return cls.model_validate({"source": source, "videos": videos, "annotations": annotations})

    @property
    def where(self) -> str:
        """See :class:`~vidsift.data.source.DataSource`."""
        return f"{self.title} ({self.annotations})"

    @property
    def training_split(self) -> str:
        """See :class:`~vidsift.data.source.DataSource`."""
        return self.split

    def test_splits(self) -> tuple[str, ...]:
        """See :class:`~vidsift.data.source.DataSource`."""
        return self.tests

    def entries(self, split: str | None) -> list[Entry]:
        """See :class:`~vidsift.data.source.DataSource`."""
        known = ", ".join(map(repr, self.splits))
        if split is None:
            raise CaptionsError(f"{self.where} holds several splits ({known}); name one with --split")
        if split not in self.splits:
            raise CaptionsError(f"{self.where} has no split {split!r}; its splits: {known}")
        try:
            entries = joined_entries(self.read(split))
        except CaptionsError:
            raise
        # A key that is not there, a number that is none, a list in place of an object.
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise CaptionsError(
                f"{self.where}: the annotations of {split!r} are not in the format that they are expected in "
                f"({type(error).__name__}: {error})"
            ) from error
        if not entries:
            raise CaptionsError(f"{self.where}: nothing is listed for the split {split!r}")
        return entries

    def entry(self, video_id: str, captions: Iterable[str], **more: Any) -> Entry:
        """Return the entry of a video.

        Args:
            video_id: what its file is called.
            captions: what is said of it.
            more: ``start_seconds`` and ``end_seconds`` of a part, ``moments``, ``tag`` and so on; ``id``
                where the data set calls the part otherwise than the file.

        Raises:
            CaptionsError: the captions are no list of sentences.
        """
        if captions in ((), []):
            raise CaptionsError(f"{self.where}: {video_id} has no caption")
        sentences = checked_captions(captions, f"{self.where}: {video_id}")
        return Entry(self.file_of(video_id), sentences, **({"id": video_id} | more))

    def file_of(self, video_id: str) -> Path:
        """Return the file of a video, see :class:`~vidsift.data.videos_on_disk.VideosOnDisk`."""
        # Annotations come from elsewhere: they do not decide what else on this disk is read.
        if not is_inside(video_id):
            raise CaptionsError(f"{self.where}: the video {video_id!r} lies outside the folder of videos")
        on_disk = self.on_disk
        return expanded(self.videos) / (on_disk.find(video_id) or on_disk.expected(video_id))

    @cached_property
    def on_disk(self) -> VideosOnDisk:
        """The video files that there are."""
        return VideosOnDisk(expanded(self.videos), self.title)

    # Annotation files are read through these: each takes the first of several names that is there.

    @cached_property
    def files(self) -> AnnotationFolder:
        """The annotation files."""
        return AnnotationFolder(expanded(self.annotations), self.title)

    def csv_rows(self, names: str | Sequence[str], *columns: str) -> Iterator[dict[str, str]]:
        """See :meth:`~vidsift.data.annotation_files.AnnotationFolder.csv_rows`."""
        return self.files.csv_rows(names, *columns)

    def json_values(self, names: str | Sequence[str], *keys: str) -> list[Any]:
        """See :meth:`~vidsift.data.annotation_files.AnnotationFolder.json_values`."""
        return self.files.json_values(names, *keys)

    def lines(self, *names: str) -> list[str]:
        """See :meth:`~vidsift.data.annotation_files.AnnotationFolder.lines`."""
        return self.files.lines(*names)
