"""Start a run as several processes of this machine, and end all of them together.

Nothing here imports torch: the process that only looks after the others stays light.
"""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from vidsift.errors import ProcessEndedError
from vidsift.training.placement import RENDEZVOUS

__all__ = ["ENDED_WITH_ANOTHER", "launch"]

ENDED_WITH_ANOTHER = 70
"""Exit status of a process that ends because another one did."""

_GRACE_SECONDS = 15.0
"""How long the others may take to notice that one has ended, before they are made to."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def launch(run: Callable[..., object], arguments: Mapping[str, Any], processes: int) -> int:
    """Run a function in several processes that train together, until all of them have ended.

    They meet in a file. The first one writes to the console; what another one says on stderr is kept back,
    and shown if that one fails by itself. A signal is handed on to all, Ctrl-C as SIGTERM: a console sends it
    to whole groups, and coming twice it would end them at once. They also end when this process does.

    Args:
        run: of a module; it ends its process by ``SystemExit``, with :data:`ENDED_WITH_ANOTHER` where it only
            follows another one.
        arguments: its keyword arguments, picklable.
        processes: how many.

    Returns:
        The exit status for all: that of the first that failed by itself, 128 + signal after a signal.

    Raises:
        ProcessEndedError: one was killed.
    """
    # A fork of a process in which torch runs threads may hang.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="vidsift-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        children: list[BaseProcess] = []
        for number in range(processes):
            environment = {
                "RANK": str(number),
                "WORLD_SIZE": str(processes),
                "LOCAL_RANK": str(number),
                "LOCAL_WORLD_SIZE": str(processes),
                RENDEZVOUS: (place / "meeting").as_uri(),
            }
            errors = str(place / f"errors{number}") if number else None
            children.append(context.Process(target=_begin, args=(run, dict(arguments), environment, errors)))
        with _handed_on(children) as received:
            for child in children:
                child.start()
            failed = _supervise(children, received)
        if received and any(child.exitcode for child in children):
            return 128 + received[0]
        return 0 if failed is None else _answer(children, failed, place)


def _begin(
    run: Callable[..., object], arguments: dict[str, Any], environment: Mapping[str, str], errors: str | None
) -> None:
    """First thing in a process of the run."""
    if os.name == "posix":
        # Ctrl-C at the console is for the process that looks after this one; it says so by SIGTERM.
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(environment)
    if errors is not None:
        file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 2)
        os.close(file)
    parent = multiprocessing.parent_process()
    assert parent is not None, "it is started by launch"

    def stop_with_parent() -> None:
        parent.join()
        # As if it had been sent: the run is saved, whatever became of the parent.
        _thread.interrupt_main(signal.SIGTERM)

    threading.Thread(target=stop_with_parent, daemon=True).start()
    run(**arguments)


@contextmanager
def _handed_on(children: Sequence[BaseProcess]) -> Iterator[list[int]]:
    """Hand signals on to the processes; yields those that came."""
    received: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if os.name != "posix":
            return  # there a console reaches all processes by itself, and a signal would kill at once
        for child in children:
            if child.pid is not None and child.exitcode is None:
                with suppress(ProcessLookupError):
                    # A third one ends what does not listen.
                    os.kill(child.pid, signal.SIGTERM if len(received) < 3 else signal.SIGKILL)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, hand_on) for number in _SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _supervise(children: Sequence[BaseProcess], received: Sequence[int]) -> int | None:
    """Wait for all; return the number of the first that failed, where one did."""
    failed: int | None = None
    deadline = float("inf")
    while running := [child for child in children if child.exitcode is None]:
        wait([child.sentinel for child in running], timeout=1.0)
        for number, child in enumerate(children):
            # Those that only noticed that another one ended are not the cause.
            if child.exitcode and (failed is None or children[failed].exitcode == ENDED_WITH_ANOTHER):
                failed = number
                deadline = min(deadline, time.monotonic() + _GRACE_SECONDS)
        # Asked to stop, they may take their time: they save what they have.
        if not received and time.monotonic() > deadline:
            for child in running:
                child.kill()
    return failed


def _answer(children: Sequence[BaseProcess], failed: int, place: Path) -> int:
    """Say why a process failed, where nobody did yet, and return its exit status."""
    status = children[failed].exitcode or 0
    if status < 0:
        raise ProcessEndedError(
            f"process {failed} of {len(children)} (counted from 0) was killed by signal {-status}; where the "
            "machine ran out of memory, train with chunk, smaller batches or fewer processes. The others "
            "were ended, and the same command goes on from the last checkpoint"
        )
    said = place / f"errors{failed}"
    # What all of them met, such as a loss that is no number, the first one has said by itself.
    first_failed = (children[0].exitcode or 0) > 0 and children[0].exitcode != ENDED_WITH_ANOTHER
    if said.is_file() and not first_failed:
        sys.stderr.write(said.read_text("utf-8", errors="replace"))
    return status
