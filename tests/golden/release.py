"""Weights under the names of the released projects, renamed for the tests."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from vidsift.encoders.temporal import temporal_weights_from_release

_CROSS = {
    "cross.embeddings.position_embeddings.weight": "positions",
    "cross.pooler.ln_pool.weight": "pool_norm.weight",
    "cross.pooler.ln_pool.bias": "pool_norm.bias",
    "cross.pooler.dense.weight": "pool.weight",
    "cross.pooler.dense.bias": "pool.bias",
    "similarity_dense.weight": "out.weight",
    "similarity_dense.bias": "out.bias",
}


def cross_weights_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the released cross transformer (``cross.*``, ``similarity_dense.*``); every key is taken."""
    blocks = {
        re.sub(r"^cross\.transformer", "transformerClip", key): value
        for key, value in weights.items()
        if key.startswith("cross.transformer.")
    }
    renamed = temporal_weights_from_release(blocks)
    for key, value in weights.items():
        if not key.startswith("cross.transformer."):
            renamed[_CROSS[key]] = value
    return renamed
