"""Batches of the Shapes world: fresh scenes, and whole groups of a set in another order each epoch."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vidsift.data.loading import stage_at
from vidsift.data.shapes_batches import SceneStage, ShapesBatches, ShapesSetBatches
from vidsift.shapes.set import ShapesSet
from vidsift.shapes.stream import stream_batch

SHAPES = ShapesBatches(3, (SceneStage(0, 8, 1), SceneStage(3, 4, 2)), 16, captions_each=2, jitter=0.5)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ShapesSet:
    return ShapesSet.open(tmp_path_factory.mktemp("set"), clips=24, frames=2, size_px=16)


def test_shapes_batches_follow_the_stages() -> None:
    batch = SHAPES(4)
    expected = stream_batch(3, 4, 4, 2, 16, captions_each=2, jitter=0.5)
    assert np.array_equal(batch.pixels, expected.pixels)
    assert batch.captions == expected.captions
    assert len(batch.captions) == 8
    assert batch.times_seconds[0].tolist() == [1.0, 3.0]
    assert SHAPES(2).pixels.shape == (8, 1, 16, 16, 3)
    assert stage_at(SHAPES.stages, 3).frames == 2
    assert SHAPES.most_bytes == 8 * 16 * 16 * 3


def test_shapes_are_looked_at_by_the_policy_of_the_model() -> None:
    maker = ShapesBatches(3, (SceneStage(0, 4, 6),), 16, tags=("motion",), sampling="one_fps_linspace")
    batch = maker(0)
    assert batch.pixels.shape == (4, 4, 16, 16, 3)
    assert batch.times_seconds[1].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert batch.pixels.nbytes <= maker.most_bytes
    moved = replace(maker, jitter=1.0)(0)
    assert np.array_equal(moved.times_seconds, batch.times_seconds)
    assert not np.array_equal(moved.pixels, batch.pixels)


def test_an_epoch_takes_every_group_once(clips: ShapesSet) -> None:
    batches = ShapesSetBatches(clips, 5, (SceneStage(0, 8, 2),), captions_each=2)
    epoch = [batches(step) for step in range(3)]
    assert sorted(np.concatenate([batch.rows for batch in epoch])) == list(range(24))
    for batch in epoch:
        assert (batch.rows.reshape(2, 4) // 4 == batch.rows[::4, None] // 4).all()
        np.testing.assert_array_equal(batch.pixels, clips.pixels(batch.rows))
        assert batch.mask.all()
        assert len(batch.captions) == 16
        for place, text in enumerate(batch.captions):
            assert text in clips.captions[batch.rows[place % 8]]
        assert batch.captions[:8] != batch.captions[8:]
    assert [list(batches(step).rows) for step in range(3, 6)] != [list(batch.rows) for batch in epoch]


def test_a_step_is_the_same_in_every_process(clips: ShapesSet) -> None:
    batches = ShapesSetBatches(clips, 5, (SceneStage(0, 8, 2),))
    here, there = batches(7), pickle.loads(pickle.dumps(batches))(7)
    np.testing.assert_array_equal(here.pixels, there.pixels)
    assert here.captions == there.captions
    assert list(here.rows) != list(ShapesSetBatches(clips, 6, (SceneStage(0, 8, 2),))(7).rows)


def test_towers_that_remember_get_rows_without_pictures(clips: ShapesSet) -> None:
    with_pixels = ShapesSetBatches(clips, 5, (SceneStage(0, 8, 2),))
    without = ShapesSetBatches(clips, 5, (SceneStage(0, 8, 2, with_pixels=False),))
    assert without(1).captions == with_pixels(1).captions
    assert list(without(1).rows) == list(with_pixels(1).rows)
    assert without(1).pixels.shape == (8, 2, 1, 1, 3)
    assert (without.most_bytes, with_pixels.most_bytes) == (48, 48 * 256)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (SceneStage(0, 8, 4), "a stage wants 4 frames, the set of clips has 2"),
        (SceneStage(0, 28, 2), "a batch takes 28 clips, the set has 24"),
        (SceneStage(0, 8, 2, grouped=False), "leave data.clips out"),
        (SceneStage(0, 8, 2, tags=("detail",)), "leave data.clips out"),
    ],
)
def test_what_a_set_cannot_give_is_refused(clips: ShapesSet, stage: SceneStage, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ShapesSetBatches(clips, 0, (stage,))


def test_a_set_gives_the_seconds_that_models_look_at(tmp_path: Path) -> None:
    clips = ShapesSet.open(
        tmp_path, clips=4, frames=6, size_px=16, tags=("detail",), sampling="one_fps_linspace"
    )
    batch = ShapesSetBatches(clips, 0, (SceneStage(0, 4, 6),))(0)
    assert batch.times_seconds[0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert batch.mask.shape == (4, 4)
