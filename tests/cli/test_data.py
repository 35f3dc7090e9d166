"""``vidsift data`` as a person meets it; see also ``tests/data/test_contributing.py``."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from tests.data.annotated import msrvtt, shared, stand_ins

from vidsift.cli.main import main


def run(verb: str, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["data", verb, *arguments])
    return int(ended.value.code or 0)


def test_splits_are_counted_and_what_is_wrong_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [f"video{number}" for number in range(30)]
    annotations = msrvtt(tmp_path / "annotations", dict.fromkeys(ids, "train"), ids, {"video3": "a circle"})
    stand_ins(tmp_path / "videos", ["video3"])
    (tmp_path / "videos" / "video3.mp4").rename(tmp_path / "videos" / "video3.MP4")
    command = ("msrvtt", "--videos", str(tmp_path / "videos"), "--annotations", str(annotations))
    assert run("check", *command, "--split", "1k-A") == 0
    assert capsys.readouterr().out.splitlines() == [
        "split        videos  captions  spans  missing  unreadable  damaged  too short  duplicate",
        "1k-A (test)       1         1      0        0           0        0          0          0",
    ]
    assert run("check", *command) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["9k", "30", "60", "0", "29", "0", "0", "0", "0"]
    file = tmp_path / "videos" / "video0.mp4"
    assert f"missing (9k, train): {file}: there is no such file" in lines
    assert "... and 5 more missing; --json names all" in lines
    assert (
        "9k and 1k-A share 1 videos, of 30 and 1: after training on one, the other measures what was seen"
        in lines
    )
    # What is not there is told once, and is no fault while other splits can be read.
    (absent,) = [line for line in lines if "not there" in line]
    assert absent.startswith("7k: not there: there is no ")


def test_a_report_as_json_names_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = msrvtt(
        tmp_path / "annotations", {"video1": "train", "video2": "test"}, ["video1"], {"video2": "x"}
    )
    stand_ins(tmp_path / "videos", ["video1", "video2"])
    (tmp_path / "videos" / "video2.mp4").write_bytes((tmp_path / "videos" / "video1.mp4").read_bytes())
    (tmp_path / "videos" / "again").mkdir()
    (tmp_path / "videos" / "again" / "video1.avi").touch()
    # The old form, with the folder in its place.
    assert run("check", "msrvtt", str(tmp_path / "videos"), "--annotations", str(annotations), "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["data_set"], report["well"]) == ("msrvtt", False)
    (fault,) = report["faults"]
    assert (fault["kind"], fault["splits"]) == ("duplicate", ["1k-A", "test"])
    assert fault["reason"].startswith("holds the same bytes as ")
    (note,) = report["several_files"]
    assert note.endswith("video1.mp4 is taken; the same name has again/video1.avi")


def test_a_folder_is_a_data_set_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"video": f"{name}.mp4", "captions": ["x"], "split": name} for name in ("train", "final test")
    ]
    rows.append({"video": "train.mp4", "captions": ["y"], "start": 0.5})
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    stand_ins(tmp_path, ("train", "final test"))
    assert run("check", "folder", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["train", "final test (test)", "no split named"]
    (tmp_path / "train.mp4").write_bytes(b"")
    assert run("check", "folder", str(tmp_path)) == 1
    assert "unreadable (train, no split named): " in capsys.readouterr().out


def test_mistakes_get_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = str(tmp_path)
    for verb, arguments, words in (
        ("check", ("msr-vtt", here), "source 'msr-vtt' is unknown; expected one of "),
        ("check", ("msrvtt", here), "MSR-VTT needs the folder of its annotation files: --annotations"),
        ("check", ("folder", str(tmp_path / "absent")), "absent is not a folder"),
        ("check", ("folder",), "which videos? Name their folder with --videos FOLDER"),
        ("check", ("folder", here, "--videos", here), "two folders of videos are named"),
        ("check", ("msrvtt", here, "--annotations", "nowhere"), "--annotations: there is no nowhere"),
        (
            "check",
            ("msrvtt", here, "--annotations", here, "--split", "x"),
            "has no split 'x'; its splits: 9k",
        ),
        ("check", ("msrvtt", here, "--annotations", __file__), "is a file; expected the folder of MSR-VTT's"),
        ("info", ("msrvtt",), "MSR-VTT needs the folder of its annotation files: --annotations FOLDER"),
        ("info", ("msrvtt", "--annotations", "nowhere"), "there is no nowhere"),
        ("info", ("shapes-stream", "--annotations", here), "Shapes is drawn while it is used"),
        ("convert", (str(tmp_path / "none.pkl"),), "none.pkl cannot be read"),
    ):
        assert run(verb, *arguments) == 2, arguments
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line


def test_the_list_tells_each_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    out = capsys.readouterr().out
    assert re.search(r"didemo +DiDeMo +64/64 +paragraph +train, val, test \(test\)\n", out)
    assert run("list", "--json") == 0
    known = json.loads(capsys.readouterr().out)
    assert known["msvd"]["validation_split"] == "val"
    assert known["folder"]["splits"] == []


def test_annotations_are_counted_without_videos(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "msvd", "--annotations", str(shared("msvd"))) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "split        videos  captions  spans",
        "train         1,200    48,774      0",
        "val             100     4,290      0",
        "test (test)     670    27,763      0",
    ]


def test_broken_annotations_are_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    msrvtt(tmp_path, {"video1": "train"}, ["video1"], {"video1": "x"})
    (tmp_path / "MSRVTT_data.json").write_text("{", encoding="utf-8")
    assert run("info", "msrvtt", "--annotations", str(tmp_path), "--json") == 1
    about = json.loads(capsys.readouterr().out)
    (broken,) = about["broken"]
    assert broken["splits"] == ["9k", "7k", "train", "validate", "test"]
    assert about["splits"][0]["videos"] == 1


def test_a_pickle_of_captions_becomes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "raw-captions.pkl"
    file.write_bytes(pickle.dumps({"a_1_2": [["a", "dog"]]}))
    assert run("convert", str(file)) == 0
    assert "raw-captions.json: 1 entries" in capsys.readouterr().out
    (tmp_path / "train_list.txt").write_text("a_1_2\n", encoding="utf-8")
    assert run("info", "msvd", "--annotations", str(tmp_path)) == 0
    assert run("convert", str(file)) == 2
    assert "is there already" in capsys.readouterr().err
    file.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert run("convert", str(file), "--output", str(tmp_path / "new.json")) == 2
    assert "instruction GLOBAL 'os system'" in capsys.readouterr().err
    file.write_bytes(pickle.dumps({"a": float("nan")}))
    assert run("convert", str(file), "--output", str(tmp_path / "new.json")) == 2
    assert "cannot be written as JSON" in capsys.readouterr().err
    assert not (tmp_path / "new.json").exists()


def test_ctrl_c_ends_it_and_its_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(done: int, of: int) -> None:
        assert (done, of) == (1, 3)
        raise KeyboardInterrupt

    monkeypatch.setattr("vidsift.cli.data_check._progress", interrupted)
    rows = [{"video": f"{number}.mp4", "captions": ["x"]} for number in range(3)]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    stand_ins(tmp_path, map(str, range(3)))
    assert run("check", "folder", str(tmp_path), "--workers", "1") == 130
    assert capsys.readouterr() == ("", "")
    assert not multiprocessing.active_children()
