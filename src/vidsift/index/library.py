"""What lies in an index, for lists and look-ups: videos, their segments and paths, and what failed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from vidsift.errors import IndexFolderError
from vidsift.files.paths import under
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.types import Span

__all__ = ["Library", "Video"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_FACTS = ["segment_id", "video_id", "start_seconds", "end_seconds", "duration_seconds"]
_MORE_FACTS = ["width_px", "height_px", "codec", "fps"]


@dataclass(frozen=True, eq=False)
class Video:
    """One video of an index.

    Attributes:
        video_id: identity of its content.
        files: where it lies, ascending by path; at least one.
        duration_seconds, width_px, height_px, codec, fps: facts of the file.
        segments: ``{segment_id: span}``, ascending in time.
        tags: that people gave it.
    """

    video_id: str
    files: tuple[FileRecord, ...]
    duration_seconds: float
    width_px: int
    height_px: int
    codec: str
    fps: float | None
    segments: Mapping[str, Span]
    tags: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        """The first place where it lies."""
        return self.files[0].path

    @property
    def damage(self) -> str | None:
        """Why it gave less than it should have; None for a whole file."""
        return next((one.damage for one in self.files if one.damage is not None), None)


@dataclass(frozen=True, eq=False)
class Library:
    """What lies in an index at one version.

    Attributes:
        videos: by identity, in the order of their paths; only those that lie somewhere.
        files: every path with what was found there.
        roots: folders that were asked to be indexed.
        captions: of each video that has some.
    """

    videos: Mapping[str, Video] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    captions: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store) -> Library:
        """Read everything but the tokens."""
        files = store.read_files()
        places: dict[str, list[FileRecord]] = {}
        for path in sorted(files):
            video_id = files[path].video_id
            if video_id is not None:
                places.setdefault(video_id, []).append(files[path])
        table = store.facts(_FACTS + _MORE_FACTS)
        rows = table.sort_by([("video_id", "ascending"), ("start_seconds", "ascending")]).to_pylist()
        segments: dict[str, dict[str, Span]] = {}
        facts: dict[str, dict[str, Any]] = {}
        for row in rows:
            span = Span(row["start_seconds"], row["end_seconds"])
            segments.setdefault(row["video_id"], {})[row["segment_id"]] = span
            facts[row["video_id"]] = row
        tags, captions = _notes(store.read_tags), _notes(store.read_captions)
        videos = {
            video_id: _video(video_id, records, facts[video_id], segments[video_id], tags)
            for video_id, records in places.items()
            if video_id in facts
        }
        return cls(
            videos,
            files,
            tuple(one.path for one in store.indexed_folders()),
            captions,
        )

    @cached_property
    def owners(self) -> Mapping[str, Video]:
        """The video of each segment."""
        return {segment: video for video in self.videos.values() for segment in video.segments}

    @property
    def failures(self) -> list[FileRecord]:
        """Files that cannot be read, ascending by path."""
        return [self.files[path] for path in sorted(self.files) if self.files[path].failed]

    @property
    def partial(self) -> list[FileRecord]:
        """Files that gave less than they should have, ascending by path."""
        return [self.files[path] for path in sorted(self.files) if self.files[path].damage is not None]

    @cached_property
    def folders(self) -> Mapping[str, tuple[int, int]]:
        """Folders that were indexed, outermost -> how many files can be read there, and how many cannot."""
        places = outermost(self.roots)
        loose = (path for path in self.files if not any(under(path, one) for one in places))
        places = outermost([*places, *(os.path.dirname(path) for path in loose)])  # noqa: PTH120
        counts = {place: [0, 0] for place in places}
        for path, record in self.files.items():
            place = next(one for one in counts if under(path, one))
            if not record.single_picture:
                counts[place][record.failed] += 1
        return {place: (read, failed) for place, (read, failed) in counts.items()}


def outermost(folders: Iterable[str]) -> list[str]:
    """The folders that lie in none of the others, ascending.

    Example:
        >>> outermost(["/v/a", "/v/a/b", "/w", "/v/ab"])
        ['/v/a', '/v/ab', '/w']
    """
    found: list[str] = []
    for folder in sorted(set(folders), key=lambda one: (len(one), one)):
        if not any(under(folder, one) for one in found):
            found.append(folder)
    return sorted(found)


def _notes(read: Callable[[], dict[str, T]]) -> dict[str, T]:
    """Read tags or captions; where they are damaged, the videos are shown without them."""
    try:
        return read()
    except IndexFolderError as damage:
        _LOG.warning("%s", damage)
        return {}


def _video(
    video_id: str,
    records: list[FileRecord],
    facts: Mapping[str, Any],
    segments: Mapping[str, Span],
    tags: Mapping[str, set[str]],
) -> Video:
    return Video(
        video_id=video_id,
        files=tuple(records),
        duration_seconds=facts["duration_seconds"],
        **{name: facts[name] for name in _MORE_FACTS},
        segments=segments,
        tags=frozenset(tags.get(video_id, ())),
    )
