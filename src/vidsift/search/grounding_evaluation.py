"""Judges a model's accounts of words by what is known of them: which word is true of which frames.

The accounts are those that an explanation shows, of every caption with its own video, with its hard
negatives, and of captions that are shuffled; :mod:`vidsift.evaluation.grounding` says how they are judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.data.grounding import GroundedWord
from vidsift.evaluation.evaluate import EncodedGallery
from vidsift.evaluation.grounding import (
    MOST_TRUE,
    PointedWord,
    WordAccount,
    best_frames,
    frames_within,
    pointing,
)
from vidsift.evaluation.grounding_numbers import (
    JudgedSentence,
    Ratios,
    ScoreGap,
    gap_numbers,
    grounding_numbers,
    pointing_numbers,
)
from vidsift.evaluation.ranks import text_to_video_ranks
from vidsift.evaluation.weights_by_place import sum_weights
from vidsift.methods.model import Model
from vidsift.search.grounded_captions import (
    SEED,
    GroundedCaption,
    grounded_captions,
    other_captions,
    shuffled_sentence,
)
from vidsift.search.grounding_pictures import PictureShapes, sentences_in_picture, words_in_picture
from vidsift.search.left_out_accounts import left_out_accounts
from vidsift.search.word_accounts import (
    PairAccount,
    exact_accounts,
    scores_of_words,
    scores_without_ends,
    word_terms,
)
from vidsift.types import Features

__all__ = ["EXACT", "LEAVING_OUT", "accounts_of", "evaluate_grounding"]

EXACT, LEAVING_OUT = "exact", "leaving out"

_AT_ONCE = 32
_MOST_PAIRS = 4_000_000
_WORDS_SHOWN = 30

Progress = Callable[[int], None]
AccountMaker = Callable[[Sequence[str], Sequence[int]], Iterator[PairAccount]]
"""Sentences and the row of each one's video, to their accounts."""


