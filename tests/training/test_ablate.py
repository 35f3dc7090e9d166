"""A grid of tiny runs: what it leaves, that finished runs stay, and that one fault costs one row."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.small import RECIPE, silent, write
from tests.training.test_grid import GRID

from vidsift.data.entries import Entry
from vidsift.data.folder import read_folder
from vidsift.data.source import GridTestSet
from vidsift.evaluation.evaluate import evaluate_entries
from vidsift.methods.model import load
from vidsift.shapes.library import write_library
from vidsift.training import ablate as module
from vidsift.training import trainer
from vidsift.training.ablate import ablate, finished, recall_at_1_per_video, write_report
from vidsift.training.grid import Grid, jobs_of
from vidsift.training.grid_digest import digest_of
from vidsift.training.recipe import read_recipe
from vidsift.training.stage_features import StageFeatures
from vidsift.training.trainer import StoppedEarly, Trainer, train


def grid(**changes: Any) -> Grid:
    return Grid.model_validate({**GRID, "quick": None, **changes})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("grid")
    return folder, ablate(grid(), folder, say=silent)


def test_every_run_is_judged_on_the_test_files(done: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, records = done
    assert [(record["setting"], record["row"], record["seed"]) for record in records] == [
        (job.setting, job.row, job.recipe.seed) for job in jobs_of(grid())
    ]
    for record in records:
        recall = record["report"]["text_to_video"]["R@1"]
        assert np.mean(record["found"]) == pytest.approx(recall, abs=1e-3)
        assert record["report"]["text_to_video"]["questions"] == 24
        assert record["tags"] == ["appearance"] * 4 + ["motion"] * 4
        place = folder / record["setting"] / record["row"] / f"seed{record['seed']}"
        assert sorted(path.name for path in place.iterdir()) == ["metrics.jsonl", "result.json"]
        assert json.loads((place / "result.json").read_text("utf-8")) == record


def test_finished_runs_stay_and_changed_ones_are_run_again(
    done: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, records = done
    ran: list[str] = []
    whole = module.run_grid_job

    def watched(job: Any, *rest: Any) -> Any:
        ran.append(job.place.as_posix())
        return whole(job, *rest)

    monkeypatch.setattr(module, "run_grid_job", watched)
    assert ablate(grid(), folder, say=silent) == records
    assert ran == []
    lines: list[str] = []
    ablate(grid(settings={"short": {"steps": 2}, "long": {"steps": 4}}), folder, say=lines.append)
    assert ran == ["long/dp/seed3", "long/dp/seed4"]
    assert lines[0].startswith("tiny: 6 runs, 4 done before, 1 at a time")
    assert lines[-1].startswith("[6/6] long / dp / seed 4: R@1 ")


def test_the_record_of_a_run_is_that_of_training_and_judging_by_hand(
    done: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, records = done
    job = next(iter(jobs_of(grid())))
    assert records[0]["made_from"] == digest_of(job)
    Trainer(job.recipe, tmp_path / "run", say=silent).run()
    model = load(tmp_path / "run", device="cpu")
    report = evaluate_entries(model, read_folder(folder / "shapes-test-8"), split="test", workers=0)
    assert report["by_tag"] == records[0]["report"]["by_tag"]


def test_a_row_that_cannot_be_trained_fails_alone(tmp_path: Path) -> None:
    rows = [
        {"name": "bad", "method": "drl", "arguments": {"interaction": "hi", "levels": 9}},
        GRID["rows"][0],
    ]
    small_grid = grid(rows=rows, settings={"short": {"steps": 1}}, seeds=[0], claims=[])
    bad, good = ablate(small_grid, tmp_path, say=silent)
    assert "levels is 9, expected 1 to 1" in bad["failed"]
    assert "report" in good
    write_report(small_grid, [bad, good], tmp_path / "page.md", command="ablate", note="Here.")
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "- short / bad / seed 0: drl: levels is 9" in page
    assert "| dp |" in page
    assert "found" not in json.loads((tmp_path / "page.json").read_text("utf-8"))[1]
    # It is tried again next time.
    lines: list[str] = []
    ablate(small_grid, tmp_path, say=lines.append)
    assert "1 done before" in lines[0]


def test_a_stopped_grid_goes_on_inside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_grid = grid(settings={"short": {"steps": 4}}, seeds=[0], claims=[], rows=[GRID["rows"][0]])
    whole, steps = Trainer._train_step, []

    def step(self: Trainer, batch: Any) -> None:
        steps.append(self.step)
        self._stop_requests.number = signal.SIGINT if len(steps) == 2 else None
        whole(self, batch)

    monkeypatch.setattr(trainer.Trainer, "_train_step", step)
    with pytest.raises(StoppedEarly):
        ablate(small_grid, tmp_path, say=silent)
    (record,) = ablate(small_grid, tmp_path, say=silent)
    assert steps == [0, 1, 2, 3]
    assert record["steps"] == 4


def test_a_run_whose_checkpoints_are_no_good_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fail for ever; what killed processes left beside it goes too."""
    small_grid = grid(settings={"short": {"steps": 4}}, seeds=[0], claims=[], rows=[GRID["rows"][0]])
    place = tmp_path / "short" / "dp" / "seed0"
    whole = Trainer._train_step

    def step(self: Trainer, batch: Any) -> None:
        self._stop_requests.number = signal.SIGINT
        whole(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", step)
        with pytest.raises(StoppedEarly):
            ablate(small_grid, tmp_path, say=silent)
    last = place / "run" / "checkpoints" / "last.pt"
    content = torch.load(last, weights_only=True)
    content["weights"]["towers.clip.logit_scale"].fill_(float("nan"))
    torch.save(content, last)
    for left in (place / ".result.json.47", tmp_path / ".report.md.47"):
        left.write_text("half", encoding="utf-8")
    (record,) = ablate(small_grid, tmp_path, say=silent)
    assert "failed" not in record
    assert record["steps"] == 4
    assert not (place / ".result.json.47").exists()
    assert not (tmp_path / ".report.md.47").exists()


def test_two_processes_give_the_same_records(done: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    _, records = done
    small_grid = grid(settings={"short": {"steps": 2}}, claims=[])
    expected = [record for record in records if record["setting"] == "short"]
    parallel = ablate(small_grid, tmp_path, processes=2, say=silent)
    times = ("train_seconds", "test_seconds")
    for record, reference in zip(parallel, expected, strict=True):
        assert {k: v for k, v in record.items() if k not in times} == {
            k: v for k, v in reference.items() if k not in times
        }


def test_found_per_video_shares_ties() -> None:
    entries = [Entry(Path("a"), ("one", "two")), Entry(Path("b"), ("three",))]
    assert recall_at_1_per_video(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]), entries) == [50.0, 50.0]


