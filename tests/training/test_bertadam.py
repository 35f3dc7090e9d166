"""BertAdam: what its fp16 does to weights, its clipping, and resuming. Parity stands in tests/golden."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.small import losses, silent, write
from torch import nn

from vidsift.errors import RecipeError
from vidsift.methods.model import load
from vidsift.training.bertadam import BertAdam, round_to_half
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import build_model
from vidsift.training.stopping import StoppedEarly
from vidsift.training.trainer import Trainer, train

RELEASED = {
    "optimiser": {
        "algorithm": "bertadam",
        "schedule": "bertadam_cosine",
        "decay": "all_but_biases",
        "warmup_share": 0.1,
        "weight_decay": 0.2,
        "learning_rate": 1e-4,
        "backbone_learning_rate": 1e-7,
    },
    "weights": "fp16",
}


def test_each_tensor_is_clipped_by_itself() -> None:
    first, second = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))
    optimiser = BertAdam([{"params": [first, second], "lr": 1.0, "weight_decay": 0.0}], eps=1.0)
    first.grad, second.grad = torch.full((4,), 5.0), torch.full((4,), 0.25)
    optimiser.step()
    # Norms 10 and 0.5: the first is scaled to 1, so each of its parts to 0.5.
    for weight, gradient in ((first, 0.5), (second, 0.25)):
        expected = -(0.1 * gradient) / ((0.02 * gradient**2) ** 0.5 + 1.0)
        torch.testing.assert_close(weight.detach(), torch.full((4,), expected))


def test_resumed_it_makes_the_same_steps(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, steps=6, checkpoint_every_steps=3, **RELEASED))
    train(
        write(tmp_path, steps=6, checkpoint_every_steps=3, **RELEASED), output=tmp_path / "whole", say=silent
    )
    run = Trainer(recipe, tmp_path / "run", say=silent, should_stop=lambda: run.step == 3)
    with pytest.raises(StoppedEarly, match="stopped after step 3"):
        run.run()
    Trainer(recipe, tmp_path / "run", say=silent).run()
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    ours = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert ours == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_fp16_weights_stay_fp16_numbers_and_the_model_loads(tmp_path: Path) -> None:
    train(write(tmp_path, steps=3, **RELEASED), output=tmp_path / "run", say=silent)
    towers = load(str(tmp_path / "run"), device="cpu").method.towers
    start = build_model(read_recipe(write(tmp_path, **RELEASED))).method.towers
    kinds = {"half": 0, "full": 0}
    for name, weight in towers.named_parameters():
        is_half = any(part in name for part in ("_proj", "fc1", "fc2", "projection", "patch_embedding"))
        assert not is_half or torch.equal(weight, weight.half().float()), name
        kinds["half" if is_half else "full"] += 1
        if name.endswith("norm1.weight"):
            assert not torch.equal(weight, start.get_parameter(name)), name
    assert min(kinds.values()) > 5


def test_weights_beyond_fp16_are_refused() -> None:
    linear, norm = nn.Linear(2, 2), nn.LayerNorm(2)
    towers = nn.Sequential(linear, norm)
    assert round_to_half(towers) == set(map(id, linear.parameters()))
    nn.init.constant_(linear.weight, 1e5)
    with pytest.raises(ValueError, match=r"0.weight holds 1e\+05, fp16 ends at 65504"):
        round_to_half(towers)


def test_fp16_weights_need_what_steps_them(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"only optimiser\.algorithm bertadam steps, not adamw"):
        read_recipe(write(tmp_path, weights="fp16"))
