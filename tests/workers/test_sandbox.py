from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import pytest

from vidsift.errors import SandboxError, VideoReadError
from vidsift.video import probe
from vidsift.workers.memory import limit_memory
from vidsift.workers.process import ProcessLimits
from vidsift.workers.sandbox import Sandbox

_SOME = 300 << 20


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(ProcessLimits(memory_limit_bytes=_SOME)) as made:
        yield made
    assert not multiprocessing.active_children()


def _take(count: int) -> int:
    return len(bytearray(count))


def _take_slowly(count: int) -> None:
    limit_memory(50 << 20, watch=True)
    held = bytearray(b"x") * count
    time.sleep(600)
    del held


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _fail() -> None:
    raise KeyError("a fault of ours")


def _lambda() -> object:
    return lambda: None


def _lie() -> int:
    return cast("int", "no number")


class _Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self._path, "w")


def _take_over(path: str) -> int:
    data = pickle.dumps(_Harmful(path))
    connection = next(item for item in gc.get_objects() if isinstance(item, Connection) and not item.closed)
    connection.send_bytes(data)
    os._exit(0)


class _StrangeError(ValueError):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def _strange() -> None:
    raise _StrangeError(1, 2)


def test_a_function_runs_elsewhere_and_the_process_stays_warm(box: Sandbox) -> None:
    first = box.run(os.getpid)
    assert first != os.getpid()
    assert box.run(os.getpid) == first
    assert box.run(sorted, [2, 3, 1], reverse=True) == [3, 2, 1]


def test_what_the_function_raises_comes_back(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello")
    with pytest.raises(VideoReadError, match="is not a video") as caught:
        box.run(probe, tmp_path / "a.mp4")
    assert caught.value.path == tmp_path / "a.mp4"
    with pytest.raises(FileNotFoundError):
        box.run(os.stat, tmp_path / "absent")
    with pytest.raises(ValueError, match="1 and 2"):
        box.run(_strange)
    with pytest.raises(SandboxError, match="unexpected KeyError: 'a fault of ours'"):
        box.run(_fail)
    with pytest.raises(SandboxError, match="unexpected TypeError: function is not sent"):
        box.run(_lambda)
    with pytest.raises(SandboxError, match="answered with something else than was asked for"):
        box.run(_lie)
    assert box.run(max, 2, 3) == 3


def test_an_answer_that_is_a_pickle_is_not_unpickled(box: Sandbox, tmp_path: Path) -> None:
    """A process that a file has taken over can send what it wants; none of it is run here."""
    with pytest.raises(SandboxError, match="answered with"):
        box.run(_take_over, str(tmp_path / "was-run"))
    assert not (tmp_path / "was-run").exists()
    assert box.run(max, 2, 3) == 3


def test_too_much_memory_is_said_and_the_next_call_works(box: Sandbox) -> None:
    assert box.run(_take, 100 << 20) == 100 << 20
    with pytest.raises(SandboxError, match="needs more than 300 MiB of memory"):
        box.run(_take, 2 * _SOME)
    assert box.run(_take, 100 << 20) == 100 << 20


def test_where_the_system_keeps_no_limit_the_process_looks_itself(box: Sandbox) -> None:
    with pytest.raises(SandboxError, match="needs more than 300 MiB of memory"):
        box.run(_take_slowly, 200 << 20)


def test_a_crash_is_said_and_the_next_call_works(box: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"crashed \(signal 11\)"):
        box.run(_kill)
    assert box.run(max, 2, 3) == 3


def test_a_process_that_died_between_calls_is_replaced(box: Sandbox) -> None:
    process = box.run(os.getpid)
    os.kill(process, signal.SIGKILL)
    _wait_for_end(process)
    assert box.run(max, 2, 3) == 3


def test_a_process_that_dies_before_it_reads_its_call_is_replaced(box: Sandbox) -> None:
    process = box.run(os.getpid)
    os.kill(process, signal.SIGSTOP)  # alive, and reading nothing
    killing = threading.Timer(0.5, os.kill, (process, signal.SIGKILL))
    killing.start()
    assert box.run(max, 2, 3) == 3
    killing.join()


def test_a_call_that_is_killed_before_it_is_read_is_not_made_again(box: Sandbox) -> None:
    os.kill(box.run(os.getpid), signal.SIGSTOP)
    killing = threading.Timer(0.5, box.kill)
    killing.start()
    with pytest.raises(SandboxError, match="crashed"):
        box.run(max, 2, 3)
    killing.join()
    assert box.run(max, 2, 3) == 3


def test_what_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    others = set(multiprocessing.active_children())
    with Sandbox() as box:
        box.run(max, 2, 3)
        began = time.monotonic()
        # What hangs alone has little time: a slow machine needs more for the rest.
        with monkeypatch.context() as patch:
            patch.setattr(box, "_limits", ProcessLimits(0.5))
            with pytest.raises(SandboxError, match=r"took longer than 0.5 s and was stopped"):
                box.run(time.sleep, 600)
        assert time.monotonic() - began < 300
        assert box.run(max, 2, 3) == 3
    assert set(multiprocessing.active_children()) <= others
    with pytest.raises(SandboxError, match="closed"):
        box.run(max, 2, 3)


def test_threads_share_the_processes() -> None:
    with Sandbox(processes=2) as box:
        pids: list[int] = []
        threads = [threading.Thread(target=lambda: pids.append(box.run(os.getpid))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pids) == 6
        assert len(set(pids)) <= 2


def test_closing_ends_every_process() -> None:
    others = set(multiprocessing.active_children())
    with Sandbox(processes=3) as box:
        threads = [threading.Thread(target=box.run, args=(time.sleep, 1.0)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(multiprocessing.active_children()) - others) > 1
    assert set(multiprocessing.active_children()) <= others
    with pytest.raises(SandboxError, match="closed"):
        box.run(max, 2, 3)


def test_a_hanging_process_ends_with_its_killed_parent() -> None:
    code = (
        "import os, sys, threading, time\nfrom vidsift.workers.sandbox import Sandbox\n"
        "if __name__ == '__main__':\n    box = Sandbox()\n    print(box.run(os.getpid), flush=True)\n"
        "    box.run(time.sleep, 300)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.communicate()
    _wait_for_end(child)


def test_a_program_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    """Python imports such a program anew in each process, which would start processes itself."""
    program = tmp_path / "program.py"
    program.write_text("from vidsift.workers.sandbox import Sandbox\nSandbox().run(max, 2, 3)\n")
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith(
        "vidsift.errors.ProcessStartError: a process could not be started: it crashed (exit status 1);"
    )
    assert 'has to stand below if __name__ == "__main__": since' in line
    program.write_text(
        "from vidsift.workers.sandbox import Sandbox\n"
        "if __name__ == '__main__':\n    with Sandbox() as box:\n        print(box.run(max, 2, 3))\n"
    )
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "3\n")


def _wait_for_end(process: int) -> None:
    until = time.monotonic() + 60
    while _runs(process) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(process)


def _runs(process: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked about counts as ended."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text("utf-8")
    except OSError:
        return False


def test_no_process_is_refused() -> None:
    with pytest.raises(ValueError, match="processes is 0"):
        Sandbox(processes=0)
