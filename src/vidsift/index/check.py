"""Is an index what it says it is: every row against its file, its model and itself; and its repair.

Rows that are wrong are dropped, so that the next run reads their files again. Nothing is invented.
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from vidsift.files.disk_errors import plain_words
from vidsift.index.decode_worker import content_id, stamp
from vidsift.index.manifest import index_folder
from vidsift.index.moment_collections import MomentCollections
from vidsift.index.saved_searches import SavedSearches
from vidsift.index.schema import FileRecord, SetLayout, TableName, parts_from_table, segment_id, stored_tokens
from vidsift.index.storage import Store
from vidsift.index.tables import value_or_reason
from vidsift.types import Span
from vidsift.video.encrypted import ENCRYPTED

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CheckReport", "IndexProblem", "check_index"]

# Names of segments tell milliseconds; closer than that nothing is told apart.
_SLACK_SECONDS = 1e-3

Kind = Literal["table", "segment", "file", "model", "saved"]


@dataclass(frozen=True)
class IndexProblem:
    """One thing that is wrong.

    Attributes:
        kind: of what: a whole table, a segment, a path, the model, or what people saved.
        what: its name.
        wrong: what is wrong with it, in plain words.
        repaired: it was dropped, or made whole.
    """

    kind: Kind
    what: str
    wrong: str
    repaired: bool = False

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.kind} {self.what}: {self.wrong}" + (" (repaired)" if self.repaired else "")


@dataclass
class CheckReport:
    """What a check found out.

    Attributes:
        segments, videos, files: looked at.
        read_again: files whose content was compared with its identity.
        loose: segments of videos that lie at no known path, such as a run leaves that was cut off between
            its two writes; nobody finds them, and the next run drops them.
        unreadable, encrypted: files whose video cannot be read, and those of them that are encrypted, as the
            runs that met them found.
        repaired: what is wrong was dropped, and what is loose with it.
        problems: what is wrong.
        remarks: what is as it may be, and the next run will see to: files that changed or are gone.
    """

    segments: int = 0
    videos: int = 0
    files: int = 0
    read_again: int = 0
    loose: int = 0
    unreadable: int = 0
    encrypted: int = 0
    repaired: bool = False
    problems: list[IndexProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong, or all that was is repaired."""
        return all(problem.repaired for problem in self.problems)

    def sentences(self) -> list[str]:
        """The report in plain words, a line each."""
        lines = [str(problem) for problem in self.problems] + self.remarks
        if self.loose:
            then = "they were dropped" if self.repaired else "the next run drops them"
            lines.append(
                f"{self.loose} segments belong to no known path: a run was stopped while writing them; {then}"
            )
        if self.unreadable:
            which = f", {self.encrypted} of them because of encryption" if self.encrypted else ""
            files = "1 file" if self.unreadable == 1 else f"{self.unreadable} files"
            lines.append(f"{files} could not be read{which}; vidsift index update --verbose lists them")
        counted = f"{self.segments} segments of {self.videos} videos at {self.files} paths were checked"
        if not self.problems:
            return [*lines, f"{counted}; everything is as it should be."]
        left = sum(not problem.repaired for problem in self.problems)
        repaired = len(self.problems) - left
        ending = f"{len(self.problems)} problems, {repaired} repaired, {left} left"
        return [*lines, f"{counted}: {ending}."]


def _ignore(_done: int, _total: int) -> None:
    """Take progress that nobody shows."""


def check_index(
    index: str | Path | None = None,
    *,
    repair: bool = False,
    contents: bool = True,
    on_progress: Callable[[int, int], None] = _ignore,
) -> CheckReport:
    """Check every row of an index.

    Segments: the columns are those of the format, identity and place fit together, no segment is there
    twice, tokens are finite and of the stated shape, no mask leaves nothing, the pooled vector and the
    thumbnail can be read, a path holds the video. Paths: what is known is consistent, the segments are there,
    and the file is what it was (size, time, and the content against its identity). The model, where it lies
    in a folder, has the fingerprint that the index was made with.

    Args:
        index: its folder; the default one when None.
        repair: drop what is wrong, so that the next run reads those files again. Needs the index for writing.
        contents: read every file that has not changed, and compare its content with its identity.
        on_progress: called with how many of how many rows and paths were looked at.

    Raises:
        IndexFolderError: there is no index, its tables cannot be opened, or it may not be written to repair.
    """
    store = Store.open(index_folder(index))
    if not repair:
        return _Check(store, contents, on_progress).run()
    with store.writing():
        check = _Check(store, contents, on_progress)
        report = check.run()
        if report.problems or report.loose:
            check.repair()
            report.repaired = True
            # Looked at once more, and not believed; a repair changes no contents, which take the longest.
            left = {str(problem) for problem in _Check(store, False, _ignore).run().problems}
            report.problems = [
                replace(problem, repaired=str(problem) not in left) for problem in report.problems
            ]
        return report


