"""How the blocks of transformers run in training: which attention, computed again, or compiled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vidsift.encoders.clip import AttentionKind
from vidsift.encoders.vision_block import attend_in_blocks_by
from vidsift.errors import RecipeError
from vidsift.methods.base import Method

__all__ = ["compiling", "require_compiler", "set_attention", "wrap_blocks"]

_CPU = torch.device("cpu")
_BLOCK = re.compile(r"(?:^|\.)(?:layers|blocks)\.\d+$")
_VISION_BLOCK = re.compile(r"\.vision_model\.")


def set_attention(
    method: Method,
    attention: AttentionKind,
    dtype: torch.dtype = torch.float32,
    device: torch.device = _CPU,
) -> None:
    """Choose how the towers and the blocks like theirs attend; what they compute stays, but for rounding.

    Args:
        method: whose blocks.
        attention: as a recipe says it; ``"sdpa"`` is eager in bf16 on a CPU, where the gradient of torch's
            fused attention is slow (torch 2.13), and as it is called everywhere else.
        dtype: what the towers compute in.
        device: where they compute.
    """
    if dtype == torch.bfloat16 and device.type == "cpu":
        attention = "eager"
    method.towers.set_attention(attention)
    # Blocks outside of the towers (PIDRo's for cubes) have a config of their own.
    attend_in_blocks_by(method, attention)


def wrap_blocks(
    method: Method, *, recomputed: bool = False, compiled: bool = False, backend: str = "inductor"
) -> int:
    """Change how the blocks of the towers and of what follows them are run; what they compute stays.

    Args:
        method: whose blocks; its weights and their names stay as they are.
        recomputed: store only what enters a block, and compute what is inside again for the gradient
            (gradient checkpointing), with the same random numbers: the same gradients to the bit for about a
            third more time, and a small part of the memory.
        compiled: let torch compile each block; the first steps take long, results are rounded otherwise.
        backend: what compiles, as :func:`torch.compile` calls it.

    Returns:
        How many blocks there are.
    """

    def wrapped(run: Callable[..., Any]) -> Callable[..., Any]:
        run = torch.compile(run, backend=backend) if compiled else run
        return _recomputed(run) if recomputed else run

    count = 0
    for block in _blocks(method):
        block.forward = wrapped(block.forward)
        count += 1
    towers = method.towers
    towers.run_vision_block = wrapped(towers.run_vision_block)
    return count + towers.vision_blocks


def _blocks(method: Method) -> Iterator[nn.Module]:
    """Blocks that are run by calling them: those of the vision tower are run by hand."""
    for name, module in method.named_modules():
        if _BLOCK.search(name) and not (name.startswith("towers.") and _VISION_BLOCK.search(name)):
            yield module


def _recomputed(run: Callable[..., Any]) -> Callable[..., Any]:
    def run_block(*inputs: Any, **more: Any) -> Any:
        if not torch.is_grad_enabled():
            return run(*inputs, **more)
        return checkpoint(run, *inputs, use_reentrant=False, **more)

    return run_block


def require_compiler() -> None:
    """Make sure that :func:`torch.compile` works here.

    Raises:
        RecipeError: it does not; says why.
    """
    try:
        torch.compile(lambda numbers: numbers.sin() + 1)(torch.ones(2))
    except Exception as error:  # of many kinds: no compiler, no support for this Python or system
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RecipeError(
            f"compile is true, but torch.compile does not work here: {reason}. Install a C++ compiler "
            "(on Linux g++, on macOS the command line tools of Xcode), or leave compile out"
        ) from error


@contextmanager
def compiling(compiled: bool) -> Iterator[None]:
    """Say in one line why a block could not be compiled inside: each is when it is first run.

    Args:
        compiled: whether blocks are compiled at all.

    Raises:
        RecipeError: with the reason.
    """
    if not compiled:
        yield
        return
    # Takes seconds to import, and only who compiles needs it.
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RecipeError(
            f"compile is true, but torch.compile could not compile a block: {reason}. Leave compile out, or "
            "run the same command again where something ended the compiler"
        ) from error
