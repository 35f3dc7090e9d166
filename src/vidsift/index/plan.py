"""What a run has to do: the files that are there, against what the index knows of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidsift.errors import SandboxError
from vidsift.files.paths import inside, path_key, path_keys
from vidsift.index.availability import Absence, mounts_of
from vidsift.index.decode_worker import stamp
from vidsift.index.folders import Folder
from vidsift.index.schema import FileRecord
from vidsift.index.single_pictures import named_files
from vidsift.video import find_videos
from vidsift.video.find import holds_video
from vidsift.workers.process import ProcessLimits
from vidsift.workers.sandbox import Sandbox

__all__ = ["Plan", "make_plan"]


@dataclass
class Plan:
    """What a run has to do.

    Attributes:
        before: what the index knows, by path.
        to_read: files to look at, in order.
        unchanged: files that are as they were.
        failed_before: files that failed before and have not changed.
        rejected: paths that cannot be looked at or stored, with the reason.
        harmful: files that harmed the process that looked into them, to be written down as failed.
        gone: paths of the index under the given places at which nothing lies any more; what cannot be
            reached now, such as on a drive that is not mounted, is none of them.
        gone_videos: contents of ``gone``; a new path with one of them is a moved file.
        mounts: where the drives are mounted on which the videos lie, or were when they were last there.
        absence: judges what was not met; knows which folders are out of reach.
        named: paths that were asked for by themselves.
        pictures: videos of the index that may have a single picture.
        dropped: paths of the index at which lies what would not be taken into it today.
        passed_over: how many files hold no video though they might, by what they are.
    """

    before: Mapping[str, FileRecord]
    to_read: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed_before: list[FileRecord] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    harmful: list[FileRecord] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    gone_videos: list[str] = field(default_factory=list)
    mounts: set[str] = field(default_factory=set)
    absence: Absence = field(default_factory=lambda: Absence(()))
    named: set[str] = field(default_factory=set)
    pictures: Collection[str] = ()
    dropped: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def make_plan(
    places: Sequence[Folder],
    before: Mapping[str, FileRecord],
    *,
    retry: bool,
    limits: ProcessLimits | None = None,
    mounts: Collection[str] | None = (),
    again: Collection[str] = (),
    pictures: Collection[str] = (),
    remembered: Collection[Folder] = (),
) -> Plan:
    """Compare what lies at the places with what the index knows.

    Args:
        places: folders and files that exist. What the index has of files that their patterns leave out
            stays in it.
        before: what the index knows.
        retry: look again at files that failed and have not changed.
        limits: of the process that looks into files whose names do not say that they are videos.
        mounts: see :func:`~vidsift.index.availability.mounts_of`.
        again: paths to be looked at again, though they have not changed.
        pictures: videos of the index that may have a single picture: looked at again, unless named.
        remembered: what was asked for before; files among them count as named by themselves.
    """
    plan = Plan(before, pictures=pictures)
    known = {path_key(path): record for path, record in before.items()}
    named, over = named_files([*places, *remembered], known), _PassedOver()
    met: set[str] = set()
    unopened: set[str] = set()
    seen: set[str] = set()
    roots = {place.path for place in places}
    with _Look(known, ProcessLimits() if limits is None else limits) as look:
        for place in places:
            for found in find_videos(
                [place.path],
                include=place.include,
                exclude=place.exclude,
                left_out=place.removed,
                look_inside=look,
                seen=seen,
                on_passed_over=over,
            ):
                path = str(found.path)
                record = known.get(path_key(path))
                # One file, however it is spelled this time.
                path = path if record is None else record.path
                (met if found.rejected is None else unopened).add(path)
                if path_key(path) in named:
                    plan.named.add(path)
                once_more = path in again or (retry and record is not None and record.failed)
                _sort(plan, path, found.rejected, look.harmful.get(path), again=once_more)
    over.count(plan, known, named)
    plan.mounts = mounts_of(met, before, roots, mounts)
    plan.absence = Absence(roots, unopened, plan.mounts)
    places_walked = path_keys(roots)
    for path, record in before.items():
        if inside(path, places_walked) and path not in met and plan.absence.state(path) == "gone":
            plan.gone.append(path)
            if record.video_id is not None:
                plan.gone_videos.append(record.video_id)
    return plan


def _sort(plan: Plan, path: str, rejected: str | None, harmful: FileRecord | None, *, again: bool) -> None:
    # First of all: what is no text can be written down nowhere, whatever else is wrong with it.
    if not _is_text(path):
        shown = os.fsencode(path).decode("utf-8", "replace")
        plan.rejected.append((shown, "its name is not valid text; rename it"))
    elif harmful is not None:
        plan.harmful.append(harmful)
    elif rejected is not None:
        plan.rejected.append((path, rejected))
    else:
        _place(plan, path, plan.before.get(path), again)


class _PassedOver:
    """Gathers files that hold no video though they might, each once."""

    def __init__(self) -> None:
        self._met: dict[str, tuple[str, str]] = {}

    def __call__(self, path: Path, what: str) -> None:
        self._met[os.path.realpath(path)] = (path_key(str(path)), what)

    def count(self, plan: Plan, known: Mapping[str, FileRecord], named: Collection[str]) -> None:
        """Add them to a plan, and drop what the index has of them, but for those named by themselves."""
        for key, what in self._met.values():
            if key in named:
                continue
            plan.passed_over[what] += 1
            if key in known:
                plan.dropped.append(known[key].path)


class _Look:
    """Looks into files that are not named like videos, in a limited process; known files are not opened."""

    def __init__(self, known: Mapping[str, FileRecord], limits: ProcessLimits) -> None:
        self._known = known
        self._sandbox = Sandbox(limits)
        self.harmful: dict[str, FileRecord] = {}

    def __enter__(self) -> _Look:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    def __call__(self, path: Path) -> bool:
        known = self._known.get(path_key(str(path)))
        size, modified = stamp(str(path))
        if known is not None and (size, modified) == (known.size_bytes, known.modified_ns):
            return True
        try:
            return self._sandbox.run(holds_video, path)
        except SandboxError as error:
            named = str(path) if known is None else known.path
            self.harmful[named] = FileRecord(
                named, size, modified, reason=f"looking into it, the decoder {error}"
            )
            raise


def _place(plan: Plan, path: str, known: FileRecord | None, again: bool) -> None:
    try:
        same = known is not None and stamp(path) == (known.size_bytes, known.modified_ns)
    except OSError as error:
        plan.rejected.append((path, error.strerror or str(error)))
        return
    named = path in plan.named
    if known is None or not same or again:
        plan.to_read.append(path)
    elif known.single_picture and not named:
        plan.passed_over["single picture"] += 1
    elif known.single_picture or (known.video_id in plan.pictures and not named):
        plan.to_read.append(path)
    elif known.failed:
        plan.failed_before.append(known)
    else:
        plan.unchanged.append(path)


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
