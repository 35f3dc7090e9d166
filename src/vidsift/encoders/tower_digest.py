"""Tell one frozen tower, as it is now, from others: what is kept of its results belongs to its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["tower_hasher"]


def tower_hasher(facts: Sequence[Any], tower: nn.Module, projection: nn.Linear) -> _Hash:
    """Begin a SHA-256 with what a tower's results depend on.

    Args:
        facts: what else they depend on, as JSON can hold it; what it cannot goes in as text.
        tower: of which every weight counts.
        projection: what its tokens go through last.
    """
    hasher = hashlib.sha256(json.dumps(list(facts), sort_keys=True, default=str).encode())
    weights = {**tower.state_dict(), "projection": projection.weight}
    for name, value in sorted(weights.items()):
        hasher.update(name.encode())
        # In fp32: numpy has no bf16.
        hasher.update(value.detach().float().cpu().numpy().tobytes())
    return hasher
