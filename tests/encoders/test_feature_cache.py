"""Cached towers: the same numbers as the towers that they wrap, computed only once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.feature_cache import CachedTowers

CLIPS = 70
ROWS = np.array([66, 3, 3, 41])


def frames() -> Tensor:
    return torch.randn(CLIPS, 2, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def cached(towers: ClipTowers, folder: Path, **description: int) -> tuple[CachedTowers, list[slice]]:
    read: list[slice] = []

    def pixels_of(rows: slice) -> Tensor:
        read.append(rows)
        return frames()[rows]

    return CachedTowers(towers, folder, CLIPS, pixels_of, dict(description)), read


@pytest.mark.parametrize("shift", [(), (-2, -1)])
def test_they_give_what_the_towers_give(towers: ClipTowers, tmp_path: Path, shift: tuple[int, ...]) -> None:
    towers.requires_grad_(False)
    cache, _ = cached(towers, tmp_path)
    mask, nothing = torch.ones(4, 2, dtype=torch.bool), torch.zeros(4, 2, 3, 1, 1)
    seen = frames()[torch.from_numpy(ROWS)]
    with cache.clips(ROWS):
        classes = cache.encode_frame_classes(nothing, mask, shift)
        tokens, states = cache.encode_frames(nothing, mask, shift, hidden=True)
        plain = cache.encode_frames(nothing, mask, shift)
    expected, hidden = towers.encode_frames(seen, mask, shift, hidden=True)
    torch.testing.assert_close(tokens, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(plain, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(classes, towers.encode_frame_classes(seen, mask, shift), rtol=0, atol=2e-6)
    assert len(states) == len(hidden) == 4
    for state, exact in zip(states, hidden, strict=True):
        torch.testing.assert_close(state, exact, rtol=0, atol=2e-6)


def test_they_look_once_and_share_what_they_saw(towers: ClipTowers, tmp_path: Path) -> None:
    mask, nothing = torch.ones(4, 2, dtype=torch.bool), torch.zeros(4, 2, 3, 1, 1)
    first, read = cached(towers, tmp_path)
    for _ in range(2):
        with first.clips(ROWS):
            seen = first.encode_frame_classes(nothing, mask)
    assert read == [slice(0, 64), slice(64, 70)]
    second, read = cached(towers, tmp_path)
    with second.clips(ROWS):
        assert torch.equal(second.encode_frame_classes(nothing, mask), seen)
    assert read == []
    # Another set, or towers that have learned since, is another cache.
    other, read = cached(towers, tmp_path, size=1)
    with other.clips(ROWS):
        other.encode_frame_classes(nothing, mask)
    assert len(read) == 2
    with torch.no_grad():
        towers.clip.vision_model.embeddings.class_embedding += 1
    learned, read = cached(towers, tmp_path)
    with learned.clips(ROWS):
        assert not torch.equal(learned.encode_frame_classes(nothing, mask), seen)
    assert len(read) == 2


def test_elsewhere_they_are_the_towers(towers: ClipTowers, tmp_path: Path) -> None:
    cache, read = cached(towers, tmp_path)
    assert cache.state_dict().keys() == towers.state_dict().keys()
    mask = torch.tensor([[True, False]])
    seen = frames()[:1]
    torch.testing.assert_close(cache.encode_frames(seen, mask), towers.encode_frames(seen, mask))
    assert read == []
    with cache.clips(ROWS[:1]), pytest.raises(ValueError, match="have no padded frames"):
        cache.encode_frames(seen, mask)


def test_they_say_how_large_their_files_would_be(towers: ClipTowers, tmp_path: Path) -> None:
    cache, read = cached(towers, tmp_path)
    mask, seen = torch.ones(1, 2, dtype=torch.bool), frames()[:1]
    kinds = cache.kinds_of(lambda: cache.encode_frames(seen, mask, hidden=True))
    assert read == []
    cache.compute(kinds)
    arrays = [np.load(file) for name in kinds for file in (cache.files / name).glob("*.npy")]
    assert sum(array.nbytes for array in arrays) == sum(kinds.values())


def test_what_they_remember_holds_as_long_as_they_are_used(towers: ClipTowers, tmp_path: Path) -> None:
    cache, read = cached(towers, tmp_path / "one")
    mask, nothing = torch.ones(4, 2, dtype=torch.bool), torch.zeros(4, 2, 3, 1, 1)
    with cache.clips(ROWS):
        before = cache.encode_frame_classes(nothing, mask)
    cache.use(None)
    assert not cache.in_use
    with torch.no_grad():
        towers.clip.vision_model.embeddings.class_embedding += 1
    cache.use(tmp_path / "two")
    assert cache.in_use
    with cache.clips(ROWS):
        after = cache.encode_frame_classes(nothing, mask)
    assert cache.files.parent == tmp_path / "two"
    assert len(read) == 4
    assert not torch.equal(before, after)
