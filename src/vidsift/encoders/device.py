"""Where a model computes and in which number type: what pays on this machine, and is right on it.

What a processor says that it can do decides what is worth trying; only what was tried and found right is
used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidsift.errors import PrecisionError

__all__ = [
    "Precision",
    "autocast_runs_lstm",
    "best_inference_dtype",
    "choose_device",
    "chosen_dtype",
    "multiplies_bytes",
    "processor_features",
    "refuse_wrong",
    "wrong_parts",
]

Precision = Literal["fp32", "bf16", "auto"]

_LARGEST_ERROR = 1 / 32
"""Of a part in bf16, as a share of its largest value: rounding gives up to 1/60, a wrong kernel far more."""


def choose_device(device: torch.device | str = "auto") -> torch.device:
    """Return the device that is meant, if it is there.

    Args:
        device: "auto" for a GPU where there is one and else the CPU, or a name that torch knows.

    Raises:
        ValueError: there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device is {device!r}, expected auto, cpu or cuda") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(device)!r}, but torch finds no GPU here; use auto or cpu")
    return chosen


def best_inference_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """Return bf16 where the device computes with it in hardware and gets it right, else fp32.

    A CPU without bf16 instructions emulates them, several times slower than fp32 (``results/encode.md``);
    fp16 arithmetic is emulated on nearly every CPU and never chosen.

    Args:
        device: where the model will run.
    """
    device_type = torch.device(device).type
    fast = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device_type == "cuda"
        else device_type == "cpu" and _cpu_computes_bf16()
    )
    return torch.bfloat16 if fast and not wrong_parts(torch.bfloat16, device_type) else torch.float32


def chosen_dtype(precision: Precision, device: torch.device | str) -> torch.dtype:
    """Return the number type that a precision means on a device.

    Args:
        precision: "fp32", "bf16", or "auto" for :func:`best_inference_dtype`.
        device: where the model will run.

    Raises:
        ValueError: for another name.
        PrecisionError: the device has no right kernel in bf16 for a part of the towers; names them.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(get_args(Precision))}")
    if precision == "auto":
        return best_inference_dtype(device)
    if precision == "fp32":
        return torch.float32
    refuse_wrong(torch.bfloat16, device)
    return torch.bfloat16


def refuse_wrong(dtype: torch.dtype, device: torch.device | str) -> None:
    """Refuse a number type that a device gets wrong.

    Raises:
        PrecisionError: the device has no right kernel for a part of the towers; names them.
    """
    device_type = torch.device(device).type
    wrong = wrong_parts(dtype, device_type) if dtype != torch.float32 else ()
    if wrong:
        name = "bf16" if dtype == torch.bfloat16 else str(dtype).removeprefix("torch.")
        raise PrecisionError(
            f"precision is {name}, but torch {torch.__version__} has no right {name} kernel on this machine "
            f"({device_type}) for {', '.join(wrong)}; use precision fp32, or auto, which takes what is right"
        )


@cache
@torch.inference_mode(False)
@torch.enable_grad()
def wrong_parts(dtype: torch.dtype, device_type: str) -> tuple[str, ...]:
    """Names of the parts of a tower that raise in a number type, or give something else than rounded fp32.

    Each is run once in a process, small, forwards and backwards, beside fp32 on the CPU.
    """
    # The answer stays for the process, so it must not depend on the mode in which it was first needed.
    return tuple(
        name for name, (part, inputs) in _parts().items() if not _is_right(part, inputs, dtype, device_type)
    )


@cache
@torch.inference_mode(False)
@torch.enable_grad()
def autocast_runs_lstm(dtype: torch.dtype, device_type: str) -> bool:
    """Whether an LSTM under autocast runs and is right: oneDNN has no bf16 kernel for it without AVX-512."""
    # First weights are drawn: without a fork of the generator a run would draw others after this check.
    with torch.random.fork_rng(devices=[]):
        lstm = nn.LSTM(_WIDTH, _WIDTH, batch_first=True)

    def run(inputs: Sequence[Tensor], computed_in: torch.dtype) -> Tensor:
        with torch.autocast(inputs[0].device.type, dtype, enabled=computed_in == dtype):
            states: Tensor = lstm.to(inputs[0].device)(inputs[0].float())[0]
        return states

    return _is_right(run, (_sample(2, 5, _WIDTH),), dtype, device_type)


def multiplies_bytes() -> bool:
    """Return whether this CPU has an instruction for sums of int8 products: VNNI or AMX on x86."""
    return any(processor_features().get(name, False) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def _cpu_computes_bf16() -> bool:
    """Return whether this CPU multiplies bf16 in hardware: AVX512-BF16 or AMX on x86, BF16 on ARM.

    oneDNN has the last word: it may be told to use less (``ONEDNN_MAX_CPU_ISA``), and then emulates.
    """
    # Names of x86 and of ARM alike; a processor has those of its own kind at most.
    hardware = any(
        processor_features().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
    )
    return hardware and _onednn_computes_bf16()


def _onednn_computes_bf16() -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return True  # A torch that does not say; what is wrong is found by trying.


def processor_features() -> Mapping[str, object]:
    """What the processor can do, as far as PyTorch says; older releases know three features of x86."""
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities: Mapping[str, object] = torch.cpu.get_capabilities()
        return capabilities
    probes = {
        "avx512_vnni": "_is_vnni_supported",
        "avx512_bf16": "_is_avx512_bf16_supported",
        # Every processor with tiles so far multiplies both types by them.
        "amx_bf16": "_is_amx_tile_supported",
        "amx_int8": "_is_amx_tile_supported",
    }
    return {name: getattr(torch.cpu, probe, bool)() for name, probe in probes.items()}


_WIDTH = 64
_TowerPart = Callable[[Sequence[Tensor], torch.dtype], Tensor]


def _sample(*shape: int) -> Tensor:
    """Numbers of the size that norms leave, the same in every process."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _is_right(part: _TowerPart, inputs: Sequence[Tensor], dtype: torch.dtype, device_type: str) -> bool:
    """Whether a part gives in ``dtype`` what it gives in fp32 on a CPU, and its first gradient too."""
    expected = _run(part, inputs, torch.float32, "cpu")
    try:
        actual = _run(part, inputs, dtype, device_type)
    except (NotImplementedError, RuntimeError, TypeError):
        return False
    return all(
        # Comparisons with NaN are False, so NaN and infinity are wrong too.
        bool((rounded - exact).abs().max() <= _LARGEST_ERROR * exact.abs().max())
        for rounded, exact in zip(actual, expected, strict=True)
    )


