"""Best match of every word in every video and of every frame in every text."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from vidsift.interactions.masked import lowest, maximum, segment_max
from vidsift.interactions.matches import BatchMatches, Padding, let_padding_win, real_words
from vidsift.interactions.quantised import product, quantise
from vidsift.types import TokenSet

__all__ = ["best_matches", "can_fuse", "fused_matches"]

_FUSED_FRAMES = 256
"""Tokens of a video at most for kernels, whose tiles have all of them, since a word's best is among them."""


def best_matches(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> tuple[Tensor, Tensor]:
    """Best match of every real word in every video, and of every frame in every text.

    Words of all texts are packed one after the other, so padded words are never multiplied. All products are
    there at once (but on a GPU): a scan and an evaluation ask block by block. Training has
    :func:`~vidsift.interactions.pooled_match.pooled_matches`.

    Args:
        text: prepared, ``(Q, T, D)``; P of its tokens are real.
        video: prepared, ``(V, F, D)``, in any number format; ``text`` follows it.
        padding: "excluded" keeps padding out. "zero" is the released code's rule: a padded entry counts
            as similarity 0 and wins where all real ones are negative. It depends on the padded width, so
            it needs sets that are padded as they were in training.

    Returns:
        ``text_best_PV`` and ``video_best_QVF`` (entries of padded frames mean nothing; their weight is 0).

    Source: DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction.
    """
    if video.scale is not None and text.scale is None:
        text = quantise(text)
    elif text.scale is None:
        text = text.replace(tokens=text.tokens.to(video.tokens.dtype))
    needs_grad = torch.is_grad_enabled() and (text.tokens.requires_grad or video.tokens.requires_grad)
    # The kernels know no backward pass by themselves; pooled_matches gives them one.
    if can_fuse(video) and not needs_grad:
        matches, _ = fused_matches(text, video)
        text_best_PV, video_best_QVF = matches.text_best, matches.video_best
    else:
        text_best_PV, video_best_QVF = _maxima(text, video)
    # Scales are positive and one for a row, so they may follow the maxima: fewer numbers to multiply.
    if text.scale is not None and video.scale is not None:
        word_scale_P = text.scale[text.mask.nonzero()[:, 0]]
        text_best_PV = text_best_PV * word_scale_P[:, None] * video.scale
        video_best_QVF = video_best_QVF * text.scale[:, None, None] * video.scale[:, None]
    if padding == "zero":
        return let_padding_win(text, video, text_best_PV, video_best_QVF)
    return text_best_PV, video_best_QVF


def can_fuse(video: TokenSet) -> bool:
    """Whether kernels can find best matches: on a GPU of compute capability 8 and more, with triton there."""
    tokens = video.tokens
    if not tokens.is_cuda or tokens.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return False
    fits_a_tile = tokens.shape[1] <= _FUSED_FRAMES and tokens.stride(2) == 1
    return fits_a_tile and torch.cuda.get_device_capability(tokens.device) >= (8, 0) and _has_triton()


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def fused_matches(text: TokenSet, video: TokenSet) -> tuple[BatchMatches, Tensor]:
    """Best matches by kernels, where :func:`can_fuse` allows, and where each text's words begin among all."""
    # Imported here, since triton is not there on every machine.
    from vidsift.interactions.fused_match import find_matches

    ends = text.mask.sum(dim=1, dtype=torch.int32).cumsum(0, dtype=torch.int32)
    starts = torch.cat([ends.new_zeros(1), ends])
    words_PD = real_words(text).contiguous()
    return find_matches(words_PD, starts, video.tokens, video.mask, longest_text=text.mask.shape[1]), starts


def _maxima(text: TokenSet, video: TokenSet) -> tuple[Tensor, Tensor]:
    """Both maxima of all products."""
    lengths, words_PD = text.mask.sum(dim=1).tolist(), text.tokens[text.mask]
    videos, frames, _ = video.tokens.shape
    frames_FVD = video.tokens.transpose(0, 1)
    if frames_FVD.is_contiguous():
        # Frames outermost in memory, as a scan lays them out: both maxima run along contiguous videos.
        products_PN = product(words_PD, frames_FVD.flatten(0, 1), video.packed)
        products_PVF = products_PN.view(-1, frames, videos).transpose(1, 2)
        video_best_QVF = segment_max(products_PN, lengths).view(-1, frames, videos).transpose(1, 2)
    else:
        products_PN = product(words_PD, video.tokens.flatten(0, 1))
        products_PVF = products_PN.view(-1, videos, frames)
        video_best_QVF = segment_max(products_PN, lengths).view(-1, videos, frames)
    # Filling copies all products, and videos of a batch are mostly of one length.
    if not bool(video.mask.all()):
        products_PVF = products_PVF.masked_fill(~video.mask, lowest(products_PVF.dtype))
    return maximum(products_PVF, dim=2), video_best_QVF
