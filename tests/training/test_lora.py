"""LoRA: the towers stay, what is added learns, and the finished model is an ordinary one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods import tiny
from tests.training.small import RECIPE, losses, silent, write
from torch import Tensor

from vidsift.errors import CheckpointError, RecipeError
from vidsift.methods.model import load
from vidsift.training.checkpoint import load_checkpoint
from vidsift.training.lora import LoraLinear, add_lora, frozen_names, is_adapter, merged
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import build_model
from vidsift.training.stopping import StoppedEarly
from vidsift.training.trainer import Trainer, train

LORA: dict[str, Any] = {"lora": {"rank": 2, "alpha": 8, "layers": ["q_proj", "v_proj", "fc1"]}}


def with_lora() -> tuple[Any, list[LoraLinear]]:
    method = tiny.model("drl", {"temporal": "none"}).method
    add_lora(method, rank=2, alpha=8.0, layers=["q_proj", "fc1"])
    layers = [module for module in method.modules() if isinstance(module, LoraLinear)]
    return method, layers


def scores(method: Any) -> Tensor:
    ids = torch.randint(1, 500, (3, 6), generator=torch.Generator().manual_seed(0))
    pixels = torch.randn(3, 2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    words, frames = torch.ones(3, 6).bool(), torch.ones(3, 2).bool()
    text = method.prepare_text(method.text_features(ids, words))
    video = method.prepare_video(method.video_features(pixels, frames, torch.zeros(3, 2)))
    similarity: Tensor = method.similarity(text, video)
    return similarity


@torch.no_grad()
def test_it_begins_as_the_layer_and_merged_it_is_an_ordinary_one() -> None:
    plain = tiny.model("drl", {"temporal": "none"}).method
    method, layers = with_lora()
    # Two layers in each of the two blocks of one tower and the one block of the other.
    assert len(layers) == 6
    assert torch.equal(scores(method), scores(plain))
    for layer in layers:
        layer.lora_up.normal_()
    changed = scores(method)
    assert (changed - scores(plain)).abs().max() > 1e-3
    with merged(method):
        assert method.state_dict().keys() == plain.state_dict().keys()
        torch.testing.assert_close(scores(method), changed)
    assert torch.equal(scores(method), changed)


def test_a_product_is_added_with_its_share() -> None:
    layer = LoraLinear(torch.nn.Linear(4, 3), rank=2, alpha=6.0)
    torch.nn.init.normal_(layer.lora_up)
    inputs = torch.randn(5, 4)
    expected = inputs @ layer.weight.T + layer.bias + 3.0 * inputs @ layer.lora_down.T @ layer.lora_up.T
    torch.testing.assert_close(layer(inputs), expected)
    torch.testing.assert_close(layer.as_linear()(inputs), expected)


@pytest.mark.parametrize(
    "more",
    [
        {"validation": {"every_steps": 1, "videos": 64, "select": "best"}},
        {"precision": "bf16", "checkpoint_blocks": True},
    ],
)
def test_only_what_is_added_learns_and_the_model_is_an_ordinary_one(tmp_path: Path, more: Any) -> None:
    recipe = write(tmp_path, steps=3, **LORA, **more)
    train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    start = build_model(read_recipe(recipe)).method.state_dict()
    trained = load(str(tmp_path / "run"), device="cpu").method.state_dict()
    assert trained.keys() == start.keys()
    for name, value in trained.items():
        if name.endswith("_weight.2.bias"):
            continue  # the same for all tokens, a softmax takes it off: whether it moves is rounding
        adapted = any(f"{layer}.weight" in name for layer in ("q_proj", "v_proj", "fc1"))
        learned = adapted or name.endswith("logit_scale") or not name.startswith("towers.")
        assert torch.equal(value, start[name]) != learned, name


def test_a_resumed_run_gives_the_same_bits_from_a_small_checkpoint(tmp_path: Path) -> None:
    recipe = write(tmp_path, steps=6, **LORA)
    train(recipe, output=tmp_path / "whole", say=silent)
    run = Trainer(read_recipe(recipe), tmp_path / "run", say=silent, should_stop=lambda: run.step == 3)
    with pytest.raises(StoppedEarly):
        run.run()
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert not any(frozen_names(run.method) & checkpoint.weights.keys())
    assert sum(map(is_adapter, checkpoint.weights)) == 12
    train(recipe, output=tmp_path / "run", say=silent)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


def test_other_weights_below_are_refused(tmp_path: Path) -> None:
    train(write(tmp_path), output=tmp_path / "start", say=silent)
    model = RECIPE["model"] | {"start": str(tmp_path / "start")}
    del model["new"]
    recipe = write(tmp_path, steps=4, model=model, **LORA)
    run = Trainer(read_recipe(recipe), tmp_path / "run", say=silent, should_stop=lambda: run.step == 2)
    with pytest.raises(StoppedEarly):
        run.run()
    train(write(tmp_path, seed=7), output=tmp_path / "start", resume=False, say=silent)
    recipe = write(tmp_path, steps=4, model=model, **LORA)
    with pytest.raises(
        CheckpointError, match=r"LoRA leaves as they are are others\); put back what model\.start"
    ):
        train(recipe, output=tmp_path / "run", say=silent)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for more, message in (
        ({"weights": "fp16", "optimiser": {"algorithm": "bertadam"}}, "weights: fp16"),
        ({"model": RECIPE["model"] | {"frozen_towers": True}}, "frozen_towers"),
    ):
        with pytest.raises(RecipeError, match=f"lora and .*{message} say two things"):
            read_recipe(write(tmp_path, **LORA, **more))
    with pytest.raises(ValueError, match=r"lora\.rank is 16, expected less than 16, the channels of v_proj"):
        train(write(tmp_path, lora={"rank": 16}), output=tmp_path / "run", say=silent)
