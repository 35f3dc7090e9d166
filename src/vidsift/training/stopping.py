"""Ctrl-C and polite kills (SIGTERM): answered by a line and a status, whenever they come."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar

__all__ = ["StopRequests", "StoppedEarly", "starting_up"]

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedEarly(KeyboardInterrupt):
    """Somebody pressed Ctrl-C, or asked the process to end; the run is saved and can go on.

    Attributes:
        status: of the program that ends by it: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        """Keep the line, and which signal it was."""
        super().__init__(message)
        self.status = 128 + number


class _StopWhileIdle(KeyboardInterrupt):
    """Breaks off waiting, where there is nothing that has to be finished first."""


class StopRequests:
    """What a run is asked while it goes on.

    The first request ends what is waited for where the run is idle, and is only noted where it is not; a
    second one ends everything at once.

    Attributes:
        number: of the signal that asked; None while nobody did.
        idle: whether the run waits (for pictures, for others) and may be broken off.
    """

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.number: int | None = None
        self.idle = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer signals inside; in another thread than the main one there are none to answer."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait_for(self, get: Callable[[], T]) -> T | None:
        """Return what is waited for, or None where a request ended the waiting, or came before it."""
        try:
            # Idle first: a signal between the two lines raises, and is not slept through.
            self.idle = True
            if self.number is not None:
                return None
            result = get()
            # Before the return: a signal now must not throw the result away.
            self.idle = False
            return result
        except _StopWhileIdle:
            return None
        finally:
            self.idle = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            raise StoppedEarly(
                "stopped at once: what was done since the last checkpoint is lost. The same command goes on "
                "from there",
                number,
            )
        self.number = number
        if self.idle:
            # Python takes up a blocking call again (PEP 475) unless the handler raises.
            raise _StopWhileIdle


@contextmanager
def starting_up(before: str) -> Iterator[None]:
    """Answer Ctrl-C and SIGTERM inside by a line and the end of the process, where nothing is to be saved.

    The process ends there and then: an exception in the midst of an import may be turned into another one
    by what is imported. What has its own way to answer takes over while it runs (:class:`StopRequests`).

    Args:
        before: what has not happened yet, for the line.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        line = f"vidsift: stopped before {before}; nothing had to be saved, the same command starts again\n"
        with suppress(OSError):
            os.write(2, line.encode())
        os._exit(128 + number)

    handlers = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
