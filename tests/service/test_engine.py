from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import wait

import pytest

from vidsift.errors import QueryError
from vidsift.service.engine import Engine
from vidsift.service.problems import ProblemError


class Answerer:
    """Answers a sentence with itself in capitals, when it is let; remembers what was asked together."""

    def __init__(self) -> None:
        self.batches: list[tuple[object, list[str]]] = []
        self.go = threading.Event()

    def __call__(self, settings: object, queries: Sequence[str]) -> list[str]:
        self.go.wait(10)
        self.batches.append((settings, list(queries)))
        if "bad" in queries:
            raise QueryError("bad is no question")
        if "fault" in queries:
            raise RuntimeError("a fault")
        return [query.upper() for query in queries]


@pytest.fixture
def answerer() -> Answerer:
    return Answerer()


@pytest.fixture
def engine(answerer: Answerer) -> Iterator[Engine]:
    engine = Engine(answerer, 8)
    yield engine
    answerer.go.set()
    engine.close()


def test_sentences_that_wait_are_answered_together(engine: Engine, answerer: Answerer) -> None:
    first = engine.ask("first", "a")
    while engine._queue:
        pass
    rest = [
        engine.ask(query, settings) for query, settings in [("b", "a"), ("c", "z"), ("d", "a"), ("e", "z")]
    ]
    answerer.go.set()
    assert first.result(10) == "FIRST"
    assert [future.result(10) for future in rest] == ["B", "C", "D", "E"]
    assert answerer.batches == [("a", ["first"]), ("a", ["b", "d"]), ("z", ["c", "e"])]


def test_a_bad_sentence_spoils_no_other(engine: Engine, answerer: Answerer) -> None:
    waiting = engine.run(lambda: answerer.go.wait(10))
    good, bad, other = engine.ask("good", 0), engine.ask("bad", 0), engine.ask("other", 0)
    answerer.go.set()
    assert waiting.result(10)
    assert (good.result(10), other.result(10)) == ("GOOD", "OTHER")
    with pytest.raises(QueryError, match="bad is no question"):
        bad.result(10)


def test_a_fault_reaches_who_asked_and_the_engine_goes_on(engine: Engine, answerer: Answerer) -> None:
    answerer.go.set()
    with pytest.raises(RuntimeError, match="a fault"):
        engine.ask("fault", 0).result(10)
    with pytest.raises(ZeroDivisionError):
        engine.run(lambda: 1 // 0).result(10)
    assert engine.ask("well", 0).result(10) == "WELL"


def test_too_many_are_told_to_come_back(engine: Engine, answerer: Answerer) -> None:
    running = engine.run(lambda: answerer.go.wait(10))
    while engine._queue:
        pass
    waiting = [engine.ask(str(number), 0) for number in range(8)]
    with pytest.raises(ProblemError) as refused:
        engine.ask("one more", 0)
    assert (refused.value.status_code, refused.value.headers) == (503, {"retry-after": "1"})
    answerer.go.set()
    wait([running, *waiting], 10)
    assert engine.ask("now", 0).result(10) == "NOW"


def test_closing_answers_what_waits_and_takes_no_more(answerer: Answerer) -> None:
    engine = Engine(answerer, 8)
    waiting = [engine.ask("a", 0), engine.run(lambda: "b"), engine.ask("c", 1)]
    threading.Timer(0.05, answerer.go.set).start()
    engine.close()
    assert [future.result(0) for future in waiting] == ["A", "b", "C"]
    with pytest.raises(ProblemError, match="is stopping"):
        engine.ask("late", 0)


def test_who_has_gone_is_not_answered(engine: Engine, answerer: Answerer) -> None:
    running = engine.run(lambda: answerer.go.wait(10))
    while engine._queue:
        pass
    gone, stays = engine.ask("gone", 0), engine.ask("stays", 0)
    assert gone.cancel()
    answerer.go.set()
    assert running.result(10)
    assert stays.result(10) == "STAYS"
    assert answerer.batches == [(0, ["stays"])]


def test_who_has_gone_takes_no_place(engine: Engine, answerer: Answerer) -> None:
    running = engine.run(lambda: answerer.go.wait(10))
    while engine._queue:
        pass
    gone = [engine.ask(str(number), "gone") for number in range(8)]
    assert all(future.cancel() for future in gone)
    stays = [engine.ask(str(number), "stays") for number in range(8)]
    with pytest.raises(ProblemError, match="8 questions wait already"):
        engine.ask("one more", "stays")
    assert stays.pop(3).cancel()
    answerer.go.set()
    wait([running, *stays], 10)
    assert answerer.batches == [("stays", ["0", "1", "2", "4", "5", "6", "7"])]


def test_who_has_waited_too_long_is_told_to_come_back(answerer: Answerer) -> None:
    engine = Engine(answerer, 8)
    running = engine.run(lambda: answerer.go.wait(10))
    while engine._queue:
        pass
    engine._patience_seconds = 0.05  # not before the first has begun, which on a busy machine takes longer
    late = engine.ask("late", 0)
    threading.Timer(0.2, answerer.go.set).start()
    assert running.result(10)
    with pytest.raises(ProblemError, match="too many questions wait") as refused:
        late.result(10)
    assert refused.value.status_code == 503
    assert engine.ask("now", 0).result(10) == "NOW"
    engine.close()
