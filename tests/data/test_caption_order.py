"""Epochs of every caption: each caption once, no video twice in a batch, the same whoever asks."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsift.data.caption_order import CaptionOrder


def check_epochs(counts: list[int], size: int, order: CaptionOrder, epochs: int) -> None:
    """Read whole epochs and hold both promises."""
    captions = sorted((video, place) for video, count in enumerate(counts) for place in range(count))
    stream: list[tuple[int, int]] = []
    for number in range(-(-epochs * len(captions) // size)):
        batch = order.batch(number)
        assert len(batch) == size
        assert len({video for video, _ in batch}) == size
        stream += batch
    for epoch in range(epochs):
        assert sorted(stream[epoch * len(captions) : (epoch + 1) * len(captions)]) == captions


@settings(max_examples=150, deadline=None)
@given(
    counts=st.lists(st.integers(1, 6), min_size=2, max_size=14),
    size=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_an_epoch_has_every_caption_once_and_no_batch_a_video_twice(
    counts: list[int], size: int, seed: int
) -> None:
    """Also where hardly any order is right: what is not refused is found."""
    if len(counts) < size or max(counts) > (sum(counts) - size + math.gcd(sum(counts), size)) // size:
        with pytest.raises(ValueError, match=r"lower data\.batch_size"):
            CaptionOrder(counts, size, (seed,))
        return
    order = CaptionOrder(counts, size, (seed,))
    check_epochs(counts, size, order, epochs=4)


def test_a_batch_is_the_same_whoever_asks_for_it_and_when() -> None:
    counts = [int(count) for count in np.random.default_rng(0).integers(1, 9, 60)]
    order = CaptionOrder(counts, 16, (3, 0))
    batches = [order.batch(number) for number in range(60)]
    assert [CaptionOrder(counts, 16, (3, 0)).batch(number) for number in (59, 7, 31)] == [
        batches[number] for number in (59, 7, 31)
    ]
    # Two workers, each with every other batch, of which one went back.
    travelled = pickle.loads(pickle.dumps(order))
    assert [travelled.batch(number) for number in range(1, 60, 2)] == batches[1::2]
    assert [order.batch(number) for number in range(0, 60, 2)] == batches[::2]
    assert CaptionOrder(counts, 16, (4, 0)).batch(0) != batches[0]


def test_epochs_and_the_company_that_videos_meet_differ() -> None:
    """A video meets others in each of its batches: negatives are as many as at random."""
    order = CaptionOrder([20] * 90, 9, (1,))
    first, second = ([order.batch(200 * epoch + number) for number in range(200)] for epoch in (0, 1))
    assert first != second
    met = {video for batch in first if 5 in {video for video, _ in batch} for video, _ in batch}
    # Of 89 others, 160 random ones meet 1 - (1 - 1 / 89) ** 160 = 84 %.
    assert len(met) > 60


def test_the_papers_epochs_on_9k_are_7031_steps() -> None:
    """180,000 captions of 9,000 videos in batches of 128, as PIDRo and DRL train on MSR-VTT."""
    order = CaptionOrder([20] * 9000, 128, (0,))
    assert order.epoch_steps == Fraction(180_000, 128)
    assert int(5 * order.epoch_steps) == 7031
    # The batch that two epochs share, and one in the second.
    for number in (1406, 1407):
        assert len({video for video, _ in order.batch(number)}) == 128


@pytest.mark.parametrize(
    ("counts", "size", "words"),
    [
        ([1, 2], 3, "a batch takes 3 videos, the split has 2; lower data.batch_size"),
        ([9, 1, 1, 1], 2, "a video has 9 captions, .* has 6 whole batches of 2; lower"),
    ],
)
def test_what_no_order_can_do_is_refused(counts: list[int], size: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CaptionOrder(counts, size, (0,))
