"""All imitated processors, with a search of 20,000 segments whose true hits are computed once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.imitation import SETTINGS, imitable, run_marked
from tests.soak.lives import count

pytestmark = pytest.mark.skipif(not imitable(), reason="only x86 processors imitate each other")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the first process leaves the index and its true hits for the others."""
    return tmp_path_factory.mktemp("library")


@pytest.mark.parametrize("setting", [None, *SETTINGS])
def test_marked_tests_pass_on_every_imitated_processor(setting: str | None, library: Path) -> None:
    run_marked(
        setting,
        VIDSIFT_SOAK_SEGMENTS=str(count("SEGMENTS", 20_000)),
        VIDSIFT_SOAK_QUESTIONS=str(count("QUESTIONS", 256)),
        VIDSIFT_SOAK_LIBRARY=str(library),
    )
