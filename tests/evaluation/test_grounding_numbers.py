"""Numbers of judged sentences, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vidsift.data.grounding import GroundedWord
from vidsift.evaluation.grounding import PointedWord, WordAccount
from vidsift.evaluation.grounding_numbers import (
    JudgedSentence,
    Ratios,
    ScoreGap,
    gap_numbers,
    grounding_numbers,
)
from vidsift.types import Span


def account(gave: list[float], end: float, weights: list[float] | None = None) -> WordAccount:
    return WordAccount(
        evidence=np.zeros((len(gave), 2)),
        gave=np.array(gave),
        rest={"start": 0.0, "end": end, "marks": 0.0},
        times_seconds=np.array([0.0, 1.0]),
        weights=None if weights is None else np.array(weights),
        rest_weights=None if weights is None else {"start": 0.0, "end": 1 - sum(weights), "marks": 0.0},
    )


RED = GroundedWord("red", 2, 5, "appearance", (Span(0, 1),))
SPINS = GroundedWord("spins", 6, 11, "event", (Span(0, 1),))


def test_two_sentences_by_hand() -> None:
    first = JudgedSentence(
        0,
        account([0.0, 0.2, 0.2], 0.4, [0.0, 0.25, 0.25]),
        [None, RED, SPINS],
        pointed=[PointedWord("appearance", 1.0, 0.5, 0.0, 0.5), PointedWord("event", 0.5, 0.25)],
        falls=np.array([np.nan, 0.1, 0.3]),
    )
    second = JudgedSentence(
        1,
        account([0.1, 0.3], 0.0, [0.5, 0.5]),
        [RED, SPINS],
        pointed=[PointedWord("event", 0.0, 0.25, 1.0, 0.25)],
        falls=np.array([0.1, 0.3]),
    )
    numbers = grounding_numbers([first, second], 2)
    # Words count alike, whatever video they are of.
    assert numbers["pointing"]["value"] == pytest.approx(50)
    assert numbers["pointing"]["of"] == 3
    assert numbers["chance"]["value"] == pytest.approx(100 / 3)
    # The second word of the first sentence has no controls.
    assert (numbers["shuffled_words"]["value"], numbers["shuffled_words"]["of"]) == (50, 2)
    assert numbers["other_caption"]["value"] == pytest.approx(37.5)
    assert numbers["by_kind"]["event"]["pointing"]["value"] == pytest.approx(25)
    assert numbers["by_kind"]["appearance"]["chance"] == {"value": 50, "interval": [50, 50], "of": 1}
    assert numbers["picture"] is None
    # 0.2, 0.2 and 0.4 of 0.8: an entropy of 1.5 ln 2; 0.1 and 0.3 of 0.4 without any end.
    quarters = np.exp(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert numbers["effective_words"]["value"] == pytest.approx((2**1.5 + quarters) / 2)
    assert numbers["effective_of_words"]["value"] == pytest.approx((2 + quarters) / 2)
    assert numbers["words"]["value"] == 2.5
    assert numbers["end_weight"]["value"] == pytest.approx(25)
    assert numbers["weight"]["content"]["value"] == pytest.approx(75)
    assert numbers["score"]["end"]["value"] == pytest.approx(25)
    assert numbers["score"]["function"]["value"] == 0
    assert numbers["score_by_rank"] == pytest.approx([(50 + 75) / 2, (25 + 25) / 2, 12.5, 0, 0, 0])
    # Where both words gave the same nothing is said, a half; in the second sentence the order is right.
    assert numbers["deletion"]["value"] == pytest.approx(75)
    assert numbers["deletion"]["chance"] == 50
    assert numbers["deletion"]["permuted"]["value"] == pytest.approx(50, abs=3)


def test_where_nothing_could_be_judged_stands_nothing() -> None:
    numbers = grounding_numbers([JudgedSentence(0, account([0.0], 0.0), [RED])], 1)
    for name in ("pointing", "chance", "deletion"):
        assert (numbers[name]["value"], numbers[name]["interval"], numbers[name]["of"]) == (None, None, 0)
    assert numbers["end_weight"] is None
    assert numbers["weight"] is None
    assert numbers["score"] == {}
    assert numbers["deletion"]["permuted"] is None


def test_intervals_are_over_videos_and_not_over_words() -> None:
    # Of 50 videos, 25 have 20 right words each, the others 20 wrong: no more is known than of 50 words.
    video = np.repeat(np.arange(50), 20)
    ratios = Ratios(50)
    ratios.mean("clustered", (100.0 * (video % 2)).tolist(), video.tolist())
    ratios.mean("constant", [30.0] * 7, [3] * 7)
    values = ratios.results()
    low, high = values["clustered"]["interval"]
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.25 / 50), rel=0.15)
    assert values["constant"] == {"value": pytest.approx(30), "interval": pytest.approx([30, 30]), "of": 7}


def test_what_start_and_end_give_of_the_lead_on_hard_negatives() -> None:
    right, wrong = account([0.3, 0.2], 0.4), account([0.1, 0.3], 0.2)
    gap = ScoreGap.between(0, right, wrong)
    # Words give 0.2 and -0.1, the end 0.2: of 0.3, and of 0.5 by size.
    assert [gap.ends, gap.total] == pytest.approx([0.2, 0.3])
    assert [gap.ends_size, gap.total_size] == pytest.approx([0.2, 0.5])
    numbers = gap_numbers([gap, ScoreGap.between(1, right, right)], 2)
    assert numbers is not None
    assert numbers["start_and_end"]["value"] == pytest.approx(100 * 2 / 3)
    assert numbers["start_and_end_by_size"]["value"] == pytest.approx(40)
    # 0.2, 0.2 and 0.1 of 0.5; nothing differs in the second.
    three = np.exp(-(2 * 0.4 * np.log(0.4) + 0.2 * np.log(0.2)))
    assert numbers["effective_words"]["value"] == pytest.approx(three / 2)
    assert numbers["start_and_end"]["of"] == 2


def test_a_lead_that_is_none_has_no_shares() -> None:
    right, wrong = account([0.1], 0.1), account([0.2], 0.1)
    numbers = gap_numbers([ScoreGap.between(0, right, wrong)], 1)
    assert numbers is not None
    assert numbers["start_and_end"]["value"] is None
    assert numbers["start_and_end_by_size"]["value"] == 0
    assert gap_numbers([], 1) is None


def test_leads_that_cancel_out_have_no_shares() -> None:
    """The same caption of two videos: what is left of the sum is rounding."""
    first, second = account([0.1], 0.3), account([0.2], 0.7)
    gaps = [ScoreGap.between(0, first, second), ScoreGap.between(1, second, first)]
    rounding = gaps[1]._replace(total=gaps[1].total + 1e-15)
    numbers = gap_numbers([gaps[0], rounding], 2)
    assert numbers is not None
    assert numbers["start_and_end"]["value"] is None
    assert numbers["start_and_end_by_size"]["value"] == pytest.approx(80)


def test_a_sentence_without_an_account_is_no_sentence_of_no_words() -> None:
    """Leaving out says nothing of a sentence of one word."""
    silent = WordAccount(np.empty((0, 2)), np.empty(0), {}, np.array([0.0, 1.0]))
    of_two = WordAccount(np.zeros((2, 2)), np.array([0.2, -0.2]), {}, np.array([0.0, 1.0]))
    numbers = grounding_numbers([JudgedSentence(0, silent, []), JudgedSentence(1, of_two, [RED, SPINS])], 2)
    assert (numbers["effective_words"]["value"], numbers["effective_words"]["of"]) == (pytest.approx(2), 1)
    assert (numbers["effective_of_words"]["of"], numbers["words"]["value"]) == (1, 2)
