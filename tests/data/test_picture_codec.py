"""Pictures as bytes: what JPEG loses, and that both decoders give the same."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from vidsift.data import picture_codec
from vidsift.data.picture_codec import decode_pictures, encode_pictures


def drawn(frames: int, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return smooth pictures of all colours, as JPEG is made for."""
    grid = np.mgrid[0:frames, 0:side, 0:side, 0:3]
    waves = np.sin(grid[0] + grid[1] / 9 + grid[3]) + np.cos(grid[2] / 7 - grid[3])
    return np.asarray(63 * waves + 127, np.uint8)


def test_uint8_holds_every_bit() -> None:
    pixels = drawn(3, 24)
    (part,) = encode_pictures(pixels, "uint8")
    assert np.array_equal(decode_pictures([np.frombuffer(part, np.uint8)], "uint8", 24), pixels)


@pytest.mark.parametrize("frames", [1, 12, 70])
def test_jpeg_loses_little_and_both_decoders_agree(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """70 pictures are more than one JPEG is high."""
    pytest.importorskip("simplejpeg", reason="the extra jpeg is not installed")
    monkeypatch.setattr(picture_codec, "_LONGEST_JPEG_PX", 64 * 32)
    pixels = drawn(frames, 32)
    parts = [np.frombuffer(part, np.uint8) for part in encode_pictures(pixels, "jpeg")]
    assert len(parts) == (2 if frames == 70 else 1)
    fast = decode_pictures(parts, "jpeg", 32)
    assert fast.shape == pixels.shape
    assert 0 < np.abs(fast.astype(int) - pixels).mean() < 2
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    assert np.array_equal(decode_pictures(parts, "jpeg", 32), fast)
