"""Stages in which the image tower does not learn: it looks once, and what is learned is the same."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import RECIPE, count_walks, losses, same, silent, stop_after, weights, write

from vidsift.data.loading import stage_at
from vidsift.encoders.text_cache import CachedTexts
from vidsift.shapes.set import ShapesSet
from vidsift.training import stage_features
from vidsift.training.recipe import read_recipe
from vidsift.training.stage_features import StageFeatures
from vidsift.training.trainer import StoppedEarly, Trainer, train

HEAD = RECIPE["model"] | {"arguments": {"interaction": "wti", "temporal": "transformer", "cdcr": "none"}}
STAGES = [{"name": "all"}, {"name": "head", "trained": ["temporal.", "interactions."]}]
PIDRO = RECIPE["model"] | {
    "method": "pidro",
    "arguments": {"head_layers": 1, "patch_tokens": 2, "selector_samples": 10},
}


def recipe(folder: Path, **changes: Any) -> Path:
    data = {"source": "shapes-stream", "batch_size": 8, "workers": 0, "clips": 16, "jitter": 0.0}
    folder.mkdir(exist_ok=True)
    return write(folder, **{"data": data | {"cache": str(folder / "set")}} | changes)


def never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StageFeatures, "_stored_clips", lambda *_arguments: None)


def close(first: Path, second: Path) -> None:
    with_files, without = weights(first), weights(second)
    for name, value in with_files.items():
        torch.testing.assert_close(value, without[name], rtol=0, atol=1e-5, msg=name)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many clips the image tower looked at, call by call."""
    return count_walks(monkeypatch, "_walk_frames")


@pytest.mark.parametrize("chunk", [None, 3])
def test_a_stage_without_the_tower_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[int], chunk: int | None
) -> None:
    path = recipe(tmp_path, model=HEAD, stages=STAGES, chunk=chunk)
    said: list[str] = []
    train(path, output=tmp_path / "kept", device="cpu", say=said.append)
    # One clip to see what is wanted, four steps of a tower that learns, and then the set.
    assert (looks[0], looks[-1], sum(looks[:-1])) == (1, 16, 1 + 4 * (8 if chunk is None else 8 + 6))
    line = next(line for line in said if "the image tower does not learn" in line)
    assert line.startswith("stage head:")
    assert "of 16 clips is computed once, 1 MB" in line
    # The weights were this run's own: nobody else has a use for their features.
    assert not (tmp_path / "kept" / "checkpoints" / "features").exists()
    never_kept(monkeypatch)
    train(path, output=tmp_path / "looked", device="cpu", say=silent)
    close(tmp_path / "kept", tmp_path / "looked")
    assert losses(tmp_path / "kept") == pytest.approx(losses(tmp_path / "looked"), abs=1e-5)


@pytest.mark.parametrize("steps", [4, 6])
def test_a_run_that_was_stopped_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[int], steps: int
) -> None:
    path = recipe(tmp_path, model=HEAD, stages=STAGES)
    train(path, output=tmp_path / "whole", device="cpu", say=silent)
    with monkeypatch.context() as patch:
        stop_after(steps, patch, signal.SIGINT)
        with pytest.raises(StoppedEarly):
            train(path, output=tmp_path / "run", device="cpu", say=silent)
    looks.clear()
    train(path, output=tmp_path / "run", device="cpu", say=silent)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))
    # What was computed before the stop is still there.
    assert looks == ([1, 16] if steps == 4 else [1])


def test_a_signal_while_features_are_computed_saves_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(tmp_path, model=HEAD, stages=STAGES)
    train(path, output=tmp_path / "whole", device="cpu", say=silent)

    def interrupted(_features: StageFeatures) -> bool:
        signal.raise_signal(signal.SIGINT)
        return True

    with monkeypatch.context() as patch:
        patch.setattr(StageFeatures, "compute", interrupted)
        with pytest.raises(StoppedEarly, match="after step 4 of 8; saved"):
            train(path, output=tmp_path / "run", device="cpu", say=silent)
    train(path, output=tmp_path / "run", device="cpu", say=silent)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


