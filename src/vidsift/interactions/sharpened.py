"""Token-wise interaction of PIDRo: the best matches themselves say how much each of them counts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vidsift.interactions.base import UnitTokens
from vidsift.interactions.masked import masked_softmax
from vidsift.interactions.matches import align_matches, pair_matches
from vidsift.interactions.pooled_match import pooled_matches
from vidsift.types import Alignment, TokenSet

__all__ = ["SharpenedTokenWise", "sharpened_mean", "sharpened_weights"]


def sharpened_weights(best: Tensor, mask: Tensor, eta: float, dim: int = -1) -> Tensor:
    """How much each best match counts: softmax of ``eta`` times the matches.

    Args:
        best: the best match of every token, any shape.
        mask: bool, broadcastable to ``best``, True at real tokens.
        eta: 0 weighs all alike; the larger, the more the largest match decides.
        dim: the dimension of the tokens.

    Returns:
        Weights that sum to 1 along ``dim``, exactly 0 where masked.

    Source: PIDRo, alpha and beta below Eq. 4.
    """
    return masked_softmax(eta * best, mask, dim)


def sharpened_mean(best: Tensor, mask: Tensor, eta: float, dim: int = -1) -> Tensor:
    """Mean of the best matches under their own :func:`sharpened_weights`; ``dim`` is gone."""
    return (sharpened_weights(best, mask, eta, dim) * best).sum(dim)


class SharpenedTokenWise(UnitTokens):
    """Half the words' best matches plus half those of the video tokens, each weighted by its own strength.

    With unit tokens ``t_i`` and ``f_j``, ``a_i = max_j t_i.f_j`` and ``b_j = max_i t_i.f_j``::

        score = (sum_i softmax_i(eta a)_i a_i  +  sum_j softmax_j(eta b)_j b_j) / 2

    Nothing is learned here. A weight depends on the pair, so it is computed with the score and not stored
    with the prepared tokens; gradients flow through it.

    Use it where a strong match should decide and weak ones should not count, as between words and patches, of
    which most have nothing to do with each other. It needs every token in the index. It gives up coverage: at
    eta = 100 one word that fits perfectly hides all the words that do not.

    Source: PIDRo, Eq. 4.
    Differs: the paper does not say whether its tokens have unit length; ours have, as eta = tau = 100, the
        inverse of CLIP's temperature for cosines, imply.

    Args:
        eta: how sharply the weights follow the matches.

    Raises:
        ValueError: if ``eta`` is negative or not finite.

    Example:
        One of two words is in the video: without sharpening it is half of the words' part, with it all.

        >>> text = TokenSet(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2).bool())
        >>> video = TokenSet(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1).bool())
        >>> SharpenedTokenWise(eta=0).score(text, video), SharpenedTokenWise(eta=100).score(text, video)
        (tensor([[0.7500]]), tensor([[1.]]))
    """

    scans_int8 = True

    def __init__(self, eta: float = 100.0) -> None:
        """See the class."""
        super().__init__()
        if not (math.isfinite(eta) and eta >= 0):
            raise ValueError(f"eta is {eta}, expected a finite number of at least 0 (the paper's is 100)")
        self.eta = eta

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return ``sim_QV`` in [-1, 1]; a video set in int8 gives it to about 1 %."""
        return pooled_matches(text, video, self._pool)

    def _pool(self, text: TokenSet, video: TokenSet, text_best_PV: Tensor, video_best_QVN: Tensor) -> Tensor:
        text_best_PV, video_best_QVN = _at_least_fp32(text_best_PV), _at_least_fp32(video_best_QVN)
        text_best_QTV = text_best_PV.new_zeros(*text.mask.shape, len(video))
        # Padding stays 0 and is masked below.
        text_best_QTV[text.mask] = text_best_PV
        # Videos innermost: so lie the blocks that a scan reads.
        video_best_QNV = video_best_QVN.transpose(1, 2)
        text_to_video_QV = sharpened_mean(text_best_QTV, text.mask[:, :, None], self.eta, dim=1)
        video_to_text_QV = sharpened_mean(video_best_QNV, video.mask.t(), self.eta, dim=1)
        return (text_to_video_QV + video_to_text_QV) / 2

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give half of ``alpha_i a_i`` to word i's best frame, half of ``beta_j b_j`` to its best word."""
        matches = pair_matches(text, video)
        alpha_BT = sharpened_weights(matches.text_best, text.mask, self.eta)
        beta_BN = sharpened_weights(matches.video_best, video.mask, self.eta)
        return align_matches(text, video, matches, text_weights=alpha_BT, video_weights=beta_BN)


def _at_least_fp32(best: Tensor) -> Tensor:
    """Widen half precision: its rounding, times eta, would change the weights."""
    return best.float() if best.dtype in (torch.bfloat16, torch.float16) else best
