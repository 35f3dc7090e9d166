"""The exact account of many sentences with videos, summed up by word: what an explanation shows, at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.evaluation.grounding import REST, WordAccount
from vidsift.methods.base import Term
from vidsift.methods.model import Model
from vidsift.search.explain import TermAccount, account_for
from vidsift.search.rescore import one_row
from vidsift.search.sentence_words import word_of_pieces
from vidsift.search.sums import QueryPart
from vidsift.types import Features, PatchShares, TokenSet

__all__ = [
    "PairAccount",
    "PairTerms",
    "exact_accounts",
    "scores_of_words",
    "scores_without_ends",
    "terms_of_pairs",
    "word_terms",
]

_AT_ONCE = 64
_VIDEOS_AT_ONCE = 512
_PAIRS_AT_ONCE = 1024


class PairAccount(NamedTuple):
    """The account of a sentence with a video.

    Attributes:
        places: which of the sentence's words the account has, in order; a model that cuts long sentences has
            not read the others.
        words: what it says of them.
        pieces: the sentence's text tokens, readable.
        piece_weights: what they weigh ``(T,)``; with padding they sum to 1. None where nothing has a weight.
    """

    places: list[int]
    words: WordAccount
    pieces: list[str]
    piece_weights: NDArray[np.float64] | None


class PairTerms(NamedTuple):
    """The account of a sentence with a video as an explanation shows it, and what it was made of."""

    sentence: str
    pieces: list[str]
    text: Features
    video: Features
    terms: list[TermAccount]


def _is_of_words(tokens: TokenSet, pieces: int) -> bool:
    """Whether a text set has a token for each text token; grouped ones are levels or mixtures of many."""
    return tokens.group is None and tokens.mask.shape[1] >= pieces


def word_terms(model: Model) -> list[str]:
    """Return the names of the terms that compare words, in a method that accounts for its score; or none."""
    if not model.method.explains:
        return []
    # Three text tokens at least: start, a word, end.
    text, pieces = model.encode_text(["a"]), len(model.tokenize(["a"]).pieces[0])
    return [term.name for term in model.method.terms if _is_of_words(text[term.text], pieces)]


def exact_accounts(
    model: Model, videos: Features, sentences: Sequence[str], rows: Sequence[int]
) -> Iterator[PairAccount]:
    """Account for the scores of sentences with videos, pair by pair, and sum up by word.

    Args:
        model: one that compares words.
        videos: prepared sets.
        sentences: as they stand; one longer than the model takes is cut.
        rows: of each sentence the row of its video.
    """
    for pair in terms_of_pairs(model, videos, sentences, rows):
        yield _by_word(model, pair)


def terms_of_pairs(
    model: Model,
    videos: Features,
    sentences: Sequence[str],
    rows: Sequence[int],
    traced: Sequence[Mapping[str, PatchShares]] | None = None,
) -> Iterator[PairTerms]:
    """Account for the scores of sentences with videos, pair by pair, as an explanation does.

    Args:
        model: one whose method has an account.
        videos: prepared sets.
        sentences: as they stand.
        rows: of each sentence the row of its video.
        traced: of each pair which patches the video's tokens come from, one row each.
    """
    for start in range(0, len(sentences), _AT_ONCE):
        some = list(sentences[start : start + _AT_ONCE])
        # A sentence that meets several videos is encoded once.
        different = list(dict.fromkeys(some))
        pieces = dict(zip(different, model.tokenize(different).pieces, strict=True))
        encoded = model.encode_text(different)
        place = torch.tensor([different.index(sentence) for sentence in some])
        text = {name: tokens[place] for name, tokens in encoded.items()}
        row_B = torch.as_tensor(list(rows[start : start + _AT_ONCE]))
        video = {name: tokens[row_B].to(device=model.device) for name, tokens in videos.items()}
        with torch.inference_mode():
            compared = model.method.adapt_video(video)
            account = model.method.align(text, compared)
        for row, sentence in enumerate(some):
            sides = _rows(text, row), _rows(compared, row)
            terms = account_for(
                QueryPart(sentence, 1.0),
                pieces=pieces[sentence],
                method=model.method,
                text=sides[0],
                video=sides[1],
                account={name: one_row(of, row) for name, of in account.items()},
                traced=None if traced is None else traced[start + row],
            )
            yield PairTerms(sentence, pieces[sentence], *sides, terms)


def _rows(features: Features, row: int) -> dict[str, TokenSet]:
    return {name: tokens[row : row + 1] for name, tokens in features.items()}


def _by_word(model: Model, pair: PairTerms) -> PairAccount:
    """Sum the account of text tokens up by word."""
    sentence, pieces, text, _, terms = pair
    owner_T = np.array(word_of_pieces(sentence, pieces, model.tokenizer))
    places = sorted(set(owner_T.tolist()) - {-1})
    gave_P = _PieceSums(len(pieces))
    weight_P = _PieceSums(len(pieces))
    timed: list[tuple[NDArray[np.int64], TermAccount]] = []
    mapped: list[tuple[NDArray[np.int64], TermAccount]] = []
    for term, account in zip(model.method.terms, terms, strict=True):
        tokens = text[term.text]
        if _is_of_words(tokens, len(pieces)):
            # A set has a token for each piece, and maybe padding behind them; masked ones are left out.
            piece_T = np.flatnonzero(tokens.mask[0].cpu().numpy())
            gave_P.add(piece_T, account.contributions.sum(axis=1, dtype=np.float64))
            weight_P.add(piece_T, abs(account.weight) * account.text_weights.astype(np.float64))
            if account.times_seconds is not None:
                timed.append((piece_T, account))
            elif account.grid is not None:
                mapped.append((piece_T, account))
        else:
            # The sentence as a whole is its end-of-text token.
            end = np.array([len(pieces) - 1])
            gave_P.add(end, np.array([account.total]))
            weight_P.add(end, np.array([abs(account.weight) * float(account.text_weights.sum())]))
    weights = weight_P.shares()
    times_F, evidence_WF = _over_frames(timed, owner_T, places)
    grid = next((account.grid for _, account in mapped), None)
    words = WordAccount(
        evidence=evidence_WF,
        gave=gave_P.words(owner_T, places),
        rest=gave_P.rest(owner_T),
        times_seconds=times_F,
        weights=None if weights is None else weights.words(owner_T, places),
        rest_weights=None if weights is None else weights.rest(owner_T),
        places=_over_places(mapped, owner_T, places, grid),
        grid=grid,
    )
    return PairAccount(places, words, pieces, None if weights is None else weights.pieces)


class _PieceSums:
    """What the text tokens of a sentence add up to over terms; padding apart."""

    def __init__(self, count: int) -> None:
        self.pieces = np.zeros(count)
        self.padding = 0.0

    def add(self, piece_T: NDArray[np.int64], values_T: NDArray[np.float64]) -> None:
        inside_T = piece_T < len(self.pieces)
        np.add.at(self.pieces, piece_T[inside_T], values_T[inside_T])
        self.padding += float(values_T[~inside_T].sum())

    def shares(self) -> _PieceSums | None:
        """The same divided by their sum; None where that is 0."""
        total = float(self.pieces.sum()) + self.padding
        if total <= 0:
            return None
        shares = _PieceSums(len(self.pieces))
        shares.pieces, shares.padding = self.pieces / total, self.padding / total
        return shares

    def words(self, owner_T: NDArray[np.int64], places: Sequence[int]) -> NDArray[np.float64]:
        return np.array([self.pieces[owner_T == place].sum() for place in places])

    def rest(self, owner_T: NDArray[np.int64]) -> dict[str, float]:
        marks = owner_T == -1
        marks[[0, -1]] = False
        values = (self.pieces[0], self.pieces[-1], self.pieces[marks].sum() + self.padding)
        return {name: float(value) for name, value in zip(REST, values, strict=True)}


def _over_frames(
    timed: Sequence[tuple[NDArray[np.int64], TermAccount]], owner_T: NDArray[np.int64], places: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How alike words and frames are: the largest of a frame's tokens, the mean of a word's pieces."""
    if not timed:
        return np.empty(0), np.empty((len(places), 0))
    times_F = np.unique(np.concatenate([account.times_seconds for _, account in timed]))
    evidence_WF = np.zeros((len(places), len(times_F)))
    for piece_T, account in timed:
        assert account.times_seconds is not None
        apart_NF = np.abs(account.times_seconds[:, None] - times_F[None, :])
        # Terms may look at other seconds: a frame that a term has not is the one beside it.
        frame_NF = apart_NF == apart_NF.min(axis=0)
        values_TNF = np.where(frame_NF, account.values[:, :, None].astype(np.float64), -np.inf)
        evidence_WF += account.weight * _mean_by_word(values_TNF.max(axis=1), piece_T, owner_T, places)
    return times_F, evidence_WF