def test_what_is_too_large_is_computed_at_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of PIDRo's later stages one wants class tokens, 2 KB; the other wants every token of every block."""
    path = recipe(tmp_path, model=PIDRO, steps=30)
    monkeypatch.setattr(stage_features, "_MOST_BYTES", 16 * 2 * 16 * 4)
    said: list[str] = []
    run = Trainer(read_recipe(path), tmp_path / "kept", device="cpu", say=said.append)
    maker = run._features.batch_maker(run.stages, say=silent)
    sides = [maker(stage.first_step).pixels.shape[-2] for stage in run.stages]
    assert sides == [16, 1, 16]
    run.run()
    routing, patches = (line for line in said if "the image tower does not learn" in line)
    assert routing.startswith("stage routing:")
    assert "is computed once" in routing
    assert patches.startswith("stage patches:")
    assert patches.endswith("is 1 MB, more than 1 MB (the limit); it is computed at each step")
    with monkeypatch.context() as patch:
        never_kept(patch)
        train(path, output=tmp_path / "looked", device="cpu", say=silent)
    close(tmp_path / "kept", tmp_path / "looked")


def test_nothing_is_kept_on_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(tmp_path, model=HEAD | {"frozen_towers": True}, steps=2)
    monkeypatch.setattr(stage_features, "_free_bytes", lambda _folder: 4000)
    said: list[str] = []
    train(path, output=tmp_path / "run", device="cpu", say=said.append)
    assert any("more than 1 MB (half of the free disk)" in line for line in said)
    assert not list((tmp_path / "set").glob("*/towers"))


FROZEN = HEAD | {"frozen_towers": True}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts the text tower read, call by call."""
    return count_walks(monkeypatch, "_walk_text")


def test_a_frozen_text_tower_reads_each_sentence_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    path = recipe(tmp_path, model=FROZEN, steps=4)
    said: list[str] = []
    train(path, output=tmp_path / "kept", device="cpu", say=said.append)
    sentences = ShapesSet.open(tmp_path / "set", clips=16, frames=2, size_px=16).sentences
    assert read == [len(set(sentences))]
    (line,) = (line for line in said if "text tower" in line)
    assert f"what it makes of {len(set(sentences))} sentences is computed once, 1 MB in" in line
    # Another run from the same weights reads none, and one that was stopped ends with the same bits.
    with monkeypatch.context() as patch:
        stop_after(2, patch, signal.SIGINT)
        with pytest.raises(StoppedEarly):
            train(path, output=tmp_path / "run", device="cpu", say=silent)
    train(path, output=tmp_path / "run", device="cpu", say=silent)
    assert len(read) == 1
    assert same(weights(tmp_path / "run"), weights(tmp_path / "kept"))
    never_kept(monkeypatch)
    train(path, output=tmp_path / "computed", device="cpu", say=silent)
    assert read[1:] == [8] * 4
    close(tmp_path / "kept", tmp_path / "computed")


@pytest.mark.parametrize("reason", ["too large", "dropout", "padding counts", "learns"])
def test_sentences_are_read_at_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[int], reason: str
) -> None:
    model = FROZEN
    if reason == "padding counts":
        model = FROZEN | {"arguments": FROZEN["arguments"] | {"padding": "zero"}}
    stages = [{"name": "text", "trained": ["towers.clip.text_model"]}] if reason == "learns" else []
    if stages:
        model = HEAD
    said: list[str] = []
    path = recipe(tmp_path, model=model, steps=4, stages=stages)
    run = Trainer(read_recipe(path), tmp_path / "run", device="cpu", say=said.append)
    if reason == "dropout":
        run.method.towers.clip.text_model.config.attention_dropout = 0.1
    with monkeypatch.context() as patch:
        if reason == "too large":
            patch.setattr(stage_features, "_free_bytes", lambda _folder: 10**12)
            patch.setattr(CachedTexts, "bytes", lambda *_arguments: 9 * 10**9)
        run.run()
    assert read == [8] * 4
    lines = [line for line in said if "text tower" in line]
    if reason == "too large":
        assert lines[0].endswith("is 9,000 MB, more than 8,000 MB (the limit); it runs at each step")
    else:
        assert not lines


@pytest.mark.parametrize("reason", ["dropout", "few steps", "fresh pictures"])
def test_nothing_is_kept_where_it_would_not_be_the_same_or_not_pay(tmp_path: Path, reason: str) -> None:
    changes: dict[str, Any] = {"stages": STAGES}
    if reason == "few steps":
        changes["steps"] = 4  # the stage has two, which see the 16 clips no more than once
    if reason == "fresh pictures":
        changes["data"] = RECIPE["data"]
    path = recipe(tmp_path, model=HEAD, **changes)
    run = Trainer(read_recipe(path), tmp_path / "run", device="cpu", say=silent)
    if reason == "dropout":
        run.method.towers.clip.vision_model.config.attention_dropout = 0.1
    maker = run._features.batch_maker(run.stages, say=silent)
    step = run.stages[-1].first_step
    assert stage_at(run.stages, step).section.name == "head"
    assert maker(step).pixels.shape[-2] == 16
    assert not run._features.begin(run.stages[-1])
    run._close()
