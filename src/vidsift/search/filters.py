"""What a filter lets through: videos by place, name, date, length and tags, and a page of the ranked hits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import QueryError
from vidsift.files.paths import absolute, caseless, file_name
from vidsift.files.paths import under as lies_under
from vidsift.index.library import Library
from vidsift.index.schema import FileRecord
from vidsift.search.gallery import Gallery
from vidsift.types import Filter

__all__ = ["allowed_rows", "check_place", "page_of", "shown_paths", "shown_paths_in"]

T = TypeVar("T")


def check_place(filter: Filter, paths: Mapping[str, Sequence[str]]) -> None:
    """Refuse a folder in which no video of the index lies: it is most likely misspelt.

    Args:
        filter: names the folder.
        paths: of each video.

    Raises:
        QueryError: there is none.
    """
    if filter.under is None:
        return
    place = absolute(filter.under)
    if not any(lies_under(path, place) for paths_of_video in paths.values() for path in paths_of_video):
        raise QueryError(f"no video of the index lies under {place}; see what is indexed with: vidsift info")


def shown_paths(
    filter: Filter,
    paths: Mapping[str, Sequence[str]],
    records: Mapping[str, FileRecord],
    tags: Mapping[str, Collection[str]],
) -> dict[str, str]:
    """The path to show for each video that may be found: of its paths the first that fits.

    Place, name and date have to fit one and the same file; :func:`allowed_rows` sees to durations.

    Args:
        filter: what a video has to be like.
        paths: of each video.
        records: what is known of each path.
        tags: of each video that carries some.
    """
    if not filter.narrows:
        return {video: paths_of_video[0] for video, paths_of_video in paths.items()}
    place = None if filter.under is None else absolute(filter.under)
    name = None if filter.name is None else caseless(filter.name)
    earliest, latest = _nanoseconds(filter.modified_after), _nanoseconds(filter.modified_before)
    # A video is its content: it may lie at several paths, and what is shown is one that was asked for.
    shown: dict[str, str] = {}
    for video, paths_of_video in paths.items():
        if not set(filter.tags) <= set(tags.get(video, ())):
            continue
        for path in paths_of_video:
            inside = place is None or lies_under(path, place)
            called = name is None or name in caseless(file_name(path))
            if inside and called and _between(earliest, records[path].modified_ns, latest):
                shown[video] = path
                break
    return shown


def shown_paths_in(library: Library, filter: Filter) -> dict[str, str]:
    """The same for what lies in a library that was read whole."""
    videos = library.videos.values()
    paths = {video.video_id: [file.path for file in video.files] for video in videos}
    return shown_paths(filter, paths, library.files, {video.video_id: video.tags for video in videos})


def allowed_rows(gallery: Gallery, filter: Filter, videos: Collection[str]) -> NDArray[np.bool_]:
    """Which segments may be found, bool ``(V,)``.

    Args:
        gallery: what is searched.
        filter: what a video has to be like.
        videos: those that :func:`shown_paths` let through.
    """
    allowed = np.fromiter((video in videos for video in gallery.video_ids), np.bool_, len(gallery))
    if filter.min_duration_seconds is not None:
        allowed &= gallery.durations >= filter.min_duration_seconds
    if filter.max_duration_seconds is not None:
        allowed &= gallery.durations <= filter.max_duration_seconds
    return allowed


def page_of(ranked: Sequence[T], k: int, filter: Filter, score: Callable[[T], float]) -> list[T]:
    """The page that is asked for of what was ranked, without what scores too low.

    Args:
        ranked: best first.
        k: how many at most.
        filter: how many are left out before, and the least score.
        score: of one of them.
    """
    # The page is cut first: a least score shortens pages, and moves no hit to another.
    page = ranked[filter.skip : filter.skip + k]
    least = filter.min_score
    return [item for item in page if least is None or score(item) >= least]


def _nanoseconds(when: datetime | None) -> int | None:
    # A time without a zone is taken as local, as people write them.
    return None if when is None else round(when.timestamp() * 1e9)


def _between(earliest_ns: int | None, written_ns: int, latest_ns: int | None) -> bool:
    return (earliest_ns is None or written_ns >= earliest_ns) and (
        latest_ns is None or written_ns < latest_ns
    )
