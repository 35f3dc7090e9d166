from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from tests.index.library import clip, lance_table, library
from tests.methods import tiny
from tests.video.making import png_bomb

from vidsift.cli.index import _interruptible, _segment_length
from vidsift.cli.main import main
from vidsift.index.storage import Store


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    library(tmp_path / "videos", 2)
    tiny.model().save(tmp_path / "model", card={"Knows": "drawn shapes only"})
    return [str(tmp_path / "videos"), "--index", str(tmp_path / "index"), "--workers", "1"]


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["index", *arguments])
    return int(ended.value.code or 0)


def test_a_run_says_what_it_did(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos" / "notes.mp4").write_text("hello")
    assert _run(*places, "--model", str(tmp_path / "model")) == 0
    captured = capsys.readouterr()
    first = captured.out
    assert captured.err.count("vidsift: about the model: drawn shapes only\n") == 1
    assert re.search(r"Done in \d+\.\d s, 10 frames encoded. Index: .*/index", first)
    assert "added 2  unchanged 0  updated 0  moved 0  removed 0  failed 1" in first
    assert "notes.mp4: is not a video" in first
    assert f"--index {tmp_path / 'index'}" in first

    assert _run(*places, "--strict") == 1  # the index knows its model
    captured = capsys.readouterr()
    assert "added 0  unchanged 2" in captured.out
    assert "about the model" not in captured.err  # said when the index is made, and not again


def test_what_the_person_can_repair_is_one_line_and_status_2(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip(tmp_path / "videos", "a")
    tiny.model(seed=4).save(tmp_path / "other")
    assert _run(*places, "--model", str(tmp_path / "model")) == 0
    capsys.readouterr()
    for arguments, text in (
        ([*places, "--model", str(tmp_path / "other")], "leave out --model"),
        ([str(tmp_path / "nowhere"), *places[1:]], "there is no such folder"),
        ([*places, "--segment", "soon"], "--segment is 'soon'"),
        ([*places, "--segment", "5"], "cuts videos by 'auto', not by 5.0"),
        ([*places, "--device", "tpu"], "device is 'tpu', expected auto, cpu or cuda"),
    ):
        assert _run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        line = captured.err.strip().splitlines()[-1]
        assert line.startswith("vidsift: ")
        assert text in line


def test_a_folder_without_videos_is_reported(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "two\nlines"
    empty.mkdir()
    assert _run(str(empty), *places[1:], "--model", str(tmp_path / "model")) == 0
    assert capsys.readouterr().out.endswith(f"No video was found in {tmp_path}/two\\nlines.\n")


@pytest.mark.parametrize(("text", "expected"), [("auto", "auto"), ("none", None), ("7.5", 7.5)])
def test_segment_lengths(text: str, expected: object) -> None:
    assert _segment_length(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", ""])
def test_impossible_segment_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected auto, none, or a number"):
        _segment_length(text)


def test_the_first_ctrl_c_asks_and_the_second_ends() -> None:
    before = signal.getsignal(signal.SIGINT)
    with _interruptible() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


def test_the_verb_may_be_left_out_and_a_folder_may_be_called_like_one(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rest = ["--model", str(tmp_path / "model")], places[1:]
    assert _run("add", *places, *model) == 0
    assert "added 2" in capsys.readouterr().out
    assert _run(*rest, places[0]) == 0  # options first
    assert "unchanged 2" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "add", "inside", frames=20)
    clip(tmp_path / "check", "inside", frames=22)
    for arguments in (["./add"], ["add", "check"]):
        assert _run(*arguments, *rest) == 0
        assert "added 1" in capsys.readouterr().out
    assert _run("check", *rest[:2]) == 0
    assert "4 segments of 4 videos at 4 paths were checked; everything is as it should be." in (
        capsys.readouterr().out
    )
    assert _run() == 2
    assert "Missing argument 'FOLDER...'" in capsys.readouterr().err
    assert _run("--help") == 0
    printed = capsys.readouterr().out
    for verb in ("add", "update", "remove", "check", "stats", "optimize", "watch"):
        assert verb in printed


def test_patterns_update_remove_stats_and_optimize(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, where, rest = tmp_path / "videos", ["--index", str(tmp_path / "index")], places[1:]
    clip(videos / "drafts", "draft", frames=20)
    assert _run(*places, "--model", str(tmp_path / "model"), "--exclude", "drafts") == 0
    assert "added 2" in capsys.readouterr().out
    clip(videos, "new", frames=25)
    assert _run("update", *rest) == 0
    assert "added 1  unchanged 2" in capsys.readouterr().out

    assert _run("stats", *where, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["videos"], facts["folders"], facts["format"]) == (3, [str(videos)], 2)
    assert facts["bytes per hour of video"] > facts["bytes on disk"] > 0
    assert _run("stats", *where) == 0
    assert re.search(r"bytes per hour of video +[\d,]+", capsys.readouterr().out)

    assert _run("optimize", *where, "--now") == 0
    assert re.fullmatch(r"\d+\.\d MB before, \d+\.\d MB after.\n", capsys.readouterr().out)
    assert _run("remove", str(videos / "new.mp4"), *where) == 0
    printed = capsys.readouterr().out
    assert "1 files were taken out" in printed
    assert (
        f"{videos}/new.mp4 lies in {videos}, which the index keeps: it is left out from now on; "
        f"to take it back: vidsift index add {videos}/new.mp4\n"
    ) in printed
    assert (videos / "new.mp4").exists()
    assert _run("update", *rest) == 0
    assert "added 0  unchanged 2" in capsys.readouterr().out
    assert _run("remove", str(videos / "new.mp4"), *where) == 2
    assert "nothing of the index" in capsys.readouterr().err
    assert _run("stats", *where, "--json") == 0
    assert json.loads(capsys.readouterr().out)["removed from them"] == [str(videos / "new.mp4")]
    assert _run("add", str(videos / "new.mp4"), *rest) == 0
    assert "added 1" in capsys.readouterr().out
    assert _run("update", *rest) == 0
    assert "added 0  unchanged 3" in capsys.readouterr().out


def test_a_damaged_index_is_checked_and_repaired(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--index", str(tmp_path / "index")]
    assert _run(*places, "--model", str(tmp_path / "model")) == 0
    store = Store.open(tmp_path / "index")
    segments = lance_table(store.folder)
    segments.add(segments.to_arrow().slice(0, 1))
    capsys.readouterr()
    assert _run("check", *where) == 1
    printed = capsys.readouterr().out
    assert "is stored 2 times" in printed
    assert "vidsift index check --repair" in printed
    assert _run("check", *where, "--repair") == 0
    printed = capsys.readouterr().out
    assert "is stored 2 times (repaired)" in printed
    assert printed.endswith("vidsift index update\n")
    assert _run("update", *places[1:]) == 0
    assert "added 1  unchanged 1" in capsys.readouterr().out


def test_a_file_beyond_the_limits_is_reported_and_left_alone_until_retry(
    places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png_bomb(tmp_path / "videos", "bomb", 5000)
    limit = ["--memory-limit", "0.1"]
    assert _run(*places, "--model", str(tmp_path / "model"), *limit) == 0
    printed = capsys.readouterr().out
    assert "added 2" in printed
    assert re.search(r"bomb.mov: .*memory", printed)
    assert _run("update", *places[1:]) == 0
    assert "0 frames encoded" in capsys.readouterr().out
    assert _run("update", *places[1:], "--retry") == 0
    assert "added 1" in capsys.readouterr().out
