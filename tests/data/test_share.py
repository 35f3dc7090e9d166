"""Several processes make the rows of one and the same batch."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidsift.data.entries import Entry
from vidsift.data.loading import Batch, BatchMaker, BatchStage
from vidsift.data.shapes_batches import SceneStage, ShapesBatches, ShapesSetBatches
from vidsift.data.share import WHOLE, Share, part_of_batch, share_batches
from vidsift.data.video_batches import ShuffledVideos
from vidsift.shapes.set import ShapesSet
from vidsift.video.preprocessing import Preprocessing

STREAM = ShapesBatches(3, (SceneStage(0, 12, 2),), 16, captions_each=2, jitter=0.5)


@dataclass(frozen=True)
class MadeWhole:
    """A maker of somebody's own, which knows nothing of shares."""

    most_bytes: int = 5 * 2 * 4 * 4 * 3

    def __call__(self, step: int) -> Batch:
        pixels = np.full((5, 2, 4, 4, 3), step, np.uint8)
        names = [f"{lap}-{row}" for lap in range(2) for row in range(5)]
        return Batch(pixels, np.ones((5, 2), bool), np.zeros((5, 2)), names, np.arange(5))


def together(parts: Sequence[Batch]) -> Batch:
    """The batch that parts are of."""
    laps = len(parts[0].captions) // len(parts[0].rows)
    width = max(part.mask.shape[1] for part in parts)

    def joined(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        full = [(len(a), width, *a.shape[2:]) if a.ndim > 1 else a.shape for a in arrays]
        padded = [np.zeros(shape, a.dtype) for a, shape in zip(arrays, full, strict=True)]
        for array, wide in zip(arrays, padded, strict=True):
            wide[tuple(slice(0, size) for size in array.shape)] = array
        return np.concatenate(padded)

    captions = [
        text
        for lap in range(laps)
        for part in parts
        for text in part.captions[lap * len(part.rows) : (lap + 1) * len(part.rows)]
    ]
    failed = tuple(pair for part in parts for pair in part.failed)
    pixels, mask, times = (joined(name) for name in ("pixels", "mask", "times_seconds"))
    return Batch(pixels, mask, times, captions, joined("rows"), failed)


def same(first: Batch, second: Batch) -> bool:
    arrays = ("pixels", "mask", "times_seconds", "rows")
    return (
        all(np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays)
        and first.captions == second.captions
        and first.failed == second.failed
    )


def shares_make_the_batch(maker: BatchMaker, step: int, processes: int) -> None:
    shared = [share_batches(maker, Share(number, processes)) for number in range(processes)]
    parts = [part(step) for part in pickle.loads(pickle.dumps(shared))]
    assert same(together(parts), maker(step))
    assert all(part.pixels.nbytes <= made_by.most_bytes for part, made_by in zip(parts, shared, strict=True))


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_rows_of_streams_sets_and_makers_of_any_kind(tmp_path: Path, processes: int) -> None:
    clips = ShapesSet.open(tmp_path, clips=24, frames=2, size_px=16)
    on_disk = ShapesSetBatches(clips, 5, (SceneStage(0, 8, 2),), captions_each=2)
    for maker in (STREAM, replace(STREAM, sampling="head"), on_disk, MadeWhole()):
        for step in (0, 4):
            shares_make_the_batch(maker, step, processes)
    assert share_batches(STREAM, WHOLE) is STREAM
    # A process needs room for its rows, not for the batch.
    assert share_batches(STREAM, Share(0, 3)).most_bytes == STREAM.most_bytes / 3


@pytest.mark.parametrize("processes", [2, 3])
def test_rows_of_video_files_of_which_some_cannot_be_read(
    entries: list[Entry], tmp_path: Path, processes: int
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video", "utf-8")
    some = [*entries[:5], replace(entries[0], path=broken)]
    preprocessing = Preprocessing(2, "uniform", 16, (0.5,) * 3, (0.5,) * 3)
    maker = ShuffledVideos(tuple(some), 3, (BatchStage(0, 6, 2),), preprocessing)
    for step in range(2):
        shares_make_the_batch(maker, step, processes)
        assert len(maker(step).failed) == 1
    # With a share a process cannot tell whether the whole batch has too few: it leaves that to all of them.
    unreadable = replace(maker, entries=(some[5],) * 6)
    part = share_batches(unreadable, Share(1, 2))(0)
    assert (len(part.rows), len(part.failed), part.captions) == (0, 3, [])


def test_the_rows_of_a_batch_that_is_there() -> None:
    batch = MadeWhole()(7)
    assert same(together([part_of_batch(batch, Share(n, 2)) for n in range(2)]), batch)
    assert part_of_batch(batch, Share(0, 2)).captions == ["0-0", "0-1", "1-0", "1-1"]
