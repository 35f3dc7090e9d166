"""Which segments may be found at all: place, duration, date and tags of their videos."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import QueryError
from vidsift.files.paths import absolute
from vidsift.files.paths import under as lies_under
from vidsift.index.schema import FileRecord
from vidsift.search.gallery import Gallery
from vidsift.search.ranking import GroupBy

__all__ = ["Conditions", "Filter", "Limits", "allowed_rows", "shown_paths", "split_conditions"]


class Conditions(TypedDict, total=False):
    """What may be asked of hits beside the question; see :meth:`vidsift.search.searcher.Index.search`."""

    under: str | Path | None
    min_duration_seconds: float | None
    max_duration_seconds: float | None
    modified_after: datetime | None
    modified_before: datetime | None
    tags: Sequence[str]
    min_score: float | None
    group_by: GroupBy
    skip: int
    candidates: int | None


@dataclass(frozen=True)
class Filter:
    """Which videos may be found.

    Attributes:
        under: those in this folder.
        min_duration_seconds: those at least this long.
        max_duration_seconds: those at most this long.
        modified_after: those of which a file was last written at this time or later; without a zone, local.
        modified_before: those of which a file was last written earlier.
        tags: those that carry all of these.
    """

    under: str | Path | None = None
    min_duration_seconds: float | None = None
    max_duration_seconds: float | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Which of the hits are given.

    Attributes:
        k: how many at most.
        skip: how many of the best are passed over.
        min_score: none that is worse.
        group_by: "video" keeps the best segment of each video.
        candidates: how many segments a method that cannot scan scores.

    Raises:
        QueryError: if a value makes no sense.
    """

    k: int = 10
    skip: int = 0
    min_score: float | None = None
    group_by: GroupBy = "segment"
    candidates: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        if self.k < 1:
            raise QueryError(f"k is {self.k}, expected at least 1")
        if self.skip < 0:
            raise QueryError(f"skip is {self.skip}, expected 0 or more")
        if self.min_score is not None and not np.isfinite(self.min_score):
            raise QueryError(f"min_score is {self.min_score}, expected a number, or None for no limit")
        if self.group_by not in ("segment", "video"):
            raise QueryError(f"group_by is {self.group_by!r}, expected 'segment' or 'video'")
        if self.candidates is not None and self.candidates < 1:
            raise QueryError(f"candidates is {self.candidates}, expected at least 1")


def split_conditions(k: int, conditions: Conditions) -> tuple[Limits, Filter]:
    """Sort what was asked into which hits are given and which videos may be found.

    Raises:
        QueryError: if a value makes no sense.
    """
    limits = Limits(
        k,
        conditions.get("skip", 0),
        conditions.get("min_score"),
        conditions.get("group_by", "segment"),
        conditions.get("candidates"),
    )
    tags = conditions.get("tags", ())
    if isinstance(tags, str):
        raise QueryError(f"tags is {tags!r}, expected a list of tags: [{tags!r}]")
    return limits, Filter(
        conditions.get("under"),
        conditions.get("min_duration_seconds"),
        conditions.get("max_duration_seconds"),
        conditions.get("modified_after"),
        conditions.get("modified_before"),
        tuple(tags),
    )


def shown_paths(
    wanted: Filter,
    paths: Mapping[str, Sequence[str]],
    records: Mapping[str, FileRecord],
    tags: Mapping[str, Collection[str]],
) -> dict[str, str]:
    """The path to show for each video that may be found: of its paths the first that fits.

    Args:
        wanted: what is asked of a video.
        paths: of each video.
        records: what is known of each path.
        tags: of each video that carries some.

    Raises:
        QueryError: if no video at all lies in the folder.
    """
    if wanted == Filter():
        return {video: own[0] for video, own in paths.items()}
    place = None if wanted.under is None else absolute(wanted.under)
    earliest, latest = _nanoseconds(wanted.modified_after), _nanoseconds(wanted.modified_before)
    found: dict[str, str] = {}
    lies_there = False
    for video, own in paths.items():
        inside = [path for path in own if place is None or lies_under(path, place)]
        lies_there = lies_there or bool(inside)
        if not set(wanted.tags) <= set(tags.get(video, ())):
            continue
        fitting = (path for path in inside if _between(earliest, records[path].modified_ns, latest))
        path = next(fitting, None)
        if path is not None:
            found[video] = path
    if place is not None and not lies_there:
        raise QueryError(f"no video of the index lies under {place}; see what is indexed with: vidsift info")
    return found


def allowed_rows(gallery: Gallery, wanted: Filter, videos: Collection[str]) -> NDArray[np.bool_]:
    """Which segments may be found, bool ``(V,)``.

    Args:
        gallery: what is searched.
        wanted: what is asked of a video.
        videos: those that :func:`shown_paths` let through.
    """
    allowed = np.fromiter((one in videos for one in gallery.video_ids), np.bool_, len(gallery))
    if wanted.min_duration_seconds is not None:
        allowed &= gallery.durations >= wanted.min_duration_seconds
    if wanted.max_duration_seconds is not None:
        allowed &= gallery.durations <= wanted.max_duration_seconds
    return allowed


def _nanoseconds(when: datetime | None) -> int | None:
    return None if when is None else round(when.timestamp() * 1e9)


def _between(earliest_ns: int | None, written_ns: int, latest_ns: int | None) -> bool:
    return (earliest_ns is None or written_ns >= earliest_ns) and (
        latest_ns is None or written_ns < latest_ns
    )
