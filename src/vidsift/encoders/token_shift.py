"""Whole tokens change places between neighbouring frames before attention (TS2-Net's token shift)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import CLIPConfig

__all__ = ["FrameNeighbours", "frame_neighbours", "shift_of", "shift_tokens"]


class FrameNeighbours(NamedTuple):
    """For each of N frames, the row of the frame before it and of the frame after it.

    A frame without a real neighbour on one side names itself there.

    Attributes:
        previous: int64 ``(N,)``.
        next: int64 ``(N,)``.
    """

    previous: Tensor
    next: Tensor


def frame_neighbours(mask_BF: Tensor, *, skip_padded: bool = True) -> FrameNeighbours:
    """Find the neighbours in time of every frame of a batch of videos.

    Args:
        mask_BF: bool ``(B, F)``, True on real frames.
        skip_padded: number only the real frames, in the order of ``mask_BF.nonzero()``; otherwise all B x F.

    Returns:
        Rows into the real (or all) frames. A padded frame is nobody's neighbour.
    """
    if skip_padded:
        # The number of a real frame among the real ones; padded ones repeat it, and nobody names them.
        row_BF = mask_BF.flatten().cumsum(0).view_as(mask_BF) - 1
    else:
        row_BF = torch.arange(mask_BF.numel(), device=mask_BF.device).view_as(mask_BF)
    before_BF, after_BF = row_BF.clone(), row_BF.clone()
    # The first frame has none before it, and names itself.
    before_BF[:, 1:] = torch.where(mask_BF[:, :-1], row_BF[:, :-1], row_BF[:, 1:])
    after_BF[:, :-1] = torch.where(mask_BF[:, 1:], row_BF[:, 1:], row_BF[:, :-1])
    if skip_padded:
        return FrameNeighbours(before_BF[mask_BF], after_BF[mask_BF])
    return FrameNeighbours(before_BF.flatten(), after_BF.flatten())


def shift_tokens(tokens_NLD: Tensor, neighbours: FrameNeighbours, n_div: int = 7) -> Tensor:
    """Exchange some tokens of each frame for those of the frame before, and some for those of the one after.

    With ``fold = L // n_div``, tokens 1, 1 + fold, ... come from the frame before and tokens 4, 4 + fold, ...
    from the frame after. Token 0 (the class token) and the remaining ones stay.

    Args:
        tokens_NLD: the tokens of N frames, class token first, ``(N, L, D)``.
        neighbours: which frame stands before and after each, see ``frame_neighbours``.
        n_div: the share of tokens that moves each way is about ``1 / fold``.

    Returns:
        ``(N, L, D)``, a new tensor.

    Raises:
        ValueError: a frame has fewer than ``n_div`` tokens, so that nothing can be divided.

    Source: TS2-Net, arXiv 2207.07852, section 3.2; LiuRicky/ts2_net modules/until_module.py:346-390.
    Differs: a padded frame never shifts into a real one (there, frames past the end of a video do).
    """
    length = tokens_NLD.shape[1]
    fold = length // n_div
    if fold == 0:
        raise ValueError(
            f"a frame has {length} tokens, expected at least {n_div} for a token shift with n_div {n_div}; "
            "use smaller patches, a smaller n_div, or no shift"
        )
    shifted_NLD = tokens_NLD.clone()
    # Token 0 is the class token; 1 and 4 are where the released code begins.
    shifted_NLD[:, 1::fold] = tokens_NLD[:, 1::fold].index_select(0, neighbours.previous)
    shifted_NLD[:, 4::fold] = tokens_NLD[:, 4::fold].index_select(0, neighbours.next)
    return shifted_NLD


def shift_of(config: CLIPConfig, blocks: Sequence[int], n_div: int) -> tuple[Sequence[int], int]:
    """Return in which blocks a tower shifts tokens: its own, where it learned with them, else those asked.

    A tower that learned motion by shifting is another one without it, whatever method stands on it. So its
    config says ``token_shift_blocks`` and ``token_shift_n_div`` below ``vision_config``, and they hold.

    Args:
        config: of the CLIP.
        blocks: those that a method asks for.
        n_div: likewise.

    Raises:
        ValueError: a method asks for others than the tower's own.
    """
    vision: Any = config.vision_config
    tower_blocks = tuple(getattr(vision, "token_shift_blocks", ()))
    if not tower_blocks:
        return blocks, n_div
    tower_n_div = int(vision.token_shift_n_div)
    if blocks and (tuple(blocks) != tower_blocks or n_div != tower_n_div):
        raise ValueError(
            f"shift_blocks is {list(blocks)} with shift_n_div {n_div}, but this tower was trained with token "
            f"shift in blocks {list(tower_blocks)} and shift_n_div {tower_n_div}; give shift_blocks: [], and "
            "those hold"
        )
    return tower_blocks, tower_n_div
