from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.video.making import Recipe, make

from vidsift.video import find_videos
from vidsift.video.find import Patterns, is_video


@pytest.fixture
def library(tmp_path: Path) -> Path:
    small = Recipe(frames=20)
    root = tmp_path / "library"
    (root / "b" / "deep").mkdir(parents=True)
    make(root, small, "one")
    (root / "broken.MP4").write_text("not a video, but named like one")
    make(root / "b", small, "named").rename(root / "b" / "no extension")
    make(root / "b" / "deep", Recipe(frames=20, suffix=".ts"), "stream")
    (root / "b" / "types.ts").write_text("export const answer = 42;\n" * 20)
    (root / "b" / "notes.txt").write_text("a note")
    (root / "b" / "unknown.bin").write_bytes(bytes(1000))
    (root / "b" / "ftyp.dat").write_bytes(b"\x00\x00\x00\x18ftypisom" + bytes(300))
    (root / ".hidden").mkdir()
    make(root / ".hidden", small)
    (root / "b" / "._one.mp4").write_bytes(b"resource fork")
    (root / "@eaDir").mkdir()
    make(root / "@eaDir", small)
    return root


def names(root: Path) -> list[str]:
    files = list(find_videos([root]))
    assert all(file.rejected is None for file in files)
    return [file.path.relative_to(root).as_posix() for file in files]


def test_videos_are_found_by_name_and_by_content(library: Path) -> None:
    assert names(library) == ["broken.MP4", "one.mp4", "b/no extension", "b/deep/stream.ts"]


def test_links_are_followed_once_and_loops_end(library: Path) -> None:
    (library / "b" / "loop").symlink_to(library, target_is_directory=True)
    (library / "again.mp4").symlink_to(library / "one.mp4")
    (library / "dangling.mp4").symlink_to(library / "nowhere.mp4")
    outside = library.parent / "outside"
    outside.mkdir()
    make(outside, Recipe(frames=20), "far")
    (library / "c").symlink_to(outside, target_is_directory=True)
    listed = names(library)
    assert sorted(listed) == sorted(
        ["again.mp4", "broken.MP4", "b/no extension", "b/deep/stream.ts", "c/far.mp4"]
    )


def test_places_named_outright(library: Path) -> None:
    hidden = library / ".hidden" / "made.mp4"
    files = list(find_videos([hidden, library / "absent", library / "b" / "notes.txt", hidden]))
    assert [file.path for file in files] == [hidden, library / "absent", library / "b" / "notes.txt"]
    assert [file.rejected for file in files] == [None, "there is no such file or folder", None]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_opened_is_said(library: Path) -> None:
    (library / "b").chmod(0)
    rejected = [file for file in find_videos([library]) if file.rejected]
    (library / "b").chmod(0o755)
    assert [file.path.name for file in rejected] == ["b"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".mpg", ".flv", ".nut", ".gif"])
def test_containers_are_recognised_by_their_bytes(tmp_path: Path, suffix: str) -> None:
    special = {
        ".mpg": Recipe(suffix=suffix, codec="mpeg2video"),
        ".gif": Recipe(suffix=suffix, codec="gif", pix_fmt="rgb8", b_frames=0, fps=25),
    }
    path = make(tmp_path, special.get(suffix, Recipe(suffix=suffix)))
    unnamed = path.rename(tmp_path / "unnamed")
    assert is_video(unnamed)


def test_patterns_choose_files_and_folders(library: Path) -> None:
    def matching(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
        some = find_videos([library], include=include, exclude=exclude)
        return [file.path.relative_to(library).as_posix() for file in some]

    assert matching(include=("*.mp4",)) == ["broken.MP4", "one.mp4"]
    assert matching(include=("b/deep/*",)) == ["b/deep/stream.ts"]
    assert matching(include=("deep",)) == ["b/deep/stream.ts"]
    assert matching(exclude=("b",)) == ["broken.MP4", "one.mp4"]
    assert matching(exclude=("B/Deep", "broken*")) == ["one.mp4", "b/no extension"]
    assert matching(include=("b",), exclude=("*.ts",)) == ["b/no extension"]
    assert next(find_videos([library / "one.mp4"], exclude=("*.mp4",))).rejected is None
    with pytest.raises(ValueError, match="the pattern '/' is empty"):
        Patterns(["/"])


def test_names_in_any_script_and_long_paths(tmp_path: Path) -> None:
    folder = tmp_path
    for name in ("vidéos d'été", "Видео", "動画", "भाषा", "🎥 100% #1?", "-rf", "a:b"):
        folder = folder / name
        folder.mkdir()
        make(folder, Recipe(frames=4), name)
    for number in range(6):
        folder = folder / (f"{number}" + "長" * 80)
        folder.mkdir()
    make(folder, Recipe(frames=4), "x" * 251)
    assert len(str(folder).encode()) > 1400
    files = list(find_videos([tmp_path]))
    assert len(files) == 8
    assert all(file.rejected is None and is_video(file.path) for file in files)


def test_what_systems_keep_and_what_leads_nowhere_is_passed_over(tmp_path: Path) -> None:
    for name in ("$Recycle.Bin", "System Volume Information", ".Trash-1000", "LOST+FOUND", "#snapshot"):
        (tmp_path / name).mkdir()
        make(tmp_path / name, Recipe(frames=4))
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert list(find_videos([tmp_path])) == []
    (only,) = find_videos([tmp_path / "pipe.mp4"])
    assert only.rejected == "is not a regular file, expected a video file"


def test_a_file_that_is_dangerous_to_look_into_is_rejected_with_the_reason(library: Path) -> None:
    looked_into: list[str] = []

    def look(path: Path) -> bool:
        looked_into.append(path.name)
        raise ValueError("crashed")

    rejected = [file for file in find_videos([library], look_inside=look) if file.rejected]
    assert sorted(looked_into) == ["ftyp.dat", "no extension", "stream.ts"]
    assert {file.rejected for file in rejected} == {"crashed"}
