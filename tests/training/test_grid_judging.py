"""A grid with backbones, whole: tuning, runs, galleries, the start, and what is published of it."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.files.full_disk import full_disk
from tests.training.small import RECIPE, silent, write
from tests.training.test_grid import BASE

from vidsift.data.folder import read_folder
from vidsift.errors import NotSavedError
from vidsift.evaluation.evaluate import evaluate_entries
from vidsift.methods.model import load
from vidsift.training import ablate as module
from vidsift.training.ablate import ablate, finished, write_report
from vidsift.training.grid import Grid, jobs_of
from vidsift.training.grid_judging import judge_on_validation
from vidsift.training.trainer import Trainer, train

Done = tuple[Path, Grid, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("backbones")
    for seed in (0, 1):
        recipe = write(folder, steps=2, seed=seed)
        train(recipe, output=folder / f"backbone{seed}", device="cpu", say=silent)
    shapes = RECIPE["data"] | {"jitter": 0.0, "clips": 16, "cache": str(folder / "cache")}
    plain = {"interaction": "dp", "temporal": "none", "cdcr": "none"}
    weighted = {**plain, "interaction": "wti", "temporal": "transformer", "temporal_layers": 1}
    grid = Grid.model_validate(
        {
            "name": "tiny",
            "base": {
                **BASE,
                "steps": 1,
                "data": shapes,
                "model": {"frames": 2, "frozen_towers": True, "identity_heads": True},
            },
            "settings": {"frozen": {}},
            "rows": [
                {"name": "dp", "method": "drl", "arguments": plain},
                {"name": "wti", "method": "drl", "arguments": weighted, "keep_models": True},
            ],
            "seeds": [0, 1],
            "test_videos": 16,
            "test_seed": 3,
            "galleries": 2,
            "validation_videos": 8,
            "backbones": [str(folder / "backbone0"), str(folder / "backbone1")],
            "tuning": {"values": [0.1, 1.0]},
            "claims": [{"say": "words", "order": "wti > dp", "effect": [3.5]}],
        }
    )
    return folder, grid, ablate(grid, folder / "grid", say=silent)


def test_every_run_is_judged_in_galleries_question_by_question(done: Done) -> None:
    folder, _, records = done
    assert [(it["row"], it["backbone"], it["seed"]) for it in records] == [
        (row, backbone, seed) for seed in (0, 1) for row in ("dp", "wti") for backbone in (0, 1)
    ]
    for record in records:
        assert record["group_tags"] == ["appearance", "motion", "order", "detail"]
        recall = np.mean(record["groups"]["R@1"])
        assert recall == pytest.approx(record["report"]["text_to_video"]["R@1"], abs=1e-2)
        assert all(value < 0 for value in record["groups"]["log-likelihood"])
        # Fitted there: no scale gives validation less than chance.
        assert record["validation"]["log-likelihood"] > -1000 * np.log(4) - 0.5
    start = records[0]["start"]
    library = read_folder(folder / "grid" / "shapes-test-16-seed3")
    halves = [
        evaluate_entries(load(folder / "backbone0", device="cpu"), half, split="test", workers=0)
        for half in (library[:8], library[8:])
    ]
    expected = np.mean([half["text_to_video"]["R@1"] for half in halves])
    assert start["report"]["text_to_video"]["R@1"] == pytest.approx(expected)


def test_every_run_is_judged_before_its_first_step_as_its_row_reads_the_backbone(done: Done) -> None:
    folder, grid, records = done
    (job,) = (it for it in jobs_of(grid) if (it.row, it.backbone, it.seed) == ("wti", 0, 1))
    recipe = job.recipe.model_copy(update={"steps": 0})
    Trainer(recipe, folder / "untrained", device="cpu", say=silent).run()
    expected = judge_on_validation(load(folder / "untrained", device="cpu"), job, folder / "grid")
    (record,) = (it for it in records if (it["row"], it["backbone"], it["seed"]) == ("wti", 0, 1))
    assert record["beginning"] == expected
    assert record["beginning"] != record["validation"]
    assert record["validation"] == judge_on_validation(
        load(folder / "grid" / job.place / "run", device="cpu"), job, folder / "grid"
    )


def test_models_stay_only_where_the_row_keeps_them(done: Done) -> None:
    folder, _, records = done
    for record in records:
        run = folder / "grid" / "frozen" / record["row"] / f"backbone{record['backbone']}"
        run = run / f"seed{record['seed']}" / "run"
        assert run.exists() == (record["row"] == "wti")
        if run.exists():
            weights = load(run, device="cpu").method.parameters()
            assert sum(it.numel() for it in weights) == record["parameters"]
            assert not (run / "checkpoints").exists()
    assert not list((folder / "grid" / "tuning").rglob("run"))


def test_a_rate_is_chosen_on_validation_and_a_second_run_does_nothing(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, grid, records = done
    scores = {
        (place.parts[-4], place.parts[-3]): json.loads(place.read_text("utf-8"))["validation"][
            "log-likelihood"
        ]
        for place in (folder / "grid" / "tuning").rglob("result.json")
    }
    for row in ("dp", "wti"):
        names = {rate: [f"backbone{number}-{rate:g}" for number in (0, 1)] for rate in (0.1, 1.0)}
        means = {rate: sum(scores[row, name] for name in names[rate]) for rate in names}
        best = max(means, key=lambda rate: means[rate])
        assert {it["rate"] for it in records if it["row"] == row} == {best}
    monkeypatch.setattr(module, "run_grid_job", lambda *_arguments: pytest.fail("run again"))
    left = folder / "grid" / ".towers.4711"
    left.mkdir()
    assert ablate(grid, folder / "grid", say=silent) == finished(grid, folder / "grid") == records
    # What towers made of the videos is there for as long as runs are judged.
    assert not left.exists()
    assert not (folder / "grid" / "towers").exists()
    (folder / "grid" / "tuning" / "frozen" / "dp" / "backbone0-0.1" / "seed900" / "result.json").unlink()
    assert finished(grid, folder / "grid") == []


def test_a_disk_that_takes_no_more_stops_the_grid_and_what_was_trained_is_judged_later(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole, _ = done
    short = {
        "tuning": None,
        "seeds": (0,),
        "rows": whole.rows[1:],
        "claims": (),
        "backbones": whole.backbones[:1],
    }
    grid = whole.model_copy(update=short)
    judged, calls = module._judged_for, iter(("start, disk full", "start", "run, disk full", "run"))

    def judging(*arguments: Any) -> Any:
        if not next(calls).endswith("disk full"):
            return judged(*arguments)
        with full_disk(5000):
            # Not the start's files: those that it wrote are looked up.
            shutil.rmtree(tmp_path / "towers", ignore_errors=True)
            return judged(*arguments)

    monkeypatch.setattr(module, "_judged_for", judging)
    ablate_again = partial(ablate, grid, tmp_path, say=silent)
    for _ in range(2):
        with pytest.raises(NotSavedError, match=r"disk.*run the same command again"):
            ablate_again()
        assert not list(tmp_path.rglob("result.json"))
    monkeypatch.setattr(Trainer, "_train_step", lambda *_arguments: pytest.fail("trained again"))
    (record,) = ablate_again()
    assert record["steps"] == 1


def test_what_is_published_says_all_that_the_verdicts_follow_from(done: Done, tmp_path: Path) -> None:
    _, grid, records = done
    write_report(grid, records, tmp_path / "page.md", command="ablate")
    published = json.loads((tmp_path / "page.json").read_text("utf-8"))
    (claim,) = published["claims"]
    sums = {
        (run["row"], run["backbone"], run["seed"]): np.mean(run["groups"]["R@1"]) for run in published["runs"]
    }
    differences = [sums["wti", b, s] - sums["dp", b, s] for b in (0, 1) for s in (0, 1)]
    measured = claim["measures"]["R@1"]
    assert measured["difference"] == pytest.approx(np.mean(differences))
    assert measured["runs"] == 4
    gains = {
        row: np.mean(
            [
                run["validation"]["log-likelihood"] - run["beginning"]["log-likelihood"]
                for run in published["runs"]
                if run["row"] == row
            ]
        )
        for row in ("dp", "wti")
    }
    assert sorted(claim["not_improved"]) == [row for row in ("dp", "wti") if gains[row] <= 0]
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "16 test videos in 2 galleries, 2 backbones" in page
    assert "| start |" in page
    assert f"**{claim['verdict']}" in page