def _run(
    part: _TowerPart, inputs: Sequence[Tensor], dtype: torch.dtype, device_type: str
) -> tuple[Tensor, Tensor]:
    """Result of a part and its gradient by the first input, in fp32 on the CPU."""
    with torch.autocast(device_type, enabled=False):
        # Rounded first: only what the part itself does wrong counts.
        rounded = [tensor.to(torch.bfloat16).to(device_type, dtype).requires_grad_() for tensor in inputs]
        result = part(rounded, dtype)
        # Weighted, since in a plain sum errors of opposite signs cancel.
        weights = _sample(*result.shape).to(device_type)
        (gradient,) = torch.autograd.grad((result.float() * weights).sum(), rounded[0])
    return result.detach().float().cpu(), gradient.float().cpu()


def _parts() -> dict[str, tuple[_TowerPart, tuple[Tensor, ...]]]:
    """What a tower is made of, with small inputs."""
    return {
        "matrix products": (
            lambda x, _: functional.linear(x[0], x[1], x[2]),
            (_sample(48, _WIDTH), _sample(256, _WIDTH), _sample(256)),
        ),
        "convolution": (
            lambda x, _: functional.conv2d(x[0], x[1], stride=8),
            (_sample(2, 3, 32, 32), _sample(_WIDTH, 3, 8, 8)),
        ),
        "layer norm": (
            lambda x, _: functional.layer_norm(x[0], (_WIDTH,), x[1], x[2]),
            (_sample(48, _WIDTH), _sample(_WIDTH), _sample(_WIDTH) + 1),
        ),
        "attention": (
            lambda x, _: functional.scaled_dot_product_attention(x[0], x[1], x[2]),
            # Samples of one shape are equal (the seed is the sum of its sizes), so these are moved apart.
            (_sample(2, 2, 17, 32), _sample(2, 2, 17, 32) + 1, _sample(2, 2, 17, 32) - 1),
        ),
    }
