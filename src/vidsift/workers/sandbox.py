"""Processes with limits: what reads other people's files may hang, eat all memory or crash, and ends alone.

Limits and not a jail: such a process may do what its user may, but neither for long nor with all the memory.
Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

from vidsift.errors import SandboxError
from vidsift.files.disk_errors import plain_words

__all__ = [
    "START_SECONDS",
    "LimitedProcess",
    "Limits",
    "Patience",
    "Sandbox",
    "limit_memory",
    "not_started",
    "out_of_memory",
]

P = ParamSpec("P")
T = TypeVar("T")

_EXIT_OUT_OF_MEMORY = 86
START_SECONDS = 120.0
"""How long a process may take to begin."""

_END_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_LONGEST_STEP_SECONDS = 1.0
_WATCH_SECONDS = 0.05


@dataclass(frozen=True)
class Limits:
    """What a process may take for one piece of work.

    Attributes:
        time_limit_seconds: without a sign of progress; while the computer sleeps no time passes.
        memory_limit_bytes: beyond what the process held when it was ready to begin.
    """

    time_limit_seconds: float = 120.0
    memory_limit_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        """Refuse limits that nothing could keep."""
        if not 0 < self.time_limit_seconds < float("inf"):
            raise ValueError(f"time_limit_seconds is {self.time_limit_seconds}, expected seconds above 0")
        if self.memory_limit_bytes < 1 << 20:
            raise ValueError(f"memory_limit_bytes is {self.memory_limit_bytes}, expected at least 1 MiB")


class Patience:
    """How long something has been silent, in looks of which each counts for one second at most.

    So a laptop that slept, or a caller who was busy elsewhere, blames nobody for the time.
    """

    def __init__(self) -> None:
        """Begin now."""
        self.renew()

    def renew(self) -> None:
        """Begin anew: there was a sign of life."""
        self._last = time.monotonic()
        self._seconds = 0.0

    def look(self) -> float:
        """Return the seconds since the last sign of life; call at least every second."""
        now = time.monotonic()
        self._seconds += min(now - self._last, _LONGEST_STEP_SECONDS)
        self._last = now
        return self._seconds


class LimitedProcess:
    """A process with a pipe and a memory limit, which ends with its parent however that ends.

    It is spawned, not forked: a fork of a process with torch's threads may hang.

    Args:
        target: module-level function, called in the process with its end of the pipe and ``arguments``.
        arguments: further arguments of ``target``.
        memory_limit_bytes: what it may take beyond what it begins with.

    Attributes:
        connection: this end of the pipe.
    """

    def __init__(
        self, target: Callable[..., None], arguments: tuple[object, ...], memory_limit_bytes: int
    ) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.connection: Connection = ours
        self._memory_limit_bytes = memory_limit_bytes
        self._process = context.Process(
            target=_begin, args=(target, theirs, memory_limit_bytes, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def ending(self) -> str:
        """Say how it ended, for the end of a sentence that begins with what ran in it."""
        self._process.join(timeout=_END_SECONDS)
        code = self._process.exitcode
        if code is None:
            return "closed its pipe and did not end"
        if code == _EXIT_OUT_OF_MEMORY:
            return f"needs more than {_size(self._memory_limit_bytes)} of memory"
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"crashed ({how})"

    def kill(self) -> None:
        """End it as it is; who waits for an answer of it learns that it ended."""
        self._process.kill()

    def end(self) -> None:
        """Stop it, whatever it is doing."""
        self.connection.close()
        self._process.terminate()
        self._process.join(timeout=_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            # What waits for a dead disk cannot be killed either; nobody waits for it here.
            self._process.join(timeout=_END_SECONDS)


class Sandbox:
    """Runs functions in separate limited processes, which stay warm; from any number of threads.

    Args:
        time_limit_seconds: of one call.
        memory_limit_bytes: of one process, beyond what it begins with.
        processes: calls that run side by side; more wait for their turn.

    Example:
        >>> with Sandbox(time_limit_seconds=60.0) as box:
        ...     box.run(max, 2, 3)
        3
    """

    def __init__(
        self,
        time_limit_seconds: float = Limits.time_limit_seconds,
        memory_limit_bytes: int = Limits.memory_limit_bytes,
        processes: int = 1,
    ) -> None:
        """See the class; a process starts with the first call that needs it."""
        if processes < 1:
            raise ValueError(f"processes is {processes}, expected at least 1")
        self._limits = Limits(time_limit_seconds, memory_limit_bytes)
        self._processes = processes
        self._slots: queue.LifoQueue[LimitedProcess | None] = queue.LifoQueue()
        for _ in range(processes):
            self._slots.put(None)
        self._closed = False
        self._busy: set[LimitedProcess] = set()

    def __enter__(self) -> Sandbox:
        """Return the sandbox."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End the processes; waits for calls that run, which the time limit ends at the latest."""
        if self._closed:
            return
        self._closed = True
        # All are taken before any is given back: what is given back is the first to be taken again.
        taken = [self._slots.get() for _ in range(self._processes)]
        for process in taken:
            if process is not None:
                process.end()
        for _ in taken:
            self._slots.put(None)

    def kill(self) -> None:
        """End calls that run; each raises SandboxError where it was made."""
        for process in list(self._busy):
            process.kill()

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a limited process and return what it returns.

        Args:
            function: of a module's top level, which the process imports; what it needs and gives has to be
                picklable. Its module should import no torch: that costs seconds and memory in the process.
            args: of the function.
            kwargs: of the function.

        Raises:
            SandboxError: it crashed, took longer than the limit, needed more memory than the limit, or raised
                something else than the following.
            ValueError, OSError: as the function raised them; also OSError where no process can be started.
        """
        question = pickle.dumps((function, args, kwargs))
        process = self._slots.get()
        if self._closed:
            self._slots.put(process)
            raise SandboxError("this sandbox is closed; open another one")
        try:
            if process is not None and not process.alive:
                process.end()
                process = None
            if process is None:
                process = self._start()
            self._busy.add(process)
            try:
                result, error = self._ask(process, question)
            finally:
                self._busy.discard(process)
        except BaseException:
            if process is not None:
                process.end()
            self._slots.put(None)
            raise
        self._slots.put(process)
        if error is not None:
            raise error
        given: T = result
        return given

    def _start(self) -> LimitedProcess:
        process = LimitedProcess(_serve, (), self._limits.memory_limit_bytes)
        try:
            if _await(process.connection, START_SECONDS):
                process.connection.recv()
                return process
            how = f"did not begin within {START_SECONDS:g} s"
        except (EOFError, OSError):
            how = process.ending()
        process.end()
        raise not_started(how)

    def _ask(self, process: LimitedProcess, question: bytes) -> tuple[Any, Exception | None]:
        try:
            process.connection.send_bytes(question)
            if not _await(process.connection, self._limits.time_limit_seconds):
                raise SandboxError(f"took longer than {self._limits.time_limit_seconds:g} s and was stopped")
            answer: tuple[Any, Exception | None] = process.connection.recv()
        except (EOFError, OSError) as error:
            raise SandboxError(process.ending()) from error
        return answer


def not_started(how: str) -> OSError:
    """Return the error for a process that ended before it began; no file is to blame."""
    return OSError(
        f"a process that decodes could not be started: it {how}; Python has to be able to start itself, and "
        "there has to be memory for it. In a program of your own, what indexes or decodes has to stand below "
        'if __name__ == "__main__": since each such process imports that program anew'
    )


def out_of_memory() -> NoReturn:
    """End this process in the way that its parent understands as too much memory."""
    os._exit(_EXIT_OUT_OF_MEMORY)


def limit_memory(limit_bytes: int, *, watch: bool = not sys.platform.startswith("linux")) -> None:
    """Limit what this process may take from now on; an allocation beyond it fails, or the process ends.

    Args:
        limit_bytes: beyond what it holds now.
        watch: look at the size many times a second and end the process when it is too large, as on systems
            that keep no limit; otherwise Linux refuses the allocation that goes beyond it.
    """
    if not watch:
        _refuse_memory(limit_bytes)
        return
    most = _largest_bytes() + limit_bytes

    def look() -> None:
        while _largest_bytes() < most:
            time.sleep(_WATCH_SECONDS)
        out_of_memory()

    threading.Thread(target=look, daemon=True).start()


def _refuse_memory(limit_bytes: int) -> None:
    """Have Linux count what is the process's own and can be written, and refuse more of it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _bytes_on_linux("VmData:") + limit_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _largest_bytes() -> int:
    """The most memory that this process has had at once."""
    if sys.platform == "win32":
        return _largest_bytes_on_windows()
    if sys.platform.startswith("linux"):
        # getrusage would also count what the parent held when it forked this process.
        return _bytes_on_linux("VmHWM:")
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _bytes_on_linux(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(one for one in status.splitlines() if one.startswith(name))
    return int(line.split()[1]) * 1024


def _largest_bytes_on_windows() -> int:
    import ctypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("size", ctypes.c_uint32),
            ("page_faults", ctypes.c_uint32),
            ("largest_working_set", ctypes.c_size_t),
            ("working_set", ctypes.c_size_t),
            ("largest_paged_pool", ctypes.c_size_t),
            ("paged_pool", ctypes.c_size_t),
            ("largest_nonpaged_pool", ctypes.c_size_t),
            ("nonpaged_pool", ctypes.c_size_t),
            ("committed", ctypes.c_size_t),
            ("largest_committed", ctypes.c_size_t),
        )

    counters = Counters(size=ctypes.sizeof(Counters))
    kernel: Any = vars(ctypes)["windll"].kernel32
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size)
    return int(counters.largest_committed)


