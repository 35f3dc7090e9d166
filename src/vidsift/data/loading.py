"""Batches of pictures and captions, made ahead in worker processes and handed over in shared memory.

What a batch holds is a pure function of its number (:class:`BatchMaker`), so a run that resumes, and a run
with more workers, sees the same batches. Nothing here imports torch: workers stay light.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import WorkerEndedError

__all__ = ["Batch", "BatchMaker", "BatchStage", "Feed", "stage_at"]


class Batch(NamedTuple):
    """Some videos and what is said of them.

    Attributes:
        pixels: RGB uint8 ``(B, F, S, S, 3)``, zeros where masked. From a :class:`Feed` with workers it
            is a view that holds until the next batch is asked for.
        mask: bool ``(B, F)``, True on real frames.
        times_seconds: ``(B, F)``.
        captions: a sentence for each video; with several each, a first one for every video, then a
            second one, and so on. Empty where only pictures are wanted.
        rows: which videos of the whole set these are, int64 ``(B,)``.
        failed: path and reason of videos that could not be read; they have no row.
        partial: path and reason of videos that gave fewer pictures than wanted.
        replacements: paths of videos that were drawn in the place of failed ones; they have rows.
        names: what the videos of the rows are called; empty where they have no names, as drawn clips.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    times_seconds: NDArray[np.float64]
    captions: list[str]
    rows: NDArray[np.int64]
    failed: tuple[tuple[str, str], ...] = ()
    partial: tuple[tuple[str, str], ...] = ()
    replacements: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class BatchStage(NamedTuple):
    """From step ``first_step`` on, batches have ``batch_size`` clips of ``frames`` pictures.

    Without ``with_pixels`` the pictures are left out, for towers that have their features cached.
    """

    first_step: int
    batch_size: int
    frames: int
    with_pixels: bool = True


class _HasFirstStep(Protocol):
    @property
    def first_step(self) -> int: ...


StageT = TypeVar("StageT", bound=_HasFirstStep)


class BatchMaker(Protocol):
    """Makes the batch of any step, in any process; must be picklable."""

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        ...

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest batch's pictures."""
        ...


def stage_at(stages: Sequence[StageT], step: int) -> StageT:
    """Return the stage that a step belongs to.

    Example:
        >>> stage_at([BatchStage(0, 64, 1), BatchStage(10, 32, 8)], 12).frames
        8
    """
    return [stage for stage in stages if stage.first_step <= step][-1]


class Feed:
    """The batches of steps ``start`` to ``stop``, in order, made ahead by worker processes.

    Pictures travel through shared memory that is laid out once; only captions and times are pickled. A worker
    that fails, fails here; one that dies is noticed at once, and workers end when this process does.

    Args:
        maker: what makes a batch.
        start: the first step.
        stop: the step after the last; None for no end.
        workers: processes; 0 makes batches here, when they are asked for.
        ahead: batches that each worker makes ahead.
    """

    def __init__(
        self,
        maker: BatchMaker,
        *,
        start: int = 0,
        stop: int | None = None,
        workers: int = 1,
        ahead: int = 3,
    ) -> None:
        """See the class."""
        self._maker, self._next, self._stop = maker, start, stop
        self._workers: list[tuple[BaseProcess, Connection]] = []
        self._slots: NDArray[np.uint8] | None = None
        self._requested = start
        if workers == 0:
            return
        # Fresh processes: forking one in which torch runs threads can hang.
        context = multiprocessing.get_context("spawn")
        slots = workers * ahead
        # Raw, without a lock: a slot belongs to one batch at a time.
        memory = context.RawArray("B", slots * maker.most_bytes)
        self._slots = np.frombuffer(memory, np.uint8).reshape(slots, maker.most_bytes)
        for _ in range(workers):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(maker, memory, slots, there), daemon=True)
            process.start()
            there.close()  # the worker alone holds it, so that its end is seen as the end of the pipe
            self._workers.append((process, here))
        while self._requested < start + slots:
            self._request()

    def _request(self) -> None:
        if self._stop is None or self._requested < self._stop:
            _, connection = self._workers[self._requested % len(self._workers)]
            # A worker that has died is told of when its batch is waited for, with its exit code.
            with contextlib.suppress(BrokenPipeError):
                connection.send(self._requested)
        self._requested += 1  # behind the last step too: slots are counted by it

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches."""
        return self

    def __next__(self) -> Batch:
        """Return the next batch; the pictures of the one before are no longer valid."""
        step = self._next
        if self._stop is not None and step >= self._stop:
            raise StopIteration
        self._next += 1
        if self._slots is None:
            return self._maker(step)
        # The slot of the batch before this one is free now.
        while self._requested < step + len(self._slots):
            self._request()
        process, connection = self._workers[step % len(self._workers)]
        try:
            answer = connection.recv()
        except (EOFError, OSError) as error:
            # The exit code is known only after this.
            process.join(timeout=5)
            raise WorkerEndedError(
                f"the process that makes batches ended by itself (exit code {process.exitcode}) at step "
                f"{step}; if the machine ran out of memory, use fewer workers or smaller batches"
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        shape, rest = answer
        size = int(np.prod(shape))
        return Batch(self._slots[step % len(self._slots), :size].reshape(shape), *rest)

    def close(self) -> None:
        """End the workers."""
        for process, connection in self._workers:
            connection.close()
            process.terminate()
        for process, _ in self._workers:
            process.join()
        self._workers = []

    def __enter__(self) -> Feed:
        """Return the feed itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers."""
        self.close()


def _work(maker: BatchMaker, memory: Any, slots: int, connection: Connection) -> None:
    """Make batches as they are asked for, until the asking process is gone."""
    # Ctrl-C reaches the whole process group; what it means is for the asking process to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)  # training first, where they share cores
    room = np.frombuffer(memory, np.uint8).reshape(slots, -1)
    try:
        while True:
            step = connection.recv()
            connection.send(_answer(maker, step, room[step % slots]))
    except (EOFError, OSError):
        return


def _answer(maker: BatchMaker, step: int, slot: NDArray[np.uint8]) -> Any:
    try:
        batch = maker(step)
        # Into shared memory: only the shape and the rest go through the pipe.
        slot[: batch.pixels.size] = batch.pixels.reshape(-1)
    except Exception as error:
        # Raised again where the batch is waited for.
        return error
    return batch.pixels.shape, tuple(batch)[1:]
