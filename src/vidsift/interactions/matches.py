"""Best matches as values: of a whole batch, of matched pairs, and the alignment that follows from those.

Of a batch, :mod:`~vidsift.interactions.best_match` finds them in plain PyTorch,
:mod:`~vidsift.interactions.fused_match` on a GPU, and :mod:`~vidsift.interactions.pooled_match` makes scores
of them that can be trained.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vidsift.interactions.masked import masked_max
from vidsift.types import Alignment, TokenSet

__all__ = [
    "BatchMatches",
    "Padding",
    "PairMatches",
    "align_matches",
    "index_dtype",
    "let_padding_win",
    "pair_matches",
    "real_words",
]

Padding = Literal["excluded", "zero"]
"""How padding counts in a maximum, see :func:`~vidsift.interactions.best_match.best_matches`."""


class BatchMatches(NamedTuple):
    """Best matches of all texts with all videos, and where they stood: what a gradient needs of the products.

    Attributes:
        text_best: of each real word in each video, ``(P, V)``.
        frame: index of the frame that it met, of the type of :func:`index_dtype`.
        video_best: of each frame in each text, ``(Q, V, F)``; of padded frames it means nothing.
        word: index of the word that it met, counted within the text.
    """

    text_best: Tensor
    frame: Tensor
    video_best: Tensor
    word: Tensor

    @classmethod
    def empty(cls, text_best_PV: Tensor, video_best_QVF: Tensor, *, longest_text: int) -> BatchMatches:
        """Return matches to be filled in: the maxima as given, the indices without a value yet."""
        frames = video_best_QVF.shape[2]
        return cls(
            text_best_PV,
            torch.empty_like(text_best_PV, dtype=index_dtype(frames)),
            video_best_QVF,
            torch.empty_like(video_best_QVF, dtype=index_dtype(longest_text)),
        )

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


def real_words(text: TokenSet) -> Tensor:
    """The real tokens one after the other, ``(P, D)``; no copy where all are real."""
    return text.tokens.flatten(0, 1) if bool(text.mask.all()) else text.tokens[text.mask]


def index_dtype(count: int) -> torch.dtype:
    """The smallest integers that tell so many tokens apart.

    Indices are as many as the maxima and are kept until the backward pass: int64 would more than double what
    they take.
    """
    kinds = (torch.uint8, torch.int16)
    return next((kind for kind in kinds if count - 1 <= torch.iinfo(kind).max), torch.int32)


def let_padding_win(
    text: TokenSet, video: TokenSet, text_best_PV: Tensor, video_best_QVF: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply the released rule of padding to best matches of real tokens.

    See :func:`~vidsift.interactions.best_match.best_matches`.
    """
    # Padding counts as 0, so a maximum over a row that has some is at least 0, however much there is.
    padded_V, padded_Q = ~video.mask.all(dim=1), ~text.mask.all(dim=1)
    text_best_PV = torch.where(padded_V, text_best_PV.clamp_min(0), text_best_PV)
    video_best_QVF = torch.where(padded_Q[:, None, None], video_best_QVF.clamp_min(0), video_best_QVF)
    return text_best_PV, video_best_QVF


def pair_matches(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> PairMatches:
    """Find the best matches of matched pairs alone, and where they stand.

    Args:
        text: prepared, ``(B, T, D)``.
        video: prepared, ``(B, N, D)``.
        padding: see :func:`~vidsift.interactions.best_match.best_matches`; a maximum that padding wins is 0
            and stands at the first padded token.
    """
    values_BTN = text.tokens @ video.tokens.transpose(1, 2)
    over_video = masked_max(values_BTN, video.mask[:, None, :], dim=2)
    over_text = masked_max(values_BTN, text.mask[:, :, None], dim=1)
    if padding == "zero":
        over_video, over_text = _or_padding(*over_video, video), _or_padding(*over_text, text)
    return PairMatches(values_BTN, *over_video, *over_text)


def _or_padding(best_BX: Tensor, index_BX: Tensor, other: TokenSet) -> tuple[Tensor, Tensor]:
    """Let padding of the other side win, with 0, where all its real tokens are worse."""
    lost_BX = (best_BX < 0) & ~other.mask.all(dim=1, keepdim=True)
    # Of equals argmin gives the first; for bool there is none.
    first_padded_B1 = other.mask.long().argmin(dim=1, keepdim=True)
    return best_BX.masked_fill(lost_BX, 0), torch.where(lost_BX, first_padded_B1, index_BX)


def align_matches(
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
    from_text_BT = shares[0] * text_weights * matches.text_best
    from_video_BN = shares[1] * video_weights * matches.video_best
    contributions = torch.zeros_like(matches.values)
    # A word and a frame that are each other's best meet in one entry, which then gets both parts.
    contributions.scatter_add_(2, matches.best_video_token.unsqueeze(2), from_text_BT.unsqueeze(2))
    contributions.scatter_add_(1, matches.best_text_token.unsqueeze(1), from_video_BN.unsqueeze(1))
    both = text.mask[:, :, None] & video.mask[:, None, :]
    return Alignment(
        values=matches.values.masked_fill(~both, 0),
        contributions=contributions,
        best_video_token=matches.best_video_token,
        best_text_token=matches.best_text_token,
        text_weights=text_weights,
        video_weights=video_weights,
    )
