"""The sentence against every frame, frames weighted by how well they fit (TS2-Net)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from vidsift.interactions.base import UnitTokens
from vidsift.interactions.masked import masked_max, masked_softmax
from vidsift.interactions.pooled_match import pooled_matches
from vidsift.types import Alignment, TokenSet

__all__ = ["FrameSoftmax", "frame_weights"]


def frame_weights(cosines_XF: Tensor, mask_XF: Tensor, sharpness: float = 4.0) -> Tensor:
    """Softmax over the frames of a video, of their cosines as a vector of unit length.

    Args:
        cosines_XF: of a sentence with the frames of a video, any leading dimensions.
        mask_XF: bool, broadcastable to them, True at real frames.
        sharpness: factor on the unit vector; how far apart the cosines lie does not matter.

    Returns:
        Weights like ``cosines_XF`` that sum to 1, 0 where masked.

    Source: LiuRicky/ts2_net modules/modeling.py, get_frame_similarity, of TS2-Net (arXiv
        2207.07852).
    """
    # 0 adds nothing to the length: padding would flatten the weights of short videos.
    unit_XF = normalize(cosines_XF.masked_fill(~mask_XF, 0), dim=-1)
    return masked_softmax(sharpness * unit_XF, mask_XF)


class FrameSoftmax(UnitTokens):
    """Weighted mean of the sentence's cosines with the frames, weights by :func:`frame_weights`.

    The weights belong to the pair: they follow from its cosines, so :meth:`align` is exact and an index
    stores frames alone.

    Use it where a sentence speaks of a part of the video and there is one vector for a sentence. It needs
    nothing learned. It gives up words, and a fixed sharpness decides how many frames count, however many
    there are.

    Source: TS2-Net (arXiv 2207.07852); LiuRicky/ts2_net modules/modeling.py, get_frame_similarity and
        get_frame_selectedcls_similarity (the same for one text token).
    Differs: a video whose cosines are all 0 scores 0, there NaN.

    Args:
        sharpness: see :func:`frame_weights`.

    Example:
        The frame that fits gets nearly all of the weight; in the mean of both it would have half.

        >>> import torch
        >>> text = TokenSet(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1).bool())
        >>> video = TokenSet(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2).bool())
        >>> meet = FrameSoftmax()
        >>> meet.score(meet.prepare_text(text), meet.prepare_video(video))
        tensor([[0.9820]])
    """

    scans_int8 = True

    def __init__(self, sharpness: float = 4.0) -> None:
        """See the class."""
        super().__init__()
        self.sharpness = sharpness

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        if text.tokens.shape[1] != 1:
            raise ValueError(
                f"FrameSoftmax got texts of {text.tokens.shape[1]} tokens; it compares one token of a text, "
                "the sentence, with the frames"
            )
        return super()._prepare_text(text)

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return the weighted cosines, ``sim_QV`` in [-1, 1]."""
        return pooled_matches(text, video, self._pool)

    def _pool(self, _text: TokenSet, video: TokenSet, _best_QV: Tensor, cosines_QVF: Tensor) -> Tensor:
        """The one token of a text is every frame's best match."""
        return (frame_weights(cosines_QVF, video.mask, self.sharpness) * cosines_QVF).sum(dim=2)

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give each frame its weighted cosine; every frame contributes."""
        values_BTN = text.tokens @ video.tokens.transpose(1, 2)
        weights_BTN = frame_weights(values_BTN, video.mask[:, None], self.sharpness)
        return Alignment(
            values=values_BTN,
            contributions=weights_BTN * values_BTN,
            best_video_token=masked_max(values_BTN, video.mask[:, None], dim=2)[1],
            best_text_token=values_BTN.argmax(dim=1),
            text_weights=weights_BTN.sum(dim=2),
            video_weights=weights_BTN.sum(dim=1),
        )
