from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from tests.index.library import clip, library
from tests.methods import tiny

from vidsift.cli.index import _interruptible, _segment_length
from vidsift.cli.main import main


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    library(tmp_path / "videos", 2)
    tiny.model().save(tmp_path / "model")
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
    first = capsys.readouterr().out
    assert re.search(r"Done in \d+\.\d s, 10 frames encoded. Index: .*/index", first)
    assert "added 2  unchanged 0  updated 0  moved 0  removed 0  failed 1" in first
    assert "notes.mp4: is not a video" in first
    assert f"--index {tmp_path / 'index'}" in first

    assert _run(*places, "--strict") == 1  # the index knows its model
    assert "added 0  unchanged 2" in capsys.readouterr().out


def test_what_the_person_can_mend_is_one_line_and_status_2(
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
        told = capsys.readouterr()
        assert told.out == ""
        line = told.err.strip().splitlines()[-1]
        assert line.startswith("vidsift: ")
        assert text in line


def test_a_folder_without_videos_is_said(
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
