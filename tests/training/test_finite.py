"""A run whose numbers leave the range ends there, says what to do, and goes on from before."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import losses, silent, write

from vidsift.errors import NonFiniteGradientError, NonFiniteLossError, NonFiniteStateError, RecipeError
from vidsift.methods.model import load
from vidsift.training.finite import StepNumbers, remedies
from vidsift.training.recipe import read_recipe
from vidsift.training.trainer import Trainer, train

PROJECTION = "towers.clip.text_projection.weight"


def trainer(folder: Path, **changes: Any) -> Trainer:
    recipe = read_recipe(write(folder, checkpoint_every_steps=2, **changes))
    return Trainer(recipe, folder / "run", device="cpu", say=silent)


def after(run: Trainer, step: int, meddle: Callable[[], object]) -> None:
    """Do something once a step is done."""
    whole = run._train_step

    def meddled(batch: Any) -> None:
        whole(batch)
        if run.step == step:
            meddle()

    run._train_step = meddled  # type: ignore[method-assign]


def all_finite(run: Trainer) -> bool:
    return all(bool(value.isfinite().all()) for value in run.method.state_dict().values())


@pytest.mark.parametrize("clip_norm", [1.0, 0.0])
@pytest.mark.parametrize(
    ("factor", "which"),
    [
        (math.nan, rf"is nan at step 5.* in 1 of \d+ parameters \({PROJECTION}\)"),
        (math.inf, rf"is (inf|nan) at step 5.* in 1 of \d+ parameters \({PROJECTION}\)"),
        (1e30, rf"is inf at step 5.* its largest part of {PROJECTION}"),  # only its square is infinite
    ],
)
def test_a_gradient_that_is_no_number_ends_the_run_before_it_reaches_a_weight(
    tmp_path: Path, factor: float, which: str, clip_norm: float
) -> None:
    run = trainer(tmp_path, optimiser={"clip_norm": clip_norm})
    weight = dict(run.method.named_parameters())[PROJECTION]

    def scaled(gradient: torch.Tensor) -> torch.Tensor:
        return gradient.sign() * factor if run.step == 5 else gradient

    weight.register_hook(scaled)  # type: ignore[no-untyped-call]
    way = "" if clip_norm else r" or optimiser\.clip_norm=1"
    with pytest.raises(
        NonFiniteGradientError,
        match=rf"{which}, from the videos .*; the last good checkpoint, of step 4, stays: go on .*"
        rf"learning_rate{way}$",
    ):
        run.run()
    assert all_finite(run)
    # Clips of the stream have numbers for names: 8 in each batch.
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()[-1])
    assert (line["step"], line["videos"]) == (5, [str(row) for row in range(40, 48)])
    assert len(line["captions"]) == 8
    assert "from the videos 40, 41, 42, 43 and 4 more, which metrics.jsonl names" in line["not_finite"]
    assert not (tmp_path / "run" / "model.safetensors").exists()
    again = Trainer(run.recipe, run.output, device="cpu", say=silent)
    assert again.step == 4


def test_weights_that_are_no_numbers_reach_no_checkpoint(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    # A buffer or a weight that nothing reads: no loss and no gradient tells.
    run.method.register_parameter("unread", torch.nn.Parameter(torch.zeros(2)))
    after(run, 6, lambda: run.method.get_parameter("unread").data.fill_(math.nan))
    with pytest.raises(NonFiniteStateError, match=r"after step 6 1 of .*unread.*of step 4, stays"):
        run.run()
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert [run._folder.checkpoints.load(silent).step] == [4]


def test_weights_that_are_no_numbers_at_the_end_are_no_success(tmp_path: Path) -> None:
    run = trainer(tmp_path)

    def break_all() -> None:
        for weight in run.method.parameters():
            weight.data.fill_(math.nan)

    after(run, 8, break_all)
    with pytest.raises(NonFiniteStateError, match=r"after step 8 \d+ of .*of step 6, stays"):
        run.run()
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_poisoned_checkpoint_of_an_earlier_version_is_not_resumed_for_ever(tmp_path: Path) -> None:
    """They kept one checkpoint, and looked at losses alone."""
    run = trainer(tmp_path)
    run.run()
    last, before = run._folder.checkpoints.last, run._folder.checkpoints.before
    content = torch.load(last, weights_only=True)
    for value in content["weights"].values():
        value.fill_(math.nan)
    torch.save(content, last)
    lines: list[str] = []
    again = Trainer(run.recipe, run.output, device="cpu", say=lines.append)
    assert any("last.pt holds NaN" in line and "going on from the one before" in line for line in lines)
    assert again.step == 6
    assert "the last good checkpoint, of step 6, stays" in again._advice()
    again.run()
    assert list(losses(run.output)) == list(range(1, 9))
    load(run.output, device="cpu")
    torch.save(content, last)
    before.unlink()
    with pytest.raises(ValueError, match=r"last\.pt holds NaN .*Start the run anew with --no-resume"):
        Trainer(run.recipe, run.output, device="cpu", say=silent)


def test_a_run_goes_on_with_a_lower_rate_where_somebody_asks_to(tmp_path: Path) -> None:
    recipe = write(tmp_path, checkpoint_every_steps=2)
    run = trainer(tmp_path)
    after(run, 4, lambda: run.method.get_parameter(PROJECTION).data.fill_(math.nan))
    with pytest.raises(NonFiniteStateError):
        run.run()
    lower = ("optimiser.learning_rate=0.0001", "optimiser.clip_norm=0.5")
    with pytest.raises(
        RecipeError, match=r"optimiser\.clip_norm, optimiser\.learning_rate\); go on .*--resume"
    ):
        train(recipe, lower, output=run.output, device="cpu", say=silent)
    with pytest.raises(RecipeError, match=r"different: optimiser\.clip_norm, .*, seed\); name another"):
        train(recipe, (*lower, "seed=3"), output=run.output, device="cpu", resume=True, say=silent)
    again = Trainer(read_recipe(recipe, lower), run.output, device="cpu", resume=True, say=silent)
    assert again.step == 2
    assert {group["peak_rate"] for group in again.optimiser.param_groups} == {0.0001}
    again.run()
    assert read_recipe(run.output / "recipe.yaml").optimiser.learning_rate == 0.0001
    logged = [json.loads(line) for line in (run.output / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [line["changed"] for line in logged if "changed" in line] == [
        {"optimiser.clip_norm": 0.5, "optimiser.learning_rate": 0.0001}
    ]
    assert list(losses(run.output)) == list(range(1, 9))
    with pytest.raises(RecipeError, match=r"all 8 steps .* are done.*\(optimiser\.learning_rate\) change no"):
        train(recipe, ("optimiser.learning_rate=9", lower[1]), output=run.output, resume=True, say=silent)
    assert read_recipe(run.output / "recipe.yaml").optimiser.learning_rate == 0.0001


def test_numbers_are_looked_at_later_too_as_on_a_gpu(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    fine = {"loss": torch.tensor(1.0)}
    run._take_step.pending = [
        StepNumbers(0, 0.1, fine, torch.tensor(2.0)),
        StepNumbers(1, 0.1, fine, torch.tensor(math.nan)),
    ]
    with pytest.raises(
        NonFiniteGradientError, match=r"is nan at step 1, loss 1, learning rate 0\.1; no checkp"
    ):
        run._save_checkpoint()
    weight = run.method.get_parameter(PROJECTION)
    weight.grad = torch.full_like(weight, math.nan)
    numbers = StepNumbers(1, 0.1, fine)
    numbers.clip(run.method, 1.0, None)  # says nothing yet
    with pytest.raises(NonFiniteGradientError, match="is nan at step 1"):
        numbers.check("")
    run._take_step.pending = [
        StepNumbers(2, 0.1, {"loss": torch.tensor(math.inf), "cdcr": torch.tensor(3e21)})
    ]
    with pytest.raises(NonFiniteLossError, match=r"loss is inf \(cdcr 3e\+21\) at step 2"):
        run._take_step.mean_losses()
    assert not run._folder.checkpoints.there


def test_the_remedy_fits_the_run() -> None:
    assert remedies(bf16=True, clipped=False, good_checkpoint=None) == (
        "no checkpoint was written yet: start again with a lower optimiser.learning_rate or "
        "optimiser.clip_norm=1 or precision=fp32"
    )
