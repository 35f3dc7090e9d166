"""Channel decorrelation (CDCR): matched tokens agree channel by channel, and no two channels say the same.

The matched pairs come from the interaction itself (prepared sets and its alignment), so one file serves
every interaction that has an alignment.

Source: DRL (arXiv 2203.07111) Eq. 8, Algorithms 3 and 4; foolwood/DRL tvr/models/modeling.py.

Differs: Algorithm 4 cannot run as printed: its second half multiplies the words with the words that the
frames met, of which there are another number; here, as in the code, it is the frames with those. It counts
the matches, as X, but divides by B, and then the diagonal of perfect agreement is M/B, not the 1 that the
loss asks for; Algorithm 3 divides by what it counted. Eq. 8 does not centre (``centred=False``), both
Algorithms do. The code weighs the parts by alpha1 and alpha2, the paper by 1 and alpha. Defects of the code
that are not the default here: it adds video x text to text x video (``orientation="released"``), standardises
weighted matches as if all counted alike (``deviation="plain"``), and divides by the deviation of channels
that have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from vidsift.interactions.base import pooled
from vidsift.interactions.hierarchical import level_vectors
from vidsift.interactions.token_wise import Paths
from vidsift.types import Alignment, TokenSet

__all__ = [
    "ChannelCorrelation",
    "Decorrelation",
    "Deviation",
    "MatchForm",
    "Orientation",
    "channel_correlation",
    "decorrelation",
    "draw_tokens",
]

MatchForm = Literal["single", "random", "best_match", "best_match_summed", "weighted"]
"""Which tokens are matched with which, and how much each match counts.

- "single": the pooled text with the pooled video, each pair 1/B (Algorithm 3; the code's DP).
- "random": one drawn token of each text with one of its video, each 1/B (released variant 1).
- "best_match": every token with its best match, M of them in each direction, each 1/M (Algorithm 4 as it
  must be meant; released variant 2).
- "best_match_summed": the same, each 1/B (the divisor that Algorithm 4 prints), so that its correlations go
  up to M/B.
- "weighted": the same, each its share of its row's weights, divided by B (released variant 3).
"""
Orientation = Literal["paper", "released"]
"""What entry (i, j) of the averaged correlations is.

"paper": text channel i with video channel j in both directions. "released": in the frames' direction video
channel i with text channel j, so that redundancy of opposite signs cancels.
"""
Deviation = Literal["weighted", "plain"]
"""Whether matches count in a channel's mean and deviation as they do in the correlation, or all alike."""


class ChannelCorrelation(NamedTuple):
    """Correlations of channels, ``(D, D)``: left channels in rows, right ones in columns.

    Attributes:
        values: in [-1, 1], but for rounding; 0 where ``counted`` is False.
        counted: bool, False where one of the two channels does not vary and so correlates with nothing.
    """

    values: Tensor
    counted: Tensor


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
    orientation: Orientation = "paper",
    deviation: Deviation = "weighted",
) -> Decorrelation:
    """Correlate the channels of matched tokens and say how far that is from the identity.

    Use it beside a contrastive loss, with a small weight (DRL's is 0.001), to keep channels of the shared
    space from saying the same thing twice. It needs at least two pairs, and for best matches their alignment.
    It gives up wrong pairs, of which it knows nothing: alone it trains no retrieval. A channel that does not
    vary over the matches (black videos) takes no part.

    Args:
        text: prepared, ``(B, T, D)``; row i belongs to video i.
        video: prepared, ``(B, N, D)``.
        form: see :data:`MatchForm`.
        alignment: of the same pairs; needed by the three best-match forms.
        centred: standardise the channels (code, Algorithms 3 and 4); otherwise Eq. 8's uncentred cosine.
        draws: for "random", which of its real tokens each text and each video gives, int64 ``(B,)`` each.
        paths: whose best matches count, the words' ("t2v"), the frames' ("v2t"), or their mean ("dual").
        levels: of hierarchical tokens; "single" then takes each level by itself and averages the parts.
        orientation: see :data:`Orientation`.
        deviation: see :data:`Deviation`; "plain" is the released one, and correlations may leave [-1, 1].

    Raises:
        ValueError: if the batch is too small to standardise, or the form does not suit what is given.

    Example:
        >>> square = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
        >>> sides = [TokenSet(t[:, None], torch.ones(4, 1).bool()) for t in (square, square[:, [0, 0]])]
        >>> [f"{decorrelation(side, side, 'single').off_diagonal:.1f}" for side in sides]
        ['0.0', '1.1']

    Source: DRL Eq. 8, Algorithms 3 and 4, and its code; the module says where this differs.
    """
    if form not in get_args(MatchForm):
        raise ValueError(f"decorrelation form {form!r}: expected one of {', '.join(get_args(MatchForm))}")
    if form == "single":
        return _single(text, video, levels, centred=centred)
    if form == "random":
        return _parts(channel_correlation(*_drawn(text, video, draws, levels), centred=centred))
    if alignment is None:
        raise ValueError(f"decorrelation form {form!r} reads best matches: pass the alignment of the pairs")
    correlations = []
    for matches in _directions(text, video, alignment, paths):
        left_MD, right_MD = matches.sides(orientation)
        weights_M = matches.weights() if form == "weighted" else None
        correlation = channel_correlation(left_MD, right_MD, weights_M, centred=centred, deviation=deviation)
        factor = matches.matches_per_pair if form == "best_match_summed" else 1.0
        correlations.append(correlation._replace(values=correlation.values * factor))
    return _parts(_mean(correlations))