def _over_places(
    mapped: Sequence[tuple[NDArray[np.int64], TermAccount]],
    owner_T: NDArray[np.int64],
    places: Sequence[int],
    grid: tuple[int, int] | None,
) -> NDArray[np.float64] | None:
    """How alike words and places of the picture are, where tokens stand for places; NaN without a token."""
    if grid is None:
        return None
    cells = grid[0] * grid[1]
    map_WC = np.zeros((len(places), cells))
    for piece_T, account in mapped:
        assert account.group is not None
        at_NC = account.group[:, None] == np.arange(cells)
        values_TNC = np.where(at_NC, account.values[:, :, None].astype(np.float64), -np.inf)
        best_TC = values_TNC.max(axis=1)
        best_TC[:, ~at_NC.any(axis=0)] = np.nan
        map_WC += account.weight * _mean_by_word(best_TC, piece_T, owner_T, places)
    return map_WC


def _mean_by_word(
    values_TX: NDArray[np.float64],
    piece_T: NDArray[np.int64],
    owner_T: NDArray[np.int64],
    places: Sequence[int],
) -> NDArray[np.float64]:
    inside = piece_T < len(owner_T)
    values, owners = values_TX[inside], owner_T[piece_T[inside]]
    rows = [values[owners == place] for place in places]
    # A word without a token of its own (a set may leave some out) has met nothing.
    return (
        np.stack([row.mean(axis=0) if len(row) else np.full(values_TX.shape[1], np.nan) for row in rows])
        if rows
        else np.empty((0, values_TX.shape[1]))
    )


