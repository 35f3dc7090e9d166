"""Token-wise interactions of DRL: every word meets its best frame, every frame its best word (TI, WTI)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidsift.interactions.base import Interaction
from vidsift.interactions.masked import (
    lowest,
    masked_max,
    masked_softmax,
    maximum,
    segment_max,
    uniform_weights,
    unit_tokens,
)
from vidsift.interactions.quantised import product, quantise
from vidsift.types import Alignment, TokenSet

__all__ = ["Padding", "TokenWise", "WeightedTokenWise", "best_matches", "token_wise"]

Padding = Literal["excluded", "zero"]


def best_matches(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> tuple[Tensor, Tensor]:
    """Best match of every real word in every video, and of every frame in every text.

    Words of all texts are packed one after the other, so padded words are never multiplied.

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
    videos, frames, _ = video.tokens.shape
    lengths = text.mask.sum(dim=1).tolist()
    words_PD, frames_FVD = text.tokens[text.mask], video.tokens.transpose(0, 1)
    if frames_FVD.is_contiguous():
        # Frames outermost in memory, as a scan lays them out: both maxima run along contiguous videos.
        products_PN = product(words_PD, frames_FVD.flatten(0, 1), video.packed)
        products_PVF = products_PN.view(-1, frames, videos).transpose(1, 2)
        video_best_QVF = segment_max(products_PN, lengths).view(-1, frames, videos).transpose(1, 2)
    else:
        products_PN = product(words_PD, video.tokens.flatten(0, 1))
        products_PVF = products_PN.view(-1, videos, frames)
        video_best_QVF = segment_max(products_PN, lengths).view(-1, videos, frames)
    if bool(video.mask.all()):
        text_best_PV = maximum(products_PVF, dim=2)
    else:
        text_best_PV = maximum(products_PVF.masked_fill(~video.mask, lowest(products_PVF.dtype)), dim=2)
    if text.scale is not None and video.scale is not None:
        word_scale_P = text.scale[text.mask.nonzero()[:, 0]]
        text_best_PV = text_best_PV * word_scale_P[:, None] * video.scale
        video_best_QVF = video_best_QVF * text.scale[:, None, None] * video.scale[:, None]
    if padding == "zero":
        padded_V, padded_Q = ~video.mask.all(dim=1), ~text.mask.all(dim=1)
        text_best_PV = torch.where(padded_V, text_best_PV.clamp_min(0), text_best_PV)
        video_best_QVF = torch.where(padded_Q[:, None, None], video_best_QVF.clamp_min(0), video_best_QVF)
    return text_best_PV, video_best_QVF


def token_wise(text: TokenSet, video: TokenSet, padding: Padding = "excluded") -> Tensor:
    """Half the weighted sum of the words' best matches plus half that of the frames'.

    Args:
        text: prepared, unit tokens ``(Q, T, D)`` with weights that sum to 1.
        video: prepared, unit tokens ``(V, F, D)`` with weights that sum to 1.
        padding: see :func:`best_matches`.

    Returns:
        ``sim_QV`` in [-1, 1].

    Source: DRL (arXiv 2203.07111) Eq. 5 and 6; foolwood/DRL tvr/models/modeling.py, wti_interaction.
    Differs: padded tokens are left out, where the code multiplies them to 0 (``padding="zero"``); the two
        directions are averaged as in the code, where the paper's equations add them.
    """
    text_best_PV, video_best_QVF = best_matches(text, video, padding)
    text_weights, video_weights = _weights(text), _weights(video)
    owner_P = text.mask.nonzero()[:, 0]
    word_weights_QP = text_weights.new_zeros(len(text), len(owner_P))
    word_weights_QP = word_weights_QP.index_put(
        (owner_P, torch.arange(len(owner_P), device=owner_P.device)), text_weights[text.mask]
    )
    text_to_video = word_weights_QP @ text_best_PV.to(word_weights_QP.dtype)
    video_to_text = (video_best_QVF * video_weights).sum(dim=2)
    return (text_to_video + video_to_text) / 2


