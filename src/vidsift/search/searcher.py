"""An index, open for questions: sentence in, hits out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, Self, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from vidsift.encoders.device import choose_device
from vidsift.errors import QueryError
from vidsift.index.compatibility import check_model
from vidsift.index.library import describe
from vidsift.index.manifest import index_folder
from vidsift.index.plain_clip import load_for_index
from vidsift.index.storage import Store
from vidsift.index.unchanged import unchanged_file
from vidsift.methods.model import Model
from vidsift.search.answers import (
    best_candidates,
    check_k,
    hits_for_sentences,
    hits_in_order,
    hits_in_video,
    hits_like,
)
from vidsift.search.candidates import CANDIDATES, rank_by_method
from vidsift.search.caption_ranking import rank_captions
from vidsift.search.confidence import Calibration, Fits
from vidsift.search.explain import Explanation, explain_segment, read_as_indexed
from vidsift.search.gallery import Gallery, ScanFormat, right_scan_format
from vidsift.search.match_quality import anything_fits
from vidsift.search.questions import Question
from vidsift.search.ranking import Preselection, Wanted, all_segments
from vidsift.search.reader import IndexReader, ask_again
from vidsift.search.suggestions import suggest_questions
from vidsift.search.sums import parse
from vidsift.types import Features, Filter, FilterFields, Frames, GroupBy, Hit
from vidsift.video.indexed_file import IndexedFile

__all__ = ["Index", "VideoStrip"]

P = ParamSpec("P")
T = TypeVar("T")


class VideoStrip(NamedTuple):
    """What each second of a video that was looked at gave to the score of its segment.

    Attributes:
        times_seconds: ascending.
        shares: of each; those of a segment sum to what its tokens with a time gave to its score.
    """

    times_seconds: tuple[float, ...]
    shares: tuple[float, ...]


def _retried(method: Callable[Concatenate[Index, P], T]) -> Callable[Concatenate[Index, P], T]:
    """Let a method of an index read the newest version where the one that is open was cleaned up."""

    @wraps(method)
    def retried(self: Index, /, *arguments: P.args, **named: P.kwargs) -> T:
        question = partial(method, self, *arguments, **named)
        return ask_again(question, self.refresh) if self.auto_refresh else question()

    return retried


class Index:
    """An index, open for questions.

    Hits are exact: every segment is scanned with the method's own similarity, and whatever may be among the
    best is scored again in fp32, in one fixed shape. They do not depend on the scan's number format or
    blocks, on other questions asked together, on the number of threads, or on the order in which videos were
    added. Equal scores stand in the order of segment ids.

    A method may be too dear for that (DRL's MLP and XTI, CLIP4Clip's tightTransf): the segments that lead by
    its first stage, found as exactly, are its candidates, and it ranks them. Such hits are the best of the
    candidates, and say of how many. A method without an account leaves the moments to its first stage, or
    to nothing: then they are the whole segments.

    An index may grow and be tidied while it is open: hits are those of the version that was read, until
    :meth:`refresh`, or until that version was cleaned up, when a question reads the newest one by itself.

    Example:
        ``vidsift.Index.open("my-index").search("a dog catches a frisbee", k=5)``

    Attributes:
        auto_refresh: whether a question refreshes the index by itself where its version was cleaned up since
            it was read; else that is an error, and the index stays as it is.
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
        self._reader = IndexReader(store, model, device=device, scan_format=scan_format, preselect=preselect)
        self.auto_refresh = True

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
            NotSearchableError: the model is too slow to score every segment, and has no first stage.
            ValueError: there is no such device or number format.
        """
        choose_device(device)
        if scan_format is not None:
            right_scan_format(scan_format, "cpu")
        store = Store.open(index_folder(folder))
        if isinstance(model, str | Path):
            name, model = model, load_for_index(model, device, store.manifest)
            check_model(store, model, name)
        return cls(store, model, device=device, scan_format=scan_format)

    # The index

    @property
    def model(self) -> Model:
        """The model that the index was made with.

        Raises:
            IndexFolderError: it cannot be found, or is another one by now.
        """
        return self._reader.model

    @property
    def gallery(self) -> Gallery:
        """All segments, in memory."""
        return self._reader.gallery

    @property
    def store(self) -> Store:
        """The tables that it reads."""
        return self._reader.store

    def __len__(self) -> int:
        """Return the number of segments."""
        return self.store.count()

    def stats(self) -> dict[str, Any]:
        """Facts of the index: model, token sets, how much is in it, its size; see ``vidsift info``."""
        return describe(self.store.folder)

    def refresh(self) -> None:
        """Read the index again: what was added or removed since it was opened counts from now on."""
        self._reader = self._reader.newest(share_segments=False)

    def reopened(self) -> Self:
        """Open the index as it is on disk now, beside this one, which stays as it is.

        The model is not loaded again, and segments are read again only if there are others. Its
        :attr:`auto_refresh` is that of this one.

        Raises:
            IndexFolderError: it cannot be read, or is of another model by now.
        """
        opened = copy(self)
        opened._reader = self._reader.newest(share_segments=True)
        return opened

    @_retried
    def holds(self, segment_id: str) -> bool:
        """Whether the index holds a segment of this id."""
        return self._reader.find(segment_id) is not None

    @_retried
    def video_at(self, path: str | Path) -> str:
        """Return the identity of the video at a path.

        Raises:
            QueryError: the index holds no video there.
        """
        return self._reader.video_at(path)

    @_retried
    def thumbnail(self, hit: Hit | str) -> bytes:
        """Return the JPEG kept for a hit's segment, or for the segment of an id."""
        return self._reader.thumbnail(hit)

    # Questions

    @_retried
    def search(
        self,
        query: str | Sequence[str],
        k: int = 10,
        *,
        filter: Filter | None = None,
        **conditions: Unpack[FilterFields],
    ) -> list[Hit]:
        """Find the segments that fit a sentence best.

        Args:
            query: what the video should show. With a + or - that has spaces around, the parts are scored one
                by one, and their scores added or taken off: ``a dog + snow - person``, see
                :func:`~vidsift.search.sums.parse`. A list of sentences has to come in this order within
                one video, see :mod:`vidsift.search.sequence`; each hit is then a video, with the hit of each
                sentence as its ``parts``.
            k: how many hits at most.
            filter: which videos may be found, how good the hits have to be, and which page of them is given.
            conditions: fields of :class:`~vidsift.types.Filter` by their names, in the place of those of
                ``filter``: ``under``, ``name``, ``min_duration_seconds``, ``max_duration_seconds``,
                ``modified_after``, ``modified_before``, ``tags``, ``min_score``, ``group_by``, ``candidates``
                and ``skip``.

        Returns:
            Hits, best first.

        Raises:
            QueryError: the query is empty or longer than the model takes, or an argument makes no sense.
            IndexFolderError: the index or its model cannot be read.

        Example:
            ``index.search("a dog", filter=Filter(tags=["holiday"]))``, or for short
            ``index.search("a dog", tags=["holiday"])``
        """
        sentences = [query] if isinstance(query, str) else list(query)
        if not sentences:
            raise QueryError("there is no sentence; give at least one")
        chosen = replace(filter or Filter(), **conditions)
        if len(sentences) > 1:
            return hits_in_order(self._reader, sentences, k, chosen)
        return hits_for_sentences(self._reader, sentences, k, chosen)[0]

    @_retried
    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        filter: Filter | None = None,
        **conditions: Unpack[FilterFields],
    ) -> list[list[Hit]]:
        """Answer several questions in one scan; each gets the hits that :meth:`search` would give it."""
        chosen = replace(filter or Filter(), **conditions)
        return hits_for_sentences(self._reader, queries, k, chosen)

    @_retried
    def similar(
        self,
        segment_id: str | None = None,
        frames: Frames | None = None,
        k: int = 10,
        *,
        filter: Filter | None = None,
        **conditions: Unpack[FilterFields],
    ) -> list[Hit]:
        """Find the segments that look like a segment of the index, or like pictures.

        The frames' own tokens are compared, all weighing alike, see :mod:`vidsift.search.similar`: another
        question than a sentence asks. The hits say so (``kind``), and their scores have a scale of their own.

        Args:
            segment_id: more like this one, which itself is left out.
            frames: more like these pictures, cropped to the model's size; see
                :func:`~vidsift.video.footage.read_footage`.
            k: how many hits at most.
            filter: as for :meth:`search`; ``candidates`` has no meaning here.
            conditions: likewise.

        Raises:
            QueryError: not one of the two was given, or an argument makes no sense.
            IndexFolderError: the index or its model cannot be read.
        """
        return hits_like(self._reader, segment_id, frames, k, replace(filter or Filter(), **conditions))

    @_retried
    def in_video(self, query: str, video_id: str) -> list[Hit]:
        """Score every segment of a video, exactly.

        Returns:
            One hit a segment, in the order of time; the rank is that among them.

        Raises:
            QueryError: the query cannot be answered, or the index holds no such video.
        """
        return hits_in_video(self._reader, query, video_id)

    def segment_of(self, query: str, video: str | Path) -> Hit | str:
        """Name what is to be explained: the segment of an id, or of a file the one that fits best.

        Args:
            query: what was asked.
            video: id of a segment, or path of a video in the index.

        Raises:
            QueryError: the query cannot be answered, or the index holds neither.
        """
        if isinstance(video, str) and self.holds(video):
            return video
        return min(self.in_video(query, self.video_at(video)), key=lambda hit: hit.rank)

    def strip(self, query: str, video_id: str) -> VideoStrip:
        """Tell where in a video a sentence matches: what each second that was looked at gave.

        Empty where the method has no account.

        Raises:
            QueryError: the query cannot be answered, or the index holds no such video.
        """
        hits = self.in_video(query, video_id)
        return VideoStrip(
            tuple(time for hit in hits for time in hit.times_seconds),
            tuple(share for hit in hits for share in hit.shares),
        )

    @_retried
    def captions_for(self, video_id: str, k: int = 10) -> list[tuple[str, float]]:
        """Rank the captions that the index holds for a video, each by its best segment of it.

        A method that cannot scan ranks the :data:`~vidsift.search.candidates.CANDIDATES` captions that lead
        by its first stage.

        Returns:
            Captions with their scores, best first; none where the index holds no captions.

        Raises:
            QueryError: ``k`` makes no sense, or the index holds no such video.
        """
        check_k(k)
        rows = self._reader.rows_of_video(video_id)
        return rank_captions(self.gallery, self._reader.captions, rows, k, CANDIDATES)

    @_retried
    def suggestions(self, count: int = 6) -> list[str]:
        """Name questions that the library answers well, see :mod:`vidsift.search.suggestions`."""
        return suggest_questions(self._reader, count)

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
        check_k(k)
        questions = [Question((text,)) for text in texts]
        wanted = Wanted(k, allowed, group_by, self._reader.preselect)
        ranked = rank_by_method(self.gallery, self.model.method, questions, wanted, None)
        return [answer.best for answer in ranked]

    @_retried
    def explain(
        self,
        query: str,
        hit: Hit | str,
        *,
        frames: Frames | None = None,
        leave_out: bool | Literal["auto"] = False,
    ) -> Explanation:
        """Account for a hit's score: which word met which frame, and what that gave.

        Args:
            query: what was asked.
            hit: or the id of a segment.
            frames: its pictures, see :meth:`frames_of`. With them the account also says which patches tokens
                come from, where the method can tell (``maps_on_request``); the score is the same.
            leave_out: also say how far the score, and what each frame gave to it, falls when a word is left
                out, see :mod:`vidsift.search.leaving_out`. Every method can say that; one without an account
                then has no other (``account_missing``). "auto" does so only where words do not carry the
                score (:attr:`~vidsift.search.explain.Explanation.words_carry`).

        Raises:
            NoAlignmentError: if the method has no account, and words are not left out.
            QueryError: if the query cannot be answered, or the segment is not of this index.
        """
        reader, segment = self._reader, self._reader.segment(hit)
        return explain_segment(
            self.model,
            self.gallery,
            query,
            segment,
            question=reader.question(query),
            frames=frames,
            left_out=reader.left_out if leave_out else None,
            only_where_needed=leave_out == "auto",
        )

    @_retried
    def frames_of(self, hit: Hit | str) -> Frames:
        """Read the pictures that the model looked at in a segment, as it cropped them.

        Args:
            hit: or the id of a segment.

        Raises:
            QueryError: the segment is not of this index, or its file has changed since it was indexed.
            VideoReadError: the file cannot be read.
            OSError: it is not there.
        """
        segment = self._reader.segment(hit)
        records = self._reader.records_of(segment.video_id)
        return read_as_indexed(records, segment.span, self.model.preprocessing)

    @_retried
    def file_of(self, hit: Hit) -> IndexedFile:
        """Name the file that a hit can be cut from: its own, or another of the same content.

        Raises:
            QueryError: the file has changed since it was indexed.
            OSError: it is not there.
        """
        return unchanged_file(self._reader.records_of(hit.video_id, first=hit.path))

    # How sure hits are

    @property
    def calibration(self) -> Calibration | None:
        """What unrelated questions score, by which hits tell their confidence; None for very small indexes.

        Read from beside the index, or measured: seconds, which the first search otherwise takes.
        """
        return self._reader.segments.calibrator.calibration

    @_retried
    def calibration_in_order(self, count: int) -> Fits | None:
        """What so many unrelated sentences in order score; None for very small indexes and short videos.

        Kept, or measured as :attr:`calibration`: seconds, which the first such question otherwise takes.
        """
        return self._reader.segments.calibrator.in_order(count)

    def is_calibrated_in_order(self, count: int) -> bool:
        """Whether so many sentences in order are answered without measuring first how sure such hits are."""
        return self._reader.segments.calibrator.is_measured_in_order(count)

    @_retried
    def found(
        self,
        query: str | Sequence[str],
        hits: Sequence[Hit],
        *,
        filter: Filter | None = None,
        **conditions: Unpack[FilterFields],
    ) -> bool | None:
        """Tell whether something in the library, or among the videos that fit conditions, fits a question.

        Never false where one of the hits is more than "unlikely".

        Args:
            query: what was asked.
            hits: the answer, or a page of it; the surest hit is looked for where it may not be among these.
            filter: that the hits were found with; score and page have no meaning here.
            conditions: likewise.

        Returns:
            Whether some hit is more than "unlikely", as the best of one in twenty questions about nothing in
            the library is; None where the index is not calibrated, or for sums of sentences.
        """
        sentences = [query] if isinstance(query, str) else list(query)
        # Pages and least scores hide hits, and say nothing of what fits.
        chosen = replace(filter or Filter(), **conditions | {"skip": 0, "min_score": None})
        if self.calibration is None or any(len(parse(sentence)) > 1 for sentence in sentences):
            return None
        shown = anything_fits(hit.match for hit in hits)
        if shown:
            return True
        if not self.model.method.scans:
            return anything_fits(best_candidates(self._reader, sentences, chosen)) or False
        if not (hits and hits[0].rank == 1):
            hits = self.search(query, 1, filter=chosen)
            shown = anything_fits(hit.match for hit in hits)
        return shown if hits else False
