"""Batches from files: order, what cannot be read, and the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.video.making import Recipe, make

from vidsift.data.entries import Entry
from vidsift.data.loading import BatchStage, Feed
from vidsift.data.video_batches import OrderedVideos, ShuffledVideos
from vidsift.errors import TooFewVideosError
from vidsift.types import Span
from vidsift.video import read_frames
from vidsift.video.preprocessing import Preprocessing, Sampling

PREPROCESSING = Preprocessing(2, "uniform", 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_every_video_comes_once_in_order(entries: list[Entry]) -> None:
    maker = OrderedVideos(tuple(entries), PREPROCESSING, batch_size=3)
    batches = [maker(step) for step in range(maker.batches)]
    assert [batch.rows.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    wanted = PREPROCESSING.wanted_times(Span(0.0, 4.0))
    expected = read_frames(entries[4].path, wanted, size_px=16)
    assert np.array_equal(batches[1].pixels[1], expected.pixels)
    assert np.array_equal(batches[1].times_seconds[1], expected.times_seconds)
    assert all(batch.pixels.nbytes <= maker.most_bytes for batch in batches)


def test_what_cannot_be_read_has_no_row(entries: list[Entry], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("words", encoding="utf-8")
    batch = OrderedVideos((entries[0], Entry(broken, ("x",)), entries[1]), PREPROCESSING)(0)
    assert batch.rows.tolist() == [0, 2]
    assert len(batch.pixels) == 2
    assert batch.mask.all()
    ((path, reason),) = batch.failed
    assert path == str(broken)
    assert reason


def test_an_epoch_sees_every_video_once_with_its_own_captions(entries: list[Entry]) -> None:
    maker = ShuffledVideos(tuple(entries), 5, (BatchStage(0, 4, 2),), PREPROCESSING)
    epochs = [np.concatenate([maker(step).rows for step in steps]).tolist() for steps in ((0, 1), (2, 3))]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(8))
    assert epochs[0] != epochs[1]
    batch = maker(3)
    for row, caption in zip(batch.rows, batch.captions, strict=True):
        assert caption in entries[row].captions


def test_a_batch_is_a_function_of_seed_and_step(entries: list[Entry]) -> None:
    stages = (BatchStage(0, 4, 2), BatchStage(1, 2, 3))
    first, again, other = (
        ShuffledVideos(tuple(entries), seed, stages, PREPROCESSING)(3) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert first.captions == again.captions
    assert first.pixels.shape == (2, 3, 16, 16, 3)
    assert (first.rows.tolist(), first.captions) != (other.rows.tolist(), other.captions)


@pytest.mark.parametrize("policy", ["uniform", "one_fps_linspace", "head"])
@pytest.mark.parametrize("frames", [2, 6])
def test_training_looks_at_as_many_pictures_and_by_the_same_policy_as_evaluation(
    entries: list[Entry], tmp_path: Path, policy: Sampling, frames: int
) -> None:
    short = Entry(make(tmp_path, Recipe(fps=8, frames=12)), ("a short one",))
    mixed = (*entries[:3], short)
    preprocessing = replace(PREPROCESSING, sampling=policy, frames=frames)
    seen = OrderedVideos(tuple(mixed), preprocessing)(0)
    assert seen.mask.sum(axis=1).tolist() == (
        [frames] * 4 if policy == "uniform" else [min(4, frames)] * 3 + [2]
    )
    still = ShuffledVideos(mixed, 5, (BatchStage(0, 4, frames),), preprocessing, jitter=0.0)(0)
    back = np.argsort(still.rows)
    assert np.array_equal(still.pixels[back], seen.pixels)
    assert np.array_equal(still.mask[back], seen.mask)
    assert np.array_equal(still.times_seconds[back], seen.times_seconds)
    moved = ShuffledVideos(mixed, 5, (BatchStage(0, 4, frames),), preprocessing)(0)
    assert np.array_equal(moved.mask, still.mask)
    away = (moved.times_seconds - still.times_seconds)[moved.mask]
    assert (away != 0).any()
    stretch = 4 / frames if policy == "uniform" else 1.0
    assert np.abs(away).max() <= stretch
    assert (away.min() >= 0) == (policy != "uniform")


def broken(folder: Path, count: int) -> list[Entry]:
    paths = [folder / f"broken{number}.mp4" for number in range(count)]
    for path in paths:
        path.write_text("no video", encoding="utf-8")
    return [Entry(path, ("nothing",)) for path in paths]


def test_others_take_the_places_of_a_batch_that_cannot_be_read(entries: list[Entry], tmp_path: Path) -> None:
    """Which, is decided by seed and step: any process, at any time, draws the same."""
    mixed = (*entries[:5], *broken(tmp_path, 11))
    stages, replaced = (BatchStage(0, 4, 2),), 0
    for step in range(8):
        batch, again = (ShuffledVideos(mixed, 7, stages, PREPROCESSING)(step) for _ in range(2))
        assert np.array_equal(batch.pixels, again.pixels)
        assert (batch.captions, batch.replacements) == (again.captions, again.replacements)
        assert len(set(batch.rows.tolist())) == len(batch.rows) == len(batch.captions)
        assert all(c in mixed[row].captions for row, c in zip(batch.rows, batch.captions, strict=True))
        first = ShuffledVideos(mixed, 7, stages, PREPROCESSING)._rows(step)
        good = [row for row in first if row < 5]
        failed = {path for path, _ in batch.failed}
        assert {str(mixed[row].path) for row in first if row >= 5} <= failed
        if len(good) >= 2:  # as before: it is only smaller
            assert batch.rows.tolist() == good
            assert batch.replacements == ()
            continue
        replaced += 1
        assert len(batch.rows) == 4
        assert batch.rows.tolist()[: len(good)] == good
        assert batch.replacements == tuple(str(mixed[row].path) for row in batch.rows[len(good) :])
    assert replaced >= 2


def test_a_set_of_which_one_can_be_read_is_refused_by_names(entries: list[Entry], tmp_path: Path) -> None:
    mixed = (entries[0], *broken(tmp_path, 7))
    maker = ShuffledVideos(mixed, 7, (BatchStage(0, 4, 2),), PREPROCESSING)
    words = r"7 of all 8 training videos cannot be read, .*broken\d.mp4: .*; and 2 more\); repair or replace"
    with pytest.raises(TooFewVideosError, match=words), Feed(maker, stop=1) as feed:
        next(feed)


def test_a_split_smaller_than_a_batch_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(ValueError, match=r"a batch takes 9 videos, the split has 8; lower data.batch_size"):
        ShuffledVideos(tuple(entries), 0, (BatchStage(0, 9, 2),), PREPROCESSING)
