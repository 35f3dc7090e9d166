"""Whether a way to multiply is right on this processor: found by multiplying, not by what it says it can do.

On x86 without VNNI the fast product of bytes adds two neighbouring products in 16 bits, where they saturate:
all-127 times all-127 over 8 channels gives 1,020 instead of 129,032. What a build of torch does with a format
that the processor lacks differs from one version to the next. So each way is tried once in a process with the
operands that break such kernels, and used only if it passes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

__all__ = ["CHECKED_CHANNELS", "error_bound", "multiplies_exactly", "rounds_within_bound"]

CHECKED_CHANNELS = 1024
"""Widest tokens that are checked; :func:`~vidsift.interactions.quantised.product` splits wider ones. Up to
here sums of products of bytes are at most 2^24, so that fp32 holds them exactly too."""

_CHANNELS = (8, 512, CHECKED_CHANNELS)
_ROWS = (1, 48)  # kernels for one row are others
# One more than kernels take at once, so that their remainders are tried too.
_COLUMNS = 65
# -128 has no opposite in int8: kernels that flip signs fail on it alone.
_EXTREMES = (127, -127, -128)

Multiply = Callable[[Tensor, Tensor], Tensor]


def multiplies_exactly(multiply: Multiply) -> bool:
    """Whether a product of int8 tokens gives the sums that int64 gives.

    Tried are constant and alternating tokens of 127, -127 and -128, each with each, so in all pairs of signs,
    and random ones of the full range, at 8, 512 and 1,024 channels, for one and for many rows.

    Args:
        multiply: takes ``(P, D)`` and ``(N, D)`` int8, gives ``(P, N)`` of whole numbers in any type.

    Returns:
        False too where the product raises, or does not exist.
    """
    try:
        for channels in _CHANNELS:
            text_PD, video_ND = _bytes(max(_ROWS), channels, seed=0), _bytes(_COLUMNS, channels, seed=1)
            sums_PN = text_PD.long() @ video_ND.long().t()
            for rows in _ROWS:
                if not torch.equal(multiply(text_PD[:rows], video_ND).long(), sums_PN[:rows]):
                    return False
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return True


def error_bound(dtype: torch.dtype) -> float:
    """Largest error of a product of unit tokens that is rounding: the distance of 1 to the next number.

    The tokens are rounded to ``dtype`` before. 0.0078 for bf16, 0.00098 for fp16.
    """
    return torch.finfo(dtype).eps


@cache
def rounds_within_bound(dtype: torch.dtype, device_type: str = "cpu") -> bool:
    """Whether products of tokens in a format that rounds are right on a device, within :func:`error_bound`.

    Tried are the operands of :func:`multiplies_exactly`, at unit length, and in bf16, whose range allows it,
    also as they are: then the bound is times the lengths of both tokens. A sum that saturates or overflows
    exceeds it.

    Args:
        dtype: ``torch.bfloat16`` or ``torch.float16``.
        device_type: "cpu", "cuda", ...

    Returns:
        False too where the device cannot multiply this type.
    """
    try:
        for channels in _CHANNELS:
            text_PD, video_ND = _bytes(max(_ROWS), channels, seed=0), _bytes(_COLUMNS, channels, seed=1)
            sides = [(_unit(text_PD), _unit(video_ND))]
            # fp16 ends at 65,504, which a few products of such bytes exceed.
            if torch.finfo(dtype).max > 128 * 128 * CHECKED_CHANNELS:
                sides.append((text_PD.double(), video_ND.double()))
            for text, video in sides:
                for rows in _ROWS:
                    if not _near(text[:rows].to(device_type, dtype), video.to(device_type, dtype)):
                        return False
    except (NotImplementedError, RuntimeError, TypeError):
        return False
    return True


def _near(text_PD: Tensor, video_ND: Tensor) -> bool:
    bound = error_bound(text_PD.dtype)
    product_PN = (text_PD @ video_ND.t()).cpu().double()
    text_PD, video_ND = text_PD.cpu().double(), video_ND.cpu().double()
    allowed_PN = bound * text_PD.norm(dim=1)[:, None] * video_ND.norm(dim=1)
    # Comparisons with NaN are False, so NaN and infinity are not near.
    return bool(((product_PN - text_PD @ video_ND.t()).abs() <= allowed_PN).all())


def _unit(tokens: Tensor) -> Tensor:
    return torch.nn.functional.normalize(tokens.double(), dim=-1)


def _bytes(rows: int, channels: int, seed: int) -> Tensor:
    """Tokens whose products are as large as they get, then random ones: ``(rows, channels)`` int8."""
    tokens = []
    for even in _EXTREMES:
        for odd in _EXTREMES:
            token_D = torch.full((channels,), even, dtype=torch.int8)
            token_D[1::2] = odd
            tokens.append(token_D)
    generator = torch.Generator().manual_seed(seed)
    random = torch.randint(-128, 128, (rows - len(tokens), channels), generator=generator, dtype=torch.int8)
    return torch.cat([torch.stack(tokens), random])
