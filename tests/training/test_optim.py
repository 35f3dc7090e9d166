"""What decays, at which rate what learns, and the rate over the steps."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import write

from vidsift.training.optim import (
    build_optimiser,
    parameter_groups,
    rate_factor,
    set_rates,
    slow_backbone,
)
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import build_model
from vidsift.training.trainer import train


@pytest.fixture
def groups(tmp_path: Path) -> tuple[dict[str, torch.nn.Parameter], list[dict[str, Any]]]:
    recipe = read_recipe(
        write(tmp_path), ["model.arguments.temporal=transformer", "model.arguments.temporal_layers=1"]
    )
    method = build_model(recipe).method
    made = parameter_groups(method, learning_rate=1e-3, backbone_learning_rate=1e-5, weight_decay=0.1)
    return dict(method.named_parameters()), made


def test_every_parameter_is_in_one_group(
    groups: tuple[dict[str, torch.nn.Parameter], list[dict[str, Any]]],
) -> None:
    parameters, made = groups
    assert [group["name"] for group in made] == [
        "backbone, blocks", "backbone, decaying", "backbone, plain",
        "new, blocks", "new, decaying", "new, plain",
    ]  # fmt: skip
    in_groups = [id(parameter) for group in made for parameter in group["params"]]
    assert sorted(in_groups) == sorted(id(parameter) for parameter in parameters.values())


def test_matrices_decay_and_the_rest_does_not(
    groups: tuple[dict[str, torch.nn.Parameter], list[dict[str, Any]]],
) -> None:
    parameters, made = groups
    decaying = {id(p) for group in made if group["weight_decay"] for p in group["params"]}
    for name, parameter in parameters.items():
        spared = any(
            word in name
            for word in (
                "bias",
                "norm",
                "layrnorm",
                "position",
                "token_embedding",
                "class_embedding",
                "logit_scale",
            )
        )
        assert (id(parameter) in decaying) != spared, name
    assert id(parameters["towers.clip.vision_model.embeddings.patch_embedding.weight"]) in decaying


def test_the_backbone_learns_at_its_own_rate(
    groups: tuple[dict[str, torch.nn.Parameter], list[dict[str, Any]]],
) -> None:
    parameters, made = groups
    rate = {id(p): group["peak_rate"] for group in made for p in group["params"]}
    for name, parameter in parameters.items():
        assert rate[id(parameter)] == (1e-5 if name.startswith("towers.") else 1e-3), name
    optimiser = build_optimiser(made, beta1=0.9, beta2=0.98, epsilon=1e-6)
    set_rates(optimiser, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [5e-6] * 3 + [5e-4] * 3


def test_the_rate_rises_then_falls_like_a_cosine() -> None:
    factors = [rate_factor(step, 100, warmup_share=0.1, final_share=0.2) for step in range(101)]
    assert factors[:11] == pytest.approx([0.1 * step for step in range(1, 11)] + [1.0])
    assert factors[55] == pytest.approx(0.2 + 0.8 * 0.5)
    assert factors[100] == pytest.approx(0.2)
    assert factors[28] == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi * 18 / 90)))
    assert all(earlier >= later for earlier, later in pairwise(factors[10:]))


def test_a_run_without_warm_up_starts_at_the_peak() -> None:
    assert rate_factor(0, 10, warmup_share=0.0, final_share=0.0) == 1.0


def test_as_released_all_but_biases_decay(tmp_path: Path) -> None:
    method = build_model(read_recipe(write(tmp_path))).method
    made = parameter_groups(
        method, learning_rate=1e-3, backbone_learning_rate=1e-5, weight_decay=0.1, decay="all_but_biases"
    )
    decaying = {id(p) for group in made if group["weight_decay"] for p in group["params"]}
    names = dict(method.named_parameters())
    assert {name for name in names if id(names[name]) not in decaying} == {n for n in names if "bias" in n}
    assert id(names["towers.clip.logit_scale"]) in decaying
    # Muon takes matrices only: norms that decay stand outside the blocks' matrices.
    assert all(p.ndim == 2 for group in made if group["orthogonal"] for p in group["params"])


def test_a_rate_that_moves_nothing_is_said(tmp_path: Path) -> None:
    assert "1.0e-07 in fp32" in slow_backbone(1e-7, "adamw", half=False)
    assert slow_backbone(1e-7, "bertadam", half=True) == slow_backbone(1e-6, "adamw", half=False) == ""
    said: list[str] = []
    train(
        write(tmp_path, steps=1),
        ("optimiser.backbone_learning_rate=1e-7",),
        output=tmp_path / "run",
        say=said.append,
    )
    assert any("hardly change" in line for line in said)
