"""The list of sources: an unknown name is answered with the known ones, unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import vidsift
from vidsift.data.catalog import DEFAULT, SOURCES, check_data, open_source, source_of
from vidsift.errors import CaptionsError

LEAST: dict[str, dict[str, Any]] = {
    "shapes-stream": {},
    "shapes2-stream": {},
    "folder": {"path": "videos"},
} | {
    name: {"videos": "videos", "annotations": "annotations"}
    for name in ("msrvtt", "msvd", "lsmdc", "didemo", "activitynet", "vatex", "youcook2")
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_what_the_recipe_says_of_it(name: str) -> None:
    source = check_data({"source": name, **LEAST[name]})
    assert isinstance(source, source_of(name))
    assert check_data(source.model_dump()) == source
    if source.splits:
        assert source.test_splits()
        assert source.training_split not in source.test_splits()
    with pytest.raises(ValidationError, match="sauce"):
        check_data({"source": name, **LEAST[name], "sauce": 1})


def test_nothing_outside_this_room_knows_a_data_set_by_name() -> None:
    """But for ``data/folder.py``, which reads the captions of indexed folders too."""
    house = Path(vidsift.__file__).parent
    modules = {source.__module__ for source in SOURCES.values()} - {"vidsift.data.folder"}
    assert "vidsift.data.msrvtt" in modules
    for file in house.rglob("*.py"):
        text = file.read_text("utf-8")
        if file.parent.name != "data":
            assert not [module for module in modules if module in text], file
            assert '"shapes-stream"' not in text, file
            assert '"shapes2-stream"' not in text, file


def test_every_source_has_a_title_of_its_own() -> None:
    assert len({source.title for source in SOURCES.values()}) == len(SOURCES)
    assert DEFAULT in SOURCES


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "msr-vtt",
            "source 'msr-vtt' is unknown; expected one of 'shapes-stream', 'shapes2-stream', 'folder'",
        ),
        ("msrvtt", "MSR-VTT needs the folder of its annotation files: --annotations FOLDER"),
        ("shapes-stream", "Shapes is drawn while it is used and has no files; name another data set"),
    ],
)
def test_what_cannot_be_opened_is_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_source(name, "videos", None)


def test_a_home_folder_may_be_called_by_its_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "MSRVTT_data.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CaptionsError, match="no key 'videos'"):
        open_source("msrvtt", "~/videos", "~/annotations").entries("9k")


@pytest.mark.parametrize(
    "values",
    [{"source": "folder", "path": "videos"}, {"source": "shapes-stream", "clips": 8, "jitter": 0.0}],
    ids=lambda values: values["source"],
)
def test_where_pictures_are_kept_is_no_part_of_a_run(values: dict[str, Any]) -> None:
    here, there = (check_data(values | {"cache": place}).identity() for place in ("here", "there"))
    assert here == there
    assert here["cache"] is True
