"""MSR-VTT: its splits from the real lists, and a whole small one to train on, to evaluate and to refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.data.annotated import msrvtt, shared, source_with, stand_ins
from tests.methods import tiny
from tests.training.small import silent, write

from vidsift.cli.main import main
from vidsift.cli.run_recipe import videos_trained_on
from vidsift.data.catalog import open_source
from vidsift.data.entries import absent_videos
from vidsift.errors import CaptionsError, MissingVideosError, RecipeError
from vidsift.evaluation.evaluate import evaluate_entries
from vidsift.methods.model import load
from vidsift.training.recipe import read_recipe, write_recipe
from vidsift.training.trainer import train

SPLIT_OF = dict.fromkeys(("video0", "video1", "video2", "video3"), "train") | {
    "video6513": "validate", "video6514": "validate", "video7010": "test", "video9999": "test"
}  # fmt: skip
TRAIN_9K = ("video0", "video2", "video3", "video6513", "video6514")
TEST_1K = {"video9999": "a person, slowly, connecting something", "video7010": "a circle"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("msrvtt")
    stand_ins(root / "videos", SPLIT_OF)
    msrvtt(root / "annotations", SPLIT_OF, TRAIN_9K, TEST_1K)
    return root


def data(home: Path, **changes: Any) -> dict[str, Any]:
    places = {"videos": str(home / "videos"), "annotations": str(home / "annotations")}
    return {"source": "msrvtt", **places, "batch_size": 4, "workers": 0, **changes}


def test_the_real_list_of_1k_a_is_its_thousand_videos(tmp_path: Path) -> None:
    source = open_source("msrvtt", str(tmp_path), str(shared("msrvtt")))
    entries = source.entries("1k-A")
    assert len({entry.id for entry in entries}) == len(entries) == 1000
    assert (entries[0].path, entries[0].captions) == (
        tmp_path / "video9770.mp4",
        ("a person is connecting something to system",),
    )
    assert source.test_splits() == ("1k-A", "test")
    assert len(absent_videos(entries)) == 1000
    (tmp_path / "video9770.webm").touch()
    first, *rest = open_source("msrvtt", str(tmp_path), str(shared("msrvtt"))).entries("1k-A")
    assert first.path.name == "video9770.webm"
    assert len(absent_videos([first, *rest])) == 999


def test_the_real_lists_of_training_videos_hold_none_of_1k_a(tmp_path: Path) -> None:
    source, folder = open_source("msrvtt", str(tmp_path), str(shared("msrvtt"))), shared("msrvtt")
    tested = {entry.id for entry in source.entries("1k-A")}
    for name, videos in (("9k", 9000), ("7k", 7010)):
        ids = (folder / f"MSRVTT_train.{name}.csv").read_text("utf-8").split()[1:]
        assert len(ids) == videos
        assert not tested & set(ids)


def test_each_split_holds_its_videos_with_all_their_captions(home: Path) -> None:
    source = open_source("msrvtt", str(home / "videos"), str(home / "annotations"))
    ids = {split: [entry.id for entry in source.entries(split)] for split in source.splits if split != "7k"}
    assert ids["9k"] == list(TRAIN_9K)
    assert ids["1k-A"] == list(TEST_1K)
    for name in ("train", "validate", "test"):
        assert ids[name] == [video_id for video_id, split in SPLIT_OF.items() if split == name]
    first = source.entries("9k")[0]
    assert first.captions == ("sentence 0 about video0", "sentence 1 about video0")
    assert first.path == home / "videos" / "video0.mp4"
    assert source.entries("1k-A")[0].captions == (TEST_1K["video9999"],)
    with pytest.raises(CaptionsError, match=r"'9k', '7k', '1k-A', 'train', 'validate', 'test'.*--split"):
        source.entries(None)
    with pytest.raises(CaptionsError, match="no split 'val'; its splits: '9k'"):
        source.entries("val")
    with pytest.raises(CaptionsError, match=r"there is no .*MSRVTT_train.7k.csv; expected the folder of MSR"):
        source.entries("7k")


def test_a_model_is_trained_on_it_and_evaluated_on_1k_a(home: Path, tmp_path: Path) -> None:
    validation = {"every_steps": 2, "videos": 9, "split": "validate"}
    recipe = write(tmp_path, data=data(home), steps=2, validation=validation)
    lines: list[str] = []
    result = train(recipe, output=tmp_path / "run", device="cpu", say=lines.append)
    assert result["validation"]["text_to_video"]["questions"] == 4
    # All of validate is in 9k: what it says of the model is worth nothing.
    (warning,) = [line for line in lines if "trained on as well" in line]
    assert warning.startswith("2 of 2 validation videos are trained on as well (split '9k')")
    entries = open_source("msrvtt", str(home / "videos"), str(home / "annotations")).entries("1k-A")
    report = evaluate_entries(load(tmp_path / "run", device="cpu"), entries, split="1k-A", workers=0)
    assert (report["protocol"]["videos"], report["text_to_video"]["questions"]) == (2, 2)


def test_evaluating_on_what_was_trained_on_is_told(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = open_source("msrvtt", str(home / "videos"), str(home / "annotations"))
    write_recipe(read_recipe(write(tmp_path, data=data(home))), tmp_path / "recipe.yaml")
    validate = source.entries("validate")
    assert videos_trained_on(str(tmp_path), source, validate) == {"split": "9k", "videos": 2, "of": 2}
    assert videos_trained_on(str(tmp_path), source, source.entries("1k-A")) is None
    # Without a recipe, or without the annotations of its split, nobody can say.
    assert videos_trained_on(str(tmp_path / "nowhere"), source, validate) is None
    (tmp_path / "few").mkdir()
    shutil.copy(home / "annotations" / "MSRVTT_JSFUSION_test.csv", tmp_path / "few")
    few = open_source("msrvtt", str(home / "videos"), str(tmp_path / "few"))
    assert videos_trained_on(str(tmp_path), few, few.entries("1k-A")) is None
    tiny.model().save(tmp_path / "model")
    shutil.copy(tmp_path / "recipe.yaml", tmp_path / "model")
    command = [
        "evaluate",
        str(tmp_path / "model"),
        str(home / "videos"),
        "--data",
        "msrvtt",
        "--split",
        "validate",
    ]
    report = tmp_path / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                *command,
                "--annotations",
                str(home / "annotations"),
                "--workers",
                "0",
                "--device",
                "cpu",
                "--json",
                str(report),
            ]
        )
    assert ended.value.code == 0
    assert "2 of 2 videos were trained on (split '9k'): the numbers say nothing" in capsys.readouterr().err
    assert json.loads(report.read_text("utf-8"))["protocol"]["trained_on"]["videos"] == 2


def test_it_is_not_trained_on_what_it_is_tested_on(home: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data.split is '1k-A': .*'9k', '7k' or 'train'"):
        read_recipe(write(tmp_path, data=data(home, split="1k-A")))
    with pytest.raises(
        RecipeError, match="'1k-A': MSR-VTT has 9k and 7k and train and validate to validate on"
    ):
        read_recipe(write(tmp_path, data=data(home), validation={"split": "1k-A"}))
    with pytest.raises(RecipeError, match=r"unknown key data.video \(did you mean 'videos'\?\)"):
        read_recipe(write(tmp_path, data=data(home, video="x")))


def test_a_run_does_not_start_without_its_videos(home: Path, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    recipe = write(tmp_path, data=data(home, videos=str(tmp_path / "few")), validation=None)
    with pytest.raises(
        MissingVideosError, match=r"5 of 5 videos missing: .*video0.mp4: there is no such file"
    ):
        train(recipe, output=tmp_path / "run", device="cpu", say=silent)


@pytest.mark.parametrize(
    ("name", "text", "split", "words"),
    [
        ("MSRVTT_JSFUSION_test.csv", "key,video_id\nret0,video0\n", "1k-A", "line 1: no column 'sentence'"),
        ("MSRVTT_JSFUSION_test.csv", "video_id,sentence\nvideo0,\n", "1k-A", "line 2: sentence is empty"),
        ("MSRVTT_JSFUSION_test.csv", "video_id,sentence\n", "1k-A", "nothing is listed for the split '1k-A'"),
        ("MSRVTT_JSFUSION_test.csv", "video_id,sentence\n../x,y\n", "1k-A", "'../x' lies outside the folder"),
        ("MSRVTT_train.9k.csv", "video_id\nvideo77\n", "9k", "video77 has no caption"),
        ("MSRVTT_data.json", "[]", "9k", "no key 'videos'; expected an object with videos, sentences"),
        ("MSRVTT_data.json", "{", "9k", "MSRVTT_data.json: no JSON: "),
    ],
)
def test_what_it_does_not_understand_it_names(
    tmp_path: Path, name: str, text: str, split: str, words: str
) -> None:
    folder = msrvtt(tmp_path / "annotations", SPLIT_OF, TRAIN_9K, TEST_1K)
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(CaptionsError, match=words):
        open_source("msrvtt", str(tmp_path), str(folder)).entries(split)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("", "is empty; expected the columns video_id, sentence"),
        (
            'video_id,sentence\nvideo7010,"a circle\nvideo9999,a square\n',
            "unexpected end of data",
        ),
        ("video_id,sentence\nvideo7010,a circle, slowly\n", "line 2: more values than columns"),
    ],
)
def test_a_list_that_would_lose_sentences_is_refused(tmp_path: Path, table: str, problem: str) -> None:
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(table, encoding="utf-8")
    with pytest.raises(CaptionsError, match=problem):
        open_source("msrvtt", str(tmp_path), str(tmp_path)).entries("1k-A")


def test_a_video_that_is_listed_twice_is_one_video(tmp_path: Path) -> None:
    rows = ("video_id,sentence", "video1,a circle", "video2,a square", "video1,a disc", "video2,a square")
    # Excel begins files with a mark.
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    entries = open_source("msrvtt", str(tmp_path), str(tmp_path)).entries("1k-A")
    assert [(entry.id, entry.captions) for entry in entries] == [
        ("video1", ("a circle", "a disc")),
        ("video2", ("a square",)),
    ]


def test_a_video_of_two_official_splits_is_refused(home: Path, tmp_path: Path) -> None:
    annotations = tmp_path / "annotations"
    msrvtt(annotations, SPLIT_OF, TRAIN_9K, TEST_1K)
    file = annotations / "MSRVTT_data.json"
    values = json.loads(file.read_text("utf-8"))
    source = open_source("msrvtt", str(home / "videos"), str(annotations))
    values["videos"].append(values["videos"][0])
    file.write_text(json.dumps(values), encoding="utf-8")
    assert source.entries("train")
    values["videos"][-1] = values["videos"][0] | {"split": "test"}
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CaptionsError, match="video0 is of 'train' and of 'test'"):
        source.entries("train")


@pytest.mark.parametrize("caption", [5, None, ["a circle"], "  "])
def test_captions_that_are_no_sentences_are_refused(home: Path, tmp_path: Path, caption: Any) -> None:
    annotations = tmp_path / "annotations"
    msrvtt(annotations, SPLIT_OF, TRAIN_9K, TEST_1K)
    file = annotations / "MSRVTT_data.json"
    values = json.loads(file.read_text("utf-8"))
    values["sentences"][0]["caption"] = caption
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CaptionsError, match=r"MSR-VTT .*video0: caption .*, expected a sentence"):
        open_source("msrvtt", str(home / "videos"), str(annotations)).entries("train")


def test_the_files_of_other_projects_hold_the_same_splits(tmp_path: Path) -> None:
    ids = {"train": ["video0", "video1"], "val": ["video6513"], "test": ["video7010", "video9999"]}
    everything = [video_id for listed in ids.values() for video_id in listed]
    captions = [{"image_id": video_id, "caption": f"about {video_id}"} for video_id in everything]
    files: dict[str, Any] = {
        "annotation/MSR_VTT.json": {"annotations": captions, "images": []},
        "high-quality/structured-symlinks/train_list_jsfusion.txt": "video0\nvideo6513\n",
        "MSRVTT_test.full.csv": "video_id\nvideo7010\nvideo9999\n",
    }
    files |= {f"{name}_list_full.txt": "\n".join(listed) for name, listed in ids.items()}
    source = source_with(tmp_path, "msrvtt", files)
    held = {
        split: [entry.id for entry in source.entries(split)] for split in ("9k", "train", "validate", "test")
    }
    assert held == {
        "9k": ["video0", "video6513"],
        "train": ids["train"],
        "validate": ids["val"],
        "test": ids["test"],
    }
    assert source.entries("validate")[0].captions == ("about video6513",)


def test_captions_may_lie_in_the_two_files_of_its_authors(tmp_path: Path) -> None:
    msrvtt(tmp_path / "whole", SPLIT_OF, TRAIN_9K, TEST_1K)
    whole = json.loads((tmp_path / "whole" / "MSRVTT_data.json").read_text("utf-8"))

    def part(*splits: str) -> dict[str, Any]:
        videos = [video for video in whole["videos"] if video["split"] in splits]
        ids = {video["video_id"] for video in videos}
        return {
            "videos": videos,
            "sentences": [said for said in whole["sentences"] if said["video_id"] in ids],
        }

    files = {
        "train_val_videodatainfo.json": part("train", "validate"),
        "test_videodatainfo.json": part("test"),
        "MSRVTT_train.7k.csv": "video_id\nvideo0\nvideo6513\n",
    }
    source = source_with(tmp_path, "msrvtt", files)
    other = open_source("msrvtt", str(tmp_path / "videos"), str(tmp_path / "whole"))
    for split in ("train", "validate", "test"):
        assert source.entries(split) == other.entries(split)
    assert [entry.id for entry in source.entries("7k")] == ["video0", "video6513"]
