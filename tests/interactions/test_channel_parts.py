"""Named parts of a token: what is joined comes apart again, after whatever befalls a token set."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny

from vidsift.interactions.batches import concatenate, pad_tokens
from vidsift.interactions.channel_parts import ChannelParts

PARTS = ChannelParts(key=8, value=3)


def test_parts_come_apart_after_rows_are_taken_padded_moved_and_put_together() -> None:
    frames = tiny.token_set([3, 1], 3).replace(times_seconds=torch.tensor([[1.0, 2, 3], [4, 0, 0]]).double())
    value = torch.arange(18.0).view(2, 3, 3)
    stored = PARTS.join(frames, key=frames.tokens, value=value)
    assert stored.times_seconds is frames.times_seconds
    again = concatenate([pad_tokens(stored[1:], 5), stored[:1]]).to(dtype=torch.float64)
    parts = PARTS.split(again)
    assert parts["key"].shape == (2, 5, 8)
    assert parts["value"][1, :3].tolist() == value[0].tolist()
    assert parts["value"][0, 0].tolist() == [9.0, 10.0, 11.0]
    # Padding holds nothing of what stood there before.
    assert not parts["value"][0, 1:].any()
    assert not parts["key"][0, 1:].any()


def test_parts_that_do_not_fit_are_refused() -> None:
    frames = tiny.token_set([3, 1], 3)
    with pytest.raises(ValueError, match="each of at least 1 channel"):
        ChannelParts(key=8, value=0)
    with pytest.raises(ValueError, match=r"'value': \(2, 3, 4\)}, expected .*'value': \(2, 3, 3\)"):
        PARTS.join(frames, key=frames.tokens, value=torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"shapes {'key': \(2, 3, 8\)}, expected"):
        PARTS.join(frames, key=frames.tokens)
    with pytest.raises(ValueError, match="tokens of 8 channels do not hold the parts"):
        PARTS.split(frames)
