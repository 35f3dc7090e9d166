"""What a process of a pool may do with a task, a word; imported there, so nothing here imports much."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import cast

from vidsift.workers.plain_values import encode
from vidsift.workers.pool import Work

MIB = 1 << 20


def letters(task: str, /, *, on_progress: Callable[[], None]) -> Iterator[str]:
    """Yield the letters of a word and then a full stop; some words do harm first."""
    if task == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "hang":
        time.sleep(600)
    if task == "eat":
        bytearray(2 << 30)
    if task == "raise":
        raise KeyError("what was looked for")
    if task == "slow":
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            time.sleep(0.2)
            on_progress()
    if task == "lie":
        yield cast("str", 1)
    yield from task
    yield "."


def linger(connection: Connection, _work: Work[str, str]) -> None:
    """Stand for a process that a task called bad ends, but hangs in ending."""
    connection.send_bytes(b".")
    while True:
        if connection.recv() == "bad":
            connection.close()
            time.sleep(600)
        connection.send_bytes(b"=" + encode("."))


def die(*_: object) -> None:
    """Stand for a process that ends before it begins."""
    os._exit(3)
