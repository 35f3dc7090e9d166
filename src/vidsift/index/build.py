"""Folders of videos into an index: find, decode in worker processes, encode here, commit in small batches.

A run may end at any moment. What was committed stays; the next run looks at what is there and does the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vidsift.index.plan import Plan, absolute, make_plan
from vidsift.index.pool import DecodePool
from vidsift.index.reader import (
    Done,
    Facts,
    Known,
    Message,
    ReadSettings,
    Segment,
    SegmentLength,
)
from vidsift.index.storage import FileRecord, IndexFolderError, Manifest, Store, default_folder

if TYPE_CHECKING:
    from vidsift.index.encode import Encoder
    from vidsift.methods.model import Model

__all__ = ["DEFAULT_MODEL", "Failure", "Progress", "Report", "build_index"]

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
"""Model of a new index when nobody names one: it knows the world, and most people's machines run it."""

_COMMIT_VIDEOS, _COMMIT_SEGMENTS, _COMMIT_SECONDS = 64, 1024, 10.0


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
    stopped: bool = False
    frames: int = 0
    seconds: float = 0.0


def build_index(
    folders: Iterable[str | Path],
    index: str | Path | None = None,
    model: str | Path | Model | None = None,
    *,
    segment: SegmentLength = "auto",
    workers: int | None = None,
    retry: bool = False,
    device: str = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Index the videos in folders; only what changed since the last run is read.

    Args:
        folders: folders and files. Paths under them that are gone are removed from the index.
        index: folder of the index; :func:`~vidsift.index.storage.default_folder` when None.
        model: name or folder, or a loaded model; when None the index's own, else :data:`DEFAULT_MODEL`.
        segment: the most seconds of a segment, "auto" for 30, None for whole videos; fixed for an index.
        workers: processes that decode; half of the processors when None.
        retry: read files again that failed before and have not changed.
        device: where to encode; "auto" takes a GPU where there is one.
        on_progress: called often with how far the run is.
        should_stop: asked often; once true, the run commits what is finished and returns.

    Returns:
        What was done.

    Raises:
        IndexFolderError: the index is of another model, segment length or format, damaged, or being written.
        NotSearchableError: the model is a black box for which nothing finds candidates.
        ValueError: a folder does not exist, or the model cannot be loaded.
    """
    began = time.monotonic()
    places = _places(folders)
    folder = default_folder() if index is None else Path(index).expanduser()
    store, loaded = _open(folder, model, segment, device)
    with store.writing():
        plan = make_plan(places, store.read_files(), retry=retry)
        run = _Run(store, loaded, plan, on_progress, should_stop)
        run.work(segment, workers or max(1, (os.cpu_count() or 2) // 2))
        report = run.finish()
    report.seconds = time.monotonic() - began
    return report


def _places(folders: Iterable[str | Path]) -> list[str]:
    given = [folders] if isinstance(folders, str | Path) else list(folders)
    if not given:
        raise ValueError("no folder given; name at least one folder or video file")
    places = [absolute(one) for one in given]
    for place in places:
        if not Path(place).exists():
            raise ValueError(f"{place}: there is no such folder or file")
    return places


def _open(
    folder: Path, model: str | Path | Model | None, segment: SegmentLength, device: str
) -> tuple[Store, Model]:
    """Open or create the index, and load the model that it belongs to."""
    from vidsift.index.candidates import check_searchable
    from vidsift.index.encode import sets_of
    from vidsift.methods.model import Model, load

    exists = (folder / "index.json").exists()
    store = Store.open(folder) if exists else None
    source = model
    if source is None:
        source = DEFAULT_MODEL if store is None else store.manifest.model
        if not source:
            raise IndexFolderError(f"the index {folder} was made with a model from memory; pass that model")
    loaded = source if isinstance(source, Model) else load(source, device)
    name = "" if isinstance(source, Model) else _lasting(source)
    sets = sets_of(loaded) if store is None else store.manifest.sets
    # Told now, and not after hours of reading videos.
    check_searchable(loaded, sets)
    if store is None:
        manifest = Manifest(
            model=name,
            model_name=loaded.name,
            method=loaded.method_name,
            fingerprint=loaded.fingerprint,
            segment=segment,
            reading=loaded.reading.to_dict(),
            sets=sets,
        )
        return Store.create(folder, manifest), loaded
    if loaded.fingerprint != store.manifest.fingerprint:
        raise IndexFolderError(
            f"the index {folder} was made with {store.manifest.model or store.manifest.model_name} "
            f"(fingerprint {store.manifest.fingerprint[:12]}), not with {name or loaded.name} "
            f"({loaded.fingerprint[:12]}); leave out --model, or name another folder with --index"
        )
    if segment != store.manifest.segment:
        raise IndexFolderError(
            f"the index {folder} cuts videos by {store.manifest.segment!r}, not by {segment!r}; "
            "segments of one index are cut alike: leave out --segment, or name another folder with --index"
        )
    return store, loaded


def _lasting(source: str | Path) -> str:
    """The name under which the model is found from any working folder."""
    from vidsift.methods.model import BUNDLED

    # The bundled model's name wins over a folder that happens to be called so.
    if str(source) == BUNDLED or not Path(source).expanduser().exists():
        return str(source)
    return absolute(source)


class _Run:
    """One run: takes messages from the workers, encodes, commits, counts."""

    def __init__(
        self,
        store: Store,
        model: Model,
        plan: Plan,
        on_progress: Callable[[Progress], None] | None,
        should_stop: Callable[[], bool],
    ) -> None:
        from vidsift.index.encode import Encoder

        self._store = store
        self._encoder: Encoder = Encoder(model, store.manifest.sets)
        self._plan = plan
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._stored = store.video_ids()
        self._records: list[FileRecord] = []
        self._committed = time.monotonic()
        self.report = Report(unchanged=len(plan.unchanged))
        self.report.failed += [Failure(path, reason) for path, reason in plan.rejected]
        self.report.failed += [Failure(one.path, one.reason or "") for one in plan.failed_before]
        known = [plan.before[path] for path in plan.unchanged]
        self.report.partial += [Failure(one.path, one.damage) for one in known if one.damage is not None]
        self._damage = {one.video_id: one.damage for one in plan.before.values() if one.damage is not None}
        self._progress = Progress(videos_total=len(plan.to_read), failed=len(self.report.failed))

    def work(self, segment: SegmentLength, workers: int) -> None:
        """Read, encode and commit what the plan asks for."""
        self._tell()
        settings = ReadSettings(self._encoder.reading, segment, frozenset(self._stored))
        with DecodePool(settings, workers) as pool:
            for item in pool.read(self._plan.to_read):
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

    def finish(self) -> Report:
        """Remove what is gone, and leave the tables tidy."""
        gone = self._plan.gone
        if gone:
            self._store.forget(gone)
        self.report.removed = len(gone) - self.report.moved
        if not self.report.stopped:
            self._store.drop_orphans()
            self._store.tidy()
        return self.report

    def _take(self, path: str, message: Message) -> None:
        """Do what one message of a worker asks for."""
        if isinstance(message, Facts):
            self._encoder.begin(path, message)
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
            self._settle(
                path, FileRecord(path, message.size_bytes, message.modified_ns, reason=message.reason)
            )

    def _settle(self, path: str, record: FileRecord) -> None:
        """Count what became of a file, and remember to write it down."""
        before = self._plan.before.get(path)
        if record.reason is not None:
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
        table, video_ids = self._encoder.take_finished(self._stored)
        self._store.commit(table, self._records)
        self._stored |= video_ids
        self._records = []
        self._committed = time.monotonic()

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._progress)
