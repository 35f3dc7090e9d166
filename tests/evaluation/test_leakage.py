"""No score knows which text belongs to which video: order and numbers of both change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from tests.methods import tiny
from tests.methods.variants import every_variant

from vidsift.evaluation.retrieval import both_ways


@every_variant
def test_shuffled_and_of_different_numbers_texts_and_videos_score_the_same(
    method: str, arguments: Mapping[str, Any]
) -> None:
    model = tiny.model(method, arguments)
    pixels, times = tiny.videos([5, 1, 3, 2])
    captions = [*tiny.CAPTIONS, tiny.CAPTIONS[0]]
    owner = np.array([0, 1, 2, 3, 1, 0])
    sim_QV = model.similarity(model.encode_text(captions), model.encode_frames(pixels, times))
    # Six texts and four videos; then in another order, and with one video and two texts less.
    for texts, videos in (([4, 2, 0, 5, 1, 3], [2, 0, 3, 1]), ([3, 5, 1, 4], [3, 1, 0])):
        again = model.similarity(
            model.encode_text([captions[row] for row in texts]),
            model.encode_frames([pixels[row] for row in videos], [times[row] for row in videos]),
        )
        expected = sim_QV[texts][:, videos]
        torch.testing.assert_close(again, expected, atol=2e-6, rtol=1e-5)
        new_owner = np.array([videos.index(owner[row]) for row in texts])
        for left, right in zip(
            both_ways(expected.numpy().round(4), new_owner),
            both_ways(again.numpy().round(4), new_owner),
            strict=True,
        ):
            assert left.expected().tolist() == right.expected().tolist()
