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

from vidsift.interactions.best_match import best_matches, can_fuse, fused_matches
from vidsift.interactions.matches import BatchMatches, Padding, let_padding_win, real_words
from vidsift.types import TokenSet

__all__ = ["MatchPool", "pooled_matches"]

MatchPool = Callable[[TokenSet, TokenSet, Tensor, Tensor], Tensor]
"""Texts, videos, ``text_best_PV`` and ``video_best_QVF`` of them, to ``sim_QV``."""

_BLOCK_NUMBERS = 1 << 19
"""Products and words at once: 2 MB in fp32, which stays in a cache; fewer are slower."""

_NUMBERS_PER_MATCH = 12
"""What routing the gradient of one best match takes for a moment: its place, order and weight, and copies."""


def pooled_matches(text: TokenSet, video: TokenSet, pool: MatchPool, padding: Padding = "excluded") -> Tensor:
    """Score every text with every video by a rule over their best matches, ``sim_QV``.

    Where a gradient is asked for, it reaches the weights, and of the tokens those that won their maximum (of
    equals the first), as in the plain formula.

    Args:
        text: prepared, ``(Q, T, D)``; P of its tokens are real.
        video: prepared, ``(V, F, D)``, in any number format; ``text`` follows it.
        pool: the rule. It gets some of the texts with all videos, may read their masks and weights, and gives
            each entry from the matches of its own text and video alone. It may be called twice.
        padding: see :func:`~vidsift.interactions.best_match.best_matches`.

    Source: DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction (the plain formula).
    """
    inputs = (text.tokens, video.tokens, text.weights, video.weights)
    needs_grad = any(part is not None and part.requires_grad for part in inputs)
    if video.scale is not None or not (needs_grad and torch.is_grad_enabled()):
        return pool(text, video, *best_matches(text, video, padding))

    def padded_pool(
        texts: TokenSet, videos: TokenSet, text_best_PV: Tensor, video_best_QVF: Tensor
    ) -> Tensor:
        if padding == "zero":
            text_best_PV, video_best_QVF = let_padding_win(texts, videos, text_best_PV, video_best_QVF)
        return pool(texts, videos, text_best_PV, video_best_QVF)

    scoring = _FusedScore if can_fuse(video) else _BlockedScore
    sim_QV: Tensor = scoring.apply(  # type: ignore[no-untyped-call]
        padded_pool,
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
    def forward(ctx: Any, pool: MatchPool, *sides: Any) -> Tensor:
        """Score; ``sides`` are tokens, mask and weights of the texts, then of the videos."""
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        frames_ND, (videos, frames) = video.tokens.flatten(0, 1), video.mask.shape
        matches = BatchMatches.empty(
            frames_ND.new_empty(int(text.mask.sum()), videos),
            frames_ND.new_empty(len(text), videos, frames),
            longest_text=text.mask.shape[1],
        )
        padded_VF = None if bool(video.mask.all()) else ~video.mask
        sims = []
        blocks = list(_blocks(text, len(frames_ND)))
        # One shape throughout: pieces of many sizes leave holes in memory, and the library that multiplies
        # keeps room for every shape that it met. Rows beyond a block's own hold what was there before.
        most_words = max(sum(lengths) for _, _, lengths in blocks)
        products_PN = frames_ND.new_empty(most_words, len(frames_ND))
        words_PD = frames_ND.new_zeros(most_words, frames_ND.shape[1])
        for texts, words, lengths in blocks:
            block, block_matches = text[texts], matches.of(texts, words)
            words_PD[: sum(lengths)] = real_words(block)
            torch.mm(words_PD, frames_ND.t(), out=products_PN)
            _fill(block_matches, products_PN[: sum(lengths)], padded_VF, lengths)
            sims.append(pool(block, video, block_matches.text_best, block_matches.video_best))
        # A function and no tensor, so it is not for save_for_backward.
        ctx.pool = pool
        ctx.save_for_backward(*sides, *matches)
        return torch.cat(sims)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, sim_grad_QV: Tensor) -> tuple[Tensor | None, ...]:
        """Route each maximum's gradient to the word and the frame that met there.

        A word's gradient is a sum over the frames that it met best and over those that met it best, and a
        frame's likewise: sums over rows of tokens, of which there are V + VF / T a word. The products of the
        plain formula have VF, nearly all of them with zeros.
        """
        sides, matches = ctx.saved_tensors[:6], BatchMatches(*ctx.saved_tensors[6:])
        grads = [
            torch.zeros_like(part, memory_format=torch.contiguous_format) if needed else None
            for part, needed in zip(sides, ctx.needs_input_grad[1:], strict=True)
        ]
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        video = video.replace(tokens=video.tokens.contiguous())
        videos, frames = video.mask.shape
        matches_per_word = videos + videos * frames // text.mask.shape[1]
        # Other blocks than forwards: nothing here needs products, but each match takes more numbers.
        for texts, words, lengths in _blocks(text, _NUMBERS_PER_MATCH * matches_per_word):
            # Those of the texts are views of this block's rows; those of the videos add up over blocks.
            words_grad, _, text_weights_grad = (None if grad is None else grad[texts] for grad in grads[:3])
            frames_grad, _, video_weights_grad = grads[3:]
            block, block_matches = text[texts], matches.of(texts, words)
            match_grads = _pool_gradients(ctx.pool, block, video, block_matches, sim_grad_QV[texts])
            for total, part in (
                (text_weights_grad, match_grads.text_weights),
                (video_weights_grad, match_grads.video_weights),
            ):
                if total is not None and part is not None:
                    total.add_(part)
            if words_grad is None and frames_grad is None:
                continue
            rows = _match_rows(block_matches, lengths)
            if words_grad is not None:
                words_grad[block.mask] = _word_gradients(match_grads, rows, video)
            if frames_grad is not None:
                _add_frame_gradients(frames_grad, match_grads, rows, real_words(block))
        return None, *grads


