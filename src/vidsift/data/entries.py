"""What annotations say of one video, or of a part of one, and which of a data set's videos are there."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from vidsift.data.grounding import GroundedWord
from vidsift.errors import CaptionsError
from vidsift.types import Span

__all__ = [
    "Entry",
    "Moment",
    "absent_videos",
    "captions_of",
    "checked_captions",
    "is_inside",
    "joined_entries",
    "of_split",
    "parsed_json",
    "why_absent",
    "with_captions_of",
]


class Moment(NamedTuple):
    """A sentence and when what it says is seen.

    Attributes:
        caption: the sentence; it need not be one of the entry's captions, as where those are paragraphs.
        start_seconds: where it begins in the file, whatever part of the file the entry is.
        end_seconds: where it ends in the file.
    """

    caption: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Entry:
    """One video, or a part of one, and what is said of it.

    Attributes:
        path: the file; several entries may be parts of one.
        captions: at least one sentence.
        tag: kind of question, or "".
        group: name of the group of hard negatives, or "".
        split: "train", "val", "test", another name, or "".
        unseen: whether it shows what training never showed; None where nobody says.
        id: what the data set calls it, or "".
        start_seconds: where the part begins.
        end_seconds: where the part ends; infinity for the end of the video.
        moments: sentences with the seconds at which they hold, where the data set says; times in the file.
        grounding: which word of each caption is true when and where, a tuple for each caption; empty where
            nobody says of any.
    """

    path: Path
    captions: tuple[str, ...]
    tag: str = ""
    group: str = ""
    split: str = ""
    unseen: bool | None = None
    id: str = ""
    start_seconds: float = 0.0
    end_seconds: float = math.inf
    moments: tuple[Moment, ...] = ()
    grounding: tuple[tuple[GroundedWord, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a part that is none, a moment that is none, and grounding of other captions."""
        # NaN is refused too: no comparison with it is true.
        if not 0 <= self.start_seconds < self.end_seconds or math.isinf(self.start_seconds):
            raise ValueError(
                f"{self.path}: a part from {self.start_seconds} to {self.end_seconds} s; expected a start of "
                "at least 0 and an end after it"
            )
        for moment in self.moments:
            if not 0 <= moment.start_seconds < moment.end_seconds < math.inf:
                raise ValueError(
                    f"{self.path}: the moment of {moment.caption!r} is from {moment.start_seconds} to "
                    f"{moment.end_seconds} s; expected a start of at least 0 and an end after it"
                )
        if self.grounding and len(self.grounding) != len(self.captions):
            raise ValueError(
                f"{self.path}: grounding of {len(self.grounding)} captions, expected one for each of its "
                f"{len(self.captions)}"
            )

    @property
    def is_part(self) -> bool:
        """Whether it is less than the whole file."""
        return self.start_seconds > 0 or self.end_seconds < math.inf

    @property
    def name(self) -> str:
        """The path, with the seconds of a part: what reports and messages call it."""
        if not self.is_part:
            return str(self.path)
        end = "the end" if math.isinf(self.end_seconds) else f"{self.end_seconds:g} s"
        return f"{self.path} ({self.start_seconds:g} s to {end})"

    def span(self, duration_seconds: float) -> Span:
        """Return the stretch of the file that is meant.

        Args:
            duration_seconds: of the file; a part that ends later ends there.
        """
        return Span(self.start_seconds, min(self.end_seconds, duration_seconds))


def parsed_json(text: str, place: str) -> Any:
    """Parse JSON that somebody else wrote.

    Raises:
        CaptionsError: it is none; ``place`` is where it stands, for the message.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise CaptionsError(f"{place}: no JSON: {error}") from error
    except RecursionError as error:  # thousands of brackets
        raise CaptionsError(f"{place}: no JSON that can be read: it is nested too deeply") from error


def checked_captions(captions: object, place: str) -> tuple[str, ...]:
    """Return captions that are a list of sentences.

    Raises:
        CaptionsError: they are not; ``place`` is where they stand, for the message.
    """
    # A string would give its letters, a mapping its keys.
    if isinstance(captions, str | Mapping) or not isinstance(captions, Iterable):
        raise CaptionsError(f"{place}: captions is {captions!r}, expected a list with at least one sentence")
    sentences = tuple(captions)
    if not sentences:
        raise CaptionsError(f"{place}: captions is {captions!r}, expected a list with at least one sentence")
    for caption in sentences:
        if not isinstance(caption, str) or not caption.strip():
            raise CaptionsError(f"{place}: caption {caption!r}, expected a sentence")
        try:
            caption.encode("utf-8")
        except (
            UnicodeEncodeError
        ) as error:  # half of a pair, as JSON may spell: no file and no table takes it
            raise CaptionsError(
                f"{place}: caption {caption!r} holds half a character; write it anew"
            ) from error
    return sentences


def joined_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Make one entry of those that mean the same video, or part: it is one video with all their captions.

    What is listed twice with the same captions counts once.
    """
    by_name: dict[str, Entry] = {}
    for entry in entries:
        first = by_name.setdefault(entry.name, entry)
        if first is not entry and (first.captions, first.moments) != (entry.captions, entry.moments):
            by_name[entry.name] = with_captions_of(first, entry)
    return list(by_name.values())


def with_captions_of(entry: Entry, other: Entry) -> Entry:
    """Return an entry with the captions of another one behind its own, their moments and their grounding."""
    grounding: tuple[tuple[GroundedWord, ...], ...] = ()
    if entry.grounding or other.grounding:
        # A caption of which nobody says anything has no grounded words.
        grounding = tuple(
            words for part in (entry, other) for words in part.grounding or ((),) * len(part.captions)
        )
    return replace(
        entry,
        captions=entry.captions + other.captions,
        moments=tuple(dict.fromkeys(entry.moments + other.moments)),
        grounding=grounding,
    )


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
    chosen = [entry for entry in entries if entry.split == split]
    if not chosen:
        raise CaptionsError(f"{where} has no video of the split {split!r}; splits named there: {names}")
    return chosen


def captions_of(entries: Iterable[Entry]) -> list[str]:
    """Return every caption, video by video."""
    return [caption for entry in entries for caption in entry.captions]


def absent_videos(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """Return name and reason of the videos that are named and not there; none is opened."""
    reasons: dict[Path, str] = {}  # a file of many parts is looked at once
    absent = []
    for entry in entries:
        if entry.path not in reasons:
            reasons[entry.path] = why_absent(entry.path)
        if reasons[entry.path]:
            absent.append((entry.name, reasons[entry.path]))
    return absent


def is_inside(name: str) -> bool:
    """Whether a path in annotations, written with slashes, stays inside the folder that it is relative to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def why_absent(path: Path) -> str:
    """Say why there is no file to read at a path; "" where there is one."""
    try:
        # stat() and not is_file(): the reason that the system gives is told.
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no file can have this name
        return "there is no such file"
    except OSError as error:
        return f"cannot be reached: {error.strerror or error}"
    if stat.S_ISDIR(mode):
        return "is a folder, expected a video file"
    return "" if stat.S_ISREG(mode) else "is not a regular file, expected a video file"
