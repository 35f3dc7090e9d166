"""Annotation files are found in folders below, alternatives in their order, and two of a name are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.annotated import write_files

from vidsift.data.annotation_files import AnnotationFolder
from vidsift.errors import CaptionsError


def test_the_first_name_that_is_there_is_read_from_the_nearest_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"deep/er/b.txt": "far\n", "deep/b.txt": "near\n\n one \n", "deep/c.txt": "c"})
    files = AnnotationFolder(tmp_path, "Kitchen")
    assert files.present("a.txt", "b.txt", "c.txt") == "b.txt"
    assert files.present("a.txt") is None
    assert files.lines("a.txt", "b.txt") == ["near", "one"]


def test_two_files_as_near_as_each_other_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {"x/b.txt": "", "y/b.txt": ""})
    with pytest.raises(CaptionsError, match=r"x.b.txt and .*y.b.txt: which one is Kitchen's"):
        AnnotationFolder(tmp_path, "Kitchen").lines("b.txt")


def test_what_is_not_there_is_told_with_what_would_do(tmp_path: Path) -> None:
    files = AnnotationFolder(tmp_path, "Kitchen")
    with pytest.raises(
        CaptionsError, match=r"no .*a.txt; .*Kitchen's annotation files, with a.txt, or else b.txt"
    ):
        files.file("a.txt", "b.txt")
    (tmp_path / "raw.pickle").touch()
    with pytest.raises(CaptionsError, match=r"raw.pickle is a pickle, .*vidsift data convert .*raw.pickle"):
        AnnotationFolder(tmp_path, "Kitchen").file("raw.json")
