"""Ctrl-C and SIGTERM are answered whenever they come: by a line, a status, and nothing lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.training.small import losses, silent, write

from vidsift.cli.main import main
from vidsift.data.loading import Batch, Feed
from vidsift.data.shapes_batches import ShapesBatches
from vidsift.errors import WorkerEndedError
from vidsift.training.recipe import read_recipe
from vidsift.training.stopping import StoppedEarly, starting_up
from vidsift.training.trainer import Trainer, train
from vidsift.training.validation import Validation

FOR_EVER = 60.0
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def _handlers_come_back() -> Any:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def ask(number: int) -> None:
    os.kill(os.getpid(), number)


@BOTH
def test_a_run_that_waits_for_pictures_is_saved_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    recipe, whole = write(tmp_path), ShapesBatches.__call__

    def slow(self: ShapesBatches, step: int) -> Batch:
        if step == 2:
            ask(number)
            time.sleep(FOR_EVER)
            pytest.fail("it was waited for")
        return whole(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(ShapesBatches, "__call__", slow)
        with pytest.raises(StoppedEarly, match="stopped after step 2 of 8; saved") as stopped:
            train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    assert stopped.value.status == 128 + number
    lines: list[str] = []
    train(recipe, output=tmp_path / "run", device="cpu", say=lines.append)
    assert "going on after step 2" in lines
    assert list(losses(tmp_path / "run")) == list(range(1, 9))


@pytest.mark.parametrize("where", ["validation", "first pictures"])
def test_a_run_that_has_not_begun_ends_at_once_and_saves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def wait(*_: Any, **__: Any) -> None:
        ask(signal.SIGTERM)
        time.sleep(FOR_EVER)
        pytest.fail("it was waited for")

    kind, name = (Validation, "__init__") if where == "validation" else (ShapesBatches, "__call__")
    monkeypatch.setattr(kind, name, wait)
    recipe = write(tmp_path, validation={"videos": 4} if where == "validation" else None)
    with pytest.raises(StoppedEarly, match="before the first step; nothing is lost") as stopped:
        train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    assert stopped.value.status == 143
    assert not (tmp_path / "run" / "checkpoints" / "last.pt").exists()


def test_a_second_request_ends_a_step_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Trainer(
        read_recipe(write(tmp_path, checkpoint_every_steps=2)), tmp_path / "run", device="cpu", say=silent
    )
    whole = run._train_step

    def step(batch: Batch) -> None:
        if run.step == 3:
            ask(signal.SIGTERM)
            assert run._stop_requests.number == signal.SIGTERM  # noted: the step is not broken off
            ask(signal.SIGINT)
            pytest.fail("it went on")
        whole(batch)

    monkeypatch.setattr(run, "_train_step", step)
    with pytest.raises(StoppedEarly, match="at once: what was done since the last checkpoint") as stopped:
        run.run()
    assert stopped.value.status == 130
    assert Trainer(run.recipe, run.output, device="cpu", say=silent).step == 2


def test_workers_that_a_request_reaches_first_are_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request to a whole group of processes (schedulers, Ctrl-C) comes in any order."""
    recipe, whole = write(tmp_path), Feed.__next__

    def ended(self: Feed) -> Batch:
        if self._next == 3:
            threading.Timer(0.2, ask, (signal.SIGTERM,)).start()
            raise WorkerEndedError("the process ended")
        return whole(self)

    monkeypatch.setattr(Feed, "__next__", ended)
    with pytest.raises(StoppedEarly, match="stopped after step 3 of 8; saved"):
        train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    monkeypatch.setattr("vidsift.training.trainer._GRACE_SECONDS", 0.0)
    monkeypatch.setattr(threading.Timer, "start", lambda _self: None)
    with pytest.raises(WorkerEndedError):
        train(recipe, output=tmp_path / "run", device="cpu", resume=False, say=silent)


def in_a_fork(errors: Path, do: Callable[[], object]) -> int:
    """Do something in a fork of this process; return its exit status. No thread of torch runs in a fork."""
    if sys.platform == "win32":
        pytest.skip("this system forks no processes")
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
            do()
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@BOTH
def test_a_request_while_things_are_imported_is_answered_by_a_line(
    tmp_path: Path, number: signal.Signals
) -> None:
    def start() -> None:
        with starting_up("training began"):
            try:
                ask(number)
                time.sleep(FOR_EVER)
            except BaseException:  # what an import may make of an exception
                os._exit(98)

    assert in_a_fork(tmp_path / "errors", start) == 128 + number
    assert (tmp_path / "errors").read_text("utf-8") == (
        "vidsift: stopped before training began; nothing had to be saved, the same command starts again\n"
    )


@pytest.mark.parametrize("verb", ["train", "ablate"])
def test_the_program_answers_while_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def load(*_: Any) -> None:
        ask(signal.SIGTERM)
        time.sleep(FOR_EVER)

    monkeypatch.setattr("vidsift.training.trainer.build_model", load)
    monkeypatch.setattr("vidsift.training.grid.read_grid", load)
    arguments = [verb, str(write(tmp_path)), "--output", str(tmp_path / "run")]
    assert in_a_fork(tmp_path / "errors", lambda: main(arguments)) == 143
    (line,) = (tmp_path / "errors").read_text("utf-8").splitlines()
    assert line.startswith("vidsift: stopped before ")


def test_the_program_ends_with_the_status_of_the_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Trainer._train_step

    def step(self: Trainer, batch: Batch) -> None:
        ask(signal.SIGTERM)
        whole(self, batch)

    monkeypatch.setattr(Trainer, "_train_step", step)
    with pytest.raises(SystemExit) as ended:
        main(["train", str(write(tmp_path)), "--output", str(tmp_path / "run"), "--device", "cpu"])
    assert ended.value.code == 143
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stopped after step 1 of 8; saved. The same command goes on")
