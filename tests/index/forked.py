"""Indexing runs in processes that can be killed."""

from __future__ import annotations

from pathlib import Path

from tests.forked import Process, vidsift


class Forked:
    """Runs ``vidsift index`` on ``home/videos`` again and again.

    Args:
        home: has ``videos`` and ``model``.
        index: where the index is.
        meddle: Python that defines ``meddle(moment)``, called in each run before it begins.
    """

    def __init__(self, home: Path, index: Path, meddle: str = "def meddle(moment): pass") -> None:
        self._arguments = ["index", str(home / "videos"), "--model", str(home / "model"), "--workers", "1"]
        self._arguments += ["--index", str(index)]
        self._meddle = f"build._COMMIT_VIDEOS = 2\n{meddle}"
        self._runs: list[Process] = []

    @property
    def said(self) -> str:
        """What the runs printed."""
        return "".join(run.said for run in self._runs)

    @property
    def errors(self) -> str:
        """What the runs wrote to stderr."""
        return "".join(run.errors for run in self._runs)

    def start(self, moment: str = "") -> None:
        """Begin a run; ``moment`` is for what meddles with it."""
        self._runs.append(vidsift(*self._arguments, before=f"{self._meddle}\nmeddle({moment!r})"))

    def wait(self) -> int:
        """Wait for the end of the run, and of its workers; return its exit status."""
        return self._runs[-1].wait()
