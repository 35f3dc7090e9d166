"""Files that are met whole or as they were."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tests.files.full_disk import full_disk

from vidsift.files.whole import array_file, aside_of, sweep, write_text_whole


def test_a_text_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text_whole(path, "old")
    with pytest.raises(OSError, match="too large"), full_disk(10):
        write_text_whole(path, "new" * 100)
    assert path.read_text("utf-8") == "old"
    write_text_whole(path, "new ä")
    assert path.read_text("utf-8") == "new ä"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_rests_are_known_by_their_names(tmp_path: Path) -> None:
    rest = aside_of(tmp_path / "last.pt")
    assert rest == tmp_path / f".last.pt.{os.getpid()}"
    kept = ["last.pt", ".hidden", ".last.pt.new", "last.pt.12", ".diary.2026", ".a.json.d.1", "sub"]
    for name in (rest.name, ".a.json.12", "a.partial", *kept[:-1]):
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".a.12").write_text("x", encoding="utf-8")
    aside_of(tmp_path / "saving").mkdir()
    sweep(tmp_path, ["last.pt", "*.json", "saving"], "a.partial")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    assert (tmp_path / "sub" / ".a.12").is_file()
    sweep(tmp_path / "absent", ["last.pt"])


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
