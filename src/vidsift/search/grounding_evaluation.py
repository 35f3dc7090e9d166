"""Judges a model's accounts of words by what is known of them: which word is true of which frames.

The accounts are those that an explanation shows, of every caption with its own video, with its hard
negatives, and of captions that are shuffled; :mod:`vidsift.evaluation.grounding` says how they are judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
)
from vidsift.evaluation.ranks import text_to_video_ranks
from vidsift.evaluation.weights_by_place import sum_weights
from vidsift.methods.model import Model
from vidsift.search.grounded_captions import (
    SEED,
    GroundedCaption,
    grounded_captions,
    other_captions,
    score_falls,
    shuffled_sentence,
)
from vidsift.search.grounding_pictures import PictureShapes, words_in_picture
from vidsift.search.word_accounts import PairAccount, exact_accounts, scores_without_ends, word_terms
from vidsift.types import Features

__all__ = ["evaluate_grounding"]

_AT_ONCE = 32
_WORDS_SHOWN = 30

Progress = Callable[[int], None]
AccountMaker = Callable[[Sequence[str], Sequence[int]], Iterator[PairAccount]]
"""Sentences and the row of each one's video, to their accounts."""


def evaluate_grounding(
    model: Model, gallery: EncodedGallery, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Judge the accounts of words that a model gives.

    Args:
        model: what is judged.
        gallery: its videos, encoded; captions without grounding, or of missing videos, take no part.
        progress: called with the number of captions after each batch.

    Returns:
        The numbers of :func:`~vidsift.evaluation.grounding_numbers.grounding_numbers` for the exact account,
        and beside them

        - ``weights_by_place``: :class:`~vidsift.evaluation.weights_by_place.WordWeights`;
        - ``without_ends``: R@1 of the same captions whole, and with start and end left out of the score;
        - ``difference``: see :func:`~vidsift.evaluation.grounding_numbers.gap_numbers`;
        - ``protocol``: what was judged, and what could not be.

    Raises:
        ValueError: no caption has grounding.
    """
    captions = grounded_captions(gallery)
    if not captions:
        raise ValueError("no caption has grounding: the data say of no word when it is true")
    number = {place: count for count, place in enumerate(dict.fromkeys(of.entry for of in captions))}
    numbers = [number[caption.entry] for caption in captions]
    terms = word_terms(model)
    if not terms:
        raise ValueError(
            f"{model.name} ({model.method_name}) compares no words, so there is no account of them to "
            "judge; take a model that does, such as drl or pidro"
        )
    falls = score_falls(model, gallery.videos, captions)
    judge = _Judge(captions, numbers, PictureShapes(gallery.entries))
    make: AccountMaker = partial(exact_accounts, model, gallery.videos)
    report = {"account": "exact", **judge.report(make, falls, progress, negatives=True)}
    report["without_ends"] = _without_ends(model, gallery.videos, captions, numbers, terms)
    return report | {"protocol": judge.protocol | {"terms": terms}}


class _Judge:
    """Judges the accounts of the same captions, by whatever makes them.

    Attributes:
        protocol: what was judged.
    """

    def __init__(
        self, captions: Sequence[GroundedCaption], numbers: Sequence[int], shapes: PictureShapes
    ) -> None:
        self._captions, self._numbers, self._shapes = captions, numbers, shapes
        rng = np.random.default_rng(SEED)
        self._shuffled = [shuffled_sentence(caption.sentence, rng) for caption in captions]
        self._others = other_captions(captions, rng)
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
        falls: Iterable[NDArray[np.float64]],
        progress: Progress | None,
        *,
        negatives: bool,
    ) -> dict[str, Any]:
        """Judge and put the numbers together."""
        judged, gaps = [], []
        pieces, weights = [], []
        streams = zip(self._of_videos(make, negatives), self._controls(make), falls, strict=True)
        for place, ((right, *wrong), controls, falls_W) in enumerate(streams):
            caption, number = self._captions[place], self._numbers[place]
            truth = [caption.truth_of_words[word] for word in right.places]
            judged.append(
                JudgedSentence(
                    number,
                    right.words,
                    truth,
                    pointed=_pointed(right, truth, controls),
                    in_picture=self._in_picture(right.words, truth, caption),
                    falls=falls_W[right.places],
                )
            )
            gaps += [ScoreGap.between(number, right.words, account.words) for account in wrong]
            if right.piece_weights is not None:
                pieces.append(right.pieces)
                weights.append(right.piece_weights)
            if progress is not None:
                progress(1)
        count = self.protocol["videos"]
        numbers = grounding_numbers(judged, count)
        return numbers | {
            "weights_by_place": _by_place(pieces, weights),
            "difference": gap_numbers(gaps, count),
        }

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
            spread = None
            if other is not None:
                truth = captions[other].truth_of_words
                content = [best_F for word, best_F in _best(of_other).items() if truth[word] is not None]
                spread = np.mean(content, axis=0) if content else None
            yield _Controls(best, spread)

    def _in_picture(
        self, account: WordAccount, truth: Sequence[GroundedWord | None], caption: GroundedCaption
    ) -> list[PointedWord]:
        if account.places is None or not any(word is not None and word.boxes for word in truth):
            return []
        return words_in_picture(account, truth, self._shapes.aspect(caption.entry))


class _Controls(NamedTuple):
    """What the pointing of a caption is held against.

    Attributes:
        shuffled: the best frames of its words, by their place, where they stand in random order.
        other: the best frames of the words of another caption, on average; None without.
    """

    shuffled: dict[int, NDArray[np.float64]]
    other: NDArray[np.float64] | None


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


def _pointed(
    account: PairAccount, truth: Sequence[GroundedWord | None], controls: _Controls
) -> list[PointedWord]:
    best = _best(account)
    judged = []
    for place, known in zip(account.places, truth, strict=True):
        if known is None or place not in best:
            continue
        true_F = frames_within(known.spans, account.words.times_seconds)
        pointed = pointing(best[place], true_F)
        if pointed is not None:
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
    """R@1 of the captions among all videos, whole and as if start and end of text were not there."""
    right: dict[str, list[float]] = {"R@1": [], "R@1_whole": []}
    for start in range(0, len(captions), _AT_ONCE):
        some = captions[start : start + _AT_ONCE]
        sentences = [caption.sentence for caption in some]
        owner = [caption.row for caption in some]
        whole_QV = model.similarity(model.encode_text(sentences), videos).cpu().numpy()
        words_QV = scores_without_ends(model, videos, sentences, terms)
        for name, sim_QV in (("R@1", words_QV), ("R@1_whole", whole_QV)):
            right[name] += (100 * text_to_video_ranks(sim_QV, owner).within(1)).tolist()
    ratios = Ratios(max(numbers) + 1)
    for name, values in right.items():
        ratios.mean(name, values, numbers)
    return ratios.results() | {"videos": len(next(iter(videos.values())))}
