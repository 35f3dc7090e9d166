"""Masks that an encoder cannot read are refused, with the entry that is at fault."""

from __future__ import annotations

import pytest
import torch

from vidsift.encoders.mask_checks import longest, require_prefix, require_real


def test_an_entry_without_a_real_token_is_refused_by_its_place() -> None:
    mask = torch.tensor([[True, True], [False, False], [True, False]])
    with pytest.raises(ValueError, match=r"video 1 of the batch has no real frame \(1 such of 3\)"):
        require_real(mask, "video", "frame")
    require_real(mask[::2], "video", "frame")


def test_padding_before_a_real_token_is_refused() -> None:
    mask = torch.tensor([[True, True, False], [True, False, True]])
    with pytest.raises(ValueError, match="text 1 of the batch has padding before a real token"):
        require_prefix(mask, "text", "token")
    require_prefix(mask[:1], "text", "token")


def test_the_longest_entry_counts_its_real_tokens() -> None:
    assert longest(torch.tensor([[True, False, False], [True, True, False]])) == 2
