"""``vidsift info``: what a model is, in lines or JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from safetensors.torch import load_file, save_file
from tests.methods import tiny
from typer.testing import CliRunner, Result

from vidsift.cli.info import info


def run(*arguments: object) -> Result:
    program = typer.Typer()
    program.command()(info)
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.model("drl", {"temporal": "none"}).save(tmp_path / "model")
    return tmp_path / "model"


def test_the_facts_of_a_model_in_lines(folder: Path) -> None:
    result = run(folder)
    assert result.exit_code == 0
    facts = dict(line.split(maxsplit=1) for line in result.output.splitlines() if " " in line)
    assert facts["method"] == "drl"
    assert "1 x word-frame (WeightedTokenWise)" in facts["similarity"]
    assert "interaction=wti" in facts["arguments"]
    assert facts["explains"] == "yes"


def test_the_facts_of_a_model_as_json(folder: Path) -> None:
    model = tiny.model("drl", {"temporal": "none"})
    result = run(folder, "--json", "--verify")
    facts = json.loads(result.output)
    assert facts["fingerprint"] == model.fingerprint
    assert facts["parameters"] == sum(value.numel() for value in model.method.parameters())
    assert facts["text sets"] == ["word"]
    assert facts["video sets"] == ["frame"]
    assert facts["reading"]["frames"] == tiny.FRAMES
    assert facts["bytes on disk"] == sum(file.stat().st_size for file in folder.iterdir())
    assert facts["verified"] == "the weights match the fingerprint"


def test_exchanged_weights_are_found_by_verifying(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).add_(1)
    save_file(weights, path)
    assert run(folder).exit_code == 0
    result = run(folder, "--verify")
    assert isinstance(result.exception, ValueError)
    assert "do not belong together" in str(result.exception)


def test_a_place_that_holds_nothing_is_answered(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere" / "deeper")
    assert isinstance(result.exception, ValueError)
    assert "nowhere" in str(result.exception)
