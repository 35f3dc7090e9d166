"""The feed: the same batches however they are made, and no hanging when something goes wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pytest

from vidsift.data.loading import Batch, Feed


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


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_order_whoever_makes_them(workers: int) -> None:
    with Feed(Numbers(), start=5, stop=21, workers=workers, ahead=2) as feed:
        seen = [(int(batch.pixels.max()), batch.pixels.shape[0], batch.captions) for batch in feed]
    assert seen == [(step, 1 + step % 4, [str(step)]) for step in range(5, 21)]


def test_a_feed_without_end_starts_anywhere() -> None:
    with Feed(Numbers(), start=2, workers=1) as feed:
        first, captions = next(feed).pixels.copy(), next(feed).captions
    assert np.array_equal(first, Numbers()(2).pixels)
    assert captions == ["3"]


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
