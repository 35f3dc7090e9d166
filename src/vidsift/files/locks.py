"""Locks on files: one process does a thing in a folder, and its lock ends with it, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vidsift.errors import LockHeldError

__all__ = ["hold_lock", "try_lock", "unlock"]

_NUMBER_AT = 1
"""Where the number of the process stands in a lock file: behind the byte that is locked, so that others may
read it, which Windows refuses of a locked byte."""


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold a lock file, in which the number of this process stands meanwhile; the file stays.

    Raises:
        LockHeldError: another process holds it.
        OSError: the file cannot be written.
    """
    # "r+b" makes no file, and "wb" would empty it under the process that holds it.
    path.touch()
    # Without a buffer: the number has to be in the file before another process looks.
    with path.open("r+b", buffering=0) as file:
        if not try_lock(file):
            raise LockHeldError(path, _number_in(file))
        file.seek(0)
        file.truncate()
        file.write(f"\n{os.getpid()}\n".encode())
        try:
            yield
        finally:
            unlock(file)


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file, from its place on; return False if another process holds it."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
    else:
        import fcntl

        try:
            # flock and not lockf: POSIX locks end when any other handle of the file in this process closes.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def unlock(file: BinaryIO) -> None:
    """Release a lock now, also where a process that was forked meanwhile has the file open."""
    if sys.platform == "win32":
        import msvcrt

        # msvcrt unlocks from the place on, which has to be the byte that was locked.
        file.seek(0)
        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)


def _number_in(file: BinaryIO) -> int | None:
    try:
        file.seek(_NUMBER_AT)
        return int(file.read(32))
    except (OSError, ValueError):
        return None
