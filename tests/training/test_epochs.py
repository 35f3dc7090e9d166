"""Runs of epochs, and of no step at all."""

from __future__ import annotations

import json
import signal
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import losses, same, silent, stop_after, weights, write

from vidsift.data.source import Epoch
from vidsift.errors import CaptionsError, RecipeError
from vidsift.methods.model import Model
from vidsift.shapes.library import write_library
from vidsift.training.recipe import Recipe, read_recipe
from vidsift.training.setup import batch_maker, build_model, epoch_line, plan_stages, steps_of
from vidsift.training.trainer import StoppedEarly, Trainer, train


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos with three captions each."""
    folder = tmp_path_factory.mktemp("library")
    write_library(folder, "train", 8, size_px=16, frames_per_second=4, workers=1)
    return folder


def recipe_of(folder: Path, library: Path, epochs: float = 2, **data: Any) -> Path:
    section = {"source": "folder", "path": str(library), "batch_size": 5, "workers": 0} | data
    path = write(folder, data=section, epochs=epochs)
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("steps:")]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def planned(path: Path, *overrides: str) -> tuple[Recipe, Model, list[Any]]:
    recipe = read_recipe(path, overrides)
    model = build_model(recipe)
    return recipe, model, plan_stages(recipe, model)


@pytest.mark.parametrize(
    ("captions", "epochs", "steps", "words"),
    [
        (
            "every",
            2,
            9,
            "an epoch is every caption once: 24 captions, steps of 5: 4.8; 2 epochs are 9 steps",
        ),
        (
            "one",
            2.5,
            2,
            "an epoch is every video once, with one caption: 8 videos, steps of 5: 1; 2.5 epochs are 2 steps",
        ),
    ],
)
def test_what_an_epoch_is_is_said(
    tmp_path: Path, library: Path, captions: str, epochs: float, steps: int, words: str
) -> None:
    recipe, _, stages = planned(recipe_of(tmp_path, library, epochs, captions=captions))
    assert (steps_of(stages), epoch_line(recipe, stages)) == (steps, words)
    lines: list[str] = []
    train(recipe_of(tmp_path, library, epochs, captions=captions), output=tmp_path / "run", say=lines.append)
    assert words in lines
    assert list(losses(tmp_path / "run")) == list(range(1, steps + 1))
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()[0])
    assert first == {"step": 0, "epoch": words}
    assert f"{steps} steps" in (tmp_path / "run" / "README.md").read_text("utf-8")
    assert read_recipe(tmp_path / "run" / "recipe.yaml") == read_recipe(
        recipe_of(tmp_path, library, epochs, captions=captions)
    ).model_copy(update={"model": read_recipe(tmp_path / "run" / "recipe.yaml").model})


def test_five_epochs_of_every_caption_of_9k_are_7031_steps() -> None:
    every = Epoch("an epoch is every caption once: 180,000 captions", 180_000, whole_batches=False)
    assert every.steps(128) == Fraction(180_000, 128)
    assert int(5 * every.steps(128)) == 7031
    assert Epoch("", 180_000, whole_batches=True).steps(128) == 1406


def test_every_caption_is_trained_on_once_an_epoch(tmp_path: Path, library: Path) -> None:
    recipe, model, stages = planned(recipe_of(tmp_path, library, 5, captions="every"))
    maker = batch_maker(recipe, model, stages)
    batches = [maker(step) for step in range(steps_of(stages))]
    assert len(batches) == 24
    counted = Counter(caption for batch in batches for caption in batch.captions)
    captions = [caption for entry in recipe.data.training_files() for caption in entry.captions]
    assert counted == {caption: 5 * captions.count(caption) for caption in captions}
    assert all(len(set(batch.rows.tolist())) == 5 for batch in batches)


def test_stages_share_epochs_each_in_its_own_batches(tmp_path: Path, library: Path) -> None:
    """Two thirds of 3 epochs in batches of 4 are 12 steps, one in batches of 6 is 4."""
    path = recipe_of(tmp_path, library, 3, captions="every")
    stages = [{"name": "a", "share": 2, "batch_size": 4}, {"name": "b", "share": 1, "batch_size": 6}]
    recipe, model, planned_stages = planned(path, f"stages={json.dumps(stages)}")
    assert [(stage.first_step, stage.steps) for stage in planned_stages] == [(0, 12), (12, 4)]
    maker = batch_maker(recipe, model, planned_stages)
    second = [caption for step in range(12, 16) for caption in maker(step).captions]
    captions = [caption for entry in recipe.data.training_files() for caption in entry.captions]
    assert sorted(second) == sorted(captions)
    with pytest.raises(RecipeError, match=r"stage 'a' gets none of the 0\.1 epochs; raise its share or"):
        planned(path, f"stages={json.dumps(stages)}", "epochs=0.1")


def test_a_run_of_epochs_goes_on_with_the_same_bits(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the batch that two epochs share; going on with two workers."""
    path = recipe_of(tmp_path, library, captions="every")
    train(path, output=tmp_path / "whole", say=silent)
    with monkeypatch.context() as patch:
        stop_after(5, patch, signal.SIGINT)
        with pytest.raises(StoppedEarly, match="after step 5 of 9"):
            train(path, output=tmp_path / "run", say=silent)
    train(path, ("data.workers=2",), output=tmp_path / "run", say=silent)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_no_step_leaves_the_weights_as_they_start(tmp_path: Path) -> None:
    """Zero-shot: the start is validated and saved; a second command changes nothing."""
    path = write(tmp_path, steps=0, validation={"videos": 8})
    lines: list[str] = []
    result = train(path, output=tmp_path / "run", say=lines.append)
    assert (result["steps"], result["validation"]["text_to_video"]["questions"]) == (0, 24)
    assert any(line.startswith("validation at step 0: ") for line in lines)
    started = build_model(read_recipe(path)).method.state_dict()
    assert all(torch.equal(weights(tmp_path / "run")[name], value) for name, value in started.items())
    again = train(path, output=tmp_path / "run", say=silent)
    assert again["validation"] == result["validation"]


def test_a_run_has_steps_or_epochs(tmp_path: Path, library: Path) -> None:
    path = recipe_of(tmp_path, library)
    assert read_recipe(path, ["steps=3"]).epochs is None
    assert read_recipe(write(tmp_path), ["epochs=0.5"]).steps is None
    both = tmp_path / "both.yaml"
    both.write_text(path.read_text("utf-8") + "\nsteps: 3\nepochs: 2\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="give steps or epochs, one of them: both are there"):
        read_recipe(both)
    with pytest.raises(RecipeError, match="give steps or epochs, one of them: neither is there"):
        read_recipe(write(tmp_path), ["steps=null"])
    with pytest.raises(CaptionsError, match=r"Shapes has no epochs .*: give steps, or data\.clips"):
        Trainer(read_recipe(write(tmp_path), ["epochs=1"]), tmp_path / "run", say=silent)


def test_a_file_that_extends_another_says_steps_or_epochs(tmp_path: Path, library: Path) -> None:
    recipe_of(tmp_path, library)
    child = tmp_path / "child.yaml"
    child.write_text("extends: small.yaml\nsteps: 0\n", encoding="utf-8")
    read = read_recipe(child)
    assert (read.steps, read.epochs) == (0, None)