def _begin(
    target: Callable[..., None], connection: Connection, limit_bytes: int, arguments: tuple[object, ...]
) -> None:
    """First thing in the process."""
    # Ctrl-C reaches the whole group; the main process decides what is finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    # What hangs in a decoder would not notice that nobody listens any more.
    threading.Thread(target=follow, daemon=True).start()
    limit_memory(limit_bytes)
    target(connection, *arguments)


def _serve(connection: Connection) -> None:
    """Call what is sent, and send back ``(result, error)``, until the other end closes."""
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            question = connection.recv_bytes()
            connection.send_bytes(_answer(question))


def _answer(question: bytes) -> bytes:
    error: Exception
    try:
        function, args, kwargs = pickle.loads(question)  # noqa: S301 - from the process that made this one
        return pickle.dumps((function(*args, **kwargs), None))
    except MemoryError:
        out_of_memory()
    except (ValueError, OSError) as raised:
        error = _portable(raised)
    except Exception as raised:
        error = SandboxError(f"unexpected {type(raised).__name__}: {plain_words(raised)}")
    return pickle.dumps((None, error))


def _portable(error: Exception) -> Exception:
    """The error itself where it can travel, else its words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes, made in the same line
    except Exception:
        return ValueError(str(error))
    return error


def _await(connection: Connection, seconds: float) -> bool:
    """Whether something came within so many seconds; the end of the other side counts."""
    patience = Patience()
    while not connection.poll(min(_LOOK_SECONDS, seconds)):
        if patience.look() >= seconds:
            return False
    return True


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
