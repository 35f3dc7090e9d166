"""Runs of a few steps: what comes out, and that stopping and going on changes nothing."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version
from tests.training.small import RECIPE, losses, same, silent, stop_after, weights, write

from vidsift.encoders.feature_cache import CachedTowers
from vidsift.errors import NonFiniteLossError, RecipeError
from vidsift.methods.model import Model, load
from vidsift.shapes.library import write_library
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import batch_maker
from vidsift.training.trainer import StoppedEarly, Trainer, train
from vidsift.types import Span


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(write(folder), output=folder / "run", device="cpu", say=silent)
    return folder / "run"


def test_a_run_leaves_a_model_its_recipe_and_a_log(whole_run: Path) -> None:
    model = load(whole_run, device="cpu")
    assert (model.name, model.method_name, model.preprocessing.frames) == ("small", "drl", 2)
    assert "recipe `small`, 8 steps" in (whole_run / "README.md").read_text("utf-8")
    assert read_recipe(whole_run / "recipe.yaml").steps == 8
    assert list(losses(whole_run)) == list(range(1, 9))
    last = json.loads((whole_run / "metrics.jsonl").read_text("utf-8").splitlines()[-1])
    assert {"rate", "scale", "clips_per_second", "seconds"} <= last.keys()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_and_going_on_gives_the_same_bits(
    tmp_path: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    recipe = write(tmp_path)
    with monkeypatch.context() as patch:
        stop_after(3, patch, number)
        with pytest.raises(StoppedEarly, match="after step 3 of 8; saved"):
            train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    np.random.default_rng(0).random(5)
    torch.manual_seed(99)
    lines: list[str] = []
    train(recipe, output=tmp_path / "run", device="cpu", say=lines.append)
    assert "going on after step 3" in lines
    assert losses(tmp_path / "run") == losses(whole_run)
    assert same(weights(tmp_path / "run"), weights(whole_run))


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    tmp_path: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, output = write(tmp_path, checkpoint_every_steps=2), tmp_path / "run"
    whole = Trainer._train_step

    def die(self: Trainer, batch: Any) -> None:
        if self.step == 5:
            raise SystemExit("killed")
        whole(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", die)
        with pytest.raises(SystemExit):
            train(recipe, output=output, device="cpu", say=silent)
    with (output / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 6, "lo')  # a line cut in half
    lines: list[str] = []
    train(recipe, output=output, device="cpu", say=lines.append)
    assert "going on after step 4" in lines
    assert losses(output) == losses(whole_run)
    assert same(weights(output), weights(whole_run))


def test_worker_processes_change_nothing(tmp_path: Path, whole_run: Path) -> None:
    train(write(tmp_path), ("data.workers=2",), output=tmp_path / "run", device="cpu", say=silent)
    assert same(weights(tmp_path / "run"), weights(whole_run))


def test_another_recipe_does_not_go_on_from_this_checkpoint(tmp_path: Path, whole_run: Path) -> None:
    recipe = write(tmp_path)
    with pytest.raises(RecipeError, match=r"different: optimiser.learning_rate, seed.*--no-resume"):
        train(recipe, ("seed=1", "optimiser.learning_rate=0.5"), output=whole_run, device="cpu", say=silent)
    with pytest.raises(ValueError, match=r"no checkpoint .* to resume from"):
        train(recipe, output=tmp_path / "other", resume=True, device="cpu", say=silent)


@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.23"),
    reason="recorded from first weights in the order in which transformers 5.23 draws them",
)
def test_the_loss_trace_of_fifty_steps(tmp_path: Path) -> None:
    """Recorded on an x86 CPU; a change of data, initialisation, loss, optimiser or schedule moves it."""
    train(
        write(tmp_path),
        ("steps=50", "optimiser.learning_rate=0.003"),
        output=tmp_path / "run",
        device="cpu",
        say=silent,
    )
    trace = losses(tmp_path / "run")
    assert [trace[step] for step in TRACE] == pytest.approx(list(TRACE.values()), rel=5e-3)


TRACE = {1: 3.33, 10: 2.7428, 20: 2.1596, 30: 2.0844, 40: 2.0844, 50: 2.0348}


def test_a_loss_that_is_no_number_ends_the_run_by_its_step(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    run = Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=silent)
    broken = run.method.loss

    def loss(text: Any, video: Any) -> dict[str, torch.Tensor]:
        result = broken(text, video)
        return {"loss": result["loss"] * (float("nan") if run.step == 2 else 1.0)}

    run.method.loss = loss  # type: ignore[method-assign]
    with pytest.raises(NonFiniteLossError, match="loss is nan at step 2"):
        run.run()
    assert all(torch.isfinite(value).all() for value in run.method.state_dict().values())


@pytest.mark.parametrize("returned", [torch.tensor(1.0), {"total": torch.tensor(1.0)}])
def test_a_loss_without_its_name_is_refused(tmp_path: Path, returned: Any) -> None:
    run = Trainer(read_recipe(write(tmp_path)), tmp_path / "run", device="cpu", say=silent)
    run.method.loss = lambda *_: returned  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"Drl.loss returned .*, expected a dictionary of scalars"):
        run.run()


def test_stages_freeze_and_change_what_is_seen(tmp_path: Path) -> None:
    stages = [
        {"name": "stills", "share": 1, "frames": 1, "batch_size": 12, "trained": ["interactions"]},
        {"name": "clips", "share": 3},
    ]
    recipe = read_recipe(write(tmp_path, stages=stages))
    run = Trainer(recipe, tmp_path / "run", device="cpu", say=silent)
    start = {name: value.detach().clone() for name, value in run.method.named_parameters()}
    seen: list[tuple[int, ...]] = []
    after_first: dict[str, torch.Tensor] = {}
    whole = run._train_step

    def step(batch: Any) -> None:
        seen.append(batch.pixels.shape)
        whole(batch)
        if run.step == 2:
            after_first.update({name: p.detach().clone() for name, p in run.method.named_parameters()})

    run._train_step = step  # type: ignore[method-assign]
    run.run()
    assert seen == [(12, 1, 16, 16, 3)] * 2 + [(8, 2, 16, 16, 3)] * 6
    moved = {name for name, value in after_first.items() if not torch.equal(value, start[name])}
    assert moved
    assert all(name.startswith("interactions") for name in moved)
    assert not torch.equal(
        run.method.towers.clip.visual_projection.weight, start["towers.clip.visual_projection.weight"]
    )


def test_an_unknown_prefix_and_a_stage_without_steps_are_refused(tmp_path: Path) -> None:
    recipe = write(
        tmp_path, stages=[{"name": "one", "trained": ["tower"]}, {"name": "two", "trained": ["clip"]}]
    )
    with pytest.raises(RecipeError, match=r"no parameter begins with 'clip'; .*interactions\.0"):
        train(recipe, output=tmp_path / "a", device="cpu", say=silent)
    recipe = write(tmp_path, stages=[{"name": "one"}, {"name": "two", "share": 0.01}])
    with pytest.raises(RecipeError, match="stage 'two' gets none of the 8 steps"):
        train(recipe, output=tmp_path / "b", device="cpu", say=silent)


def test_the_scale_stays_in_its_range(tmp_path: Path) -> None:
    recipe = write(tmp_path, optimiser={"learning_rate": 5.0, "clip_norm": 0}, steps=3)
    run = Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=silent)
    run.method.towers.logit_scale.data.fill_(9.0)
    run.run()
    assert float(run.method.scale.detach()) <= 100.001


def test_several_captions_each_give_the_mean_of_their_losses(tmp_path: Path) -> None:
    run = Trainer(read_recipe(write(tmp_path)), tmp_path / "run", device="cpu", say=silent)
    run.method.eval()
    maker = batch_maker(run.recipe, run.model, run.stages)
    batch = maker(0)
    turned = batch._replace(captions=batch.captions[1:] + batch.captions[:1])
    both = batch._replace(captions=batch.captions + turned.captions)
    of_batch, of_turned, mean = (
        float(run._take_step.batch_loss(0, b).losses["loss"].detach()) for b in (batch, turned, both)
    )
    assert mean == pytest.approx((of_batch + of_turned) / 2, rel=1e-5)
    assert of_batch != pytest.approx(of_turned, rel=1e-3)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos of training, eight of validation, and one file that is no video."""
    folder = tmp_path_factory.mktemp("library")
    lines = []
    for split in ("train", "val"):
        write_library(folder, split, 8, size_px=32, frames_per_second=4, workers=1)
        for line in (folder / "captions.jsonl").read_text("utf-8").splitlines():
            lines.append(json.loads(line) | {"split": split})
    (folder / "broken.mp4").write_text("no video", encoding="utf-8")
    lines.append({"video": "broken.mp4", "captions": ["nothing at all"], "split": "train"})
    (folder / "captions.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    (folder / "shapes.json").unlink()
    return folder


def test_a_folder_of_videos_trains_validates_and_lists_what_it_cannot_read(
    tmp_path: Path, library: Path
) -> None:
    data = {
        "source": "folder",
        "path": str(library),
        "batch_size": 9,
        "workers": 0,
        "cache": str(tmp_path / "c"),
    }
    recipe = write(tmp_path, data=data, steps=3, validation={"every_steps": 2, "videos": 8})
    lines: list[str] = []
    result = train(recipe, output=tmp_path / "run", device="cpu", say=lines.append)
    assert result["unreadable"] == [str(library / "broken.mp4")]
    assert sum("broken.mp4" in line for line in lines) == 1
    assert result["validation"]["text_to_video"]["questions"] == 24
    logged = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert [line["step"] for line in logged if "validation" in line] == [2, 3]
    with pytest.raises(RecipeError, match="not chosen by their score on test"):
        train(recipe, ("validation.split=test",), output=tmp_path / "x", say=silent)


def test_a_batch_that_cannot_be_read_is_replaced_and_a_resumed_run_sees_the_same(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    lines = [json.loads(line) for line in (library / "captions.jsonl").read_text("utf-8").splitlines()]
    lines = [line for line in lines if line["split"] == "train"]
    for line in lines[:3]:
        shutil.copy(library / line["video"], videos)
    for line in lines[3:]:
        (videos / line["video"]).write_text("no video", encoding="utf-8")
    (videos / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    data = {"source": "folder", "path": str(videos), "batch_size": 2, "workers": 0, "jitter": 0.5}
    recipe = write(tmp_path, data=data, steps=4)
    said: list[str] = []
    train(recipe, output=tmp_path / "whole", device="cpu", say=said.append)
    (line, *_) = [line for line in said if "it takes others" in line]
    assert line.startswith("step ")
    assert str(videos) in line
    log = (tmp_path / "whole" / "metrics.jsonl").read_text("utf-8")
    logged = [json.loads(line) for line in log.splitlines()]
    assert all(Path(path).is_file() for line in logged for path in line.get("replacements", ()))
    assert {line["unreadable"] for line in logged if "unreadable" in line} <= {
        str(videos / line["video"]) for line in lines[3:]
    }
    with monkeypatch.context() as patch:
        stop_after(2, patch, signal.SIGINT)
        with pytest.raises(StoppedEarly):
            train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_stage_of_one_video_a_batch_is_refused(tmp_path: Path, library: Path) -> None:
    data = {"source": "folder", "path": str(library), "batch_size": 4, "workers": 0}
    recipe = write(tmp_path, data=data, stages=[{"name": "one", "batch_size": 1}])
    with pytest.raises(RecipeError, match="stage 'one': batch_size is 1, expected at least 2 videos"):
        train(recipe, output=tmp_path / "run", device="cpu", say=silent)


@pytest.mark.parametrize("policy", ["one_fps_linspace", "head"])
def test_training_looks_where_the_model_does(tmp_path: Path, library: Path, policy: str) -> None:
    """Four seconds have four pictures by these, whether files are decoded or Shapes are rendered."""
    data = {"source": "folder", "path": str(library), "batch_size": 4, "workers": 0}
    model = RECIPE["model"] | {"sampling": policy, "frames": 6}
    shapes: dict[str, Any] = {"source": "shapes-stream", "batch_size": 4, "workers": 0}
    cached = shapes | {"clips": 8, "jitter": 0.0, "cache": str(tmp_path / "set")}
    for number, source in enumerate((data, shapes, cached)):
        recipe = read_recipe(write(tmp_path, data=source, model=model))
        run = Trainer(recipe, tmp_path / f"run{number}", device="cpu", say=silent)
        batch = batch_maker(recipe, run.model, run.stages)(0)
        wanted = run.model.wanted_times(Span(0.0, 4.0))
        assert batch.mask.sum(axis=1).tolist() == [len(wanted)] * 4 == [4] * 4
        away = batch.times_seconds - wanted
        assert np.logical_and(away >= 0, away < 1).all()


def test_frozen_towers_of_methods_that_pad_look_where_a_memory_has_no_padding(tmp_path: Path) -> None:
    data = {"source": "shapes-stream", "batch_size": 4, "workers": 0, "clips": 8, "jitter": 0.0}
    part = RECIPE["model"] | {"sampling": "head", "frames": 6, "frozen_towers": True}
    for padding, remembered in (("zero", False), ("excluded", True)):
        arguments = RECIPE["model"]["arguments"] | {"padding": padding}
        recipe = read_recipe(
            write(
                tmp_path,
                data=data | {"cache": str(tmp_path / "set")},
                model=part | {"arguments": arguments},
                steps=1,
            )
        )
        run = Trainer(recipe, tmp_path / padding, device="cpu", say=silent)
        run.run()
        assert isinstance(run.method.towers, CachedTowers) == remembered


def test_a_run_can_start_from_another(tmp_path: Path, whole_run: Path) -> None:
    start = {"start": str(whole_run), "method": "clip4clip", "frames": 3}
    run = Trainer(read_recipe(write(tmp_path, model=start)), tmp_path / "run", device="cpu", say=silent)
    before: Model = load(whole_run, device="cpu")
    assert same(run.method.towers.state_dict(), before.method.towers.state_dict())
    assert (run.model.method_name, run.model.preprocessing.frames) == ("clip4clip", 3)
    whole = Trainer(
        read_recipe(write(tmp_path, model={"start": str(whole_run)})),
        tmp_path / "w",
        device="cpu",
        say=silent,
    )
    assert same(whole.method.state_dict(), before.method.state_dict())
    assert whole.model.preprocessing.frames == 2
