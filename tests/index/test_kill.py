"""An indexing process that dies at the worst moments, and one that is asked to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.index.forked import Forked
from tests.index.library import library, rows
from tests.methods import tiny

from vidsift.index.build import build_index
from vidsift.index.storage import Store
from vidsift.search.questions import one_thread

# Dies, or asks itself to stop, at the moment that is named.
MEDDLE = """
import signal
from vidsift.index.storage import Store

def meddle(moment):
    build._COMMIT_VIDEOS = 1
    settle, commit_files, calls = build._Run._settle, Store.commit, [0]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(self, *arguments):
        calls[0] += 1
        if moment == "reading" and calls[0] == 2:
            die()
        if moment == "ctrl-c" and calls[0] == 2:
            os.killpg(0, signal.SIGINT)
        return settle(self, *arguments)

    def between(self, segments, files):
        if moment == "between tables" and segments is not None:
            commit_files(self, segments, [])
            die()
        commit_files(self, segments, files)
        if moment == "after a commit" and files:
            die()

    build._Run._settle, Store.commit = counted, between
"""


@pytest.fixture(autouse=True)
def _as_the_forked() -> Iterator[None]:
    """Compute on one thread, as the forked runs do: how a sum is split shows in its last bits."""
    with one_thread():
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    library(tmp_path / "videos", 4)
    tiny.model().save(tmp_path / "model")
    return tmp_path


def test_dying_at_any_moment_costs_only_what_was_in_flight(home: Path) -> None:
    index = home / "index"
    indexer = Forked(home, index, MEDDLE)
    for moment in ("reading", "between tables", "after a commit"):
        indexer.start(moment)
        assert indexer.wait() == -signal.SIGKILL, moment
        Store.open(index).read_files()
    committed = len(Store.open(index).read_files())
    indexer.start("never")
    assert indexer.wait() == 0, indexer.errors
    assert committed >= 2
    assert f"unchanged {committed}" in indexer.said

    build_index([home / "videos"], home / "undisturbed", home / "model", workers=1)
    assert rows(index) == rows(home / "undisturbed")
    assert Store.open(index).read_files() == Store.open(home / "undisturbed").read_files()


def test_ctrl_c_keeps_what_is_finished_and_says_so(home: Path) -> None:
    indexer = Forked(home, home / "index", MEDDLE)
    indexer.start("ctrl-c")
    assert indexer.wait() == 130, indexer.errors
    assert "Stopping: keeping what is finished" in indexer.errors
    assert "Stopped early" in indexer.said
    assert "Run the same command again to go on." in indexer.said
    assert len(rows(home / "index")) == 2
