"""``vidsift evaluate`` and ``vidsift compare``, from the command line to the files and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.annotated import msrvtt, stand_ins
from tests.methods import tiny

from vidsift.cli.main import main
from vidsift.cli.run_recipe import evaluation_defaults
from vidsift.cli.score_table import aligned, score_table
from vidsift.data.catalog import DEFAULT, open_source
from vidsift.evaluation.missing import LISTED
from vidsift.evaluation.saved import load_result
from vidsift.shapes.library import write_library


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny.model().save(folder)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos of the test split and four of the training split."""
    folder = tmp_path_factory.mktemp("library")
    write_library(folder, "test", 8, size_px=32, frames_per_second=4, workers=1)
    other = tmp_path_factory.mktemp("other")
    write_library(other, "train", 4, size_px=32, frames_per_second=4, workers=1)
    lines = (other / "captions.jsonl").read_text("utf-8").splitlines()
    with (folder / "captions.jsonl").open("a", encoding="utf-8") as captions:
        for line in lines:
            values = json.loads(line)
            (other / values["video"]).rename(folder / values["video"])
            captions.write(json.dumps(values) + "\n")
    return folder


def command(model: Path, library: Path, *more: str) -> tuple[str, ...]:
    return (
        "evaluate",
        str(model),
        str(library),
        "--split",
        "test",
        "--workers",
        "0",
        "--device",
        "cpu",
        *more,
    )


