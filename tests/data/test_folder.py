"""captions.jsonl is read strictly: every fault by its line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from vidsift.data.catalog import open_source
from vidsift.data.entries import Entry, Moment, absent_videos, captions_of
from vidsift.data.folder import read_folder, read_test_splits
from vidsift.errors import CaptionsError, SelectionOnTestError
from vidsift.evaluation.evaluate import refuse_test_split


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


def test_moments_are_sentences_with_their_seconds(tmp_path: Path) -> None:
    moments = [{"caption": "a dog", "start": 0, "end": 2.5}, {"caption": "a cat", "start": 1.5, "end": 3}]
    (entry,) = read_folder(folder(tmp_path, {"video": "a.mp4", "captions": ["both"], "moments": moments}))
    assert entry.moments == (Moment("a dog", 0.0, 2.5), Moment("a cat", 1.5, 3.0))


@pytest.mark.parametrize(
    ("moments", "words"),
    [
        ({}, "moments is {}, expected a list"),
        ([{"caption": "x", "start": 1}], "expected an object with caption, start and end"),
        ([{"caption": "", "start": 1, "end": 2}], "caption '', expected a sentence"),
        ([{"caption": "x", "start": "1", "end": 2}], "start is '1', expected a number of seconds"),
        ([{"caption": "x", "start": 2, "end": 2}], "the moment of 'x' is from 2.0 to 2.0 s"),
    ],
)
def test_a_moment_that_is_none_is_named_by_its_line(tmp_path: Path, moments: Any, words: str) -> None:
    with pytest.raises(CaptionsError, match="line 1: ") as refused:
        read_folder(folder(tmp_path, {"video": "a.mp4", "captions": ["x"], "moments": moments}))
    assert words in str(refused.value)


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_a_line_ends_at_a_line_feed_alone(tmp_path: Path, mark: str) -> None:
    caption = f"a dog{mark}on a lawn"
    line = json.dumps({"video": "a.mp4", "captions": [caption]}, ensure_ascii=False)
    (entry,) = read_folder(folder(tmp_path, line))
    assert entry.captions == (caption,)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: no JSON"),
        ("[1]", "line 2: holds list, expected an object"),
        (
            {"video": "clips/b.mp4", "captions": ["x"], "captoin": "x"},
            "line 2: unknown key 'captoin'; known: video",
        ),
        ({"captions": ["x"]}, "line 2: video is None"),
        ({"video": "../b.mp4", "captions": ["x"]}, "line 2: video '../b.mp4' lies outside the folder"),
        ({"video": "/b.mp4", "captions": ["x"]}, "lies outside"),
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


def test_a_library_that_version_0_1_rendered_stays_a_test_split(tmp_path: Path) -> None:
    """Its lines name no split; ``shapes.json`` beside them does, for all of them."""
    stored = Path(__file__).parent / "library_v0.1"
    source = open_source("folder", str(stored))
    assert {entry.split for entry in source.entries(None)} == {"test"}
    assert source.test_splits() == ("test",)
    with pytest.raises(CaptionsError, match="no video of the split 'train'; splits named there: 'test'"):
        source.training_files()
    with pytest.raises(SelectionOnTestError, match=r"validation in .* on the split 'test', a test split"):
        refuse_test_split("test", source.test_splits(), f"validation in {source.where}")
    # A line that names its split keeps it.
    root = folder(tmp_path, {"video": "a.mp4", "captions": ["x"], "split": "val"})
    (root / "shapes.json").write_text('{"split": "test"}', encoding="utf-8")
    assert [entry.split for entry in read_folder(root)] == ["val"]
    (root / "shapes.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CaptionsError, match=r"shapes\.json: no JSON object"):
        read_folder(root)


def test_videos_that_are_not_there_are_entries_and_named(tmp_path: Path) -> None:
    names = ("c.mp4", "a.mp4", "clips", "a.mp4/d.mp4")
    root = folder(tmp_path, *({"video": name, "captions": ["x"]} for name in names))
    entries = read_folder(root)
    assert [entry.path for entry in entries] == [root / name for name in names]
    assert absent_videos(entries) == [
        (str(root / "c.mp4"), "there is no such file"),
        (str(root / "clips"), "is a folder, expected a video file"),
        (str(root / "a.mp4/d.mp4"), "there is no such file"),
    ]
    # Who asks for every fault of a folder hears of them by line.
    faults: list[str] = []
    assert [entry.path.name for entry in read_folder(root, faults.append)] == ["a.mp4"]
    assert [line.partition("line ")[2] for line in faults] == [
        f"{number}: there is no file {root / names[number - 1]}" for number in (1, 3, 4)
    ]


SPLITS = ("train", "latest", "contest-2", "attestation", "1k-A", "val_1", "test", "Test_1", "msrvttTest",
          "2-testing", "LATEST", "TEST2", "")  # fmt: skip


def entries_of(*splits: str) -> list[Entry]:
    return [Entry(Path(f"{number}.mp4"), ("x",), split=split) for number, split in enumerate(splits)]


def test_a_split_with_the_word_test_in_its_name_is_a_test_split(tmp_path: Path) -> None:
    splits = read_test_splits(tmp_path, entries_of(*SPLITS))
    assert splits == {"test", "Test_1", "msrvttTest", "2-testing", "TEST2"}


def test_a_folder_says_which_splits_are_test_splits(tmp_path: Path) -> None:
    declared = tmp_path / "dataset.json"
    declared.write_text('{"test_splits": ["1k-A", "val_1"]}', encoding="utf-8")
    # What it says holds in place of the names, but for the very name test.
    assert read_test_splits(tmp_path, entries_of(*SPLITS)) == {"1k-A", "val_1", "test"}
    declared.write_text('{"test_splits": []}', encoding="utf-8")
    assert read_test_splits(tmp_path, entries_of("Test_1", "train")) == set()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", 'cannot be read: .*expected {"test_splits"'),
        ("[]", "holds list; expected"),
        ("{}", "holds nothing; expected"),
        ('{"test_split": ["1k-A"]}', "holds 'test_split'; expected"),
        ('{"test_splits": ["1k-A"], "name": "x"}', "holds 'test_splits', 'name'; expected"),
        ('{"test_splits": "1k-A"}', "test_splits is '1k-A'; expected"),
        ('{"test_splits": [1]}', r"test_splits is \[1\]; expected"),
        ('{"test_splits": ["1kA"]}', "no video of the split '1kA'; splits named there: 'train', '1k-A'"),
    ],
)
def test_a_declaration_that_says_something_else_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(CaptionsError, match=words):
        read_test_splits(tmp_path, entries_of("train", "1k-A", ""))


def test_several_parts_of_a_file_are_entries(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        {"video": "a.mp4", "captions": ["first"], "end": 4, "id": "a-1"},
        {"video": "a.mp4", "captions": ["then"], "start": 4, "end": 9.5},
        {"video": "a.mp4", "captions": ["to the end"], "start": 9.5},
    )
    assert [(entry.id, entry.start_seconds, entry.end_seconds) for entry in read_folder(root)] == [
        ("a-1", 0.0, 4.0), ("", 4.0, 9.5), ("", 9.5, math.inf)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"start": "3"}, "line 2: start is '3', expected a number of seconds"),
        ({"end": True}, "line 2: end is True, expected a number"),
        ({"start": 3, "end": 3}, r"line 2: .*a.mp4: a part from 3.0 to 3.0 s; expected"),
        ({"end": 4}, r"line 2: a.mp4 \(0 s to 4 s\) is already on line 1"),
    ],
)
def test_a_part_that_is_none_is_named_by_its_line(tmp_path: Path, part: dict[str, Any], words: str) -> None:
    root = folder(
        tmp_path,
        {"video": "a.mp4", "captions": ["x"], "end": 4},
        {"video": "a.mp4", "captions": ["x"], **part},
    )
    with pytest.raises(CaptionsError, match=words):
        read_folder(root)


def test_captions_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "videos"
    (root / "clips").mkdir(parents=True)
    (root / "clips" / "b.mp4").touch()
    other = tmp_path / "annotations" / "mine.jsonl"
    other.parent.mkdir()
    line = {"video": "clips/b.mp4", "captions": ["x"], "split": "final"}
    other.write_text(json.dumps(line), encoding="utf-8")
    (other.parent / "dataset.json").write_text('{"test_splits": ["final"]}', encoding="utf-8")
    source = open_source("folder", str(root), str(other))
    (entry,) = source.entries("final")
    assert (entry.path, source.test_splits()) == (root / "clips" / "b.mp4", ("final",))
    monkeypatch.chdir(tmp_path)
    (entry,) = open_source("folder", "videos", "annotations/mine.jsonl").entries(None)
    assert entry.path.is_file()
    with pytest.raises(CaptionsError, match=r"there is no .*yours.jsonl; write one line a video"):
        open_source("folder", str(root), str(tmp_path / "yours.jsonl")).entries(None)


def test_a_tilde_in_a_recipe_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / "vids").mkdir()
    line = json.dumps({"video": "b.mp4", "captions": ["x"], "split": "test"})
    (tmp_path / "vids" / "captions.jsonl").write_text(line, encoding="utf-8")
    (entry,) = open_source("folder", "~/vids", None).entries("test")
    assert entry.path == tmp_path / "vids" / "b.mp4"
    elsewhere = open_source("folder", "~/vids", "~/vids/captions.jsonl")
    assert (elsewhere.entries("test"), elsewhere.test_splits()) == ([entry], ("test",))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"video": "a.mp4", "captions": ["a\\ud800b"]}', "holds half a character"),
        ("[" * 100_000, "nested too deeply"),
        (
            '{"video": "a.mp4", "captions": ["a"], "start": 1%s}' % ("0" * 400),
            "start is larger than any",
        ),
    ],
)
def test_what_json_allows_and_nothing_else_can_hold_is_refused_by_its_line(
    tmp_path: Path, line: str, problem: str
) -> None:
    with pytest.raises(CaptionsError, match=rf"line 1: .*{problem}"):
        read_folder(folder(tmp_path, line))


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    root = folder(tmp_path, "\ufeff" + json.dumps({"video": "a.mp4", "captions": ["a dog"]}))
    assert [entry.captions for entry in read_folder(root)] == [("a dog",)]
