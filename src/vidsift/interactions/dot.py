"""Dot product of the sentence with the mean frame: zero-shot CLIP, CLIP4Clip and DRL's DP."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from vidsift.interactions.base import Interaction, weights_of
from vidsift.interactions.masked import masked_mean, uniform_weights, unit_tokens
from vidsift.interactions.quantised import product, quantise
from vidsift.types import Alignment, TokenSet

__all__ = ["FrameMean", "MeanDot"]

FrameMean = Literal["unit", "raw"]
"""Whether frames are made unit length before their mean is taken, or count by their length."""


class MeanDot(Interaction):
    """Cosine of the mean text token with the mean video token (one end-of-text token: CLIP's sentence).

    Tokens are made unit length, averaged over the real ones, and the mean is made unit length again.
    The prepared set keeps the tokens and gives each the weight ``1 / (n |mean|)``, so that the score is
    the sum over frames of weight times cosine: the moment and the explanation come from the score itself.
    With ``frames="raw"`` a longer frame has a larger part in the mean, and so has its weight.

    Use it as the baseline, and where an index has to be small and fast: a video is one vector. It needs
    nothing learned beyond the encoders. It gives up which frame a sentence is about: a moment of one second
    in a minute is a sixtieth of the mean.

    Source: CLIP4Clip modules/modeling.py (meanP, loose similarity); DRL tvr/models/modeling.py (dp).
    Differs: DRL's Eq. 1 averages frames as they are (``frames="raw"``); its code, like ours, normalises each
        frame first.

    Args:
        frames: "unit" or "raw", see above.

    Raises:
        ValueError: if ``frames`` is neither.

    Example:
        One of two frames is what the sentence says.

        >>> import torch
        >>> text = TokenSet(torch.tensor([[[0.0, 2.0]]]), torch.ones(1, 1).bool())
        >>> video = TokenSet(torch.tensor([[[3.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2).bool())
        >>> dot = MeanDot()
        >>> dot.score(dot.prepare_text(text), dot.prepare_video(video))
        tensor([[0.7071]])
    """

    text_preparation: str | None = "unit mean"
    scans_int8 = True

    def __init__(self, frames: FrameMean = "unit") -> None:
        """See the class."""
        super().__init__()
        if frames not in get_args(FrameMean):
            raise ValueError(f"frames is {frames!r}, expected one of {', '.join(get_args(FrameMean))}")
        self.frames: FrameMean = frames
        self.video_preparation: str | None = f"{frames} mean"

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        return _unit_mean(text)

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return _unit_mean(video) if self.frames == "unit" else _raw_mean(video)

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return the cosines of the pooled sides, ``sim_QV``."""
        # Compact sets alone multiply in int8; the frames of a full one are weighed first, in floats.
        if video.scale is not None and video.tokens.shape[1] == 1:
            return _score_int8(quantise(self.compact_video(text)), video)
        text_QD, video_VD = _weighted_sum(text), _weighted_sum(video)
        return text_QD.to(video_VD.dtype) @ video_VD.t()

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give each frame its weighted cosine; every frame contributes."""
        values_BTN = text.tokens @ video.tokens.transpose(1, 2)
        text_weights, video_weights = weights_of(text), weights_of(video)
        both = text.mask[:, :, None] & video.mask[:, None, :]
        # Of a padded token argmax names one that means nothing; its weight is 0.
        ranked = values_BTN.masked_fill(~both, float("-inf"))
        return Alignment(
            values=values_BTN.masked_fill(~both, 0),
            contributions=values_BTN * text_weights[:, :, None] * video_weights[:, None, :],
            best_video_token=ranked.argmax(dim=2),
            best_text_token=ranked.argmax(dim=1),
            text_weights=text_weights,
            video_weights=video_weights,
        )

    def compact_video(self, video: TokenSet) -> TokenSet:
        """Pool each video into one token of weight 1."""
        pooled_V1D = _weighted_sum(video).unsqueeze(1)
        return TokenSet(
            tokens=pooled_V1D,
            mask=video.mask[:, :1].new_ones(len(video), 1),
            weights=pooled_V1D.new_ones(len(video), 1),
        )


def _unit_mean(tokens: TokenSet) -> TokenSet:
    unit_BND = unit_tokens(tokens)
    # Tokens that cancel out exactly have a mean without a direction: clamped, they score 0.
    length_B1 = masked_mean(unit_BND, tokens.mask).norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return tokens.replace(tokens=unit_BND, weights=uniform_weights(tokens.mask, unit_BND.dtype) / length_B1)


def _raw_mean(tokens: TokenSet) -> TokenSet:
    # Unit tokens again, each weighed by its length: the same sum, and cosines for the account.
    size_BN = tokens.tokens.norm(dim=-1).masked_fill(~tokens.mask, 0)
    length_B1 = masked_mean(tokens.tokens, tokens.mask).norm(dim=-1, keepdim=True).clamp_min(1e-12)
    weights_BN = uniform_weights(tokens.mask, size_BN.dtype) * size_BN / length_B1
    return tokens.replace(tokens=unit_tokens(tokens), weights=weights_BN)


def _score_int8(text: TokenSet, video: TokenSet) -> Tensor:
    """Cosines of sets of one int8 token each."""
    assert text.scale is not None
    assert video.scale is not None
    products_QV = product(text.tokens[:, 0], video.tokens[:, 0], video.packed)
    return products_QV * (text.scale[:, None] * (video.scale * weights_of(video)[:, 0]))


def _weighted_sum(tokens: TokenSet) -> Tensor:
    # (B, N, D) * (B, N, 1): int8 tokens become floats by their weights.
    sum_BD = (tokens.tokens * weights_of(tokens).unsqueeze(-1)).sum(dim=1)
    return sum_BD if tokens.scale is None else sum_BD * tokens.scale[:, None]
