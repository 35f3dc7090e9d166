from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.index.library import manifest_of
from tests.methods import tiny

from vidsift.index.manifest import write_manifest
from vidsift.index.saved_searches import SavedSearches


@pytest.fixture
def searches(tmp_path: Path) -> SavedSearches:
    (tmp_path / "index").mkdir()
    write_manifest(tmp_path / "index", manifest_of(tiny.model()))
    return SavedSearches(tmp_path / "index")


def test_a_question_comes_back_as_it_was_set(searches: SavedSearches, tmp_path: Path) -> None:
    question = {
        "query": ["été", '"green"'],
        "verbatim": True,
        "filter": {"tags": ["sea"], "min_duration": 2.5},
    }
    first = searches.add(" Summer ", question)
    second = searches.add("dogs", {"query": "a dog"})
    assert SavedSearches(tmp_path / "index").read() == [first, second]
    assert (first.name, first.question) == ("Summer", question)
    assert abs(first.created_seconds - time.time()) < 60
    assert searches.find(second.entry_id) == second


def test_they_are_renamed_and_deleted(searches: SavedSearches) -> None:
    first, second = searches.add("a", {"query": "a dog"}), searches.add("b", {"query": "a cat"})
    renamed = searches.rename(first.entry_id, "c")
    assert (renamed.entry_id, renamed.name, renamed.question) == (first.entry_id, "c", {"query": "a dog"})
    assert searches.read() == [renamed, second]
    searches.remove(first.entry_id)
    assert searches.read() == [second]


def test_a_question_has_a_length(searches: SavedSearches) -> None:
    with pytest.raises(ValueError, match="the question of 'long' is too long to be saved"):
        searches.add("long", {"query": "x" * 100_000})
