"""Processes that are killed at random moments, and what the long tests ask of the environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def count(name: str, default: int) -> int:
    """Return how often a test does what it does: the environment's ``VIDSIFT_SOAK_{name}`` or the default."""
    return int(os.environ.get(f"VIDSIFT_SOAK_{name}", default))


def start(arguments: Sequence[str], log: Path) -> subprocess.Popen[str]:
    """Start Python in a session of its own; what it says of trouble goes to ``log``."""
    with log.open("a", encoding="utf-8") as errors:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def kill(process: subprocess.Popen[str]) -> bool:
    """Kill the process, not its workers; return whether it was still alive."""
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def assert_nobody_left(process: subprocess.Popen[str], patience_seconds: float = 120) -> None:
    """Wait until the workers of an ended process have ended too."""
    until = time.monotonic() + patience_seconds
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        if time.monotonic() > until:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"workers outlived the process {process.pid} by {patience_seconds} s")
        time.sleep(0.05)
