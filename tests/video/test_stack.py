"""Videos of different lengths, padded."""

from __future__ import annotations

import numpy as np

from vidsift.video.stack import stack_videos


def test_shorter_videos_are_padded_with_zeros_behind_a_mask() -> None:
    short, long = np.full((1, 2, 2, 3), 7, np.uint8), np.full((3, 2, 2, 3), 9, np.uint8)
    pixels, mask, times = stack_videos([short, long], [np.array([0.5]), np.array([0.0, 1.0, 2.0])], (2, 2, 3))
    assert pixels.dtype == np.uint8
    assert pixels[:, :, 0, 0, 0].tolist() == [[7, 0, 0], [9, 9, 9]]
    assert mask.tolist() == [[True, False, False], [True, True, True]]
    assert times.tolist() == [[0.5, 0.0, 0.0], [0.0, 1.0, 2.0]]


def test_no_video_is_an_empty_batch_of_the_right_shape() -> None:
    pixels, mask, times = stack_videos([], [], (4, 4, 3))
    assert (pixels.shape, mask.shape, times.shape) == ((0, 1, 4, 4, 3), (0, 1), (0, 1))
