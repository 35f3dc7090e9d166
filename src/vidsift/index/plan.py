"""What a run has to do: the files that are there, against what the index knows of them.

A file that has not changed is left alone, but for three kinds: one that failed, where that is asked for; one
that an earlier version may have read with wrong times; and one with a single picture, which an earlier
version took for a video.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from vidsift.errors import SandboxError
from vidsift.files.paths import inside, path_key, path_keys
from vidsift.index.availability import Availability, drive_mounts, read_mounts
from vidsift.index.decode_worker import stamp
from vidsift.index.folders import IndexedFolder, merge_folders, with_removed_paths
from vidsift.index.manifest import READER
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.index.writing import explained_writing, write_json
from vidsift.video import find_videos
from vidsift.video.file_parts import starts_of_parts
from vidsift.video.find import VIDEO_EXTENSIONS, holds_video
from vidsift.video.timed import may_start_again
from vidsift.workers.process import ProcessLimits
from vidsift.workers.sandbox import Sandbox

__all__ = [
    "READER_VERSION",
    "KnownState",
    "Plan",
    "files_named_alone",
    "files_to_reread",
    "make_plan",
    "mark_reread",
    "named_beside_folders",
    "take_in_folders",
]

READER_VERSION = 2
"""Raised when files that are as they were are to be looked at once more.

