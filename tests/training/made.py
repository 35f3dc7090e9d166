"""Batches of made-up videos, and models in training without chance, for tests of losses and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from tests.methods import tiny
from torch import Tensor, nn

from vidsift.data.loading import Batch
from vidsift.encoders.selection import PerturbedTopK
from vidsift.methods.base import Method
from vidsift.methods.model import Model

LONG = "a large blue square grows while a small green star spins in the middle and two triangles move left"


def batch_of(counts: list[int], captions: list[str]) -> Batch:
    """Videos of so many frames, padded to the longest as decoded files are."""
    pixels, times = tiny.videos(counts)
    shape = len(counts), max(counts, default=1)
    batch = Batch(
        np.zeros((*shape, tiny.SIZE_PX, tiny.SIZE_PX, 3), np.uint8),
        np.zeros(shape, bool),
        np.zeros(shape, np.float64),
        captions,
        np.arange(len(counts)),
    )
    for row, count in enumerate(counts):
        batch.pixels[row, :count], batch.times_seconds[row, :count] = pixels[row], times[row]
        batch.mask[row, :count] = True
    return batch


CAPTIONS = ["circle", "two triangles", LONG, "a ring", "a red circle moves left", "a yellow ring blinks"]
FRAMES = [5, 1, 3, 2, 4]


def without_chance(method: str, arguments: Mapping[str, Any]) -> Model:
    """A tiny model that learns, whose encoders draw nothing: no dropout, the same noise for every row."""
    model = tiny.model(method, arguments)
    model.method.train()
    for module in model.method.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
        elif isinstance(module, PerturbedTopK):
            module.forward = partial(_alike, module)  # type: ignore[method-assign]
    return model


def _alike(selector: PerturbedTopK, scores_BN: Tensor, _noise: None = None) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    noise_SN = torch.randn(selector.samples, scores_BN.shape[1], generator=generator)
    return PerturbedTopK.forward(selector, scores_BN, noise_SN.expand(len(scores_BN), -1, -1))


def gradients(method: Method) -> dict[str, Tensor]:
    """The gradients that there are."""
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


def require_equal(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Gradients are equal but for rounding: 1e-5 of each one's norm, or 3e-7 of that of all."""
    assert actual.keys() == expected.keys()
    every = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    for name, gradient in expected.items():
        most = 1e-5 * float(gradient.norm()) + 3e-7 * float(every)
        assert float((actual[name] - gradient).norm()) <= most, name
