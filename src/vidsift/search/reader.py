"""One version of an index, each part read when first needed, and where in it something stands.

What is read never changes: a newer version is another reader. An index that grows is tidied, and versions
that were replaced an hour ago go; :func:`ask_again` is what becomes of a question to one of these.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import IndexFolderError, IndexVersionGoneError, QueryError
from vidsift.files.paths import absolute, path_key
from vidsift.index.compatibility import check_model, check_searchable
from vidsift.index.library import records_by_video
from vidsift.index.plain_clip import load_for_index
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.calibration import Calibrator
from vidsift.search.caption_ranking import Captions
from vidsift.search.explain import LocatedSegment
from vidsift.search.filters import allowed_rows, check_place, shown_paths
from vidsift.search.gallery import Gallery, ScanFormat, best_scan_format
from vidsift.search.leaving_out import WordsLeftOut, leave_words_out
from vidsift.search.questions import Question, can_read, encode_question
from vidsift.search.ranking import Preselection, all_segments
from vidsift.search.similar import SimilarFootage, footage_set, holds_frames
from vidsift.types import Filter, Hit, Span

__all__ = ["IndexReader", "SegmentCache", "ask_again"]

T = TypeVar("T")

_QUESTIONS_HELD = 64
"""Encoded: a hundred kilobytes each for CLIP, and as many again for each further sentence of a sum."""
_SENTENCES_HELD = 16
"""Without each of their words, encoded: those of the last two sums, a megabyte each at most for CLIP."""


def ask_again(question: Callable[[], T], refresh: Callable[[], object]) -> T:
    """Ask; where the version that the question reads was cleaned up meanwhile, refresh and ask once more.

    Args:
        question: reads what it needs anew each time.
        refresh: puts the newest version in the place of the one that is gone.
    """
    try:
        return question()
    except IndexVersionGoneError:
        # Once: what was the newest a moment ago is not cleaned up for an hour.
        refresh()
    return question()


class SegmentCache:
    """What follows from the segments of one version alone, each made when first needed.

    Versions that differ only in tags or paths share it: reading a large library takes a minute.

    Args:
        store: open at the version.
        model: of the index.
        scan_format: number format of scans; the fastest of the machine when None.
    """

    def __init__(self, store: Store, model: Model, scan_format: ScanFormat | None) -> None:
        """See the class; nothing is read yet."""
        self._store = store
        self._model = model
        self._scan_format = scan_format
        self._gallery: Gallery | None = None

    @property
    def gallery(self) -> Gallery:
        """All segments, in memory."""
        if self._gallery is None:
            self._gallery = Gallery.read(self._store, self._model.method.eval(), self._chosen_format())
        return self._gallery

    def is_of(self, store: Store) -> bool:
        """Whether the segments were read, and are those that a store is open at."""
        return self._gallery is not None and self._gallery.version == store.version

    @cached_property
    def calibrator(self) -> Calibrator:
        """Tells how sure hits are."""
        return Calibrator(self._store.folder, self._model, self.gallery)

    @cached_property
    def footage(self) -> tuple[SimilarFootage, Gallery]:
        """How footage is compared, and the segments as that scans them."""
        sets = self._store.manifest.sets
        terms = SimilarFootage(footage_set(sets))
        if holds_frames(self.gallery, self._model.method, sets, terms.name):
            return terms, self.gallery
        return terms, self.gallery.held_for(terms, self._chosen_format())

    def _chosen_format(self) -> ScanFormat:
        return self._scan_format or best_scan_format(self._model.device)


class IndexReader:
    """One version of an index: model, segments, paths, tags and captions.

    Args:
        store: open at the version.
        model: that the index was made with; loaded under its recorded name when None.
        device: where to encode and score.
        scan_format: see :class:`SegmentCache`.
        preselect: which segments a question scans.

    Raises:
        IndexFolderError: the index was made with another model.
    """

    def __init__(
        self,
        store: Store,
        model: Model | None = None,
        *,
        device: str = "auto",
        scan_format: ScanFormat | None = None,
        preselect: Preselection = all_segments,
    ) -> None:
        """See the class; nothing is read yet."""
        self.store = store
        self.preselect = preselect
        self._model = model
        self._device = device
        self._scan_format = scan_format
        self._segments: SegmentCache | None = None
        if model is not None:
            _check_made_with(store, model)

    @property
    def model(self) -> Model:
        """The model that the index was made with.

        Raises:
            IndexFolderError: it cannot be found, or is another one by now.
        """
        if self._model is None:
            model = _load_model(self.store, self._device)
            _check_made_with(self.store, model, self.store.manifest.model)
            self._model = model
        return self._model

    @property
    def segments(self) -> SegmentCache:
        """The segments, and what follows from them."""
        if self._segments is None:
            self._segments = SegmentCache(self.store, self.model, self._scan_format)
        return self._segments

    @property
    def gallery(self) -> Gallery:
        """All segments, in memory."""
        return self.segments.gallery

    def newest(self, *, share_segments: bool) -> IndexReader:
        """Open the index as it is on disk now; the model is not loaded again.

        Args:
            share_segments: take over the segments that were read, where the newest version has the same ones.

        Raises:
            IndexFolderError: it cannot be read, or is of another model by now.
        """
        newest = IndexReader(
            Store.open(self.store.folder),
            self._model,
            device=self._device,
            scan_format=self._scan_format,
            preselect=self.preselect,
        )
        # Not where people ask to read everything again: an index made anew may have the same version.
        if share_segments and self._segments is not None and self._segments.is_of(newest.store):
            newest._segments = self._segments
        return newest

    @cached_property
    def records(self) -> Mapping[str, FileRecord]:
        """What is known of each path."""
        return self._read(self.store.read_files)

    @cached_property
    def paths(self) -> Mapping[str, list[str]]:
        """Where each video lies, ascending; only files that can be read."""
        videos = records_by_video(self.records)
        return {video_id: [record.path for record in records] for video_id, records in videos.items()}

    @cached_property
    def captions_by_video(self) -> Mapping[str, Sequence[str]]:
        """The captions of each video that has some."""
        return self._read(self.store.read_captions)

    @cached_property
    def captions(self) -> Captions:
        """The captions that the model can read, encoded."""
        sentences = (sentence for of_video in self.captions_by_video.values() for sentence in of_video)
        return Captions(self.model, [sentence for sentence in sentences if can_read(self.model, sentence)])

    @cached_property
    def question(self) -> Callable[[str], Question]:
        """Encodes a question, once for its hits, their accounts and strips."""
        return lru_cache(_QUESTIONS_HELD)(partial(encode_question, self.model))

    @cached_property
    def left_out(self) -> Callable[[str], WordsLeftOut]:
        """Encodes a sentence without each of its words, once for all hits of a question."""
        return lru_cache(_SENTENCES_HELD)(partial(leave_words_out, self.model))

    @cached_property
    def tags(self) -> Mapping[str, set[str]]:
        """The tags of each video that has some."""
        return self._read(self.store.read_tags)

    def _read(self, read: Callable[[], T]) -> T:
        """Read one of the smaller tables; raises as :meth:`~vidsift.search.gallery.Gallery.read`."""
        with self.store.reading():
            return read()

    def allowed(self, filter: Filter) -> tuple[dict[str, str], NDArray[np.bool_]]:
        """The path to show for each video that may be found, and which segments may, bool ``(V,)``.

        Raises:
            QueryError: no video of the index lies in the filter's folder.
        """
        if not filter.narrows:
            return self._everything
        check_place(filter, self.paths)
        paths = shown_paths(filter, self.paths, self.records, self.tags)
        return paths, allowed_rows(self.gallery, filter, paths)

    @cached_property
    def _everything(self) -> tuple[dict[str, str], NDArray[np.bool_]]:
        # Tags are not read for it: a damaged table of tags must not keep anybody from searching.
        paths = shown_paths(Filter(), self.paths, self.records, {})
        return paths, allowed_rows(self.gallery, Filter(), paths)

    def records_of(self, video_id: str, first: str = "") -> list[FileRecord]:
        """The files of a video, ascending by path, but one that is to come first."""
        paths = sorted(self.paths.get(video_id, []), key=lambda path: path != first)
        return [self.records[path] for path in paths]

    def rows_of_video(self, video_id: str) -> list[int]:
        """The rows of a video's segments, in the order of their ids.

        Raises:
            QueryError: the index holds no such video.
        """
        rows = [row for row, video in enumerate(self.gallery.video_ids) if video == video_id]
        if not rows or video_id not in self.paths:
            raise QueryError(f"the index holds no video {video_id!r}; a hit's video_id names one")
        return rows

    def find(self, segment_id: str) -> int | None:
        """The row of a segment; None where the index holds none of this id."""
        ids = self.gallery.segment_ids
        row = bisect_left(ids, segment_id)  # ids stand ascending
        return row if row < len(ids) and ids[row] == segment_id else None

    def row_of(self, hit: Hit | str) -> int:
        """The row of a hit's segment, or of the segment of an id.

        Raises:
            QueryError: the index holds no such segment.
        """
        row = self.find(hit if isinstance(hit, str) else hit.segment_id)
        if row is not None:
            return row
        name = repr(hit) if isinstance(hit, str) else f"{hit.path} from {hit.segment.start_seconds:.1f} s"
        raise QueryError(f"the segment {name} is not in this index; a hit's segment_id names one")

    def segment(self, hit: Hit | str) -> LocatedSegment:
        """The segment of a hit, or of an id; raises as :meth:`row_of`."""
        row = self.row_of(hit)
        video_id, span = self.gallery.video_ids[row], Span(*map(float, self.gallery.spans[row]))
        path = self.paths.get(video_id, [""])[0] if isinstance(hit, str) else hit.path
        return LocatedSegment(row, self.gallery.segment_ids[row], video_id, path, span)

    def thumbnail(self, hit: Hit | str) -> bytes:
        """The JPEG that is stored for a segment; raises as :meth:`row_of`."""
        table = self.gallery.columns([self.row_of(hit)], ["thumbnail"])
        return bytes(table["thumbnail"][0].as_py())

    def video_at(self, path: str | Path) -> str:
        """The identity of the video at a path.

        Raises:
            QueryError: the index holds no video there.
        """
        place = absolute(path)
        record = self._record_at(place)
        if record is None or record.video_id is None:
            why = "" if record is None else f": {record.reason}"
            raise QueryError(
                f"the index holds no video at {place}{why}; see what is indexed with: vidsift info"
            )
        return record.video_id

    def _record_at(self, place: str) -> FileRecord | None:
        record = self.records.get(place)
        if record is not None:
            return record
        # The same path in another spelling, where the system takes both for one.
        key = path_key(place)
        return next((record for path, record in self.records.items() if path_key(path) == key), None)


def _load_model(store: Store, device: str) -> Model:
    """Load the model that an index was made with."""
    manifest = store.manifest
    if not manifest.model:
        raise IndexFolderError(
            f"the index {store.folder} was made with a model from memory, {manifest.model_name!r}; "
            "give it: Index.open(folder, model)"
        )
    try:
        return load_for_index(manifest.model, device, manifest)
    except (ValueError, OSError) as error:
        raise IndexFolderError(
            f"the index {store.folder} was made with the model {manifest.model}, which cannot be "
            f"loaded: {error}; put it back, or name where it is now with --model"
        ) from error


def _check_made_with(store: Store, model: Model, name: str = "") -> None:
    """Refuse a model that is not the one that an index was made with, or that cannot search."""
    check_model(store, model, name)
    check_searchable(model, store.manifest.sets)
