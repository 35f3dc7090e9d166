"""A process with limits: what reads other people's files may hang, eat all memory or crash, and ends alone.

Limits and not a jail: such a process may do what its user may, but neither for long nor with all the memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from vidsift.errors import ProcessStartError
from vidsift.workers.memory import EXIT_OUT_OF_MEMORY, limit_memory

__all__ = ["START_SECONDS", "LimitedProcess", "ProcessLimits", "SilenceTimer", "not_started"]

START_SECONDS = 120.0
"""How long a process may take to begin: it imports its program anew."""

_END_SECONDS = 5.0
_LONGEST_STEP_SECONDS = 1.0


@dataclass(frozen=True)
class ProcessLimits:
    """What a process may take for one piece of work.

    Attributes:
        time_limit_seconds: without a sign of progress; while the computer sleeps no time passes.
        memory_limit_bytes: beyond what the process held when it was ready to begin.
    """

    time_limit_seconds: float = 120.0
    memory_limit_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        """Refuse limits that nothing could keep."""
        if not 0 < self.time_limit_seconds < float("inf"):
            raise ValueError(f"time_limit_seconds is {self.time_limit_seconds}, expected seconds above 0")
        if self.memory_limit_bytes < 1 << 20:
            raise ValueError(f"memory_limit_bytes is {self.memory_limit_bytes}, expected at least 1 MiB")


class SilenceTimer:
    """How long a process has been silent, summed over looks of which each counts for one second at most.

    So neither a laptop that slept nor a caller that was busy elsewhere counts as silence.
    """

    def __init__(self) -> None:
        """Begin now."""
        self.restart()

    def restart(self) -> None:
        """There was a sign of life: count from now."""
        self._last = time.monotonic()
        self._seconds = 0.0

    def seconds(self) -> float:
        """Return the seconds since the last sign of life; call at least every second."""
        now = time.monotonic()
        self._seconds += min(now - self._last, _LONGEST_STEP_SECONDS)
        self._last = now
        return self._seconds


class LimitedProcess:
    """A process with a pipe and a memory limit, which ends with its parent however that ends.

    It is spawned, not forked: a fork of a process with torch's threads may hang.

    Args:
        target: module-level function, called in the process with its end of the pipe and ``arguments``.
        arguments: further arguments of ``target``.
        memory_limit_bytes: what it may take beyond what it begins with.

    Attributes:
        connection: this end of the pipe.
        killed: whether :meth:`kill` was called.
    """

    def __init__(
        self, target: Callable[..., None], arguments: tuple[object, ...], memory_limit_bytes: int
    ) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        parent_end, child_end = context.Pipe()
        self.connection: Connection = parent_end
        self.killed = False
        self._memory_limit_bytes = memory_limit_bytes
        self._process = context.Process(
            target=_begin, args=(target, child_end, memory_limit_bytes, arguments), daemon=True
        )
        self._process.start()
        # Held open here as well, the pipe would not come to its end when the process does.
        child_end.close()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def ending(self) -> str:
        """Say how it ended, for the end of a sentence that begins with what ran in it."""
        self._process.join(timeout=_END_SECONDS)
        code = self._process.exitcode
        if code is None:
            return "closed its pipe and did not end"
        if code == EXIT_OUT_OF_MEMORY:
            return f"needs more than {_size(self._memory_limit_bytes)} of memory"
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"crashed ({how})"

    def receive(self) -> bytes:
        """Return what it sent.

        Raises:
            EOFError, OSError: it has ended, or sends more than it may hold.
        """
        return self.connection.recv_bytes(self._memory_limit_bytes)

    def kill(self) -> None:
        """Kill it; whoever waits for its answer learns that it ended."""
        self.killed = True
        self._process.kill()

    def end(self) -> None:
        """Stop it, whatever it is doing."""
        self.connection.close()
        self._process.terminate()
        self._process.join(timeout=_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            # A process that waits for a dead disk cannot be killed either: do not wait for it here.
            self._process.join(timeout=_END_SECONDS)


def not_started(how: str) -> ProcessStartError:
    """Return the error for a process that ended before it began, ``how`` says in what way."""
    return ProcessStartError(
        f"a process could not be started: it {how}; Python has to be able to start itself, and there has to "
        "be memory for it. In a program of your own, whatever starts processes has to stand below "
        'if __name__ == "__main__": since each of them imports that program anew'
    )


def _begin(
    target: Callable[..., None], connection: Connection, limit_bytes: int, arguments: tuple[object, ...]
) -> None:
    """First thing in the process."""
    # Ctrl-C reaches the whole group of processes; the main process decides what is finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    # Not by the pipe: a decoder that hangs would not notice that it is closed.
    threading.Thread(target=end_with_parent, daemon=True).start()
    # After the imports, which unpickling the target needed: the limit is for the work.
    limit_memory(limit_bytes)
    target(connection, *arguments)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
