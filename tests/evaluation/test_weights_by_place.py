"""Weights of text tokens summed over captions, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vidsift.encoders.tokenizer import END, START
from vidsift.evaluation.weights_by_place import sum_weights


def test_two_captions_by_hand() -> None:
    pieces = [[START, "red", ",", "ring", END], [START, "ring", END]]
    summed = sum_weights(pieces, [np.array([0.0, 0.3, 0.4, 0.2, 0.1]), np.array([0.1, 0.2, 0.7])])
    assert (summed.captions, summed.end_first) == (2, 0.5)
    assert summed.end_mean == pytest.approx(0.4)
    assert summed.others_mean == pytest.approx((0.9 + 0.3) / 6)
    assert summed.by_place == pytest.approx([0.05, 0.25, 0.4, 0.2])
    # The comma weighs more than any word, and is none.
    assert summed.heaviest == {"red": 1, "ring": 1}
