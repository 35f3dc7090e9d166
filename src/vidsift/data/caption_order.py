"""The order of an epoch of every caption: each once, and no video twice in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

__all__ = ["CaptionOrder"]

# Of an ordinary set one caption in a hundred is moved, at the first or second try.
_TRIES = 50


class CaptionOrder:
    """Which captions each batch of a stretch of training takes.

    Epochs follow each other without a gap: captions that fill no batch at the end of one begin the next batch
    together with the first ones of the following epoch, so ``E`` epochs of ``N`` captions are ``E * N //
    batch_size`` batches and nothing is left out on the way. What a batch holds is a function of its number.

    Args:
        captions_each: how many captions each video has, ``(V,)``, at least 1 each.
        batch_size: captions a batch, of as many videos.
        seed: of the order.

    Raises:
        ValueError: there are fewer videos than a batch takes, or one has so many captions that they do not
            fit into different batches of an epoch.

    Example:
        >>> order = CaptionOrder([2, 1, 1, 2], 3, seed=(0,))
        >>> sorted(order.batch(0) + order.batch(1))
        [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (3, 1)]
    """

    def __init__(self, captions_each: Sequence[int], batch_size: int, seed: Sequence[int]) -> None:
        """See the class."""
        self._counts = np.asarray(captions_each, np.int64)
        self._batch_size, self._seed = batch_size, tuple(seed)
        self._video_of = np.repeat(np.arange(len(self._counts)), self._counts)
        # Place of a caption among those of its video.
        self._place_of = np.arange(len(self._video_of)) - np.repeat(
            np.cumsum(self._counts) - self._counts, self._counts
        )
        self._refuse_unfit()
        # The last epoch that was ordered.
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def __getstate__(self) -> dict[str, object]:
        """Travel to workers without an order: each makes its own."""
        return self.__dict__ | {"_epoch": -1, "_order": np.zeros(0, np.int64)}

    def _refuse_unfit(self) -> None:
        captions, size = len(self._video_of), self._batch_size
        if len(self._counts) < size:
            raise ValueError(
                f"a batch takes {size} videos, the split has {len(self._counts)}; lower data.batch_size"
            )
        # Where epochs share a batch, the fewest whole batches of one are those behind the longest rest.
        shared = size - gcd(captions, size)
        batches, most = (captions - shared) // size, int(self._counts.max())
        if most > batches:
            raise ValueError(
                f"a video has {most} captions, and no batch takes a video twice, but an epoch of every "
                f"caption has {batches} whole batches of {size}; lower data.batch_size, or give "
                "data.captions: one"
            )

    @property
    def epoch_steps(self) -> Fraction:
        """Batches an epoch; no whole number as a rule."""
        return Fraction(len(self._video_of), self._batch_size)

    def batch(self, number: int) -> list[tuple[int, int]]:
        """Return the captions of a batch: the video, and which of its captions, both counted from 0."""
        first = number * self._batch_size
        chosen: list[tuple[int, int]] = []
        while len(chosen) < self._batch_size:
            epoch, place = divmod(first + len(chosen), len(self._video_of))
            part = self._order_of(epoch)[place : place + self._batch_size - len(chosen)]
            chosen += zip(self._video_of[part].tolist(), self._place_of[part].tolist(), strict=True)
        return chosen

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        """The captions of an epoch, in order."""
        if epoch < self._epoch:
            self._epoch = -1
        while self._epoch < epoch:
            self._epoch += 1
            # An epoch hangs on the one before by the batch that they share, and by nothing else.
            begun = self._epoch * len(self._video_of) % self._batch_size
            tail = self._order[len(self._order) - begun :] if begun else self._order[:0]
            self._order = self._drawn(self._video_of[tail])
        return self._order

    def _drawn(self, begun: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw the order of an epoch.

        Args:
            begun: videos of the epoch before that stand in the first batch.
        """
        rng = np.random.default_rng([*self._seed, self._epoch])
        order = rng.permutation(len(self._video_of))
        if self._mend(order, begun, rng):
            return order
        # Hardly any order is right where batches are few, or nearly as large as the set.
        videos = self._spread(begun, rng)
        order[np.argsort(videos, kind="stable")] = np.lexsort((rng.random(len(order)), self._video_of))
        return order

    def _mend(self, order: NDArray[np.int64], begun: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """Swap captions, in place, until no batch has a video twice; False where that takes too long."""
        videos = self._video_of[order]
        batches = (len(begun) + np.arange(len(order))) // self._batch_size

        def batch_at(place: int) -> NDArray[np.int64]:
            first = max(0, batches[place] * self._batch_size - len(begun))
            inside = videos[first : (batches[place] + 1) * self._batch_size - len(begun)]
            return inside if batches[place] else np.concatenate([begun, inside])

        keys = batches * len(self._counts) + videos
        # All but the first of each video in a batch.
        _, firsts = np.unique(np.concatenate([begun, keys]), return_index=True)
        twice = np.ones(len(begun) + len(keys), bool)
        twice[firsts] = False
        for place in np.flatnonzero(twice[len(begun) :]).tolist():
            for other in rng.integers(len(order), size=_TRIES).tolist():
                if videos[other] not in batch_at(place) and videos[place] not in batch_at(other):
                    for values in (order, videos):
                        values[[place, other]] = values[[other, place]]
                    break
            else:
                return False
        return True

    def _spread(self, begun: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the videos of an epoch in order; finds one wherever there is one.

        A batch takes the videos of which most captions are left (Ryser's construction of a matrix of zeros
        and ones from the sums of its rows and columns).
        """
        left, parts = self._counts.copy(), []
        free = self._batch_size - len(begun)
        allowed = np.ones(len(left), bool)
        allowed[begun] = False
        while left.any():
            size = min(free, int(left.sum()))
            order = np.lexsort((rng.random(len(left)), -left * allowed))
            parts.append(order[:size])
            left[order[:size]] -= 1
            allowed[:], free = True, self._batch_size
        return np.concatenate(parts)