class _Check:
    """One check: gathers what is wrong, and what has to be dropped to repair it."""

    def __init__(self, store: Store, contents: bool, on_progress: Callable[[int, int], None]) -> None:
        self.report = CheckReport()
        self._store = store
        self._contents = contents
        self._on_progress = on_progress
        self._bad_videos: set[str] = set()
        self._bad_paths: set[str] = set()
        self._stored: set[str] = set()
        # Tables of which some rows cannot be read, and those whose other columns tell nothing of their rows.
        self._unreadable: set[str] = set()
        self._unjudged: set[str] = set()
        self._bad_tables: list[TableName] = []
        self._saved = (SavedSearches(store.folder), MomentCollections(store.folder))
        self._done = 0
        self._total = store.count("segments") + store.count("files")

    def run(self) -> CheckReport:
        self._check_model()
        records = self._check_paths_are_single()
        on_paths = {record.video_id for record in records.values() if record.video_id}
        self._check_segments(None if self._unreadable | self._unjudged else on_paths)
        for path in sorted(records):
            self._check_path(records[path])
            self._step()
        self.report.files = len(records)
        reasons = [record.reason or "" for record in records.values() if record.failed]
        self.report.unreadable = len(reasons)
        self.report.encrypted = sum(reason.startswith(ENCRYPTED) for reason in reasons)
        self._check_tags_and_captions()
        for saved in self._saved:
            if (reason := saved.why_unreadable()) is not None:
                self._wrong("saved", saved.what.removeprefix("saved "), reason)
        return self.report

    def repair(self) -> None:
        """Drop what is wrong, and with a video every path that leads to it.

        A table with other columns says nothing of what is wrong in it, so nothing is touched then.
        """
        if "tags" in self._bad_tables:
            self.report.remarks.append(f"the tags of {self._store.repair_tags()} videos could be saved")
        if "captions" in self._bad_tables:
            self._store.empty_captions()
            self.report.remarks.append("captions are read anew from their files by: vidsift index update")
        for saved in self._saved:
            if (aside := saved.move_damaged_aside()) is not None:
                self.report.remarks.append(f"the {saved.what} begin anew; what was there is {aside}")
        if self._unjudged:
            return
        if "segments" in self._unreadable:
            self._store.keep_salvaged("segments")
        self._store.drop_videos(sorted(self._bad_videos))
        if "files" in self._unreadable:
            # Later runs find lost paths again, and by their content the segments, which are kept until then.
            self._store.lost_paths_marker.touch()
            self._store.keep_salvaged("files")
        records = self._store.read_files()
        paths = {path for path, record in records.items() if record.video_id in self._bad_videos}
        self._store.drop_paths(sorted(paths | self._bad_paths))
        self._store.drop_orphans(records.values())

    def _step(self, count: int = 1) -> None:
        self._done += count
        self._on_progress(self._done, self._total)

    def _wrong(self, kind: Kind, what: str, wrong: str) -> None:
        self.report.problems.append(IndexProblem(kind, what, wrong))

    def _wrong_segment(self, video_id: str, segment_id: str, wrong: str) -> None:
        self._bad_videos.add(video_id)
        self._wrong("segment", segment_id, wrong)

    def _check_model(self) -> None:
        """Whether the model's folder still holds the model; one that is not at hand is not judged."""
        from vidsift.methods.model import BUNDLED, model_folder

        manifest = self._store.manifest
        config = model_folder(manifest.model) / "config.json"
        if not manifest.model or not config.is_file():
            return
        try:
            stated = json.loads(config.read_text(encoding="utf-8")).get("fingerprint", manifest.fingerprint)
        except (ValueError, AttributeError, OSError) as error:
            stated = f"unreadable ({plain_words(error)})"
        if stated != manifest.fingerprint:
            back = (
                "install the version of vidsift that had it"
                if manifest.model == BUNDLED
                else "put the old model back"
            )
            self._wrong(
                "model",
                manifest.model,
                f"has the fingerprint {str(stated)[:40]}, the index was made with "
                f"{manifest.fingerprint[:12]}; {back}, or index again into another folder",
            )

    def _check_paths_are_single(self) -> dict[str, FileRecord]:
        if not self._store.has_its_columns("files"):
            self._unjudged.add("files")
            self._wrong("table", "files", "its columns are not those of the format; index again")
            return {}
        records = value_or_reason(self._store.file_rows)
        if isinstance(records, str):
            self._unreadable.add("files")
            self._wrong("table", "files", f"cannot be read: {records}")
            return {}
        for path, count in Counter(record.path for record in records).items():
            if count > 1:
                self._bad_paths.add(path)
                self._wrong("file", path, f"is there {count} times")
        return {record.path: record for record in records}

    def _check_path(self, record: FileRecord) -> None:
        path = record.path
        if (record.video_id is None) == (record.reason is None):
            self._bad_paths.add(path)
            self._wrong("file", path, "records neither a video nor a reason why the file failed")
        elif self._lacks_segments(record):
            self._bad_paths.add(path)
            self._wrong("file", path, "none of its segments is stored")
        else:
            self._check_content(record)

    def _lacks_segments(self, record: FileRecord) -> bool:
        judged = record.video_id is not None and "segments" not in self._unjudged
        return judged and record.video_id not in self._stored

    def _check_content(self, record: FileRecord) -> None:
        """Whether the file is what it was; one that changed since is the next run's work."""
        path = record.path
        try:
            if stamp(path) != (record.size_bytes, record.modified_ns):
                if record.reason is None:
                    self.report.remarks.append(f"{path} has changed since; the next run reads it again")
                return
            if record.video_id is None or not self._contents:
                return
            self.report.read_again += 1
            if content_id(path) != record.video_id:
                self._bad_paths.add(path)
                self._wrong("file", path, "holds other content than was indexed, though it looks unchanged")
        except FileNotFoundError:
            if os.path.lexists(path) or not Path(path).parent.exists():
                self.report.remarks.append(f"{path} cannot be reached now")
            else:
                self.report.remarks.append(f"{path} is gone; the next run over its folder removes it")
        except OSError as error:
            self.report.remarks.append(f"{path} cannot be read now: {error.strerror or error}")

    def _check_segments(self, on_paths: set[str] | None) -> None:
        """Check all segments.

        Args:
            on_paths: videos that lie at a known path; None where that cannot be known.
        """
        sets = self._store.manifest.sets
        if not self._store.has_its_columns("segments"):
            self._unjudged.add("segments")
            self._wrong("table", "segments", "its columns are not those of the format; index again")
            return
        places: dict[str, tuple[str, float, float]] = {}
        doubled: Counter[str] = Counter()
        orphans = 0
        for batch in self._batches():
            for video, segment, wrong in check_rows(batch, sets):
                self._wrong_segment(video, segment, wrong)
            for segment, video, start, end in _places(batch):
                doubled[segment] += segment in places
                places[segment] = (video, start, end)
                orphans += on_paths is not None and video not in on_paths
                self._stored.add(video)
            self.report.segments += batch.num_rows
            self._step(batch.num_rows)
        self.report.videos = len(self._stored)
        for segment, more in doubled.items():
            if more:
                self._wrong_segment(places[segment][0], segment, f"is stored {more + 1} times")
        if orphans and self._store.lost_paths_marker.exists():
            self.report.remarks.append(
                f"{orphans} segments belong to no known path; vidsift index update finds their files"
            )
        else:
            self.report.loose = orphans
        # The segments of a video follow one another; none begins before the one before has ended.
        # By video first, and then by start: neighbours of one video stand side by side.
        in_order = sorted((place, segment) for segment, place in places.items())
        for ((video, _, end), _), ((other, start, _), segment) in pairwise(in_order):
            if video == other and start < end - _SLACK_SECONDS:
                self._wrong_segment(video, segment, "overlaps the one before it")

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """All rows; where some cannot be read, all others, and their neighbours' videos count as damaged."""
        # All is read once before any is judged: rows that were judged up to a damaged one would be twice.
        trouble = self._store.why_unreadable("segments")
        if trouble is None:
            yield from self._store.batches("segments")
            return
        self._unreadable.add("segments")
        lost, before, after_loss = 0, "", False
        for rows in self._store.salvage("segments"):
            if rows is None:
                # A video's rows stand together: the lost one may be of the video before it, or after it.
                lost, after_loss = lost + 1, True
                self._bad_videos.add(before)
                continue
            videos = rows.column("video_id")
            if after_loss:
                self._bad_videos.add(videos[0].as_py())
            before, after_loss = videos[-1].as_py(), False
            yield rows
        self._wrong("table", "segments", f"{lost} of its rows cannot be read: {trouble}")

    def _check_tags_and_captions(self) -> None:
        """Both tables can be read; what they say of videos that are gone is kept on purpose."""
        trouble = dict(self._store.damaged)
        for name in self._store.readable_tables():
            if name in ("segments", "files"):
                continue
            if not self._store.has_its_columns(name):
                self._wrong("table", name, "its columns are not those of the format; index again")
            elif (reason := self._store.why_unreadable(name)) is not None:
                trouble[name] = reason
        for name, reason in trouble.items():
            self._bad_tables.append(name)
            self._wrong("table", name, f"cannot be read: {reason}")


