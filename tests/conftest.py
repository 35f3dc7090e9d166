"""Fixtures shared by all rooms, the number of threads, and the option that runs the long tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Of small tensors one thread computes as fast as several, which wait for each other by spinning. Torch reads
# it as it is imported, here and in processes that tests start; a test of what threads do sets their number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

if not torch.cuda.is_available():
    # Kernels for a GPU are tested by triton's interpreter, asked for before triton is imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")

MEDIA = Path(os.environ.get("VIDSIFT_MEDIA", Path(__file__).parents[2] / "shared" / "media"))
SOAK = Path(__file__).parent / "soak"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long tests in tests/soak too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out unless they are asked for."""
    if config.getoption("--soak"):
        return
    long = [item for item in items if item.path.is_relative_to(SOAK)]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture
def media() -> Callable[[str], Path]:
    """Give the path of a real video file; skip the test where it is not at hand."""

    def path_of(name: str) -> Path:
        path = MEDIA / name
        if not path.exists():
            pytest.skip(f"{name} is not in {MEDIA} (set VIDSIFT_MEDIA)")
        return path

    return path_of
