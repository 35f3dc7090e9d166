"""Worker processes that read videos while the main process encodes.

Each worker has one file at a time and its own pipe, so a file that kills its worker is known by name: it
fails alone, the worker is replaced, and the others go on. Workers never import torch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType

from vidsift.index.reader import Done, Failed, Known, Message, ReadSettings, read_video, stamp

__all__ = ["DecodePool"]

_HELD_MESSAGES = 32
_PATIENCE_SECONDS = 0.2


class DecodePool:
    """Reads files in worker processes; a context manager that leaves none behind.

    Args:
        settings: how to read.
        workers: how many processes.
    """

    def __init__(self, settings: ReadSettings, workers: int) -> None:
        """See the class; processes start with :meth:`read`."""
        if workers < 1:
            raise ValueError(f"workers is {workers}, expected at least 1")
        self._settings = settings
        self._workers = workers
        self._messages: queue.Queue[tuple[str, Message] | None] = queue.Queue(_HELD_MESSAGES)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble: BaseException | None = None
        self._started: set[Connection] = set()

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
            ``(path, message)``, the messages of one path in order and ending with ``Known``, ``Done`` or
            ``Failed``; None whenever nothing came for a moment, so that the caller can do other things.

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
            if item is not None and isinstance(item[1], Known | Done | Failed):
                left -= 1
            yield item

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be taken."""
        return self._messages.empty()

    def _gather(self, waiting: list[str]) -> None:
        """Hand out files and pass messages on, until all are read or the pool closes."""
        waiting.reverse()
        busy: dict[Connection, tuple[BaseProcess, str]] = {}
        try:
            for _ in range(min(self._workers, len(waiting))):
                self._start(busy, waiting.pop())
            while busy and not self._closing.is_set():
                for ready in wait(list(busy), timeout=_PATIENCE_SECONDS):
                    assert isinstance(ready, Connection)
                    self._receive(ready, busy, waiting)
        except BaseException as trouble:
            self._trouble = trouble
        finally:
            for connection, (process, _path) in busy.items():
                _end(connection, process)

    def _receive(
        self, connection: Connection, busy: dict[Connection, tuple[BaseProcess, str]], waiting: list[str]
    ) -> None:
        process, path = busy[connection]
        try:
            message: Message | None = connection.recv()
        except (EOFError, OSError):
            if connection not in self._started:
                raise _not_started(process) from None
            message = _crashed(process, path)
        if message is None:
            self._started.add(connection)
            return
        self._put(path, message)
        if not isinstance(message, Known | Done | Failed):
            return
        del busy[connection]
        if waiting and process.is_alive():
            following = waiting.pop()
            with contextlib.suppress(OSError):
                connection.send(following)
            busy[connection] = (process, following)
            return
        self._started.discard(connection)
        _end(connection, process)
        if waiting:
            self._start(busy, waiting.pop())

    def _start(self, busy: dict[Connection, tuple[BaseProcess, str]], path: str) -> None:
        # Spawned, not forked: a fork of a process with torch's threads may hang.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._settings), daemon=True)
        process.start()
        theirs.close()
        with contextlib.suppress(OSError):  # gone already: found out when it is listened to
            ours.send(path)
        busy[ours] = (process, path)

    def _put(self, path: str, message: Message) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._messages.put((path, message), timeout=_PATIENCE_SECONDS)
                return


def _ending(process: BaseProcess) -> str:
    process.join(timeout=5)
    code = process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


def _not_started(process: BaseProcess) -> OSError:
    return OSError(
        f"a process that decodes could not be started ({_ending(process)}); Python has to be able to start "
        "itself, and there has to be memory for it; then index again"
    )


def _crashed(process: BaseProcess, path: str) -> Failed:
    how = _ending(process)
    try:
        size, modified = stamp(path)
    except OSError:
        size, modified = 0, 0
    return Failed(f"the decoder crashed on it ({how})", size, modified)


def _end(connection: Connection, process: BaseProcess) -> None:
    connection.close()
    process.terminate()
    process.join(timeout=5)
    if process.is_alive():
        process.kill()
        process.join()


def _work(connection: Connection, settings: ReadSettings) -> None:
    """Read files as they are named, until the other end closes."""
    # Ctrl-C reaches the whole group; the main process decides what is finished first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            path = connection.recv()
            try:
                for message in read_video(path, settings):
                    connection.send(message)
            except (EOFError, OSError):
                raise
            except Exception as error:
                connection.send(Failed(f"unexpected {type(error).__name__}: {error}", *stamp(path)))