def _places(rows: pa.RecordBatch) -> Iterator[tuple[str, str, float, float]]:
    columns = ("segment_id", "video_id", "start_seconds", "end_seconds")
    yield from zip(*(rows.column(name).to_pylist() for name in columns), strict=True)


def check_rows(rows: pa.RecordBatch, sets: Mapping[str, SetLayout]) -> Iterator[tuple[str, str, str]]:
    """Check segments by what is in them.

    Args:
        rows: with all columns of the table of segments.
        sets: layout of the index.

    Yields:
        Video, segment, and what is wrong with it.
    """
    videos, segments = rows.column("video_id").to_pylist(), rows.column("segment_id").to_pylist()
    faults: list[tuple[int, str]] = []
    _check_places(rows, faults)
    for name, layout in sets.items():
        _check_set(rows, name, layout, faults)
    pooled = rows.column("pooled").flatten().to_numpy().reshape(len(videos), -1)
    _add_faults(
        faults,
        ~(np.isfinite(pooled).all(1) & (pooled != 0).any(1)),
        "its pooled vector is zero or not finite",
    )
    for row, data in enumerate(rows.column("thumbnail").to_pylist()):
        try:
            # load() decodes; open() alone reads the header.
            Image.open(io.BytesIO(data)).load()
        except Exception:
            faults.append((row, "its thumbnail cannot be read"))
    for row, wrong in sorted(faults):
        yield videos[row], segments[row], wrong


