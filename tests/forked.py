"""Programs in processes of their own, which can be killed: torch is imported once, and each is a fork.

A fresh interpreter that imports torch and transformers takes seconds. One process imports them for all tests,
starts no thread, and forks for each program that it is asked to run.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["FORKING", "SLOWLY", "Process", "program", "until", "vidsift"]

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 240

FORKING = """
import multiprocessing
contexts = multiprocessing.get_context
multiprocessing.get_context = lambda kind=None: contexts("fork" if kind == "spawn" else kind)
"""
"""Run before a program: its own processes are forks too. It has to run no thread when it starts them."""

SLOWLY = """
import time
train_step = trainer.Trainer._train_step
trainer.Trainer._train_step = lambda self, batch: (time.sleep(0.2), train_step(self, batch))[1]
"""
"""Run before a program: a step of training takes so long that the program is met in the middle of a run."""

# Each line that it reads is a program; it answers with the number of its process, and writes down its end.
# lancedb starts a thread as it is imported, so of that only what takes longest is imported before.
_SERVER = """
import json, os, select, signal, sys
import lance_namespace
import torch, transformers
from transformers import CLIPModel, CLIPTokenizer
import vidsift.cli.main
from vidsift.cli import ablate, calibrate, index, train
from vidsift.index import build, encode
from vidsift.methods import catalog, model
from vidsift.training import trainer

torch.set_num_threads(1)
children = {}

def run(asked):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, number in ((os.devnull, 0), (asked["said"], 1), (asked["errors"], 2)):
        os.dup2(os.open(place, os.O_RDWR | os.O_APPEND), number)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.argv = ["program", *asked["arguments"]]
    # As an interpreter that was started for it: what is raised ends it, threads are waited for.
    import __main__
    exec(compile(asked["code"], "<program>", "exec"), __main__.__dict__)

def bury(options):
    while children:
        number, status = os.waitpid(-1, options)
        if not number:
            return
        place = children.pop(number)
        with open(place + ".new", "w") as file:
            file.write(str(os.waitstatus_to_exitcode(status)))
        os.replace(place + ".new", place)

while True:
    if select.select([sys.stdin], [], [], 0.02 if children else None)[0]:
        line = sys.stdin.buffer.raw.readline()
        if not line:
            sys.exit()
        asked = json.loads(line)
        child = os.fork()
        if not child:
            run(asked)
            sys.exit()
        children[child] = asked["ended"]
        print(child, flush=True)
    bury(os.WNOHANG)
"""


class Process:
    """A program that was started; what it says goes to files.

    Attributes:
        pid: of the process, which leads a group of its own.
    """

    def __init__(self, pid: int, place: Path) -> None:
        self.pid, self._place = pid, place

    @property
    def said(self) -> str:
        """What it has written to stdout so far."""
        return self._place.with_suffix(".said").read_text("utf-8")

    @property
    def errors(self) -> str:
        """What it has written to stderr so far."""
        return self._place.with_suffix(".errors").read_text("utf-8")

    @property
    def status(self) -> int | None:
        """Its exit status, as of :class:`subprocess.Popen`; None while it runs."""
        try:
            return int(self._place.with_suffix(".ended").read_text("ascii"))
        except FileNotFoundError:
            return None

    def wait(self) -> int:
        """Wait for its end, and for that of all that it started; return its exit status."""
        until(lambda: self.status is not None and not self._group_runs())
        assert self.status is not None
        return self.status

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true, which has to come about before the program ends."""

        def come() -> bool:
            assert true() or self.status is None, f"it ended before: {self.said}{self.errors}"
            return true()

        until(come)

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal, to its group of processes where that is said; none where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def _group_runs(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def vidsift(*arguments: str, before: str = "") -> Process:
    """Start the command line in a fork.

    Args:
        arguments: of the program.
        before: Python that runs before it, such as what meddles with it.
    """
    return program(f"{before}\nfrom vidsift.cli.main import main\nmain(sys.argv[1:])\n", *arguments)


def program(code: str, *arguments: str) -> Process:
    """Start a program in a fork; skip the test where there are no forks.

    Args:
        code: Python, with ``os`` and ``sys`` at hand.
        arguments: in its ``sys.argv``.
    """
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    server, folder = _server()
    handle, name = tempfile.mkstemp(dir=folder.name)
    os.close(handle)
    place = Path(name)
    files = {kind: str(place.with_suffix(f".{kind}")) for kind in ("said", "errors", "ended")}
    for kind in ("said", "errors"):
        Path(files[kind]).touch()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps({"code": code, "arguments": arguments, **files}) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the process that forks has ended"
    return Process(int(answer), place)


@functools.cache
def _server() -> tuple[subprocess.Popen[str], tempfile.TemporaryDirectory[str]]:
    """The process that forks, and where programs write."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)  # it ends as its stdin is closed
    return server, tempfile.TemporaryDirectory(prefix="forked-")
