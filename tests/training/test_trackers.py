"""Numbers handed on to TensorBoard, Weights & Biases and trackio, by stand-ins of their modules."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.training.small import silent, write

from vidsift.training.recipe import read_recipe
from vidsift.training.stopping import StoppedEarly
from vidsift.training.trackers import flat_numbers
from vidsift.training.trainer import Trainer, train

Calls = list[tuple[str, Any]]


class Service(ModuleType):
    """A stand-in for wandb or trackio."""

    def __init__(self, name: str, calls: Calls) -> None:
        super().__init__(name)
        self.calls = calls

    def init(self, **settings: Any) -> Service:
        self.calls.append(("init", settings))
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.calls.append(("log", (step, values)))

    def finish(self) -> None:
        self.calls.append(("finish", None))


class SummaryWriter:
    """A stand-in for TensorBoard's."""

    calls: Calls = []  # noqa: RUF012 - taken by the test

    def __init__(self, folder: str, purge_step: int) -> None:
        self.calls.append(("init", (Path(folder).name, purge_step)))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.calls.append((name, (step, value)))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.calls.append(("close", None))


def install(monkeypatch: pytest.MonkeyPatch) -> dict[str, Calls]:
    calls: dict[str, Calls] = {name: [] for name in ("wandb", "trackio", "tensorboard")}
    for name in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, Service(name, calls[name]))
    board = ModuleType("torch.utils.tensorboard")
    monkeypatch.setattr(SummaryWriter, "calls", calls["tensorboard"])
    board.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    return calls


def test_a_run_that_goes_on_is_the_same_run_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = install(monkeypatch)
    recipe = write(tmp_path, steps=4, trackers=["tensorboard", "wandb", "trackio"])
    run = Trainer(read_recipe(recipe), tmp_path / "run", say=silent, should_stop=lambda: run.step == 2)
    with pytest.raises(StoppedEarly):
        run.run()
    train(recipe, output=tmp_path / "run", say=silent)
    for name in ("wandb", "trackio"):
        begins = [settings for kind, settings in calls[name] if kind == "init"]
        assert len(begins) == 2
        assert begins[0] == begins[1]
        assert begins[0]["project"] == "vidsift"
        assert begins[0]["config"]["optimiser"]["algorithm"] == "adamw"
        lines = [line for kind, line in calls[name] if kind == "log"]
        assert [step for step, _ in lines] == [1, 2, 3, 4]
        assert {"loss", "rate", "gradient_norm", "step_seconds", "data_seconds", "memory_mb"} <= lines[0][
            1
        ].keys()
        assert [kind for kind, _ in calls[name]].count("finish") == 2
    board = calls["tensorboard"]
    assert [place for kind, place in board if kind == "init"] == [("tensorboard", 1), ("tensorboard", 3)]
    assert [place[0] for kind, place in board if kind == "loss"] == [1, 2, 3, 4]
    identity = calls["wandb"][0][1]["id"]
    assert calls["trackio"][0][1]["name"] == f"small-{identity}"
    train(recipe, output=tmp_path / "run", resume=False, say=silent)
    assert [settings["id"] for kind, settings in calls["wandb"] if kind == "init"][-1] != identity


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(
        ImportError, match="trackers names trackio, which is not installed: pip install trackio"
    ):
        train(write(tmp_path, trackers=["trackio"]), output=tmp_path / "run", say=silent)


def test_nested_numbers_are_named_by_their_place() -> None:
    report = {"text_to_video": {"R@1": 12.5, "ties": None}, "videos": 8, "split": "val", "cut": True}
    assert dict(flat_numbers(report)) == {"text_to_video/R@1": 12.5, "videos": 8.0}
