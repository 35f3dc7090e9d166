"""``vidsift convert``: a plain CLIP state dict of OpenAI's form becomes a folder that loads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import save_file
from tests.files.full_disk import full_disk
from tests.methods import tiny
from torch import Tensor
from typer.testing import CliRunner

from vidsift.cli.convert import convert
from vidsift.cli.info import info
from vidsift.encoders.weights import towers_from_openai
from vidsift.methods.model import load

WIDTH, DIM = 64, 24


def block(prefix: str, number: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    stem = f"{prefix}transformer.resblocks.{number}."
    yield from [
        (stem + "attn.in_proj_weight", (3 * WIDTH, WIDTH)),
        (stem + "attn.in_proj_bias", (3 * WIDTH,)),
        (stem + "attn.out_proj.weight", (WIDTH, WIDTH)),
        (stem + "attn.out_proj.bias", (WIDTH,)),
        (stem + "ln_1.weight", (WIDTH,)),
        (stem + "ln_1.bias", (WIDTH,)),
        (stem + "ln_2.weight", (WIDTH,)),
        (stem + "ln_2.bias", (WIDTH,)),
        (stem + "mlp.c_fc.weight", (4 * WIDTH, WIDTH)),
        (stem + "mlp.c_fc.bias", (4 * WIDTH,)),
        (stem + "mlp.c_proj.weight", (WIDTH, 4 * WIDTH)),
        (stem + "mlp.c_proj.bias", (WIDTH,)),
    ]


def openai_weights() -> dict[str, Tensor]:
    shapes = {
        "logit_scale": (),
        "positional_embedding": (20, WIDTH),
        "token_embedding.weight": (tiny.tokenizer().vocabulary_size, WIDTH),
        "ln_final.weight": (WIDTH,),
        "ln_final.bias": (WIDTH,),
        "text_projection": (WIDTH, DIM),
        "visual.class_embedding": (WIDTH,),
        "visual.conv1.weight": (WIDTH, 3, 8, 8),
        "visual.positional_embedding": (5, WIDTH),
        "visual.ln_pre.weight": (WIDTH,),
        "visual.ln_pre.bias": (WIDTH,),
        "visual.ln_post.weight": (WIDTH,),
        "visual.ln_post.bias": (WIDTH,),
        "visual.proj": (WIDTH, DIM),
        **dict(block("", 0)),
        **dict(block("visual.", 0)),
    }
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "clip" / "weights.safetensors"
    path.parent.mkdir()
    save_file(openai_weights(), path)
    tiny.tokenizer().save(path.parent)
    return path


def run(*arguments: object) -> tuple[int, str, BaseException | None]:
    program = typer.Typer()
    for verb in (convert, info):
        program.command(verb.__name__)(verb)
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])
    return result.exit_code, result.output, result.exception


def test_a_plain_state_dict_becomes_a_model_that_loads(checkpoint: Path, tmp_path: Path) -> None:
    code, output, _ = run("convert", checkpoint, "-o", tmp_path / "model", "--frames", 4)
    assert code == 0
    weights = openai_weights()
    assert f"{sum(value.numel() for value in weights.values()):,} parameters" in output
    assert "Pictures of 16 px in 4 patches, texts of at most 20 tokens, 24 channels." in output
    model = load(tmp_path / "model", device="cpu")
    assert model.method_name == "zero_shot"
    assert model.preprocessing.frames == 4
    assert model.name == "model"
    tokenized = model.tokenize(["a red circle"])
    expected = towers_from_openai(weights, "weights").encode_text(tokenized.ids, tokenized.mask)
    sentence = model.encode_text(["a red circle"])["sentence"].tokens[0, 0]
    torch.testing.assert_close(sentence, torch.nn.functional.normalize(expected[0, -1], dim=0))
    assert "weights.safetensors" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_every_key_that_does_not_fit_is_listed(checkpoint: Path, tmp_path: Path) -> None:
    weights = openai_weights()
    weights["visual.surplus"] = weights.pop("ln_final.bias")
    save_file(weights, checkpoint)
    code, _, problem = run("convert", checkpoint, "-o", tmp_path / "model")
    assert code == 1
    assert "missing (1): text_model.final_layer_norm.bias" in str(problem)
    assert "unexpected (1): visual.surplus" in str(problem)
    assert not (tmp_path / "model").exists()


def test_a_conversion_that_was_killed_or_met_a_full_disk_is_made_again(
    checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    with full_disk(5000):
        _, printed, problem = run("convert", checkpoint, "-o", output)
    assert f"the model could not be written to {output}: " in str(problem)
    assert "Every weight found its place" not in printed
    left = output / ".saving.4711"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    assert run("convert", checkpoint, "-o", output)[0] == 0
    assert not left.exists()
    assert load(output, device="cpu").name == "model"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_do_not_become_a_model(
    checkpoint: Path, tmp_path: Path, value: float
) -> None:
    weights = openai_weights()
    weights["visual.transformer.resblocks.0.attn.in_proj_weight"][-1, 0] = value
    save_file(weights, checkpoint)
    code, output, problem = run("convert", checkpoint, "-o", tmp_path / "model")
    assert code == 1
    assert f"{checkpoint} holds NaN or infinite values in 1 of " in str(problem)
    assert "self_attn.v_proj.weight" in str(problem)
    assert "Every weight found its place" not in output
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.pt", "-o", "model"], "there is no such file"),
        (["CHECKPOINT", "-o", "CHECKPOINT/.."], "not empty"),
        (["CHECKPOINT", "-o", "model", "--from", "paddle"], "expected one of: clip4clip"),
    ],
)
def test_what_cannot_be_converted_is_answered(
    checkpoint: Path, tmp_path: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    diary = checkpoint.parent / ".diary.2026"
    diary.mkdir()
    given = [argument.replace("CHECKPOINT/..", str(checkpoint.parent)) for argument in arguments]
    _, _, problem = run("convert", *(argument.replace("CHECKPOINT", str(checkpoint)) for argument in given))
    assert isinstance(problem, ValueError)
    assert message in str(problem)
    assert diary.is_dir()
