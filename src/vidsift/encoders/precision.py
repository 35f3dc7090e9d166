"""Which number type pays on this machine."""

from __future__ import annotations

import torch

__all__ = ["best_inference_dtype"]


def best_inference_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """Return bf16 where the device computes with it, else fp32.

    A CPU without bf16 instructions emulates them, several times slower than fp32 (``results/encode.md``);
    fp16 arithmetic is emulated on nearly every CPU and never chosen.

    Args:
        device: where the model will run.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if kind == "cpu" and _cpu_computes_bf16():
        return torch.bfloat16
    return torch.float32


def _cpu_computes_bf16() -> bool:
    """Return whether this CPU multiplies bf16 in hardware: AVX512-BF16 or AMX on x86, BF16 on ARM."""
    able = torch.cpu.get_capabilities()
    return any(bool(able.get(name, False)) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
