"""Folders of videos into an index: find, decode in worker processes, encode here, commit in small batches.

A run may end at any moment. What was committed stays; the next run looks at what is there and does the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from vidsift.errors import IndexFolderError
from vidsift.files.paths import absolute, inside, path_key, path_keys
from vidsift.index.availability import Availability, reachable, read_mounts, write_mounts
from vidsift.index.compatibility import check_made_with, open_with_model
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
from vidsift.index.folders import IndexedFolder
from vidsift.index.maintenance import drop_places
from vidsift.index.manifest import index_folder
from vidsift.index.plan import Plan, make_plan, mark_reread, take_in_folders
from vidsift.index.schema import SINGLE_PICTURE, FileRecord
from vidsift.index.storage import Store
from vidsift.index.tags_and_captions import captions_in
from vidsift.video.find import Patterns
from vidsift.workers.process import ProcessLimits

if TYPE_CHECKING:
    from vidsift.index.encode import Encoder
    from vidsift.methods.model import Model

__all__ = ["Failure", "IndexingOptions", "Progress", "Report", "build_index", "update_index"]

# Whichever comes first. A run that is killed loses no more; oftener would leave more small pieces.
_COMMIT_VIDEOS, _COMMIT_SEGMENTS, _COMMIT_SECONDS = 64, 1024, 10.0
_PAUSE_LOOK_SECONDS = 0.2


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


class IndexingOptions(TypedDict, total=False):
    """How a run works; for :func:`build_index`, :func:`update_index` and ``watch_index`` alike.

    Attributes:
        workers: processes that decode; half of the processors when left out.
        retry: read files again that failed before and have not changed.
        device: where to encode; "auto", which is the default, takes a GPU where there is one.
        time_limit_seconds: how long a file may make no progress before it counts as one that cannot be read.
        memory_limit_bytes: how much memory reading one file may take.
        on_model: called with the model once it is loaded, for who has more to do with it.
        on_progress: called often with how far the run is.
        should_stop: asked often; once true, the run commits what is finished and returns.
        should_pause: asked often; while true, the run has committed what is finished, and waits.
    """

    workers: int | None
    retry: bool
    device: str
    time_limit_seconds: float
    memory_limit_bytes: int
    on_model: Callable[[Model], object]
    on_progress: Callable[[Progress], None] | None
    should_stop: Callable[[], bool]
    should_pause: Callable[[], bool]


def build_index(
    folders: Iterable[str | Path | IndexedFolder],
    index: str | Path | None = None,
    model: str | Path | Model | None = None,
    *,
    segment: SegmentLength = "auto",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **options: Unpack[IndexingOptions],
) -> Report:
    """Index the videos in folders; only what changed since the last run is read.

    Args:
        folders: folders and files. Paths under them that are gone are removed from the index, but for
            those on what is not mounted or cannot be opened. It remembers them for :func:`update_index`.
        index: folder of the index; :func:`~vidsift.index.manifest.default_folder` when None.
        model: name or folder, or a loaded model; when None the index's own, else
            :data:`~vidsift.index.compatibility.DEFAULT_MODEL`.
        segment: the most seconds of a segment, "auto" for 30, None for whole videos; fixed for an index.
        include: patterns of the files to take, see :class:`~vidsift.video.find.Patterns`; none takes all.
        exclude: patterns of files and folders to leave out; what the index has of them stays in it.
        options: how the run works, see :class:`IndexingOptions`.

    Returns:
        What was done.

    Raises:
        IndexFolderError: the index is of another model, segment length or format, damaged, or being written.
        IndexWriteError: the disk is full or fails; what was committed before is whole.
        NotSearchableError: nothing finds candidates for the model's method.
        ValueError: a folder does not exist, or the model cannot be loaded.
    """
    began = time.monotonic()
    places = _existing_places(folders, include, exclude)
    store, loaded = open_with_model(index_folder(index), model, segment, options.get("device", "auto"))
    if "on_model" in options:
        options["on_model"](loaded)
    with store.writing():
        # Another run may have made the index, or made it anew, since it was looked at.
        check_made_with(store, loaded, segment)
        report = _run(store, loaded, places, options)
    report.seconds = time.monotonic() - began
    return report


def update_index(
    index: str | Path | None = None,
    model: str | Path | Model | None = None,
    **options: Unpack[IndexingOptions],
) -> Report:
    """Look again at every folder that was ever asked to be indexed, with the patterns it was asked with.

    A folder that is not there, such as one on a drive that is not plugged in, is left as it is.

    Args:
        index: see :func:`build_index`.
        model: likewise.
        options: see :class:`IndexingOptions`.

    Raises:
        IndexFolderError: there is no index, nobody asked for a folder, or as :func:`build_index`.
        ValueError, OSError: as :func:`build_index`.
    """
    folder = index_folder(index)
    store = Store.open(folder)
    known = store.indexed_folders()
    if not known:
        raise IndexFolderError(f"the index {folder} holds no folder yet; name one: vidsift index FOLDER")
    there = [place for place in known if reachable(place.path)]
    missing = [place.path for place in known if place not in there]
    # A file that was named by itself is gone when its folder is there and it is not.
    records = store.read_files()
    availability = Availability({str(Path(path).parent) for path in missing}, mounts=read_mounts(store) or ())
    recorded = path_keys(records)
    gone = [path for path in missing if path_key(path) in recorded and availability.state(path) == "gone"]
    report = Report()
    if there:
        report = build_index(there, folder, model, segment=store.manifest.segment, **options)
    if gone and not report.stopped:
        report.removed += _drop_named(folder, gone)
    report.missing += [path for path in missing if path not in gone]
    return report


def _drop_named(index: Path, gone: Sequence[str]) -> int:
    """Drop files that were named by themselves and are gone, and no longer look for them."""
    store, roots = Store.open(index), path_keys(gone)
    with store.writing():
        store.write_folders([folder for folder in store.read_folders() if not inside(folder.path, roots)])
        return drop_places(store, store.read_files(), gone)


def _existing_places(
    folders: Iterable[str | Path | IndexedFolder], include: Sequence[str], exclude: Sequence[str]
) -> list[IndexedFolder]:
    given = [folders] if isinstance(folders, str | Path) else list(folders)
    if not given:
        raise ValueError("no folder given; name at least one folder or video file")
    Patterns(include), Patterns(exclude)  # refuses what is none
    places = [
        place
        if isinstance(place, IndexedFolder)
        else IndexedFolder(absolute(place), tuple(include), tuple(exclude))
        for place in given
    ]
    for place in places:
        if not Path(place.path).exists():
            raise ValueError(f"{place.path}: there is no such folder or file")
    return places


def _run(store: Store, model: Model, places: Sequence[IndexedFolder], options: IndexingOptions) -> Report:
    """Plan a run and carry it out; while writing."""
    limits = ProcessLimits(
        options.get("time_limit_seconds", ProcessLimits.time_limit_seconds),
        options.get("memory_limit_bytes", ProcessLimits.memory_limit_bytes),
    )
    folders, known = take_in_folders(store, places)
    plan = make_plan(folders, known, retry=options.get("retry", False), limits=limits)
    write_mounts(store, plan.mounts)
    run = _Run(store, model, plan, options)
    # Half of the processors: the model computes in this process meanwhile.
    run.work(options.get("workers") or max(1, (os.cpu_count() or 2) // 2), limits)
    return run.finish()


class _Run:
    """One run: takes messages from the workers, encodes, commits, counts."""

    def __init__(self, store: Store, model: Model, plan: Plan, options: IndexingOptions) -> None:
        from vidsift.index.encode import Encoder

        self._store = store
        self._encoder: Encoder = Encoder(model, store.manifest.sets)
        self._plan = plan
        self._on_progress = options.get("on_progress")
        self._should_stop = options.get("should_stop", _never)
        self._should_pause = options.get("should_pause", _never)
        self._stored = store.video_ids()
        self._to_reread = set(plan.known.reread)
        self._reread: set[str] = set()
        """Videos that are read anew though they are stored; their old segments go as the new ones come."""
        self._records: list[FileRecord] = []
        self._committed = time.monotonic()
        records = plan.known.records
        self.report = Report(unchanged=len(plan.unchanged), missing=sorted(plan.availability.missing))
        self.report.failed += [Failure(path, reason) for path, reason in plan.rejected]
        self.report.failed += [Failure(record.path, record.reason or "") for record in plan.failed_before]
        self.report.partial += [
            Failure(path, damage) for path in plan.unchanged if (damage := records[path].damage) is not None
        ]
        self.report.passed_over = dict(plan.passed_over)
        self._damage = {
            record.video_id: record.damage for record in records.values() if record.damage is not None
        }
        total = len(plan.to_read) + len(plan.harmful)
        self._progress = Progress(videos_total=total, failed=len(self.report.failed))

    def work(self, workers: int, limits: ProcessLimits) -> None:
        """Read, encode and commit what the plan asks for."""
        self._show_progress()
        for record in self._plan.harmful:
            self._settle(record.path, record)
        with decode_pool(self._settings(), workers, limits) as pool:
            for item in pool.run(self._plan.to_read):
                self._pause()
                if self._should_stop():
                    self.report.stopped = True
                    break
                if item is not None:
                    self._take(*item)
                # Nothing has come for a moment: what waits for a fuller batch is encoded in the meantime.
                if item is None or pool.idle:
                    self._encoder.flush()
                self._commit_if_due()
        self._encoder.flush()
        self._commit()

    def _settings(self) -> ReadSettings:
        records = self._plan.known.records
        suspect = {records[path].video_id for path in self._to_reread if path in records}
        lengths = self._store.facts(
            ["video_id", "duration_seconds"], [video_id for video_id in suspect if video_id]
        )
        return ReadSettings(
            self._encoder.preprocessing,
            self._store.manifest.segment,
            known=frozenset(self._stored),
            lengths=dict(zip(*(column.to_pylist() for column in lengths.itercolumns()), strict=True)),
            named=frozenset(self._plan.named),
            pictures=frozenset(self._plan.known.pictures),
        )

    def _pause(self) -> None:
        """Wait as long as asked, with everything that is finished written down."""
        if not self._should_pause():
            return
        self._encoder.flush()
        self._commit()
        while self._should_pause() and not self._should_stop():
            time.sleep(_PAUSE_LOOK_SECONDS)

    def finish(self) -> Report:
        """Remove what is gone, read the captions anew, and leave the tables in few pieces."""
        gone = self._plan.gone
        if gone or self._plan.dropped:
            self._store.drop_paths([*gone, *self._plan.dropped])
        self.report.removed = len(gone) - self.report.moved
        if not self.report.stopped:
            self._drop_lost()
            self._read_captions()
            self._store.compact()
        return self.report

    def _read_captions(self) -> None:
        sources, problems = captions_in(self._plan.folders, self._store.read_files())
        self.report.partial += [Failure(path, problem) for path, problem in problems]
        roots = path_keys(folder.path for folder in self._plan.folders)
        try:
            before = self._store.caption_sources() - set(sources)
            lost = [source for source in before if inside(source, roots) and self._in_reach(source)]
            self._store.write_captions(sources, lost)
        except IndexFolderError as damage:  # of the table of captions, which costs nothing else
            self.report.partial.append(Failure(str(self._store.folder), str(damage)))

    def _in_reach(self, path: str) -> bool:
        return self._plan.availability.state(path) != "out of reach"

    def _drop_lost(self) -> None:
        """Remove segments that no path holds; where paths were lost, only once all folders were seen."""
        whole = not (self.report.missing or self._plan.rejected)
        indexed_folders = path_keys(folder.path for folder in self._store.read_folders())
        if whole and indexed_folders <= path_keys(folder.path for folder in self._plan.folders):
            self._store.lost_paths_marker.unlink(missing_ok=True)
        self._store.drop_orphans(self._plan.known.records.values())

    def _take(self, path: str, message: Message) -> None:
        """Do what one message of a worker asks for."""
        if isinstance(message, Facts):
            self._encoder.begin(path, message)
            if message.video_id in self._stored:
                self._reread.add(message.video_id)
            return
        if isinstance(message, Segment):
            self._encoder.add(path, message)
            self.report.frames += len(message.times_seconds)
            self._progress.frames = self.report.frames
            self._show_progress()
            return
        record = FileRecord(path, message.size_bytes, message.modified_ns)
        if isinstance(message, Known):
            damage = self._damage.get(message.video_id)
            record = replace(record, video_id=message.video_id, damage=damage)
        elif isinstance(message, Done):
            record = replace(record, video_id=self._encoder.end(path, keep=True), damage=message.damage)
        else:
            self._encoder.end(path, keep=False)
            reason = SINGLE_PICTURE if isinstance(message, SinglePicture) else message.reason
            record = replace(record, reason=reason)
        self._settle(path, record)

    def _settle(self, path: str, record: FileRecord) -> None:
        """Count what became of a file, and remember to write it down.

        A failure that may pass, of a disk or of rights, takes nothing away from what could be read before.
        """
        before = self._plan.known.records.get(path)
        if record.single_picture:
            over = self.report.passed_over
            over["single picture"] = over.get("single picture", 0) + 1
        elif record.reason is not None:
            self.report.failed.append(Failure(path, record.reason))
            self._progress.failed += 1
        elif before is None or before.video_id is None:
            # Each vanished path explains one new one: of two copies of a moved file the second was added.
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
        # Workers give no size and time where the failure is not the file's.
        passing = record.reason is not None and (record.size_bytes, record.modified_ns) == (0, 0)
        if not (passing and before is not None and before.video_id is not None):
            self._records.append(record)
        self._progress.videos_done += 1
        self._show_progress()

    def _commit_if_due(self) -> None:
        late = time.monotonic() - self._committed > _COMMIT_SECONDS
        full = len(self._records) >= _COMMIT_VIDEOS or self._encoder.finished_segments >= _COMMIT_SEGMENTS
        if self._records and (late or full):
            self._encoder.flush()
            self._commit()

    def _commit(self) -> None:
        """Write finished videos down: rows first, then the paths that point at them."""
        table, video_ids = self._encoder.take_finished(self._stored - self._reread)
        # If the run ends between the two, these files still wait to be looked at, and are read as new ones.
        self._store.drop_videos(sorted(self._reread & video_ids))
        self._store.commit(table, self._records)
        mark_reread(self._store, self._to_reread, [record.path for record in self._records])
        self._stored |= video_ids
        self._reread -= video_ids
        self._records = []
        self._committed = time.monotonic()

    def _show_progress(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._progress)


def _never() -> bool:
    return False