def test_saved_evaluations_are_compared(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, report = tmp_path / "a", tmp_path / "b", tmp_path / "compared.json"
    posts = [
        word for name in ("dsl", "inverted-softmax", "sinkhorn", "tvh", "qbnorm") for word in ("--post", name)
    ]
    assert run(*command(model, library, "--save", str(first), *posts)) == 0
    printed = capsys.readouterr().out
    assert "dsl (transductive) t2v" in printed
    assert "qbnorm (not transductive) t2v" in printed
    assert "no bank" in printed
    more = ("--frames", "1", "--max-words", "9", "--sampling", "head", "--post", "qbnorm")
    bank = ("--bank-split", "test", "--bank-videos", "3", "--bank-captions", "5")
    assert run(*command(model, library, "--save", str(second), *more, *bank)) == 0
    printed = capsys.readouterr().out
    assert "changed by hand: frames 1 in place of " in printed
    assert "qbnorm (transductive) v2t" in printed
    protocol = load_result(second).report["protocol"]
    assert protocol["changed_by_hand"]["max_words"][1] == protocol["max_words"] == 9
    assert (protocol["frames"], protocol["sampling"]) == (1, "head")
    for key in ("backbone", "hardware", "seconds", "seeds", "torch", "version", "fingerprint", "arguments"):
        assert protocol[key], key
    settings = load_result(second).report["post_processed"]["qbnorm"]["settings"]
    assert settings["bank"] == {"split": "test", "captions": 5, "videos": 3, "seed": 0}

    assert run("compare", str(first), str(second), "--json", str(report)) == 0
    printed = capsys.readouterr().out
    assert "text to video R@1" in printed
    assert "found first by A and not by B" in printed
    assert {row["metric"] for row in json.loads(report.read_text("utf-8"))["metrics"]} >= {
        "R@1",
        "rsum",
        "nDCG@10",
    }

    assert run(*command(model, library, "--save", str(first))) == 2
    assert f"{first} holds an evaluation of before" in capsys.readouterr().err
    assert run("compare", str(first), str(library)) == 2
    assert "holds no saved evaluation" in capsys.readouterr().err


def test_a_bank_of_videos_that_are_measured_is_transductive(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As in MSR-VTT, whose 9k holds 1,990 of the 2,990 videos of test; 1k-A is apart from it.
    ids = [f"video{number}" for number in range(4)]
    splits = dict.fromkeys(ids[:2], "train") | dict.fromkeys(ids[2:], "test")
    annotations = msrvtt(tmp_path / "annotations", splits, ids[:3], {ids[3]: "a circle"})
    videos = stand_ins(tmp_path / "videos", ids)
    for split, labels in (
        ("test", ("(transductive)", "every caption")),
        ("1k-A", ("(not transductive)", "one caption")),
    ):
        file = tmp_path / f"{split}.json"
        data = ("--data", "msrvtt", "--annotations", str(annotations), "--split", split)
        more = ("--post", "qbnorm", "--json", str(file), "--workers", "0")
        assert run("evaluate", str(model), str(videos), *data, *more) == 0
        assert f"qbnorm {labels[0]} t2v" in capsys.readouterr().out
        assert json.loads(file.read_text("utf-8"))["protocol"]["caption_protocol"] == labels[1]


def test_a_bank_that_is_not_there_is_named(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (library / "captions.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "captions.jsonl").write_text("".join(lines[:8]), encoding="utf-8")
    assert run(*command(model, library, "--annotations", str(tmp_path), "--post", "qbnorm")) == 2
    assert "name another split with --bank-split" in capsys.readouterr().err


def test_further_right_videos_get_rows_of_their_own(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.loads((library / "captions.jsonl").read_text("utf-8").splitlines()[0])
    others = [
        Path(video["video"]).stem
        for video in map(json.loads, (library / "captions.jsonl").read_text("utf-8").splitlines())
        if video["split"] == "test"
    ]
    positives, file = tmp_path / "positives.jsonl", tmp_path / "report.json"
    positives.write_text(json.dumps({"caption": line["captions"][0], "videos": others}), encoding="utf-8")
    assert run(*command(model, library, "--positives", str(positives), "--json", str(file))) == 0
    assert "text to video, several right" in capsys.readouterr().out
    report = json.loads(file.read_text("utf-8"))
    assert report["positives"]["captions"] >= 1
    assert report["positives"]["text_to_video"]["R@1"] >= report["text_to_video"]["R@1"]
    assert report["protocol"]["positives"]["pairs"] >= 7


def test_the_recipe_beside_a_model_says_how_it_is_evaluated(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, file = model / "recipe.yaml", tmp_path / "report.json"
    recipe.write_text(
        "seed: 7\ndata: {source: folder}\nevaluation: {split: test, video_to_text: caption_groups}\n",
        encoding="utf-8",
    )
    try:
        plain = (
            "evaluate",
            str(model),
            str(library),
            "--workers",
            "0",
            "--device",
            "cpu",
            "--json",
            str(file),
        )
        assert run(*plain) == 0
        protocol = json.loads(file.read_text("utf-8"))["protocol"]
        assert (protocol["split"], protocol["video_to_text"]) == ("test", "caption_groups")
        assert protocol["seeds"] == {"intervals": 0, "training": 7}
        assert run(*plain, "--split", "train", "--video-to-text", "closest_caption") == 0
        protocol = json.loads(file.read_text("utf-8"))["protocol"]
        assert (protocol["split"], protocol["video_to_text"]) == ("train", "closest_caption")
        recipe.write_text("evaluation: {splt: test}\n", encoding="utf-8")
        capsys.readouterr()
        assert run(*plain) == 2
        assert "unknown key splt (did you mean 'split'?)" in capsys.readouterr().err
    finally:
        recipe.unlink()


def test_the_other_weights_of_a_run_have_its_recipe_too(tmp_path: Path) -> None:
    source = open_source(DEFAULT, str(tmp_path))
    (tmp_path / "run" / "best").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text("evaluation: {video_to_text: caption_groups}", "utf-8")
    assert evaluation_defaults(str(tmp_path / "run" / "best"), source).video_to_text == "caption_groups"
    (tmp_path / "run" / "other").mkdir()
    assert evaluation_defaults(str(tmp_path / "run" / "other"), source).video_to_text == "closest_caption"


def test_many_missing_videos_are_counted_and_the_first_named(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({"video": f"gone{number}.mp4", "captions": ["x"], "split": "val"})
        for number in range(LISTED + 3)
    ]
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert run("evaluate", str(model), str(folder)) == 2
    *named, more, last = capsys.readouterr().err.splitlines()
    assert len(named) == LISTED
    assert more == "missing: and 3 more (--missing skip --json FILE lists all of them)"
    assert last.startswith(f"vidsift: {LISTED + 3} of {LISTED + 3} videos missing")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--max-words", "500"), "the longest text that the text tower takes"),
        (("--post", "qbnorm", "--bank-split", "val"), "no video of the split 'val'"),
        (("--json", f"{__file__}/report.json"), "test_evaluate.py is no folder; name another place"),
        (("--post", "best"), "'best' is not one of"),
    ],
)
def test_mistakes_are_answered(
    model: Path, library: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command(model, library, *arguments)) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_columns_grow_with_what_stands_in_them() -> None:
    values: dict[str, Any] = {f"R@{k}": 50.0 for k in (1, 5, 10, 50)} | {"MdR": 23456.5, "MnR": 123456.7}
    values |= {"nDCG@10": 3.0, "questions": 1234567}
    protocol = {
        "model": "m",
        "method": "drl",
        "frames": 12,
        "split": "test",
        "videos": 10,
        "captions": 1234567,
        "video_to_text": "closest_caption",
    }
    lines = score_table(
        {"protocol": protocol, "text_to_video": values, "video_to_text": values, "rsum": 300.0}
    )
    head, first = lines[1:3]
    assert first.split()[-4:] == ["23456.5", "123456.7", "3.0", "1234567"]
    assert [len(line) for line in lines[1:4]] == [len(head)] * 3
    assert aligned([["a", "1"], ["bc", "10000"]]) == ["a       1", "bc  10000"]


def test_tags_stand_below_the_direction_that_they_are_of() -> None:
    values = dict.fromkeys(("R@1", "R@5", "R@10", "R@50", "MdR", "MnR", "nDCG@10", "questions"), 1.0)
    protocol = dict.fromkeys(
        ("model", "method", "frames", "split", "videos", "captions", "video_to_text"), "m"
    )
    report = {"protocol": protocol, "text_to_video": values, "video_to_text": values, "rsum": 6.0}
    lines = score_table(report | {"by_tag": {"motion": values}, "by_novelty": {"unseen": values}})
    assert [line[:13].strip() for line in lines[2:6]] == [
        "text to video",
        "motion",
        "unseen",
        "video to text",
    ]
