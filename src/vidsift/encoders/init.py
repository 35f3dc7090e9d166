"""First weights of a part into which nothing is copied."""

from __future__ import annotations

from torch import nn

__all__ = ["init_linears"]


def init_linears(*parts: nn.Module) -> None:
    """Draw the weights of every linear layer in the parts from N(0, 0.02), in their order; biases are 0.

    Source: CLIP4Clip, foolwood/DRL and TS2-Net, ``init_weights`` of their models: all that follows the towers
        starts so.
    """
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
