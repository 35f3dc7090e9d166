"""Which segments a search scans: all of them, or what a cheaper look leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.search.gallery import Gallery
from vidsift.types import Features

__all__ = ["Preselection", "all_segments"]

Preselection: TypeAlias = Callable[[Gallery, Features], NDArray[np.bool_]]
"""Prepared texts to the segments that are scanned for any of them: bool ``(V,)``.

Nearest pooled vectors or an approximate index would be another function of this form; what follows it (scan,
exact scores, filters) does not change.
"""


def all_segments(gallery: Gallery, _texts: Features) -> NDArray[np.bool_]:
    """Every segment: the scan is complete."""
    return np.ones(len(gallery), np.bool_)
