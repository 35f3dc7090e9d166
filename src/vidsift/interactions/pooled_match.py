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
from torch.nn.functional import embedding_bag

from vidsift.interactions.best_match import (
    BatchMatches,
    Padding,
    best_matches,
    fused_matches,
    fuses,
    let_padding_win,
    places,
    real_words,
)
from vidsift.types import TokenSet

__all__ = ["Pool", "pooled_matches"]

Pool = Callable[[TokenSet, TokenSet, Tensor, Tensor], Tensor]
"""Texts, videos, ``text_best_PV`` and ``video_best_QVF`` of them, to ``sim_QV``."""

_BLOCK_NUMBERS = 1 << 19
"""Products and words at once: 2 MB in fp32, which stays in a cache; fewer are slower."""

_NUMBERS_AN_ENTRY = 12
"""What routing the gradient of one best match takes for a moment: its place, order and weight, and copies."""


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

    way = _FusedScore if fuses(video) else _BlockedScore
    sim_QV: Tensor = way.apply(  # type: ignore[no-untyped-call]
        rule,
        text.tokens.to(video.tokens.dtype),
        text.mask,
        text.weights,
        video.tokens,
        video.mask,
        video.weights,
    )
    return sim_QV


class _BlockedScore(Function):
    """Scores of all pairs, some texts at a time; keeps maxima and where they stood, not the products."""

    @staticmethod
    def forward(ctx: Any, rule: Pool, *sides: Any) -> Tensor:
        """Score; ``sides`` are tokens, mask and weights of the texts, then of the videos."""
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        frames_ND, (videos, frames) = video.tokens.flatten(0, 1), video.mask.shape
        text_best_PV = frames_ND.new_empty(int(text.mask.sum()), videos)
        video_best_QVF = frames_ND.new_empty(len(text), videos, frames)
        kept = BatchMatches(
            text_best_PV,
            torch.empty_like(text_best_PV, dtype=places(frames)),
            video_best_QVF,
            torch.empty_like(video_best_QVF, dtype=places(text.mask.shape[1])),
        )
        hidden_VF = None if bool(video.mask.all()) else ~video.mask
        sims = []
        blocks = list(_blocks(text, len(frames_ND)))
        # One shape throughout: pieces of many sizes leave holes in memory, and the library that multiplies
        # keeps room for every shape that it met. Rows beyond a block's own hold what was there before.
        most = max(sum(lengths) for _, _, lengths in blocks)
        room_PN = frames_ND.new_empty(most, len(frames_ND))
        words_PD = frames_ND.new_zeros(most, frames_ND.shape[1])
        for texts, words, lengths in blocks:
            some, own = text[texts], kept.of(texts, words)
            words_PD[: sum(lengths)] = real_words(some)
            torch.mm(words_PD, frames_ND.t(), out=room_PN)
            _fill(own, room_PN[: sum(lengths)], hidden_VF, lengths)
            sims.append(rule(some, video, own.text_best, own.video_best))
        ctx.rule = rule
        ctx.save_for_backward(*sides, *kept)
        return torch.cat(sims)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, sim_grad_QV: Tensor) -> tuple[Tensor | None, ...]:
        """Route each maximum's gradient to the word and the frame that met there.

        A word's gradient is a sum over the frames that it met best and over those that met it best, and a
        frame's likewise: sums over rows of tokens, of which there are V + VF / T a word. The products of the
        plain formula have VF, nearly all of them with zeros.
        """
        sides, kept = ctx.saved_tensors[:6], BatchMatches(*ctx.saved_tensors[6:])
        found = [
            torch.zeros_like(part, memory_format=torch.contiguous_format) if needed else None
            for part, needed in zip(sides, ctx.needs_input_grad[1:], strict=True)
        ]
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        video = video.replace(tokens=video.tokens.contiguous())
        videos, frames = video.mask.shape
        entries_a_word = videos + videos * frames // text.mask.shape[1]
        for texts, words, lengths in _blocks(text, _NUMBERS_AN_ENTRY * entries_a_word):
            totals = [None if one is None else one[texts] for one in found[:3]] + found[3:]
            some, own = text[texts], kept.of(texts, words)
            by = _through(ctx.rule, some, video, own, sim_grad_QV[texts])
            for total, part in ((totals[2], by.text_weights), (totals[5], by.video_weights)):
                if total is not None and part is not None:
                    total.add_(part)
            if totals[0] is None and totals[3] is None:
                continue
            met = _met(own, lengths)
            if totals[0] is not None:
                totals[0][some.mask] = _to_words(by, met, video)
            if totals[3] is not None:
                _add_to_frames(totals[3], by, met, real_words(some))
        return None, *found


