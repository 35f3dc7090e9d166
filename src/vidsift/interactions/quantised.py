"""Products of token vectors, in the number format that the tokens are kept in.

Scores are computed from these products, so one formula serves fp32 (training, final scores), bf16 and
int8 (scanning many videos): only the type of the prepared tokens changes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidsift.types import TokenSet

__all__ = ["product", "quantise"]

_INT8_MAX = 127


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


def product(text_PD: Tensor, video_ND: Tensor) -> Tensor:
    """All products of text tokens with video tokens, ``(P, N)``.

    int8 operands give exact whole sums (not yet scaled), as int32 on a CPU and as float elsewhere, where the
    integer product takes only some shapes; floats give their own type.
    """
    if text_PD.dtype != torch.int8:
        return text_PD @ video_ND.t()
    if text_PD.device.type == "cpu":
        return torch._int_mm(text_PD, video_ND.t())
    return text_PD.float() @ video_ND.t().float()
