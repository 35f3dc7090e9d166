"""The stream of training batches: a function of seed and step."""

from __future__ import annotations

import numpy as np
import pytest

from vidsift.shapes.stream import clip_times, stream_batch


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, again, other = (stream_batch(5, step, 8, 2, 16, captions_each=2) for step in (2, 2, 3))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.captions == again.captions
    assert first.captions != other.captions
    assert first.captions != stream_batch(6, 2, 8, 2, 16, captions_each=2).captions
    assert (first.pixels.shape, len(first.captions)) == ((8, 2, 16, 16, 3), 16)


def test_a_batch_is_made_of_whole_groups() -> None:
    with pytest.raises(ValueError, match="batch is 6: expected a multiple of 4"):
        stream_batch(0, 0, batch=6)


def test_clip_times() -> None:
    assert clip_times(4).tolist() == [0.5, 1.5, 2.5, 3.5]
