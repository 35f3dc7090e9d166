"""Products of token vectors, in the number format that the tokens are kept in.

Scores are computed from these products, so one formula serves fp32 (training, final scores), bf16 and
int8 (scanning many videos): only the type of the prepared tokens changes.
"""

from __future__ import annotations

from functools import cache, lru_cache

import torch
from torch import Tensor

from vidsift.types import TokenSet

__all__ = ["pack", "product", "quantise"]

_INT8_MAX = 127
_OFFSET = 128


def quantise(tokens: TokenSet) -> TokenSet:
    """Keep a prepared set in int8, with one scale for each row.

    Args:
        tokens: prepared, floating point ``(B, N, D)``, zeros where masked.

    Returns:
        The same set with int8 tokens and ``scale`` ``(B,)``; weights in fp32. Products of such sets are
        wrong by about 0.4 % of the largest product of the row: good for finding candidates, which are
        then scored again in fp32.
    """
    largest = tokens.tokens.abs().amax(dim=(1, 2)).float().clamp_min(torch.finfo(torch.float32).tiny)
    scale = largest / _INT8_MAX
    whole = (tokens.tokens.float() / scale[:, None, None]).round().to(torch.int8)
    weights = None if tokens.weights is None else tokens.weights.float()
    return tokens.replace(tokens=whole, scale=scale, weights=weights)


def product(text_PD: Tensor, video_ND: Tensor, packed: Tensor | None = None) -> Tensor:
    """All products of text tokens with video tokens, ``(P, N)``.

    Args:
        text_PD: floating point or int8.
        video_ND: int8 where ``text_PD`` is; else floating point, of any precision.
        packed: what :func:`pack` made of ``video_ND``, which then gives only the shape.

    Returns:
        Of int8 operands exact whole sums, not yet scaled: int32 on a CPU, float elsewhere, where the integer
        product takes only some shapes, and of packed tokens (exact there up to 1,040 channels). Of floats
        the type of ``video_ND``.
    """
    if packed is not None:
        ones, zeros = _unit_scales(len(video_ND))
        # The fast kernel takes unsigned bytes on this side; it subtracts the offset again, exactly.
        shifted_PD = (text_PD.to(torch.int16) + _OFFSET).to(torch.uint8)
        product_PN: Tensor = torch.ops.onednn.qlinear_pointwise(
            shifted_PD, 1.0, _OFFSET, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return product_PN
    if text_PD.dtype != torch.int8:
        return text_PD.to(video_ND.dtype) @ video_ND.t()
    if text_PD.device.type == "cpu":
        return torch._int_mm(text_PD, video_ND.t())
    return text_PD.float() @ video_ND.t().float()


def pack(video_ND: Tensor) -> Tensor | None:
    """Lay int8 tokens out as oneDNN's product reads them, once instead of at every product.

    Takes as much memory as the tokens and, for a dozen words, 60 % of the time (``benchmarks/search.py``).

    Returns:
        An opaque tensor for :func:`product`, or None where this build of torch has no such product.
    """
    if video_ND.device.type != "cpu" or not _packs():
        return None
    packed: Tensor = torch.ops.onednn.qlinear_prepack(video_ND.contiguous(), None)
    return packed


@cache
def _packs() -> bool:
    """Whether the packed product exists and is right; it is not part of torch's stable interface."""
    text_PD = torch.tensor([[-127, 3, 127], [5, -1, 0]], dtype=torch.int8)
    video_ND = torch.tensor([[127, -127, 1], [-128, 2, 126], [0, 9, -7], [1, 1, 1]], dtype=torch.int8)
    try:
        found = product(text_PD, video_ND, torch.ops.onednn.qlinear_prepack(video_ND, None))
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(found.long(), text_PD.long() @ video_ND.long().t())


@lru_cache(maxsize=8)
def _unit_scales(rows: int) -> tuple[Tensor, Tensor]:
    return torch.ones(rows), torch.zeros(rows, dtype=torch.int32)