2: one clock for files whose own starts again; the end of files that start late.
"""

_TWO_PICTURES = 1.5
"""What length times rate is below for one picture, and above for two."""

_LENGTHS_TELL = frozenset({".avi", ".divx", ".mkv", ".webm"})
"""Kinds of files whose parts, where several were joined, each state their length."""

_NEVER_START_AGAIN = VIDEO_EXTENSIONS - {
    *(".m2ts", ".m2v", ".mod", ".mpe", ".mpeg", ".mpg", ".mts", ".tod", ".ts", ".vob"),
}


@dataclass(frozen=True)
class KnownState:
    """What an index knows before a run.

    Attributes:
        records: of every path.
        folders: that it was ever asked to hold; files among them were named by themselves.
        mounts: where drives were mounted; None where nobody wrote it down.
        reread: paths that an earlier version may have read with wrong times.
        pictures: videos that may have a single picture, as earlier versions took photos in.
    """

    records: Mapping[str, FileRecord] = field(default_factory=dict)
    folders: Sequence[IndexedFolder] = ()
    mounts: Collection[str] | None = ()
    reread: Collection[str] = ()
    pictures: Collection[str] = ()


@dataclass
class Plan:
    """What a run has to do.

    Attributes:
        known: what the index knew before.
        folders: that are walked.
        to_read: files to look at, in order.
        unchanged: files that are as they were.
        failed_before: files that failed before and have not changed.
        rejected: paths that cannot be looked at or stored, with the reason.
        harmful: files that harmed the process that looked into them, to be written down as failed.
        gone: paths of the index under the given folders at which nothing lies any more; what cannot be
            reached now, such as on a drive that is not mounted, is none of them.
        gone_videos: contents of ``gone``; a new path with one of them is a moved file.
        mounts: where the drives are mounted on which the videos lie, or were when they were last there.
        availability: judges paths that the walk did not meet; knows which folders are out of reach.
        named: paths that were asked for by themselves.
        dropped: paths of the index at which lies what would not be taken into it today.
        passed_over: how many files hold no video though they might, by what they are.
    """

    known: KnownState
    folders: Sequence[IndexedFolder] = ()
    to_read: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed_before: list[FileRecord] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    harmful: list[FileRecord] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    gone_videos: list[str] = field(default_factory=list)
    mounts: set[str] = field(default_factory=set)
    availability: Availability = field(default_factory=lambda: Availability(()))
    named: set[str] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def take_in_folders(store: Store, folders: Sequence[IndexedFolder]) -> tuple[list[IndexedFolder], KnownState]:
    """Remember what is asked for from now on, and read what is known; while writing.

    Args:
        store: of the index.
        folders: that are asked for now.

    Returns:
        Those folders, with what was taken out of them and stays out; and what the index knows.
    """
    records, pictures = store.read_files(), single_pictures(store)
    before = store.read_folders()
    alone = named_beside_folders([*before, *folders], records, pictures)
    merged = merge_folders(before, folders, alone)
    store.write_folders(merged)
    known = KnownState(records, merged, read_mounts(store), files_to_reread(store, records), pictures)
    return with_removed_paths(folders, {path for folder in merged for path in folder.removed}), known


def make_plan(
    folders: Sequence[IndexedFolder], known: KnownState, *, retry: bool, limits: ProcessLimits | None = None
) -> Plan:
    """Compare what lies in folders with what an index knows.

    Args:
        folders: folders and files that exist. What the index has of files that their patterns leave out
            stays in it.
        known: what the index knows.
        retry: look again at files that failed and have not changed.
        limits: of the process that looks into files whose names do not say that they are videos.
    """
    plan = Plan(known, folders)
    records = {path_key(path): record for path, record in known.records.items()}
    named = files_named_alone([*folders, *known.folders], records)
    not_videos = _NotVideos()
    met: set[str] = set()
    unopened: set[str] = set()
    seen: set[str] = set()
    with _SandboxedProbe(records, ProcessLimits() if limits is None else limits) as probe:
        for folder in folders:
            for file in find_videos(
                [folder.path],
                include=folder.include,
                exclude=folder.exclude,
                left_out=folder.removed,
                look_inside=probe,
                seen=seen,
                on_passed_over=not_videos,
            ):
                path = str(file.path)
                record = records.get(path_key(path))
                # One file, however it is spelled this time.
                path = path if record is None else record.path
                (met if file.rejected is None else unopened).add(path)
                if path_key(path) in named:
                    plan.named.add(path)
                _sort_in(plan, path, file.rejected, probe.harmful.get(path), retry=retry)
    not_videos.add_to(plan, records, named)
    _judge_unmet(plan, met, unopened)
    return plan


def _sort_in(plan: Plan, path: str, rejected: str | None, harmful: FileRecord | None, *, retry: bool) -> None:
    """Put a file that the walk met where it belongs in the plan."""
    # First of all: what is no text can be written down nowhere, whatever else is wrong with it.
    if not _is_text(path):
        shown = os.fsencode(path).decode("utf-8", "replace")
        plan.rejected.append((shown, "its name is not valid text; rename it"))
    elif harmful is not None:
        plan.harmful.append(harmful)
    elif rejected is not None:
        plan.rejected.append((path, rejected))
    else:
        _sort_in_readable(plan, path, plan.known.records.get(path), retry=retry)


def _sort_in_readable(plan: Plan, path: str, record: FileRecord | None, *, retry: bool) -> None:
    try:
        same = record is not None and stamp(path) == (record.size_bytes, record.modified_ns)
    except OSError as error:
        plan.rejected.append((path, error.strerror or str(error)))
        return
    named = path in plan.named
    if record is None or not same or path in plan.known.reread or (retry and record.failed):
        plan.to_read.append(path)
    elif record.single_picture and not named:
        plan.passed_over["single picture"] += 1
    elif record.single_picture or (record.video_id in plan.known.pictures and not named):
        plan.to_read.append(path)
    elif record.failed:
        plan.failed_before.append(record)
    else:
        plan.unchanged.append(path)


def _judge_unmet(plan: Plan, met: Collection[str], unopened: Collection[str]) -> None:
    """Tell what is gone from what is out of reach, among known files that the walk did not meet."""
    roots = {folder.path for folder in plan.folders}
    plan.mounts = drive_mounts(met, plan.known.records, roots, plan.known.mounts)
    plan.availability = Availability(roots, unopened, plan.mounts)
    walked = path_keys(roots)
    for path, record in plan.known.records.items():
        if inside(path, walked) and path not in met and plan.availability.state(path) == "gone":
            plan.gone.append(path)
            if record.video_id is not None:
                plan.gone_videos.append(record.video_id)


class _NotVideos:
    """Gathers files that hold no video though they might, each once."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[str, str]] = {}

    def __call__(self, path: Path, kind: str) -> None:
        self._kinds[os.path.realpath(path)] = (path_key(str(path)), kind)

    def add_to(self, plan: Plan, records: Mapping[str, FileRecord], named: Collection[str]) -> None:
        """Add them to a plan, and drop what the index has of them, but for those named by themselves."""
        for key, kind in self._kinds.values():
            if key in named:
                continue
            plan.passed_over[kind] += 1
            if key in records:
                plan.dropped.append(records[key].path)


