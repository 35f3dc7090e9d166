"""Channel decorrelation (CDCR): matched tokens agree channel by channel, and no two channels say the same.

The matched pairs come from the interaction itself (prepared sets and its alignment), so one file serves
every interaction that is not a black box.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from vidsift.interactions.base import pooled
from vidsift.interactions.hierarchical import level_vectors
from vidsift.interactions.token_wise import Paths
from vidsift.types import Alignment, TokenSet

__all__ = ["Decorrelation", "MatchForm", "channel_correlation", "decorrelation", "draw_tokens"]

MatchForm = Literal["single", "random", "best_match", "best_match_summed", "weighted"]


class Decorrelation(NamedTuple):
    """The two parts of the loss: ``on_diagonal`` for agreement, ``off_diagonal`` for redundancy; scalars."""

    on_diagonal: Tensor
    off_diagonal: Tensor

    def total(self, alpha: float = 0.06, on_diagonal_weight: float = 1.0) -> Tensor:
        """Return ``on_diagonal_weight * on_diagonal + alpha * off_diagonal``."""
        return on_diagonal_weight * self.on_diagonal + alpha * self.off_diagonal


def decorrelation(
    text: TokenSet,
    video: TokenSet,
    form: MatchForm,
    alignment: Alignment | None = None,
    *,
    centred: bool = True,
    draws: tuple[Tensor, Tensor] | None = None,
    paths: Paths = "dual",
    levels: int = 1,
) -> Decorrelation:
    """Correlate the channels of matched tokens and say how far that is from the identity.

    Args:
        text: prepared, ``(B, T, D)``; row i belongs to video i.
        video: prepared, ``(B, N, D)``.
        form: which tokens are matched with which, and how much each match counts.
            "single": the pooled text with the pooled video, each pair 1/B (Algorithm 3; the code's DP).
            "random": one drawn token of each text with one of its video, each 1/B (released variant 1).
            "best_match": every token with its best match, M of them in each direction, each 1/M (Algorithm 4
            as it must be meant; released variant 2).
            "best_match_summed": the same, each 1/B (the divisor that Algorithm 4 prints).
            "weighted": the same, each its share of its row's weights, divided by B (released variant 3).
        alignment: of the same pairs; needed by the three best-match forms.
        centred: take the correlation of standardised channels (code, Algorithms 3 and 4); otherwise the
            uncentred cosine of Eq. 8.
        draws: for "random", which of its real tokens each text and each video gives, int64 ``(B,)`` each;
            drawn here when None.
        paths: whose best matches count: "dual" averages the words' and the frames', "t2v" takes the words'
            alone, "v2t" the frames' alone.
        levels: of hierarchical tokens. "single" is then taken of each level by itself, as each is compared by
            itself, and the parts are averaged; "random" would pair different levels and is refused.

    Raises:
        ValueError: if a batch is too small to standardise, what the form needs is missing, or the form does
            not suit the tokens.

    Source: DRL (arXiv 2203.07111) Eq. 8, Algorithms 3 and 4; foolwood/DRL tvr/models/modeling.py.
    Differs: Algorithm 4 cannot run as printed: its second half multiplies the words with the words that the
        frames met, of which there are another number; here, as in the code, it is the frames with those.
        It counts the matches, as X, but divides by B, and then the diagonal of perfect agreement is M/B, not
        the 1 that the loss asks for; Algorithm 3 divides by what it counted. Eq. 8 does not centre
        (``centred=False``), both Algorithms do. The code weighs the parts by alpha1 and alpha2, the paper by
        1 and alpha.
    """
    if form == "single" and levels > 1:
        sides = [level_vectors(tokens, levels).unbind(dim=1) for tokens in (text, video)]
        each = [_parts(channel_correlation(*pair, centred=centred)) for pair in zip(*sides, strict=True)]
        return Decorrelation(*(torch.stack(part).mean() for part in zip(*each, strict=True)))
    if form == "single":
        return _parts(channel_correlation(pooled(text), pooled(video), centred=centred))
    if form == "random":
        if levels > 1:
            raise ValueError(
                "decorrelation form 'random' would pair tokens of different levels; take 'single' (each "
                "level by itself) or one of the best-match forms, which stay within a level"
            )
        text_draw_B, video_draw_B = draws if draws is not None else (draw_tokens(text), draw_tokens(video))
        drawn = _nth_real(text, text_draw_B), _nth_real(video, video_draw_B)
        return _parts(channel_correlation(*drawn, centred=centred))
    if form not in get_args(MatchForm):
        raise ValueError(f"decorrelation form {form!r}: expected one of {', '.join(get_args(MatchForm))}")
    if alignment is None:
        raise ValueError(
            f"decorrelation form {form!r} reads the best matches: pass the alignment of the pairs"
        )
    words = _Matches(text, video, alignment.best_video_token, alignment.text_weights)
    frames = _Matches(video, text, alignment.best_text_token, alignment.video_weights)
    counted = {"dual": (words, frames), "t2v": (words,), "v2t": (frames,)}[paths]
    correlations = [
        channel_correlation(one.own_MD, one.met_MD, one.shares(form), centred=centred) for one in counted
    ]
    return _parts(torch.stack(correlations).mean(dim=0))


def channel_correlation(
    left_MD: Tensor, right_MD: Tensor, shares_M: Tensor | None = None, *, centred: bool = True
) -> Tensor:
    """Correlation of every channel on the left with every channel on the right, ``(D, D)``.

    Args:
        left_MD: one side of M matches.
        right_MD: the other side.
        shares_M: how much each match counts, ``(M,)`` or one for all ``(1,)``; 1/M each when None.
        centred: standardise the channels over the matches (unbiased deviation); otherwise divide by their
            root sum of squares and ignore the shares, as in Eq. 8.

    Raises:
        ValueError: with fewer than two matches to standardise over.
    """
    tiny = torch.finfo(left_MD.dtype).tiny
    if not centred:
        unit = [side / side.square().sum(dim=0).clamp_min(tiny).sqrt() for side in (left_MD, right_MD)]
        return unit[0].t() @ unit[1]
    matches = len(left_MD)
    if matches < 2:
        raise ValueError(
            f"channel decorrelation got {matches} match(es): a deviation needs at least two; train with a "
            "larger batch, or without it (cdcr=none)"
        )
    shares_M = left_MD.new_full((1,), 1 / matches) if shares_M is None else shares_M
    left, right = (
        (side - side.mean(dim=0)) * side.var(dim=0).clamp_min(tiny).rsqrt() for side in (left_MD, right_MD)
    )
    return (left * shares_M[:, None]).t() @ right


def draw_tokens(tokens: TokenSet, generator: torch.Generator | None = None) -> Tensor:
    """Draw the place of one real token for each row, among the real ones: int64 ``(B,)``."""
    counts_B = tokens.mask.sum(dim=1)
    drawn_B = torch.rand(len(tokens), generator=generator, device=tokens.tokens.device)
    return (drawn_B * counts_B).long().clamp_max(counts_B - 1)


def _nth_real(tokens: TokenSet, place_B: Tensor) -> Tensor:
    order_BN = tokens.mask.cumsum(dim=1) - 1
    chosen_BN = tokens.mask & (order_BN == place_B[:, None])
    return tokens.tokens[chosen_BN]


class _Matches:
    """Every real token of ``own`` and the token of ``other`` that it met best, ``(M, D)`` each."""

    def __init__(self, own: TokenSet, other: TokenSet, best_BN: Tensor, weights_BN: Tensor) -> None:
        index_BND = best_BN.unsqueeze(-1).expand(-1, -1, other.tokens.shape[-1])
        self.own_MD = own.tokens[own.mask]
        self.met_MD = other.tokens.gather(1, index_BND)[own.mask]
        self._mask_BN, self._weights_BN = own.mask, weights_BN

    def shares(self, form: MatchForm) -> Tensor:
        """How much each match counts, ``(M,)`` or one for all ``(1,)``."""
        rows = len(self._mask_BN)
        if form == "weighted":
            return (self._weights_BN / self._weights_BN.sum(dim=1, keepdim=True))[self._mask_BN] / rows
        return self.own_MD.new_full((1,), 1 / (rows if form == "best_match_summed" else len(self.own_MD)))


def _parts(correlation_DD: Tensor) -> Decorrelation:
    diagonal_D = correlation_DD.diagonal()
    off_diagonal = correlation_DD.square().sum() - diagonal_D.square().sum()
    return Decorrelation((diagonal_D - 1).square().sum(), off_diagonal)
