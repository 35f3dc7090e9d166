"""Which videos are right for a caption besides its own: a file that a person gives.

Benchmarks count one video as right for each sentence, although others fit it as well: such false negatives
move recall by up to 25 points (Rodriguez et al., "Fighting FIRe with FIRE", arXiv 2210.05038). A line of a
positives file (JSON lines) names a caption and all further videos for which it holds:

    {"caption": "a man is cooking", "videos": ["video7020", "video9771"]}
    {"caption": "a man is cooking", "of": "video8000", "videos": ["video7030"]}

``caption`` is the sentence as the annotations have it and means every query with these words; ``of``, the
id of a video, means that video's query alone. ``videos`` are ids; a video without one is called by its path
inside the folder, or by its file's name. A caption's own video is always right and need not be named. A
caption that is not there, or a video that is not, is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsift.data.annotation_files import text_of
from vidsift.data.entries import Entry, parsed_json
from vidsift.errors import CaptionsError

__all__ = ["Positives", "read_positives"]

_KEYS = ("caption", "of", "videos")


@dataclass(frozen=True)
class Positives:
    """The right videos of every caption.

    Attributes:
        rows: for each caption, in the order of :func:`~vidsift.data.entries.captions_of`, the places of its
            right videos among the entries, ascending; its own is among them.
        file: where they were read.
    """

    rows: tuple[tuple[int, ...], ...]
    file: str

    @property
    def added(self) -> int:
        """How many pairs of caption and video are right besides each caption's own."""
        return sum(len(row) - 1 for row in self.rows)


def read_positives(path: str | Path, entries: Sequence[Entry]) -> Positives:
    """Read which further videos are right for captions.

    Args:
        path: the file.
        entries: the gallery, and the queries: every caption of every entry.

    Raises:
        CaptionsError: it cannot be read, or names a caption or a video that the entries do not have.
    """
    file = Path(path)
    query_video = [row for row, entry in enumerate(entries) for _ in entry.captions]
    right = [{row} for row in query_video]
    queries: dict[str, list[int]] = {}
    for query, caption in enumerate(caption for entry in entries for caption in entry.captions):
        queries.setdefault(caption, []).append(query)
    rows_of = _rows_by_name(entries)
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        values = _values(line, place)
        meant = queries.get(values["caption"], [])
        if not meant:
            raise CaptionsError(f"{place}: no video has the caption {values['caption']!r}")
        if "of" in values:
            of = _row(values["of"], rows_of, place)
            meant = [query for query in meant if query_video[query] == of]
            if not meant:
                raise CaptionsError(f"{place}: {values['of']!r} has no caption {values['caption']!r}")
        videos = {_row(video, rows_of, place) for video in values["videos"]}
        for query in meant:
            right[query] |= videos
    return Positives(tuple(tuple(sorted(videos)) for videos in right), str(file))


def _values(line: str, place: str) -> Mapping[str, Any]:
    values = parsed_json(line, place)
    expected = 'expected {"caption": "a sentence", "videos": ["id", ...]}'
    if not isinstance(values, dict):
        raise CaptionsError(f"{place}: holds {type(values).__name__}, {expected}")
    unknown = [key for key in values if key not in _KEYS]
    if unknown:
        raise CaptionsError(f"{place}: unknown key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    caption, videos = values.get("caption"), values.get("videos")
    if not isinstance(caption, str):
        raise CaptionsError(f"{place}: caption is {caption!r}, {expected}")
    if not isinstance(videos, list) or not videos:
        raise CaptionsError(f"{place}: videos is {videos!r}, {expected}")
    return values


def _rows_by_name(entries: Sequence[Entry]) -> dict[str, list[int]]:
    """Where the entries of each id stand; of those without one, by the end of their paths."""
    rows: dict[str, list[int]] = {}
    for row, entry in enumerate(entries):
        for name in dict.fromkeys(_names(entry)):
            rows.setdefault(name, []).append(row)
    return rows


def _names(entry: Entry) -> Iterable[str]:
    if entry.id:
        return [entry.id]
    parts = entry.path.parts
    ends = ["/".join(parts[first:]) for first in range(len(parts))]
    return [*ends, entry.path.stem]


def _row(name: object, rows_of: Mapping[str, Sequence[int]], place: str) -> int:
    rows = rows_of.get(name, ()) if isinstance(name, str) else ()
    if not rows:
        raise CaptionsError(f"{place}: no video is called {name!r}; expected the id of a video of the split")
    if len(rows) > 1:
        raise CaptionsError(f"{place}: {len(rows)} videos are called {name!r}; give them ids of their own")
    return rows[0]
