"""The stream of training batches of Shapes 2: a function of seed and step, in parts and by any policy."""

from __future__ import annotations

import numpy as np
import pytest

from vidsift.shapes.clip_stream import clip_batch


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, again, other = (clip_batch(5, step, 8, 3, 16, captions_each=2) for step in (2, 2, 3))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.captions == again.captions
    assert len(set(first.captions)) == 16
    assert first.captions != other.captions
    assert first.pixels.shape == (8, 3, 16, 16, 3)
    assert first.mask.all()
    # Clips last 4 to 16 seconds, those of a group as long as each other.
    middle = first.times_seconds[:, 1]
    assert (middle[:4] == middle[0]).all()
    assert ((middle >= 2) & (middle <= 8)).all()


def test_a_part_of_a_batch_is_that_of_the_whole() -> None:
    whole = clip_batch(1, 4, 8, 2, 16, captions_each=2, jitter=0.5)
    part = clip_batch(1, 4, 8, 2, 16, captions_each=2, jitter=0.5, rendered=range(3, 6))
    np.testing.assert_array_equal(part.pixels, whole.pixels[3:6])
    np.testing.assert_array_equal(part.times_seconds, whole.times_seconds[3:6])
    assert part.captions == [*whole.captions[3:6], *whole.captions[11:14]]


def test_what_gives_short_clips_fewer_pictures_masks_the_rest() -> None:
    batch = clip_batch(0, 0, 16, 12, 16, sampling="one_fps_linspace")
    counts = batch.mask.sum(axis=1)
    assert len(set(counts)) > 1
    assert batch.pixels.shape[1] == counts.max()
    assert not batch.pixels[~batch.mask].any()
    assert batch.pixels[batch.mask].any(axis=(1, 2, 3)).all()


def test_clips_without_their_hard_negatives() -> None:
    batch = clip_batch(0, 1, 8, 1, 16, grouped=False, paragraphs=True)
    assert len(set(batch.times_seconds[:, 0])) > 4
    assert all(text.count(".") >= 1 for text in batch.captions)


def test_a_batch_is_made_of_whole_groups() -> None:
    with pytest.raises(ValueError, match="batch is 6: expected a multiple of 4"):
        clip_batch(0, 0, batch=6)
