"""The Shapes worlds as sources: what is validated on, and what judges a grid."""

from __future__ import annotations

from pathlib import Path

from vidsift.data.folder import read_folder
from vidsift.data.shapes import Shapes
from vidsift.data.shapes2 import Shapes2
from vidsift.shapes.library import write_library
from vidsift.video.preprocessing import Preprocessing

LOOK = Preprocessing(frames=2, sampling="uniform", size_px=16, mean=(0.5,) * 3, std=(0.5,) * 3)


def test_videos_that_are_validated_on_have_the_grounding_that_a_library_may_have(tmp_path: Path) -> None:
    write_library(tmp_path, "val", 4, size_px=32, workers=1, grounding=True)
    drawn = Shapes(source="shapes-stream").validation_set("val", 4, LOOK)
    for entry, written in zip(drawn.entries, read_folder(tmp_path), strict=True):
        assert (entry.captions, entry.tag, entry.group) == (written.captions, written.tag, written.group)
        assert entry.grounding == written.grounding
        assert all(entry.grounding)


def test_another_seed_draws_other_videos_to_judge_a_grid_on(tmp_path: Path) -> None:
    for data in (Shapes(source="shapes-stream"), Shapes2(source="shapes2-stream")):
        first, same, other = (data.test_set(tmp_path, 8, seed) for seed in (0, 0, 1))
        said = [{text for entry in it.entries for text in entry.captions} for it in (first, same, other)]
        assert first.name == same.name != other.name
        assert said[0] == said[1]
        assert len(said[0] & said[2]) < len(said[0]) / 2
        assert [entry.tag for entry in other.entries] == [entry.tag for entry in first.entries]