class _FusedScore(Function):
    """The same by kernels that write no products at all: no blocks, since only maxima are ever there."""

    @staticmethod
    def forward(ctx: Any, pool: MatchPool, *sides: Any) -> Tensor:
        """Score; ``sides`` are tokens, mask and weights of the texts, then of the videos."""
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        matches, starts = fused_matches(text, video)
        ctx.pool = pool
        ctx.save_for_backward(*sides, *matches, starts)
        return pool(text, video, matches.text_best, matches.video_best)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, sim_grad_QV: Tensor) -> tuple[Tensor | None, ...]:
        """Route each maximum's gradient to the word and the frame that met there."""
        from vidsift.interactions.fused_match import frame_gradients, word_gradients

        *sides, text_best, frame, video_best, word, starts = ctx.saved_tensors
        matches = BatchMatches(text_best, frame, video_best, word)
        text, video = TokenSet(*sides[:3]), TokenSet(*sides[3:])
        match_grads = _pool_gradients(ctx.pool, text, video, matches, sim_grad_QV)
        maxima = match_grads.text_best, match_grads.video_best, matches, starts
        _, *needed = ctx.needs_input_grad
        words_QTD = frames_VFD = None
        if needed[0]:
            words_QTD = torch.zeros_like(text.tokens, memory_format=torch.contiguous_format)
            words_QTD[text.mask] = word_gradients(*maxima, video.tokens, longest_text=text.mask.shape[1])
        if needed[3]:
            frames_VFD = frame_gradients(*maxima, real_words(text).contiguous())
        text_weights = match_grads.text_weights if needed[2] else None
        video_weights = match_grads.video_weights if needed[5] else None
        return None, words_QTD, None, text_weights, frames_VFD, None, video_weights


def _fill(matches: BatchMatches, products_PN: Tensor, padded_VF: Tensor | None, lengths: list[int]) -> None:
    """Take maxima and indices of some texts' products, which are changed."""
    products_PVF = products_PN.view(len(products_PN), *matches.video_best.shape[1:])
    by_text = torch.split(products_PVF, lengths)
    for text_PVF, best_VF, word_VF in zip(by_text, matches.video_best, matches.word, strict=True):
        best = text_PVF.max(dim=0)
        best_VF.copy_(best.values)
        word_VF.copy_(best.indices)
    # Padded frames may not be a word's best; what was found for them above means nothing and weighs nothing.
    if padded_VF is not None:
        products_PVF.masked_fill_(padded_VF, -torch.inf)
    best = products_PVF.max(dim=2)
    matches.text_best.copy_(best.values)
    matches.frame.copy_(best.indices)


class _MatchGradients(NamedTuple):
    """Of scores, by both kinds of best matches and by the weights there are."""

    text_best: Tensor
    video_best: Tensor
    text_weights: Tensor | None
    video_weights: Tensor | None


def _pool_gradients(
    pool: MatchPool, text: TokenSet, video: TokenSet, matches: BatchMatches, sim_grad_QV: Tensor
) -> _MatchGradients:
    """Run the rule again with gradients on its inputs, so that a rule needs no backward pass of its own."""
    parts = (matches.text_best, matches.video_best, text.weights, video.weights)
    inputs = [None if part is None else part.detach().requires_grad_() for part in parts]
    words_PV, frames_QVF, text_weights, video_weights = inputs
    assert words_PV is not None
    assert frames_QVF is not None
    with torch.enable_grad():
        texts, videos = text.replace(weights=text_weights), video.replace(weights=video_weights)
        sim_QV = pool(texts, videos, words_PV, frames_QVF)
    # Weights may be missing, and a rule may read one kind of matches alone (paths="t2v").
    present = [part for part in inputs if part is not None]
    grads = iter(torch.autograd.grad(sim_QV, present, sim_grad_QV, materialize_grads=True))
    return _MatchGradients(
        next(grads), next(grads), *(None if part is None else next(grads) for part in inputs[2:])
    )


