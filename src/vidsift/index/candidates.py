"""First stage of a search: which segments are worth scoring with the interaction. Today: all of them.

A later stage (nearest pooled vectors, an approximate index) is another function of this form; what follows
it (scan, exact scores, filters) does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.index.reading import Gallery
from vidsift.types import Features

__all__ = ["FirstStage", "all_segments"]

FirstStage: TypeAlias = Callable[[Gallery, Features], NDArray[np.bool_]]
"""Prepared texts to the segments that are scored for any of them: bool ``(V,)``."""


def all_segments(gallery: Gallery, _texts: Features) -> NDArray[np.bool_]:
    """Every segment: the search is exact."""
    return np.ones(len(gallery), np.bool_)