def evaluate_grounding(
    model: Model, gallery: EncodedGallery, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Judge the accounts of words that a model gives: the exact one, where it has words, and leaving out.

    Args:
        model: what is judged.
        gallery: its videos, encoded; captions without grounding, or of missing videos, take no part.
        progress: called with the number of captions as they are done, for each of :func:`accounts_of`.

    Returns:
        The numbers of :func:`~vidsift.evaluation.grounding_numbers.grounding_numbers` for the first of the
        accounts that the model has, and beside them

        - ``account``: which that is; where it is not the exact one, ``why`` says so;
        - ``leaving_out``: the same numbers by leaving words out, where that is the second;
        - ``picture``: pointing in the picture, of words or of whole sentences (``picture_of``);
        - ``weights_by_place``: :class:`~vidsift.evaluation.weights_by_place.WordWeights`, ``without_ends``:
          R@1 of the same captions whole, as if start and end of text were not there, and by what words gave
          alone, and ``difference``: see :func:`~vidsift.evaluation.grounding_numbers.gap_numbers`, all of the
          exact account;
        - ``words_not_judged``: how many content words did not count in pointing, and why;
        - ``protocol``: what was judged.

    Raises:
        ValueError: no caption has grounding.
    """
    captions = grounded_captions(gallery)
    if not captions:
        raise ValueError(
            "no caption has grounding: the data say of no video that is there when words are true"
        )
    number = {place: count for count, place in enumerate(dict.fromkeys(of.entry for of in captions))}
    numbers = [number[caption.entry] for caption in captions]
    judge = _Judge(captions, numbers, PictureShapes(gallery.entries))
    leaving_out = judge.report(partial(left_out_accounts, model, gallery.videos), progress)
    by_leaving_out = _without_meaning(leaving_out.numbers)
    terms = word_terms(model)
    report: dict[str, Any]
    if terms:
        make: AccountMaker = partial(exact_accounts, model, gallery.videos)
        exact = judge.report(make, progress, falls=leaving_out.falls, negatives=True)
        report = {"account": EXACT, **exact.numbers}
        report["without_ends"] = _without_ends(model, gallery.videos, captions, numbers, terms)
        report["leaving_out"] = by_leaving_out
    else:
        report = {"account": LEAVING_OUT, "why": _why_not_exact(model), **by_leaving_out}
    report |= {"picture": report.get("picture"), "picture_of": "words"}
    if model.method.traced_sets and model.method.explains:
        judged = sentences_in_picture(model, gallery, captions, judge.others)
        pointed = [(word, place) for of, place in zip(judged, numbers, strict=True) for word in of]
        report |= {"picture": pointing_numbers(pointed, max(numbers) + 1), "picture_of": "sentences"}
    missing = int((~gallery.present).sum())
    return report | {"protocol": judge.protocol | {"terms": terms, "missing_videos": missing}}


def accounts_of(model: Model) -> list[str]:
    """Name the accounts of words that a model has: "exact", unless it compares none, and "leaving out"."""
    return [*([EXACT] if word_terms(model) else []), LEAVING_OUT]


def _why_not_exact(model: Model) -> str:
    if not model.method.explains:
        return "the method is a black box: it has no account of its score"
    return "the method compares no words: it has an account of frames alone"


def _without_meaning(report: dict[str, Any]) -> dict[str, Any]:
    """Take out what leaving out says nothing of, and label what it says of itself."""
    report["deletion"]["by_construction"] = True
    absent = ("weight", "weights_by_place", "difference", "picture")
    return {name: value for name, value in report.items() if name not in absent}


class _Judge:
    """Judges the accounts of the same captions, by whatever makes them.

    Attributes:
        protocol: what was judged.
        others: for each caption one of another video; None where none turned up.
    """

    def __init__(
        self, captions: Sequence[GroundedCaption], numbers: Sequence[int], shapes: PictureShapes
    ) -> None:
        self._captions, self._numbers, self._shapes = captions, numbers, shapes
        rng = np.random.default_rng(SEED)
        self._shuffled = [shuffled_sentence(caption.sentence, rng) for caption in captions]
        self._others = other_captions(captions, rng)
        self.others = [None if place is None else captions[place] for place in self._others]
        words = [word for caption in captions for word in caption.truth_of_words if word is not None]
        self.protocol: dict[str, Any] = {
            "captions": len(captions),
            "videos": max(numbers) + 1,
            "content_words": len(words),
            "most_true": MOST_TRUE,
            "shuffling_seed": SEED,
        }

    def report(
        self,
        make: AccountMaker,
        progress: Progress | None,
        *,
        falls: Sequence[NDArray[np.float64]] | None = None,
        negatives: bool = False,
    ) -> _Judged:
        """Judge and put the numbers together.

        Args:
            make: gives the accounts.
            progress: called with the number of captions.
            falls: of each caption how far the score falls without each word; None where the accounts are
                themselves of falls.
            negatives: whether captions are compared with their hard negatives too.
        """
        judged, gaps, falls_of_words = [], [], []
        pieces, weights = [], []
        unjudged: Counter[str] = Counter()
        streams = zip(self._of_videos(make, negatives), self._controls(make), strict=True)
        for place, ((right, *wrong), controls) in enumerate(streams):
            caption, number = self._captions[place], self._numbers[place]
            truth = [caption.truth_of_words[word] for word in right.places]
            falls_W = _falls_of_words(caption, right) if falls is None else falls[place]
            falls_of_words.append(falls_W)
            judged.append(
                JudgedSentence(
                    number,
                    right.words,
                    truth,
                    pointed=_pointed(right, truth, controls, unjudged),
                    in_picture=self._in_picture(right.words, truth, caption, controls.other_places),
                    falls=falls_W[right.places],
                )
            )
            absent = sum(word is not None for word in caption.truth_of_words)
            absent -= sum(word is not None for word in truth)
            unjudged["only_word" if len(caption.words) == 1 else "not_read"] += absent
            gaps += [ScoreGap.between(number, right.words, account.words) for account in wrong]
            if right.piece_weights is not None:
                pieces.append(right.pieces)
                weights.append(right.piece_weights)
            if progress is not None:
                progress(1)
        count = self.protocol["videos"]
        numbers = grounding_numbers(judged, count) | {
            "words_not_judged": dict(unjudged),
            "weights_by_place": _by_place(pieces, weights),
            "difference": gap_numbers(gaps, count),
        }
        return _Judged(numbers, falls_of_words)

    def _of_videos(self, make: AccountMaker, negatives: bool) -> Iterator[list[PairAccount]]:
        """Of each caption the account with its own video, and with its hard negatives."""
        rows = [[of.row, *(of.negatives if negatives else ())] for of in self._captions]
        sentences = [of.sentence for of, some in zip(self._captions, rows, strict=True) for _ in some]
        accounts = make(sentences, [row for some in rows for row in some])
        return (list(islice(accounts, len(some))) for some in rows)

    def _controls(self, make: AccountMaker) -> Iterator[_Controls]:
        """Of each caption with its own video: its words in random order, and another caption."""
        captions = self._captions
        rows = [caption.row for caption in captions]
        # A sentence that cannot be shuffled stands for itself, and its account is not read.
        moved = [
            caption.sentence if shuffled is None else shuffled.sentence
            for caption, shuffled in zip(captions, self._shuffled, strict=True)
        ]
        others = [place if other is None else other for place, other in enumerate(self._others)]
        accounts = zip(
            make(moved, rows), make([captions[other].sentence for other in others], rows), strict=True
        )
        for place, (in_disorder, of_other) in enumerate(accounts):
            shuffled, other = self._shuffled[place], self._others[place]
            best: dict[int, NDArray[np.float64]] = {}
            if shuffled is not None:
                best = {shuffled.order[word]: best_F for word, best_F in _best(in_disorder).items()}
            spread = spread_C = None
            if other is not None:
                truth = captions[other].truth_of_words
                content = [best_F for word, best_F in _best(of_other).items() if truth[word] is not None]
                spread = np.mean(content, axis=0) if content else None
                spread_C = _best_places(of_other, truth)
            yield _Controls(best, spread, spread_C)

    def _in_picture(
        self,
        account: WordAccount,
        truth: Sequence[GroundedWord | None],
        caption: GroundedCaption,
        other_C: NDArray[np.float64] | None,
    ) -> list[PointedWord]:
        if account.places is None or not any(word is not None and word.boxes for word in truth):
            return []
        return words_in_picture(account, truth, self._shapes.aspect(caption.entry), other_C)


class _Judged(NamedTuple):
    """The numbers of an account, and of each caption how far the score falls without each word, or NaN."""

    numbers: dict[str, Any]
    falls: list[NDArray[np.float64]]


class _Controls(NamedTuple):
    """What the pointing of a caption is held against.

    Attributes:
        shuffled: the best frames of its words, by their place, where they stand in random order.
        other: the best frames of the words of another caption, on average; None without.
        other_places: likewise their best places in the picture.
    """

    shuffled: dict[int, NDArray[np.float64]]
    other: NDArray[np.float64] | None
    other_places: NDArray[np.float64] | None


def _best(account: PairAccount) -> dict[int, NDArray[np.float64]]:
    """The best frames of each word of a sentence, by its place; words that met no frame have none."""
    evidence_WF = account.words.evidence
    if not evidence_WF.shape[1]:
        return {}
    return {
        place: best_frames(evidence_F)
        for place, evidence_F in zip(account.places, evidence_WF, strict=True)
        if not np.isnan(evidence_F).all()
    }


def _best_places(account: PairAccount, truth: Sequence[GroundedWord | None]) -> NDArray[np.float64] | None:
    """The best places in the picture of a caption's content words, on average ``(C,)``; None without any."""
    if account.words.places is None:
        return None
    best = [
        best_frames(places_C)
        for word, places_C in zip(account.places, account.words.places, strict=True)
        if truth[word] is not None and not np.isnan(places_C).all()
    ]
    return np.mean(best, axis=0) if best else None


def _pointed(
    account: PairAccount,
    truth: Sequence[GroundedWord | None],
    controls: _Controls,
    unjudged: Counter[str],
) -> list[PointedWord]:
    """Judge the content words, and count those that are true in too many of the frames, or in none."""
    best = _best(account)
    judged = []
    for place, known in zip(account.places, truth, strict=True):
        if known is None or place not in best:
            continue
        true_F = frames_within(known.spans, account.words.times_seconds)
        pointed = pointing(best[place], true_F)
        if pointed is None:
            unjudged["mostly_true" if true_F.any() else "in_no_frame"] += 1
            continue
        moved_F = controls.shuffled.get(place)
        judged.append(
            PointedWord(
                known.kind,
                pointed,
                float(true_F.mean()),
                None if moved_F is None else pointing(moved_F, true_F),
                None if controls.other is None else pointing(controls.other, true_F),
            )
        )
    return judged


def _falls_of_words(caption: GroundedCaption, account: PairAccount) -> NDArray[np.float64]:
    """What leaving out says of a caption's content words; NaN for the others."""
    falls_W = np.full(len(caption.words), np.nan)
    for place, gave in zip(account.places, account.words.gave, strict=True):
        if caption.truth_of_words[place] is not None:
            falls_W[place] = gave
    return falls_W


def _by_place(
    pieces: Sequence[Sequence[str]], weights: Sequence[NDArray[np.float64]]
) -> dict[str, Any] | None:
    if not pieces:
        return None
    summed = vars(sum_weights(pieces, weights))
    return summed | {"heaviest": dict(islice(summed["heaviest"].items(), _WORDS_SHOWN))}


def _without_ends(
    model: Model,
    videos: Features,
    captions: Sequence[GroundedCaption],
    numbers: Sequence[int],
    terms: Sequence[str],
) -> dict[str, Any]:
    """R@1 of the captions among all videos: whole, as if start and end were not there, and of words alone.

    ``R@1_lost`` is the difference of the first two, whose interval is narrower than theirs.

    Where captions and videos are many, of some captions by seed.
    """
    rows = len(next(iter(videos.values())))
    chosen = np.arange(len(captions))
    if len(captions) * rows > _MOST_PAIRS:
        drawn = np.random.default_rng([SEED, 1]).permutation(len(captions))
        chosen = np.sort(drawn[: max(1, _MOST_PAIRS // rows)])
    right: dict[str, list[float]] = {"R@1": [], "R@1_of_words": [], "R@1_whole": []}
    for start in range(0, len(chosen), _AT_ONCE):
        some = [captions[place] for place in chosen[start : start + _AT_ONCE].tolist()]
        sentences = [caption.sentence for caption in some]
        owner = [caption.row for caption in some]
        scores = {
            "R@1": scores_without_ends(model, videos, sentences, terms),
            "R@1_of_words": scores_of_words(model, videos, sentences, terms),
            "R@1_whole": model.similarity(model.encode_text(sentences), videos).cpu().numpy(),
        }
        for name, sim_QV in scores.items():
            right[name] += (100 * text_to_video_ranks(sim_QV, owner).within(1)).tolist()
    ratios = Ratios(max(numbers) + 1)
    pairs = zip(right["R@1_whole"], right["R@1"], strict=True)
    right["R@1_lost"] = [whole - without for whole, without in pairs]
    for name, values in right.items():
        ratios.mean(name, values, [numbers[place] for place in chosen.tolist()])
    return ratios.results() | {"videos": rows}
