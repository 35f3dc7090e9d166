"""What may go wrong in a process that reads videos; imported there, so nothing here imports torch."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from vidsift.types import Span
from vidsift.video.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(5, "uniform", 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""As the tiny model looks at videos."""


class HangingPreprocessing(Preprocessing):
    """Hangs the process that reads a video longer than 2 s."""

    def wanted_times(self, span: Span) -> Any:
        if span.duration_seconds > 2:
            time.sleep(600)
        return super().wanted_times(span)


class HungryPreprocessing(Preprocessing):
    """Takes 2 GB for a video longer than 2 s."""

    def wanted_times(self, span: Span) -> Any:
        if span.duration_seconds > 2:
            np.ones(2 << 30, np.uint8)
        return super().wanted_times(span)


class MeddlingPreprocessing(Preprocessing):
    """Changes or removes the file named in the environment while a video longer than 2 s is read."""

    def wanted_times(self, span: Span) -> Any:
        victim = Path(os.environ["VICTIM"])
        if span.duration_seconds > 2 and victim.exists():
            if os.environ["MEDDLE"] == "remove":
                victim.unlink()
            else:
                with victim.open("ab") as file:
                    file.write(b"more")
        return super().wanted_times(span)


class DeadlyPreprocessing(Preprocessing):
    """Kills the process that reads a video longer than 2 s."""

    def wanted_times(self, span: Span) -> Any:
        if span.duration_seconds > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().wanted_times(span)


def crash(*_: object) -> bool:
    """Crash as a decoder does."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return True