def test_runs_are_told_what_their_start_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(write(tmp_path, steps=1), output=tmp_path / "start", device="cpu", say=silent)
    model = {"start": str(tmp_path / "start"), "method": "drl"}
    small_grid = grid(
        base=GRID["base"] | {"model": model},
        settings={"as before": {"model.frames": 2}, "one frame": {"model.frames": 1}},
        rows=[{"name": "mean", "method": "clip4clip", "changes": {"steps": 1}}],
        seeds=[0, 1],
        claims=[{"say": "the mean is the mean", "order": "mean >= mean"}],
    )
    records = ablate(small_grid, tmp_path / "grid", say=silent)
    library = read_folder(tmp_path / "grid" / "shapes-test-8")
    before = evaluate_entries(load(tmp_path / "start", device="cpu"), library, split="test", workers=0)
    of_two, of_one = (records[place]["start"] for place in (0, 1))
    assert (of_two["model"], of_two["frames"], of_one["frames"]) == (model["start"], 2, 1)
    assert of_two["report"]["text_to_video"] == before["text_to_video"]
    assert of_one["report"]["text_to_video"] != before["text_to_video"]
    assert [record["start"] for record in records] == [of_two, of_one] * 2
    # It is judged once, and known after an interruption too.
    monkeypatch.setattr(module, "load", lambda *_args, **_options: pytest.fail("judged again"))
    assert (
        ablate(small_grid, tmp_path / "grid", say=silent)
        == finished(small_grid, tmp_path / "grid")
        == records
    )


