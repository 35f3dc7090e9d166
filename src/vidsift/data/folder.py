"""A folder of videos with ``captions.jsonl``: one JSON object a line, read strictly.

    {"video": "clips/one.mp4", "captions": ["a dog runs", "the dog is running"], "split": "test"}

``video`` is a path inside the folder. Optional: ``tag`` (kind of question, for a breakdown), ``group``
(videos that are hard negatives of each other), ``split``, ``unseen`` (what training never showed) and
``scene`` (ignored).

Which splits are test splits, ``dataset.json`` beside it may say (:func:`read_test_splits`):

    {"test_splits": ["1k-A", "val_1"]}
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vidsift.errors import CaptionsError
from vidsift.shapes.library import split_of_library

__all__ = [
    "CAPTIONS_FILE",
    "DATASET_FILE",
    "Entry",
    "absent_videos",
    "captions_of",
    "of_split",
    "read_folder",
    "read_test_splits",
]

CAPTIONS_FILE = "captions.jsonl"
DATASET_FILE = "dataset.json"
_KEYS = ("video", "captions", "tag", "group", "split", "unseen", "scene")
_TEST_WORDS = frozenset({"test", "tests", "testing", "testset"})
_WORDS = re.compile("[A-Z]?[a-z]+|[A-Z]+")


@dataclass(frozen=True)
class Entry:
    """One video and what is said of it.

    Attributes:
        path: the file.
        captions: at least one sentence.
        tag: kind of question, or "".
        group: name of the group of hard negatives, or "".
        split: "train", "val", "test", another name, or "".
        unseen: whether it shows what training never showed; None where nobody says.
    """

    path: Path
    captions: tuple[str, ...]
    tag: str = ""
    group: str = ""
    split: str = ""
    unseen: bool | None = None


def read_folder(folder: str | Path, on_problem: Callable[[str], None] | None = None) -> list[Entry]:
    """Read the captions of a folder of videos, in the order of the lines; the videos are not opened.

    Args:
        folder: of the videos.
        on_problem: told what is wrong with a line, which is then left out; also that its video is not there.
            None raises at the first, and takes lines whose video is not there (:func:`absent_videos`): who
            makes numbers decides what they count.

    Raises:
        CaptionsError: there is no folder, no captions, a line is no JSON, a key is unknown, missing or of
            the wrong kind, a video lies outside the folder or is named twice.
    """
    root = Path(folder)
    file = root / CAPTIONS_FILE
    if not root.is_dir():
        raise CaptionsError(f"{root} is not a folder; give a folder of videos with {CAPTIONS_FILE}")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise CaptionsError(
            f"{root} has no {CAPTIONS_FILE}; write one line a video: "
            '{"video": "name.mp4", "captions": ["what it shows"]}'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CaptionsError(f"{file} cannot be read: {error}") from error
    try:
        default = split_of_library(root)
    except ValueError as error:
        raise CaptionsError(str(error)) from error
    entries: list[Entry] = []
    seen: dict[Path, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            entry = _parse(line, root, default, place, has_file=on_problem is not None)
            if entry.path in seen:
                raise CaptionsError(
                    f"{place}: {entry.path.name} is already on line {seen[entry.path]}; "
                    "put all captions of a video on one line"
                )
        except CaptionsError as problem:
            if on_problem is None:
                raise
            on_problem(str(problem))
            continue
        seen[entry.path] = number
        entries.append(entry)
    if not entries and on_problem is None:
        raise CaptionsError(f"{file} is empty; write one line a video")
    return entries


def of_split(entries: Sequence[Entry], split: str | None, where: str | Path) -> list[Entry]:
    """Keep the entries of a split; None keeps all, where all are of one split.

    Raises:
        CaptionsError: no entry is of the split; or none was named and there are several.
    """
    present = list(dict.fromkeys(entry.split for entry in entries))
    names = ", ".join(repr(name) for name in present if name) or "none"
    if split is None:
        if len(present) > 1:
            raise CaptionsError(f"{where} holds several splits ({names}); name one with --split")
        return list(entries)
    kept = [entry for entry in entries if entry.split == split]
    if not kept:
        raise CaptionsError(f"{where} has no video of the split {split!r}; splits named there: {names}")
    return kept


def absent_videos(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """Return path and reason of the videos that are named and not there; none is opened."""
    looked = ((str(entry.path), _absence(entry.path)) for entry in entries)
    return [(path, reason) for path, reason in looked if reason]


def _absence(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no file can have this name
        return "there is no such file"
    except OSError as error:
        return f"cannot be reached: {error.strerror or error}"
    if stat.S_ISDIR(mode):
        return "is a folder, expected a video file"
    return "" if stat.S_ISREG(mode) else "is not a regular file, expected a video file"


def read_test_splits(folder: str | Path, entries: Iterable[Entry]) -> frozenset[str]:
    """Return which splits of a folder are test splits: nothing is trained on them, nothing chosen by them.

    The folder says so in ``dataset.json``: ``{"test_splits": ["1k-A"]}``. Where it does not, a split is one
    that has the word test in its name: "test_1", "msrvtt-test", "testing", but not "latest". A split of the
    very name "test" always is.

    Args:
        folder: of the videos.
        entries: what :func:`read_folder` gave of it.

    Raises:
        CaptionsError: if ``dataset.json`` cannot be read, holds something else, or names a split that no
            line has.
    """
    present = dict.fromkeys(entry.split for entry in entries)
    declared = _declared_test_splits(Path(folder) / DATASET_FILE, [name for name in present if name])
    by_name = (name for name in present if declared is None and _TEST_WORDS & _words(name))
    always = (name for name in present if name.casefold() == "test")
    return frozenset((*(declared or ()), *by_name, *always))


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name)}


def _declared_test_splits(file: Path, present: Sequence[str]) -> list[str] | None:
    """The names in a ``dataset.json``; None where there is no such file."""
    expected = 'expected {"test_splits": ["name of a split"]}'
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CaptionsError(f"{file} cannot be read: {error}; {expected}") from error
    if not isinstance(values, dict) or list(values) != ["test_splits"]:
        found = ", ".join(map(repr, values)) if isinstance(values, dict) else type(values).__name__
        raise CaptionsError(f"{file} holds {found or 'nothing'}; {expected}")
    names = values["test_splits"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CaptionsError(f"{file}: test_splits is {names!r}; {expected}")
    unknown = [name for name in names if name not in present]
    if unknown:
        there = ", ".join(map(repr, present)) or "none"
        raise CaptionsError(
            f"{file}: {CAPTIONS_FILE} has no video of the split {unknown[0]!r}; splits named there: {there}"
        )
    return names


def _parse(line: str, root: Path, default_split: str, place: str, *, has_file: bool) -> Entry:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise CaptionsError(f"{place}: no JSON: {error}") from error
    if not isinstance(values, dict):
        raise CaptionsError(
            f"{place}: holds {type(values).__name__}, expected an object with video and captions"
        )
    unknown = [key for key in values if key not in _KEYS]
    if unknown:
        raise CaptionsError(f"{place}: unknown key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    video, captions = values.get("video"), values.get("captions")
    if not isinstance(video, str) or not video:
        raise CaptionsError(f"{place}: video is {video!r}, expected a path inside the folder")
    inside = PurePosixPath(video)
    if inside.is_absolute() or ".." in inside.parts:
        raise CaptionsError(f"{place}: video {video!r} lies outside the folder; give a path inside it")
    if has_file and _absence(root / inside):
        raise CaptionsError(f"{place}: there is no file {root / inside}")
    if not isinstance(captions, list) or not captions:
        raise CaptionsError(f"{place}: captions is {captions!r}, expected a list with at least one sentence")
    for caption in captions:
        if not isinstance(caption, str) or not caption.strip():
            raise CaptionsError(f"{place}: caption {caption!r}, expected a sentence")
    unseen = values.get("unseen")
    return Entry(
        root / inside,
        tuple(captions),
        tag=_text(values, "tag", place),
        group=_text(values, "group", place),
        split=_text(values, "split", place) or default_split,
        unseen=None if unseen is None else bool(unseen),
    )


def _text(values: Mapping[str, Any], key: str, place: str) -> str:
    value = values.get(key, "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise CaptionsError(f"{place}: {key} is {value!r}, expected a name or a whole number")
    return str(value)


def captions_of(entries: Iterable[Entry]) -> list[str]:
    """Return every caption, video by video."""
    return [caption for entry in entries for caption in entry.captions]
