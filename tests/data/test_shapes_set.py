"""A fixed set of clips: rendered once, and batches that are whole groups in another order each epoch."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.files.full_disk import full_disk

from vidsift.data.loading import Look
from vidsift.data.shapes_set import ShapesSet, ShapesSetBatches
from vidsift.files.saving import NotSavedError
from vidsift.shapes.world import TAGS


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ShapesSet:
    return ShapesSet.open(tmp_path_factory.mktemp("set"), clips=24, frames=2, size_px=16)


def test_the_set_is_rendered_once_and_the_same_everywhere(
    clips: ShapesSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ShapesSet.open(tmp_path, clips=24, frames=2, size_px=16)
    np.testing.assert_array_equal(other.pixels(slice(None)), clips.pixels(slice(None)))
    assert other.captions == clips.captions
    monkeypatch.setattr("vidsift.data.shapes_set.render", None)
    again = ShapesSet.open(clips.folder.parent, clips=24, frames=2, size_px=16)
    assert again == clips
    assert again.pixels(np.array([3, 1])).shape == (2, 2, 16, 16, 3)
    with pytest.raises(TypeError):
        ShapesSet.open(clips.folder.parent, clips=24, frames=3, size_px=16)


def test_groups_are_hard_negatives_and_tags_take_turns(tmp_path: Path) -> None:
    one = ShapesSet.open(tmp_path, clips=8, frames=2, size_px=16, tags=("detail",))
    two = ShapesSet.open(tmp_path, clips=8, frames=2, size_px=16, tags=("motion",))
    assert one.folder != two.folder
    assert one.captions[0] != two.captions[0]
    assert len({texts[0] for texts in one.captions}) == 8


def test_an_epoch_takes_every_group_once(clips: ShapesSet) -> None:
    batches = ShapesSetBatches(clips, 5, (Look(0, 8, 2),), captions_each=2)
    epoch = [batches(step) for step in range(3)]
    assert sorted(np.concatenate([one.rows for one in epoch])) == list(range(24))
    for batch in epoch:
        assert (batch.rows.reshape(2, 4) // 4 == batch.rows[::4, None] // 4).all()
        np.testing.assert_array_equal(batch.pixels, clips.pixels(batch.rows))
        assert batch.mask.all()
        assert len(batch.captions) == 16
        for place, text in enumerate(batch.captions):
            assert text in clips.captions[batch.rows[place % 8]]
        assert batch.captions[:8] != batch.captions[8:]
    assert [list(batches(step).rows) for step in range(3, 6)] != [list(one.rows) for one in epoch]


def test_a_step_is_the_same_in_every_process(clips: ShapesSet) -> None:
    batches = ShapesSetBatches(clips, 5, (Look(0, 8, 2),))
    here, there = batches(7), pickle.loads(pickle.dumps(batches))(7)
    np.testing.assert_array_equal(here.pixels, there.pixels)
    assert here.captions == there.captions
    assert list(here.rows) != list(ShapesSetBatches(clips, 6, (Look(0, 8, 2),))(7).rows)


def test_towers_that_remember_get_rows_without_pictures(clips: ShapesSet) -> None:
    with_pixels = ShapesSetBatches(clips, 5, (Look(0, 8, 2),))
    without = ShapesSetBatches(clips, 5, (Look(0, 8, 2),), with_pixels=False)
    assert without(1).captions == with_pixels(1).captions
    assert list(without(1).rows) == list(with_pixels(1).rows)
    assert without(1).pixels.shape == (8, 2, 1, 1, 3)
    assert (without.most_bytes, with_pixels.most_bytes) == (48, 48 * 256)


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (Look(0, 8, 4), "a stage wants 4 frames, the set of clips has 2"),
        (Look(0, 28, 2), "a batch takes 28 clips, the set has 24"),
        (Look(0, 8, 2, grouped=False), "leave data.clips out"),
        (Look(0, 8, 2, tags=("detail",)), "leave data.clips out"),
    ],
)
def test_what_a_set_cannot_give_is_refused(clips: ShapesSet, look: Look, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ShapesSetBatches(clips, 0, (look,))


def test_a_set_shows_the_seconds_that_models_look_at(tmp_path: Path, clips: ShapesSet) -> None:
    """Also the ones that give fewer pictures; a set of the first kind has the name that it always had."""
    assert clips.folder.name == "shapes-24x2-16px-" + "-".join(TAGS)
    sets = [
        ShapesSet.open(tmp_path, clips=4, frames=6, size_px=16, tags=("detail",), sampling=policy)
        for policy in ("uniform", "one_fps_linspace", "head")
    ]
    assert len({one.folder for one in sets}) == 3
    shapes = [one.pixels(slice(None)).shape for one in sets]
    assert shapes == [(4, 6, 16, 16, 3), (4, 4, 16, 16, 3), (4, 4, 16, 16, 3)]
    batch = ShapesSetBatches(sets[1], 0, (Look(0, 4, 6),))(0)
    assert batch.times_seconds[0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert batch.mask.shape == (4, 4)


def test_a_full_disk_leaves_no_half_a_set(tmp_path: Path) -> None:
    with (
        pytest.raises(NotSavedError, match=rf"set of clips could not be written to {tmp_path}"),
        full_disk(900),
    ):
        ShapesSet.open(tmp_path, clips=4, frames=2, size_px=16)
    assert list(tmp_path.iterdir()) == []


def test_a_set_is_made_of_whole_groups(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="clips is 6: expected a multiple of 4"):
        ShapesSet.open(tmp_path, clips=6, frames=2, size_px=16)
