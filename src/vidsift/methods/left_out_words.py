"""Sentences without some of their words, as training sees them: token ids in, token ids out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vidsift.types import TokenSet

__all__ = ["ShortenedText", "drop_words", "leave_one_out"]


class ShortenedText(NamedTuple):
    """Sentences that each lack one word, the others moved up.

    Attributes:
        ids: token ids ``(Q, T)``.
        mask: bool, True at real tokens, which stand first.
        places: where each token stood in the whole sentence, int64.
    """

    ids: Tensor
    mask: Tensor
    places: Tensor

    def in_place(self, words: TokenSet) -> TokenSet:
        """Put the tokens of these sentences, encoded, back where they stood; what is left out is masked."""
        tokens_QTD = torch.zeros_like(words.tokens)
        index_QTD = self.places[..., None].expand_as(words.tokens)
        mask_QT = torch.zeros_like(words.mask).scatter(1, self.places, words.mask)
        return words.replace(tokens=tokens_QTD.scatter(1, index_QTD, words.tokens), mask=mask_QT)


def drop_words(ids_QT: Tensor, mask_QT: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Leave tokens between start and end out at random; the others move up.

    Args:
        ids_QT: token ids, start and end included.
        mask_QT: bool, True at real tokens, which stand first.
        share: of the tokens that are left out, on average. A sentence that would lose all of them keeps them.

    Returns:
        Ids and mask of the same shape.
    """
    inner_QT = _inner(mask_QT)
    out_QT = inner_QT & (torch.rand(mask_QT.shape, device=mask_QT.device) < share)
    out_QT &= (inner_QT & ~out_QT).any(dim=1, keepdim=True)
    shortened = _without(ids_QT, mask_QT, out_QT)
    return shortened.ids, shortened.mask


def leave_one_out(ids_QT: Tensor, mask_QT: Tensor) -> ShortenedText:
    """Leave one token between start and end out of each sentence, drawn at random; the others move up.

    Args:
        ids_QT: token ids, start and end included.
        mask_QT: bool, True at real tokens, which stand first.

    Returns:
        The sentences. One of a single word, or none, keeps it.
    """
    inner_QT = _inner(mask_QT)
    # Where nothing may be drawn all are equal, and the mask takes the draw back.
    chance_QT = torch.rand(mask_QT.shape, device=mask_QT.device).masked_fill(~inner_QT, -1)
    drawn_QT = torch.zeros_like(mask_QT).scatter(1, chance_QT.argmax(dim=1, keepdim=True), True)
    return _without(ids_QT, mask_QT, drawn_QT & inner_QT & (inner_QT.sum(dim=1, keepdim=True) > 1))


def _inner(mask_QT: Tensor) -> Tensor:
    """True at the real tokens between start and end."""
    place_T = torch.arange(mask_QT.shape[1], device=mask_QT.device)
    return (place_T > 0) & (place_T < mask_QT.sum(dim=1, keepdim=True) - 1)


def _without(ids_QT: Tensor, mask_QT: Tensor, out_QT: Tensor) -> ShortenedText:
    stays_QT = mask_QT & ~out_QT
    places_QT = (~stays_QT).to(torch.int8).argsort(dim=1, stable=True)
    return ShortenedText(ids_QT.gather(1, places_QT), stays_QT.gather(1, places_QT), places_QT)
