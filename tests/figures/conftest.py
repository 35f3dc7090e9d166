"""A few drawn clips, for figures of models."""

from __future__ import annotations

import pytest

from vidsift.data.entries import Entry
from vidsift.data.folder import read_folder
from vidsift.shapes.library import write_library


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("clips")
    write_library(folder, "test", 16, size_px=64, workers=1)
    return read_folder(folder)
