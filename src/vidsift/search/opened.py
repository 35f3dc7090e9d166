"""An index folder, its model and its segments in memory: what every question is asked of."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidsift.encoders.device import choose_device
from vidsift.errors import IndexFolderError, IndexVersionGoneError, QueryError
from vidsift.files.paths import absolute, path_key
from vidsift.index.compatibility import check_searchable
from vidsift.index.library import describe
from vidsift.index.manifest import default_folder
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.methods.model import Model, load
from vidsift.search.candidates import Preselection, all_segments
from vidsift.search.filters import allowed_rows, check_place, shown_paths
from vidsift.search.gallery import (
    Gallery,
    Places,
    ScanFormat,
    best_scan_format,
    right_scan_format,
)
from vidsift.search.questions import Question, parse
from vidsift.search.rescore import one_thread
from vidsift.types import Filter, Hit

__all__ = ["OpenIndex", "renewing"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="OpenIndex")


def renewing(question: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Let a method of an open index ask once more, where what was read had been cleaned up in the meantime.

    An index that grows is tidied: versions that were replaced an hour ago go. Who opened it before and asks
    after that meets no files any more; the index as it is now answers as well.
    """

    @wraps(question)
    def asked(self: S, /, *given: P.args, **named: P.kwargs) -> T:
        try:
            return question(self, *given, **named)
        except IndexVersionGoneError:
            if not self.renews:
                raise
        self.refresh()
        return question(self, *given, **named)

    return asked


