"""Which rows of every batch are whose, where several processes train together.

A batch is a function of its number, so each process makes its own rows of the very same batch and none
has to be sent.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, NamedTuple, cast

from vidsift.data.loading import Batch, BatchMaker

__all__ = ["WHOLE", "Share", "part_of_batch", "share_batches"]


class Share(NamedTuple):
    """The rows of one of several processes: neighbours, and as many as those of the others, give or take one.

    Attributes:
        number: of the process, from 0.
        processes: how many there are.
    """

    number: int = 0
    processes: int = 1

    def rows(self, count: int) -> slice:
        """Return which of so many rows are this process's.

        Example:
            >>> [Share(number, 3).rows(8) for number in range(3)]
            [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        first, end = (count * number // self.processes for number in (self.number, self.number + 1))
        return slice(first, end)

    def most_rows(self, count: int) -> int:
        """Return the most rows that a process has of so many."""
        return -(-count // self.processes)


WHOLE = Share()
"""One process has every row."""


def share_batches(maker: BatchMaker, share: Share) -> BatchMaker:
    """Return what makes a process's rows of the batches of a maker.

    Args:
        maker: makes whole batches. One that is a dataclass with a field ``share`` makes no more than it has
            to; of any other one the whole batch is made, and the rows are taken from it.
        share: whose rows.
    """
    if share.processes == 1:
        return maker
    if is_dataclass(maker) and any(field.name == "share" for field in fields(maker)):
        shared: Any = maker
        return cast("BatchMaker", replace(shared, share=share))
    return _TakenFromWhole(maker, share)


@dataclass(frozen=True)
class _TakenFromWhole:
    """Rows of batches that somebody makes whole."""

    maker: BatchMaker
    share: Share

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        return self.maker.most_bytes

    def __call__(self, step: int) -> Batch:
        """Make a batch and return its rows."""
        return part_of_batch(self.maker(step), self.share)


def part_of_batch(batch: Batch, share: Share) -> Batch:
    """Return the rows of a process, with their captions; what could not be read stays named."""
    count = len(batch.rows)
    mine = share.rows(count)
    # The captions stand lap by lap, a caption of each video in a lap.
    laps = range(0, len(batch.captions), count) if count else range(0)
    captions = [text for first in laps for text in batch.captions[first : first + count][mine]]
    return batch._replace(
        pixels=batch.pixels[mine],
        mask=batch.mask[mine],
        times_seconds=batch.times_seconds[mine],
        captions=captions,
        rows=batch.rows[mine],
    )
