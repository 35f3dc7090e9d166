"""Many tasks side by side in limited processes, each answered with a stream of messages.

Each process has one task at a time and a pipe of its own, so a task that kills its process, hangs it or needs
too much memory is known by name: it fails alone, the process is replaced, and the others go on.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from vidsift.errors import SandboxError
from vidsift.files.disk_errors import plain_words
from vidsift.workers.memory import end_out_of_memory
from vidsift.workers.plain_values import decode, encode
from vidsift.workers.process import START_SECONDS, LimitedProcess, ProcessLimits, SilenceTimer, not_started

__all__ = ["ProcessPool", "Work"]

TaskT = TypeVar("TaskT")
MessageT = TypeVar("MessageT")
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
MessageT_co = TypeVar("MessageT_co", covariant=True)

_HELD_MESSAGES = 32
_LOOK_SECONDS = 0.2
_BEAT_SECONDS = 1.0
_PROGRESS, _MESSAGE, _RAISED = b".", b"=", b"!"


class Work(Protocol[TaskT_contra, MessageT_co]):
    """What a process does with a task; it and what it needs are picklable, what it gives is plain."""

    def __call__(self, task: TaskT_contra, /, *, on_progress: Callable[[], None]) -> Iterator[MessageT_co]:
        """Yield the messages about a task; calls ``on_progress`` whenever there was progress."""
        ...


@dataclass(eq=False)
class _Worker(Generic[TaskT]):
    """A process, the task that it has, and how long it has been silent."""

    process: LimitedProcess
    task: TaskT
    started: bool = False
    silence: SilenceTimer = field(default_factory=SilenceTimer)

    def give(self, task: TaskT) -> None:
        """Have it do another task."""
        self.task = task
        self.silence.restart()
        # One that has ended already is found out when its pipe is read.
        with contextlib.suppress(OSError):
            self.process.connection.send(task)


class ProcessPool(Generic[TaskT, MessageT]):
    """Does tasks in limited processes; a context manager that leaves none behind.

    Args:
        work: what is done with a task, see :class:`Work`.
        messages: type of the messages, a class or a union of some, see
            :func:`~vidsift.workers.plain_values.decode`.
        is_last: whether a message is the last one about its task.
        failure: the last message about a task whose process did not give one, of the task and the reason.
        subject: what runs in the processes, with which the reasons begin: "the decoder".
        workers: how many processes.
        limits: of each; the time is that without progress within a task.

    Raises:
        ValueError: there is to be no worker.
    """

    def __init__(
        self,
        work: Work[TaskT, MessageT],
        *,
        messages: Any,
        is_last: Callable[[MessageT], bool],
        failure: Callable[[TaskT, str], MessageT],
        subject: str,
        workers: int,
        limits: ProcessLimits | None = None,
    ) -> None:
        """See the class; processes start with :meth:`run`."""
        if workers < 1:
            raise ValueError(f"workers is {workers}, expected at least 1")
        self._work = work
        self._message_type = messages
        self._is_last = is_last
        self._failure = failure
        self._subject = subject
        self._workers = workers
        self._limits = ProcessLimits() if limits is None else limits
        self._messages: queue.Queue[tuple[TaskT, MessageT]] = queue.Queue(_HELD_MESSAGES)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> ProcessPool[TaskT, MessageT]:
        """Return the pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the processes, whatever they are doing."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def run(self, tasks: Sequence[TaskT]) -> Iterator[tuple[TaskT, MessageT] | None]:
        """Do tasks side by side; call once.

        Yields:
            ``(task, message)``, the messages of one task in order and ending with a last one; None whenever
            nothing came for a moment, so that the caller can do other things.

        Raises:
            OSError: a process ended before it began; no task is to blame.
        """
        self._thread = threading.Thread(target=self._gather, args=(list(tasks),), daemon=True)
        self._thread.start()
        unfinished = len(tasks)
        while unfinished:
            try:
                item = self._messages.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                # After the queue: what came before the failure is given first.
                if self._error is not None:
                    raise self._error from None
                yield None
                continue
            if self._is_last(item[1]):
                unfinished -= 1
            yield item

    @property
    def idle(self) -> bool:
        """Whether no message waits to be taken."""
        return self._messages.empty()

    def _gather(self, waiting: list[TaskT]) -> None:
        """Hand out tasks and pass messages on, until all are done or the pool closes."""
        waiting.reverse()  # pop() takes from the end
        busy: dict[Connection, _Worker[TaskT]] = {}
        try:
            for _ in range(min(self._workers, len(waiting))):
                self._start(busy, waiting.pop())
            while busy and not self._closing.is_set():
                ready = wait(list(busy), timeout=_LOOK_SECONDS)
                for connection, worker in list(busy.items()):
                    if connection in ready:
                        self._receive(connection, busy, waiting)
                    elif worker.silence.seconds() > self._allowed_silence(worker):
                        self._give_up(connection, busy, waiting)
        except BaseException as error:
            self._error = error
        finally:
            for worker in busy.values():
                worker.process.end()

    def _receive(
        self, connection: Connection, busy: dict[Connection, _Worker[TaskT]], waiting: list[TaskT]
    ) -> None:
        worker = busy[connection]
        ended = False
        try:
            data = worker.process.receive()
            worker.silence.restart()
            if data == _PROGRESS:
                worker.started = True
                return
            message = self._read(worker.task, data)
        except (EOFError, OSError):
            if not worker.started:
                raise not_started(worker.process.ending()) from None
            ended = True
            message = self._failure(worker.task, f"{self._subject} {worker.process.ending()}")
        except SandboxError as error:
            ended = True  # what answers so may have been taken over by the file
            message = self._failure(worker.task, f"{self._subject} {error}")
        self._put(worker.task, message)
        if not self._is_last(message):
            return
        # A process that hangs while it ends is alive too, and would take the next task down with it.
        if waiting and not ended and worker.process.alive:
            worker.give(waiting.pop())
            return
        del busy[connection]
        worker.process.end()
        if waiting:
            self._start(busy, waiting.pop())

    def _read(self, task: TaskT, data: bytes) -> MessageT:
        """The message in what a process sent, which is never unpickled."""
        if data[:1] == _RAISED:
            return self._failure(task, decode(data[1:], str))
        message: MessageT = decode(data[1:], self._message_type)
        return message

    def _give_up(
        self, connection: Connection, busy: dict[Connection, _Worker[TaskT]], waiting: list[TaskT]
    ) -> None:
        """A task has hung its process: end both."""
        worker = busy.pop(connection)
        worker.process.end()
        seconds = f"{self._allowed_silence(worker):g} s"
        if not worker.started:
            raise not_started(f"did not begin within {seconds}")
        self._put(worker.task, self._failure(worker.task, f"{self._subject} made no progress for {seconds}"))
        if waiting:
            self._start(busy, waiting.pop())

    def _allowed_silence(self, worker: _Worker[TaskT]) -> float:
        """Seconds; a process that begins has to import its program first."""
        return self._limits.time_limit_seconds if worker.started else START_SECONDS

    def _start(self, busy: dict[Connection, _Worker[TaskT]], task: TaskT) -> None:
        process = LimitedProcess(_serve, (self._work,), self._limits.memory_limit_bytes)
        worker = _Worker(process, task)
        worker.give(task)
        busy[process.connection] = worker

    def _put(self, task: TaskT, message: MessageT) -> None:
        # Not for ever: a caller that has left takes no more.
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._messages.put((task, message), timeout=_LOOK_SECONDS)
                return


class _Heartbeat:
    """Tells the other end once a second, at most, that there is progress."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= _BEAT_SECONDS:
            self._last = now
            self._connection.send_bytes(_PROGRESS)


def _serve(connection: Connection, work: Work[Any, Any]) -> None:
    """Do tasks as they are sent, until the other end closes."""
    with contextlib.suppress(EOFError, OSError):
        connection.send_bytes(_PROGRESS)
        while True:
            task = connection.recv()
            try:
                for message in work(task, on_progress=_Heartbeat(connection)):
                    connection.send_bytes(_MESSAGE + encode(message))
            # The pipe's: the other end has gone. Work has to turn those of its files into messages.
            except (EOFError, OSError):
                raise
            except MemoryError:
                end_out_of_memory()
            except Exception as error:
                reason = f"unexpected {type(error).__name__}: {plain_words(error)}"
                connection.send_bytes(_RAISED + encode(reason))
