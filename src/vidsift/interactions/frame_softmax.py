"""The sentence against every frame, frames weighted by how well they fit (TS2-Net, CLIP-Hitchhiker)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vidsift.interactions.base import UnitTokens
from vidsift.interactions.masked import masked_max, masked_softmax
from vidsift.interactions.pooled_match import pooled_matches
from vidsift.types import Alignment, TokenSet

__all__ = ["FrameAverage", "FrameLogits", "FrameSoftmax", "frame_weights"]

FrameLogits = Literal["unit", "cosine"]
"""What the softmax reads: the frames' cosines as a vector of unit length, or as they are."""

FrameAverage = Literal["cosine", "frame"]
"""What is averaged by the weights: cosines, or frames, whose mean then meets the sentence."""


def frame_weights(
    cosines_XF: Tensor, mask_XF: Tensor, sharpness: float = 4.0, logits: FrameLogits = "unit"
) -> Tensor:
    """Softmax over the frames of a video.

    Args:
        cosines_XF: of a sentence with the frames of a video, any leading dimensions.
        mask_XF: bool, broadcastable to them, True at real frames.
        sharpness: factor on the logits; the inverse of a temperature.
        logits: "unit" makes the cosines a vector of unit length first, so that it does not matter how far
            apart they lie; "cosine" takes them as they are, so that more frames sharpen nothing.

    Returns:
        Weights like ``cosines_XF`` that sum to 1, 0 where masked.

    Source: "unit" is LiuRicky/ts2_net modules/modeling.py, get_frame_similarity, of TS2-Net (arXiv
        2207.07852); "cosine" m-bain/clip-hitchhiker query_scoring.py, similarity_queryscoring, of
        CLIP-Hitchhiker (arXiv 2205.08508).
    """
    if logits == "unit":
        # 0 adds nothing to the length: padding would flatten the weights of short videos.
        cosines_XF = normalize(cosines_XF.masked_fill(~mask_XF, 0), dim=-1)
    return masked_softmax(sharpness * cosines_XF, mask_XF)


class FrameSoftmax(UnitTokens):
    """Weighted mean of the sentence's cosines with the frames, weights by :func:`frame_weights`.

    The weights belong to the pair: they follow from its cosines, so :meth:`align` is exact and an index
    stores frames alone.

    Use it where a sentence speaks of a part of the video and there is one vector for a sentence. It needs
    nothing learned. It gives up words, and a fixed sharpness decides how many frames count, however many
    there are.

    Source: TS2-Net (arXiv 2207.07852); LiuRicky/ts2_net modules/modeling.py, get_frame_similarity and
        get_frame_selectedcls_similarity (the same for one text token). With ``logits="cosine",
        average="frame"`` the query-scoring of CLIP-Hitchhiker (arXiv 2205.08508); m-bain/clip-hitchhiker
        query_scoring.py, similarity_queryscoring.
    Differs: a video whose cosines are all 0 scores 0, in TS2-Net NaN. Query-scoring there averages frames as
        encoded, by their lengths too; an index stores unit frames.

    Args:
        sharpness: see :func:`frame_weights`.
        logits: likewise.
        average: "cosine" averages the cosines; "frame" the frames, and takes the cosine of the sentence with
            their mean, which is larger the less the frames agree. It costs a second product, and scans in
            floats.

    Raises:
        ValueError: if ``sharpness`` is negative or not finite, or a choice is none.

    Example:
        The frame that fits gets nearly all of the weight; in the mean of both it would have half.

        >>> text = TokenSet(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1).bool())
        >>> video = TokenSet(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2).bool())
        >>> meet = FrameSoftmax()
        >>> meet.score(meet.prepare_text(text), meet.prepare_video(video))
        tensor([[0.9820]])
    """

    scans_int8 = True

    def __init__(
        self, sharpness: float = 4.0, logits: FrameLogits = "unit", average: FrameAverage = "cosine"
    ) -> None:
        """See the class."""
        super().__init__()
        if not (math.isfinite(sharpness) and sharpness >= 0):
            raise ValueError(f"sharpness is {sharpness}, expected a finite number of at least 0")
        if logits not in get_args(FrameLogits):
            raise ValueError(f"logits is {logits!r}, expected one of {', '.join(get_args(FrameLogits))}")
        if average not in get_args(FrameAverage):
            raise ValueError(f"average is {average!r}, expected one of {', '.join(get_args(FrameAverage))}")
        self.sharpness = sharpness
        self.logits: FrameLogits = logits
        self.average: FrameAverage = average
        # What a scan packs are products with the sentence; no mean frame can be made of them.
        self.scans_int8 = average == "cosine"

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        if text.tokens.shape[1] != 1:
            raise ValueError(
                f"FrameSoftmax got texts of {text.tokens.shape[1]} tokens; it compares one token of a text, "
                "the sentence, with the frames"
            )
        return super()._prepare_text(text)

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return the weighted cosines, ``sim_QV`` in [-1, 1]."""
        if self.average == "cosine":
            return pooled_matches(text, video, self._pool)
        # Plain products, as a gradient has to reach the mean frame too: (Q, D) with (V, F, D).
        tokens_VFD = video.tokens
        cosines_QVF = torch.einsum("qd,vfd->qvf", text.tokens[:, 0].to(tokens_VFD.dtype), tokens_VFD)
        weights_QVF = self._weights(cosines_QVF, video.mask)
        lengths_QV = torch.stack([_mean_lengths(weights_VF, tokens_VFD) for weights_VF in weights_QVF])
        return (weights_QVF * cosines_QVF).sum(dim=2) / lengths_QV

    def _weights(self, cosines_XF: Tensor, mask_XF: Tensor) -> Tensor:
        return frame_weights(cosines_XF, mask_XF, self.sharpness, self.logits)

    def _pool(self, _text: TokenSet, video: TokenSet, _best_QV: Tensor, cosines_QVF: Tensor) -> Tensor:
        """The one token of a text is every frame's best match."""
        return (self._weights(cosines_QVF, video.mask) * cosines_QVF).sum(dim=2)

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give each frame its weighted cosine; every frame contributes."""
        values_BTN = text.tokens @ video.tokens.transpose(1, 2)
        weights_BTN = self._weights(values_BTN, video.mask[:, None])
        if self.average == "frame":
            # There is one text token: its weights stand for the pair.
            weights_BTN /= _mean_lengths(weights_BTN[:, 0], video.tokens)[:, None, None]
        return Alignment(
            values=values_BTN,
            contributions=weights_BTN * values_BTN,
            best_video_token=masked_max(values_BTN, video.mask[:, None], dim=2)[1],
            best_text_token=values_BTN.argmax(dim=1),
            text_weights=weights_BTN.sum(dim=2),
            video_weights=weights_BTN.sum(dim=1),
        )


def _mean_lengths(weights_VF: Tensor, tokens_VFD: Tensor) -> Tensor:
    """Length of the weighted mean of each video's tokens, ``(V,)``."""
    mean_VD = (weights_VF.to(tokens_VFD.dtype)[:, None] @ tokens_VFD)[:, 0]
    # Tokens that cancel out exactly have a mean without a direction: clamped, they score 0.
    lengths_V: Tensor = mean_VD.norm(dim=-1).clamp_min(1e-12)
    return lengths_V