def scores_without_ends(
    model: Model, videos: Features, sentences: Sequence[str], names: Sequence[str]
) -> NDArray[np.float32]:
    """Score sentences with all videos as if start and end of text were not there, ``sim_QV``.

    They take part in no maximum and have no weight, what is left has all of it, and terms that compare the
    sentence as a whole, which is its end-of-text token, do not count. :func:`scores_of_words` leaves out what
    the two gave instead.

    Args:
        model: one that compares words.
        videos: prepared sets, V rows.
        sentences: Q of them.
        names: of the terms that compare words, see :func:`word_terms`.
    """
    text = dict(model.encode_text(sentences))
    last_Q = torch.tensor([len(pieces) - 1 for pieces in model.tokenize(sentences).pieces])
    terms = [term for term in model.method.terms if term.name in names]
    for name in {term.text for term in terms}:
        text[name] = _without_ends(text[name], last_Q.to(model.device))
    blocks = []
    for first in range(0, len(next(iter(videos.values()))), _VIDEOS_AT_ONCE):
        columns = slice(first, first + _VIDEOS_AT_ONCE)
        video = {name: tokens[columns].to(device=model.device) for name, tokens in videos.items()}
        with torch.inference_mode():
            compared = model.method.adapt_video(video)
            scores = [
                term.weight * term.interaction.score(text[term.text], compared[term.video]) for term in terms
            ]
        blocks.append(torch.stack(scores).sum(dim=0).float().cpu().numpy())
    return np.concatenate(blocks, axis=1)


def _without_ends(text: TokenSet, last_Q: Tensor) -> TokenSet:
    place_T = torch.arange(text.mask.shape[1], device=text.mask.device)
    inner_QT = text.mask & (place_T != 0) & (place_T != last_Q[:, None])
    if text.weights is None:
        return text.replace(mask=inner_QT)
    weights_QT = text.weights.masked_fill(~inner_QT, 0)
    before_Q1, after_Q1 = text.weights.sum(dim=1, keepdim=True), weights_QT.sum(dim=1, keepdim=True)
    smallest = torch.finfo(weights_QT.dtype).tiny
    return text.replace(mask=inner_QT, weights=weights_QT * (before_Q1 / after_Q1.clamp_min(smallest)))


def scores_of_words(
    model: Model, videos: Features, sentences: Sequence[str], names: Sequence[str]
) -> NDArray[np.float32]:
    """Score sentences with all videos by what words and marks gave alone, ``sim_QV``.

    It is the score less what its account gives to start and end of text, and to terms that compare the
    sentence as a whole. Where the end of text wins the frames' best matches from the words in a video that
    fits, words give more to videos that do not.

    Args:
        model: one that compares words.
        videos: prepared sets, V rows.
        sentences: Q of them.
        names: of the terms that compare words, see :func:`word_terms`.
    """
    text = model.encode_text(sentences)
    last_Q = torch.tensor([len(pieces) - 1 for pieces in model.tokenize(sentences).pieces])
    terms = [term for term in model.method.terms if term.name in names]
    rows = len(next(iter(videos.values())))
    sim_QV = np.empty((len(sentences), rows), np.float32)
    for first in range(0, rows, _PAIRS_AT_ONCE):
        columns = slice(first, min(first + _PAIRS_AT_ONCE, rows))
        video = {name: tokens[columns].to(device=model.device) for name, tokens in videos.items()}
        at_once = max(1, _PAIRS_AT_ONCE // (columns.stop - first))
        with torch.inference_mode():
            compared = model.method.adapt_video(video)
            for start in range(0, len(sentences), at_once):
                some = slice(start, start + at_once)
                block = {name: tokens[some] for name, tokens in text.items()}
                sim_QV[some, columns] = _given_by_words(terms, block, compared, last_Q[some]).cpu().numpy()
    return sim_QV


def _given_by_words(terms: Sequence[Term], text: Features, video: Features, last_Q: Tensor) -> Tensor:
    """What tokens between start and end gave, of all texts with all videos."""
    texts, videos = len(last_Q), len(next(iter(video.values())))
    text_B = torch.arange(texts).repeat_interleave(videos)
    video_B = torch.arange(videos).repeat(texts)
    total = torch.zeros(())
    for term in terms:
        account = term.interaction.align(text[term.text][text_B], video[term.video][video_B])
        gave_BT = term.weight * account.contributions.sum(dim=2)
        last_B1 = last_Q[text_B, None].to(gave_BT.device)
        total = total + gave_BT.sum(dim=1) - gave_BT[:, 0] - gave_BT.gather(1, last_B1)[:, 0]
    return total.view(texts, videos)