class OpenIndex:
    """What is in an index, read when first needed; :class:`~vidsift.search.searcher.Index` asks questions.

    Attributes:
        renews: whether a question refreshes the index by itself where its version was cleaned up since it
            was read; else that is an error, and the index stays as it is.
    """

    _OF_THE_GALLERY: ClassVar[tuple[str, ...]] = ()
    """Cached properties that follow from the segments alone."""

    def __init__(
        self,
        store: Store,
        model: Model | None = None,
        *,
        device: str = "auto",
        scan_format: ScanFormat | None = None,
        preselect: Preselection = all_segments,
    ) -> None:
        """Use :meth:`open`."""
        self._store = store
        self._given_model = model
        self._device = device
        self._scan_format = scan_format
        self._preselect = preselect
        self.renews = True

    @classmethod
    def open(
        cls,
        folder: str | Path | None = None,
        model: str | Path | Model | None = None,
        *,
        device: str = "auto",
        scan_format: ScanFormat | None = None,
    ) -> Self:
        """Open an index; the model and the tokens are read when first needed.

        Args:
            folder: of the index; the default one when None.
            model: the model that the index was made with, if it cannot be found under its recorded name.
            device: where to encode and score; "auto" takes a GPU where there is one.
            scan_format: number format of the scan; the fastest of the machine when None
                (:func:`~vidsift.search.gallery.best_scan_format`). They differ in memory and speed; hits are
                the same, since the leaders of the scan are scored again in fp32 (``results/search.md``).

        Raises:
            IndexFolderError: there is no index, it is damaged, of another format, or of another model.
            NotSearchableError: the model is too dear to scan and has no first stage.
            ValueError: there is no such device or number format.
        """
        choose_device(device)
        if scan_format is not None:
            right_scan_format(scan_format, "cpu")
        store = Store.open(default_folder() if folder is None else Path(folder).expanduser())
        loaded = model if isinstance(model, Model) or model is None else load(model, device)
        index = cls(store, loaded, device=device, scan_format=scan_format)
        if loaded is not None:
            index._check(loaded)
        return index

    @cached_property
    def model(self) -> Model:
        """The model that the index was made with.

        Raises:
            IndexFolderError: it cannot be found, or is another one by now.
        """
        if self._given_model is not None:
            return self._given_model
        manifest = self._store.manifest
        if not manifest.model:
            raise IndexFolderError(
                f"the index {self._store.folder} was made with a model from memory, {manifest.model_name!r}; "
                "give it: Index.open(folder, model)"
            )
        try:
            model = load(manifest.model, self._device)
        except (ValueError, OSError) as error:
            raise IndexFolderError(
                f"the index {self._store.folder} was made with the model {manifest.model}, which cannot be "
                f"loaded: {error}; put it back, or name where it is now with --model"
            ) from error
        self._check(model)
        return model

    @cached_property
    def gallery(self) -> Gallery:
        """All segments, in memory."""
        chosen = self._scan_format or best_scan_format(self.model.device)
        return Gallery.read(self._store, self.model.method.eval(), chosen)

    @cached_property
    def _records(self) -> dict[str, FileRecord]:
        return self._read(self._store.read_files)

    @cached_property
    def _places(self) -> Places:
        return Places(self._records)

    @cached_property
    def _tags(self) -> dict[str, set[str]]:
        return self._read(self._store.read_tags)

    def _read(self, read: Callable[[], T]) -> T:
        """Read one of the smaller tables; raises as :meth:`~vidsift.search.gallery.Gallery.read`."""
        with self._store.reading():
            return read()

    def refresh(self) -> None:
        """Read the index again: what was added or removed since it was opened counts from now on."""
        self._store = Store.open(self._store.folder)
        for name in list(self.__dict__):
            if name != "model" and isinstance(getattr(type(self), name, None), cached_property):
                del self.__dict__[name]

    @property
    def store(self) -> Store:
        """The tables that it reads."""
        return self._store

    def reopened(self) -> Self:
        """Open the index as it is on disk now, beside this one, which stays as it is.

        The model is not loaded again, and segments are read again only if there are others. It
        :attr:`renews` as this one does.

        Raises:
            IndexFolderError: it cannot be read, or is of another model by now.
        """
        fresh = type(self)(
            Store.open(self._store.folder),
            self.model,
            device=self._device,
            scan_format=self._scan_format,
            preselect=self._preselect,
        )
        fresh.renews = self.renews
        fresh._check(self.model)
        read = self.__dict__.get("gallery")
        if read is not None and fresh._store.version == read.version:
            for name in ("gallery", *self._OF_THE_GALLERY):
                if name in self.__dict__:
                    fresh.__dict__[name] = self.__dict__[name]
        return fresh

    def __len__(self) -> int:
        """Return the number of segments."""
        return self._store.count()

    def stats(self) -> dict[str, Any]:
        """Facts of the index: model, token sets, how much is in it, its size; see ``vidsift info``."""
        return describe(self._store.folder)

    @renewing
    def video_at(self, path: str | Path) -> str:
        """Return the identity of the video at a path.

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
        record = self._records.get(place)
        if record is not None:
            return record
        # The same path in another spelling, where the system takes both for one.
        key = path_key(place)
        return next((one for path, one in self._records.items() if path_key(path) == key), None)

    @renewing
    def holds(self, segment_id: str) -> bool:
        """Whether the index holds a segment of this id."""
        return self._find(segment_id) is not None

    @renewing
    def thumbnail(self, hit: Hit | str) -> bytes:
        """Return the JPEG kept for a hit's segment, or for the segment of an id."""
        table = self.gallery.columns([self._row_of(hit)], ["thumbnail"])
        return bytes(table["thumbnail"][0].as_py())

    def _check(self, model: Model) -> None:
        manifest = self._store.manifest
        if model.fingerprint != manifest.fingerprint:
            raise IndexFolderError(
                f"the index {self._store.folder} was made with another model: "
                f"{manifest.model or manifest.model_name} of fingerprint {manifest.fingerprint[:12]}, and "
                f"{model.name} has {model.fingerprint[:12]}; use that model, or index the videos again into "
                "another folder"
            )
        check_searchable(model, manifest.sets)

    def _question(self, query: str) -> Question:
        """Read and encode a question; each text by itself and on one thread: the same bits whoever asks."""
        parts = parse(query)
        for part in parts:
            self._check_sentence(part.sentence)
        with one_thread():
            texts = tuple(self.model.encode_text([part.sentence]) for part in parts)
        return Question(texts, tuple(part.weight for part in parts))

    def _check_sentence(self, sentence: str) -> None:
        if not sentence.strip():
            raise QueryError(
                'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
            )
        model = self.model
        try:
            tokens = model.tokenize([sentence])
        except ValueError as no_words:
            raise QueryError(str(no_words)) from no_words
        if tokens.cut[0]:
            raise QueryError(
                f"the query is too long: the model takes {model.max_words} tokens (about "
                f"{model.max_words * 3 // 4} words); shorten it"
            )

    def _allowed(self, filter: Filter) -> tuple[dict[str, str], NDArray[np.bool_]]:
        """The path to show for each video that may be found, and which segments may."""
        if not filter.narrows:
            return self._everything
        check_place(filter, self._places.paths)
        paths = shown_paths(filter, self._places.paths, self._records, self._tags)
        return paths, allowed_rows(self.gallery, filter, paths)

    @cached_property
    def _everything(self) -> tuple[dict[str, str], NDArray[np.bool_]]:
        paths = shown_paths(Filter(), self._places.paths, self._records, {})
        return paths, allowed_rows(self.gallery, Filter(), paths)

    def _rows_of_video(self, video_id: str) -> list[int]:
        """The rows of a video's segments, in the order of their ids."""
        rows = [row for row, one in enumerate(self.gallery.video_ids) if one == video_id]
        if not rows or video_id not in self._places.paths:
            raise QueryError(f"the index holds no video {video_id!r}; a hit's video_id names one")
        return rows

    def _reads(self, sentence: str) -> bool:
        """Whether the model can read a whole sentence."""
        try:
            self._check_sentence(sentence)
        except QueryError:
            return False
        return True

    def _row_of(self, hit: Hit | str) -> int:
        """The row of a segment; ids stand ascending."""
        row = self._find(hit if isinstance(hit, str) else hit.segment_id)
        if row is not None:
            return row
        said = repr(hit) if isinstance(hit, str) else f"{hit.path} from {hit.segment.start_seconds:.1f} s"
        raise QueryError(f"the segment {said} is not in this index; a hit's segment_id names one")

    def _find(self, segment_id: str) -> int | None:
        ids = self.gallery.segment_ids
        row = bisect_left(ids, segment_id)
        return row if row < len(ids) and ids[row] == segment_id else None
