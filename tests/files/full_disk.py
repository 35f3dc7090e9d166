"""A disk that takes no more, for tests: files of this process may not grow beyond a limit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def full_disk(most_bytes: int = 0) -> Iterator[None]:
    """Let every write beyond ``most_bytes`` of a file fail inside, in Python and below it."""
    if sys.platform == "win32":
        pytest.skip("this system limits no sizes of files")
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
