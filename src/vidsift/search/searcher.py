"""An index, open for questions: sentence in, hits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import QueryError
from vidsift.search.captions import Captions, rank_captions
from vidsift.search.confidence import (
    FEWEST,
    Background,
    Calibration,
    Fits,
    anything_fits,
    calibrated,
    calibrated_in_order,
)
from vidsift.search.explain import Explanation, account_for
from vidsift.search.gallery import Gallery, best_scan_format
from vidsift.search.hits import hits_of, page_of_rows
from vidsift.search.opened import OpenIndex, renewing
from vidsift.search.patches import read_as_indexed, traced_patches
from vidsift.search.questions import Question, parse
from vidsift.search.ranking import Ranked, Wanted, rank, rerank
from vidsift.search.rescore import Candidates, align_exactly, score_exactly
from vidsift.search.sequence import Story, best_stories, in_order, page_of_stories, story_hits
from vidsift.search.similar import KIND, SimilarFootage, encode_footage, footage_set, holds_frames
from vidsift.types import Features, Filter, FilterFields, Frames, GroupBy, Hit, Span

__all__ = ["CANDIDATES", "Index", "Strip"]

CANDIDATES = 100
"""Segments that a method that cannot scan scores for a question when nobody says."""


class Strip(NamedTuple):
    """What each second of a video that was looked at gave to the score of its segment.

    Attributes:
        times_seconds: ascending.
        shares: of each; those of a segment sum to what its tokens with a time gave to its score.
    """

    times_seconds: tuple[float, ...]
    shares: tuple[float, ...]


class Index(OpenIndex):
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
    """

    _OF_THE_GALLERY = ("calibration", "_background", "measured_in_order", "_footage")

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
                :func:`~vidsift.search.questions.parse`. A list of sentences has to come in this order within
                one video, see :mod:`vidsift.search.sequence`; each hit is then a video, with the hit of each
                sentence as its ``parts``.
            k: how many hits at most.
            filter: which videos may be found, how good the hits have to be, and which page of them is given.
            conditions: fields of :class:`~vidsift.types.Filter` by their names, in the place of those of
                ``filter``: ``under``, ``min_duration_seconds``, ``max_duration_seconds``, ``modified_after``,
                ``modified_before``, ``tags``, ``min_score``, ``group_by``, ``candidates`` and ``skip``.

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
            return self._search_in_order(sentences, k, chosen)
        return self.search_many(sentences, k, filter=chosen)[0]

    @renewing
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
        self._check_page(k, chosen)
        questions = [self._question(query) for query in queries]
        paths, allowed = self._allowed(chosen)
        ranked = self._rank(questions, k, chosen, allowed)
        return [
            self._hits(question, best, k, chosen, paths)
            for question, best in zip(questions, ranked, strict=True)
        ]

    @renewing
    def _search_in_order(self, sentences: Sequence[str], k: int, filter: Filter) -> list[Hit]:
        self._check_page(k, filter)
        questions = [self._question(sentence) for sentence in sentences]
        paths, allowed = self._allowed(filter)
        method, gallery = self.model.method, self.gallery
        told = method.scans and method.explains  # else the shares would be the first stage's
        stories = in_order(
            gallery,
            method,
            questions,
            Wanted(filter.skip + k, allowed, "video", self._preselect),
            CANDIDATES if filter.candidates is None else filter.candidates,
        )
        sure = self._confidences_in_order(questions, page_of_stories(stories, k, filter))
        return story_hits(gallery, stories, k, filter, paths=paths, told=told, confidences=sure)

    @renewing
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
                :func:`~vidsift.search.similar.read_footage`.
            k: how many hits at most.
            filter: as for :meth:`search`; ``candidates`` has no meaning here.
            conditions: likewise.

        Raises:
            QueryError: not one of the two was given, or an argument makes no sense.
            IndexFolderError: the index or its model cannot be read.
        """
        chosen = replace(filter or Filter(), **conditions)
        _check_k(k)
        if (segment_id is None) == (frames is None):
            raise QueryError("similar footage is asked for by segment_id or by frames; give one of them")
        if chosen.candidates is not None:
            raise QueryError("similar footage scores every segment; leave candidates out")
        paths, allowed = self._allowed(chosen)
        terms, gallery = self._footage
        if frames is not None:
            seen: Features = encode_footage(self.model, frames)
        else:
            assert segment_id is not None
            row = self._row_of(segment_id)
            seen = gallery.exact([row])
            seen = {name: tokens.to(device=gallery.device) for name, tokens in seen.items()}
            allowed = allowed.copy()
            allowed[row] = False
        question = Question(({terms.name: seen[terms.name]},))
        asked = Wanted(chosen.skip + k, allowed, chosen.group_by)
        (ranked,) = rank(gallery, terms, [question], asked)
        hits = hits_of(gallery, terms, question, ranked, k=k, filter=chosen, paths=paths)
        return [replace(hit, kind=KIND) for hit in hits]

    @cached_property
    def _footage(self) -> tuple[SimilarFootage, Gallery]:
        """How footage is compared, and the segments as it scans them."""
        sets, gallery = self._store.manifest.sets, self.gallery
        terms = SimilarFootage(footage_set(sets))
        if holds_frames(gallery, self.model.method, sets, terms.name):
            return terms, gallery
        return terms, gallery.held_for(terms, self._scan_format or best_scan_format(self.model.device))

    @renewing
    def in_video(self, query: str, video_id: str) -> list[Hit]:
        """Score every segment of a video, exactly.

        Returns:
            One hit a segment, in the order of time; the rank is that among them.

        Raises:
            QueryError: the query cannot be answered, or the index holds no such video.
        """
        rows = self._rows_of_video(video_id)
        question = self._question(query)
        scores = score_exactly(self.model.method, Candidates(self.gallery), question, rows).tolist()
        best_first = sorted(zip(rows, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
        paths = {video_id: self._places.paths[video_id][0]}
        hits = self._hits(question, Ranked(best_first), len(rows), Filter(), paths)
        return sorted(hits, key=lambda hit: hit.segment)

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

    def strip(self, query: str, video_id: str) -> Strip:
        """Tell where in a video a sentence matches: what each second that was looked at gave.

        Empty where the method has no account.

        Raises:
            QueryError: the query cannot be answered, or the index holds no such video.
        """
        hits = self.in_video(query, video_id)
        return Strip(
            tuple(time for hit in hits for time in hit.times_seconds),
            tuple(share for hit in hits for share in hit.shares),
        )

    @renewing
    def captions_for(self, video_id: str, k: int = 10) -> list[tuple[str, float]]:
        """Rank the captions that the index holds for a video, each by its best segment of it.

        A method that cannot scan ranks the :data:`CANDIDATES` captions that lead by its first stage.

        Returns:
            Captions with their scores, best first; none where the index holds no captions.

        Raises:
            QueryError: ``k`` makes no sense, or the index holds no such video.
        """
        _check_k(k)
        rows = self._rows_of_video(video_id)
        return rank_captions(self.gallery, self._captions, rows, k, CANDIDATES)

    @cached_property
    def _captions(self) -> Captions:
        held = self._read(self._store.read_captions).values()
        readable = (one for own in held for one in own if self._reads(one))
        return Captions(self.model, list(readable))

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
        return [one.best for one in self._rank(questions, k, Filter(group_by=group_by), allowed)]

    def _rank(
        self, questions: Sequence[Question], k: int, filter: Filter, allowed: NDArray[np.bool_]
    ) -> list[Ranked]:
        method, gallery = self.model.method, self.gallery
        wanted = Wanted(filter.skip + k, allowed, filter.group_by, self._preselect)
        if method.scans:
            return rank(gallery, method, questions, wanted)
        candidates = CANDIDATES if filter.candidates is None else filter.candidates
        return rerank(gallery, method, questions, wanted, candidates)

    @renewing
    def explain(self, query: str, hit: Hit | str, *, frames: Frames | None = None) -> Explanation:
        """Account for a hit's score: which word met which frame, and what that gave.

        Args:
            query: what was asked.
            hit: or the id of a segment.
            frames: its pictures, see :meth:`frames_of`. With them the account also says which patches tokens
                come from, where the method can tell (``maps_on_request``); the score is the same.

        Raises:
            NoAlignmentError: if the method has no account.
            QueryError: if the query cannot be answered, or the segment is not of this index.
        """
        question, row = self._question(query), self._row_of(hit)
        score = float(score_exactly(self.model.method, Candidates(self.gallery), question, [row])[0])
        method, terms = self.model.method, []
        for part, text in zip(parse(query), question.texts, strict=True):
            account, video = next(align_exactly(method, self.gallery, text, [row]))
            pieces = self.model.tokenize([part.sentence]).pieces[0]
            traced = None if frames is None else traced_patches(self.model, frames, video)
            terms += account_for(
                part, pieces=pieces, method=method, text=text, video=video, account=account, traced=traced
            )
        segment_id, video_id, span, path = self._segment(hit)
        return Explanation(
            query, score, terms, segment_id, video_id, path, span, maps_on_request=bool(method.traced_sets)
        )

    def frames_of(self, hit: Hit | str) -> Frames:
        """Read the pictures that the model looked at in a segment, as it cropped them.

        Args:
            hit: or the id of a segment.

        Raises:
            QueryError: the segment is not of this index, or its file has changed since it was indexed.
            VideoReadError: the file cannot be read.
            OSError: it is not there.
        """
        _, video_id, span, _ = self._segment(hit)
        records = [self._records[path] for path in self._places.paths.get(video_id, [])]
        return read_as_indexed(records, span, self.model.preprocessing)

    def _segment(self, hit: Hit | str) -> tuple[str, str, Span, str]:
        """Identities of a segment and its video, its stretch, and the path to show."""
        row = self._row_of(hit)
        video_id, span = self.gallery.video_ids[row], Span(*map(float, self.gallery.spans[row]))
        path = self._places.paths.get(video_id, [""])[0] if isinstance(hit, str) else hit.path
        return self.gallery.segment_ids[row], video_id, span, path

    def _check_page(self, k: int, filter: Filter) -> None:
        _check_k(k)
        if filter.candidates is not None and self.model.method.scans:
            raise QueryError(
                f"candidates is {filter.candidates}, but {self.model.name} scores every segment; leave "
                "candidates out"
            )

    @cached_property
    def calibration(self) -> Calibration | None:
        """What unrelated questions score, by which hits tell their confidence; None for very small indexes.

        Read from beside the index, or measured: seconds, which the first search otherwise takes.
        """
        background = self._background
        return None if background is None else calibrated(self._store.folder, self.model, background)

    @cached_property
    def _background(self) -> Background | None:
        return Background(self.gallery, self.model.method.scanned) if len(self.gallery) >= FEWEST else None

    def _confidences(
        self, question: Question, rows: Sequence[int], scores: Sequence[float]
    ) -> list[float | None]:
        """How sure it is that each row fits; by what was scanned: of some methods the first stage.

        Sums of sentences have a scale of their own, of which single sentences about other things say nothing.
        """
        background, calibration = self._background, self.calibration
        if background is None or calibration is None or not rows or not question.is_plain:
            return [None] * len(rows)
        method = self.model.method
        if not method.scans:
            asked = question.adapted(method.scanned)
            scores = score_exactly(method.scanned, Candidates(self.gallery), asked, rows).tolist()
        mean = background.mean(question)
        return [calibration.confidence(score, mean) for score in scores]

    def _confidences_in_order(
        self, questions: Sequence[Question], stories: Sequence[Story]
    ) -> list[float | None]:
        """How sure it is that each video tells the sentences in order; by its whole score, as their ranks."""
        plain = all(question.is_plain for question in questions)
        measured = self.calibration_in_order(len(questions)) if stories and plain else None
        if measured is None or self._background is None:
            return [None] * len(stories)
        mean = fmean(self._background.mean(question) for question in questions)
        return [measured.confidence(story.stage_score, mean) for story in stories]

    def calibration_in_order(self, count: int) -> Fits | None:
        """What so many unrelated sentences in order score; None for very small indexes and short videos.

        Kept, or measured as :attr:`calibration`: seconds, which the first such question otherwise takes.
        """
        background, calibration = self._background, self.calibration
        if background is None or calibration is None:
            return None
        if count not in self.measured_in_order:
            fits = calibrated_in_order(self._store.folder, self.model, background, calibration, count)
            self.measured_in_order[count] = fits
        return self.measured_in_order[count]

    @cached_property
    def measured_in_order(self) -> dict[int, Fits | None]:
        """What sentences in order are calibrated by, for each number of them that was asked."""
        return {}

    def found(
        self,
        query: str | Sequence[str],
        hits: Sequence[Hit],
        *,
        filter: Filter | None = None,
        **conditions: Unpack[FilterFields],
    ) -> bool | None:
        """Tell whether something in the library, or among the videos that fit conditions, fits a question.

        Never false where one of the hits is surer than the limit.

        Args:
            query: what was asked.
            hits: the answer, or a page of it; the surest hit is looked for where it may not be among these.
            filter: that the hits were found with; score and page have no meaning here.
            conditions: likewise.

        Returns:
            Whether some hit is surer than :data:`~vidsift.search.confidence.FOUND`, a limit that one in
            twenty questions about nothing in the library exceeds; None where the index is not calibrated, or
            for sums of sentences.
        """
        sentences = [query] if isinstance(query, str) else list(query)
        chosen = replace(filter or Filter(), **conditions | {"skip": 0, "min_score": None})
        if self.calibration is None or any(len(parse(one)) > 1 for one in sentences):
            return None
        shown = anything_fits(hit.confidence for hit in hits)
        if shown:
            return True
        if not self.model.method.scans:
            return anything_fits(self._surest(sentences, chosen)) or False
        if not (hits and hits[0].rank == 1):
            hits = self.search(query, 1, filter=chosen)
            shown = anything_fits(hit.confidence for hit in hits)
        return shown if hits else False

    @renewing
    def _surest(self, sentences: Sequence[str], filter: Filter) -> list[float | None]:
        """The best confidence of all candidates: of what the first stage finds first, wherever it ranks."""
        questions = [self._question(sentence) for sentence in sentences]
        _, allowed = self._allowed(filter)
        stage, asked = self.model.method.scanned, Wanted(1, allowed, "video", self._preselect)
        if len(questions) > 1:
            return self._confidences_in_order(questions, best_stories(self.gallery, stage, questions, asked))
        ((best,),) = (one.best for one in rank(self.gallery, stage, questions, asked))
        return self._confidences(questions[0], [best[0]], [best[1]])

    def _hits(
        self, question: Question, ranked: Ranked, k: int, filter: Filter, paths: dict[str, str]
    ) -> list[Hit]:
        method, page = self.model.method, page_of_rows(ranked, k, filter)
        sure = self._confidences(question, [row for row, _ in page], [score for _, score in page])
        return hits_of(
            self.gallery,
            method.moments_from,
            question,
            ranked,
            k=k,
            filter=filter,
            paths=paths,
            with_shares=method.explains,
            confidences=sure,
        )


def _check_k(k: int) -> None:
    if k < 1:
        raise QueryError(f"k is {k}, expected at least 1")
