"""Judged sentences -> the numbers of ``vidsift evaluate --grounding``, each with its interval over videos."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.data.grounding import GroundedWord
from vidsift.evaluation.bootstrap import LEVEL_PERCENT, SEED, bootstrap_ratios
from vidsift.evaluation.grounding import (
    PointedWord,
    WordAccount,
    deletion_order,
    effective_number,
    permuted_order,
    shares_by_role,
)

__all__ = ["JudgedSentence", "Ratios", "ScoreGap", "gap_numbers", "grounding_numbers", "pointing_numbers"]

PERMUTATIONS = 1000
"""How often contributions are dealt out at random beside the measured deletion."""

_RANKS = 16
_SMALLEST_LEAD = 1e-6
"""Of the sizes of its parts: a sum that is smaller is what rounding left of 0."""


@dataclass(frozen=True, eq=False)
class JudgedSentence:
    """A sentence with its own video: the account of its words, and what is true of them.

    Attributes:
        video: number of the video, for the intervals.
        account: see :class:`~vidsift.evaluation.grounding.WordAccount`.
        truth: of each word of the account; None for function words.
        pointed: words judged by the frames that they point to.
        in_picture: words, or the sentence as a whole, judged by the places that they point to.
        falls: how far the score falls without each word ``(W,)``, NaN for words that were not left out; None
            where none was.
    """

    video: int
    account: WordAccount
    truth: Sequence[GroundedWord | None]
    pointed: Sequence[PointedWord] = ()
    in_picture: Sequence[PointedWord] = ()
    falls: NDArray[np.float64] | None = None


class ScoreGap(NamedTuple):
    """What makes up the difference of a sentence's scores with its own video and with a hard negative.

    Attributes:
        video: number of its own video.
        ends: what start and end of text give to it.
        total: the difference.
        ends_size, total_size: the same, of the sizes of the parts (words and the rest).
        effective: effective number of words, start and end among them, by the sizes of their parts.
        effective_of_words: of words alone.
    """

    video: int
    ends: float
    total: float
    ends_size: float
    total_size: float
    effective: float
    effective_of_words: float

    @classmethod
    def between(cls, video: int, right: WordAccount, wrong: WordAccount) -> ScoreGap:
        """Compare the accounts of one sentence with its own video and with another."""
        parts = right.parts - wrong.parts
        names = list(right.rest)
        ends = parts[[len(right.gave) + names.index(name) for name in names if name != "marks"]]
        return cls(
            video,
            float(ends.sum()),
            float(parts.sum()),
            float(np.abs(ends).sum()),
            float(np.abs(parts).sum()),
            effective_number(parts),
            effective_number(parts[: len(right.gave)]),
        )


@dataclass
class Ratios:
    """Means and ratios over videos that are drawn together, named as they stand in the report."""

    videos: int
    _over: list[NDArray[np.float64]] = field(default_factory=list)
    _under: list[NDArray[np.float64]] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def mean(self, name: str, values: Iterable[float | None], video: Iterable[int]) -> None:
        """Add the mean of values; None does not count."""
        pairs = [(value, place) for value, place in zip(values, video, strict=True) if value is not None]
        self.ratio(name, [value for value, _ in pairs], [1.0] * len(pairs), [place for _, place in pairs])

    def ratio(self, name: str, over: Sequence[float], under: Sequence[float], video: Sequence[int]) -> None:
        """Add a ratio of sums."""
        places = np.asarray(video, np.int64)
        for sums, values in ((self._over, over), (self._under, under)):
            of_videos = np.bincount(places, np.asarray(values, np.float64), self.videos)
            sums.append(of_videos.astype(np.float64))
        self._counts[name] = len(places)

    def results(self) -> dict[str, dict[str, Any]]:
        """Return ``{name: {"value", "interval", "of"}}``; None where nothing counted."""
        values, ends = bootstrap_ratios(np.stack(self._over, axis=1), np.stack(self._under, axis=1))
        return {
            name: {
                "value": None if math.isnan(value) else float(value),
                "interval": None if np.isnan(both).any() else [float(end) for end in both],
                "of": count,
            }
            for (name, count), value, both in zip(self._counts.items(), values, ends, strict=True)
        }


def grounding_numbers(sentences: Sequence[JudgedSentence], videos: int) -> dict[str, Any]:
    """Return the numbers of an account.

    Args:
        sentences: at least one.
        videos: how many they are of; ``video`` of each is below.

    Returns:
        Numbers as ``{"value", "interval", "of"}``, percentages unless they count words; see
        ``docs/grounding.md`` for each.
    """
    ratios = Ratios(videos)
    video = [sentence.video for sentence in sentences]
    accounts = [sentence.account for sentence in sentences]
    _add_pointing(ratios, "", [(word, s.video) for s in sentences for word in s.pointed])
    kinds = sorted({word.kind for sentence in sentences for word in sentence.pointed})
    for kind in kinds:
        of_kind = [(word, s.video) for s in sentences for word in s.pointed if word.kind == kind]
        _add_pointing(ratios, kind, of_kind)
    # Leaving out has no account of a sentence of one word.
    ratios.mean("effective_words", [_effective(account.parts) for account in accounts], video)
    ratios.mean("effective_of_words", [_effective(account.gave) for account in accounts], video)
    ratios.mean("words", [float(len(of.gave)) if len(of.parts) else None for of in accounts], video)
    roles = _add_roles(ratios, sentences)
    for rank, sizes in enumerate(_by_rank(accounts)):
        ratios.mean(f"rank {rank}", sizes, video)
    ratios.mean("deletion", [_percent(_deletion(sentence)) for sentence in sentences], video)
    values = ratios.results()
    return {
        **{name: values[name] for name in ("pointing", "chance", "shuffled_words", "other_caption")},
        "by_kind": {kind: _below(values, kind) for kind in kinds},
        "picture": pointing_numbers([(word, s.video) for s in sentences for word in s.in_picture], videos),
        "effective_words": values["effective_words"],
        "effective_of_words": values["effective_of_words"],
        "words": values["words"],
        "end_weight": values.get("weight/end"),
        "weight": {role: values[f"weight/{role}"] for role in roles["weight"]} or None,
        "score": {role: values[f"score/{role}"] for role in roles["score"]},
        "score_by_rank": [value["value"] for name, value in values.items() if name.startswith("rank ")],
        "deletion": values["deletion"] | {"chance": 50.0, "permuted": _permuted(sentences, values)},
        "intervals": {"level": LEVEL_PERCENT, "over": "videos", "seed": SEED},
    }


def pointing_numbers(words: Sequence[tuple[PointedWord, int]], videos: int) -> dict[str, Any] | None:
    """Return ``pointing`` and ``chance`` of words, each with the number of its video; None without any."""
    if not words:
        return None
    ratios = Ratios(videos)
    _add_pointing(ratios, "", words)
    return {name: value for name, value in ratios.results().items() if value["of"]}


def gap_numbers(gaps: Sequence[ScoreGap], videos: int) -> dict[str, Any] | None:
    """Return what makes up the difference between right videos and hard negatives; None without any.

    ``start_and_end`` is their share of the mean difference (None if that is not above 0), in percent;
    ``start_and_end_by_size`` the same of sizes, in which parts for and against do not cancel out.
    """
    if not gaps:
        return None
    ratios = Ratios(videos)
    video = [pair.video for pair in gaps]
    total = [pair.total for pair in gaps]
    ratios.ratio("start_and_end", [100 * pair.ends for pair in gaps], total, video)
    sizes = [pair.total_size for pair in gaps]
    ratios.ratio("start_and_end_by_size", [100 * pair.ends_size for pair in gaps], sizes, video)
    ratios.mean("effective_words", [pair.effective for pair in gaps], video)
    ratios.mean("effective_of_words", [pair.effective_of_words for pair in gaps], video)
    ratios.mean("difference", total, video)
    values = ratios.results()
    if sum(total) <= _SMALLEST_LEAD * sum(sizes):
        # A share of nothing, or of a difference the wrong way, is no share.
        values["start_and_end"] |= {"value": None, "interval": None}
    return values


def _effective(parts: NDArray[np.float64]) -> float | None:
    return effective_number(parts) if len(parts) else None


def _add_pointing(ratios: Ratios, below: str, words: Sequence[tuple[PointedWord, int]]) -> None:
    before = f"{below}/" if below else ""
    video = [place for _, place in words]
    for name in ("pointed", "chance", "shuffled_words", "other_caption"):
        values = [_percent(getattr(word, name)) for word, _ in words]
        ratios.mean(before + ("pointing" if name == "pointed" else name), values, video)


def _below(values: dict[str, dict[str, Any]], below: str) -> dict[str, Any]:
    start = f"{below}/"
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def _add_roles(ratios: Ratios, sentences: Sequence[JudgedSentence]) -> dict[str, list[str]]:
    """Add the shares of start, end, marks, function and content words in the weights and in the score."""
    roles: dict[str, list[str]] = {}
    for what in ("weight", "score"):
        shares = [_roles_of(sentence, what) for sentence in sentences]
        # A sentence of which nothing gave anything has no shares.
        there = [(of, s.video) for of, s in zip(shares, sentences, strict=True) if of]
        roles[what] = list(dict.fromkeys(role for of, _ in there for role in of))
        for role in roles[what]:
            ratios.mean(f"{what}/{role}", [100 * of[role] for of, _ in there], [place for _, place in there])
    return roles


def _roles_of(sentence: JudgedSentence, what: str) -> dict[str, float]:
    account = sentence.account
    if what == "score":
        return shares_by_role(account.gave, account.rest, sentence.truth)
    if account.weights is None or account.rest_weights is None:
        return {}
    return shares_by_role(account.weights, account.rest_weights, sentence.truth)


def _by_rank(accounts: Sequence[WordAccount]) -> list[list[float | None]]:
    """Share of the score of each sentence's largest part, its second largest, and so on, in percent."""
    sizes = [np.sort(np.abs(account.parts))[::-1] for account in accounts]
    longest = min(_RANKS, max(len(of) for of in sizes))
    return [
        [100 * float(of[rank] / of.sum()) if rank < len(of) and of.sum() else None for of in sizes]
        for rank in range(longest)
    ]


