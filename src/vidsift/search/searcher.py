"""An index, open for questions: sentence in, hits out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from vidsift.encoders.device import choose_device
from vidsift.index.candidates import Preselection, all_segments, check_searchable
from vidsift.index.reading import Gallery, Places, ScanFormat, best_scan_format
from vidsift.index.storage import FileRecord, IndexFolderError, Store, default_folder, describe
from vidsift.methods.model import Model, load
from vidsift.search.errors import QueryError
from vidsift.search.explain import Explanation, account_for
from vidsift.search.filters import (
    Conditions,
    Filter,
    Limits,
    allowed_rows,
    shown_paths,
    split_conditions,
)
from vidsift.search.moments import Looked, looks, moment_around
from vidsift.search.questions import Question, parse
from vidsift.search.ranking import GroupBy, Ranked, Wanted, rank, rerank
from vidsift.search.rescore import Candidates, align_exactly, one_thread, score_exactly
from vidsift.types import Features, Hit, Span

__all__ = ["CANDIDATES", "GroupBy", "Index", "QueryError", "Strip"]

CANDIDATES = 100
"""Segments that a black box scores for a question when nobody says."""


class Strip(NamedTuple):
    """What each second of a video that was looked at gave to the score of its segment.

    Attributes:
        times_seconds: ascending.
        shares: of each; those of a segment sum to what its tokens with a time gave to its score.
    """

    times_seconds: tuple[float, ...]
    shares: tuple[float, ...]


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
    def _records(self) -> dict[str, FileRecord]:
        return self._store.read_files()

    @cached_property
    def _places(self) -> Places:
        return Places(self._records)

    @cached_property
    def _tags(self) -> dict[str, set[str]]:
        """Tags of each video; an index of an older format has none."""
        read = getattr(self._store, "read_tags", None)
        return {} if read is None else read()

    def refresh(self) -> None:
        """Read the index again: what was added or removed since it was opened counts from now on."""
        self._store = Store.open(self._store.folder)
        for name in ("gallery", "_records", "_places", "_tags", "_everything"):
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
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        tags: Sequence[str] = (),
        min_score: float | None = None,
        group_by: GroupBy = "segment",
        candidates: int | None = None,
        skip: int = 0,
    ) -> list[Hit]:
        """Find the segments that fit a sentence best.

        Args:
            query: what the video should show. With a + or - that has spaces around, the parts are scored one
                by one, and their scores added or taken off: ``a dog + snow - person``, see
                :func:`~vidsift.search.questions.parse`.
            k: how many hits at most.
            under: only videos in this folder.
            min_duration_seconds: only videos at least this long.
            max_duration_seconds: only videos at most this long.
            modified_after: only videos with a file that was last written at this time or later.
            modified_before: only videos with a file that was last written earlier.
            tags: only videos that carry all of these.
            min_score: only segments that score at least this.
            group_by: "video" keeps only the best segment of each video.
            candidates: how many segments a black box scores, :data:`CANDIDATES` when None, ``skip + k`` at
                least; as many as there are makes its hits exact. Other methods score every segment.
            skip: leave out so many of the best: the page that follows them. Pages of a black box fit each
                other where ``candidates`` is the same for all and at least ``skip + k``.

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
            modified_after=modified_after,
            modified_before=modified_before,
            tags=tags,
            min_score=min_score,
            group_by=group_by,
            candidates=candidates,
            skip=skip,
        )[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, **conditions: Unpack[Conditions]
    ) -> list[list[Hit]]:
        """Answer several questions in one scan; each gets the hits that :meth:`search` would give it."""
        limits, wanted = split_conditions(k, conditions)
        self._check_candidates(limits.candidates)
        questions = [self._question(query) for query in queries]
        paths, allowed = self._allowed(wanted)
        ranked = self._rank(questions, limits, allowed)
        return [self._hits(one, best, paths, limits) for one, best in zip(questions, ranked, strict=True)]

    def in_video(self, query: str, video_id: str) -> list[Hit]:
        """Score every segment of a video, exactly.

        Returns:
            One hit a segment, in the order of time; the rank is that among them.

        Raises:
            QueryError: the query cannot be answered, or the index holds no such video.
        """
        rows = [row for row, one in enumerate(self.gallery.video_ids) if one == video_id]
        if not rows or video_id not in self._places.paths:
            raise QueryError(f"the index holds no video {video_id!r}; a hit's video_id names one")
        question = self._question(query)
        scores = score_exactly(self.model.method, Candidates(self.gallery), question, rows).tolist()
        best_first = sorted(zip(rows, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
        paths = {video_id: self._places.paths[video_id][0]}
        hits = self._hits(question, Ranked(best_first), paths, Limits(k=len(rows)))
        return sorted(hits, key=lambda hit: hit.segment)

    def strip(self, query: str, video_id: str) -> Strip:
        """Tell where in a video a sentence matches: what each second that was looked at gave.

        Empty for a black box.

        Raises:
            QueryError: the query cannot be answered, or the index holds no such video.
        """
        hits = self.in_video(query, video_id)
        return Strip(
            tuple(time for hit in hits for time in hit.times_seconds),
            tuple(share for hit in hits for share in hit.shares),
        )

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
        questions = [Question((text,)) for text in texts]
        return [one.best for one in self._rank(questions, Limits(k, group_by=group_by), allowed)]

    def _rank(
        self, questions: Sequence[Question], limits: Limits, allowed: NDArray[np.bool_]
    ) -> list[Ranked]:
        method, gallery = self.model.method, self.gallery
        wanted = Wanted(limits.k + limits.skip, allowed, limits.group_by, self._preselect)
        if not method.black_box:
            return rank(gallery, method, questions, wanted)
        candidates = CANDIDATES if limits.candidates is None else limits.candidates
        return rerank(gallery, method, questions, wanted, candidates)

    def explain(self, query: str, hit: Hit | str) -> Explanation:
        """Account for a hit's score: which word met which frame, and what that gave.

        Args:
            query: what was asked.
            hit: or the id of a segment.

        Raises:
            NoAlignmentError: if the method is a black box.
            QueryError: if the query cannot be answered, or the segment is not of this index.
        """
        question, row = self._question(query), self._row_of(hit)
        score = float(score_exactly(self.model.method, Candidates(self.gallery), question, [row])[0])
        terms = []
        for part, text in zip(parse(query), question.texts, strict=True):
            account, video = next(align_exactly(self.model.method, self.gallery, text, [row]))
            pieces = self.model.tokenize([part.sentence]).pieces[0]
            terms += account_for(
                part, pieces=pieces, method=self.model.method, text=text, video=video, account=account
            )
        video_id, span = self.gallery.video_ids[row], Span(*map(float, self.gallery.spans[row]))
        path = self._places.paths.get(video_id, [""])[0] if isinstance(hit, str) else hit.path
        return Explanation(query, score, terms, self.gallery.segment_ids[row], video_id, path, span)

    def thumbnail(self, hit: Hit | str) -> bytes:
        """Return the JPEG kept for a hit's segment, or for the segment of an id."""
        table = self.gallery.columns([self._row_of(hit)], ["thumbnail"])
        return bytes(table["thumbnail"][0].as_py())

    def _check_candidates(self, candidates: int | None) -> None:
        if candidates is not None and not self.model.method.black_box:
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

    def _allowed(self, wanted: Filter) -> tuple[dict[str, str], NDArray[np.bool_]]:
        """The path to show for each video that may be found, and which segments may."""
        if wanted == Filter():
            return self._everything
        paths = shown_paths(wanted, self._places.paths, self._records, self._tags)
        return paths, allowed_rows(self.gallery, wanted, paths)

    @cached_property
    def _everything(self) -> tuple[dict[str, str], NDArray[np.bool_]]:
        paths = shown_paths(Filter(), self._places.paths, self._records, {})
        return paths, allowed_rows(self.gallery, Filter(), paths)

    def _hits(
        self, question: Question, ranked: Ranked, paths: Mapping[str, str], limits: Limits
    ) -> list[Hit]:
        gallery = self.gallery
        last = limits.skip + limits.k
        best = [(row, score) for row, score in ranked.best[limits.skip : last] if _enough(score, limits)]
        rows = [row for row, _ in best]
        segments = [Span(*map(float, gallery.spans[row])) for row in rows]
        # A black box gives no account: the moment is that of its first stage.
        terms, black_box = self.model.method.scanned, self.model.method.black_box
        looked = looks(terms, gallery, question, rows)
        nothing = Looked(np.zeros(0), np.zeros(0))
        told = [nothing] * len(rows) if black_box else looked
        return [
            Hit(
                rank=limits.skip + place + 1,
                score=score,
                path=paths[gallery.video_ids[row]],
                video_id=gallery.video_ids[row],
                segment=segments[place],
                moment=moment_around(looked[place].times_seconds, looked[place].shares, segments[place]),
                candidates=ranked.candidates,
                segment_id=gallery.segment_ids[row],
                times_seconds=tuple(told[place].times_seconds.tolist()),
                shares=tuple(told[place].shares.tolist()),
            )
            for place, (row, score) in enumerate(best)
        ]

    def _row_of(self, hit: Hit | str) -> int:
        """The row of a segment; ids stand ascending."""
        name = hit if isinstance(hit, str) else hit.segment_id
        ids = self.gallery.segment_ids
        row = bisect_left(ids, name)
        if row < len(ids) and ids[row] == name:
            return row
        said = repr(hit) if isinstance(hit, str) else f"{hit.path} from {hit.segment.start_seconds:.1f} s"
        raise QueryError(f"the segment {said} is not in this index; a hit's segment_id names one")


def _enough(score: float, limits: Limits) -> bool:
    return limits.min_score is None or score >= limits.min_score
