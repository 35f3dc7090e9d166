"""``vidsift data check`` as a person meets it; see also ``tests/data/test_contributing.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.annotated import msrvtt

from vidsift.cli.main import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", *arguments])
    return int(ended.value.code or 0)


def test_splits_are_counted_and_what_is_missing_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [f"video{number}" for number in range(30)]
    annotations = msrvtt(tmp_path / "annotations", dict.fromkeys(ids, "train"), ids, {"video3": "a circle"})
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "video3.MP4").touch()
    command = ("msrvtt", str(tmp_path / "videos"), "--annotations", str(annotations))
    assert run(*command, "--split", "1k-A") == 0
    assert capsys.readouterr().out == "1k-A (test): 1 videos, 1 captions, 0 missing\n"
    assert run(*command) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "9k: 30 videos, 60 captions, 29 missing"
    assert lines[1] == f"  missing: {tmp_path / 'videos' / 'video0.mp4'}: there is no such file"
    assert lines[25] == "  ... and 5 more"
    assert lines[26].startswith("7k: there is no ")
    assert lines[-1].startswith("test (test): ")


def test_a_folder_is_a_data_set_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"video": f"{name}.mp4", "captions": ["x"], "split": name} for name in ("train", "final test")
    ]
    rows.append({"video": "train.mp4", "captions": ["y"], "start": 2})
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for name in ("train", "final test"):
        (tmp_path / f"{name}.mp4").touch()
    assert run("folder", str(tmp_path)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "train: 1 videos, 1 captions, 0 missing",
        "final test (test): 1 videos, 1 captions, 0 missing",
        "no split named: 1 videos, 1 captions, 0 missing",
    ]


def test_mistakes_get_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (("msr-vtt", str(tmp_path)), "source 'msr-vtt' is unknown; expected one of "),
        (("msrvtt", str(tmp_path)), "MSR-VTT needs the folder of its annotation files: --annotations"),
        (("folder", str(tmp_path / "absent")), "absent is not a folder"),
    ):
        assert run(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
