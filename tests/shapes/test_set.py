"""A fixed set of clips, rendered once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.files.full_disk import full_disk

from vidsift.errors import NotSavedError
from vidsift.shapes.set import ShapesSet
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
    monkeypatch.setattr("vidsift.shapes.set.render", None)
    again = ShapesSet.open(clips.folder.parent, clips=24, frames=2, size_px=16)
    assert again == clips
    assert again.pixels(np.array([3, 1])).shape == (2, 2, 16, 16, 3)
    with pytest.raises(TypeError):
        ShapesSet.open(clips.folder.parent, clips=24, frames=3, size_px=16)


def test_groups_are_hard_negatives_and_tags_take_turns(tmp_path: Path) -> None:
    detail = ShapesSet.open(tmp_path, clips=8, frames=2, size_px=16, tags=("detail",))
    motion = ShapesSet.open(tmp_path, clips=8, frames=2, size_px=16, tags=("motion",))
    assert detail.folder != motion.folder
    assert detail.captions[0] != motion.captions[0]
    assert len({texts[0] for texts in detail.captions}) == 8


def test_a_set_shows_the_seconds_that_models_look_at(tmp_path: Path, clips: ShapesSet) -> None:
    """Also the ones that give fewer pictures; a set of the first kind has the name that it always had."""
    assert clips.folder.name == "shapes-24x2-16px-" + "-".join(TAGS)
    sets = [
        ShapesSet.open(tmp_path, clips=4, frames=6, size_px=16, tags=("detail",), sampling=policy)
        for policy in ("uniform", "one_fps_linspace", "head")
    ]
    assert len({shapes_set.folder for shapes_set in sets}) == 3
    shapes = [shapes_set.pixels(slice(None)).shape for shapes_set in sets]
    assert shapes == [(4, 6, 16, 16, 3), (4, 4, 16, 16, 3), (4, 4, 16, 16, 3)]


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
