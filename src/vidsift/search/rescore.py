"""Exact scores of candidates: fp32, in one fixed shape, so that a score depends on its own pair alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from vidsift.methods.base import TermSum
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question
from vidsift.types import Alignment, Features, TokenSet

__all__ = ["SHAPE", "Candidates", "align_exactly", "one_thread", "score_exactly"]

SHAPE = 32
"""Candidates that are scored together with one text; fewer are filled up."""

_FETCHED = 512


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: how a sum is split among threads would show in its last bits."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Candidates:
    """Tokens of the segments that several questions will score, read from disk in one go.

    Args:
        gallery: holds the segments.
        rows: expected to be asked for; where they are too many to hold, none is read ahead.
    """

    def __init__(self, gallery: Gallery, rows: Iterable[int] = ()) -> None:
        """See the class."""
        self._gallery = gallery
        self.device = gallery.device
        ahead = sorted(set(rows))
        if len(ahead) > _FETCHED:
            ahead = []
        self._ahead = ahead
        self._places = {row: place for place, row in enumerate(ahead)}
        self._read = self._read_now(ahead) if ahead else {}

    def __call__(self, rows: Sequence[int]) -> dict[str, TokenSet]:
        """Return the prepared sets of some segments, without what a score does not read."""
        if list(rows) == self._ahead:
            return self._read
        if not all(row in self._places for row in rows):
            return self._read_now(rows)
        places = torch.tensor([self._places[row] for row in rows])
        return {name: tokens[places] for name, tokens in self._read.items()}

    def _read_now(self, rows: Sequence[int]) -> dict[str, TokenSet]:
        return self._gallery.exact(rows, score_only=True)


def score_exactly(terms: TermSum, candidates: Candidates, question: Question, rows: Sequence[int]) -> Tensor:
    """Score one question with some segments.

    Args:
        terms: a method, or the first stage of one.
        candidates: give the tokens of the segments.
        question: of texts prepared for the terms, not padded.
        rows: of the gallery.

    Returns:
        fp32 ``(rows,)`` on the CPU, the same bits whatever else is among the rows.
    """
    parts = []
    for block, real in _fixed_shape(candidates, rows, candidates.device):
        with torch.inference_mode(), one_thread():
            seen = terms.adapt_video(block)
            parts.append(question.score(partial(_scores, terms, seen))[:real])
    return torch.cat(parts) if parts else torch.empty(0)


def _scores(terms: TermSum, seen: Features, text: Features) -> Tensor:
    return terms.similarity(text, seen)[0].float().cpu()


def align_exactly(
    terms: TermSum, gallery: Gallery, text: Features, rows: Sequence[int]
) -> Iterator[tuple[dict[str, Alignment], dict[str, TokenSet]]]:
    """Account for the scores of one text with some segments, one after the other.

    Args:
        terms: a method, or the first stage of one.
        gallery: holds the segments.
        text: prepared for the terms, one row, not padded.
        rows: of the gallery.

    Yields:
        For each row the alignment of every term, and the segment's sets as the terms compare them; one row
        each.

    Raises:
        NoAlignmentError: if a term has no account.
    """
    for block, real in _fixed_shape(gallery.exact, rows, gallery.device):
        texts = {name: _repeat(tokens, SHAPE) for name, tokens in text.items()}
        with torch.inference_mode(), one_thread():
            compared = terms.adapt_video(block)
            account = terms.align(texts, compared)
        for row in range(real):
            yield (
                {name: _row(one, row) for name, one in account.items()},
                {name: tokens[row : row + 1] for name, tokens in compared.items()},
            )


def _fixed_shape(
    read: Callable[[Sequence[int]], dict[str, TokenSet]], rows: Sequence[int], device: torch.device
) -> Iterator[tuple[dict[str, TokenSet], int]]:
    for first in range(0, len(rows), _FETCHED):
        some = list(rows[first : first + _FETCHED])
        fetched = read(some)
        for start in range(0, len(some), SHAPE):
            real = min(SHAPE, len(some) - start)
            own = slice(start, start + SHAPE)
            filled = own if real == SHAPE else start + torch.arange(SHAPE).clamp_max(real - 1)
            yield {name: tokens[filled].to(device=device) for name, tokens in fetched.items()}, real


def _repeat(tokens: TokenSet, times: int) -> TokenSet:
    return tokens[torch.zeros(times, dtype=torch.int64, device=tokens.tokens.device)]


def _row(account: Alignment, row: int) -> Alignment:
    own = slice(row, row + 1)
    return Alignment(
        values=account.values[own],
        contributions=account.contributions[own],
        best_video_token=account.best_video_token[own],
        best_text_token=account.best_text_token[own],
        text_weights=account.text_weights[own],
        video_weights=account.video_weights[own],
    )
