"""Folders of videos into an index: find, decode in worker processes, encode here, commit in small batches.

A run may end at any moment. What was committed stays; the next run looks at what is there and does the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.errors import IndexFolderError
from vidsift.files.paths import absolute, inside, path_key, path_keys
from vidsift.index.availability import Absence, exists, read_mounts, write_mounts
from vidsift.index.decode_worker import (
    Done,
    Facts,
    Known,
    Message,
    ReadSettings,
    Segment,
    SegmentLength,
    SinglePicture,
    decode_pool,
)
from vidsift.index.folders import Folder, remembered, with_removed
from vidsift.index.maintenance import forget
from vidsift.index.manifest import default_folder
from vidsift.index.opening import check_made_with, open_index
from vidsift.index.plan import Plan, make_plan
from vidsift.index.reread import stored_seconds, to_look_at, write_looked_at
from vidsift.index.schema import SINGLE_PICTURE, FileRecord
from vidsift.index.single_pictures import kept_places, stored_pictures
from vidsift.index.storage import Store
from vidsift.index.tags_and_captions import captions_in
from vidsift.video.find import Patterns
from vidsift.workers.process import ProcessLimits

if TYPE_CHECKING:
    from vidsift.index.encode import Encoder
    from vidsift.methods.model import Model

__all__ = [
    "Failure",
    "Progress",
    "Report",
    "build_index",
    "update_index",
]

_COMMIT_VIDEOS, _COMMIT_SEGMENTS, _COMMIT_SECONDS = 64, 1024, 10.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Failure:
    """A file that could not be read, and why."""

    path: str
    reason: str


@dataclass
class Progress:
    """How far a run is; counts of videos, and of frames encoded."""

    videos_done: int = 0
    videos_total: int = 0
    frames: int = 0
    failed: int = 0


@dataclass
class Report:
    """What a run did.

    Attributes:
        added: new videos, copies of known ones included.
        unchanged: files that are as they were.
        updated: files whose content changed.
        moved: files known under another path that is gone.
        removed: paths that are gone.
        failed: files that cannot be read, those known from earlier runs included.
        partial: files that gave less than they should have, likewise.
        passed_over: how many files were left out since they hold no video, by what they are.
        missing: folders that are not there or out of reach, such as a drive that is not mounted; what the
            index has of them stays in it.
        stopped: the run was asked to stop before it was through.
        frames, seconds: encoded, taken.
    """

    added: int = 0
    unchanged: int = 0
    updated: int = 0
    moved: int = 0
    removed: int = 0
    failed: list[Failure] = field(default_factory=list)
    partial: list[Failure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    frames: int = 0
    seconds: float = 0.0


def build_index(
    folders: Iterable[str | Path | Folder],
    index: str | Path | None = None,
    model: str | Path | Model | None = None,
    *,
    segment: SegmentLength = "auto",
    workers: int | None = None,
    retry: bool = False,
    device: str = "auto",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    time_limit_seconds: float = ProcessLimits.time_limit_seconds,
    memory_limit_bytes: int = ProcessLimits.memory_limit_bytes,
    on_model: Callable[[Model], object] = lambda _: None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    should_pause: Callable[[], bool] = lambda: False,
) -> Report:
    """Index the videos in folders; only what changed since the last run is read.

    Args:
        folders: folders and files. Paths under them that are gone are removed from the index, but for
            those on what is not mounted or cannot be opened. It remembers them for :func:`update_index`.
        index: folder of the index; :func:`~vidsift.index.manifest.default_folder` when None.
        model: name or folder, or a loaded model; when None the index's own, else
            :data:`~vidsift.index.opening.DEFAULT_MODEL`.
        segment: the most seconds of a segment, "auto" for 30, None for whole videos; fixed for an index.
        workers: processes that decode; half of the processors when None.
        retry: read files again that failed before and have not changed.
        device: where to encode; "auto" takes a GPU where there is one.
        include: patterns of the files to take, see :class:`~vidsift.video.find.Patterns`; none takes all.
        exclude: patterns of files and folders to leave out; what the index has of them stays in it.
        time_limit_seconds: how long a file may make no progress before it counts as one that cannot be read.
        memory_limit_bytes: how much memory reading one file may take.
        on_model: called with the model once it is loaded, for who has more to do with it.
        on_progress: called often with how far the run is.
        should_stop: asked often; once true, the run commits what is finished and returns.
        should_pause: asked often; while true, the run has committed what is finished, and waits.

    Returns:
        What was done.

    Raises:
        IndexFolderError: the index is of another model, segment length or format, damaged, or being written.
        IndexWriteError: the disk is full or fails; what was committed before is whole.
        NotSearchableError: the model is too dear to scan, and nothing finds its candidates.
        ValueError: a folder does not exist, or the model cannot be loaded.
    """
    began = time.monotonic()
    places = _places(folders, include, exclude)
    limits = ProcessLimits(time_limit_seconds, memory_limit_bytes)
    folder = default_folder() if index is None else Path(index).expanduser()
    store, loaded = open_index(folder, model, segment, device)
    on_model(loaded)
    with store.writing():
        # Another run may have made the index, or made it anew, since it was looked at.
        check_made_with(store, loaded, segment)
        before, pictures = store.read_files(), stored_pictures(store)
        asked = store.read_folders()
        folders = remembered(asked, places, kept_places([*asked, *places], before, pictures))
        store.write_folders(folders)
        places = with_removed(places, {path for one in folders for path in one.removed})
        waiting = to_look_at(store, before)
        plan = make_plan(
            places,
            before,
            retry=retry,
            limits=limits,
            mounts=read_mounts(store),
            again=waiting,
            pictures=pictures,
            remembered=folders,
        )
        write_mounts(store, plan.mounts)
        run = _Run(store, loaded, plan, on_progress, should_stop, should_pause, waiting)
        run.work(segment, workers or max(1, (os.cpu_count() or 2) // 2), limits)
        report = run.finish(places)
    report.seconds = time.monotonic() - began
    return report


def update_index(
    index: str | Path | None = None, model: str | Path | Model | None = None, **options: Any
) -> Report:
    """Look again at every folder that was ever asked to be indexed, with the patterns it was asked with.

    A folder that is not there, such as one on a drive that is not plugged in, is left as it is.

    Args:
        index: see :func:`build_index`.
        model: likewise.
        options: likewise, without the patterns.

    Raises:
        IndexFolderError: there is no index, nobody asked for a folder, or as :func:`build_index`.
        ValueError, OSError: as :func:`build_index`.
    """
    folder = default_folder() if index is None else Path(index).expanduser()
    store = Store.open(folder)
    known = store.indexed_folders()
    if not known:
        raise IndexFolderError(f"the index {folder} holds no folder yet; name one: vidsift index FOLDER")
    there = [one for one in known if exists(one.path)]
    absent = [one.path for one in known if one not in there]
    # A file that was named by itself is gone when its folder is there and it is not.
    records = store.read_files()
    absence = Absence({str(Path(path).parent) for path in absent}, mounts=read_mounts(store) or ())
    recorded = path_keys(records)
    gone = [path for path in absent if path_key(path) in recorded and absence.state(path) == "gone"]
    report = Report()
    if there:
        report = build_index(there, folder, model, **{"segment": store.manifest.segment} | options)
    if gone and not report.stopped:
        report.removed += _forget_named(folder, gone)
    report.missing += [path for path in absent if path not in gone]
    return report


def _forget_named(folder: Path, gone: Sequence[str]) -> int:
    """Drop files that were named by themselves and are gone, and no longer look for them."""
    store, roots = Store.open(folder), path_keys(gone)
    with store.writing():
        store.write_folders([one for one in store.read_folders() if not inside(one.path, roots)])
        return forget(store, store.read_files(), gone)


def _places(
    folders: Iterable[str | Path | Folder], include: Sequence[str], exclude: Sequence[str]
) -> list[Folder]:
    given = [folders] if isinstance(folders, str | Path) else list(folders)
    if not given:
        raise ValueError("no folder given; name at least one folder or video file")
    Patterns(include), Patterns(exclude)  # refuses what is none
    places = [
        one if isinstance(one, Folder) else Folder(absolute(one), tuple(include), tuple(exclude))
        for one in given
    ]
    for place in places:
        if not Path(place.path).exists():
            raise ValueError(f"{place.path}: there is no such folder or file")
    return places


class _Run:
    """One run: takes messages from the workers, encodes, commits, counts."""

    def __init__(  # noqa: PLR0917 - what a run is made of
        self,
        store: Store,
        model: Model,
        plan: Plan,
        on_progress: Callable[[Progress], None] | None,
        should_stop: Callable[[], bool],
        should_pause: Callable[[], bool] = lambda: False,
        waiting: set[str] | None = None,
    ) -> None:
        from vidsift.index.encode import Encoder

        self._store = store
        self._encoder: Encoder = Encoder(model, store.manifest.sets)
        self._plan = plan
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._should_pause = should_pause
        self._stored = store.video_ids()
        self._waiting = set() if waiting is None else waiting
        self._renewed: set[str] = set()
        self._records: list[FileRecord] = []
        self._committed = time.monotonic()
        self.report = Report(unchanged=len(plan.unchanged), missing=sorted(plan.absence.missing))
        self.report.failed += [Failure(path, reason) for path, reason in plan.rejected]
        self.report.failed += [Failure(one.path, one.reason or "") for one in plan.failed_before]
        known = [plan.before[path] for path in plan.unchanged]
        self.report.partial += [Failure(one.path, one.damage) for one in known if one.damage is not None]
        self.report.passed_over = dict(plan.passed_over)
        self._damage = {one.video_id: one.damage for one in plan.before.values() if one.damage is not None}
        total = len(plan.to_read) + len(plan.harmful)
        self._progress = Progress(videos_total=total, failed=len(self.report.failed))

    def work(self, segment: SegmentLength, workers: int, limits: ProcessLimits | None = None) -> None:
        """Read, encode and commit what the plan asks for."""
        self._tell()
        for record in self._plan.harmful:
            self._settle(record.path, record)
        waiting = {one.video_id for one in map(self._plan.before.get, self._waiting) if one and one.video_id}
        settings = ReadSettings(
            self._encoder.preprocessing,
            segment,
            frozenset(self._stored),
            stored_seconds(self._store, waiting),
            frozenset(self._plan.named),
            frozenset(self._plan.pictures),
        )
        with decode_pool(settings, workers, limits) as pool:
            for item in pool.run(self._plan.to_read):
                self._pause()
                if self._should_stop():
                    self.report.stopped = True
                    break
                if item is not None:
                    self._take(*item)
                if item is None or pool.idle:
                    self._encoder.flush()
                self._commit_if_due()
        self._encoder.flush()
        self._commit()

    def _pause(self) -> None:
        """Wait as long as asked, with everything that is finished written down."""
        if not self._should_pause():
            return
        self._encoder.flush()
        self._commit()
        while self._should_pause() and not self._should_stop():
            time.sleep(_LOOK_SECONDS)

    def finish(self, places: Sequence[Folder] = ()) -> Report:
        """Remove what is gone, read the captions anew, and leave the tables tidy."""
        gone = self._plan.gone
        if gone or self._plan.dropped:
            self._store.forget([*gone, *self._plan.dropped])
        self.report.removed = len(gone) - self.report.moved
        if not self.report.stopped:
            self._drop_lost(places)
            self._keep_captions(places)
            self._store.tidy()
        return self.report

    def _keep_captions(self, places: Sequence[Folder]) -> None:
        sources, problems = captions_in(places, self._store.read_files())
        self.report.partial += [Failure(path, problem) for path, problem in problems]
        roots = path_keys(place.path for place in places)
        try:
            known = self._store.caption_sources()
            lost = [one for one in known - set(sources) if inside(one, roots) and self._seen(one)]
            self._store.write_captions(sources, lost)
        except IndexFolderError as damage:  # of the table of captions, which costs nothing else
            self.report.partial.append(Failure(str(self._store.folder), str(damage)))

    def _drop_lost(self, places: Sequence[Folder]) -> None:
        """Remove segments that no path holds; where paths were lost, only once all folders were seen."""
        whole = not (self.report.missing or self._plan.rejected)
        asked = path_keys(one.path for one in self._store.read_folders())
        if whole and asked <= path_keys(one.path for one in places):
            self._store.seeking.unlink(missing_ok=True)
        self._store.drop_orphans(self._plan.before.values())

    def _seen(self, path: str) -> bool:
        return self._plan.absence.state(path) != "away"

    def _take(self, path: str, message: Message) -> None:
        """Do what one message of a worker asks for."""
        if isinstance(message, Facts):
            self._encoder.begin(path, message)
            if message.video_id in self._stored:
                self._renewed.add(message.video_id)
        elif isinstance(message, Segment):
            self._encoder.add(path, message)
            self.report.frames += len(message.times_seconds)
            self._progress.frames = self.report.frames
            self._tell()
        elif isinstance(message, Known):
            self._settle(
                path,
                FileRecord(
                    path,
                    message.size_bytes,
                    message.modified_ns,
                    message.video_id,
                    damage=self._damage.get(message.video_id),
                ),
            )
        elif isinstance(message, Done):
            video_id = self._encoder.end(path, keep=True)
            self._settle(
                path,
                FileRecord(path, message.size_bytes, message.modified_ns, video_id, damage=message.damage),
            )
        else:
            self._encoder.end(path, keep=False)
            reason = SINGLE_PICTURE if isinstance(message, SinglePicture) else message.reason
            self._settle(path, FileRecord(path, message.size_bytes, message.modified_ns, reason=reason))

    def _settle(self, path: str, record: FileRecord) -> None:
        """Count what became of a file, and remember to write it down.

        A failure that may pass, of a disk or of rights, takes nothing away from what could be read before.
        """
        before = self._plan.before.get(path)
        if record.single_picture:
            over = self.report.passed_over
            over["single picture"] = over.get("single picture", 0) + 1
        elif record.reason is not None:
            self.report.failed.append(Failure(path, record.reason))
            self._progress.failed += 1
        elif before is None or before.video_id is None:
            if record.video_id in self._plan.gone_videos:
                self._plan.gone_videos.remove(record.video_id)
                self.report.moved += 1
            else:
                self.report.added += 1
        elif before.video_id == record.video_id:
            self.report.unchanged += 1
        else:
            self.report.updated += 1
        if record.damage is not None:
            self.report.partial.append(Failure(path, record.damage))
        passing = record.reason is not None and (record.size_bytes, record.modified_ns) == (0, 0)
        if not (passing and before is not None and before.video_id is not None):
            self._records.append(record)
        self._progress.videos_done += 1
        self._tell()

    def _commit_if_due(self) -> None:
        late = time.monotonic() - self._committed > _COMMIT_SECONDS
        full = len(self._records) >= _COMMIT_VIDEOS or self._encoder.finished_segments >= _COMMIT_SEGMENTS
        if self._records and (late or full):
            self._encoder.flush()
            self._commit()

    def _commit(self) -> None:
        """Write finished videos down: rows first, then the paths that point at them."""
        table, video_ids = self._encoder.take_finished(self._stored - self._renewed)
        # If the run ends between the two, these files still wait to be looked at, and are read as new ones.
        self._store.drop_videos(sorted(self._renewed & video_ids))
        self._store.commit(table, self._records)
        write_looked_at(self._store, self._waiting, [one.path for one in self._records])
        self._stored |= video_ids
        self._renewed -= video_ids
        self._records = []
        self._committed = time.monotonic()

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._progress)
