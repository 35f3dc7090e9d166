"""A task that harms its process fails alone, and no process is left behind."""

from __future__ import annotations

import multiprocessing

import pytest
from tests.workers.work import MIB, die, letters, linger

from vidsift.errors import ProcessStartError
from vidsift.workers import pool as pools
from vidsift.workers.pool import ProcessPool
from vidsift.workers.process import ProcessLimits


def _pool(workers: int = 1, limits: ProcessLimits | None = None) -> ProcessPool[str, str]:
    return ProcessPool(
        letters,
        messages=str,
        is_last=lambda message: message.endswith("."),
        failure=lambda task, reason: f"{task}: {reason}.",
        subject="the speller",
        workers=workers,
        limits=limits,
    )


def _run(tasks: list[str], workers: int = 1, limits: ProcessLimits | None = None) -> dict[str, list[str]]:
    messages: dict[str, list[str]] = {task: [] for task in tasks}
    with _pool(workers, limits) as pool:
        for item in pool.run(tasks):
            if item is not None:
                messages[item[0]].append(item[1])
    assert not multiprocessing.active_children()
    return messages


def test_each_task_is_done_once_and_its_messages_come_in_order() -> None:
    words = ["ab", "cde", "", "fg"]
    assert _run(words, 2) == {word: [*word, "."] for word in words}


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("kill", "the speller crashed (signal 9)"),
        ("eat", "the speller needs more than 300 MiB of memory"),
        ("lie", "the speller answered with something else than was asked for"),
        ("raise", "unexpected KeyError: 'what was looked for'"),
    ],
)
def test_a_task_that_harms_its_process_fails_alone(harm: str, reason: str) -> None:
    limits = ProcessLimits(memory_limit_bytes=300 * MIB)
    assert _run(["a", harm, "b"], 1, limits) == {
        "a": ["a", "."],
        harm: [f"{harm}: {reason}."],
        "b": ["b", "."],
    }


def test_a_task_that_hangs_its_process_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = ProcessPool._allowed_silence
    # The others have all the time that a slow machine needs.
    monkeypatch.setattr(
        ProcessPool,
        "_allowed_silence",
        lambda pool, worker: 2.0 if worker.started and worker.task == "hang" else usual(pool, worker),
    )
    assert _run(["a", "hang", "b"]) == {
        "a": ["a", "."],
        "hang": ["hang: the speller made no progress for 2 s."],
        "b": ["b", "."],
    }


def test_a_slow_task_with_progress_is_not_given_up() -> None:
    assert _run(["slow"], limits=ProcessLimits(time_limit_seconds=3.0)) == {"slow": [*"slow", "."]}


def test_a_process_that_hangs_in_ending_costs_the_next_task_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_serve", linger)
    monkeypatch.setattr("vidsift.workers.process._END_SECONDS", 0.2)
    assert _run(["bad", "good", "better"]) == {
        "bad": ["bad: the speller closed its pipe and did not end."],
        "good": ["."],
        "better": ["."],
    }


@pytest.mark.parametrize("already_gone", [True, False])
def test_a_process_that_cannot_start_blames_no_task(
    monkeypatch: pytest.MonkeyPatch, already_gone: bool
) -> None:
    begin = multiprocessing.context.SpawnProcess.start

    def begin_and_wait(process: multiprocessing.context.SpawnProcess) -> None:
        begin(process)
        process.join()

    if already_gone:
        monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", begin_and_wait)
    monkeypatch.setattr(pools, "_serve", die)
    with pytest.raises(ProcessStartError, match=r"could not be started: it crashed \(exit status 3\)"):
        _run(["a", "b"])
    assert not multiprocessing.active_children()


def test_leaving_early_leaves_no_process_behind() -> None:
    with _pool() as pool:
        next(item for item in pool.run(["abc", "def"]) if item is not None)
    assert not multiprocessing.active_children()


def test_no_tasks_are_no_work() -> None:
    assert _run([]) == {}


def test_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="workers is 0"):
        _pool(0)
