"""A fixed set of clips of Shapes 2, rendered once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidsift.shapes.clip_set import ClipSet


def test_the_set_is_rendered_once_and_knows_when_its_pictures_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = ClipSet.open(tmp_path, clips=8, frames=5, size_px=16, sampling="one_fps_linspace")
    rows = np.arange(8)
    mask, times = clips.mask(rows), clips.times(rows)
    assert len({int(count) for count in mask.sum(axis=1)}) > 1
    assert clips.pictures == 5
    assert not clips.pixels(rows)[~mask].any()
    assert (np.diff(times, axis=1)[mask[:, 1:]] >= 1).all()
    assert all(len(set(texts)) == 4 for texts in clips.captions)
    monkeypatch.setattr("vidsift.shapes.clip_set.render", None)
    again = ClipSet.open(tmp_path, clips=8, frames=5, size_px=16, sampling="one_fps_linspace")
    assert again == clips
    with pytest.raises(TypeError):
        ClipSet.open(tmp_path, clips=8, frames=5, size_px=16)
    (clips.folder / "about.json").write_text("{}")
    with pytest.raises(ValueError, match="was made by another version; delete it"):
        ClipSet.open(tmp_path, clips=8, frames=5, size_px=16, sampling="one_fps_linspace")
    with pytest.raises(ValueError, match="clips is 6: expected a multiple of 4"):
        ClipSet.open(tmp_path, clips=6, frames=2, size_px=16)
