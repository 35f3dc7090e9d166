"""Indexing runs in processes that can be killed: torch is imported once, and each run is a fork."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]

# Forks for every line that it reads, before any thread runs; says the run's process, then how it ended.
# lancedb starts a thread as it is imported, so of that only what takes longest is imported before.
_DRIVER = """
import os, sys
import lance_namespace
import torch
from vidsift.cli import calibrate, index
from vidsift.cli import main as program
from vidsift.index import build, encode
from vidsift.methods import model

def meddle(moment):
    pass

{meddle}
torch.set_num_threads(1)
build._COMMIT_VIDEOS = 2
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.setsid()
        meddle(line.strip())
        program.main(sys.argv[1:])
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forked:
    """Runs ``vidsift index`` on ``home/videos`` again and again.

    Args:
        home: has ``videos`` and ``model``.
        index: where the index is.
        meddle: Python that defines ``meddle(moment)``, called in each run before it begins.

    Attributes:
        said: what the runs printed.
    """

    def __init__(self, home: Path, index: Path, meddle: str = "") -> None:
        self.said = ""
        self._log = index.parent / f"errors-{id(self)}.txt"
        arguments = ["index", str(home / "videos"), "--model", str(home / "model"), "--index", str(index)]
        with self._log.open("w", encoding="utf-8") as errors:
            self._driver = subprocess.Popen(
                [sys.executable, "-c", _DRIVER.replace("{meddle}", meddle), *arguments, "--workers", "1"],
                cwd=ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._child = 0

    def __enter__(self) -> Forked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.kill()
        self._driver.communicate()

    @property
    def errors(self) -> str:
        """What the runs wrote to stderr."""
        return self._log.read_text("utf-8")

    def start(self, moment: str = "") -> None:
        """Begin a run; ``moment`` is for what meddles with it."""
        assert self._driver.stdin is not None
        self._driver.stdin.write(f"{moment}\n")
        self._driver.stdin.flush()
        self._child = self._read()

    def wait(self) -> int:
        """Wait for the end of the run, and of its workers; return its exit status."""
        status = self._read()
        while self._workers_run():
            time.sleep(0.01)
        return status

    def run_to_the_end(self) -> float:
        """Run undisturbed; return the seconds that it took."""
        began = time.monotonic()
        self.start()
        assert self.wait() == 0, self.errors
        return time.monotonic() - began

    def run_and_kill(self, after_seconds: float) -> bool:
        """Run and kill the process that writes, not its workers; return whether it was still alive."""
        self.start()
        time.sleep(after_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)
        status = self.wait()
        assert status in (0, -signal.SIGKILL), self.errors
        return status == -signal.SIGKILL

    def _workers_run(self) -> bool:
        try:
            os.killpg(self._child, 0)
        except ProcessLookupError:
            return False
        return True

    def _read(self) -> int:
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        while line and not line.strip().lstrip("-").isdigit():  # what the run says itself
            self.said += line
            line = self._driver.stdout.readline()
        assert line, self.errors
        return int(line)