def _single(text: TokenSet, video: TokenSet, levels: int, *, centred: bool) -> Decorrelation:
    """The pooled sides, or those of each level by itself, as each is compared by itself."""
    if levels == 1:
        return _parts(channel_correlation(pooled(text), pooled(video), centred=centred))
    by_level = [level_vectors(tokens, levels).unbind(dim=1) for tokens in (text, video)]
    parts = [_parts(channel_correlation(*pair, centred=centred)) for pair in zip(*by_level, strict=True)]
    return Decorrelation(*(torch.stack(part).mean() for part in zip(*parts, strict=True)))


def _drawn(
    text: TokenSet, video: TokenSet, draws: tuple[Tensor, Tensor] | None, levels: int
) -> tuple[Tensor, Tensor]:
    if levels > 1:
        raise ValueError(
            "decorrelation form 'random' would pair tokens of different levels; take 'single' (each "
            "level by itself) or one of the best-match forms, which stay within a level"
        )
    text_index_B, video_index_B = draws if draws is not None else (draw_tokens(text), draw_tokens(video))
    return _nth_real(text, text_index_B), _nth_real(video, video_index_B)


def channel_correlation(
    left_MD: Tensor,
    right_MD: Tensor,
    shares_M: Tensor | None = None,
    *,
    centred: bool = True,
    deviation: Deviation = "weighted",
) -> ChannelCorrelation:
    """Correlation of every channel on the left with every channel on the right.

    Use it to see which channels say the same. It needs matched rows, two to centre. It gives up which
    match it was that two channels agreed on. A channel takes no part whose variance over the matches is no
    more than epsilon of its number type times its mean square: half of the digits are then the same in all
    matches, and rounding takes a share of the others. Uncentred, one that is zero takes none.

    Args:
        left_MD: one side of M matches; half precision is computed in fp32.
        right_MD: the other side.
        shares_M: how much each match counts, ``(M,)``, not negative; all alike when None. Only their
            proportions matter.
        centred: standardise the channels over the matches (unbiased deviation, so that a channel with itself
            gives 1 - 1/M where all count alike); otherwise divide by their root sum of squares and ignore
            the shares, as in Eq. 8.
        deviation: "plain" takes mean and deviation as if all matches counted alike.

    Raises:
        ValueError: with fewer than two matches to standardise over.

    Example:
        >>> side = torch.tensor([[1.0, -1], [2, -2], [3, -3]])
        >>> channel_correlation(side, side).values[0]
        tensor([ 0.6667, -0.6667])

    Source: DRL Eq. 8, Algorithms 3 and 4, and its code, which divides by zero where a channel does not vary.
    """
    matches, dtype = len(left_MD), torch.promote_types(left_MD.dtype, torch.float32)
    if not centred:
        (left, left_counted_D), (right, right_counted_D) = (
            _unit(side.to(dtype)) for side in (left_MD, right_MD)
        )
        return ChannelCorrelation(left.t() @ right, left_counted_D[:, None] & right_counted_D)
    if matches < 2:
        raise ValueError(
            f"channel decorrelation got {matches} match(es): a deviation needs at least two; train with a "
            "larger batch, or without it (cdcr=none)"
        )
    # M matches in rows, D channels in columns; shares sum to 1.
    uniform_M = left_MD.new_full((matches,), 1 / matches, dtype=dtype)
    shares_M = uniform_M if shares_M is None else shares_M.to(dtype) / shares_M.to(dtype).sum()
    weights_M = uniform_M if deviation == "plain" else shares_M
    # With the epsilon of the type that came in, not of fp32: it is that type's rounding which makes a
    # constant channel seem to vary.
    (left, left_counted_D), (right, right_counted_D) = (
        _standardised(side.to(dtype), weights_M, torch.finfo(side.dtype).eps) for side in (left_MD, right_MD)
    )
    # What makes a variance unbiased: 1 - 1/M where all count alike.
    unbiased = (weights_M * (1 - weights_M)).sum()
    # (D, M) @ (M, D).
    values_DD = (left * shares_M[:, None]).t() @ right * unbiased
    return ChannelCorrelation(values_DD, left_counted_D[:, None] & right_counted_D)


