"""captions.jsonl is read strictly: every fault by its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vidsift.data.folder import CaptionsError, Entry, captions_of, of_split, read_folder


def folder(tmp_path: Path, *lines: Any) -> Path:
    (tmp_path / "clips").mkdir(exist_ok=True)
    for name in ("a.mp4", "clips/b.mp4"):
        (tmp_path / name).write_bytes(b"")
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (tmp_path / "captions.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_entries_come_in_the_order_of_the_lines(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        {"video": "clips/b.mp4", "captions": ["one", "two"], "tag": "motion", "group": 3, "unseen": ["x"]},
        "",
        {"video": "a.mp4", "captions": ["three"], "split": "val", "scene": {"any": 1}},
    )
    first, second = read_folder(root)
    assert first == Entry(root / "clips/b.mp4", ("one", "two"), "motion", "3", "", True)
    assert second == Entry(root / "a.mp4", ("three",), split="val")
    assert captions_of([first, second]) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: no JSON"),
        ("[1]", "line 2: holds list, expected an object"),
        (
            {"video": "clips/b.mp4", "captions": ["x"], "caption": "x"},
            "line 2: unknown key 'caption'; known: video",
        ),
        ({"captions": ["x"]}, "line 2: video is None"),
        ({"video": "../b.mp4", "captions": ["x"]}, "line 2: video '../b.mp4' lies outside the folder"),
        ({"video": "/b.mp4", "captions": ["x"]}, "lies outside"),
        ({"video": "c.mp4", "captions": ["x"]}, "line 2: there is no file .*c.mp4"),
        ({"video": "clips/b.mp4", "captions": "x"}, "line 2: captions is 'x', expected a list"),
        ({"video": "clips/b.mp4", "captions": []}, "at least one sentence"),
        ({"video": "clips/b.mp4", "captions": ["x", " "]}, "line 2: caption ' ', expected a sentence"),
        ({"video": "clips/b.mp4", "captions": ["x"], "tag": ["y"]}, "line 2: tag is"),
        ({"video": "a.mp4", "captions": ["x"]}, "line 2: a.mp4 is already on line 1"),
    ],
)
def test_faults_are_named_by_their_line(tmp_path: Path, line: Any, words: str) -> None:
    root = folder(tmp_path, {"video": "a.mp4", "captions": ["x"]}, line)
    with pytest.raises(CaptionsError, match=words):
        read_folder(root)


def test_missing_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match="not a folder"):
        read_folder(tmp_path / "absent")
    with pytest.raises(CaptionsError, match=r"has no captions.jsonl; write one line a video"):
        read_folder(tmp_path)
    with pytest.raises(CaptionsError, match="is empty"):
        read_folder(folder(tmp_path))


def test_a_library_says_its_split_once(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        {"video": "a.mp4", "captions": ["x"]},
        {"video": "clips/b.mp4", "captions": ["x"], "split": "val"},
    )
    (root / "shapes.json").write_text('{"split": "test"}', encoding="utf-8")
    entries = read_folder(root)
    assert [entry.split for entry in entries] == ["test", "val"]
    assert of_split(entries, "val", root) == entries[1:]
    with pytest.raises(CaptionsError, match=r"several splits \('test', 'val'\); name one"):
        of_split(entries, None, root)
    with pytest.raises(
        CaptionsError, match="no video of the split 'train'; splits named there: 'test', 'val'"
    ):
        of_split(entries, "train", root)
