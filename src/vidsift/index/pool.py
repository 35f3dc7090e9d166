"""Worker processes that read videos while the main process encodes.

Each worker has one file at a time and its own pipe, so a file that kills its worker, hangs it or needs too
much memory is known by name: it fails alone, the worker is replaced, and the others go on. Workers never
import torch.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType

from vidsift.files.disk_errors import plain_words
from vidsift.index.decode_worker import (
    Done,
    Failed,
    Known,
    Message,
    ReadSettings,
    SinglePicture,
    read_video,
    stamp,
)
from vidsift.workers.sandbox import (
    START_SECONDS,
    LimitedProcess,
    Limits,
    Patience,
    not_started,
    out_of_memory,
)

__all__ = ["DecodePool"]

_HELD_MESSAGES = 32
_LAST = (Known, Done, SinglePicture, Failed)
_PATIENCE_SECONDS = 0.2
_BEAT_SECONDS = 1.0


@dataclass(eq=False)
class _Worker:
    """A process, the file that it has, and how long it has been silent."""

    process: LimitedProcess
    path: str
    started: bool = False
    patience: Patience = field(default_factory=Patience)

    def give(self, path: str) -> None:
        """Have it read another file."""
        self.path = path
        self.patience.renew()
        with contextlib.suppress(OSError):  # gone already: found out when it is listened to
            self.process.connection.send(path)


class DecodePool:
    """Reads files in worker processes; a context manager that leaves none behind.

    Args:
        settings: how to read.
        workers: how many processes.
        limits: of each; the time is that without progress within a file.
    """

    def __init__(self, settings: ReadSettings, workers: int, limits: Limits | None = None) -> None:
        """See the class; processes start with :meth:`read`."""
        if workers < 1:
            raise ValueError(f"workers is {workers}, expected at least 1")
        self._settings = settings
        self._workers = workers
        self._limits = Limits() if limits is None else limits
        self._messages: queue.Queue[tuple[str, Message] | None] = queue.Queue(_HELD_MESSAGES)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble: BaseException | None = None

    def __enter__(self) -> DecodePool:
        """Return the pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers, whatever they are doing."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, Message] | None]:
        """Read files side by side; call once.

        Yields:
            ``(path, message)``, the messages of one path in order and ending with ``Known``, ``Done``,
            ``SinglePicture`` or ``Failed``; None whenever nothing came for a moment, so that the caller can
            do other things.

        Raises:
            OSError: a worker ended before it began; no file is to blame.
        """
        self._thread = threading.Thread(target=self._gather, args=(list(paths),), daemon=True)
        self._thread.start()
        left = len(paths)
        while left:
            try:
                item = self._messages.get(timeout=_PATIENCE_SECONDS)
            except queue.Empty:
                if self._trouble is not None:
                    raise self._trouble from None
                yield None
                continue
            if item is not None and isinstance(item[1], _LAST):
                left -= 1
            yield item

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be taken."""
        return self._messages.empty()

    def _gather(self, waiting: list[str]) -> None:
        """Hand out files and pass messages on, until all are read or the pool closes."""
        waiting.reverse()
        busy: dict[Connection, _Worker] = {}
        try:
            for _ in range(min(self._workers, len(waiting))):
                self._start(busy, waiting.pop())
            while busy and not self._closing.is_set():
                ready = wait(list(busy), timeout=_PATIENCE_SECONDS)
                for connection, worker in list(busy.items()):
                    if connection in ready:
                        self._receive(connection, busy, waiting)
                    elif worker.patience.look() > self._patience_with(worker):
                        self._give_up(connection, busy, waiting)
        except BaseException as trouble:
            self._trouble = trouble
        finally:
            for worker in busy.values():
                worker.process.end()

    def _receive(self, connection: Connection, busy: dict[Connection, _Worker], waiting: list[str]) -> None:
        worker = busy[connection]
        ended = False
        try:
            message: Message | None = connection.recv()
        except (EOFError, OSError):
            if not worker.started:
                raise not_started(worker.process.ending()) from None
            ended = True
            message = _failed(worker.path, f"the decoder {worker.process.ending()}")
        worker.patience.renew()
        if message is None:
            worker.started = True
            return
        self._put(worker.path, message)
        if not isinstance(message, _LAST):
            return
        # One that hangs while it ends is alive too, and would take the next file down with it.
        if waiting and not ended and worker.process.alive:
            worker.give(waiting.pop())
            return
        del busy[connection]
        worker.process.end()
        if waiting:
            self._start(busy, waiting.pop())

    def _give_up(self, connection: Connection, busy: dict[Connection, _Worker], waiting: list[str]) -> None:
        """A file has hung its worker: end both."""
        worker = busy.pop(connection)
        worker.process.end()
        seconds = f"{self._patience_with(worker):g} s"
        if not worker.started:
            raise not_started(f"did not begin within {seconds}")
        self._put(worker.path, _failed(worker.path, f"the decoder made no progress for {seconds}"))
        if waiting:
            self._start(busy, waiting.pop())

    def _patience_with(self, worker: _Worker) -> float:
        """Seconds of silence; a process that begins has to read its program first."""
        return self._limits.time_limit_seconds if worker.started else START_SECONDS

    def _start(self, busy: dict[Connection, _Worker], path: str) -> None:
        process = LimitedProcess(_work, (self._settings,), self._limits.memory_limit_bytes)
        worker = _Worker(process, path)
        worker.give(path)
        busy[process.connection] = worker

    def _put(self, path: str, message: Message) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._messages.put((path, message), timeout=_PATIENCE_SECONDS)
                return


def _failed(path: str, reason: str) -> Failed:
    try:
        return Failed(reason, *stamp(path))
    except OSError:
        return Failed(reason, 0, 0)


class _Beat:
    """Tells the other end once a second that there is progress."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= _BEAT_SECONDS:
            self._last = now
            self._connection.send(None)


def _work(connection: Connection, settings: ReadSettings) -> None:
    """Read files as they are named, until the other end closes."""
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            path = connection.recv()
            try:
                for message in read_video(path, settings, _Beat(connection)):
                    connection.send(message)
            except (EOFError, OSError):
                raise
            except MemoryError:
                out_of_memory()
            except Exception as error:
                connection.send(_failed(path, f"unexpected {type(error).__name__}: {plain_words(error)}"))
