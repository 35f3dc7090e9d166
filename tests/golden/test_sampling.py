"""Sampling and pixels against the loader that CLIP4Clip released, on the clip it was recorded from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tests.golden.conftest import Golden

from vidsift.encoders.pixels import PixelNorm
from vidsift.types import Span
from vidsift.video import probe, read_frames
from vidsift.video.sampling import head, one_fps_linspace, pick_linspace

FRAMES, SIZE_PX = 12, 32


def test_linspace_table(golden: Golden) -> None:
    """One row for each number of candidates from 13 on."""
    table = np.asarray(golden("data_clip4clip")["linspace_table"])
    for candidates, row in enumerate(table, start=FRAMES + 1):
        assert pick_linspace(candidates, FRAMES).tolist() == row.tolist()


def test_pixels_of_the_recorded_clip(golden: Golden, media: Callable[[str], Path]) -> None:
    """The released loader's frames, sampled, resized, cropped and normalised, equal ours."""
    given = golden("data_clip4clip")
    path = media("video7500.mp4")
    span = Span(0.0, probe(path).duration_seconds)
    norm = PixelNorm(SIZE_PX)
    even = norm(torch.from_numpy(read_frames(path, one_fps_linspace(span, FRAMES), size_px=SIZE_PX).pixels))
    np.testing.assert_allclose(even, np.asarray(given["video7500.video_slice2"]), atol=1e-6, rtol=0)
    assert len(even) == int(np.asarray(given["video7500.video_mask"]).sum())
    first = norm(torch.from_numpy(read_frames(path, head(span, FRAMES), size_px=SIZE_PX).pixels))
    means = np.asarray(given["video7500.slice0_mean_per_frame"])
    np.testing.assert_allclose(first.mean(dim=(1, 2, 3)), means, atol=1e-6, rtol=0)
