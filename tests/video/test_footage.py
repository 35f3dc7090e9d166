"""A picture or a video that somebody searches with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.index.library import clip

from vidsift.errors import QueryError
from vidsift.video import footage
from vidsift.video.footage import read_footage
from vidsift.video.preprocessing import Preprocessing

LOOKS = Preprocessing(4, "uniform", 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
RED, BLUE = (Image.new("RGB", (60, 40), colour) for colour in ((200, 10, 10), (10, 10, 200)))


def test_footage_is_read_from_images_and_videos(tmp_path: Path) -> None:
    video = clip(tmp_path, "clip", frames=24, fps=12)
    whole = read_footage(video, LOOKS)
    assert whole.pixels.shape == (LOOKS.frames, 16, 16, 3)
    still = read_footage(video, LOOKS, 1.0)
    assert (still.pixels.shape, still.times_seconds.tolist()) == ((1, 16, 16, 3), [1.0])
    Image.fromarray(np.full((40, 60, 3), (200, 10, 10), np.uint8)).save(tmp_path / "red.png")
    picture = read_footage(tmp_path / "red.png", LOOKS)
    assert picture.pixels.shape == (1, 16, 16, 3)
    assert picture.pixels.reshape(-1, 3).min(axis=0).tolist() == [200, 10, 10]
    with pytest.raises(QueryError, match="is an image and has no second 2"):
        read_footage(tmp_path / "red.png", LOOKS, 2.0)
    with pytest.raises(QueryError, match=r"lasts 2\.0 s; there is no second 9"):
        read_footage(video, LOOKS, 9.0)
    with pytest.raises(QueryError, match="there is no such file"):
        read_footage(tmp_path / "none.mp4", LOOKS)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"text\.mp4"):
        read_footage(tmp_path / "text.mp4", LOOKS)


def test_moving_pictures_are_videos_where_they_can_be_decoded(tmp_path: Path) -> None:
    for name in ("moving.gif", "moving.png"):
        RED.save(tmp_path / name, save_all=True, append_images=[BLUE, RED, BLUE], duration=500)
        assert len(read_footage(tmp_path / name, LOOKS)) == LOOKS.frames
    RED.save(tmp_path / "moving.webp", save_all=True, append_images=[BLUE], duration=500, lossless=True)
    first = read_footage(tmp_path / "moving.webp", LOOKS)
    assert first.pixels.reshape(-1, 3).tolist() == [[200, 10, 10]] * 256


def test_damaged_and_huge_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    noise.save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(QueryError, match=r"half\.png: the picture cannot be read; give a whole JPEG"):
        read_footage(tmp_path / "half.png", LOOKS)
    monkeypatch.setattr(footage, "_MOST_PIXELS", 2399)
    with pytest.raises(QueryError, match="the picture has 60 x 40 pixels; give one of at most 2,399"):
        read_footage(tmp_path / "whole.png", LOOKS)
