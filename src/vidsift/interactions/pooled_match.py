"""Scores made of best matches, with gradients, without keeping all products of a batch.

The products of B texts with B videos, words with frames, are the largest thing in training the token-wise
family, and their maxima are the next. A score needs neither for longer than it takes to make its own: so some
texts at a time meet all videos, and of their products only maxima and places are kept for the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from vidsift.interactions.best_match import Padding, best_matches, let_padding_win
from vidsift.types import TokenSet

__all__ = ["Pool", "pooled_matches"]

Pool = Callable[[TokenSet, TokenSet, Tensor, Tensor], Tensor]
"""Texts, videos, ``text_best_PV`` and ``video_best_QVF`` of them, to ``sim_QV``."""

_BLOCK_NUMBERS = 5 << 17
"""Products, words and their gradients at once: 2.6 MB in fp32, which stays in a cache; fewer are slower."""


def pooled_matches(text: TokenSet, video: TokenSet, pool: Pool, padding: Padding = "excluded") -> Tensor:
    """Score every text with every video by a rule over their best matches, ``sim_QV``.

    Where a gradient is asked for, it reaches the weights, and of the tokens those that won their maximum (of
    equals the first), as in the plain formula.

    Args:
        text: prepared, ``(Q, T, D)``; P of its tokens are real.
        video: prepared, ``(V, F, D)``, in any number format; ``text`` follows it.
        pool: the rule. It gets some of the texts with all videos, may read their masks and weights, and gives
            each entry from the matches of its own text and video alone. It may be asked twice.
        padding: see :func:`~vidsift.interactions.best_match.best_matches`.

    Source: DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction (the plain formula).
    """
    sought = (text.tokens, video.tokens, text.weights, video.weights)
    learns = any(part is not None and part.requires_grad for part in sought)
    if video.scale is not None or not (learns and torch.is_grad_enabled()):
        return pool(text, video, *best_matches(text, video, padding))

    def rule(some: TokenSet, all_videos: TokenSet, text_best_PV: Tensor, video_best_QVF: Tensor) -> Tensor:
        if padding == "zero":
            text_best_PV, video_best_QVF = let_padding_win(some, all_videos, text_best_PV, video_best_QVF)
        return pool(some, all_videos, text_best_PV, video_best_QVF)

    sim_QV: Tensor = _BlockedScore.apply(  # type: ignore[no-untyped-call]
        rule,
        text.tokens.to(video.tokens.dtype),
        text.mask,
        text.weights,
        video.tokens,
        video.mask,
        video.weights,
    )
    return sim_QV


class _Kept(NamedTuple):
    """What the gradient needs of some texts' products with all videos: maxima, and where they stood.

    Attributes:
        text_best: of each word in each video, ``(P, V)``.
        frame: where, in the smallest integers that will do.
        video_best: of each frame in each text, ``(Q, V, F)``.
        word: where.
    """

    text_best: Tensor
    frame: Tensor
    video_best: Tensor
    word: Tensor

    def of(self, texts: slice, words: slice) -> _Kept:
        """Return those of some of the texts, as views."""
        return _Kept(self.text_best[words], self.frame[words], self.video_best[texts], self.word[texts])


class _BlockedScore(Function):
    """Scores of all pairs, some texts at a time; keeps maxima and where they stood, not the products."""

    @staticmethod
    def forward(ctx: Any, rule: Pool, *sides: Any) -> Tensor:
        """Score; ``sides`` are tokens, mask and weights of the texts, then of the videos."""
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        frames_ND, (videos, frames) = video.tokens.flatten(0, 1), video.mask.shape
        text_best_PV = frames_ND.new_empty(int(text.mask.sum()), videos)
        video_best_QVF = frames_ND.new_empty(len(text), videos, frames)
        kept = _Kept(
            text_best_PV,
            torch.empty_like(text_best_PV, dtype=_places(frames)),
            video_best_QVF,
            torch.empty_like(video_best_QVF, dtype=_places(text.mask.shape[1])),
        )
        hidden_VF = None if bool(video.mask.all()) else ~video.mask
        sims = []
        for texts, words, lengths in _blocks(text, len(frames_ND)):
            some, own = text[texts], kept.of(texts, words)
            _fill(own, _real(some) @ frames_ND.t(), hidden_VF, lengths)
            sims.append(rule(some, video, own.text_best, own.video_best))
        ctx.rule = rule
        ctx.save_for_backward(*sides, *kept)
        return torch.cat(sims)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, sim_grad_QV: Tensor) -> tuple[Tensor | None, ...]:
        """Route each maximum's gradient to the word and the frame that met there.

        Source: the chain rule: row p of the gradient by products holds that of each word's best match at its
            best frame, column (v, f) that of each frame's best match at its best word of each text.
        """
        sides, kept = ctx.saved_tensors[:6], _Kept(*ctx.saved_tensors[6:])
        found = [
            torch.zeros_like(part, memory_format=torch.contiguous_format) if needed else None
            for part, needed in zip(sides, ctx.needs_input_grad[1:], strict=True)
        ]
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        video = video.replace(tokens=video.tokens.contiguous())
        for texts, words, lengths in _blocks(text, video.mask.numel()):
            totals = [None if one is None else one[texts] for one in found[:3]] + found[3:]
            by = _through(ctx.rule, text[texts], video, kept.of(texts, words), sim_grad_QV[texts])
            for total, part in ((totals[2], by.text_weights), (totals[5], by.video_weights)):
                if total is not None and part is not None:
                    total.add_(part)
            if totals[0] is not None or totals[3] is not None:
                grad_PN = _by_products(by, kept.of(texts, words), lengths)
                _to_tokens(grad_PN, text[texts], video, totals[0], totals[3])
                del grad_PN  # before the next block makes its own
        return None, *found


def _fill(kept: _Kept, products_PN: Tensor, hidden_VF: Tensor | None, lengths: list[int]) -> None:
    """Take maxima and places of some texts' products, which are changed."""
    products_PVF = products_PN.view(len(products_PN), *kept.video_best.shape[1:])
    own = torch.split(products_PVF, lengths)
    for own_PVF, best_VF, word_VF in zip(own, kept.video_best, kept.word, strict=True):
        best = own_PVF.max(dim=0)
        best_VF.copy_(best.values)
        word_VF.copy_(best.indices)
    if hidden_VF is not None:
        products_PVF.masked_fill_(hidden_VF, -torch.inf)
    best = products_PVF.max(dim=2)
    kept.text_best.copy_(best.values)
    kept.frame.copy_(best.indices)


