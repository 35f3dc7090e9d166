"""Numbers of a report: by hand, as properties, and with several right videos."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsift.data.entries import Entry
from vidsift.evaluation.ranks import Ranks, VideoToText, ranks_of, text_to_video_ranks, video_to_text_ranks
from vidsift.evaluation.retrieval import both_ways, retrieval_metrics

Matrix = np.ndarray[Any, Any]


def entries_of(counts: list[int]) -> list[Entry]:
    return [Entry(Path(str(number)), tuple("x" * count)) for number, count in enumerate(counts)]


def ndcg_by_definition(scores: list[float], right: set[int], k: int = 10) -> float:
    """As trec_eval's ndcg_cut with gains of 1, where no scores tie."""
    ranked = sorted(range(len(scores)), key=lambda item: -scores[item])
    gain = sum(1 / math.log2(place + 2) for place, item in enumerate(ranked[:k]) if item in right)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(right))))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ndcg_is_that_of_trec_eval(data: st.DataObject) -> None:
    items = data.draw(st.integers(2, 30))
    scores = data.draw(st.permutations([float(number) for number in range(items)]))
    right = data.draw(st.sets(st.integers(0, items - 1), min_size=1))
    ranks = ranks_of([scores], [[item in right for item in range(items)]])
    assert ranks.ndcg_at_10[0] == pytest.approx(ndcg_by_definition(scores, right))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_ndcg_with_ties_is_the_mean_over_their_orders(data: st.DataObject) -> None:
    scores = np.array(data.draw(st.lists(st.integers(0, 2), min_size=2, max_size=16)), float)
    right = data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    rng = np.random.default_rng(0)
    broken = [scores + rng.random(len(scores)) / 2 for _ in range(800)]
    mean = np.mean([ndcg_by_definition(list(order), right) for order in broken])
    ranks = ranks_of([scores], [[item in right for item in range(len(scores))]])
    assert ranks.ndcg_at_10[0] == pytest.approx(mean, abs=0.06)


def test_ndcg_worked_by_hand() -> None:
    # Right answers at places 2 and 4 of four; the best possible are 1 and 2.
    ranks = ranks_of([[0.9, 0.8, 0.7, 0.6]], [[False, True, False, True]])
    best = 1 + 1 / math.log2(3)
    assert ranks.ndcg_at_10[0] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / best)
    # Twelve that tie, one right: each place is as likely, ten of them count.
    tied = text_to_video_ranks(np.zeros((1, 12)), [0])
    assert tied.ndcg_at_10[0] == pytest.approx(sum(1 / math.log2(place + 2) for place in range(10)) / 12)
    # Twelve that tie, all right but one.
    most = ranks_of(np.zeros((1, 12)), [[True] * 11 + [False]])
    assert most.ndcg_at_10[0] == pytest.approx(11 / 12)


@st.composite
def truths(draw: st.DrawFn) -> tuple[Matrix, list[int]]:
    """Similarities with ties, and how many captions each video has: never as many texts as videos by rule."""
    counts = draw(st.lists(st.integers(1, 4), min_size=2, max_size=6))
    scores = draw(
        st.lists(st.integers(0, 6), min_size=sum(counts) * len(counts), max_size=sum(counts) * len(counts))
    )
    return np.array(scores, np.float32).reshape(sum(counts), len(counts)), counts


@pytest.mark.parametrize("protocol", ["closest_caption", "caption_groups"])
@settings(max_examples=40, deadline=None)
@given(truth=truths(), seed=st.integers(0, 99))
def test_the_order_of_captions_and_videos_changes_nothing(
    protocol: VideoToText, truth: tuple[Matrix, list[int]], seed: int
) -> None:
    sim, counts = truth
    owner = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    texts, videos = rng.permutation(len(owner)), rng.permutation(len(counts))
    place_of = np.argsort(videos)
    there = both_ways(sim, owner, video_to_text=protocol)
    shuffled = both_ways(sim[texts][:, videos], place_of[owner[texts]], video_to_text=protocol)
    same(there.text_to_video[texts], shuffled.text_to_video)
    same(there.video_to_text[videos], shuffled.video_to_text)


def same(left: Ranks, right: Ranks) -> None:
    for name in ("better", "tied", "right"):
        assert getattr(left, name).tolist() == getattr(right, name).tolist()
    assert left.ndcg_at_10 == pytest.approx(right.ndcg_at_10)


def ranked_all_ways(sim: Matrix, owner: Matrix) -> list[Ranks]:
    back = [video_to_text_ranks(sim, owner), video_to_text_ranks(sim, owner, "caption_groups")]
    return [text_to_video_ranks(sim, owner), *back]


def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    sim, owner = rng.integers(0, 9, (40, 12)).astype(np.float32), rng.permutation(np.arange(40) % 12)
    whole = ranked_all_ways(sim, owner)
    monkeypatch.setattr("vidsift.evaluation.ranks._AT_ONCE", 100)
    for left, right in zip(whole, ranked_all_ways(sim, owner), strict=True):
        same(left, right)


SIM = np.array([[0.9, 0.1, 0.5], [0.8, 0.6, 0.7], [0.3, 0.9, 0.4]])


def test_several_right_videos_are_scored_beside_the_plain_protocol() -> None:
    plain = retrieval_metrics(SIM, entries_of([1, 1, 1]))
    # The second caption is of video 1 and describes video 0 as well; the third is of 2 and fits no other.
    report = retrieval_metrics(SIM, entries_of([1, 1, 1]), positives=[(0,), (0, 1), ()])
    assert {name: report[name] for name in plain} == plain
    several = report["positives"]
    assert several["captions"] == 1
    assert (plain["text_to_video"]["R@1"], several["text_to_video"]["R@1"]) == (
        pytest.approx(100 / 3),
        pytest.approx(200 / 3),
    )
    # Its right videos stand at 1 and 3 of 3.
    best = 1 + 1 / math.log2(3)
    expected = (1 + (1 + 1 / math.log2(4)) / best + 1 / math.log2(3)) / 3
    assert several["text_to_video"]["nDCG@10"] == pytest.approx(100 * expected)
    # Asked for its captions, video 0 is answered by its two best now.
    assert several["video_to_text"]["R@1"] == pytest.approx(100 / 3)
    assert "best-ranked right one" in several["rule"]


def test_a_group_with_a_caption_that_fits_is_a_right_one() -> None:
    owner = [0, 0, 1]
    sim = np.array([[0.1, 0.9], [0.2, 0.3], [0.9, 0.2]])
    plain = video_to_text_ranks(sim, owner, "caption_groups")
    assert plain.expected().tolist() == [2.0, 2.0]
    several = video_to_text_ranks(sim, owner, "caption_groups", [(), (), (0,)])
    # Video 0 is answered by the group of video 1; video 1 still by its own alone.
    assert several.expected().tolist() == [1.0, 2.0]


def test_with_a_missing_video_another_right_one_may_be_there() -> None:
    report = retrieval_metrics(
        SIM, entries_of([1, 1, 1]), present=[True, False, True], positives=[(), (0,), ()]
    )
    # The second caption's own video is missing: not found plainly, found by way of video 0.
    assert report["text_to_video"]["R@1"] == pytest.approx(200 / 3)
    assert report["positives"]["text_to_video"]["R@1"] == pytest.approx(100.0)
