from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods import tiny

from vidsift.search.moments import frame_shares, moment_around
from vidsift.types import Span

SEGMENT = Span(0.0, 12.0)
TIMES = np.array([1.0, 3.0, 5.0, 7.0, 9.0, 11.0])


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0, 0, 1, 0, 0, 0], Span(4.0, 6.0)),
        ([0, 0, 1, 0.9, 0, 0], Span(4.0, 8.0)),
        ([1, 0, 0, 0, 0, 0.9], Span(0.0, 2.0)),  # the second best is elsewhere
        ([0, 0, 0, 0, 0, 1], Span(10.0, 12.0)),
        ([1, 1, 1, 1, 1, 1], SEGMENT),
        ([-3, -2, -1, -2, -3, -3], Span(4.0, 6.0)),
    ],
)
def test_the_moment_is_the_stretch_around_the_best_frame(shares: list[float], expected: Span) -> None:
    assert moment_around(TIMES, np.array(shares, float), SEGMENT) == expected


def test_uneven_times_share_the_seconds_between_them() -> None:
    times = np.array([0.0, 1.0, 5.0, 6.0])
    assert moment_around(times, np.array([0, 1.0, 0, 0]), SEGMENT) == Span(0.5, 3.0)
    assert moment_around(times, np.array([1.0, 0, 0, 0]), SEGMENT) == Span(0.0, 0.5)
    assert moment_around(times, np.array([0, 0, 0, 1.0]), SEGMENT) == Span(5.5, 6.5)


def test_one_frame_and_no_times_are_the_whole_segment() -> None:
    assert moment_around(np.array([4.0]), np.array([1.0]), SEGMENT) == SEGMENT
    assert moment_around(np.zeros(0), np.zeros(0), SEGMENT) == SEGMENT


def test_shares_are_sums_over_words_terms_and_tokens_of_one_time() -> None:
    model = tiny.model()
    text = model.encode_text(["a red circle moves left"])
    pixels, _ = tiny.videos([4])
    video = model.encode_frames(pixels, [np.array([1.0, 1.0, 2.0, 3.0])])
    with torch.inference_mode():
        account = model.method.align(text, video)
        score = model.method.similarity(text, video)
    distinct, shares = frame_shares(model.method.terms, account, video)
    assert distinct.tolist() == [1.0, 2.0, 3.0]
    assert shares.sum() == pytest.approx(float(score), abs=1e-6)
    given = account[model.method.terms[0].name].contributions[0].sum(dim=0)
    assert shares[0] == pytest.approx(float(given[0] + given[1]), abs=1e-6)


def test_tokens_without_times_have_no_shares() -> None:
    model = tiny.model()
    text = model.encode_text(["circle"])
    video = {
        name: one.replace(times_seconds=None) for name, one in model.encode_frames(*tiny.videos([4])).items()
    }
    with torch.inference_mode():
        account = model.method.align(text, video)
    distinct, shares = frame_shares(model.method.terms, account, video)
    assert (len(distinct), len(shares)) == (0, 0)
