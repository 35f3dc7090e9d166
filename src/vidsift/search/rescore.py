"""Exact scores of the leaders: fp32, in one fixed shape, so that a score depends on its own pair alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial

import torch
from torch import Tensor

from vidsift.methods.base import TermSum
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question, one_thread
from vidsift.types import Alignment, Features, TokenSet

__all__ = ["SHAPE", "PrefetchedTokens", "align_exactly", "one_row", "score_exactly"]

SHAPE = 32
"""Segments that are scored together with one text; fewer are filled up."""

_FETCHED = 512


class PrefetchedTokens:
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
        # Each question then reads its own: many questions would hold half of the library here.
        if len(ahead) > _FETCHED:
            ahead = []
        self._ahead = ahead
        self._places = {row: place for place, row in enumerate(ahead)}
        self._read = self._read_now(ahead) if ahead else {}

    def __call__(self, rows: Sequence[int]) -> dict[str, TokenSet]:
        """Return the prepared sets of some segments, without what a score does not read."""
        # A question that comes alone asks for exactly these: nothing is copied.
        if list(rows) == self._ahead:
            return self._read
        if not all(row in self._places for row in rows):
            return self._read_now(rows)
        places = torch.tensor([self._places[row] for row in rows])
        return {name: tokens[places] for name, tokens in self._read.items()}

    def _read_now(self, rows: Sequence[int]) -> dict[str, TokenSet]:
        return self._gallery.exact(rows, score_only=True)


def score_exactly(
    terms: TermSum, tokens: PrefetchedTokens, question: Question, rows: Sequence[int]
) -> Tensor:
    """Score one question with some segments.

    Args:
        terms: a method, or the first stage of one.
        tokens: those of the segments.
        question: of texts prepared for the terms, not padded.
        rows: of the gallery.

    Returns:
        fp32 ``(rows,)`` on the CPU, the same bits whatever else is among the rows.
    """
    parts = []
    for block, real in _fixed_shape(tokens, rows, tokens.device):
        with torch.inference_mode(), one_thread():
            seen = terms.adapt_video(block)
            parts.append(question.score(partial(_scores, terms, seen))[:real])
    return torch.cat(parts) if parts else torch.empty(0)


def _scores(terms: TermSum, seen: Features, text: Features) -> Tensor:
    return terms.similarity(text, seen)[0].float().cpu()


def align_exactly(
    terms: TermSum,
    gallery: Gallery,
    text: Features,
    rows: Sequence[int],
    *,
    read: Callable[[Sequence[int]], Features] | None = None,
) -> Iterator[tuple[dict[str, Alignment], dict[str, TokenSet]]]:
    """Account for the scores of one text with some segments, one after the other.

    Args:
        terms: a method, or the first stage of one.
        gallery: holds the segments.
        text: prepared for the terms, one row, not padded.
        rows: of the gallery.
        read: gives the prepared sets of rows, times included; the gallery when None.

    Yields:
        For each row the alignment of every term, and the segment's sets as the terms compare them; one row
        each.

    Raises:
        NoAlignmentError: if a term has no account.
    """
    for block, real in _fixed_shape(read or gallery.exact, rows, gallery.device):
        # Alignment is of pairs: the text stands beside every segment of the block.
        texts = {name: _repeat(tokens, SHAPE) for name, tokens in text.items()}
        with torch.inference_mode(), one_thread():
            compared = terms.adapt_video(block)
            account = terms.align(texts, compared)
        for row in range(real):
            yield (
                {name: one_row(alignment, row) for name, alignment in account.items()},
                {name: tokens[row : row + 1] for name, tokens in compared.items()},
            )


def _fixed_shape(
    read: Callable[[Sequence[int]], Features], rows: Sequence[int], device: torch.device
) -> Iterator[tuple[dict[str, TokenSet], int]]:
    # Read by the hundred, which costs little more than one by one; scored in blocks of the one shape.
    for first in range(0, len(rows), _FETCHED):
        batch = list(rows[first : first + _FETCHED])
        fetched = read(batch)
        for start in range(0, len(batch), SHAPE):
            real = min(SHAPE, len(batch) - start)
            block = slice(start, start + SHAPE)
            # The last segment again and again: a product of fewer rows may be summed in another order.
            filled = block if real == SHAPE else start + torch.arange(SHAPE).clamp_max(real - 1)
            yield {name: tokens[filled].to(device=device) for name, tokens in fetched.items()}, real


def _repeat(tokens: TokenSet, times: int) -> TokenSet:
    return tokens[torch.zeros(times, dtype=torch.int64, device=tokens.tokens.device)]


def one_row(account: Alignment, row: int) -> Alignment:
    """Return the alignment of one pair of a batch, as a batch of one."""
    only = slice(row, row + 1)
    return Alignment(**{part.name: getattr(account, part.name)[only] for part in fields(Alignment)})
