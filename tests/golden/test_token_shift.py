"""The token shift against TS2-Net's released module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from vidsift.encoders.token_shift import frame_neighbours, shift_tokens

if TYPE_CHECKING:
    from tests.golden.conftest import Golden

FILE = "ts2net_modules"


def shifted(tokens_LND: Tensor, frames: int) -> Tensor:
    """Shift tokens recorded as (tokens, videos x frames, channels)."""
    mask_BF = torch.ones(tokens_LND.shape[1] // frames, frames, dtype=torch.bool)
    return shift_tokens(tokens_LND.transpose(0, 1), frame_neighbours(mask_BF)).transpose(0, 1)


def frames_of(tokens_LND: Tensor, attended_LND: Tensor) -> int:
    """Find how many frames a recorded video has: the length for which end frames kept their own."""
    count = tokens_LND.shape[1]
    fits = [
        n for n in range(1, count + 1) if count % n == 0 and torch.equal(shifted(tokens_LND, n), attended_LND)
    ]
    assert len(fits) <= 1
    return fits[0] if fits else 0


def test_what_attention_receives(golden: Golden) -> None:
    file = golden(FILE)
    cases = sorted({key.rpartition(".")[0] for key in file if key.startswith("shift.L")})
    assert cases
    for case in cases:
        before, after = file[f"{case}.in"], file[f"{case}.attn_input"]
        frames = frames_of(before, after)
        assert frames > 1, case
        torch.testing.assert_close(shifted(before, frames), after, rtol=0, atol=0)
        assert torch.equal(after[0], before[0])
        assert not torch.equal(after, before)


def test_shift_around_attention(golden: Golden) -> None:
    file = golden(FILE)
    before, expected = file["shift.mha.in"], file["shift.mha.out"]
    width = before.shape[-1]
    weights = file.under("shift.mha.w.")
    close = []
    for heads in (n for n in (1, 2, 4, 8) if width % n == 0):
        attention = nn.MultiheadAttention(width, heads)
        attention.load_state_dict(weights)
        for frames in (n for n in range(2, before.shape[1] + 1) if before.shape[1] % n == 0):
            seen = shifted(before, frames)
            close.append(torch.allclose(attention(seen, seen, seen)[0], expected, rtol=0, atol=1e-6))
    assert sum(close) == 1


def test_every_shift_key_was_used(golden: Golden, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, FILE, "shift.")