def _add_faults(faults: list[tuple[int, str]], bad: Any, wrong: str) -> None:
    faults += [(int(row), wrong) for row in np.flatnonzero(bad)]


def _check_places(rows: pa.RecordBatch, faults: list[tuple[int, str]]) -> None:
    columns = ("start_seconds", "end_seconds", "duration_seconds")
    starts, ends, durations = (np.asarray(rows.column(name).to_numpy()) for name in columns)
    # Comparisons with NaN are False, so a place that is no number makes no sense either.
    sound = (starts >= 0) & (ends > starts) & (ends <= durations + _SLACK_SECONDS)
    _add_faults(faults, ~sound, "its start and end are no stretch of the video")
    videos, segments = rows.column("video_id").to_pylist(), rows.column("segment_id").to_pylist()
    for row in np.flatnonzero(sound).tolist():
        if segments[row] != segment_id(videos[row], Span(float(starts[row]), float(ends[row]))):
            faults.append((row, "its name does not fit its video and place"))


def _check_set(rows: pa.RecordBatch, name: str, layout: SetLayout, faults: list[tuple[int, str]]) -> None:
    tokens = stored_tokens(rows, name, layout)
    _add_faults(faults, ~np.isfinite(tokens).all((1, 2)), f"its tokens of {name} are not finite")
    _add_faults(faults, ~(tokens != 0).any((1, 2)), f"its tokens of {name} are all zero")
    parts = parts_from_table(rows, {name: layout})
    mask = parts.pop(f"{name}_mask")
    _add_faults(faults, ~(mask <= 1).all(1), f"its mask of {name} holds values other than 0 and 1")
    _add_faults(faults, ~mask.any(1), f"its mask of {name} leaves no token")
    for column, values in parts.items():
        _add_faults(faults, ~np.isfinite(values).all(1), f"its {column} are not finite")
