"""How many segments are scored exactly before any other may be left out."""

from __future__ import annotations

import numpy as np

from vidsift.search.ranking import Leaders


def leaders(groups: list[int]) -> Leaders:
    count = len(groups)
    return Leaders(np.arange(count)[::-1].copy(), np.linspace(1, 0, count), np.asarray(groups))


def test_each_groups_best_is_scored_first() -> None:
    many = leaders([place // 2 for place in range(200)])
    assert many.best.tolist() == list(range(0, 200, 2))
    # Ten hits: 32 groups' best, and the 32 first of all, in the order in which they are read.
    chosen = many.first(10)
    assert set(chosen.tolist()) == set(range(0, 64, 2)) | set(range(32))
    assert many.rows[chosen].tolist() == sorted(many.rows[chosen].tolist())
    assert len(many.first(40)) == 80 + 16


def test_with_few_videos_the_margin_still_rests_on_many_segments() -> None:
    few = leaders([0, 1] * 100)
    assert few.best.tolist() == [0, 1]
    assert set(few.first(10).tolist()) == set(range(32))
    assert set(leaders([0] * 5).first(3).tolist()) == set(range(5))
