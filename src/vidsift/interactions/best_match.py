"""Best match of every word in every video and of every frame in every text, without keeping all products.

The products of B texts with B videos, words with frames, are the largest thing in training the token-wise
family. Nothing needs them all at once: a maximum needs its value and, for the gradient, where it stood. So
they are made block by block, and only maxima and places are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from vidsift.interactions.masked import lowest, masked_max, maximum, segment_max
from vidsift.interactions.quantised import product, quantise
from vidsift.types import Alignment, TokenSet

__all__ = ["Padding", "PairMatches", "account", "best_matches", "pair_matches"]

Padding = Literal["excluded", "zero"]

_BLOCK_PRODUCTS = 1 << 19
"""Products made at once in training: 2 MB in fp32, which stays in a processor's cache."""


def best_matches(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> tuple[Tensor, Tensor]:
    """Best match of every real word in every video, and of every frame in every text.

    Words of all texts are packed one after the other, so padded words are never multiplied. Where a gradient
    is asked for, it reaches the tokens that won their maximum (of equals the first), as in the plain formula.

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
    if torch.is_grad_enabled() and (text.tokens.requires_grad or video.tokens.requires_grad):
        text_best_PV, video_best_QVF = _BlockedMaxima.apply(  # type: ignore[no-untyped-call]
            text.tokens, text.mask, video.tokens, video.mask
        )
    else:
        text_best_PV, video_best_QVF = _maxima(text, video)
    if text.scale is not None and video.scale is not None:
        word_scale_P = text.scale[text.mask.nonzero()[:, 0]]
        text_best_PV = text_best_PV * word_scale_P[:, None] * video.scale
        video_best_QVF = video_best_QVF * text.scale[:, None, None] * video.scale[:, None]
    if padding == "zero":
        padded_V, padded_Q = ~video.mask.all(dim=1), ~text.mask.all(dim=1)
        text_best_PV = torch.where(padded_V, text_best_PV.clamp_min(0), text_best_PV)
        video_best_QVF = torch.where(padded_Q[:, None, None], video_best_QVF.clamp_min(0), video_best_QVF)
    return text_best_PV, video_best_QVF


class PairMatches(NamedTuple):
    """Products of matched pairs, row i text i with video i, and where each token met best.

    Attributes:
        values: of every text token with every video token, padded ones too, ``(B, T, N)``.
        text_best: the best match of each text token, ``(B, T)``.
        best_video_token: where it stands, int64 ``(B, T)``.
        video_best: the best match of each video token, ``(B, N)``.
        best_text_token: where it stands, int64 ``(B, N)``.
    """

    values: Tensor
    text_best: Tensor
    best_video_token: Tensor
    video_best: Tensor
    best_text_token: Tensor


def pair_matches(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> PairMatches:
    """Find :func:`best_matches` of matched pairs alone, and where they stand.

    Args:
        text: prepared, ``(B, T, D)``.
        video: prepared, ``(B, N, D)``.
        padding: see :func:`best_matches`; a maximum that padding wins is 0 and stands at the first padded
            token.
    """
    values_BTN = text.tokens @ video.tokens.transpose(1, 2)
    over_video = masked_max(values_BTN, video.mask[:, None, :], dim=2)
    over_text = masked_max(values_BTN, text.mask[:, :, None], dim=1)
    if padding == "zero":
        over_video, over_text = _or_padding(*over_video, video), _or_padding(*over_text, text)
    return PairMatches(values_BTN, *over_video, *over_text)


def _or_padding(best_BX: Tensor, place_BX: Tensor, other: TokenSet) -> tuple[Tensor, Tensor]:
    """Let padding of the other side win, with 0, where all its real tokens are worse."""
    lost_BX = (best_BX < 0) & ~other.mask.all(dim=1, keepdim=True)
    first_padded_B1 = other.mask.long().argmin(dim=1, keepdim=True)
    return best_BX.masked_fill(lost_BX, 0), torch.where(lost_BX, first_padded_B1, place_BX)


def account(
    text: TokenSet,
    video: TokenSet,
    matches: PairMatches,
    *,
    text_weights: Tensor,
    video_weights: Tensor,
    shares: tuple[float, float] = (0.5, 0.5),
) -> Alignment:
    """Give each token's weighted best match to the meeting where it stood.

    Args:
        text: prepared, ``(B, T, D)``.
        video: prepared, ``(B, N, D)``.
        matches: of them, by :func:`pair_matches`.
        text_weights: how much the match of each text token counts, ``(B, T)``, 0 where masked.
        video_weights: of each video token, ``(B, N)``.
        shares: what all matches of the text tokens count for in the score, and all of the video tokens.
    """
    text_given_BT = shares[0] * text_weights * matches.text_best
    video_given_BN = shares[1] * video_weights * matches.video_best
    contributions = torch.zeros_like(matches.values)
    contributions.scatter_add_(2, matches.best_video_token.unsqueeze(2), text_given_BT.unsqueeze(2))
    contributions.scatter_add_(1, matches.best_text_token.unsqueeze(1), video_given_BN.unsqueeze(1))
    both = text.mask[:, :, None] & video.mask[:, None, :]
    return Alignment(
        values=matches.values.masked_fill(~both, 0),
        contributions=contributions,
        best_video_token=matches.best_video_token,
        best_text_token=matches.best_text_token,
        text_weights=text_weights,
        video_weights=video_weights,
    )


def _maxima(text: TokenSet, video: TokenSet) -> tuple[Tensor, Tensor]:
    """Both maxima of all products at once, for scanning and evaluation, where blocks come from outside."""
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
    if not bool(video.mask.all()):
        products_PVF = products_PVF.masked_fill(~video.mask, lowest(products_PVF.dtype))
    return maximum(products_PVF, dim=2), video_best_QVF


class _BlockedMaxima(Function):
    """Both maxima with gradients, some texts at a time; keeps where maxima stood instead of the products."""

    @staticmethod
    def forward(
        ctx: Any, text_QTD: Tensor, text_mask_QT: Tensor, frames_VFD: Tensor, mask_VF: Tensor
    ) -> tuple[Tensor, Tensor]:
        videos, frames, _ = frames_VFD.shape
        frames_ND = frames_VFD.flatten(0, 1)
        hidden_VF = None if bool(mask_VF.all()) else ~mask_VF
        parts = []
        for texts, lengths in _chunks(text_mask_QT, len(frames_ND)):
            products_PN = text_QTD[texts][text_mask_QT[texts]] @ frames_ND.t()
            by_text = [rows.max(dim=0) for rows in torch.split(products_PN, lengths)]
            video_best_QN = torch.stack([best.values for best in by_text])
            word_QN = torch.stack([_places(best.indices) for best in by_text])
            products_PVF = products_PN.view(-1, videos, frames)
            if hidden_VF is not None:
                products_PVF.masked_fill_(hidden_VF, -torch.inf)
            text_best_PV, frame_PV = products_PVF.max(dim=2)
            parts.append((text_best_PV, _places(frame_PV), video_best_QN, word_QN))
        text_best_PV, frame_PV, video_best_QN, word_QN = (
            torch.cat(part) for part in zip(*parts, strict=True)
        )
        ctx.save_for_backward(text_QTD, text_mask_QT, frames_VFD, frame_PV, word_QN)
        return text_best_PV, video_best_QN.view(-1, videos, frames)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, text_grad_PV: Tensor, video_grad_QVF: Tensor) -> tuple[Tensor, None, Tensor, None]:
        """Route each maximum's gradient to the word and the frame that met there.

        Source: the chain rule: row p of the gradient by products holds ``text_grad`` at each word's best
            frame, column (v, f) holds ``video_grad`` at each frame's best word of each text.
        """
        text_QTD, text_mask_QT, frames_VFD, frame_PV, word_QN = ctx.saved_tensors
        videos, frames, _ = frames_VFD.shape
        frames_ND, video_grad_QN = frames_VFD.flatten(0, 1), video_grad_QVF.flatten(1)
        text_grad_QTD, frames_grad_ND = torch.zeros_like(text_QTD), torch.zeros_like(frames_ND)
        done = 0
        for texts, lengths in _chunks(text_mask_QT, len(frames_ND)):
            words, mask_QT = slice(done, done + sum(lengths)), text_mask_QT[texts]
            done = words.stop
            grad_PVF = text_QTD.new_zeros(sum(lengths), videos, frames)
            grad_PVF.scatter_(2, frame_PV[words, :, None].long(), text_grad_PV[words, :, None])
            first_Q1 = torch.tensor([0, *lengths[:-1]], device=word_QN.device).cumsum(0)[:, None]
            grad_PN = grad_PVF.flatten(1)
            grad_PN.scatter_add_(0, word_QN[texts] + first_Q1, video_grad_QN[texts])
            text_grad_QTD[texts][mask_QT] = grad_PN @ frames_ND
            frames_grad_ND.addmm_(grad_PN.t(), text_QTD[texts][mask_QT])
        return text_grad_QTD, None, frames_grad_ND.view_as(frames_VFD), None


def _chunks(mask_QT: Tensor, products_a_word: int) -> Iterator[tuple[slice, list[int]]]:
    """Yield stretches of texts whose products fit into a block, with their numbers of words."""
    lengths: list[int] = mask_QT.sum(dim=1).tolist()
    first, words = 0, 0
    for text, own in enumerate(lengths):
        if text > first and (words + own) * products_a_word > _BLOCK_PRODUCTS:
            yield slice(first, text), lengths[first:text]
            first, words = text, 0
        words += own
    yield slice(first, len(lengths)), lengths[first:]


def _places(indices: Tensor) -> Tensor:
    """Keep indices, which are below 32,768 tokens, in two bytes each."""
    return indices.to(torch.int16)
