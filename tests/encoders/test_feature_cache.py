"""Frozen towers that remember: the same numbers as towers that look, and looking only once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.feature_cache import RememberedTowers

CLIPS = 70
ROWS = np.array([66, 3, 3, 41])


def frames() -> Tensor:
    return torch.randn(CLIPS, 2, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def remembering(towers: ClipTowers, folder: Path, **about: int) -> tuple[RememberedTowers, list[slice]]:
    asked: list[slice] = []

    def pixels_of(rows: slice) -> Tensor:
        asked.append(rows)
        return frames()[rows]

    return RememberedTowers(towers, folder, CLIPS, pixels_of, dict(about)), asked


@pytest.mark.parametrize("shift", [(), (-2, -1)])
def test_they_give_what_the_towers_give(towers: ClipTowers, tmp_path: Path, shift: tuple[int, ...]) -> None:
    towers.requires_grad_(False)
    memory, _ = remembering(towers, tmp_path)
    mask, nothing = torch.ones(4, 2, dtype=torch.bool), torch.zeros(4, 2, 3, 1, 1)
    seen = frames()[torch.from_numpy(ROWS)]
    with memory.of(ROWS):
        classes = memory.encode_frame_classes(nothing, mask, shift)
        tokens, states = memory.encode_frames(nothing, mask, shift, hidden=True)
        plain = memory.encode_frames(nothing, mask, shift)
    expected, hidden = towers.encode_frames(seen, mask, shift, hidden=True)
    torch.testing.assert_close(tokens, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(plain, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(classes, towers.encode_frame_classes(seen, mask, shift), rtol=0, atol=2e-6)
    assert len(states) == len(hidden) == 4
    for one, two in zip(states, hidden, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=2e-6)


def test_they_look_once_and_share_what_they_saw(towers: ClipTowers, tmp_path: Path) -> None:
    mask, nothing = torch.ones(4, 2, dtype=torch.bool), torch.zeros(4, 2, 3, 1, 1)
    first, asked = remembering(towers, tmp_path)
    for _ in range(2):
        with first.of(ROWS):
            seen = first.encode_frame_classes(nothing, mask)
    assert asked == [slice(0, 64), slice(64, 70)]
    second, asked = remembering(towers, tmp_path)
    with second.of(ROWS):
        assert torch.equal(second.encode_frame_classes(nothing, mask), seen)
    assert asked == []
    # Another set, or towers that have learned since, is another memory.
    other, asked = remembering(towers, tmp_path, size=1)
    with other.of(ROWS):
        other.encode_frame_classes(nothing, mask)
    assert len(asked) == 2
    with torch.no_grad():
        towers.clip.vision_model.embeddings.class_embedding += 1
    learned, asked = remembering(towers, tmp_path)
    with learned.of(ROWS):
        assert not torch.equal(learned.encode_frame_classes(nothing, mask), seen)
    assert len(asked) == 2


def test_elsewhere_they_are_the_towers(towers: ClipTowers, tmp_path: Path) -> None:
    memory, asked = remembering(towers, tmp_path)
    assert memory.state_dict().keys() == towers.state_dict().keys()
    mask = torch.tensor([[True, False]])
    seen = frames()[:1]
    torch.testing.assert_close(memory.encode_frames(seen, mask), towers.encode_frames(seen, mask))
    assert asked == []
    with memory.of(ROWS[:1]), pytest.raises(ValueError, match="have no padded frames"):
        memory.encode_frames(seen, mask)
