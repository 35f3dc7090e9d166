"""Processes in which files are decoded: bounded in time and memory, a few side by side, kept warm."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from vidsift.workers.sandbox import Sandbox

__all__ = ["Decoders"]

T = TypeVar("T")


class Decoders:
    """Runs functions of light modules in separate, limited processes, without holding up the event loop.

    Args:
        number: processes side by side; they start with their first work.
        seconds: that one piece of work may take.
        memory_bytes: that a process may use.
    """

    def __init__(self, number: int, seconds: float, memory_bytes: int) -> None:
        """See the class."""
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="vidsift-decode")
        self._box = Sandbox(seconds, memory_bytes, number)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function of a module in one of the processes.

        Raises:
            SandboxError: it crashed, or took too long or too much memory.
            ValueError, OSError: as the function raises them.
        """
        work = partial(self._box.run, function, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def kill(self) -> None:
        """End what runs as it is."""
        self._box.kill()

    def close(self, seconds: float) -> None:
        """Finish what runs, for so long at most, and end the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        ending = threading.Timer(seconds, self._box.kill)
        ending.daemon = True
        ending.start()
        self._threads.shutdown()
        ending.cancel()
        self._box.close()
