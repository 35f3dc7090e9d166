"""One thread that asks the model: questions wait in a row, and those that can be answered together are.

The model uses every core for one thing at a time, so a second thread would make both slower. Sentences that
wait with the same settings are answered by one scan of the index; each gets the hits that it would get alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from vidsift.errors import QueryError
from vidsift.service.problems import ProblemError

__all__ = ["Engine"]

T = TypeVar("T")

_TOGETHER = 32


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[T]):
    """A question: the answer that is promised, and how it is found."""

    future: Future[T]
    run: Callable[[], T] | None = None
    query: Any = None
    settings: Hashable = None
    since: float = field(default_factory=time.monotonic)


class Engine:
    """Answers questions one after the other, and sentences with equal settings together.

    Args:
        answer: settings and sentences to one answer each, in order; may raise QueryError.
        waiting: how many may wait.
        on_batch: told how many sentences one scan answered.
        patience_seconds: who has waited longer is told to come back.
    """

    def __init__(
        self,
        answer: Callable[[Any, Sequence[Any]], Sequence[Any]],
        waiting: int,
        on_batch: Callable[[int], None] = lambda _number: None,
        patience_seconds: float = 30.0,
    ) -> None:
        """Start the thread."""
        self._answer = answer
        self._most = waiting
        self._on_batch = on_batch
        self._patience = patience_seconds
        self._row: deque[_Waiting[Any]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="vidsift-engine", daemon=True)
        self._thread.start()

    def ask(self, query: Any, settings: Hashable) -> Future[Any]:
        """Have a sentence answered.

        Raises:
            ProblemError: 503, too many wait already, or the service stops.
        """
        return self._add(_Waiting(Future(), query=query, settings=settings))

    def run(self, function: Callable[[], T]) -> Future[T]:
        """Have something else done that needs the model.

        Raises:
            ProblemError: as for :meth:`ask`.
        """
        return self._add(_Waiting(Future(), run=function))

    def close(self) -> None:
        """Answer what waits, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _add(self, one: _Waiting[T]) -> Future[T]:
        with self._changed:
            self._drop_gone()
            if self._closing or len(self._row) >= self._most:
                why = "the service stops" if self._closing else f"{self._most} questions wait already"
                raise ProblemError(503, f"{why}; ask again in a moment", {"retry-after": "1"})
            self._row.append(one)
            self._changed.notify()
        return one.future

    def _drop_gone(self) -> None:
        """Forget who has gone meanwhile: they take no place in the row, nor in what is answered together."""
        if any(one.future.cancelled() for one in self._row):
            self._row = deque(one for one in self._row if not one.future.cancelled())

    def _next(self) -> list[_Waiting[Any]]:
        """Wait for work, and take the first with all that can be answered with it; nothing at the end."""
        with self._changed:
            self._drop_gone()
            while not self._row and not self._closing:
                self._changed.wait()
                self._drop_gone()
            if not self._row:
                return []
            first = self._row.popleft()
            if first.run is not None:
                return [first]
            together = [first]
            left: deque[_Waiting[Any]] = deque()
            for one in self._row:
                joins = one.run is None and one.settings == first.settings and len(together) < _TOGETHER
                (together if joins else left).append(one)
            self._row = left
            return together

    def _work(self) -> None:
        while taken := self._next():
            # Who has gone since needs no answer either.
            wanted = [
                one for one in taken if one.future.set_running_or_notify_cancel() and not self._late(one)
            ]
            if not wanted:
                continue
            if wanted[0].run is not None:
                _settle(wanted[0].future, wanted[0].run)
            else:
                self._answer_together(wanted)

    def _late(self, one: _Waiting[Any]) -> bool:
        """Tell who has waited too long to come back: the row is longer than can be worked off."""
        if time.monotonic() - one.since <= self._patience:
            return False
        one.future.set_exception(
            ProblemError(503, "too many questions wait; ask again in a moment", {"retry-after": "5"})
        )
        return True

    def _answer_together(self, wanted: list[_Waiting[Any]]) -> None:
        self._on_batch(len(wanted))
        settings = wanted[0].settings
        try:
            answers = self._answer(settings, [one.query for one in wanted])
        except QueryError as error:
            if len(wanted) == 1:
                wanted[0].future.set_exception(error)
                return
            # One of them cannot be answered: it must not spoil the others.
            for one in wanted:
                _settle(one.future, partial(self._answer_alone, settings, one.query))
        except BaseException as error:
            for one in wanted:
                one.future.set_exception(error)
        else:
            for one, answer in zip(wanted, answers, strict=True):
                one.future.set_result(answer)

    def _answer_alone(self, settings: Hashable, query: Any) -> Any:
        return self._answer(settings, [query])[0]


def _settle(future: Future[Any], run: Callable[[], Any]) -> None:
    try:
        result = run()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
