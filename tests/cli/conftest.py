"""Films in an index, and their files read in this process, for the verbs that read files of hits again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.films import IndexedFilms, index_films
from tests.inline import InlineSandbox

from vidsift.workers import sandbox


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> IndexedFilms:
    """Films that no test may change."""
    return index_films(tmp_path_factory.mktemp("films"))


@pytest.fixture
def files_read_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Read files in this process, and write in a folder of the test's own."""
    monkeypatch.setattr(sandbox, "Sandbox", InlineSandbox)
    monkeypatch.chdir(tmp_path)
