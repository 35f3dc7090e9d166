"""The best weights on validation, beside the last ones: which they are, where they go, and after a resume."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import same, silent, stop_after, weights, write
from torch import nn

from vidsift.errors import CheckpointError
from vidsift.training.best import BestWeights
from vidsift.training.recipe import read_recipe
from vidsift.training.trainer import StoppedEarly, Trainer, train
from vidsift.training.validation import Validation

# Recall of the validations at steps 2, 4, 6 and 8: the best is in the middle, and 6 only looks like it.
SCORES = {2: (10.0, 90.0), 4: (30.0, 200.0), 6: (30.0, 150.0), 8: (20.0, 500.0)}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Trainer]:
    """Runs of 8 steps whose validations score as SCORES says."""
    whole, run_of = Validation.__call__, Trainer._validate
    steps: list[int] = []

    def validate(self: Trainer, validation: Validation) -> dict[str, Any]:
        steps.append(self.step)
        return run_of(self, validation)

    def judge(self: Validation, model: Any) -> dict[str, Any]:
        report = whole(self, model)
        report["text_to_video"]["R@1"], report["rsum"] = SCORES[steps[-1]]
        return report

    monkeypatch.setattr(Trainer, "_validate", validate)
    monkeypatch.setattr(Validation, "__call__", judge)

    def made(folder: Path, **validation: Any) -> Trainer:
        section = {"every_steps": 2, "videos": 4} | validation
        recipe = read_recipe(write(folder, validation=section, checkpoint_every_steps=3))
        return Trainer(recipe, folder / "run", device="cpu", say=silent)

    return made


def weights_after(folder: Path, steps: int) -> dict[str, torch.Tensor]:
    """Return the weights of the very same run after some of its steps."""
    folder.mkdir()
    recipe = read_recipe(write(folder, validation=None))
    trainer = Trainer(
        recipe, folder / "run", device="cpu", say=silent, should_stop=lambda: trainer.step == steps
    )
    with pytest.raises(StoppedEarly):
        trainer.run()
    return {name: value.clone() for name, value in trainer.method.state_dict().items()}


@pytest.mark.parametrize("select", ["last", "best"])
def test_both_weights_are_written_and_reported(
    tmp_path: Path, scored: Callable[..., Trainer], select: str
) -> None:
    result = scored(tmp_path, select=select).run()
    run = tmp_path / "run"
    other = {"last": "best", "best": "last"}[select]
    folders = {select: run, other: run / other}
    assert not (run / select).exists()
    assert same(weights(folders["best"]), weights_after(tmp_path / "again", 4))
    assert not same(weights(folders["best"]), weights(folders["last"]))
    assert result["best"]["step"] == 4
    assert result["best"]["validation"]["text_to_video"]["R@1"] == 30
    assert result["validation"]["text_to_video"]["R@1"] == 20
    card = (run / "README.md").read_text("utf-8")
    assert f"## Validation of the {other} weights" in card
    assert f"| weights | {select}, of the run's two |" in card
    assert "| step | 4 |" in card
    assert "| step | 8 |" in card
    # What the checkpoints do not need any more is gone.
    assert [file.name for file in (run / "checkpoints").glob("best-*")] == ["best-4.pt"]


def test_a_finished_run_gives_its_other_weights(tmp_path: Path, scored: Callable[..., Trainer]) -> None:
    """How it is validated is no part of a run: the same command with another select needs no training."""
    scored(tmp_path).run()
    last = weights(tmp_path / "run")
    scored(tmp_path, select="best").run()
    assert same(weights(tmp_path / "run" / "last"), last)
    assert same(weights(tmp_path / "run"), weights_after(tmp_path / "again", 4))


@pytest.mark.parametrize("steps", [4, 5])
def test_the_best_is_the_same_after_a_stop(
    tmp_path: Path, scored: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Also where the run was stopped right before the validation that was its best."""
    with monkeypatch.context() as patch:
        stop_after(steps, patch, signal.SIGINT)
        with pytest.raises(StoppedEarly):
            scored(tmp_path, select="best").run()
    result = scored(tmp_path, select="best").run()
    assert result["best"]["step"] == 4
    assert same(weights(tmp_path / "run"), weights_after(tmp_path / "again", 4))
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert [line["step"] for line in lines if "validation" in line] == [2, 4, 6, 8]


def test_the_last_weights_may_be_the_best(tmp_path: Path, scored: Callable[..., Trainer]) -> None:
    SCORES[8] = (40.0, 1.0)
    try:
        result = scored(tmp_path, select="best").run()
    finally:
        SCORES[8] = (20.0, 500.0)
    assert result["best"]["step"] == 8
    assert not (tmp_path / "run" / "last").exists()
    assert "| weights | last and best |" in (tmp_path / "run" / "README.md").read_text("utf-8")
    # A new run in the folder leaves no model of the old one beside its own.
    scored(tmp_path).run()
    assert (tmp_path / "run" / "best").exists() is False
    train(write(tmp_path, steps=2), output=tmp_path / "run", resume=False, say=silent)
    assert list((tmp_path / "run" / "checkpoints").glob("best-*")) == []


def judged(best: BestWeights, method: nn.Module, step: int, recall: float) -> None:
    with torch.no_grad():
        method.weight.fill_(step)  # type: ignore[operator]
    best.judged({"text_to_video": {"R@1": recall}, "rsum": recall}, method, step, last=False)


def test_a_checkpoint_finds_its_best_weights_again(tmp_path: Path) -> None:
    """Killed after a better validation and before the next checkpoint, a run goes back to the older."""
    best, method = BestWeights(tmp_path), nn.Linear(1, 1)
    judged(best, method, 10, 1.0)
    facts = dict(best.facts)
    best.checkpoint_saved()
    judged(best, method, 20, 2.0)
    again = BestWeights(tmp_path)
    again.restore(facts, 15, silent)
    assert again.step == 10
    assert again.load()["weight"].item() == 10
    judged(again, method, 20, 0.5)
    assert again.step == 10
    # Two checkpoints later nothing names it any more.
    judged(again, method, 30, 3.0)
    again.checkpoint_saved()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best-10.pt", "best-30.pt"]
    again.checkpoint_saved()
    assert [file.name for file in tmp_path.iterdir()] == ["best-30.pt"]


def test_weights_that_are_gone_are_said(tmp_path: Path) -> None:
    lines: list[str] = []
    best = BestWeights(tmp_path)
    best.restore({"step": 10, "value": 5.0}, 15, lines.append)
    assert lines[0].startswith("the weights of step 10, the best on validation so far, were not kept")
    assert best.step is None
    judged(best, nn.Linear(1, 1), 20, 0.0)
    assert best.step == 20
    (tmp_path / "best-20.pt").write_bytes(b"none")
    with pytest.raises(CheckpointError, match=r"best-20\.pt, the best weights .* validation\.select=last"):
        best.load()
