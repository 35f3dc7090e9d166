"""CLIP's pixels against OpenAI's own transform."""

from __future__ import annotations

import numpy as np
import torch
from tests.golden.conftest import Golden

from vidsift.encoders.pixels import OPENAI_STD, PixelNorm
from vidsift.video.transforms import centre_crop, clip_pixels, resize_short_side, to_image

SIZE_PX = 32
LEVEL = 1 / 255 / min(OPENAI_STD)


def test_openai_preprocess32(golden: Golden) -> None:
    """Resized and cropped pixels exactly; normalised values within 1e-6 (the order of float32 operations).

    Pictures from twice the size on are cropped as they are resized: one level of 255 in 1 of 1,000 values.
    """
    given = golden("openai_preprocess32")
    cases = [key.removeprefix("in.") for key in given if key.startswith("in.")]
    assert cases
    for case in cases:
        pixels = np.asarray(given[f"in.{case}"])
        resized = resize_short_side(to_image(pixels), SIZE_PX)
        np.testing.assert_array_equal(np.asarray(resized), np.asarray(given[f"resized_u8.{case}"]), case)
        cropped = centre_crop(resized, SIZE_PX)
        np.testing.assert_array_equal(np.asarray(cropped), np.asarray(given[f"cropped_u8.{case}"]), case)
        normalised = PixelNorm(SIZE_PX)(torch.from_numpy(clip_pixels(pixels, SIZE_PX))).numpy()
        off = np.abs(normalised - np.asarray(given[f"out.{case}"]))
        may_differ = min(pixels.shape[:2]) >= 2 * SIZE_PX
        assert (off > 1e-6).mean() <= (1e-3 if may_differ else 0), case
        assert off.max() <= LEVEL + 1e-6, case
    assert not given.unused()
