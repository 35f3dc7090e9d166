"""Why a segment was found: the meetings of words and frames that its score is the sum of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidsift.errors import NoAlignmentError, QueryError
from vidsift.index.schema import FileRecord
from vidsift.index.unchanged import unchanged_file
from vidsift.methods.base import Method, Term
from vidsift.methods.model import Model
from vidsift.search.explained_words import ExplainedWord, explain_words
from vidsift.search.gallery import Gallery
from vidsift.search.leaving_out import LeavingOut, WordsLeftOut, fall_without_words
from vidsift.search.questions import Question
from vidsift.search.rescore import PrefetchedTokens, align_exactly, score_exactly
from vidsift.search.sums import QueryPart, parse
from vidsift.types import Alignment, Features, Frames, PatchShares, Span
from vidsift.video.indexed_file import segment_frames
from vidsift.video.preprocessing import Preprocessing

__all__ = [
    "Explanation",
    "LocatedSegment",
    "TermAccount",
    "account_for",
    "explain_segment",
    "read_as_indexed",
    "traced_patches",
]

_SAME_SECONDS = 1e-3
_PLACES_ARE = (
    "Each square is one place of the picture, in all frames of the segment together. Its token has seen the "
    "other places and frames too; a place without a square was not kept by the model. What the places gave "
    "is part of the sum."
)


@dataclass(frozen=True, eq=False)
class TermAccount:
    """One term's part of a score; only real tokens, T of the text and N of the video.

    Attributes:
        name: of the term, e.g. ``word-frame``.
        words: readable text tokens, special ones as they are called, ``T`` of them.
        times_seconds: when each video token is seen ``(N,)``; None if they have no time of their own.
        frame, group: of each video token its frame's place in the segment, and its own within the frame
            (object, patch), ``(N,)``; None where that means nothing.
        values: similarity of each word with each video token ``(T, N)``.
        contributions: what each meeting gave to the score ``(T, N)``, ``weight`` included.
        text_weights, video_weights: importance of the tokens, ``(T,)`` and ``(N,)``.
        best_video_token: of each word ``(T,)``; -1 where padding won (the released rule of some papers).
        best_text_token: of each video token ``(N,)``; likewise.
        sentence: whose words they are: the question, or one part of its arithmetic.
        weight: what the term counts for in the score; negative for a sentence that is taken off.
        grid: rows and columns into which the picture is cut, where the account says where in it: by
            ``patches``, or without them by ``group``, a place counted row by row. None where it does not.
        patches: which patches of its frame each video token was made from ``(N, P)``, row by row; zero
            throughout for one that comes from the frame as a whole.
        map_note: what a map of the picture shows, and what it does not; "" without ``grid``.
        word_of_token: of each text token the place of its word in ``Explanation.words`` ``(T,)``; -1 for
            start, end and punctuation. None where the tokens are not those of words.
    """

    name: str
    words: list[str]
    times_seconds: NDArray[np.float64] | None
    values: NDArray[np.float32]
    contributions: NDArray[np.float32]
    text_weights: NDArray[np.float32]
    video_weights: NDArray[np.float32]
    best_video_token: NDArray[np.int64]
    best_text_token: NDArray[np.int64]
    frame: NDArray[np.int64] | None = None
    group: NDArray[np.int64] | None = None
    sentence: str = ""
    weight: float = 1.0
    grid: tuple[int, int] | None = None
    patches: NDArray[np.float64] | None = None
    map_note: str = ""
    word_of_token: list[int] | None = None

    @property
    def total(self) -> float:
        """What the term gave to the score."""
        return float(self.contributions.sum(dtype=np.float64))

    @property
    def text_contributions(self) -> list[float]:
        """What each text token gave to the score."""
        return [float(gave) for gave in self.contributions.sum(axis=1, dtype=np.float64)]

    @property
    def note(self) -> str:
        """How to read the numbers of this term; "" where nothing has to be said."""
        if self.times_seconds is not None:
            return ""
        tokens = self.name.split("-", 1)[-1]
        if self.grid is not None:
            return f"each {tokens} is one place of the picture in all frames: it has a place and no time"
        return f"each {tokens} stands for the whole segment: it has no time of its own"


@dataclass(frozen=True, eq=False)
class Explanation:
    """The account of one hit; the contributions of all terms sum to ``score``.

    Attributes:
        query: what was asked.
        score: the similarity that the hit reports.
        terms: the account of every term, for each part of the question.
        segment_id, video_id, path, segment: what was explained.
        maps_on_request: the model can also tell which patches of the picture tokens come from, which takes
            the frames, see :meth:`vidsift.search.searcher.Index.explain`.
        maps_missing: why that is not told although it was asked for; "" where nothing is missing.
        account_missing: why there are no ``terms``, where the model has no account; else "".
        leaving_out: how far the score falls without each word, where that was asked for.
        words: in the order of the question; one that occurs twice is there twice.
    """

    query: str
    score: float
    terms: list[TermAccount]
    segment_id: str = ""
    video_id: str = ""
    path: str = ""
    segment: Span | None = None
    maps_on_request: bool = False
    maps_missing: str = ""
    account_missing: str = ""
    leaving_out: LeavingOut | None = None
    words: tuple[ExplainedWord, ...] = ()

    @property
    def words_carry(self) -> bool:
        """Whether words gave most of the score, so that what each gave accounts for it.

        Not where the sentence is compared as one token or as phrases, nor where its marks, such as the end
        of text, which has read all of it, gave more. :attr:`leaving_out` is the account of words there.
        """
        of_words = [abs(word.contribution) for word in self.words if word.contribution is not None]
        rest = [
            abs(gave)
            for term in self.terms
            for token, gave in enumerate(term.text_contributions)
            if term.word_of_token is None or term.word_of_token[token] < 0
        ]
        return sum(of_words) > sum(rest)

    @property
    def total(self) -> float:
        """Sum of all contributions."""
        return float(sum(term.contributions.sum(dtype=np.float64) for term in self.terms))

    @property
    def moment_from(self) -> list[str]:
        """Names of the terms whose tokens have a time: those that the moment of a hit comes from."""
        return list(dict.fromkeys(term.name for term in self.terms if term.times_seconds is not None))

    def to_dict(self) -> dict[str, Any]:
        """Return the account as JSON can hold it."""
        segment = self.segment
        return {
            "query": self.query,
            "score": self.score,
            "segment_id": self.segment_id,
            "video_id": self.video_id,
            "path": self.path,
            "start": None if segment is None else segment.start_seconds,
            "end": None if segment is None else segment.end_seconds,
            "moment_from": self.moment_from,
            "maps_on_request": self.maps_on_request,
            "maps_missing": self.maps_missing,
            "account_missing": self.account_missing,
            "leaving_out": None if self.leaving_out is None else self.leaving_out.to_dict(),
            "words": [vars(word) for word in self.words],
            "words_carry": self.words_carry,
            "terms": [_as_object(term) for term in self.terms],
        }


def _as_object(term: TermAccount) -> dict[str, Any]:
    plain = {
        key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(term).items()
    }
    return plain | {"total": term.total, "note": term.note}


class LocatedSegment(NamedTuple):
    """Which segment is explained, and where it lies.

    Attributes:
        row: of the gallery.
        segment_id, video_id: identities of the segment and of its video.
        path: to show.
        span: the stretch of the video.
    """

    row: int
    segment_id: str
    video_id: str
    path: str
    span: Span


def explain_segment(
    model: Model,
    gallery: Gallery,
    query: str,
    segment: LocatedSegment,
    *,
    question: Question,
    frames: Frames | None = None,
    left_out: Callable[[str], WordsLeftOut] | None = None,
    only_where_needed: bool = False,
) -> Explanation:
    """Account for the score of a query with a segment.

    Args:
        model: of the index.
        gallery: holds the segment.
        query: what was asked.
        segment: what is explained.
        question: the query, encoded.
        frames: its pictures; with them the account also says which patches tokens come from.
        left_out: encodes a sentence without each of its words
            (:func:`~vidsift.search.leaving_out.leave_words_out`); with it the account also says how far the
            score falls without each.
        only_where_needed: leave words out only where they do not carry the score
            (:attr:`Explanation.words_carry`).

    Raises:
        NoAlignmentError: the method has no account, and words are not left out.
    """
    parts = parse(query)
    # Scored as hits are, and not summed from the account: they agree, or a test fails.
    score = float(score_exactly(model.method, PrefetchedTokens(gallery), question, [segment.row])[0])
    encoded_parts = list(zip(parts, question.texts, strict=True))
    account_missing = ""
    try:
        of_parts = [_terms_of_part(model, gallery, segment.row, part, frames) for part in encoded_parts]
    except NoAlignmentError as error:
        if left_out is None:
            remedy = "leave_out=True says how much the score falls without each word"
            raise NoAlignmentError(f"{error}; {remedy}") from error
        account_missing, of_parts = str(error), [[] for _ in parts]
    terms, words = _by_word(model, parts, of_parts)
    explanation = Explanation(
        query,
        score,
        terms,
        segment.segment_id,
        segment.video_id,
        segment.path,
        segment.span,
        maps_on_request=bool(model.method.traced_sets),
        account_missing=account_missing,
        words=tuple(words),
    )
    if left_out is None or (only_where_needed and explanation.words_carry):
        return explanation
    falls = fall_without_words(model.method, gallery, segment.row, question, parts, left_out=left_out)
    return replace(explanation, leaving_out=falls)


def _by_word(
    model: Model, parts: Sequence[QueryPart], terms_of_parts: Sequence[Sequence[TermAccount]]
) -> tuple[list[TermAccount], list[ExplainedWord]]:
    """Sum the terms of each part up by its words; their places are among those of the whole question."""
    terms: list[TermAccount] = []
    words: list[ExplainedWord] = []
    for part, of_part in zip(parts, terms_of_parts, strict=True):
        tokens = [(term.words, term.text_contributions) for term in of_part]
        words_of_part, owners = explain_words(part, tokens, model.tokenizer)
        for term, owner in zip(of_part, owners, strict=True):
            placed = owner and [word if word < 0 else len(words) + word for word in owner]
            terms.append(replace(term, word_of_token=placed))
        words += words_of_part
    return terms, words


def _terms_of_part(
    model: Model, gallery: Gallery, row: int, encoded_part: tuple[QueryPart, Features], frames: Frames | None
) -> list[TermAccount]:
    part, text = encoded_part
    # One row was asked for, of the 32 that are scored together.
    account, video = next(align_exactly(model.method, gallery, text, [row]))
    traced = None if frames is None else traced_patches(model, frames, video)
    return account_for(
        part,
        pieces=model.tokenize([part.sentence]).pieces[0],
        method=model.method,
        text=text,
        video=video,
        account=account,
        traced=traced,
    )


def account_for(
    part: QueryPart,
    *,
    pieces: Sequence[str],
    method: Method,
    text: Features,
    video: Features,
    account: Mapping[str, Alignment],
    traced: Mapping[str, PatchShares] | None = None,
) -> list[TermAccount]:
    """Put the alignment of one pair into words, times and numbers.

    Args:
        part: the sentence, and what its score counts for.
        pieces: its tokens, readable.
        method: whose terms they are.
        text: prepared sets, one row each.
        video: likewise.
        account: alignment of every term, one row each.
        traced: which patches the tokens of video sets come from, one row each, where that is known.
    """
    accounts = []
    for term in method.terms:
        seen = video[term.video]
        # Grouped tokens (levels of the whole sentence) are no words, though there may be as many.
        words = pieces if text[term.text].group is None else ()
        in_picture = seen.group is not None and seen.frame is None and seen.times_seconds is None
        accounts.append(
            _account_of_term(
                term,
                part,
                words,
                text=text,
                video=video,
                account=account[term.name],
                grid=_grid(method) if in_picture or term.video in (traced or {}) else None,
                traced=(traced or {}).get(term.video),
            )
        )
    return accounts


def _account_of_term(
    term: Term,
    part: QueryPart,
    pieces: Sequence[str],
    *,
    text: Features,
    video: Features,
    account: Alignment,
    grid: tuple[int, int] | None,
    traced: PatchShares | None,
) -> TermAccount:
    words_T, tokens_N = text[term.text].mask[0].cpu(), video[term.video].mask[0].cpu()
    seen, weight = video[term.video], term.weight * part.weight
    return TermAccount(
        name=term.name,
        words=_words(term.text, words_T, part.sentence, pieces),
        times_seconds=_real(seen.times_seconds, tokens_N),
        frame=_real(seen.frame, tokens_N),
        group=_real(seen.group, tokens_N),
        values=account.values[0].cpu()[words_T][:, tokens_N].numpy(),
        contributions=account.contributions[0].cpu()[words_T][:, tokens_N].numpy() * np.float32(weight),
        text_weights=account.text_weights[0].cpu()[words_T].numpy(),
        video_weights=account.video_weights[0].cpu()[tokens_N].numpy(),
        best_video_token=_among_real(account.best_video_token[0].cpu()[words_T], tokens_N),
        best_text_token=_among_real(account.best_text_token[0].cpu()[tokens_N], words_T),
        sentence=part.sentence,
        weight=weight,
        grid=grid,
        # Four digits are more than a picture shows, and keep the account small where it is sent.
        patches=None if traced is None else traced.shares[0].cpu()[tokens_N].double().numpy().round(4),
        map_note=_map_note(grid, traced),
    )


def _map_note(grid: tuple[int, int] | None, traced: PatchShares | None) -> str:
    if traced is not None:
        return traced.note
    return "" if grid is None else _PLACES_ARE


def _grid(method: Method) -> tuple[int, int]:
    """Rows and columns into which the image tower cuts a picture."""
    side = math.isqrt(method.towers.patches)
    return side, side


def _real(part_1N: Tensor | None, tokens_N: Tensor) -> NDArray[Any] | None:
    """The entries of real tokens, where the set has that part."""
    return None if part_1N is None else part_1N[0].cpu()[tokens_N].numpy()


def _among_real(place_X: Tensor, real_N: Tensor) -> NDArray[np.int64]:
    """Places among all tokens as places among the real ones; -1 where it is none of them."""
    # 0, 1, 2, ... at the real tokens, however many are masked between them.
    among_N = (real_N.long().cumsum(dim=0) - 1).masked_fill(~real_N, -1)
    places: NDArray[np.int64] = among_N[place_X].numpy()
    return places


def _words(name: str, real_T: Tensor, query: str, pieces: Sequence[str]) -> list[str]:
    """Readable names of a set's real tokens: words where there is one each, the sentence, or numbers."""
    count = int(real_T.sum())
    if count == len(pieces):
        return list(pieces)
    if count == 1:
        return [query]
    numbered = [f"{name} {number + 1}" for number in range(len(real_T))]
    # A set of words may leave some out (start of text), or go on with padding where a method reads that.
    if pieces and len(pieces) <= len(real_T):
        padding = [f"padding {number + 1}" for number in range(len(real_T) - len(pieces))]
        numbered = [*pieces, *padding]
    return [words for words, real in zip(numbered, real_T.tolist(), strict=True) if real]


