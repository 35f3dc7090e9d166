"""Blocks that are computed again, or compiled: the same training in less memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods import tiny
from tests.methods.variants import every_variant
from tests.training.small import losses, silent, write
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from vidsift.errors import RecipeError
from vidsift.methods.base import Method
from vidsift.training.blocks import set_attention, wrap_blocks
from vidsift.training.recipe import read_recipe
from vidsift.training.saved_tensors import SavedTensors
from vidsift.training.trainer import StoppedEarly, Trainer, train

IDS = torch.randint(1, 500, (3, 6), generator=torch.Generator().manual_seed(0))
WORDS = torch.arange(6) < torch.tensor([[6], [4], [5]])
PIXELS = torch.randn(3, 4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
FRAMES = torch.arange(4) < torch.tensor([[4], [2], [3]])


def gradients(method: Method) -> tuple[dict[str, Tensor], int]:
    """Gradients of one step, and bytes stored for them."""
    method.train()
    torch.manual_seed(5)
    with SavedTensors(method.parameters()) as saved:
        text = method.prepare_text(method.text_features(IDS, WORDS))
        video = method.prepare_video(method.video_features(PIXELS, FRAMES, torch.zeros(3, 4)))
        loss = method.loss(text, video)["loss"]
        stored_bytes = saved.bytes
    torch.autograd.backward(loss)
    return {n: p.grad for n, p in method.named_parameters() if p.grad is not None}, stored_bytes


@every_variant
def test_what_is_computed_again_gives_the_same_gradients_from_less(
    method: str, arguments: Mapping[str, Any]
) -> None:
    plain, wrapped = (tiny.model(method, arguments).method for _ in range(2))
    assert wrap_blocks(wrapped, recomputed=True) >= 3
    (expected, stored_plain), (actual, stored) = gradients(plain), gradients(wrapped)
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    # Tiny models store little in their blocks; real ones are measured (benchmarks/training_memory.py).
    assert stored < 0.9 * stored_plain


def test_a_run_may_be_resumed_with_blocks_computed_again(tmp_path: Path) -> None:
    recipe = write(tmp_path, steps=4, checkpoint_every_steps=2)
    train(recipe, output=tmp_path / "plain", say=silent)
    train(recipe, ("checkpoint_blocks=true",), output=tmp_path / "again", say=silent)
    assert losses(tmp_path / "plain") == losses(tmp_path / "again")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "again")]
    assert weights[0] == weights[1]
    train(recipe, output=tmp_path / "again", say=silent)  # is the same run


@every_variant
def test_both_kinds_of_attention_give_the_same_gradients(method: str, arguments: Mapping[str, Any]) -> None:
    plain, eager = (tiny.model(method, arguments).method for _ in range(2))
    set_attention(eager, "sdpa", torch.bfloat16)
    # Also what stands outside of the towers, as PIDRo's blocks of cubes do.
    assert kinds(plain) == {"sdpa"}
    assert kinds(eager) == {"eager"}
    (expected, _), (actual, _) = gradients(plain), gradients(eager)
    assert actual.keys() == expected.keys()
    # Of all: biases of keys have no gradient but rounding.
    largest = max(float(gradient.abs().max()) for gradient in expected.values() if gradient.numel())
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=0, atol=1e-4 * largest, msg=name)


def kinds(method: Method) -> set[str]:
    return {
        module.self_attn.config._attn_implementation
        for module in method.modules()
        if isinstance(module, CLIPEncoderLayer)
    }


@pytest.mark.parametrize(
    ("dtype", "attention", "kind"),
    [
        ("fp32", "sdpa", "sdpa"),
        ("bf16", "sdpa", "eager"),
        ("fp32", "eager", "eager"),
    ],
)
def test_the_kind_of_attention_follows_from_the_recipe(
    dtype: str, attention: str, kind: str, tmp_path: Path
) -> None:
    changes = (f"precision={dtype}", f"model.attention={attention}")
    trainer = Trainer(read_recipe(write(tmp_path, steps=1), changes), tmp_path / "run", say=silent)
    try:
        assert trainer.method.towers.attention == kind
    finally:
        trainer._close()


def test_blocks_can_be_compiled() -> None:
    plain, wrapped = (tiny.model("drl", {"temporal_layers": 1}).method for _ in range(2))
    # Only the first half of torch.compile: code of its own takes a compiler and long.
    wrap_blocks(wrapped, compiled=True, recomputed=True, backend="eager")
    expected, actual = gradients(plain)[0], gradients(wrapped)[0]
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], msg=name)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_compiler_that_fails_or_is_stopped_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    def fails(run: Any, **_: Any) -> Any:
        def compiled(*inputs: Any, **more: Any) -> Any:
            if torch.is_grad_enabled():
                if stopped:  # Ctrl-C reaches the run and the compiler
                    os.kill(os.getpid(), signal.SIGINT)
                raise TorchDynamoException("C++ compile error\nmore")
            return run(*inputs, **more)

        return compiled

    monkeypatch.setattr(torch, "compile", fails)
    monkeypatch.setattr("vidsift.training.trainer.require_compiler", lambda: None)
    error, words = (
        (StoppedEarly, "stopped while compiling; the same command goes on")
        if stopped
        else (RecipeError, r"could not compile a block: C\+\+ compile error\. Leave compile out")
    )
    with pytest.raises(error, match=words):
        train(write(tmp_path), ("compile=true",), output=tmp_path / "run", say=silent)


def test_where_nothing_compiles_it_is_said_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no C++ compiler found\nmore")

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.raises(RecipeError, match=r"does not work here: no C\+\+ compiler found\. Install"):
        train(write(tmp_path), ("compile=true",), output=tmp_path / "run", say=silent)
    assert not (tmp_path / "run" / "recipe.yaml").exists()
