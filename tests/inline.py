"""What runs in a limited process, run in this one: a process takes seconds to start."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from vidsift.workers.sandbox import Sandbox

__all__ = ["InlineSandbox"]

P = ParamSpec("P")
T = TypeVar("T")


class InlineSandbox(Sandbox):
    """Calls functions where it is called itself."""

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function."""
        return function(*args, **kwargs)
