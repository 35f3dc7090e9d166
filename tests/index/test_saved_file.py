"""What people saved: never lost, whoever writes at the same time or dies in the middle of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.index.library import filled
from tests.methods import tiny

from vidsift.errors import IndexFolderError, IndexWriteError, MissingSavedError
from vidsift.index import saved_file
from vidsift.index.check import check_index
from vidsift.index.library import describe
from vidsift.index.manifest import SAVED_SEARCHES
from vidsift.index.moment_collections import CollectedMoment, MomentCollections
from vidsift.index.saved_file import clean_line
from vidsift.index.saved_searches import SavedSearches
from vidsift.index.writing import write_lock

QUESTION = {"query": "a dog"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("made") / "index", tiny.model(), [3]).folder


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    """A whole index of its own."""
    return Path(shutil.copytree(made, tmp_path / "index"))


def names(index: Path) -> list[str]:
    return [search.name for search in SavedSearches(index).read()]


def test_what_is_saved_moves_with_the_folder_and_is_counted(index: Path, tmp_path: Path) -> None:
    assert names(index) == []
    SavedSearches(index).add("dogs", QUESTION)
    collection = MomentCollections(index).add("best of")
    MomentCollections(index).add_moments(collection.entry_id, [CollectedMoment("", "v", "/v.mp4", 1, 2)])
    moved = index.rename(tmp_path / "elsewhere")
    facts = describe(moved)
    assert (facts["saved searches"], facts["collections"]) == (1, 1)
    assert names(moved) == ["dogs"]
    assert [problem for problem in check_index(moved).problems if problem.kind == "saved"] == []


def test_it_stays_when_the_index_is_made_anew_beside_it(index: Path) -> None:
    SavedSearches(index).add("dogs", QUESTION)
    for entry in index.iterdir():
        if entry.name not in {SAVED_SEARCHES, "saved.lock"}:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    filled(index, tiny.model(), [3])
    assert names(index) == ["dogs"]


def test_many_at_once_lose_nothing(index: Path) -> None:
    def save(number: int) -> None:
        SavedSearches(index).add(f"search {number}", QUESTION)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(index)) == sorted(f"search {number}" for number in range(12))


def test_whoever_dies_in_the_middle_of_writing_leaves_what_was(index: Path) -> None:
    SavedSearches(index).add("dogs", QUESTION)
    # The new file is whole in the page cache at most, and the old one still has its name.
    dying = (
        "import os, sys; os.fsync = lambda _descriptor: os._exit(9)\n"
        "from vidsift.index.saved_searches import SavedSearches\n"
        "SavedSearches(sys.argv[1]).add('cats', {'query': 'a cat'})"
    )
    assert subprocess.run([sys.executable, "-c", dying, index], check=False).returncode == 9
    assert names(index) == ["dogs"]
    SavedSearches(index).add("birds", QUESTION)
    assert names(index) == ["dogs", "birds"]
    assert sorted(path.name for path in index.glob("saved-*")) == [SAVED_SEARCHES]


def test_a_disk_that_is_full_leaves_what_was(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SavedSearches(index).add("dogs", QUESTION)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as meddled:
        meddled.setattr(os, "fsync", full)
        with pytest.raises(IndexWriteError, match="the disk is full"):
            SavedSearches(index).add("cats", QUESTION)
    assert names(index) == ["dogs"]


def test_what_is_wrong_changes_nothing(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    searches = SavedSearches(index)
    dogs, cats = searches.add(" dogs ", QUESTION), searches.add("cats", QUESTION)
    before = (index / SAVED_SEARCHES).read_bytes()
    with pytest.raises(ValueError, match="the name 'DOGS' is taken"):
        searches.add("DOGS", QUESTION)
    with pytest.raises(ValueError, match="the name 'dogs' is taken"):
        searches.rename(cats.entry_id, "dogs")
    with pytest.raises(MissingSavedError, match="none of the saved searches has the identity 'nothing'"):
        searches.rename("nothing", "birds")
    with pytest.raises(MissingSavedError, match="it may have been deleted"):
        searches.remove("nothing")
    monkeypatch.setattr(searches, "_most", 2)
    with pytest.raises(ValueError, match="there are 2 saved searches, as many as an index takes"):
        searches.add("birds", QUESTION)
    monkeypatch.setattr(saved_file, "PATIENCE_SECONDS", 0.0)
    with (
        write_lock(index, "saved.lock"),
        pytest.raises(IndexFolderError, match="another process is writing the index"),
    ):
        searches.remove(dogs.entry_id)
    assert (index / SAVED_SEARCHES).read_bytes() == before
    with pytest.raises(IndexFolderError, match="there is no index at"):
        SavedSearches(tmp_path).add("dogs", QUESTION)
    assert searches.rename(dogs.entry_id, "Dogs").name == "Dogs"


@pytest.mark.parametrize("line", ["", "  ", "x" * 101, "two\nlines", "\x1b[31m"])
def test_what_is_no_name_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"the name '.*' cannot be saved; expected 1 to 100 printable"):
        clean_line(line, "name")


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"format": 1, "entries": [{"name": "dogs"}]}', "[" * 9999]
)
def test_damage_is_said_and_moved_aside(index: Path, damage: str) -> None:
    SavedSearches(index).add("dogs", QUESTION)
    (index / SAVED_SEARCHES).write_text(damage)
    with pytest.raises(
        IndexFolderError, match=r"cannot be read: .*, in saved-searches.json; .* check --repair --index"
    ):
        SavedSearches(index).read()
    with pytest.raises(IndexFolderError, match="cannot be read"):
        SavedSearches(index).add("cats", QUESTION)
    assert (index / SAVED_SEARCHES).read_text() == damage
    assert describe(index)["saved searches"] == "damaged; see vidsift index check"
    (problem,) = (problem for problem in check_index(index).problems if problem.kind == "saved")
    assert (problem.kind, problem.what, problem.repaired) == ("saved", "searches", False)
    assert problem.wrong.endswith(", in saved-searches.json")
    report = check_index(index, repair=True)
    assert report.whole
    aside = re.search(r"the saved searches begin anew; what was there is (.*)", "\n".join(report.remarks))
    assert aside is not None
    assert Path(aside[1]).read_text() == damage
    assert names(index) == []


def test_what_a_newer_version_wrote_is_left_as_it_is(index: Path) -> None:
    newer = json.dumps({"format": 2, "entries": {}})
    (index / SAVED_SEARCHES).write_text(newer)
    with pytest.raises(IndexFolderError, match="have format 2, this vidsift reads 1"):
        SavedSearches(index).add("cats", QUESTION)
    assert not check_index(index, repair=True).whole
    assert (index / SAVED_SEARCHES).read_text() == newer
