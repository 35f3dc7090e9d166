"""CLIP's pixels against OpenAI's own transform."""

from __future__ import annotations

import numpy as np
from tests.golden.conftest import Golden

from vidsift.video.transforms import centre_crop, clip_pixels, normalise, resize_short_side, to_image

SIZE_PX = 32


def test_openai_preprocess32(golden: Golden) -> None:
    """Resized and cropped pixels exactly; normalised values within 1e-6 (the order of float32 operations)."""
    given = golden("openai_preprocess32")
    cases = [key.removeprefix("in.") for key in given if key.startswith("in.")]
    assert cases
    for case in cases:
        pixels = np.asarray(given[f"in.{case}"])
        resized = resize_short_side(to_image(pixels), SIZE_PX)
        np.testing.assert_array_equal(np.asarray(resized), np.asarray(given[f"resized_u8.{case}"]), case)
        cropped = centre_crop(resized, SIZE_PX)
        np.testing.assert_array_equal(np.asarray(cropped), np.asarray(given[f"cropped_u8.{case}"]), case)
        out = normalise(clip_pixels(pixels, SIZE_PX))
        np.testing.assert_allclose(out, np.asarray(given[f"out.{case}"]), atol=1e-6, rtol=0, err_msg=case)
    assert not given.unused()
