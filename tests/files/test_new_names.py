from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidsift.files.new_names import place_new, portable_name


def written(folder: Path, text: str) -> Path:
    temporary = folder / ".temporary"
    temporary.write_text(text, encoding="utf-8")
    return temporary


@pytest.mark.parametrize("links", [True, False])
def test_what_is_there_stays_and_the_new_file_gets_a_number(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_names: object) -> None:
        raise PermissionError("this file system has no links")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "a film.mp4"
    names = [place_new(written(tmp_path, text), target) for text in ("first", "second", "third")]
    assert [name.name for name in names] == ["a film.mp4", "a film (2).mp4", "a film (3).mp4"]
    assert [name.read_text(encoding="utf-8") for name in names] == ["first", "second", "third"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(name.name for name in names)


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "film.mp4"
    target.write_text("of somebody else", encoding="utf-8")
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert place_new(written(tmp_path, "ours"), target).name == "film (2).mp4"
    assert target.read_text(encoding="utf-8") == "of somebody else"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("plain", "plain"),
        ("two\nlines\x1b[31m", "two_lines_[31m"),
        ('a:b/c\\d*e?"f"<g>|', "a_b_c_d_e__f__g__"),
        ("broken \udcff byte", "broken _ byte"),
        (" .hidden. ", "hidden"),
        ("...", "video"),
        ("ä" * 200, "ä" * 90),
        ("x" * 179 + "ä", "x" * 179),
    ],
)
def test_a_name_is_one_that_every_system_takes(text: str, name: str) -> None:
    assert portable_name(text) == name