def _deletion(sentence: JudgedSentence) -> float | None:
    order = _content(sentence)
    return None if order is None else deletion_order(*order)


def _content(sentence: JudgedSentence) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """What the words that were left out gave, and how far the score falls without each."""
    if sentence.falls is None:
        return None
    left_out_W = ~np.isnan(sentence.falls)
    return sentence.account.gave[left_out_W], sentence.falls[left_out_W]


def _permuted(
    sentences: Sequence[JudgedSentence], values: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Deletion where contributions are dealt out at random, and how rarely it is as good as measured.

    The interval is of the permutations.
    """
    rng = np.random.default_rng([SEED, 2])
    orders = [order for sentence in sentences if (order := _content(sentence)) is not None]
    drawn = [permuted_order(gave, falls, PERMUTATIONS, rng) for gave, falls in orders if len(gave) > 1]
    if not drawn:
        return None
    means_D = 100 * np.mean(drawn, axis=0)
    low, high = np.percentile(means_D, [2.5, 97.5])
    as_good = int((means_D >= values["deletion"]["value"] - 1e-9).sum())
    return {
        "value": float(means_D.mean()),
        "interval": [float(low), float(high)],
        "of": len(drawn),
        "p_value": (1 + as_good) / (1 + PERMUTATIONS),
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share
