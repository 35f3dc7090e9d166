"""The feed: the same batches however they are made, and no hanging when something goes wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
import pytest

from vidsift.data.loading import Batch, Feed, Look, ShapesBatches, look_at
from vidsift.data.shapes import stream_batch

SHAPES = ShapesBatches(3, (Look(0, 8, 1), Look(3, 4, 2)), 16, captions_each=2, jitter=0.5)


@dataclass(frozen=True)
class Numbers:
    """Batches whose pictures hold their step; fails or ends the process where told to."""

    fails_at: int = -1
    dies_at: int = -1

    @property
    def most_bytes(self) -> int:
        """See BatchMaker."""
        return 4 * 2 * 2 * 3

    def __call__(self, step: int) -> Batch:
        """See BatchMaker."""
        if step == self.fails_at:
            raise ValueError(f"no batch for {step}")
        if step == self.dies_at:
            os._exit(3)
        pixels = np.full((1 + step % 4, 1, 2, 2, 3), step, np.uint8)
        rows = np.arange(len(pixels))
        return Batch(pixels, np.ones((len(pixels), 1), bool), np.zeros((len(pixels), 1)), [str(step)], rows)


def test_shapes_batches_follow_the_looks() -> None:
    batch = SHAPES(4)
    expected = stream_batch(3, 4, 4, 2, 16, captions_each=2, jitter=0.5)
    assert np.array_equal(batch.pixels, expected.pixels)
    assert batch.captions == expected.captions
    assert len(batch.captions) == 8
    assert batch.times_seconds[0].tolist() == [1.0, 3.0]
    assert SHAPES(2).pixels.shape == (8, 1, 16, 16, 3)
    assert look_at(SHAPES.looks, 3).frames == 2
    assert SHAPES.most_bytes == 8 * 16 * 16 * 3


def test_shapes_are_looked_at_by_the_policy_of_the_model() -> None:
    maker = ShapesBatches(3, (Look(0, 4, 6),), 16, tags=("motion",), sampling="one_fps_linspace")
    batch = maker(0)
    assert batch.pixels.shape == (4, 4, 16, 16, 3)
    assert batch.times_seconds[1].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert batch.pixels.nbytes <= maker.most_bytes
    moved = replace(maker, jitter=1.0)(0)
    assert np.array_equal(moved.times_seconds, batch.times_seconds)
    assert not np.array_equal(moved.pixels, batch.pixels)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order_whoever_makes_them(workers: int) -> None:
    with Feed(Numbers(), start=5, stop=21, workers=workers, ahead=2) as feed:
        seen = [(int(batch.pixels.max()), batch.pixels.shape[0], batch.captions) for batch in feed]
    assert seen == [(step, 1 + step % 4, [str(step)]) for step in range(5, 21)]


def test_a_feed_without_end_starts_anywhere() -> None:
    with Feed(SHAPES, start=2, workers=1) as feed:
        first, captions = next(feed).pixels.copy(), next(feed).captions
    assert np.array_equal(first, SHAPES(2).pixels)
    assert captions == SHAPES(3).captions


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_arrives_in_its_place(workers: int) -> None:
    with Feed(Numbers(fails_at=3), workers=workers) as feed:
        assert [next(feed).captions for _ in range(3)] == [["0"], ["1"], ["2"]]
        with pytest.raises(ValueError, match="no batch for 3"):
            next(feed)


def test_a_worker_that_dies_is_noticed() -> None:
    with Feed(Numbers(dies_at=1), workers=1) as feed:
        next(feed)
        with pytest.raises(RuntimeError, match=r"ended by itself \(exit code 3\) at step 1"):
            next(feed)
