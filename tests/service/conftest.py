"""Searches over HTTP measure chance by few questions too; a small index of real files, served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.index.library import clip
from tests.search.conftest import _few_unrelated_questions
from tests.service.serving import index_of, served

from vidsift.search.searcher import Index

__all__ = ["_few_unrelated_questions"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight clips, the last one of two segments."""
    folder = tmp_path_factory.mktemp("videos")
    short = [clip(folder, f"clip{number}", frames=8 + number) for number in range(7)]
    return [*short, clip(folder, "long", frames=64, fps=2)]


@pytest.fixture(scope="module")
def index(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    return index_of(tmp_path_factory.mktemp("search") / "index", files)


@pytest.fixture(scope="module")
def client(index: Index) -> Iterator[TestClient]:
    with served(index) as opened:
        yield opened
