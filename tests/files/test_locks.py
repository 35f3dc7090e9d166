from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidsift.errors import LockHeldError
from vidsift.files.locks import hold_lock


def test_who_holds_a_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text("left behind by one who was killed, and longer than a number")
    with hold_lock(path):
        assert path.read_bytes() == f"\n{os.getpid()}\n".encode()
        with (
            pytest.raises(LockHeldError, match=rf"is held by process {os.getpid()}; wait until") as taken,
            hold_lock(path),
        ):
            pass
        assert taken.value.process == os.getpid()
        path.write_text("")  # as in the moment before the number is written
        with pytest.raises(LockHeldError, match="is held by another process") as taken, hold_lock(path):
            pass
        assert taken.value.process is None
    with hold_lock(path):
        pass


def test_a_lock_is_let_go_where_a_process_was_forked(tmp_path: Path) -> None:
    """A process that was forked meanwhile has the file open: closing it here would not be enough."""
    path = tmp_path / "a.lock"
    with hold_lock(path):
        numbers = [number for number in range(3, 64) if _opens(number, path)]
        other = os.dup(numbers[0])
    try:
        with hold_lock(path):
            pass
    finally:
        os.close(other)


def _opens(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        return False
