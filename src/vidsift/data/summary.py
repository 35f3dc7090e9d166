"""What a data set holds, split by split, and which splits share videos; no video is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from vidsift.data.entries import Entry
from vidsift.data.source import DataSource
from vidsift.errors import AnnotationsMissingError, CaptionsError

__all__ = ["DataSummary", "Overlap", "SplitSummary", "count_shared", "summarise"]


class Overlap(NamedTuple):
    """Two splits with the same videos in them.

    Attributes:
        first, second: names of the splits.
        videos: how many files they share, whatever parts of them.
        of_first, of_second: how many files each has.
    """

    first: str
    second: str
    videos: int
    of_first: int
    of_second: int


@dataclass(frozen=True)
class SplitSummary:
    """What a split holds.

    Attributes:
        split: its name; "" for entries that name none.
        test: whether it is a test split.
        videos: entries: videos, or parts of videos.
        files: files that these lie in.
        captions: sentences, or paragraphs.
        spans: sentences with their seconds in the video; where there are none, parts of videos.
    """

    split: str
    test: bool
    videos: int
    files: int
    captions: int
    spans: int


@dataclass(frozen=True)
class DataSummary:
    """What a data set holds.

    Attributes:
        splits: those that could be read.
        entries: their entries, by split.
        overlaps: pairs of splits that share videos.
        absent: what annotation files are not there, with the splits that need them.
        broken: what is wrong with annotation files that are there, with the splits that need them.
    """

    splits: tuple[SplitSummary, ...]
    entries: Mapping[str, Sequence[Entry]]
    overlaps: tuple[Overlap, ...]
    absent: Mapping[str, Sequence[str]]
    broken: Mapping[str, Sequence[str]]


def summarise(source: DataSource, splits: Iterable[str] | None = None) -> DataSummary:
    """Read the annotations of a data set.

    Args:
        source: the data set.
        splits: which splits; None for all.

    Raises:
        CaptionsError: there is no such split, or nothing that says which there are.
    """
    tests = source.test_splits()
    entries: dict[str, list[Entry]] = {}
    absent: dict[str, list[str]] = {}
    broken: dict[str, list[str]] = {}
    for split in source.split_names() if splits is None else splits:
        # One fault of a file that several splits need is one fault.
        try:
            entries[split] = source.entries(split)
        except AnnotationsMissingError as error:
            absent.setdefault(str(error), []).append(split)
        except CaptionsError as error:
            broken.setdefault(str(error), []).append(split)
    summaries = tuple(_summary(split, split in tests, held) for split, held in entries.items())
    return DataSummary(summaries, entries, tuple(_overlaps(entries)), absent, broken)


def count_shared(first: Iterable[Entry], second: Iterable[Entry]) -> int:
    """Return how many files two lists of entries share, whatever parts of them they mean."""
    return len(_files(first) & _files(second))


def _summary(split: str, test: bool, entries: Sequence[Entry]) -> SplitSummary:
    moments = sum(len(entry.moments) for entry in entries)
    return SplitSummary(
        split,
        test,
        len(entries),
        len(_files(entries)),
        sum(len(entry.captions) for entry in entries),
        moments or sum(entry.is_part for entry in entries),
    )


def _overlaps(entries: Mapping[str, Sequence[Entry]]) -> Iterable[Overlap]:
    files = {split: _files(held) for split, held in entries.items()}
    for first, second in combinations(files, 2):
        shared = len(files[first] & files[second])
        if shared:
            yield Overlap(first, second, shared, len(files[first]), len(files[second]))


def _files(entries: Iterable[Entry]) -> set[Path]:
    return {entry.path for entry in entries}