class _MatchRows(NamedTuple):
    """Where best matches stood, numbered among the words of a block and among all frames.

    Attributes:
        frame: of each word in each video its best frame, ``(P, V)``, V times F of them.
        word: of each frame in each text its best word, ``(Q, V, F)``, P of them.
    """

    frame: Tensor
    word: Tensor


def _match_rows(matches: BatchMatches, lengths: list[int]) -> _MatchRows:
    videos, frames = matches.video_best.shape[1:]
    device = matches.frame.device
    # int32 throughout: embedding_bag reads half as much as of int64.
    # Rows of (V x F) tokens and of the words of a block, from places within a video and within a text.
    first_V = torch.arange(videos, dtype=torch.int32, device=device) * frames
    first_Q = torch.tensor([0, *lengths[:-1]], dtype=torch.int32, device=device).cumsum(0, dtype=torch.int32)
    return _MatchRows(matches.frame.int() + first_V, matches.word.int() + first_Q[:, None, None])


def _word_gradients(match_grads: _MatchGradients, rows: _MatchRows, video: TokenSet) -> Tensor:
    """Gradient of the words of a block, ``(P, D)``."""
    frames_ND = video.tokens.flatten(0, 1)
    frame_QN = torch.arange(len(frames_ND), dtype=torch.int32, device=frames_ND.device).expand(
        len(rows.word), -1
    )
    # A word has one best frame in each video, so these are bags of one size and need no sorting.
    grad_PD = embedding_bag(rows.frame, frames_ND, mode="sum", per_sample_weights=match_grads.text_best)
    from_frames = _sum_by_row(frames_ND, frame_QN, match_grads.video_best, rows.word, len(rows.frame))
    return grad_PD.add_(from_frames)


def _add_frame_gradients(
    total_VFD: Tensor, match_grads: _MatchGradients, rows: _MatchRows, words_PD: Tensor
) -> None:
    """Add the gradient of the frames from the words of a block, some videos at a time."""
    videos, frames, dim = total_VFD.shape
    videos_at_once = max(1, _BLOCK_NUMBERS // (4 * frames * dim))
    word_PV = torch.arange(len(words_PD), dtype=torch.int32, device=words_PD.device)[:, None]
    for first in range(0, videos, videos_at_once):
        stretch = slice(first, first + videos_at_once)
        total_ND = total_VFD[stretch].flatten(0, 1)
        # A frame has one best word in each text: bags of one size. Of how many words it is the best, varies.
        word_NQ = rows.word[:, stretch].flatten(1).t().contiguous()
        grad_NQ = match_grads.video_best[:, stretch].flatten(1).t().contiguous()
        total_ND.add_(embedding_bag(word_NQ, words_PD, mode="sum", per_sample_weights=grad_NQ))
        frame_PV = rows.frame[:, stretch] - first * frames
        grad_PV = match_grads.text_best[:, stretch]
        total_ND.add_(_sum_by_row(words_PD, word_PV.expand_as(frame_PV), grad_PV, frame_PV, len(total_ND)))


def _sum_by_row(tokens_ND: Tensor, source: Tensor, weights: Tensor, target: Tensor, count: int) -> Tensor:
    """Sum weighted tokens into the rows that they go to, ``(count, D)``.

    ``source``, ``weights`` and ``target`` have one shape: a token times its weight goes to its target's row.
    Sorted by target and summed in stretches: adding by index is atomic on a GPU, and then no step repeats bit
    for bit.
    """
    target = target.flatten()
    order = target.argsort()
    ends = target.bincount(minlength=count).cumsum(0, dtype=torch.int32)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    weights = weights.flatten()[order]
    return embedding_bag(source.flatten()[order], tokens_ND, starts, mode="sum", per_sample_weights=weights)


def _blocks(text: TokenSet, numbers_per_word: int) -> Iterator[tuple[slice, slice, list[int]]]:
    """Yield stretches of texts that fit into a block, of their words, and how many each has."""
    lengths: list[int] = text.mask.sum(dim=1).tolist()
    most_words = _BLOCK_NUMBERS // (numbers_per_word + 2 * text.tokens.shape[2])
    first_text, first_word, words = 0, 0, 0
    for row, length in enumerate(lengths):
        # A text longer than a block is one by itself: a block always has at least one text.
        if row > first_text and words + length > most_words:
            yield slice(first_text, row), slice(first_word, first_word + words), lengths[first_text:row]
            first_text, first_word, words = row, first_word + words, 0
        words += length
    yield slice(first_text, len(lengths)), slice(first_word, first_word + words), lengths[first_text:]