class _FusedScore(Function):
    """The same by kernels that write no products at all: no blocks, since only maxima are ever there."""

    @staticmethod
    def forward(ctx: Any, rule: Pool, *sides: Any) -> Tensor:
        """Score; ``sides`` are tokens, mask and weights of the texts, then of the videos."""
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        matches, starts = fused_matches(text, video)
        ctx.rule = rule
        ctx.save_for_backward(*sides, *matches, starts)
        return rule(text, video, matches.text_best, matches.video_best)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, sim_grad_QV: Tensor) -> tuple[Tensor | None, ...]:
        """Route each maximum's gradient to the word and the frame that met there."""
        from vidsift.interactions.fused_match import to_frames, to_words

        *sides, text_best, frame, video_best, word, starts = ctx.saved_tensors
        matches = BatchMatches(text_best, frame, video_best, word)
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        by = _through(ctx.rule, text, video, matches, sim_grad_QV)
        ways = by.text_best, by.video_best, matches, starts
        _, *needed = ctx.needs_input_grad
        words_QTD = frames_VFD = None
        if needed[0]:
            words_QTD = torch.zeros_like(text.tokens, memory_format=torch.contiguous_format)
            words_QTD[text.mask] = to_words(*ways, video.tokens, longest=text.mask.shape[1])
        if needed[3]:
            frames_VFD = to_frames(*ways, real_words(text).contiguous())
        text_weights = by.text_weights if needed[2] else None
        video_weights = by.video_weights if needed[5] else None
        return None, words_QTD, None, text_weights, frames_VFD, None, video_weights


def _fill(kept: BatchMatches, products_PN: Tensor, hidden_VF: Tensor | None, lengths: list[int]) -> None:
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


def _through(
    rule: Pool, text: TokenSet, video: TokenSet, kept: BatchMatches, sim_grad_QV: Tensor
) -> _Gradients:
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


class _Met(NamedTuple):
    """Where best matches stood, numbered among the words of a block and among all frames.

    Attributes:
        frame: of each word in each video its best frame, ``(P, V)``, V times F of them.
        word: of each frame in each text its best word, ``(Q, V, F)``, P of them.
    """

    frame: Tensor
    word: Tensor


def _met(kept: BatchMatches, lengths: list[int]) -> _Met:
    videos, frames = kept.video_best.shape[1:]
    device = kept.frame.device
    first_V = torch.arange(videos, dtype=torch.int32, device=device) * frames
    first_Q = torch.tensor([0, *lengths[:-1]], dtype=torch.int32, device=device).cumsum(0, dtype=torch.int32)
    return _Met(kept.frame.int() + first_V, kept.word.int() + first_Q[:, None, None])


def _to_words(by: _Gradients, met: _Met, video: TokenSet) -> Tensor:
    """What the best matches of both kinds mean for the words that met there, ``(P, D)``."""
    frames_ND = video.tokens.flatten(0, 1)
    frame_QN = torch.arange(len(frames_ND), dtype=torch.int32, device=frames_ND.device).expand(
        len(met.word), -1
    )
    own_PD = embedding_bag(met.frame, frames_ND, mode="sum", per_sample_weights=by.text_best)
    return own_PD.add_(_summed(frames_ND, frame_QN, by.video_best, met.word, len(met.frame)))


def _add_to_frames(total_VFD: Tensor, by: _Gradients, met: _Met, words_PD: Tensor) -> None:
    """Add what they mean for the frames, some videos at a time."""
    videos, frames, dim = total_VFD.shape
    together = max(1, _BLOCK_NUMBERS // (4 * frames * dim))
    word_PV = torch.arange(len(words_PD), dtype=torch.int32, device=words_PD.device)[:, None]
    for first in range(0, videos, together):
        own = slice(first, first + together)
        total_ND = total_VFD[own].flatten(0, 1)
        word_NQ = met.word[:, own].flatten(1).t().contiguous()
        by_NQ = by.video_best[:, own].flatten(1).t().contiguous()
        total_ND.add_(embedding_bag(word_NQ, words_PD, mode="sum", per_sample_weights=by_NQ))
        frame_PV = met.frame[:, own] - first * frames
        by_PV = by.text_best[:, own]
        total_ND.add_(_summed(words_PD, word_PV.expand_as(frame_PV), by_PV, frame_PV, len(total_ND)))


def _summed(rows_ND: Tensor, chosen: Tensor, weights: Tensor, owners: Tensor, count: int) -> Tensor:
    """Sum weighted rows by their owner, ``(count, D)``; ``chosen``, ``weights`` and ``owners`` are alike."""
    owners = owners.flatten()
    order = owners.argsort()
    ends = owners.bincount(minlength=count).cumsum(0, dtype=torch.int32)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    weights = weights.flatten()[order]
    return embedding_bag(chosen.flatten()[order], rows_ND, starts, mode="sum", per_sample_weights=weights)


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
