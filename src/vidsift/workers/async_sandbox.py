"""A sandbox for an event loop: calls wait in threads, and closing ends what does not finish in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from vidsift.workers.process import ProcessLimits
from vidsift.workers.sandbox import Sandbox

__all__ = ["AsyncSandbox"]

T = TypeVar("T")


class AsyncSandbox:
    """Runs functions of light modules in limited processes, without holding up the event loop.

    Args:
        limits: of each process; the time is that of one call.
        processes: calls that run side by side; they start with their first call.
    """

    def __init__(self, limits: ProcessLimits, processes: int = 1) -> None:
        """See the class."""
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="vidsift-sandbox")
        self._sandbox = Sandbox(limits, processes)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in one of the processes, see :meth:`Sandbox.run`.

        Raises:
            SandboxError: it crashed, or took too long or too much memory.
            ValueError, OSError: as the function raises them.
        """
        call = partial(self._sandbox.run, function, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def kill(self) -> None:
        """End calls that run; each raises SandboxError where it was made."""
        self._sandbox.kill()

    def close(self, seconds: float) -> None:
        """Wait for calls that run, for so long at most, and end the processes."""
        # First, so that no call that waits begins when one that runs is ended.
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = threading.Timer(seconds, self._sandbox.kill)
        deadline.daemon = True
        deadline.start()
        self._threads.shutdown()
        deadline.cancel()
        self._sandbox.close()
