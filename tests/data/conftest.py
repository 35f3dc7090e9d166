"""Eight drawn videos with captions, as a folder gives them."""

from __future__ import annotations

import pytest

from vidsift.data.entries import Entry
from vidsift.data.folder import read_folder
from vidsift.shapes.library import write_library


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("videos")
    write_library(folder, "train", 8, size_px=32, frames_per_second=4, workers=1)
    return read_folder(folder)
