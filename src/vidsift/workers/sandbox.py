"""Calls of single functions in limited processes, which stay warm between calls."""

from __future__ import annotations

import contextlib
import pickle
import queue
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from vidsift.errors import SandboxError
from vidsift.files.disk_errors import plain_words
from vidsift.workers.memory import end_out_of_memory
from vidsift.workers.plain_values import answer_type, decode, decode_error, encode, encode_error
from vidsift.workers.process import START_SECONDS, LimitedProcess, ProcessLimits, SilenceTimer, not_started

__all__ = ["Sandbox"]

P = ParamSpec("P")
T = TypeVar("T")

_LOOK_SECONDS = 0.2
_RETURNED, _RAISED = b"=", b"!"


class _CallUnreadError(SandboxError):
    """A process ended before it read its call, so that another one can be given it."""


class Sandbox:
    """Runs functions in separate limited processes, which stay warm; from any number of threads.

    Args:
        limits: the time is that of one call, the memory that of one process.
        processes: calls that run side by side; more wait for their turn.

    Example:
        >>> with Sandbox(ProcessLimits(time_limit_seconds=60.0)) as sandbox:
        ...     sandbox.run(max, 2, 3)
        3
    """

    def __init__(self, limits: ProcessLimits | None = None, processes: int = 1) -> None:
        """See the class; a process starts with the first call that needs it."""
        if processes < 1:
            raise ValueError(f"processes is {processes}, expected at least 1")
        self._limits = ProcessLimits() if limits is None else limits
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
        # The queue is last in, first out: a slot that was put back would be the next one taken.
        slots = [self._slots.get() for _ in range(self._processes)]
        for process in slots:
            if process is not None:
                process.end()
        for _ in slots:
            self._slots.put(None)

    def kill(self) -> None:
        """End calls that run; each raises SandboxError where it was made."""
        # A copy: calls that end meanwhile take themselves out.
        for process in list(self._busy):
            process.kill()

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a limited process and return what it returns.

        Args:
            function: of a module's top level, which the process imports; what it needs has to be
                picklable, what it gives as it is annotated, and plain
                (:func:`~vidsift.workers.plain_values.encode`). Its module should import no torch: that costs
                seconds and memory in the process.
            args: of the function.
            kwargs: of the function.

        Raises:
            SandboxError: it crashed, took longer than the limit, needed more memory than the limit, or raised
                something else than the following.
            ValueError, OSError: as the function raised them; also OSError where no process can be started.
        """
        # Before a process is taken: arguments that cannot be pickled are the caller's fault and end none.
        call = pickle.dumps((function, args, kwargs))
        expected = answer_type(function)
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
            try:
                result, error = self._call(process, call, expected)
            except _CallUnreadError:
                # It died while it waited; the system still counted it among the living.
                process.end()
                process = None
                process = self._start()
                result, error = self._call(process, call, expected)
        except BaseException:
            if process is not None:
                process.end()
            self._slots.put(None)
            raise
        self._slots.put(process)
        if error is not None:
            raise error
        returned: T = result
        return returned

    def _start(self) -> LimitedProcess:
        process = LimitedProcess(_serve, (), self._limits.memory_limit_bytes)
        try:
            if _wait_for(process.connection, START_SECONDS):
                process.receive()
                return process
            how = f"did not begin within {START_SECONDS:g} s"
        except (EOFError, OSError):
            how = process.ending()
        process.end()
        raise not_started(how)

    def _call(self, process: LimitedProcess, call: bytes, expected: Any) -> tuple[Any, Exception | None]:
        self._busy.add(process)
        try:
            process.connection.send_bytes(call)
            if not _wait_for(process.connection, self._limits.time_limit_seconds):
                raise SandboxError(f"took longer than {self._limits.time_limit_seconds:g} s and was stopped")
            answer = process.receive()
        except (EOFError, OSError) as error:
            # A pipe that still held what was sent is reset or broken; one that was read to its end is at EOF.
            unread = isinstance(error, (ConnectionResetError, BrokenPipeError)) and not process.killed
            kind = _CallUnreadError if unread else SandboxError
            raise kind(process.ending()) from error
        finally:
            self._busy.discard(process)
        # Never unpickled: the file that was read may speak for the process by now.
        if answer[:1] == _RETURNED:
            return decode(answer[1:], expected), None
        return None, decode_error(answer[1:])


def _serve(connection: Connection) -> None:
    """Call what is sent, and send back its result or its error, until the other end closes."""
    with contextlib.suppress(EOFError, OSError):
        connection.send_bytes(b"begun")
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))


def _answer(call: bytes) -> bytes:
    error: Exception
    try:
        function, args, kwargs = pickle.loads(call)  # noqa: S301 - from the process that made this one
        return _RETURNED + encode(function(*args, **kwargs))
    except MemoryError:
        end_out_of_memory()
    except (ValueError, OSError) as raised:
        error = raised
    except Exception as raised:
        error = SandboxError(f"unexpected {type(raised).__name__}: {plain_words(raised)}")
    return _RAISED + encode_error(error)


def _wait_for(connection: Connection, seconds: float) -> bool:
    """Whether something came within so many seconds; the end of the other side counts."""
    silence = SilenceTimer()
    while not connection.poll(min(_LOOK_SECONDS, seconds)):
        if silence.seconds() >= seconds:
            return False
    return True
