"""An index, open for questions: sentence in, hits out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.encoders.device import choose_device
from vidsift.index.candidates import Preselection, all_segments, check_searchable
from vidsift.index.plan import absolute
from vidsift.index.plan import under as lies_under
from vidsift.index.reading import Gallery, Places, ScanFormat, best_scan_format
from vidsift.index.storage import IndexFolderError, Store, default_folder, describe
from vidsift.methods.model import Model, load
from vidsift.search.explain import Explanation, account_for
from vidsift.search.moments import frame_shares, moment_around
from vidsift.search.ranking import GroupBy, Ranked, Wanted, rank, rerank
from vidsift.search.rescore import Candidates, align_exactly, one_thread, score_exactly
from vidsift.types import Features, Hit, Span

__all__ = ["CANDIDATES", "GroupBy", "Index", "QueryError"]

CANDIDATES = 100
"""Segments that a black box scores for a question when nobody says."""


class QueryError(ValueError):
    """The question cannot be answered as it is; the message says what to change."""


class Index:
    """An index, open for questions.

    Hits are exact: every segment is scanned with the method's own similarity, and whatever may be among the
    best is scored again in fp32, in one fixed shape. They do not depend on the scan's number format or
    blocks, on other questions asked together, on the number of threads, or on the order in which videos were
    added. Equal scores stand in the order of segment ids.

    A method that is a black box (DRL's MLP and XTI, CLIP4Clip's tightTransf) is too dear for that: the
    segments that lead by its first stage, found as exactly, are its candidates, and it ranks them. Such hits
    are the best of the candidates, and say of how many; their moments are the first stage's.

    Example:
        ``vidsift.Index.open("my-index").search("a dog catches a frisbee", k=5)``
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
        """Use :meth:`open`."""
        self._store = store
        self._given_model = model
        self._device = device
        self._scan_format = scan_format
        self._preselect = preselect

    @classmethod
    def open(
        cls,
        folder: str | Path | None = None,
        model: str | Path | Model | None = None,
        *,
        device: str = "auto",
        scan_format: ScanFormat | None = None,
    ) -> Index:
        """Open an index; the model and the tokens are read when first needed.

        Args:
            folder: of the index; the default one when None.
            model: the model that the index was made with, if it cannot be found under its recorded name.
            device: where to encode and score; "auto" takes a GPU where there is one.
            scan_format: number format of the scan; the fastest of the machine when None. Hits are the same.

        Raises:
            IndexFolderError: there is no index, it is damaged, of another format, or of another model.
            NotSearchableError: the model is a black box without a first stage.
            ValueError: there is no such device.
        """
        choose_device(device)
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
    def _places(self) -> Places:
        return Places(self._store.read_files())

    def refresh(self) -> None:
        """Read the index again: what was added or removed since it was opened counts from now on."""
        self._store = Store.open(self._store.folder)
        for name in ("gallery", "_places"):
            self.__dict__.pop(name, None)

    @property
    def store(self) -> Store:
        """The tables that it reads."""
        return self._store

    def reopened(self) -> Index:
        """Open the index as it is on disk now, beside this one, which stays as it is.

        The model is not loaded again, and segments are read again only if there are others.

        Raises:
            IndexFolderError: it cannot be read, or is of another model by now.
        """
        fresh = Index(
            Store.open(self._store.folder),
            self.model,
            device=self._device,
            scan_format=self._scan_format,
            preselect=self._preselect,
        )
        fresh._check(self.model)
        read = self.__dict__.get("gallery")
        if read is not None and fresh._store.segments.version == read.version:
            fresh.__dict__["gallery"] = read
        return fresh

    def __len__(self) -> int:
        """Return the number of segments."""
        return int(self._store.segments.count_rows())

    def stats(self) -> dict[str, Any]:
        """Facts of the index: model, token sets, how much is in it, its size; see ``vidsift info``."""
        return describe(self._store.folder)

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        under: str | Path | None = None,
        min_duration_seconds: float | None = None,
        max_duration_seconds: float | None = None,
        group_by: GroupBy = "segment",
        candidates: int | None = None,
    ) -> list[Hit]:
        """Find the segments that fit a sentence best.

        Args:
            query: what the video should show.
            k: how many hits at most.
            under: only videos in this folder.
            min_duration_seconds: only videos at least this long.
            max_duration_seconds: only videos at most this long.
            group_by: "video" keeps only the best segment of each video.
            candidates: how many segments a black box scores, :data:`CANDIDATES` when None, ``k`` at least;
                as many as there are makes its hits exact. Other methods score every segment.

        Returns:
            Hits, best first.

        Raises:
            QueryError: the query is empty or longer than the model takes, or an argument makes no sense.
            IndexFolderError: the index or its model cannot be read.
        """
        return self.search_many(
            [query],
            k,
            under=under,
            min_duration_seconds=min_duration_seconds,
            max_duration_seconds=max_duration_seconds,
            group_by=group_by,
            candidates=candidates,
        )[0]

    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        under: str | Path | None = None,
        min_duration_seconds: float | None = None,
        max_duration_seconds: float | None = None,
        group_by: GroupBy = "segment",
        candidates: int | None = None,
    ) -> list[list[Hit]]:
        """Answer several questions in one scan; each gets the hits that :meth:`search` would give it."""
        if k < 1:
            raise QueryError(f"k is {k}, expected at least 1")
        if group_by not in ("segment", "video"):
            raise QueryError(f"group_by is {group_by!r}, expected 'segment' or 'video'")
        self._check_candidates(candidates)
        for query in queries:
            self._check_query(query)
        paths = self._paths_under(under)
        allowed = self._allowed(paths, min_duration_seconds, max_duration_seconds)
        texts = [self._encode(query) for query in queries]
        ranked = self._rank(texts, k, allowed, group_by, candidates)
        return [self._hits(text, best, paths) for text, best in zip(texts, ranked, strict=True)]

    def rank(
        self, texts: Sequence[Features], k: int, allowed: NDArray[np.bool_], group_by: GroupBy = "segment"
    ) -> list[list[tuple[int, float]]]:
        """Rank segments for prepared texts.

        Args:
            texts: prepared sets of one row each.
            k: how many at most.
            allowed: which segments may be found, bool ``(V,)``.
            group_by: see :meth:`search`.

        Returns:
            For each text rows of the gallery with their exact scores, best first.
        """
        return [one.best for one in self._rank(texts, k, allowed, group_by, None)]

    def _rank(
        self,
        texts: Sequence[Features],
        k: int,
        allowed: NDArray[np.bool_],
        group_by: GroupBy,
        candidates: int | None,
    ) -> list[Ranked]:
        method, gallery = self.model.method, self.gallery
        wanted = Wanted(k, allowed, group_by, self._preselect)
        if not method.black_box:
            return rank(gallery, method, texts, wanted)
        return rerank(gallery, method, texts, wanted, CANDIDATES if candidates is None else candidates)

    def explain(self, query: str, hit: Hit) -> Explanation:
        """Account for a hit's score: which word met which frame, and what that gave.

        Raises:
            NoAlignmentError: if the method is a black box.
            QueryError: if the hit is not of this index.
        """
        text = self._encode(query)
        row = self._row_of(hit)
        score = float(score_exactly(self.model.method, Candidates(self.gallery), text, [row])[0])
        account, video = next(align_exactly(self.model.method, self.gallery, text, [row]))
        pieces = self.model.tokenize([query]).pieces[0]
        return account_for(
            query,
            pieces=pieces,
            score=score,
            terms=self.model.method.terms,
            text=text,
            video=video,
            account=account,
        )

    def thumbnail(self, hit: Hit) -> bytes:
        """Return the JPEG kept for a hit's segment."""
        table = self.gallery.columns([self._row_of(hit)], ["thumbnail"])
        return bytes(table["thumbnail"][0].as_py())

    def _check_candidates(self, candidates: int | None) -> None:
        if candidates is None:
            return
        if candidates < 1:
            raise QueryError(f"candidates is {candidates}, expected at least 1")
        if not self.model.method.black_box:
            raise QueryError(
                f"candidates is {candidates}, but {self.model.name} is no black box and scores every "
                "segment; leave candidates out"
            )

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

    def _check_query(self, query: str) -> None:
        if not query.strip():
            raise QueryError(
                'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
            )
        model = self.model
        try:
            tokens = model.tokenize([query])
        except ValueError as no_words:
            raise QueryError(str(no_words)) from no_words
        if tokens.cut[0]:
            raise QueryError(
                f"the query is too long: the model takes {model.max_words} tokens (about "
                f"{model.max_words * 3 // 4} words); shorten it"
            )

    def _encode(self, query: str) -> dict[str, Any]:
        """Encode one text by itself and on one thread: the same bits whoever else asks."""
        with one_thread():
            return self.model.encode_text([query])

    def _paths_under(self, under: str | Path | None) -> dict[str, str]:
        """The path to show for each video that may be found."""
        if under is None:
            return {video: paths[0] for video, paths in self._places.paths.items()}
        place = absolute(under)
        inside = {
            video: next(path for path in paths if lies_under(path, place))
            for video, paths in self._places.paths.items()
            if any(lies_under(path, place) for path in paths)
        }
        if not inside:
            raise QueryError(
                f"no video of the index lies under {place}; see what is indexed with: vidsift info"
            )
        return inside

    def _allowed(
        self, paths: dict[str, str], shortest: float | None, longest: float | None
    ) -> NDArray[np.bool_]:
        gallery = self.gallery
        allowed = np.fromiter((one in paths for one in gallery.video_ids), np.bool_, len(gallery))
        if shortest is not None:
            allowed &= gallery.durations >= shortest
        if longest is not None:
            allowed &= gallery.durations <= longest
        return allowed

    def _hits(self, text: Features, ranked: Ranked, paths: dict[str, str]) -> list[Hit]:
        gallery = self.gallery
        rows = [row for row, _ in ranked.best]
        segments = [Span(*map(float, gallery.spans[row])) for row in rows]
        moments = self._moments(text, rows, segments)
        return [
            Hit(
                rank=place + 1,
                score=score,
                path=paths[gallery.video_ids[row]],
                video_id=gallery.video_ids[row],
                segment=segments[place],
                moment=moments[place],
                candidates=ranked.candidates,
            )
            for place, (row, score) in enumerate(ranked.best)
        ]

    def _moments(self, text: Features, rows: list[int], segments: list[Span]) -> list[Span]:
        """The moment of each hit; a black box gives no account, so that of its first stage stands in."""
        terms = self.model.method.scanned
        accounts = align_exactly(terms, self.gallery, terms.adapt_text(text), rows)
        return [
            moment_around(*frame_shares(terms.terms, account, video), segment)
            for (account, video), segment in zip(accounts, segments, strict=True)
        ]

    def _row_of(self, hit: Hit) -> int:
        gallery = self.gallery
        for row, video_id in enumerate(gallery.video_ids):
            if video_id == hit.video_id and tuple(gallery.spans[row]) == tuple(hit.segment):
                return row
        raise QueryError(f"{hit.path} from {hit.segment.start_seconds:.1f} s is not in this index")