class _Gradients(NamedTuple):
    """Of scores, by both kinds of best matches and by the weights there are."""

    text_best: Tensor
    video_best: Tensor
    text_weights: Tensor | None
    video_weights: Tensor | None


def _through(rule: Pool, text: TokenSet, video: TokenSet, kept: _Kept, sim_grad_QV: Tensor) -> _Gradients:
    """Let the rule itself say what each of its inputs did for the scores."""
    parts = (kept.text_best, kept.video_best, text.weights, video.weights)
    inputs = [None if one is None else one.detach().requires_grad_() for one in parts]
    words_PV, frames_QVF, text_weights, video_weights = inputs
    assert words_PV is not None
    assert frames_QVF is not None
    with torch.enable_grad():
        some, videos = text.replace(weights=text_weights), video.replace(weights=video_weights)
        sim_QV = rule(some, videos, words_PV, frames_QVF)
    sought = [one for one in inputs if one is not None]
    found = iter(torch.autograd.grad(sim_QV, sought, sim_grad_QV, materialize_grads=True))
    return _Gradients(next(found), next(found), *(None if one is None else next(found) for one in inputs[2:]))


def _by_products(by: _Gradients, kept: _Kept, lengths: list[int]) -> Tensor:
    """Put gradients by best matches where those stood among the products, ``(P, N)``."""
    videos, frames = kept.video_best.shape[1:]
    grad_PVF = by.text_best.new_zeros(len(kept.frame), videos, frames)
    grad_PVF.scatter_(2, kept.frame[..., None].long(), by.text_best[..., None])
    first_Q = torch.tensor([0, *lengths[:-1]], device=grad_PVF.device).cumsum(0)
    grad_PVF.scatter_add_(0, kept.word + first_Q[:, None, None], by.video_best)
    return grad_PVF.flatten(1)


def _to_tokens(
    grad_PN: Tensor, text: TokenSet, video: TokenSet, text_total: Tensor | None, video_total: Tensor | None
) -> None:
    """Add what gradients by products mean for the tokens that were multiplied."""
    frames_ND = video.tokens.flatten(0, 1)
    if text_total is not None and bool(text.mask.all()):
        torch.mm(grad_PN, frames_ND, out=text_total.flatten(0, 1))
    elif text_total is not None:
        text_total[text.mask] = grad_PN @ frames_ND
    if video_total is not None:
        video_total.flatten(0, 1).addmm_(grad_PN.t(), _real(text))


def _real(text: TokenSet) -> Tensor:
    """The real tokens one after the other, ``(P, D)``; no copy where all are real."""
    return text.tokens.flatten(0, 1) if bool(text.mask.all()) else text.tokens[text.mask]


def _blocks(text: TokenSet, products_a_word: int) -> Iterator[tuple[slice, slice, list[int]]]:
    """Yield stretches of texts that fit into a block, of their words, and how many each has."""
    lengths: list[int] = text.mask.sum(dim=1).tolist()
    most_words = _BLOCK_NUMBERS // (products_a_word + 2 * text.tokens.shape[2])
    first, done, words = 0, 0, 0
    for row, own in enumerate(lengths):
        if row > first and words + own > most_words:
            yield slice(first, row), slice(done, done + words), lengths[first:row]
            first, done, words = row, done + words, 0
        words += own
    yield slice(first, len(lengths)), slice(done, done + words), lengths[first:]


def _places(count: int) -> torch.dtype:
    """The smallest type that tells so many places apart."""
    return next(
        (kind for kind in (torch.uint8, torch.int16) if count - 1 <= torch.iinfo(kind).max), torch.int32
    )
