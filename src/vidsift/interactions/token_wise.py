"""Token-wise interactions of DRL: every word meets its best frame, every frame its best word (TI, WTI)."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vidsift.encoders.init import init_linears
from vidsift.interactions.base import Interaction, weights_of
from vidsift.interactions.masked import masked_softmax, uniform_weights, unit_tokens
from vidsift.interactions.matches import Padding, align_matches, pair_matches
from vidsift.interactions.pooled_match import pooled_matches
from vidsift.types import Alignment, TokenSet

__all__ = ["MatchSum", "Paths", "TokenWise", "WeightedTokenWise", "token_wise"]

Paths = Literal["dual", "t2v", "v2t"]
MatchSum = Literal["mean", "sum"]
"""Whether best matches are averaged over the tokens of their side, or added up."""

_SHARES: dict[Paths, tuple[float, float]] = {"dual": (0.5, 0.5), "t2v": (1.0, 0.0), "v2t": (0.0, 1.0)}
"""What the words' best matches and the frames' count for in the score."""


def token_wise(
    text: TokenSet, video: TokenSet, padding: Padding = "excluded", paths: Paths = "dual"
) -> Tensor:
    """Half the weighted sum of the words' best matches plus half that of the frames'.

    Args:
        text: prepared, unit tokens ``(Q, T, D)`` with weights.
        video: prepared, unit tokens ``(V, F, D)`` with weights.
        padding: see :func:`~vidsift.interactions.best_match.best_matches`.
        paths: "dual" takes both; "t2v" the words' best frames alone, "v2t" the frames' best words.

    Returns:
        ``sim_QV``, in [-1, 1] where the weights of each side sum to 1.

    Source: DRL (arXiv 2203.07111) Eq. 5 and 6, Table 3 (``paths``); foolwood/DRL tvr/models/modeling.py,
        wti_interaction.
    Differs: padded tokens are left out, where the code multiplies them to 0 (``padding="zero"``).
    """
    return pooled_matches(text, video, partial(_weighted_sums, shares=_SHARES[paths]), padding)


def _weighted_sums(
    text: TokenSet,
    video: TokenSet,
    text_best_PV: Tensor,
    video_best_QVF: Tensor,
    *,
    shares: tuple[float, float],
) -> Tensor:
    text_weights, video_weights = weights_of(text), weights_of(video)
    # The words of all texts stand one after the other: one product with a matrix of weights, which is zero
    # where a word is another text's, sums them by text.
    text_P = text.mask.nonzero()[:, 0]
    word_P = torch.arange(len(text_P), device=text_P.device)
    word_weights_QP = text_weights.new_zeros(len(text), len(text_P))
    word_weights_QP = word_weights_QP.index_put((text_P, word_P), text_weights[text.mask])
    text_to_video = word_weights_QP @ text_best_PV.to(word_weights_QP.dtype)
    video_to_text = (video_best_QVF * video_weights).sum(dim=2)
    return shares[0] * text_to_video + shares[1] * video_to_text


class TokenWise(Interaction):
    """Token-wise interaction (TI): all real tokens weigh the same.

    Use it where words and frames should find each other and there is little to train with, or for footage
    against footage: it learns nothing of its own. It needs every token in the index, so an index of frames is
    as many times larger than one of their means. It gives up importance: "the" counts as much as "dog".

    Source: DRL Eq. 5; released as ``--interaction ti``.
    Differs: the paper sums (``pooling="sum"``), the code and we average over the real tokens.

    Args:
        padding: "zero" reproduces the released treatment of padding, see :func:`token_wise`.
        paths: one direction alone or both, see :func:`token_wise`.
        pooling: "mean", or "sum" for Eq. 5 as printed: every token has the weight 1, so that long sentences
            and long videos score higher.

    Raises:
        ValueError: if ``paths`` or ``pooling`` is not one of its choices.

    Example:
        Both frames show the first word; the second is nowhere. Words get 1/2, frames 1.

        >>> text = TokenSet(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2).bool())
        >>> video = TokenSet(torch.tensor([[[1.0, 0.0], [2.0, 0.0]]]), torch.ones(1, 2).bool())
        >>> meet = TokenWise()
        >>> text, video = meet.prepare_text(text), meet.prepare_video(video)
        >>> meet.score(text, video)
        tensor([[0.7500]])
        >>> meet.align(text, video).contributions.sum()
        tensor(0.7500)
    """

    text_preparation: str | None = "unit, uniform"
    video_preparation: str | None = "unit, uniform"
    scans_int8 = True
    quantises_text = True

    def __init__(
        self, padding: Padding = "excluded", paths: Paths = "dual", pooling: MatchSum = "mean"
    ) -> None:
        """See the class."""
        super().__init__()
        if paths not in _SHARES:
            raise ValueError(f"token-wise paths {paths!r}: expected one of {', '.join(_SHARES)}")
        if pooling not in get_args(MatchSum):
            raise ValueError(
                f"token-wise pooling {pooling!r}: expected one of {', '.join(get_args(MatchSum))}"
            )
        self.padding: Padding = padding
        self.paths: Paths = paths
        self.pooling: MatchSum = pooling
        if pooling == "sum" and self.text_preparation is not None:
            self.text_preparation = self.video_preparation = "unit, one each"

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        dtype = text.tokens.dtype
        weights = text.mask.to(dtype) if self.pooling == "sum" else uniform_weights(text.mask, dtype)
        return text.replace(tokens=self._unit(text), weights=weights)

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return self._prepare_text(video)

    def _unit(self, tokens: TokenSet) -> Tensor:
        """Unit tokens; under the released rule padding keeps its values, since it can be a best match."""
        return unit_tokens(tokens) if self.padding == "excluded" else normalize(tokens.tokens, dim=-1)

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return :func:`token_wise` of the prepared sets."""
        return token_wise(text, video, self.padding, self.paths)

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give half a word's weight to its best frame, half a frame's weight to its best word.

        Of a single path, the words or the frames alone give, and give all of their weight.

        A maximum that padding won under ``padding="zero"`` contributes 0 and names the first padded token.
        """
        matches = pair_matches(text, video, self.padding)
        return align_matches(
            text,
            video,
            matches,
            text_weights=weights_of(text),
            video_weights=weights_of(video),
            shares=_SHARES[self.paths],
        )


class WeightedTokenWise(TokenWise):
    """Weighted token-wise interaction (WTI): heads predict how much each token matters.

    The heads read the tokens as encoded, before they are made unit length.

    Use it as the first choice where there are captions to train on: it is DRL's best, and its weights say
    which word and which frame a score came from. It needs training, as fresh heads weigh all tokens nearly
    alike. It gives up weights that know the other side: a frame weighs the same for every sentence.

    Source: DRL Eq. 6 and Fig. 9; foolwood/DRL tvr/models/modeling.py (``text_weight_fc``).
    Differs: Eq. 6 writes the frames of its first sum as encoded; Algorithms 1 and 2, the code and we make
        them unit length in both.

    Args:
        dim: channels of the tokens.
        layers: fully connected layers of each head: 1, 2 (default) or 3.
        padding: see :class:`TokenWise`.
        paths: see :class:`TokenWise`; the side whose matches do not count has no head, and weighs its tokens
            alike.

    Example:
        >>> words = TokenSet(torch.randn(2, 3, 8), torch.tensor([[True, True, True], [True, False, False]]))
        >>> WeightedTokenWise(dim=8).prepare_text(words)
        TokenSet(tokens 2x3x8 float32, 4 of 6 real, weights)
    """

    text_preparation = video_preparation = None

    def __init__(
        self, dim: int, layers: int = 2, padding: Padding = "excluded", paths: Paths = "dual"
    ) -> None:
        """See the class."""
        super().__init__(padding, paths)
        self.text_weight = weight_head(dim, layers) if paths != "v2t" else None
        self.video_weight = weight_head(dim, layers) if paths != "t2v" else None

    def _prepare_text(self, text: TokenSet) -> TokenSet:
        return self._weigh(text, self.text_weight)

    def _prepare_video(self, video: TokenSet) -> TokenSet:
        return self._weigh(video, self.video_weight)

    def _weigh(self, tokens: TokenSet, head: nn.Module | None) -> TokenSet:
        if head is None:
            return super()._prepare_text(tokens)
        # Logits of the raw token: its length says something, and is gone after normalising.
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
    init_linears(head)
    return head
