"""What data sets of video files share: batches, parts of videos, the cache. They only parse annotations."""

from __future__ import annotations

import csv
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from vidsift.data.entries import (
    Entry,
    captions_of,
    checked_captions,
    is_inside,
    joined_entries,
    parsed_json,
)
from vidsift.data.frame_cache import FrameCache
from vidsift.data.loading import BatchMaker, BatchStage
from vidsift.data.source import DataSource, GridTestSet, PlannedStage, ValidationSet, expanded
from vidsift.data.video_batches import ShuffledVideos
from vidsift.errors import CaptionsError
from vidsift.video.find import VIDEO_EXTENSIONS
from vidsift.video.preprocessing import Preprocessing

__all__ = ["AnnotatedVideos", "VideoFiles"]


class VideoFiles(DataSource):
    """Videos in files.

    Attributes:
        cache: folder to keep decoded pictures in, so that each video is decoded once; with it, every epoch
            sees the same pictures.
        jitter: how far a picture that is not from the cache may move in what it stands for (its part of the
            video for sampling "uniform", around the middle; the second that it begins for the others): 1 for
            anywhere in it, which is the default without a cache, 0 for the very pictures that the finished
            model looks at. There are as many pictures as it looks at, whatever the jitter.
    """

    cache: str | None = None
    jitter: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _cache_keeps_still(self) -> VideoFiles:
        if self.cache is not None and self.jitter:
            raise ValueError("a cache keeps the pictures of fixed seconds: leave jitter out, or cache")
        return self

    def sentences(self, seed: int, count: int) -> list[str]:
        """See :class:`~vidsift.data.source.DataSource`; the first ones, whatever the seed."""
        del seed
        return captions_of(self.training_files())[:count]

    def batches(
        self,
        stages: Sequence[PlannedStage],
        preprocessing: Preprocessing,
        seed: int,
        *,
        with_pixels: bool = True,
    ) -> BatchMaker:
        """See :class:`~vidsift.data.source.DataSource`."""
        del with_pixels
        entries = tuple(self.training_files())
        cache = None
        if self.cache is not None:
            cache = FrameCache.open(expanded(self.cache), entries, preprocessing)
        planned = tuple(BatchStage(stage.first_step, stage.batch_size, stage.frames) for stage in stages)
        jitter = 1.0 if self.jitter is None else self.jitter
        return ShuffledVideos(entries, seed, planned, preprocessing, cache, jitter)

    def validation_set(self, split: str, videos: int, preprocessing: Preprocessing) -> ValidationSet:
        """See :class:`~vidsift.data.source.DataSource`; the first ones."""
        del preprocessing
        return ValidationSet(self.entries(split)[:videos], None)

    def test_set(self, folder: Path, videos: int | None) -> GridTestSet:
        """See :class:`~vidsift.data.source.DataSource`; the first videos of the first test split.

        Raises:
            CaptionsError: no split is a test split.
        """
        del folder
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
        return {name: value for name, value in values.items() if (name, value) != ("jitter", None)}


class AnnotatedVideos(VideoFiles):
    """A published data set: a folder of videos called by their ids, and a folder of annotation files.

    A subclass names ``splits``, ``tests`` among them, and the ``split`` that is trained on, and says what a
    split holds (:meth:`read`).

    Attributes:
        tests: the splits that are test splits, the usual one first.
        videos: folder of the videos, absolute or relative to the working directory.
        annotations: folder of the annotation files, likewise.
        split: which videos to train on.
    """

    tests: ClassVar[tuple[str, ...]]

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
        """Return the entry of a video; more may be ``start_seconds``, ``end_seconds``, ``tag`` and so on.

        Raises:
            CaptionsError: the captions are no list of sentences.
        """
        if captions in ((), []):
            raise CaptionsError(f"{self.where}: {video_id} has no caption")
        sentences = checked_captions(captions, f"{self.where}: {video_id}")
        return Entry(self.file_of(video_id), sentences, id=video_id, **more)

    def file_of(self, video_id: str) -> Path:
        """Return the file of a video, called by its id with any extension; with .mp4 where none is there."""
        # Annotations come from elsewhere: they do not decide what else on this disk is read.
        if not is_inside(video_id):
            raise CaptionsError(f"{self.where}: the video {video_id!r} lies outside the folder of videos")
        name = self.files_by_id.get(video_id, f"{video_id}.mp4")
        return expanded(self.videos) / name

    @cached_property
    def files_by_id(self) -> dict[str, str]:
        """The name of each video file in the folder by its stem; MP4 where there are several."""
        folder = expanded(self.videos)
        if not folder.is_dir():
            raise CaptionsError(f"{folder} is not a folder; expected the videos of {self.title}")
        names = [path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in VIDEO_EXTENSIONS]
        names.sort(key=lambda name: name.endswith(".mp4"))  # the last one of a stem stays
        return {Path(name).stem: name for name in names}

    def csv_rows(self, name: str, *columns: str) -> Iterator[dict[str, str]]:
        """Read a file of comma-separated values that begins with the names of its columns.

        Raises:
            CaptionsError: it cannot be read, lacks one of the columns, or a value in one.
        """
        file = self._annotation_file(name)
        try:
            # newline="" leaves line ends within quoted sentences to csv; Excel begins a file with a mark.
            with file.open(encoding="utf-8-sig", newline="") as lines:
                # Strict: a quote that is left open would take in all lines that follow.
                table = csv.DictReader(lines, strict=True)
                if table.fieldnames is None:
                    raise CaptionsError(f"{file} is empty; expected the columns {', '.join(columns)}")
                absent = [column for column in columns if column not in (table.fieldnames or ())]
                if absent:
                    raise CaptionsError(f"{file}, line 1: no column {absent[0]!r}; expected {columns}")
                for row in table:
                    # A short row has None where its columns end.
                    empty = [column for column in columns if not row[column]]
                    if empty:
                        raise CaptionsError(f"{file}, line {table.line_num}: {empty[0]} is empty")
                    if None in row:
                        raise CaptionsError(
                            f"{file}, line {table.line_num}: more values than columns; a sentence with "
                            "commas stands in quotes"
                        )
                    yield row
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CaptionsError(f"{file} cannot be read: {error}") from error

    def json_values(self, name: str, *keys: str) -> list[Any]:
        """Read a file with a JSON object, and return the values of some of its keys, in this order.

        Raises:
            CaptionsError: it cannot be read, or lacks a key.
        """
        file = self._annotation_file(name)
        values = parsed_json(_text_of(file), str(file))
        absent = [key for key in keys if not isinstance(values, dict) or key not in values]
        if absent:
            raise CaptionsError(f"{file}: no key {absent[0]!r}; expected an object with {', '.join(keys)}")
        return [values[key] for key in keys]

    def lines(self, name: str) -> list[str]:
        """Read a file with one id, or other word, a line; empty lines are left out.

        Raises:
            CaptionsError: it cannot be read.
        """
        return [line.strip() for line in _text_of(self._annotation_file(name)).split("\n") if line.strip()]

    def _annotation_file(self, name: str) -> Path:
        file = expanded(self.annotations) / name
        if not file.is_file():
            raise CaptionsError(
                f"there is no {file}; expected the folder of {self.title}'s annotation files, with {name}"
            )
        return file


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CaptionsError(f"{file} cannot be read: {error}") from error
