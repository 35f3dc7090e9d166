"""Tokens of both sides gathered around centres that the sides share: CLIP2Video's temporal alignment."""

from __future__ import annotations

import torch
from torch import nn

from vidsift.interactions.dot import MeanDot
from vidsift.interactions.masked import unit_tokens
from vidsift.types import TokenSet

__all__ = ["CentreAlignment"]


class CentreAlignment(MeanDot):
    """Cosine of two vectors, each the mean of what a side's tokens have beyond K shared centres.

    A token ``t`` belongs to centre k by ``a_k = softmax_k(t . w_k)``. The differences ``a_k (t - c_k)`` are
    summed over the tokens of a side, made unit length for each centre, averaged over the centres and made
    unit length again. That is a sum over tokens as well, so the prepared set keeps each token's share of the
    vector, direction and length apart: the score is the sum over meetings, and there is an account.

    Use it beside a comparison of whole sentences, where words and frames should be told apart by what they
    are about: a centre gathers words and frames of one kind. It needs training; fresh centres mean nothing.
    It gives up the pair: how much a frame counts is settled before the sentence is known, and an index holds
    one vector for a scan.

    Source: CLIP2Video (arXiv 2106.11097), temporal alignment block; CryhanFang/CLIP2Video
        modules/modeling.py, get_TAB_embedding.

    Args:
        dim: channels of the tokens.
        centres: K.

    Raises:
        ValueError: if ``centres`` is less than 1.

    Example:
        >>> words = TokenSet(torch.randn(2, 3, 8), torch.tensor([[True, True, True], [True, False, False]]))
        >>> CentreAlignment(dim=8).prepare_text(words)
        TokenSet(tokens 2x3x8 float32, 4 of 6 real, weights)
    """

    text_preparation = None

    def __init__(self, dim: int, centres: int = 5) -> None:
        """See the class."""
        super().__init__()
        if centres < 1:
            raise ValueError(f"centres is {centres}, expected at least 1 (the released models have 5 or 7)")
        # Weights are learned in the preparing of both sides.
        self.video_preparation = None
        self.selectors = nn.Parameter(torch.randn(centres, dim) / 8)
        self.centres = nn.Parameter(torch.randn(centres, dim) / 8)

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        return self._gather(text)

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return self._gather(video)

    def _gather(self, tokens: TokenSet) -> TokenSet:
        real_BN1 = tokens.mask.unsqueeze(-1)
        tokens_BND = tokens.tokens.masked_fill(~real_BN1, 0)
        share_BNK = torch.softmax(tokens_BND @ self.selectors.t(), dim=-1).masked_fill(~real_BN1, 0)
        sum_BKD = share_BNK.transpose(1, 2) @ tokens_BND - share_BNK.sum(dim=1).unsqueeze(-1) * self.centres
        length_BK = sum_BKD.norm(dim=-1).clamp_min(1e-12)
        mean_BD = (sum_BKD / length_BK.unsqueeze(-1)).mean(dim=1)
        # What a token gives to the unit vector: all that is divided by is the same for all tokens.
        scaled_BNK = share_BNK / (length_BK * mean_BD.norm(dim=-1, keepdim=True).clamp_min(1e-12))[:, None]
        scaled_BNK = scaled_BNK / len(self.centres)
        given_BND = scaled_BNK.sum(dim=2, keepdim=True) * tokens_BND - scaled_BNK @ self.centres
        given = tokens.replace(tokens=given_BND)
        return given.replace(tokens=unit_tokens(given), weights=given_BND.norm(dim=-1))
