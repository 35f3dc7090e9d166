"""Best match of every word in every video and of every frame in every text, and in pairs their account."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vidsift.interactions.masked import lowest, masked_max, maximum, segment_max
from vidsift.interactions.quantised import product, quantise
from vidsift.types import Alignment, TokenSet

__all__ = [
    "BatchMatches",
    "Padding",
    "PairMatches",
    "account",
    "best_matches",
    "fused_matches",
    "fuses",
    "let_padding_win",
    "pair_matches",
    "places",
    "real_words",
]

Padding = Literal["excluded", "zero"]

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
    learns = torch.is_grad_enabled() and (text.tokens.requires_grad or video.tokens.requires_grad)
    if fuses(video) and not learns:
        found, _ = fused_matches(text, video)
        text_best_PV, video_best_QVF = found.text_best, found.video_best
    else:
        text_best_PV, video_best_QVF = _maxima(text, video)
    if text.scale is not None and video.scale is not None:
        word_scale_P = text.scale[text.mask.nonzero()[:, 0]]
        text_best_PV = text_best_PV * word_scale_P[:, None] * video.scale
        video_best_QVF = video_best_QVF * text.scale[:, None, None] * video.scale[:, None]
    if padding == "zero":
        return let_padding_win(text, video, text_best_PV, video_best_QVF)
    return text_best_PV, video_best_QVF


def fuses(video: TokenSet) -> bool:
    """Whether kernels can find best matches: on a GPU of compute capability 8 and more, with triton there."""
    tokens = video.tokens
    if not tokens.is_cuda or tokens.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return False
    few = tokens.shape[1] <= _FUSED_FRAMES and tokens.stride(2) == 1
    return few and torch.cuda.get_device_capability(tokens.device) >= (8, 0) and _has_triton()


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def fused_matches(text: TokenSet, video: TokenSet) -> tuple[BatchMatches, Tensor]:
    """Best matches by kernels, where :func:`fuses` allows, and where each text's words begin among all."""
    from vidsift.interactions.fused_match import best_of_all

    ends = text.mask.sum(dim=1, dtype=torch.int32).cumsum(0, dtype=torch.int32)
    starts = torch.cat([ends.new_zeros(1), ends])
    kind = places(max(text.mask.shape[1], video.mask.shape[1]))
    return best_of_all(real_words(text).contiguous(), starts, video.tokens, video.mask, kind), starts


def real_words(text: TokenSet) -> Tensor:
    """The real tokens one after the other, ``(P, D)``; no copy where all are real."""
    return text.tokens.flatten(0, 1) if bool(text.mask.all()) else text.tokens[text.mask]


def places(count: int) -> torch.dtype:
    """The smallest integers that tell so many places apart."""
    kinds = (torch.uint8, torch.int16)
    return next((kind for kind in kinds if count - 1 <= torch.iinfo(kind).max), torch.int32)


def let_padding_win(
    text: TokenSet, video: TokenSet, text_best_PV: Tensor, video_best_QVF: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply the released rule of padding to best matches of real tokens, see :func:`best_matches`."""
    padded_V, padded_Q = ~video.mask.all(dim=1), ~text.mask.all(dim=1)
    text_best_PV = torch.where(padded_V, text_best_PV.clamp_min(0), text_best_PV)
    video_best_QVF = torch.where(padded_Q[:, None, None], video_best_QVF.clamp_min(0), video_best_QVF)
    return text_best_PV, video_best_QVF


class BatchMatches(NamedTuple):
    """Best matches of all texts with all videos, and where they stood: what a gradient needs of the products.

    Attributes:
        text_best: of each real word in each video, ``(P, V)``.
        frame: where, in the smallest integers that will do.
        video_best: of each frame in each text, ``(Q, V, F)``; of padded frames it means nothing.
        word: where, counted within the text.
    """

    text_best: Tensor
    frame: Tensor
    video_best: Tensor
    word: Tensor

    def of(self, texts: slice, words: slice) -> BatchMatches:
        """Return those of some of the texts, as views."""
        return BatchMatches(
            self.text_best[words], self.frame[words], self.video_best[texts], self.word[texts]
        )


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
    if not bool(video.mask.all()):
        products_PVF = products_PVF.masked_fill(~video.mask, lowest(products_PVF.dtype))
    return maximum(products_PVF, dim=2), video_best_QVF
