"""What lies in an index, for lists and look-ups: videos, their segments and paths, and what failed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from vidsift.errors import IndexFolderError
from vidsift.files.paths import under
from vidsift.index.moment_collections import MomentCollections
from vidsift.index.saved_searches import SavedSearches
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.types import Span

__all__ = ["Library", "Video", "describe", "outermost", "records_by_video"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_FACTS = ("width_px", "height_px", "codec", "fps")


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
        return next((file.damage for file in self.files if file.damage is not None), None)


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
        """Read everything but the tokens; where tags or captions are damaged, videos stand without."""
        files = store.read_files()
        names = ["segment_id", "video_id", "start_seconds", "end_seconds", "duration_seconds", *_FACTS]
        rows = store.facts(names).sort_by([("video_id", "ascending"), ("start_seconds", "ascending")])
        segments: dict[str, dict[str, Span]] = {}
        facts: dict[str, dict[str, Any]] = {}
        for row in rows.to_pylist():
            span = Span(row["start_seconds"], row["end_seconds"])
            segments.setdefault(row["video_id"], {})[row["segment_id"]] = span
            # Facts of the file, the same in each row of its video.
            facts[row["video_id"]] = row
        tags = _readable(store.read_tags)
        videos = {
            video_id: Video(
                video_id=video_id,
                files=tuple(records),
                duration_seconds=facts[video_id]["duration_seconds"],
                **{name: facts[video_id][name] for name in _FACTS},
                segments=segments[video_id],
                tags=frozenset(tags.get(video_id, ())),
            )
            for video_id, records in records_by_video(files).items()
            if video_id in facts
        }
        roots = tuple(folder.path for folder in store.indexed_folders())
        captions = _readable(store.read_captions)
        return cls(videos, files, roots, captions)

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
        loose = (path for path in self.files if not any(under(path, place) for place in places))
        places = outermost([*places, *(os.path.dirname(path) for path in loose)])  # noqa: PTH120
        counts = {place: [0, 0] for place in places}
        for path, record in self.files.items():
            place = next(place for place in counts if under(path, place))
            if not record.single_picture:
                counts[place][record.failed] += 1
        return {place: (read, failed) for place, (read, failed) in counts.items()}


def describe(folder: str | Path) -> dict[str, Any]:
    """Facts of an index for people: model, sets, how much is in it, and its size.

    Raises:
        IndexFolderError: see :meth:`~vidsift.index.storage.Store.open`.
    """
    store = Store.open(folder)
    folders = store.read_folders()
    manifest, files = store.manifest, store.read_files().values()
    columns = store.facts(["video_id", "duration_seconds"])
    lengths = dict(zip(columns["video_id"].to_pylist(), columns["duration_seconds"].to_pylist(), strict=True))
    # By video: each of its segments states the whole length.
    hours = sum(lengths.values()) / 3600
    size = store.bytes_on_disk()
    return {
        "index": str(store.folder),
        "format": manifest.format,
        "model": manifest.model or manifest.model_name,
        "method": manifest.method,
        "fingerprint": manifest.fingerprint,
        "segment": manifest.segment,
        "token sets": {name: f"{layout.slots} x {layout.dim}" for name, layout in manifest.sets.items()},
        "folders": [folder.path for folder in folders],
        "removed from them": sorted({path for folder in folders for path in folder.removed}),
        "videos": len({file.video_id for file in files if file.video_id}),
        "segments": store.count(),
        "files": sum(file.reason is None for file in files),
        "failed": sum(file.failed for file in files),
        "tagged": _count(store.read_tags),
        "captioned": _count(store.read_captions),
        "saved searches": _count(SavedSearches(store.folder).read),
        "collections": _count(MomentCollections(store.folder).read),
        "hours of video": round(hours, 3),
        "bytes on disk": size,
        "bytes per hour of video": round(size / hours) if hours else None,
    }


def records_by_video(files: Mapping[str, FileRecord]) -> dict[str, list[FileRecord]]:
    """Where each video lies, ascending by path; videos in the order of their first paths."""
    videos: dict[str, list[FileRecord]] = {}
    for path in sorted(files):
        video_id = files[path].video_id
        if video_id is not None:
            videos.setdefault(video_id, []).append(files[path])
    return videos


def outermost(folders: Iterable[str]) -> list[str]:
    """The folders that lie in none of the others, ascending.

    Example:
        >>> outermost(["/v/a", "/v/a/b", "/w", "/v/ab"])
        ['/v/a', '/v/ab', '/w']
    """
    outer: list[str] = []
    for folder in sorted(set(folders), key=lambda path: (len(path), path)):
        if not any(under(folder, place) for place in outer):
            outer.append(folder)
    return sorted(outer)


def _readable(read: Callable[[], dict[str, T]]) -> dict[str, T]:
    """Read tags or captions; nothing where they are damaged, which the log says."""
    try:
        return read()
    except IndexFolderError as damage:
        _LOG.warning("%s", damage)
        return {}


def _count(read: Callable[[], Sized]) -> int | str:
    """How many there are, or that what holds them is damaged."""
    try:
        return len(read())
    except IndexFolderError:
        return "damaged; see vidsift index check"
