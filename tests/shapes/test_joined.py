"""Videos of several scenes: what is shown when, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from vidsift.data.entries import Moment
from vidsift.data.folder import read_folder
from vidsift.shapes.joined import write_joined_library
from vidsift.shapes.render import render


def test_each_scene_is_shown_for_its_four_seconds(tmp_path: Path) -> None:
    joined = write_joined_library(tmp_path, videos=2, scenes=2, seed=4, size_px=64, frames_per_second=6)
    entries = read_folder(tmp_path)
    assert [entry.path.name for entry in entries] == ["test-joined-00000.mp4", "test-joined-00001.mp4"]
    for entry, parts in zip(entries, joined, strict=True):
        assert entry.split == "test"
        assert entry.captions == tuple(part.captions[0] for part in parts)
        assert entry.moments == (Moment(entry.captions[0], 0.0, 4.0), Moment(entry.captions[1], 4.0, 8.0))
        with av.open(str(entry.path)) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(pictures) == 48
        for place, part in ((12, parts[0]), (36, parts[1])):
            (wanted,) = render(part.scene, np.array([2.0]), 64)
            assert np.abs(pictures[place].astype(int) - wanted).mean() < 6
    # No sentence is said of two scenes, and hard negatives of each other are in different videos.
    assert len({caption for entry in entries for caption in entry.captions}) == 4
    assert json.loads((tmp_path / "shapes.json").read_text(encoding="utf-8"))["scenes"] == 2


def test_odd_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 videos of 2 scenes: expected a multiple of 4 scenes"):
        write_joined_library(tmp_path, videos=3, scenes=2)
    with pytest.raises(ValueError, match="even"):
        write_joined_library(tmp_path, videos=4, size_px=63)
