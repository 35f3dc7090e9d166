"""Best match of every word in every video and of every frame in every text, without keeping all products.

The products of B texts with B videos, words with frames, are the largest thing in training the token-wise
family. Nothing needs them all at once: a maximum needs its value and, for the gradient, where it stood. So
they are made block by block, and only maxima and places are kept.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from vidsift.interactions.masked import lowest, maximum, segment_max
from vidsift.interactions.quantised import product, quantise
from vidsift.types import TokenSet

__all__ = ["Padding", "best_matches"]

Padding = Literal["excluded", "zero"]

_BLOCK_PRODUCTS = 1 << 20
"""Products made at once in training: 4 MB in fp32, which stays in a processor's cache."""


def best_matches(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> tuple[Tensor, Tensor]:
    """Best match of every real word in every video, and of every frame in every text.

    Words of all texts are packed one after the other, so padded words are never multiplied. Where a gradient
    is asked for, it reaches the tokens that won their maximum (of equals the first), as in the plain formula.

    Args:
        text: prepared, ``(Q, T, D)``; P of its tokens are real.
        video: prepared, ``(V, F, D)``; the same number format as ``text``, or int8 (then text follows).
        padding: "excluded" keeps padding out. "zero" is the released code's rule: a padded entry counts
            as similarity 0 and wins where all real ones are negative. It depends on the padded width, so
            it needs sets that are padded as they were in training.

    Returns:
        ``text_best_PV`` and ``video_best_QVF`` (entries of padded frames mean nothing; their weight is 0).

    Source: DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction.
    """
    if video.scale is not None and text.scale is None:
        text = quantise(text)
    lengths = text.mask.sum(dim=1).tolist()
    words_PD = text.tokens[text.mask]
    if torch.is_grad_enabled() and (words_PD.requires_grad or video.tokens.requires_grad):
        text_best_PV, video_best_QVF = _BlockedMaxima.apply(  # type: ignore[no-untyped-call]
            words_PD, lengths, video.tokens, video.mask
        )
    else:
        text_best_PV, video_best_QVF = _maxima(words_PD, lengths, video)
    if text.scale is not None and video.scale is not None:
        word_scale_P = text.scale[text.mask.nonzero()[:, 0]]
        text_best_PV = text_best_PV * word_scale_P[:, None] * video.scale
        video_best_QVF = video_best_QVF * text.scale[:, None, None] * video.scale[:, None]
    if padding == "zero":
        padded_V, padded_Q = ~video.mask.all(dim=1), ~text.mask.all(dim=1)
        text_best_PV = torch.where(padded_V, text_best_PV.clamp_min(0), text_best_PV)
        video_best_QVF = torch.where(padded_Q[:, None, None], video_best_QVF.clamp_min(0), video_best_QVF)
    return text_best_PV, video_best_QVF


def _maxima(words_PD: Tensor, lengths: list[int], video: TokenSet) -> tuple[Tensor, Tensor]:
    """Both maxima of all products at once, for scanning and evaluation, where blocks come from outside."""
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
    if not bool(video.mask.all()):
        products_PVF = products_PVF.masked_fill(~video.mask, lowest(products_PVF.dtype))
    return maximum(products_PVF, dim=2), video_best_QVF


class _BlockedMaxima(Function):
    """Both maxima with gradients; keeps the places of the maxima instead of the products."""

    @staticmethod
    def forward(
        ctx: Any, words_PD: Tensor, lengths: list[int], frames_VFD: Tensor, mask_VF: Tensor
    ) -> tuple[Tensor, Tensor]:
        videos, frames, _ = frames_VFD.shape
        first_word_Q1 = torch.tensor([0, *lengths[:-1]], device=words_PD.device).cumsum(0)[:, None]
        hidden_VF = None if bool(mask_VF.all()) else ~mask_VF
        parts = []
        for block in _blocks(videos, len(words_PD) * frames):
            products_PBF = (words_PD @ frames_VFD[block].flatten(0, 1).t()).view(len(words_PD), -1, frames)
            by_text = [rows.max(dim=0) for rows in torch.split(products_PBF.flatten(1), lengths)]
            video_best_QN = torch.stack([best.values for best in by_text])
            word_QN = torch.stack([best.indices for best in by_text]) + first_word_Q1
            if hidden_VF is not None:
                products_PBF.masked_fill_(hidden_VF[block], -torch.inf)
            text_best_PB, frame_PB = products_PBF.max(dim=2)
            shape = (len(lengths), -1, frames)
            parts.append((text_best_PB, frame_PB, video_best_QN.view(shape), word_QN.view(shape)))
        text_best_PV, frame_PV, video_best_QVF, word_QVF = (
            torch.cat(part, dim=1) for part in zip(*parts, strict=True)
        )
        ctx.save_for_backward(words_PD, frames_VFD, frame_PV.to(torch.int32), word_QVF.to(torch.int32))
        return text_best_PV, video_best_QVF

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, text_grad_PV: Tensor, video_grad_QVF: Tensor) -> tuple[Tensor, None, Tensor, None]:
        """Route each maximum's gradient to the word and the frame that met there.

        Source: the chain rule: row p of the gradient by products holds ``text_grad`` at each word's best
            frame, column (v, f) holds ``video_grad`` at each frame's best word of each text.
        """
        words_PD, frames_VFD, frame_PV, word_QVF = ctx.saved_tensors
        videos, frames, _ = frames_VFD.shape
        words_grad_PD, frames_grad_VFD = torch.zeros_like(words_PD), torch.empty_like(frames_VFD)
        for block in _blocks(videos, len(words_PD) * frames):
            grad_PBF = words_PD.new_zeros(len(words_PD), len(range(*block.indices(videos))), frames)
            grad_PBF.scatter_(2, frame_PV[:, block].long()[..., None], text_grad_PV[:, block, None])
            grad_PN = grad_PBF.flatten(1)
            grad_PN.scatter_add_(0, word_QVF[:, block].flatten(1).long(), video_grad_QVF[:, block].flatten(1))
            words_grad_PD.addmm_(grad_PN, frames_VFD[block].flatten(0, 1))
            frames_grad_VFD[block] = (grad_PN.t() @ words_PD).view_as(frames_grad_VFD[block])
        return words_grad_PD, None, frames_grad_VFD, None


def _blocks(videos: int, products_a_video: int) -> list[slice]:
    size = max(1, _BLOCK_PRODUCTS // max(1, products_a_video))
    return [slice(first, first + size) for first in range(0, videos, size)]
