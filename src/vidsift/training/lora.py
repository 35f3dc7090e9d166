"""LoRA: the towers stay as they are, and small products of matrices beside their linear layers learn."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidsift.methods.base import Method

__all__ = ["LoraLinear", "add_lora", "frozen_digest", "frozen_names", "is_adapter", "merged"]


class LoraLinear(nn.Linear):
    """A linear layer whose own weights stay, plus ``alpha / rank`` times a product of two that learn.

    Its weights keep their names, beside them stand ``lora_down`` ``(rank, in)`` and ``lora_up``
    ``(out, rank)``. It begins as the layer itself: ``lora_up`` is 0.

    Args:
        linear: whose weights are taken, not copied.
        rank: of the product.
        alpha: the product's share is ``alpha / rank``.

    Source: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022), Eq. 3 and section
        4.1; the start of ``lora_down`` as in microsoft/LoRA loralib/layers.py.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        """See the class."""
        # Without memory of its own: the weights are those of the layer.
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.share = alpha / rank
        self.lora_down = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.lora_up = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Linear's name
        """Return the layer's output with the share of the product."""
        through = F.linear(F.linear(input, self.lora_down), self.lora_up)
        return super().forward(input) + self.share * through

    def as_linear(self) -> nn.Linear:
        """Return an ordinary layer that computes the same, to rounding."""
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        linear.weight = nn.Parameter(
            self.weight.detach() + self.share * (self.lora_up @ self.lora_down).detach()
        )
        linear.bias = self.bias
        return linear


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is LoRA's."""
    return name.endswith((".lora_down", ".lora_up"))


def add_lora(method: Method, *, rank: int, alpha: float, layers: Sequence[str]) -> None:
    """Exchange linear layers in the blocks of both towers for :class:`LoraLinear`.

    Args:
        method: its towers are changed; its new weights are drawn from torch's generator.
        rank: of every product.
        alpha: likewise.
        layers: their names in a block: q_proj, k_proj, v_proj, out_proj (attention), fc1, fc2 (perceptron).

    Raises:
        ValueError: the towers have no layers of these names, or narrower ones than the rank.
    """
    chosen = [
        (parent, key, child)
        for parent in method.towers.modules()
        for key, child in parent.named_children()
        if key in layers and isinstance(child, nn.Linear)
    ]
    if not chosen:
        raise ValueError(f"the towers have no layers {', '.join(layers)}")
    for parent, key, linear in chosen:
        narrow = min(linear.in_features, linear.out_features)
        if rank >= narrow:
            raise ValueError(f"lora.rank is {rank}, expected less than {narrow}, the channels of {key}")
        setattr(parent, key, LoraLinear(linear, rank, alpha))


@contextmanager
def merged(method: Method) -> Iterator[None]:
    """Let a method be an ordinary one inside: its LoRA layers are linear layers of merged weights."""
    layers = [
        (parent, key, child)
        for parent in method.modules()
        for key, child in parent.named_children()
        if isinstance(child, LoraLinear)
    ]
    try:
        for parent, key, lora in layers:
            setattr(parent, key, lora.as_linear())
        yield
    finally:
        for parent, key, lora in layers:
            setattr(parent, key, lora)


def frozen_names(method: nn.Module) -> set[str]:
    """Names in the state dict of what LoRA leaves as it was: the towers, but for the scale of the loss.

    Empty for a method without LoRA.
    """
    names = set(method.state_dict(keep_vars=True))
    if not any(map(is_adapter, names)):
        return set()
    still = {name for name in names if name.startswith("towers.") and not is_adapter(name)}
    return {name for name in still if not name.endswith(".logit_scale")}


def frozen_digest(method: Method) -> str:
    """Digest of what :func:`frozen_names` names; empty where that is nothing."""
    names, digest = frozen_names(method), hashlib.sha256()
    for name, value in sorted(method.state_dict().items()):
        if name in names:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest() if names else ""
