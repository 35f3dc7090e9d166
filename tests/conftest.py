"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

MEDIA = Path(os.environ.get("VIDSIFT_MEDIA", Path(__file__).parents[2] / "shared" / "media"))


@pytest.fixture
def media() -> Callable[[str], Path]:
    """Give the path of a real video file; skip the test where it is not at hand."""

    def path_of(name: str) -> Path:
        path = MEDIA / name
        if not path.exists():
            pytest.skip(f"{name} is not in {MEDIA} (set VIDSIFT_MEDIA)")
        return path

    return path_of
