"""Parts that do not learn: no gradient runs through them, and what they make of stored videos is kept."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import RECIPE, count_walks, losses, same, silent, stop_after, weights, write

from vidsift.encoders.feature_cache import CachedTowers
from vidsift.shapes.library import write_library
from vidsift.training.features import batch_features
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import batch_maker, set_trained
from vidsift.training.trainer import StoppedEarly, Trainer, train

ARGUMENTS = {"interaction": "wti", "temporal": "transformer", "cdcr": "none"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    write_library(folder, "train", 8, size_px=16, frames_per_second=4, workers=1)
    return folder


@pytest.mark.parametrize(
    ("trained", "frozen_towers", "with_gradient"),
    [
        ((), False, {"text", "vision"}),
        ((), True, set()),
        (("towers.clip.text_model",), False, {"text"}),
        (("towers.clip.vision_model",), False, {"vision"}),
    ],
)
def test_no_gradient_runs_through_a_tower_that_does_not_learn(
    tmp_path: Path, trained: tuple[str, ...], frozen_towers: bool, with_gradient: set[str]
) -> None:
    """Nothing of it is kept for a backward pass: its hidden states belong to no graph."""
    recipe = read_recipe(write(tmp_path))
    run = Trainer(recipe, tmp_path / "run", device="cpu", say=silent)
    set_trained(run.method, trained, frozen_towers=frozen_towers)
    clip = run.method.towers.clip
    reached: set[str] = set()

    def note(name: str) -> Any:
        def look(_module: Any, _inputs: Any, outputs: Any) -> None:
            reached.update({name} if outputs.requires_grad else ())

        return look

    clip.text_model.final_layer_norm.register_forward_hook(note("text"))
    clip.vision_model.post_layernorm.register_forward_hook(note("vision"))
    batch = batch_maker(recipe, run.model, run.stages)(0)
    batch_features(run.model, batch, torch.float32)
    assert reached == with_gradient


def test_frozen_towers_look_once_at_the_videos_of_a_cache(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is the one that looks at every batch, but for the order of sums, also after a stop."""
    model = RECIPE["model"] | {"frozen_towers": True, "arguments": ARGUMENTS}
    data = {"source": "folder", "path": str(library), "batch_size": 4, "workers": 0}
    cached = data | {"cache": str(tmp_path / "cache")}
    train(write(tmp_path, model=model, data=data | {"jitter": 0.0}), output=tmp_path / "live", say=silent)
    looks = count_walks(monkeypatch, "_walk_frames")
    lines: list[str] = []
    path = write(tmp_path, model=model, data=cached)
    run = Trainer(read_recipe(path), tmp_path / "whole", device="cpu", say=lines.append)
    run.run()
    assert isinstance(run.method.towers, CachedTowers)
    # The first clip alone shows what the method wants of the tower.
    assert looks == [1, 8]
    assert any("what it makes of 8 clips is computed once" in line for line in lines)
    assert losses(tmp_path / "whole") == pytest.approx(losses(tmp_path / "live"), abs=1e-4)
    with monkeypatch.context() as patch:
        stop_after(3, patch, signal.SIGINT)
        with pytest.raises(StoppedEarly):
            train(path, output=tmp_path / "run", say=silent)
    train(path, output=tmp_path / "run", say=silent)
    assert looks == [1, 8, 1, 1]
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


def test_a_stage_of_other_frames_looks_at_videos_itself(tmp_path: Path, library: Path) -> None:
    model = RECIPE["model"] | {"frozen_towers": True, "arguments": ARGUMENTS}
    data = {"source": "folder", "path": str(library), "batch_size": 4, "workers": 0}
    stages = [{"name": "still", "frames": 1}, {"name": "clips"}]
    path = write(
        tmp_path, model=model, data=data | {"cache": str(tmp_path / "cache")}, stages=stages, steps=2
    )
    run = Trainer(read_recipe(path), tmp_path / "run", device="cpu", say=silent)
    assert [len(batch.pixels[0, 0]) for batch in map(run._features.batch_maker(run.stages), (0, 1))] == [
        16,
        1,
    ]
    run.run()
