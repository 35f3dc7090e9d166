"""Products of token vectors, in the number format that the tokens are kept in.

Scores are computed from these products, so one formula serves fp32 (training, final scores), bf16 and
int8 (scanning many videos): only the type of the prepared tokens changes.
"""

from __future__ import annotations

from functools import cache, lru_cache

import torch
from torch import Tensor

from vidsift.interactions.product_checks import CHECKED_CHANNELS, multiplies_exactly
from vidsift.types import TokenSet

__all__ = ["pack", "packs", "product", "quantise"]

_INT8_MAX = 127
_OFFSET = 128
_TOKENS_AT_ONCE = 4096
"""Tokens that are turned into fp32 at once: 8 MB at 512 channels."""


def quantise(tokens: TokenSet) -> TokenSet:
    """Keep a prepared set in int8, with one scale for each row.

    Args:
        tokens: prepared, floating point ``(B, N, D)``, zeros where masked.

    Returns:
        The same set with int8 tokens and ``scale`` ``(B,)``; weights in fp32. Products of such sets are
        wrong by about 0.4 % of the largest product of the row: good for finding candidates, which are
        then scored again in fp32.
    """
    # The smallest normal number at least: a row of zeros must not divide by 0.
    largest = tokens.tokens.abs().amax(dim=(1, 2)).float().clamp_min(torch.finfo(torch.float32).tiny)
    scale = largest / _INT8_MAX
    integers = (tokens.tokens.float() / scale[:, None, None]).round().to(torch.int8)
    weights = None if tokens.weights is None else tokens.weights.float()
    return tokens.replace(tokens=integers, scale=scale, weights=weights)


def product(text_PD: Tensor, video_ND: Tensor, packed: Tensor | None = None) -> Tensor:
    """All products of text tokens with video tokens, ``(P, N)``.

    Args:
        text_PD: floating point or int8.
        video_ND: int8 where ``text_PD`` is; else floating point, of any precision.
        packed: what :func:`pack` made of ``video_ND``, which then gives only the shape.

    Returns:
        Of int8 operands exact whole sums, not yet scaled, in int32 or fp32: by the fastest way that is right
        on this processor (:func:`~vidsift.interactions.product_checks.multiplies_exactly`), which on x86
        without VNNI is fp32, some tokens at a time. Of floats the type of ``video_ND``.
    """
    if packed is not None:
        return _packed_product(text_PD, packed, len(video_ND))
    if text_PD.dtype != torch.int8:
        return text_PD.to(video_ND.dtype) @ video_ND.t()
    if text_PD.shape[1] <= CHECKED_CHANNELS:
        return _whole_product(text_PD, video_ND)
    # Wider tokens have sums beyond 2^24, which fp32 does not hold: added up in int32, part by part.
    sides = (torch.split(side, CHECKED_CHANNELS, dim=1) for side in (text_PD, video_ND))
    return sum(
        (_whole_product(text, video).int() for text, video in zip(*sides, strict=True)),
        torch.zeros((), dtype=torch.int32, device=video_ND.device),
    )


def pack(video_ND: Tensor) -> Tensor | None:
    """Lay int8 tokens out as oneDNN's product reads them, once instead of at every product.

    Takes as much memory as the tokens and, for a dozen words, 60 % of the time (``benchmarks/search.py``).

    Returns:
        An opaque tensor for :func:`product`, or None where this build of torch has no such product, where it
        is wrong on this processor, and for tokens of more than 1,024 channels.
    """
    if video_ND.device.type != "cpu" or video_ND.shape[1] > CHECKED_CHANNELS or not packs():
        return None
    return _packed(video_ND)


@cache
def packs() -> bool:
    """Whether packed products exist and are right; they are not part of torch's stable interface."""
    return multiplies_exactly(
        lambda text_PD, video_ND: _packed_product(text_PD, _packed(video_ND), len(video_ND))
    )


@cache
def _int_mm_is_right() -> bool:
    return multiplies_exactly(lambda text_PD, video_ND: torch._int_mm(text_PD, video_ND.t()))


def _packed(video_ND: Tensor) -> Tensor:
    packed: Tensor = torch.ops.onednn.qlinear_prepack(video_ND.contiguous(), None)
    return packed


def _packed_product(text_PD: Tensor, packed: Tensor, rows: int) -> Tensor:
    # The kernel dequantises by row. Scales of 1 leave the sums whole; the real ones follow the maxima.
    ones, zeros = _unit_scales(rows)
    # The fast kernel takes unsigned bytes on this side; it subtracts the offset again, exactly.
    shifted_PD = (text_PD.to(torch.int16) + _OFFSET).to(torch.uint8)
    product_PN: Tensor = torch.ops.onednn.qlinear_pointwise(
        shifted_PD, 1.0, _OFFSET, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return product_PN


def _whole_product(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    """Exact sums of int8 tokens of at most :data:`CHECKED_CHANNELS` channels."""
    # On a GPU _int_mm takes only sizes in multiples of 8.
    if text_PD.device.type != "cpu":
        return text_PD.float() @ video_ND.t().float()
    # Of one channel it takes the transposed side for one that is laid out by rows, on every processor.
    if text_PD.shape[1] > 1 and _int_mm_is_right():
        return torch._int_mm(text_PD, video_ND.t())
    # Exact all the same: all sums on the way are whole and at most 2^24, which fp32 holds.
    words_PD = text_PD.float()
    product_PN = words_PD.new_empty(len(text_PD), len(video_ND))
    for start in range(0, len(video_ND), _TOKENS_AT_ONCE):
        block = slice(start, start + _TOKENS_AT_ONCE)
        product_PN[:, block] = words_PD @ video_ND[block].float().t()
    return product_PN


@lru_cache(maxsize=8)
def _unit_scales(rows: int) -> tuple[Tensor, Tensor]:
    return torch.ones(rows), torch.zeros(rows, dtype=torch.int32)
