"""Which number type pays on this machine."""

from __future__ import annotations

import torch

__all__ = ["best_inference_dtype"]


def best_inference_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """Return bf16 where the device computes with it, else fp32."""
    raise NotImplementedError
