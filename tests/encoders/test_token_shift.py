"""Which token comes from which frame."""

from __future__ import annotations

import pytest
import torch
from transformers import CLIPConfig

from vidsift.encoders.token_shift import frame_neighbours, shift_of, shift_tokens


def test_neighbours_skip_padding() -> None:
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]]).bool()
    neighbours = frame_neighbours(mask)
    assert neighbours.previous.tolist() == [0, 0, 1, 3, 3, 5]
    assert neighbours.next.tolist() == [1, 2, 2, 4, 4, 5]
    everything = frame_neighbours(mask, skip_padded=False)
    assert everything.previous[mask.flatten()].tolist() == [0, 0, 1, 3, 3, 6]
    assert everything.next[mask.flatten()].tolist() == [1, 2, 2, 4, 4, 6]


def test_a_gap_in_time_is_not_jumped() -> None:
    neighbours = frame_neighbours(torch.tensor([[1, 0, 1]]).bool())
    assert neighbours.previous.tolist() == [0, 1]
    assert neighbours.next.tolist() == [0, 1]


def test_tokens_move_by_their_number() -> None:
    frames, length = 3, 17
    tokens = (torch.arange(frames)[:, None] * 100 + torch.arange(length))[..., None].float()
    moved = shift_tokens(tokens, frame_neighbours(torch.ones(1, frames).bool()))[..., 0]
    assert moved[1].tolist() == [
        *[100, 1, 102, 3, 204, 5, 206, 7, 208, 9, 210, 11, 212, 13, 214, 15, 216],
    ]
    assert moved[0].tolist() == [0, 1, 2, 3, *(100 + n if n % 2 == 0 else n for n in range(4, length))]
    assert moved[2, 4] == 204
    assert moved[2, 1] == 101
    assert tokens[1, 1, 0] == 101, "the input is left alone"


def test_too_few_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="a frame has 5 tokens, expected at least 7"):
        shift_tokens(torch.zeros(2, 5, 4), frame_neighbours(torch.ones(1, 2).bool()))


def test_a_tower_that_was_trained_with_token_shift_keeps_it_whatever_stands_on_it() -> None:
    clip = CLIPConfig(vision_config={"token_shift_blocks": [0, 1], "token_shift_n_div": 3})
    again = CLIPConfig.from_dict(clip.to_dict())
    assert shift_of(again, (), 7) == ((0, 1), 3)
    assert shift_of(again, (0, 1), 3) == ((0, 1), 3)
    assert shift_of(CLIPConfig(), (1,), 7) == ((1,), 7)
    with pytest.raises(
        ValueError, match=r"shift_blocks is \[-2, -1\] with shift_n_div 7, but this tower was"
    ):
        shift_of(again, (-2, -1), 7)
