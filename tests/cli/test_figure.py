"""``vidsift figure``: every figure from the command line, and what is said where one cannot be drawn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tests.methods import tiny

from vidsift.cli.main import main
from vidsift.shapes.library import write_library

ROOT = Path(__file__).parents[2]
SENTENCE = "a red circle moves left"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four drawn videos with captions, and a model of words and one of prototypes."""
    folder = tmp_path_factory.mktemp("figure")
    write_library(folder / "videos", "test", 4, size_px=32, workers=1)
    tiny.model("drl", {"interaction": "wti"}).save(folder / "wti")
    tiny.model("prost", {"objects": 4, "events": 2}).save(folder / "prost")
    return folder


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["figure", *map(str, arguments)])
    return int(ended.value.code or 0)


def _video(folder: Path) -> Path:
    return folder / "videos" / "test-00000.mp4"


def test_a_sweep_of_the_published_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid, results = ROOT / "recipes/shapes/sweeps.yaml", ROOT / "results/shapes-methods.json"
    output = tmp_path / "sweep.png"
    assert (
        _run("sweep", grid, results, "--argument", "cdcr_alpha", "--argument", "cdcr_lambda", "-o", output)
        == 0
    )
    assert capsys.readouterr().out == f"drawn to {output}, its numbers to {tmp_path / 'sweep.json'}\n"
    assert json.loads((tmp_path / "sweep.json").read_text())["curves"]["cdcr_alpha"][0]["values"] == [
        0.0,
        0.03,
        0.06,
        0.1,
    ]
    with Image.open(output) as picture:
        assert picture.format == "PNG"
        # Two panels side by side.
        assert picture.width > 2 * picture.height


def test_losses_of_runs_are_called_by_their_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, loss in (("dp", 2.0), ("wti", 1.5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(json.dumps({"step": 20, "loss": loss}) + "\n")
    output = tmp_path / "losses.svg"
    assert _run("training-loss", tmp_path / "dp", tmp_path / "wti" / "metrics.jsonl", "-o", output) == 0
    assert json.loads(output.with_suffix(".json").read_text())["losses"] == {
        "dp": [[20, 2.0]],
        "wti": [[20, 1.5]],
    }
    capsys.readouterr()
    assert _run("training-loss", tmp_path / "dp", tmp_path / "dp", "-o", output) == 2
    assert "give each a --label of its own" in capsys.readouterr().err


def test_words_and_frames_of_a_pair(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["--video", _video(folder), "--text", SENTENCE]
    assert _run("word-frames", folder / "wti", *pair, "-o", tmp_path / "lines.png") == 0
    numbers = json.loads((tmp_path / "lines.json").read_text())
    assert numbers["models"] == ["wti"]
    [[cell]] = numbers["pairs"]
    assert cell["words"] == SENTENCE.split()
    assert (len(cell["values"]), len(cell["values"][0])) == (5, tiny.FRAMES)
    assert _run("meetings", folder / "wti", *pair, "-o", tmp_path / "meetings.png") == 0
    assert (tmp_path / "meetings.png").stat().st_size > 1000
    assert json.loads((tmp_path / "meetings.json").read_text())["query"] == SENTENCE
    capsys.readouterr()
    assert _run("word-frames", folder / "wti", *pair, "--text", "more", "-o", tmp_path / "x.png") == 2
    assert "1 videos and 2 sentences; give each --video its --text" in capsys.readouterr().err


def test_weights_of_the_words_of_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("word-weights", "word-cloud"):
        arguments = [folder / "wti", folder / "videos", "--videos", 2, "-o", tmp_path / f"{name}.png"]
        assert _run(name, *arguments) == 0
        assert json.loads((tmp_path / f"{name}.json").read_text())["captions"] == 6
    assert _run("word-cloud", folder / "wti", folder / "absent", "-o", tmp_path / "x.png") == 2
    assert "absent is not a folder" in capsys.readouterr().err


def test_prototypes_of_a_video(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--video", _video(folder), "-o", tmp_path / "prototypes.png"]
    assert _run("prototypes", folder / "prost", *arguments, "--objects", 2) == 0
    assert len(json.loads((tmp_path / "prototypes.json").read_text())["objects shown"]) == 2
    assert _run("prototypes", folder / "wti", *arguments) == 2
    assert "shows the objects and events of prost" in capsys.readouterr().err


def _saved(folder: Path, model: str) -> Path:
    """An evaluation of the four videos, saved."""
    target = folder / f"{model}-result"
    if not target.exists():
        arguments = ["evaluate", folder / model, folder / "videos", "--workers", 0, "--save", target]
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert not ended.value.code
    return target


def test_what_was_found_by_one_model_and_by_two(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wti, prost = _saved(folder, "wti"), _saved(folder, "prost")
    assert _run("retrieved", wti, "--caption", 4, "--shown", 4, "-o", tmp_path / "wti.png") == 0
    [row] = json.loads((tmp_path / "wti.json").read_text())
    # Captions 3 to 5 are of the second of the four videos.
    assert (row["model"], row["right"], sorted(row["videos"])) == ("wti-result", 1, [0, 1, 2, 3])
    assert row["files"][row["videos"].index(1)].endswith("test-00001.mp4")
    assert row["scores"] == sorted(row["scores"], reverse=True)
    assert _run("retrieved", wti, prost, "--caption", 0, "-o", tmp_path / "both.png") == 0
    both = json.loads((tmp_path / "both.json").read_text())
    assert [row["model"] for row in both] == ["wti-result", "prost-result"]
    assert both[0]["caption"] == both[1]["caption"]
    capsys.readouterr()
    assert _run("retrieved", wti, wti, wti, "-o", tmp_path / "x.png") == 2
    assert "3 folders; give one for its mistakes, or two to compare" in capsys.readouterr().err
    assert _run("retrieved", folder / "videos", "-o", tmp_path / "x.png") == 2
    assert "holds no saved evaluation" in capsys.readouterr().err


def test_gains_by_scenes_are_differences_of_recall(folder: Path, tmp_path: Path) -> None:
    wti, prost = _saved(folder, "wti"), _saved(folder, "prost")
    assert _run("gain-by-scenes", wti, prost, "-o", tmp_path / "gain.png") == 0
    [bar] = json.loads((tmp_path / "gain.json").read_text())["bars"]
    recalls = [
        json.loads((result / "report.json").read_text())["text_to_video"]["R@1"] for result in (wti, prost)
    ]
    # Drawn clips have no cuts, and as many captions each.
    assert (bar["scenes"], bar["videos"]) == (1, 4)
    assert bar["gain"] == pytest.approx(recalls[1] - recalls[0])


def test_an_evaluation_whose_videos_are_gone_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "result"
    shutil.copytree(_saved(folder, "wti"), result)
    report = json.loads((result / "report.json").read_text())
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "captions.jsonl").write_text('{"video": "other.mp4", "captions": ["a ring"]}')
    report["protocol"]["data"] = str(tmp_path / "videos")
    (result / "report.json").write_text(json.dumps(report))
    capsys.readouterr()
    assert _run("retrieved", result, "-o", tmp_path / "x.png") == 2
    assert "does not list any more (4 of 4); evaluate once more" in capsys.readouterr().err


def test_help_says_of_every_figure_which_paper_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("sweep", "PIDRo Fig. 2-4", "DRL Fig. 8", "ProST supplement, Fig. 1"):
        assert words in shown