class _SandboxedProbe:
    """Looks into files that are not named like videos, in a limited process; known files are not opened."""

    def __init__(self, records: Mapping[str, FileRecord], limits: ProcessLimits) -> None:
        self._records = records
        self._sandbox = Sandbox(limits)
        self.harmful: dict[str, FileRecord] = {}

    def __enter__(self) -> _SandboxedProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    def __call__(self, path: Path) -> bool:
        record = self._records.get(path_key(str(path)))
        size, modified = stamp(str(path))
        if record is not None and (size, modified) == (record.size_bytes, record.modified_ns):
            # Looked into once and unchanged since: the index knows what the name does not say.
            return True
        try:
            return self._sandbox.run(holds_video, path)
        except SandboxError as error:
            spelled = str(path) if record is None else record.path
            self.harmful[spelled] = FileRecord(
                spelled, size, modified, reason=f"looking into it, the decoder {error}"
            )
            # The walk takes it for a reason why the file is rejected; the record says what to write down.
            raise


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# Single pictures: no videos where a folder is walked, read where somebody names them.


def single_pictures(store: Store) -> frozenset[str]:
    """Videos of an index that may have one picture, by length and rate."""
    table = store.facts(["video_id", "duration_seconds", "fps"])
    rates = np.asarray(table["fps"].to_numpy(), np.float64)
    pictures = table["duration_seconds"].to_numpy() * np.where(rates > 0, rates, 1.0)
    return frozenset(table["video_id"].filter(pa.array(pictures < _TWO_PICTURES)).to_pylist())


def files_named_alone(folders: Iterable[IndexedFolder], known: Container[str]) -> frozenset[str]:
    """Keys of those places that are files: each was asked for by itself.

    Args:
        folders: places, of which some may be away just now, as on a drive.
        known: keys of the files that the index knows.
    """
    keys = {path_key(folder.path): folder.path for folder in folders}
    return frozenset(key for key, path in keys.items() if key in known or os.path.isfile(path))  # noqa: PTH113


def named_beside_folders(
    folders: Iterable[IndexedFolder], records: Mapping[str, FileRecord], pictures: Iterable[str]
) -> frozenset[str]:
    """Keys of files that were asked for by themselves and that walking their folder does not give.

    Args:
        folders: what was ever asked for.
        records: what the index knows.
        pictures: see :func:`single_pictures`.
    """
    single = set(pictures)
    photos = {
        path_key(path)
        for path, record in records.items()
        if record.single_picture or record.video_id in single
    }
    return frozenset(
        key
        for key in files_named_alone(folders, path_keys(records))
        if os.path.splitext(key)[1].lower() not in VIDEO_EXTENSIONS or key in photos  # noqa: PTH122
    )


# Files that an earlier version may have read with wrong times. Beside the tables lies which version of the
# reader the index was read by, and which files a newer one has still to look at. A file is read anew only
# where its length, which is stored, is not the one found now.


def files_to_reread(store: Store, records: Mapping[str, FileRecord]) -> set[str]:
    """Paths of the index that this version has not seen, and may read otherwise; while writing.

    Args:
        store: of the index.
        records: what it knows of files.
    """
    try:
        written = json.loads((store.folder / READER).read_text(encoding="utf-8"))
        version, waiting = int(written["version"]), {str(path) for path in written["waiting"]}
    except (OSError, ValueError, TypeError, KeyError):
        version, waiting = 1, set()
    if version < READER_VERSION:
        waiting = {
            path for path, record in records.items() if record.video_id is not None and _suspect(record)
        }
        _write_waiting(store, waiting)
    return {path for path in waiting if path in records}


def mark_reread(store: Store, waiting: set[str], paths: Iterable[str]) -> None:
    """Remember which files need not be looked at again, and take them out of ``waiting``; while writing."""
    done = waiting.intersection(paths)
    if done:
        waiting -= done
        _write_waiting(store, waiting)


def _suspect(record: FileRecord) -> bool:
    """Whether the clock of a file may start again, or its end be unread, by its name and first bytes."""
    if record.damage is not None and "may be cut off" in record.damage:
        return True
    path = Path(record.path)
    suffix = path.suffix.lower()
    try:
        if suffix in _LENGTHS_TELL:
            return len(starts_of_parts(path)) > 1
        return suffix not in _NEVER_START_AGAIN and may_start_again(path)
    except OSError:
        return suffix in VIDEO_EXTENSIONS  # away just now, as on a drive


def _write_waiting(store: Store, waiting: set[str]) -> None:
    with explained_writing(store.folder):
        write_json(store.folder / READER, {"version": READER_VERSION, "waiting": sorted(waiting)})
