"""One thread that asks the model: questions wait in a queue, and those that can be answered together are.

The model uses every core for one thing at a time, so a second thread would make both slower. Sentences that
wait with the same settings are answered by one scan of the index; each gets the hits that it would get alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vidsift.errors import QueryError
from vidsift.service.problems import ProblemError

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["Engine", "wait_for"]

T = TypeVar("T")

_BATCH_SIZE = 32
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class _QueuedQuestion(Generic[T]):
    """Something that waits: the future of its answer, and what gives it."""

    future: Future[T]
    run: Callable[[], T] | None = None
    query: Any = None
    settings: Hashable = None
    since: float = field(default_factory=time.monotonic)


class Engine:
    """Answers questions one after the other, and sentences with equal settings together.

    Args:
        answer: settings and sentences to one answer each, in order; may raise QueryError.
        capacity: how many questions may wait.
        on_batch: called with the number of sentences that one scan answers.
        patience_seconds: a question that has waited longer is refused.
    """

    def __init__(
        self,
        answer: Callable[[Any, Sequence[Any]], Sequence[Any]],
        capacity: int,
        on_batch: Callable[[int], None] = lambda _number: None,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """Start the thread."""
        self._answer = answer
        self._capacity = capacity
        self._on_batch = on_batch
        self._patience_seconds = patience_seconds
        self._queue: deque[_QueuedQuestion[Any]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="vidsift-engine", daemon=True)
        self._thread.start()

    def ask(self, query: Any, settings: Hashable) -> Future[Any]:
        """Have a sentence answered.

        Raises:
            ProblemError: 503, too many wait already, or the service stops.
        """
        return self._add(_QueuedQuestion(Future(), query=query, settings=settings))

    def run(self, function: Callable[[], T]) -> Future[T]:
        """Have something else done that needs the model.

        Raises:
            ProblemError: as for :meth:`ask`.
        """
        return self._add(_QueuedQuestion(Future(), run=function))

    def close(self) -> None:
        """Answer what waits, and stop."""
        with self._changed:
            self._closing = True  # what waits is answered, nothing more is taken
            self._changed.notify()
        self._thread.join()

    def _add(self, question: _QueuedQuestion[T]) -> Future[T]:
        with self._changed:
            self._drop_cancelled()
            if self._closing:
                raise ProblemError(503, "the service is stopping; ask again when it is back")
            if len(self._queue) >= self._capacity:
                raise ProblemError(
                    503,
                    f"{self._capacity} questions wait already, which is the limit; ask again in a moment",
                    {"retry-after": "1"},
                )
            self._queue.append(question)
            self._changed.notify()
        return question.future

    def _drop_cancelled(self) -> None:
        """Drop questions whose client has disconnected: they take no place in the queue, nor in a batch."""
        if any(question.future.cancelled() for question in self._queue):
            self._queue = deque(question for question in self._queue if not question.future.cancelled())

    def _next_batch(self) -> list[_QueuedQuestion[Any]]:
        """Wait for work, and take the first with all that can be answered with it; nothing at the end."""
        with self._changed:
            self._drop_cancelled()
            while not self._queue and not self._closing:
                self._changed.wait()
                self._drop_cancelled()
            if not self._queue:
                return []
            first = self._queue.popleft()
            if first.run is not None:
                return [first]
            batch = [first]
            rest: deque[_QueuedQuestion[Any]] = deque()
            for question in self._queue:
                joins = question.run is None and question.settings == first.settings
                (batch if joins and len(batch) < _BATCH_SIZE else rest).append(question)
            self._queue = rest
            return batch

    def _work(self) -> None:
        while batch := self._next_batch():
            # From here on a future cannot be cancelled; one that was meanwhile needs no answer.
            running = [
                question
                for question in batch
                if question.future.set_running_or_notify_cancel() and not self._refuse_if_late(question)
            ]
            if not running:
                continue
            if running[0].run is not None:
                _settle(running[0].future, running[0].run)
            else:
                self._answer_batch(running)

    def _refuse_if_late(self, question: _QueuedQuestion[Any]) -> bool:
        """Refuse a question that has waited too long, so that a queue which only grows gets shorter."""
        waited_seconds = time.monotonic() - question.since
        if waited_seconds <= self._patience_seconds:
            return False
        problem = ProblemError(
            503,
            f"too many questions wait: this one did for {waited_seconds:.0f} s, which is more than "
            f"{self._patience_seconds:.0f} s; ask again in a moment",
            {"retry-after": "5"},
        )
        question.future.set_exception(problem)
        return True

    def _answer_batch(self, batch: list[_QueuedQuestion[Any]]) -> None:
        self._on_batch(len(batch))
        settings = batch[0].settings
        try:
            answers = self._answer(settings, [question.query for question in batch])
        except QueryError as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            # One of them cannot be answered, and the error does not say which: each is asked by itself.
            for question in batch:
                _settle(question.future, partial(self._answer_alone, settings, question.query))
        except BaseException as error:
            for question in batch:
                question.future.set_exception(error)
        else:
            for question, answer in zip(batch, answers, strict=True):
                question.future.set_result(answer)

    def _answer_alone(self, settings: Hashable, query: Any) -> Any:
        return self._answer(settings, [query])[0]


def _settle(future: Future[Any], run: Callable[[], Any]) -> None:
    try:
        result = run()
    except BaseException as error:  # also what would end the thread: somebody waits for this future
        future.set_exception(error)
    else:
        future.set_result(result)


async def wait_for(future: Future[T], request: Request) -> T:
    """Wait for an answer of the engine; as soon as the client disconnects, cancel the question.

    Args:
        future: of the answer.
        request: of the client, whose body has been read.

    Raises:
        ProblemError: 408, the client has disconnected.
    """
    answer, disconnect = asyncio.wrap_future(future), asyncio.create_task(_disconnected(request))
    either: set[asyncio.Future[Any]] = {answer, disconnect}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        disconnect.result()
        raise ProblemError(408, "the client disconnected before its question was answered; ask again")
    finally:
        disconnect.cancel()
        answer.cancel()  # cancels the engine's future too, unless it is being answered


async def _disconnected(request: Request) -> None:
    # After the body the server sends one more message, once the client has gone.
    while (await request.receive())["type"] != "http.disconnect":
        pass