class TokenWise(Interaction):
    """Token-wise interaction (TI): all real tokens weigh the same.

    Source: DRL Eq. 5; released as ``--interaction ti``.
    Differs: the paper sums, the code and we average over the real tokens.

    Args:
        padding: "zero" reproduces the released treatment of padding, see :func:`best_matches`.
    """

    preparation: str | None = "unit, uniform"
    scans_int8 = True

    def __init__(self, padding: Padding = "excluded") -> None:
        """See the class."""
        super().__init__()
        self.padding: Padding = padding

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        return text.replace(tokens=self._unit(text), weights=uniform_weights(text.mask, text.tokens.dtype))

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return self._prepare_text(video)

    def _unit(self, tokens: TokenSet) -> Tensor:
        """Unit tokens; under the released rule padding keeps its own, since it can be a best match."""
        return unit_tokens(tokens) if self.padding == "excluded" else normalize(tokens.tokens, dim=-1)

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return :func:`token_wise` of the prepared sets."""
        return token_wise(text, video, self.padding)

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give half a word's weight to its best frame, half a frame's weight to its best word.

        A maximum that padding won under ``padding="zero"`` contributes 0 and names the first padded token.
        """
        return _align(text, video, self.padding)


class WeightedTokenWise(TokenWise):
    """Weighted token-wise interaction (WTI): heads predict how much each token matters.

    The heads read the tokens as encoded, before they are made unit length.

    Source: DRL Eq. 6 and Fig. 4; foolwood/DRL tvr/models/modeling.py (``text_weight_fc``).

    Args:
        dim: channels of the tokens.
        layers: fully connected layers of each head: 1, 2 (default) or 3.
        padding: see :class:`TokenWise`.
    """

    preparation = None

    def __init__(self, dim: int, layers: int = 2, padding: Padding = "excluded") -> None:
        """See the class."""
        super().__init__(padding)
        self.text_weight = weight_head(dim, layers)
        self.video_weight = weight_head(dim, layers)

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        return self._weigh(text, self.text_weight)

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return self._weigh(video, self.video_weight)

    def _weigh(self, tokens: TokenSet, head: nn.Module) -> TokenSet:
        weights = masked_softmax(head(tokens.tokens).squeeze(-1), tokens.mask)
        return tokens.replace(tokens=self._unit(tokens), weights=weights)


def weight_head(dim: int, layers: int) -> nn.Sequential:
    """Build a head that maps a token ``(..., D)`` to one logit ``(..., 1)``.

    Raises:
        ValueError: if ``layers`` is not 1, 2 or 3.
    """
    if layers not in (1, 2, 3):
        raise ValueError(f"weight head of {layers} layers: expected 1, 2 or 3 (DRL Table 3)")
    parts: list[nn.Module] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(dim, dim), nn.ReLU(inplace=True)]
    head = nn.Sequential(*parts, nn.Linear(dim, 1))
    for part in head:
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.02)
            nn.init.zeros_(part.bias)
    return head


def _weights(tokens: TokenSet) -> Tensor:
    if tokens.weights is None:
        raise ValueError(
            "token_wise got a set without weights; pass it through prepare_text or prepare_video"
        )
    return tokens.weights


def _first_padded(tokens: TokenSet) -> Tensor:
    return tokens.mask.long().argmin(dim=1, keepdim=True)


def _align(text: TokenSet, video: TokenSet, padding: Padding) -> Alignment:
    values_BTN = text.tokens @ video.tokens.transpose(1, 2)
    text_best_BT, best_video_BT = masked_max(values_BTN, video.mask[:, None, :], dim=2)
    video_best_BN, best_text_BN = masked_max(values_BTN, text.mask[:, :, None], dim=1)
    if padding == "zero":
        padded_text, padded_video = ~text.mask.all(dim=1), ~video.mask.all(dim=1)
        text_lost_BT, video_lost_BN = (
            (best < 0) & padded[:, None]
            for best, padded in ((text_best_BT, padded_video), (video_best_BN, padded_text))
        )
        text_best_BT = text_best_BT.masked_fill(text_lost_BT, 0)
        video_best_BN = video_best_BN.masked_fill(video_lost_BN, 0)
        best_video_BT = torch.where(text_lost_BT, _first_padded(video), best_video_BT)
        best_text_BN = torch.where(video_lost_BN, _first_padded(text), best_text_BN)
    text_weights, video_weights = _weights(text), _weights(video)
    contributions = torch.zeros_like(values_BTN)
    contributions.scatter_add_(2, best_video_BT.unsqueeze(2), (text_weights * text_best_BT / 2).unsqueeze(2))
    contributions.scatter_add_(1, best_text_BN.unsqueeze(1), (video_weights * video_best_BN / 2).unsqueeze(1))
    both = text.mask[:, :, None] & video.mask[:, None, :]
    return Alignment(
        values=values_BTN.masked_fill(~both, 0),
        contributions=contributions,
        best_video_token=best_video_BT,
        best_text_token=best_text_BN,
        text_weights=text_weights,
        video_weights=video_weights,
    )
