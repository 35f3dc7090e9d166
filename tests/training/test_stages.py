"""The stages that a method declares: what learns, what takes part, and at which rate."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from tests.methods import tiny
from tests.training import small

from vidsift.errors import RecipeError
from vidsift.methods.model import load
from vidsift.methods.pidro import Pidro
from vidsift.training.optim import rate_factor
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import plan_stages
from vidsift.training.trainer import Trainer

ARGUMENTS = {"head_layers": 1, "patch_tokens": 2, "selector_samples": 10}
MODEL = small.RECIPE["model"] | {"method": "pidro", "arguments": ARGUMENTS}


def test_pidro_trains_in_its_three_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out: list[tuple[str, ...]] = []
    really = Pidro.leave_out

    def noting(self: Pidro, parts: Collection[str]) -> None:
        left_out.append(tuple(parts))
        really(self, parts)

    monkeypatch.setattr(Pidro, "leave_out", noting)
    said: list[str] = []
    recipe = small.write(tmp_path, model=MODEL, steps=10)
    trainer = Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=said.append)
    assert [(stage.section.name, stage.first_step, stage.steps) for stage in trainer.stages] == [
        ("base", 0, 5),
        ("routing", 5, 3),
        ("patches", 8, 2),
    ]
    before = {name: value.clone() for name, value in trainer.method.state_dict().items()}
    trainer.run()
    assert left_out == [("routing", "patches"), ("patches",), (), ()]
    assert [line.split(":")[0] for line in said if line.startswith("stage")] == [
        "stage base",
        "stage routing",
        "stage patches",
    ]
    after = load(tmp_path / "run", device="cpu").method.state_dict()
    for part in ("towers.", "frame_head.", "routing.", "patch_branch."):
        assert any(not torch.equal(after[n], before[n]) for n in before if n.startswith(part))


def test_the_rate_rises_and_falls_in_each_stage(tmp_path: Path) -> None:
    optimiser = {"learning_rate": 1e-3, "warmup_share": 0.4, "final_share": 0.0}
    recipe = small.write(tmp_path, model=MODEL, steps=10, optimiser=optimiser)
    Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=small.silent).run()
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    rates = [line["rate"] for line in lines if "loss" in line]
    shares = [
        rate_factor(step, steps, warmup_share=0.4, final_share=0.0)
        for steps in (5, 3, 2)
        for step in range(steps)
    ]
    peak = max(rates)
    assert rates == pytest.approx([share * peak for share in shares], rel=1e-3, abs=1e-9)


def test_a_recipe_can_leave_parts_out(tmp_path: Path) -> None:
    stages = [{"name": "words and frames", "without": ["patches", "routing"]}]
    recipe = small.write(tmp_path, model=MODEL, steps=2, stages=stages)
    trainer = Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=small.silent)
    before = {name: value.clone() for name, value in trainer.method.state_dict().items()}
    trainer.run()
    still = [name for name, value in trainer.method.state_dict().items() if torch.equal(value, before[name])]
    assert {name.split(".")[0] for name in still} >= {"routing", "patch_branch"}
    assert not any(name.startswith("frame_head.blocks") for name in still)


@pytest.mark.parametrize(
    ("shares", "steps", "fewest"),
    [
        (None, 1, "is 4"),
        (None, 3, "is 4"),
        # Rounding: of 4 steps the second of these gets none again.
        ((8, 3, 9), 2, "is 3"),
        ((8, 3, 9), 4, "is 5"),
        ((1, 0.001), 8, "is 501"),
        ((1, 1e-9), 8, "no number of steps up to"),
    ],
)
def test_too_few_steps_for_the_stages_name_the_smallest_number(
    tmp_path: Path, shares: tuple[float, ...] | None, steps: int, fewest: str
) -> None:
    stages = [{"name": f"stage {place}", "share": share} for place, share in enumerate(shares or ())]
    recipe = read_recipe(small.write(tmp_path, model=MODEL, steps=steps, stages=stages))
    model = tiny.model("pidro", ARGUMENTS)
    with pytest.raises(RecipeError, match=rf"gets none of the {steps} steps; .*{fewest}") as refused:
        plan_stages(recipe, model)
    number = re.search(r"one is (\d+)", str(refused.value))
    if number is not None:
        enough = recipe.model_copy(update={"steps": int(number[1])})
        assert all(stage.steps > 0 for stage in plan_stages(enough, model))
        assert int(number[1]) > steps
