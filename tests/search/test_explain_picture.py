"""What a picture of an explanation writes beside the matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vidsift.search.canvas import Written
from vidsift.search.explain import Explanation, TermAccount
from vidsift.search.explain_picture import draw_explanation

TERM = TermAccount(
    name="word-frame",
    words=["red", "ring"],
    times_seconds=np.array([0.5, 1.5]),
    values=np.array([[0.5, 0.25], [0.125, 0.375]], np.float32),
    contributions=np.array([[0.25, 0.0], [0.0, 0.1875]], np.float32),
    text_weights=np.array([0.5, 0.5], np.float32),
    video_weights=np.array([0.75, 0.25], np.float32),
    best_video_token=np.array([0, 1]),
    best_text_token=np.array([0, 1]),
)


def written(term: TermAccount) -> list[str]:
    drawn = draw_explanation(Explanation("red ring", 0.4375, [term]))
    return [mark.text for mark in drawn.marks if isinstance(mark, Written)]


def test_frames_that_weigh_differently_show_their_weights() -> None:
    texts = written(TERM)
    assert {"each frame gave,", "w its weight", "w 0.75", "w 0.25"} <= set(texts)
    assert {"0.250", "0.188", "all: 0.4375"} <= set(texts)


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1.0, 1.0]])
def test_frames_that_weigh_alike_show_none(weights: list[float]) -> None:
    texts = written(replace(TERM, video_weights=np.array(weights, np.float32)))
    assert "each frame gave" in texts
    assert not [text for text in texts if text.startswith("w ")]
    assert {"0.250", "0.188", "all: 0.4375"} <= set(texts)
