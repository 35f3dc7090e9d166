"""Shapes, version 1, as a source: what is validated on."""

from __future__ import annotations

from pathlib import Path

from vidsift.data.folder import read_folder
from vidsift.data.shapes import Shapes
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