def read_as_indexed(records: Sequence[FileRecord], span: Span, preprocessing: Preprocessing) -> Frames:
    """Read what a model looked at in a stretch of a video, from the first of its files that is unchanged.

    Raises:
        QueryError: every file of the video has changed since it was indexed.
        VideoReadError: the file cannot be read.
        OSError: none of the files is there.
    """
    # A file that was written since would explain the hit by other pictures than it came from.
    return segment_frames(unchanged_file(records), span, preprocessing)


def traced_patches(model: Model, frames: Frames, video: Features) -> dict[str, PatchShares]:
    """Trace a segment's tokens back to patches.

    Args:
        model: whose tokens they are.
        frames: what it looked at in the segment.
        video: the segment's sets, one row each.

    Returns:
        For every set that the method can trace which patches its tokens come from, one row; empty where it
        can trace none.

    Raises:
        QueryError: the frames are not those that the tokens come from.
    """
    if not model.method.traced_sets:
        return {}
    traced = model.patch_shares(frames)
    for name, of_set in traced.items():
        times_N, mask_N = video[name].times_seconds, video[name].mask[0]
        alike = of_set.shares.shape[1] == len(mask_N)
        if alike and times_N is not None:
            seen = np.unique(times_N[0][mask_N].cpu().numpy())
            alike = len(seen) == len(frames) and bool(
                np.allclose(seen, frames.times_seconds, rtol=0, atol=_SAME_SECONDS)
            )
        if not alike:
            raise QueryError(
                f"the {len(frames)} frames given are not those that the segment's tokens come from; read "
                "them with Index.frames_of(segment)"
            )
    return traced
