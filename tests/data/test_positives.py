"""A positives file: which further videos are right, and what in it is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from vidsift.data.entries import Entry
from vidsift.data.positives import read_positives
from vidsift.errors import CaptionsError

ENTRIES = [
    Entry(Path("v/one.mp4"), ("a dog runs", "a dog"), id="one"),
    Entry(Path("v/two.mp4"), ("a dog",), id="two"),
    Entry(Path("v/sub/three.mp4"), ("a cat",)),
]


def write(folder: Path, *lines: Any) -> Path:
    file = folder / "positives.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
    return file


def test_further_videos_stand_beside_each_captions_own(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {"caption": "a dog", "videos": ["sub/three.mp4"]},
        "",
        {"caption": "a dog", "of": "two", "videos": ["one"]},
        {"caption": "a cat", "videos": ["three", "two"]},
    )
    positives = read_positives(file, ENTRIES)
    # "a dog" of either video; "a dog" of two alone; "a dog runs" as it was.
    assert positives.rows == ((0,), (0, 2), (0, 1, 2), (1, 2))
    assert positives.added == 4
    assert positives.file == str(file)
    assert pickle.loads(pickle.dumps(positives)) == positives
    assert read_positives(write(tmp_path, ""), ENTRIES).added == 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"caption": "a bird", "videos": ["one"]}, "line 1: no video has the caption 'a bird'"),
        ({"caption": "a cat", "videos": ["four"]}, "line 1: no video is called 'four'"),
        ({"caption": "a cat", "videos": [3]}, "no video is called 3"),
        ({"caption": "a cat", "of": "one", "videos": ["two"]}, "'one' has no caption 'a cat'"),
        ({"caption": "a cat", "videos": []}, r"videos is \[\], expected"),
        ({"caption": "a cat", "videos": "two"}, "videos is 'two', expected"),
        ({"caption": 2, "videos": ["two"]}, "caption is 2, expected"),
        ({"caption": "a cat", "video": ["two"]}, "unknown key 'video'; known: caption, of, videos"),
        ("[1]", "holds list, expected"),
        ("{", "line 1: no JSON"),
    ],
)
def test_what_is_not_there_or_wrong_is_named(tmp_path: Path, line: Any, problem: str) -> None:
    with pytest.raises(CaptionsError, match=problem):
        read_positives(write(tmp_path, line), ENTRIES)


def test_a_name_of_two_videos_is_refused(tmp_path: Path) -> None:
    parts = [Entry(Path("v/one.mp4"), (str(start),), start_seconds=start) for start in (0, 5)]
    with pytest.raises(CaptionsError, match=r"2 videos are called 'one.mp4'; give them ids"):
        read_positives(write(tmp_path, {"caption": "0", "videos": ["one.mp4"]}), parts)
    with pytest.raises(CaptionsError, match="cannot be read"):
        read_positives(tmp_path / "nowhere.jsonl", parts)
