"""A folder of videos with a captions file, read strictly.

``captions.jsonl`` holds one JSON object a line:

    {"video": "clips/one.mp4", "captions": ["a dog runs", "the dog is running"], "split": "test"}

In place of it there may be ``captions.json`` (a list of such objects), ``captions.csv`` or
``captions.parquet`` (a row each, see :mod:`vidsift.data.caption_rows`), or a file of one of these kinds that
lies elsewhere.

``video`` is a path inside the folder, ``captions`` a list of sentences. In place of it, ``caption`` is one
sentence: then several rows about a video are one video. Optional: ``start`` and ``end`` (seconds of the part
that is meant; a file may have several), ``moments`` (a list of ``caption``, ``start`` and ``end``: sentences
with their seconds in the file), ``grounding`` (which word is true when and where, see
:mod:`vidsift.data.grounding`), ``id``, ``tag`` (kind of question, for a breakdown), ``group`` (videos that
are hard negatives of each other), ``split``, ``unseen`` (what training never showed) and ``scene`` (ignored).

Which splits are test splits, ``dataset.json`` beside it may say (:func:`read_test_splits`):

    {"test_splits": ["1k-A", "val_1"]}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from vidsift.data.caption_rows import CAPTIONS_FILES, caption_rows, captions_file_in
from vidsift.data.entries import (
    Entry,
    Moment,
    checked_captions,
    is_inside,
    of_split,
    why_absent,
    with_captions_of,
)
from vidsift.data.grounding import parse_grounding
from vidsift.data.source import DataSource, StageSection, expanded
from vidsift.data.video_files import VideoFiles
from vidsift.errors import CaptionsError
from vidsift.shapes.library import split_of_library

__all__ = ["CAPTIONS_FILE", "DATASET_FILE", "CaptionedFolder", "read_folder", "read_test_splits"]

CAPTIONS_FILE = CAPTIONS_FILES[0]
DATASET_FILE = "dataset.json"
_KEYS = (
    "video",
    "captions",
    "caption",
    "start",
    "end",
    "moments",
    "grounding",
    "id",
    "tag",
    "group",
    "split",
    "unseen",
    "scene",
)
_TEST_WORDS = frozenset({"test", "tests", "testing", "testset"})
# The words of "test_1", "msrvtt-test" and "MyTest"; "latest" is one.
_WORDS = re.compile("[A-Z]?[a-z]+|[A-Z]+")


class _FolderStage(StageSection):
    """A stage; ``grouped`` and ``tags``, which version 0.1 wrote for every source, say nothing here."""

    @model_validator(mode="before")
    @classmethod
    def _without_options_of_scenes(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if key not in {"grouped", "tags"}}
        return values


class CaptionedFolder(VideoFiles):
    """A folder of videos with ``captions.jsonl``.

    Attributes:
        path: the folder, absolute or relative to the working directory.
        annotations: the file of captions, or the folder that holds it, where it is another one than the one
            in the folder of videos.
        split: which videos to train on, where the captions name splits.
    """

    title: ClassVar = "a folder of videos"
    stage: ClassVar = _FolderStage
    listed_in: ClassVar = CAPTIONS_FILE
    test_split_remedy: ClassVar = (
        f"If it is no test split, say which are, in {DATASET_FILE} beside the captions: "
        '{"test_splits": ["name of a split"]}'
    )

    source: Literal["folder"]
    path: str
    annotations: str | None = None
    split: Literal["train"] = "train"

    @classmethod
    def from_files(cls, source: str, videos: str, annotations: str | None) -> DataSource:
        """See :class:`~vidsift.data.source.DataSource`."""
        return cls.model_validate({"source": source, "path": videos, "annotations": annotations})

    @classmethod
    def from_annotations(cls, source: str, annotations: str) -> DataSource:
        """See :class:`~vidsift.data.source.DataSource`."""
        place = expanded(annotations)
        if place.is_dir():
            return cls.from_files(source, annotations, None)
        return cls.from_files(source, str(place.parent), annotations)

    @property
    def where(self) -> str:
        """See :class:`~vidsift.data.source.DataSource`."""
        return self.path if self.annotations is None else self.annotations

    def test_splits(self) -> tuple[str, ...]:
        """See :func:`read_test_splits`."""
        captions = self._captions_file()
        folder = expanded(self.path) if captions is None else captions.parent
        return tuple(sorted(read_test_splits(folder, self._read())))

    def entries(self, split: str | None) -> list[Entry]:
        """See :class:`~vidsift.data.source.DataSource`."""
        return of_split(self._read(), split, self.where)

    def split_names(self) -> list[str]:
        """See :class:`~vidsift.data.source.DataSource`."""
        return list(dict.fromkeys(entry.split for entry in self._read()))

    def training_files(self) -> list[Entry]:
        """Return the videos of the training split; all of them where the captions name no splits."""
        entries = self._read()
        names_splits = any(entry.split for entry in entries)
        return of_split(entries, self.split if names_splits else None, self.where)

    def identity(self) -> dict[str, Any]:
        """See :class:`~vidsift.data.source.DataSource`."""
        values = super().identity()  # of version 0.1, which knew no annotations elsewhere
        return {name: value for name, value in values.items() if (name, value) != ("annotations", None)}

    def _read(self) -> list[Entry]:
        return read_folder(expanded(self.path), captions_file=self._captions_file())

    def _captions_file(self) -> Path | None:
        if self.annotations is None:
            return None
        place = expanded(self.annotations)
        return captions_file_in(place) if place.is_dir() else place


def read_folder(
    folder: str | Path,
    on_problem: Callable[[str], None] | None = None,
    *,
    captions_file: str | Path | None = None,
) -> list[Entry]:
    """Read the captions of a folder of videos, in the order of the lines; the videos are not opened.

    Args:
        folder: of the videos.
        on_problem: called with what is wrong with a line, which is then left out; also where its video is
            not there. None raises at the first, and takes lines whose video is not there
            (:func:`~vidsift.data.entries.absent_videos`): who makes numbers decides what they count.
        captions_file: where it lies elsewhere; the videos are still relative to ``folder``.

    Raises:
        CaptionsError: there is no folder, no captions, a line is no JSON, a key is unknown, missing or of
            the wrong kind, a video lies outside the folder or is named twice.
    """
    root = Path(folder)
    if not root.is_dir():
        raise CaptionsError(f"{root} is not a folder; give a folder of videos with {CAPTIONS_FILE}")
    file = captions_file_in(root) if captions_file is None else Path(captions_file)
    try:
        default_split = split_of_library(root)
    except ValueError as error:
        raise CaptionsError(str(error)) from error
    entries: dict[str, Entry] = {}
    places: dict[str, str] = {}
    for place, row in _rows(root, file):
        try:
            if isinstance(row, CaptionsError):
                raise row
            entry = _parse(row, root, default_split, place, has_file=on_problem is not None)
            # Names hold the seconds of a part: each part of a file has a line.
            if entry.name in entries:
                entry = _joined(entries[entry.name], entry, row, place, places[entry.name])
        except CaptionsError as problem:
            if on_problem is None:
                raise
            on_problem(str(problem))
            continue
        places.setdefault(entry.name, place)
        entries[entry.name] = entry
    if not entries and on_problem is None:
        raise CaptionsError(f"{file} is empty; write one line a video")
    return list(entries.values())


def _rows(root: Path, file: Path) -> Iterator[tuple[str, Mapping[str, Any] | CaptionsError]]:
    try:
        yield from caption_rows(file)
    except FileNotFoundError as error:
        absent = f"{root} has no {file.name}" if file.parent == root else f"there is no {file}"
        raise CaptionsError(
            f'{absent}; write one line a video: {{"video": "name.mp4", "captions": ["what it shows"]}}'
        ) from error


def _joined(first: Entry, entry: Entry, row: Mapping[str, Any], place: str, first_place: str) -> Entry:
    """One entry of two rows with a caption each, which have to agree in all else."""
    where = first_place.rpartition(", ")[2]
    if "captions" in row:
        raise CaptionsError(
            f"{place}: {Path(entry.name).name} is already on {where}; "
            "put all captions of a video, or of a part of one, on one line"
        )
    joined = with_captions_of(first, entry)
    of_video = replace(entry, captions=joined.captions, moments=joined.moments, grounding=joined.grounding)
    if joined != of_video:
        raise CaptionsError(
            f"{place}: {Path(entry.name).name} is already on {where} with another id, tag, group, split or "
            "unseen; they are of the video and have to be the same in all its rows"
        )
    return joined


def read_test_splits(folder: str | Path, entries: Iterable[Entry]) -> frozenset[str]:
    """Return which splits of a folder are test splits: nothing is trained on them, nothing chosen by them.

    The folder says so in ``dataset.json``: ``{"test_splits": ["1k-A"]}``. Where it does not, a split is one
    that has the word test in its name: "test_1", "msrvtt-test", "testing", but not "latest". A split of the
    very name "test" always is.

    Args:
        folder: of the captions.
        entries: what :func:`read_folder` gave of them.

    Raises:
        CaptionsError: if ``dataset.json`` cannot be read, holds something else, or names a split that no
            line has.
    """
    present = dict.fromkeys(entry.split for entry in entries)
    declared = _declared_test_splits(Path(folder) / DATASET_FILE, [name for name in present if name])
    by_name = (name for name in present if declared is None and _TEST_WORDS & _words(name))
    # Not even dataset.json can say that "test" is none.
    always = (name for name in present if name.casefold() == "test")
    return frozenset((*(declared or ()), *by_name, *always))


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name)}


def _declared_test_splits(file: Path, present: Sequence[str]) -> list[str] | None:
    """The names in a ``dataset.json``; None where there is no such file."""
    expected = 'expected {"test_splits": ["name of a split"]}'
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CaptionsError(f"{file} cannot be read: {error}; {expected}") from error
    if not isinstance(values, dict) or list(values) != ["test_splits"]:
        keys = ", ".join(map(repr, values)) if isinstance(values, dict) else type(values).__name__
        raise CaptionsError(f"{file} holds {keys or 'nothing'}; {expected}")
    names = values["test_splits"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CaptionsError(f"{file}: test_splits is {names!r}; {expected}")
    unknown = [name for name in names if name not in present]
    if unknown:
        named = ", ".join(map(repr, present)) or "none"
        raise CaptionsError(
            f"{file}: {CAPTIONS_FILE} has no video of the split {unknown[0]!r}; splits named there: {named}"
        )
    return names


def _parse(row: Mapping[str, Any], root: Path, default_split: str, place: str, *, has_file: bool) -> Entry:
    values = _checked_keys(row, place)
    video, captions = values.get("video"), values.get("captions")
    if "caption" in values:
        captions = [values["caption"]]
    if not isinstance(video, str) or not video:
        raise CaptionsError(f"{place}: video is {video!r}, expected a path inside the folder")
    if not is_inside(video):
        raise CaptionsError(f"{place}: video {video!r} lies outside the folder; give a path inside it")
    if has_file and why_absent(root / video):
        raise CaptionsError(f"{place}: there is no file {root / video}")
    sentences = checked_captions(captions, place)
    unseen = values.get("unseen")
    try:
        return Entry(
            root / video,
            sentences,
            tag=_text(values, "tag", place),
            group=_text(values, "group", place),
            split=_text(values, "split", place) or default_split,
            unseen=None if unseen is None else bool(unseen),
            id=_text(values, "id", place),
            start_seconds=_seconds(values, "start", 0.0, place),
            end_seconds=_seconds(values, "end", math.inf, place),
            moments=_moments(values.get("moments", []), place),
            grounding=parse_grounding(values["grounding"], sentences, place) if "grounding" in values else (),
        )
    # A ValueError as well, which names its line already.
    except CaptionsError:
        raise
    except ValueError as error:
        raise CaptionsError(f"{place}: {error}") from error


def _checked_keys(row: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """A row whose keys are all known."""
    unknown = [key for key in row if key not in _KEYS]
    if unknown:
        raise CaptionsError(f"{place}: unknown key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    if "caption" in row and "captions" in row:
        raise CaptionsError(f"{place}: has caption and captions; give captions, a list, or one caption")
    return row


def _moments(values: object, place: str) -> tuple[Moment, ...]:
    """Read the moments of a line; the entry refuses those that are none."""
    if not isinstance(values, list):
        raise CaptionsError(f"{place}: moments is {values!r}, expected a list")
    moments = []
    for value in values:
        if not isinstance(value, dict) or set(value) != {"caption", "start", "end"}:
            raise CaptionsError(
                f"{place}: a moment is {value!r}, expected an object with caption, start and end"
            )
        (caption,) = checked_captions([value["caption"]], place)
        start, end = (_seconds(value, key, 0.0, place) for key in ("start", "end"))
        moments.append(Moment(caption, start, end))
    return tuple(moments)


def _seconds(values: Mapping[str, Any], key: str, default: float, place: str) -> float:
    value = values.get(key, default)
    # True is an int in Python, and no number of seconds.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CaptionsError(f"{place}: {key} is {value!r}, expected a number of seconds")
    try:
        seconds = float(value)
    except OverflowError as error:  # JSON knows whole numbers of any length
        raise CaptionsError(f"{place}: {key} is larger than any number of seconds") from error
    if math.isnan(seconds):
        raise CaptionsError(f"{place}: {key} is {value!r}, expected a number of seconds")
    return seconds


def _text(values: Mapping[str, Any], key: str, place: str) -> str:
    value = values.get(key, "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise CaptionsError(f"{place}: {key} is {value!r}, expected a name or a whole number")
    return str(value)
