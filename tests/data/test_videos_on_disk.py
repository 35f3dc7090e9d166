"""Which file an id means: extensions, folders, prefixes, and the same choice on every computer."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidsift.data.videos_on_disk import VideosOnDisk
from vidsift.errors import CaptionsError


def on_disk(folder: Path, *names: str) -> VideosOnDisk:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return VideosOnDisk(folder, "a data set")


@pytest.mark.parametrize(
    ("names", "video_id", "path"),
    [
        (["a.mp4"], "a", "a.mp4"),
        (["a.AVI"], "a", "a.AVI"),
        (["x/y/a.webm"], "a", "x/y/a.webm"),
        (["x/a.mkv", "y/a.mkv"], "y/a", "y/a.mkv"),
        (["xy/a.mkv"], "y/a", None),
        (["v_a.mp4"], "a", "v_a.mp4"),
        (["a.mp4"], "v_a", "a.mp4"),
        (["v_a.mkv", "a.mkv"], "v_a", "v_a.mkv"),
        (["a_00.01.02.3-00.04.avi"], "a_00.01.02.3-00.04", "a_00.01.02.3-00.04.avi"),
        (["a.mov", "a.mp4"], "a.mov", "a.mov"),
        (["a.mp4"], "a.mov", "a.mp4"),
        (["a.mp4"], "a.", "a.mp4"),
        (["a.txt", "a.jpg"], "a", None),
        (["._a.mp4", ".x/a.mp4"], "a", None),
        (["ab.mp4"], "a", None),
        # Fewest folders, then MP4, then by name.
        (["x/a.mp4", "a.avi"], "a", "a.avi"),
        (["a.avi", "a.mp4", "a.webm"], "a", "a.mp4"),
        (["y/a.avi", "x/a.avi"], "a", "x/a.avi"),
    ],
)
def test_an_id_means_a_file(tmp_path: Path, names: list[str], video_id: str, path: str | None) -> None:
    assert on_disk(tmp_path, *names).find(video_id) == path


def test_what_is_not_there_is_named_like_the_others(tmp_path: Path) -> None:
    videos = on_disk(tmp_path, "a.avi", "b.avi", "c.mp4")
    assert videos.expected("d") == "d.avi"
    assert videos.expected("d.mov") == "d.mov"
    (tmp_path / "empty").mkdir()
    assert on_disk(tmp_path / "empty").expected("d.") == "d.mp4"
    assert videos.candidates("d") == []


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").touch()
    (tmp_path / "videos").mkdir()
    try:
        (tmp_path / "videos" / "part").symlink_to(tmp_path / "real", target_is_directory=True)
        (tmp_path / "real" / "back").symlink_to(tmp_path / "videos", target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody make links")
    assert on_disk(tmp_path / "videos").candidates("a") == ["part/a.mp4"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match=r"nowhere is not a folder; expected the videos of a data set"):
        VideosOnDisk(tmp_path / "nowhere", "a data set")
