"""Every video of a data set is opened: what each kind of fault looks like, on real small files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.video.making import Recipe, make

from vidsift.data.entries import Entry, Moment
from vidsift.data.video_check import Fault, check_videos, look_at


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good videos of two seconds, one cut off, one that is text, one empty, and a copy."""
    folder = tmp_path_factory.mktemp("videos")
    for name, frames in (("good", 16), ("other", 17)):
        make(folder, Recipe(fps=8, frames=frames, gop=4), name)
    shutil.copy(folder / "good.mp4", folder / "copy.mp4")
    long = make(folder, Recipe(suffix=".mkv", fps=8, frames=80, gop=4), "cut").read_bytes()
    (folder / "cut.mkv").write_bytes(long[: len(long) * 2 // 3])
    (folder / "text.mp4").write_text("this is no video" * 99, encoding="utf-8")
    (folder / "empty.mp4").touch()
    return folder


def test_each_kind_of_fault_is_found_and_named(videos: Path) -> None:
    def entry(name: str, start: float = 0.0, end: float = float("inf"), *moments: Moment) -> Entry:
        return Entry(videos / name, ("x",), start_seconds=start, end_seconds=end, moments=moments)

    entries = {
        "train": [
            entry("good.mp4"), entry("text.mp4"), entry("nowhere.avi"), entry("cut.mkv"), entry("empty.mp4"),
            entry("good.mp4", 0.5, 1.5), entry("good.mp4", 5, 9), entry("good.mp4", 1, 4.5),
        ],
        "test": [
            entry("copy.mp4", 0, 31), entry("text.mp4"),
            entry("other.mp4", 0, 31, Moment("late", 0, 1), Moment("too late", 4, 6)),
        ],
    }  # fmt: skip
    done: list[tuple[int, int]] = []
    faults = check_videos(entries, workers=2, on_progress=lambda *counts: done.append(counts))
    assert done[-1] == (6, 6)
    reasons = {(fault.kind, fault.video): fault for fault in faults}
    good, copy = str(videos / "good.mp4"), str(videos / "copy.mp4")
    assert reasons["missing", str(videos / "nowhere.avi")].reason == "there is no such file"
    # In two splits, and told once.
    assert reasons["unreadable", str(videos / "text.mp4")].splits == ("train", "test")
    assert ("unreadable", str(videos / "empty.mp4")) in reasons
    assert ("damaged", str(videos / "cut.mkv")) in reasons
    assert reasons["too short", f"{good} (5 s to 9 s)"].reason == "the file ends at 2.0 s"
    assert ("too short", f"{good} (1 s to 4.5 s)") in reasons
    assert (
        reasons["too short", f"{videos / 'other.mp4'} (0 s to 31 s)"].reason
        == "the file ends at 2.1 s, 'too late' begins at 4 s"
    )
    assert faults[-1] == Fault("duplicate", ("test",), copy, f"holds the same bytes as {good} of 'train'")
    assert len(faults) == 8


def test_copies_within_a_split_and_files_of_two_splits_are_no_faults(videos: Path) -> None:
    good, copy = Entry(videos / "good.mp4", ("x",)), Entry(videos / "copy.mp4", ("y",))
    assert check_videos({"train": [good, copy]}) == []
    assert check_videos({"train": [good], "val": [good]}) == []
    assert check_videos({}) == []


def test_a_link_to_a_video_of_another_split_is_the_same_file(videos: Path, tmp_path: Path) -> None:
    try:
        os.link(videos / "good.mp4", tmp_path / "linked.mp4")
    except OSError:
        pytest.skip("this system lets nobody make links here")
    (fault,) = check_videos(
        {"train": [Entry(videos / "good.mp4", ("x",))], "val": [Entry(tmp_path / "linked.mp4", ("x",))]}
    )
    assert fault.reason == f"is the same file as {videos / 'good.mp4'} of 'train'"


def test_a_picture_is_no_video(tmp_path: Path) -> None:
    made = make(
        tmp_path, Recipe(suffix=".png", codec="png", frames=1, pix_fmt="rgb24", format="image2"), "one"
    )
    assert look_at(str(made)).unreadable == "is not a video (recognised as png)"
    facts = look_at(str(tmp_path))
    assert facts.unreadable
    assert not facts.digest