def _standardised(side_MD: Tensor, weights_M: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Channels of mean 0 and variance 1 (biased), or 0 where they do not vary; and which vary, ``(D,)``."""
    scaled_MD = side_MD / _size(side_MD)
    weights_M1 = weights_M[:, None]
    # Centred, then squared: mean square less squared mean would cancel where the deviation is small.
    centred_MD = scaled_MD - (weights_M1 * scaled_MD).sum(dim=0)
    variance_D = (weights_M1 * centred_MD.square()).sum(dim=0)
    constant_D = variance_D <= epsilon * (weights_M1 * scaled_MD.square()).sum(dim=0)
    # Masked before the root and after it: else the gradient is 0 times infinity.
    deviation_inverse_D = variance_D.masked_fill(constant_D, 1).rsqrt().masked_fill(constant_D, 0)
    return centred_MD * deviation_inverse_D, ~constant_D


def _unit(side_MD: Tensor) -> tuple[Tensor, Tensor]:
    """Channels of length 1, or 0 where they are zero; and which are not, ``(D,)``."""
    scaled_MD = side_MD / _size(side_MD)
    square_D = scaled_MD.square().sum(dim=0)
    zero_D = square_D == 0
    return scaled_MD * square_D.masked_fill(zero_D, 1).rsqrt().masked_fill(zero_D, 0), ~zero_D


def _size(side_MD: Tensor) -> Tensor:
    """The largest value of each channel, so that no square of what it divides is too large or too small."""
    # Detached: correlations do not depend on a channel's scale, so its gradient would be 0.
    size_D = side_MD.detach().abs().amax(dim=0)
    # Of a size below tiny the inverse may overflow; such a channel is left as it is.
    return size_D.masked_fill(size_D < torch.finfo(size_D.dtype).tiny, 1)


def _mean(correlations: Sequence[ChannelCorrelation]) -> ChannelCorrelation:
    """The mean over those in which an entry counts."""
    counted_SDD = torch.stack([correlation.counted for correlation in correlations])
    # Values that do not count are 0, so the sum needs no mask.
    values_DD = torch.stack([correlation.values for correlation in correlations]).sum(dim=0)
    return ChannelCorrelation(values_DD / counted_SDD.sum(dim=0).clamp_min(1), counted_SDD.any(dim=0))


def draw_tokens(tokens: TokenSet, generator: torch.Generator | None = None) -> Tensor:
    """Draw the index of one real token for each row, among the real ones: int64 ``(B,)``."""
    counts_B = tokens.mask.sum(dim=1)
    uniform_B = torch.rand(len(tokens), generator=generator, device=tokens.tokens.device)
    # rand is below 1, but its product with a count may round up to the count.
    return (uniform_B * counts_B).long().clamp_max(counts_B - 1)


def _nth_real(tokens: TokenSet, index_B: Tensor) -> Tensor:
    # Counted, so that padding may stand anywhere.
    order_BN = tokens.mask.cumsum(dim=1) - 1
    chosen_BN = tokens.mask & (order_BN == index_B[:, None])
    # One True a row: boolean indexing gives (B, D) in the order of the rows.
    return tokens.tokens[chosen_BN]


class _Matches(NamedTuple):
    """Every real token of one side with the token of the other side that it met best, M of them.

    Attributes:
        tokens: of this side, ``(M, D)``.
        matched: of the other side, ``(M, D)``.
        mask: of this side, ``(B, N)``.
        row_weights: of this side, ``(B, N)``.
        from_video: whether this side is the video's.
    """

    tokens: Tensor
    matched: Tensor
    mask: Tensor
    row_weights: Tensor
    from_video: bool

    def sides(self, orientation: Orientation) -> tuple[Tensor, Tensor]:
        """Text and video channels, in this order; as released, this side's are always the first."""
        if self.from_video and orientation == "paper":
            return self.matched, self.tokens
        return self.tokens, self.matched

    def weights(self) -> Tensor:
        """Each match's share of its row's weights, ``(M,)``; not all interactions let a row's sum to 1."""
        return (self.row_weights / self.row_weights.sum(dim=1, keepdim=True))[self.mask]

    @property
    def matches_per_pair(self) -> float:
        """M/B."""
        return len(self.tokens) / len(self.mask)


def _directions(text: TokenSet, video: TokenSet, alignment: Alignment, paths: Paths) -> list[_Matches]:
    """The matches of the words, of the frames, or of both."""

    def direction(
        side: TokenSet, other: TokenSet, best_BN: Tensor, weights_BN: Tensor, *, from_video: bool
    ) -> _Matches:
        index_BND = best_BN.unsqueeze(-1).expand(-1, -1, other.tokens.shape[-1])
        # Padding has a best match too, which means nothing: the mask takes it out, (B, N, D) to (M, D).
        matched_MD = other.tokens.gather(1, index_BND)[side.mask]
        return _Matches(side.tokens[side.mask], matched_MD, side.mask, weights_BN, from_video)

    words = direction(text, video, alignment.best_video_token, alignment.text_weights, from_video=False)
    frames = direction(video, text, alignment.best_text_token, alignment.video_weights, from_video=True)
    return {"dual": [words, frames], "t2v": [words], "v2t": [frames]}[paths]


def _parts(correlation: ChannelCorrelation) -> Decorrelation:
    diagonal_D = correlation.values.diagonal()
    # A channel that takes no part has the value 0, and would cost (0 - 1)^2.
    agreement_D = (diagonal_D - 1).square() * correlation.counted.diagonal()
    # Taken out before squaring: the difference of two sums of squares would lose its digits.
    off_diagonal_DD = correlation.values - torch.diag(diagonal_D)
    return Decorrelation(agreement_D.sum(), off_diagonal_DD.square().sum())