def test_a_grid_on_a_folder_is_judged_on_its_test_split(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    write_library(videos, "val", 8, size_px=32, frames_per_second=4, workers=1)
    file = videos / "captions.jsonl"
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for number, line in enumerate(lines):
        line["split"] = "train" if number < 5 else "test"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    data = {"source": "folder", "path": str(videos), "batch_size": 4, "workers": 0}
    small_grid = grid(
        base=GRID["base"] | {"data": data},
        settings={"short": {"steps": 1}},
        seeds=[0],
        claims=[{"say": "x", "order": "dp >= mean", "tag": "any kind of question"}],
        test_videos=None,
    )
    records = ablate(small_grid, tmp_path / "grid", say=silent)
    assert [len(record["found"]) for record in records] == [3, 3]
    write_report(small_grid, records, tmp_path / "page.md", command="ablate")
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "Test split of a folder of videos: 3 videos decoded from their files, chance 33.33 % R@1" in page
    (videos / lines[6]["video"]).unlink()
    fewer = {"settings": {"short": {"steps": 2}}, "rows": GRID["rows"][:1], "claims": []}
    changed = grid(**small_grid.model_dump() | fewer)
    (record,) = ablate(changed, tmp_path / "grid", say=silent)
    assert record["failed"].startswith(f"1 of 3 videos missing: {videos / lines[6]['video']}: there is no")


def grid_test_set(small_grid: Grid, folder: Path) -> GridTestSet:
    job = next(iter(jobs_of(small_grid)))
    return job.recipe.data.test_set(folder, job.test_videos)


def test_a_grid_does_not_judge_on_part_of_its_test_videos(tmp_path: Path) -> None:
    small_grid = grid(settings={"short": {"steps": 1}}, seeds=[0], claims=[], rows=[GRID["rows"][0]])
    library = tmp_path / grid_test_set(small_grid, tmp_path).name
    for name in ("test-00001.mp4", "test-00005.mp4"):
        (library / name).write_text("no video", encoding="utf-8")
    (record,) = ablate(small_grid, tmp_path, say=silent)
    assert record["failed"].startswith("2 of 8 videos missing: ")
    assert "test-00001.mp4: " in record["failed"]
    assert "test-00005.mp4: " in record["failed"]
    assert record["failed"].endswith(f"Delete the folders {library}*; the next run makes them anew")
    for made in tmp_path.glob("shapes-test-8*"):
        shutil.rmtree(made)
    assert "report" in ablate(small_grid, tmp_path, say=silent)[0]


def frozen(folder: Path, **data: Any) -> Path:
    train(write(folder, steps=2), output=folder / "start", device="cpu", say=silent)
    arguments = {"interaction": "wti", "temporal": "transformer", "temporal_layers": 1, "cdcr": "none"}
    model = {"start": str(folder / "start"), "method": "drl", "arguments": arguments, "frames": 2}
    shapes = RECIPE["data"] | {"jitter": 0.0, "clips": 16, "cache": str(folder / "cache")} | data
    return write(folder, model=model | {"frozen_towers": True}, data=shapes)


def test_frozen_towers_stay_and_all_else_learns(tmp_path: Path) -> None:
    recipe = frozen(tmp_path)
    before = Trainer(read_recipe(recipe), tmp_path / "other", device="cpu", say=silent)
    start = {name: value.clone() for name, value in before.method.state_dict().items()}
    train(recipe, output=tmp_path / "run", device="cpu", say=silent)
    end = load(tmp_path / "run", device="cpu").method.state_dict()
    changed = {name for name, value in end.items() if not torch.equal(value, start[name])}
    assert {name for name in changed if name.startswith("towers.")} == {"towers.clip.logit_scale"}
    assert {name for name in end if not name.startswith("towers.")} <= changed


def test_remembered_towers_train_as_towers_that_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = frozen(tmp_path)
    train(recipe, output=tmp_path / "one", device="cpu", say=silent)
    monkeypatch.setattr(StageFeatures, "_stored_clips", lambda *_arguments: None)
    train(recipe, output=tmp_path / "two", device="cpu", say=silent)
    with_cache, without_cache = (
        load(tmp_path / name, device="cpu").method.state_dict() for name in ("one", "two")
    )
    for name, value in with_cache.items():
        torch.testing.assert_close(value, without_cache[name], rtol=0, atol=1e-5, msg=name)
