"""Opening the index that a verb asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.index.library import findable
from tests.methods import tiny

from vidsift.cli.opening import open_for_search

MISSING = """
import sys
from pathlib import Path
from vidsift.cli.opening import open_for_search
from vidsift.errors import IndexFolderError
try:
    open_for_search(Path(sys.argv[1]), None, "auto")
except IndexFolderError as error:
    print(sys.argv[1] in str(error), "torch" in sys.modules)
"""


def test_a_missing_index_is_told_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MISSING, str(tmp_path / "none")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True False\n"


def test_the_default_index_is_opened_when_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = findable(tmp_path, tiny.model(), [5, 1, 3])
    monkeypatch.setattr("vidsift.index.manifest.default_folder", lambda: folder)
    assert len(open_for_search(None, None, "cpu")) == 3
    assert open_for_search(folder, str(tmp_path / "model"), "cpu").model.name == "drl"
