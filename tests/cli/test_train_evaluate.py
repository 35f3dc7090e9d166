"""``vidsift train`` and ``vidsift evaluate`` as a person meets them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from tests.data.annotated import msrvtt, stand_ins
from tests.files.full_disk import full_disk
from tests.forked import Process, vidsift
from tests.training.small import write

from vidsift.cli.main import main
from vidsift.files.locks import hold_lock
from vidsift.shapes.library import write_library


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    assert run("train", str(write(folder)), "steps=2", "-o", str(folder / "run"), "--device", "cpu") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    write_library(folder, "test", 8, size_px=32, frames_per_second=4, workers=1)
    (folder / "broken.mp4").write_text("no video", encoding="utf-8")
    with (folder / "captions.jsonl").open("a", encoding="utf-8") as captions:
        captions.write('{"video": "broken.mp4", "captions": ["nothing"]}\n')
    return folder


def with_absent(library: Path, folder: Path) -> Path:
    """The same library with a line whose file is not there."""
    shutil.copytree(library, folder)
    with (folder / "captions.jsonl").open("a", encoding="utf-8") as captions:
        captions.write('{"video": "gone.mp4", "captions": ["nothing either", "nor this"]}\n')
    return folder


def test_evaluate_prints_and_writes_what_was_measured(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_file = tmp_path / "results" / "report.json"
    arguments = ("--missing", "skip", "--json", str(report_file), "--workers", "0", "--device", "cpu")
    assert run("evaluate", str(model), str(library), *arguments) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("1 of 9 videos missing, left out; small (drl), 2 frames; split test: 8 vid")
    assert "text to video" in printed.out
    assert "right among hard negatives (chance 25 %)" in printed.out
    assert f"missing: {library / 'broken.mp4'}: " in printed.err
    report = json.loads(report_file.read_text("utf-8"))
    protocol = report["protocol"]
    assert (protocol["split"], protocol["videos"], protocol["captions"]) == ("test", 8, 24)
    assert (protocol["frames"], protocol["video_to_text"]) == (2, "closest_caption")
    assert len(protocol["fingerprint"]) == 64
    assert set(report["by_tag"]) == {"appearance", "motion"}
    assert report["choice"]["all"]["chance"] == 25.0
    assert report["text_to_video"]["questions"] == 24
    assert [Path(failure["video"]).name for failure in report["failed"]] == ["broken.mp4"]


def test_missing_videos_are_refused_or_counted(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, report_file = with_absent(library, tmp_path / "videos"), tmp_path / "report.json"
    command = ("evaluate", str(model), str(videos), "--json", str(report_file), "--workers", "0")
    assert run(*command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert not report_file.exists()
    # What is not there is known at once; what cannot be read, once the rest was tried.
    first, last = printed.err.splitlines()
    assert first == f"missing: {videos / 'gone.mp4'}: there is no such file"
    assert last.startswith("vidsift: 1 of 10 videos missing, nothing was evaluated; ")
    assert "--missing miss" in last
    (videos / "gone.mp4").write_text("no video either", encoding="utf-8")
    assert run(*command) == 2
    *_, broken, gone, last = capsys.readouterr().err.splitlines()
    assert (videos.name in broken, "gone.mp4: " in gone) == (True, True)
    assert last.startswith("vidsift: 2 of 10 videos missing, nothing was evaluated; ")
    assert not report_file.exists()

    assert run(*command, "--missing", "miss") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("2 of 10 videos missing, counted as not found; small (drl), 2 frames; ")
    assert f"missing: {videos / 'gone.mp4'}: " in printed.err
    report = json.loads(report_file.read_text("utf-8"))
    assert report["protocol"]["missing_policy"] == "miss"
    assert (report["protocol"]["videos"], report["protocol"]["captions"]) == (10, 27)
    assert report["text_to_video"]["R@10"] == pytest.approx(100 * 24 / 27)  # eight can be found, among eight


def test_a_data_set_is_evaluated_by_its_name(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = stand_ins(tmp_path / "videos", ("video7010", "video9999"))
    tested = {"video7010": "a circle", "video9999": "a square"}
    annotations = msrvtt(tmp_path / "annotations", dict.fromkeys(tested, "test"), (), tested)
    report_file = tmp_path / "report.json"
    named = ("evaluate", str(model), str(videos), "--data", "msrvtt", "--annotations", str(annotations))
    command = (*named, "--split", "1k-A", "--workers", "0", "--device", "cpu", "--json", str(report_file))
    assert run(*command) == 0
    assert "split 1k-A: 2 videos, 2 captions" in capsys.readouterr().out
    protocol = json.loads(report_file.read_text("utf-8"))["protocol"]
    assert (protocol["source"], protocol["data"]) == ("msrvtt", str(videos))
    assert protocol["annotations"] == str(annotations)
    (videos / "video9999.mp4").unlink()
    assert run(*command) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"missing: {videos / 'video9999.mp4'}: there is no such file"
    assert "1 of 2 videos missing" in last
    assert "take them out of the annotations" in last
    assert run(*named) == 2
    assert "name one with --split" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "absent.yaml"), "there is no recipe absent.yaml"),
        (("train", "RECIPE", "optimiser.lr=1"), "unknown key optimiser.lr; known here: "),
        (("evaluate", "MODEL", "absent"), "absent is not a folder"),
        (("evaluate", "MODEL", "LIBRARY", "--data", "msvtt"), "source 'msvtt' is unknown; expected one of "),
        (
            ("evaluate", "MODEL", "LIBRARY", "--split", "val"),
            "no video of the split 'val'; splits named there: 'test'",
        ),
    ],
)
def test_mistakes_get_one_line_and_status_2(
    arguments: tuple[str, ...],
    words: str,
    model: Path,
    library: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"RECIPE": str(write(tmp_path)), "MODEL": str(model), "LIBRARY": str(library)}
    assert run(*(places.get(argument, argument) for argument in arguments)) == 2
    errors = capsys.readouterr().err.strip()
    assert words in errors
    assert "\n" not in errors


def test_what_stands_in_the_way_of_training_gets_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", str(write(tmp_path)), "steps=2", "-o", str(model), "--device", "cpu")
    with hold_lock(model / "running.lock"):
        assert run(*command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vidsift: process {os.getpid()} trains or runs a grid in {model}; wait until it")
    with full_disk():
        assert run(*command[:3], "-o", str(tmp_path / "new"), "--device", "cpu") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vidsift: ")
    assert f"could not be written to {tmp_path / 'new'}" in line
    assert "a fault of vidsift's" not in line
    for verb in (("train", str(tmp_path / "small.yaml")), ("ablate", "grid.yaml")):
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert run(*verb) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("vidsift: a launcher started several processes, but MASTER_ADDR and")


def test_a_report_that_cannot_be_written_was_printed(
    model: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_file = tmp_path / "report.json"
    report_file.write_text("of before", encoding="utf-8")
    arguments = ("--missing", "skip", "--json", str(report_file), "--workers", "0", "--device", "cpu")
    with full_disk(100):
        assert run("evaluate", str(model), str(library), *arguments) == 2
    printed = capsys.readouterr()
    assert "text to video" in printed.out
    assert f"vidsift: the report could not be written to {report_file}: " in printed.err
    assert report_file.read_text("utf-8") == "of before"


def _training(tmp_path: Path) -> Process:
    """A run of all day, which has a process of its own that makes batches, at its third step."""
    command = ("train", str(write(tmp_path)), "steps=5000", "data.workers=1")
    started = vidsift(*command, "--output", str(tmp_path / "run"), "--device", "cpu")
    started.wait_until(lambda: "step 3/" in started.said)
    return started


def test_ctrl_c_saves_says_how_to_go_on_and_ends_with_130(tmp_path: Path) -> None:
    started = _training(tmp_path)
    started.send(signal.SIGINT)
    assert started.wait() == 130
    assert "saved. The same command goes on from there" in started.errors
    assert "Traceback" not in started.errors
    assert (tmp_path / "run" / "checkpoints" / "last.pt").is_file()


def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    started = _training(tmp_path)
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    if children.exists():
        assert children.read_text("utf-8").split()
    started.send(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL  # and all that it started has ended
