"""Files and folders that are met whole or as they were."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from tests.files.full_disk import full_disk

from vidsift.files.locks import try_lock
from vidsift.files.whole import (
    array_file,
    remove_leftovers,
    temporary_path,
    whole_file,
    whole_files,
    whole_folder,
    write_json_whole,
    write_text_whole,
)


def test_a_text_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text_whole(path, "old")
    with pytest.raises(OSError, match="too large"), full_disk(10):
        write_text_whole(path, "new" * 100)
    assert path.read_text("utf-8") == "old"
    write_text_whole(path, "new ä")
    assert path.read_text("utf-8") == "new ä"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_library_writes_a_file_whole(tmp_path: Path) -> None:
    path, before = tmp_path / "last.npy", tmp_path / "before.npy"
    for value in (1, 2, 3):
        with whole_file(path, previous=before if value > 1 else None) as temporary:
            assert temporary == temporary_path(path)
            with temporary.open("wb") as file:
                np.save(file, np.array(value))
    assert (np.load(path), np.load(before)) == (3, 2)
    with pytest.raises(ZeroDivisionError), whole_file(path, previous=before) as temporary:
        temporary.write_bytes(b"half" * (temporary.write_bytes(b"half") // 0))
    assert (np.load(path), np.load(before)) == (3, 2)
    with pytest.raises(FileNotFoundError), whole_file(path):
        pass  # nothing was written
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["before.npy", "last.npy"]


def test_json_is_written_whole_under_the_temporary_name_asked_for(tmp_path: Path) -> None:
    path, temporary = tmp_path / "index.json", tmp_path / "index.json.new"
    temporary.write_text("left by a killed process, and longer than the next", encoding="utf-8")
    write_json_whole(path, {"a": 1}, temporary=temporary)
    assert path.read_text("utf-8") == '{\n  "a": 1\n}\n'
    write_json_whole(path, [1, 2], indent=None)
    assert path.read_text("utf-8") == "[1, 2]\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.json"]


def _fill(folder: Path) -> None:
    for name in ("config", "weights"):
        (folder / name).write_text("new", encoding="utf-8")


def test_files_are_replaced_together_and_the_telling_one_comes_last(tmp_path: Path) -> None:
    for name in ("config", "weights", "notes"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    with (
        pytest.raises(OSError, match="too large"),
        full_disk(2),
        whole_files(tmp_path, "saving", last="config") as temporary,
    ):
        _fill(temporary)
    assert {file.read_text("utf-8") for file in tmp_path.iterdir()} == {"old"}
    with whole_files(tmp_path, "saving", last="config") as temporary:
        _fill(temporary)
    texts = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert texts == {"config": "new", "weights": "new", "notes": "old"}


def test_no_file_says_what_the_others_are_while_they_are_put_in_place(tmp_path: Path) -> None:
    """A file that cannot be replaced ends it midway: the old weights are not read by the new config."""
    (tmp_path / "config").write_text("old", encoding="utf-8")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "in the way").touch()
    with pytest.raises(OSError, match="weights"), whole_files(tmp_path, "x", last="config") as temporary:
        _fill(temporary)
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]


def test_leftovers_are_known_by_their_names(tmp_path: Path) -> None:
    leftover = temporary_path(tmp_path / "last.pt")
    assert leftover == tmp_path / f".last.pt.{os.getpid()}"
    untouched = ["last.pt", ".hidden", ".last.pt.new", "last.pt.12", ".diary.2026", ".a.json.d.1", "sub"]
    for name in (leftover.name, ".a.json.12", "a.partial", *untouched[:-1]):
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".a.12").write_text("x", encoding="utf-8")
    temporary_path(tmp_path / "saving").mkdir()
    remove_leftovers(tmp_path, ["last.pt", "*.json", "saving"], "a.partial")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(untouched)
    assert (tmp_path / "sub" / ".a.12").is_file()
    remove_leftovers(tmp_path / "absent", ["last.pt"])


def test_an_array_is_written_row_by_row(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((5, 3, 2)).astype(np.float32)
    with array_file(tmp_path / "a.npy", np.float32, values.shape) as add:
        add(values[0])
        add(values[1:4][::-1])  # not in one piece
        add(values[4].astype(np.float64))
    read = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert read.dtype == np.float32
    assert np.array_equal(read, values[[0, 3, 2, 1, 4]])
    # Writing to a map of a file would kill the process instead.
    with (
        pytest.raises(OSError, match="too large"),
        full_disk(500),
        array_file(tmp_path / "b.npy", np.uint8, (9999,)) as add,
    ):
        add(np.zeros(9999, np.uint8))


def test_a_folder_appears_when_it_is_filled(tmp_path: Path) -> None:
    place = tmp_path / "above" / "folder"
    with whole_folder(place) as temporary:
        (temporary / "file").write_text("one", encoding="utf-8")
        assert not place.exists()
    assert (place / "file").read_text("utf-8") == "one"
    assert [path.name for path in place.parent.iterdir()] == ["folder"]


def test_the_first_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    with whole_folder(place) as late:
        (late / "file").write_text("late", encoding="utf-8")
        with whole_folder(place) as first:
            (first / "file").write_text("first", encoding="utf-8")
    assert (place / "file").read_text("utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_fault_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "folder"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def _left(folder: Path, name: str, age_seconds: float = 3600.0) -> Path:
    left = folder / name
    left.mkdir()
    (left / "half.npy").write_bytes(b"x")
    (left / ".making").write_bytes(b"")
    then = time.time() - age_seconds
    os.utime(left / ".making", (then, then))
    return left


def test_what_killed_processes_left_of_the_folder_is_removed(tmp_path: Path) -> None:
    killed = _left(tmp_path, "set.abcd1234")
    beside = [_left(tmp_path, "other.abcd1234"), _left(tmp_path, "set.long.abcd1234")]
    just_begun = _left(tmp_path, "set.abcd5678", age_seconds=0)
    no_rest = tmp_path / "set.keepthis"
    no_rest.mkdir()
    at_work = _left(tmp_path, "set.at_work_")
    with (at_work / ".making").open("r+b") as file:
        assert try_lock(file)
        with whole_folder(tmp_path / "set") as temporary:
            assert not killed.exists()
            assert (temporary / ".making").is_file()
            (temporary / "a").write_text("a", encoding="utf-8")
        assert [path.name for path in (tmp_path / "set").iterdir()] == ["a"]
        assert all(path.is_dir() for path in (*beside, just_begun, no_rest, at_work))
    with whole_folder(tmp_path / "set"):
        assert not at_work.exists()


def test_two_that_fill_the_same_folder_leave_each_other_alone(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "set") as first:
        then = time.time() - 3600
        os.utime(first / ".making", (then, then))
        with whole_folder(tmp_path / "set") as second:
            (second / "second").write_text("a", encoding="utf-8")
        (first / "first").write_text("a", encoding="utf-8")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_others_may_read_a_folder_as_any_that_is_made(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with whole_folder(tmp_path / "whole"):
        pass
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode
