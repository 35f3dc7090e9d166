"""The public names, which are the ones below and every error, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vidsift
from vidsift import errors

PUBLIC = {
    "Alignment",
    "Explanation",
    "Features",
    "Filter",
    "Frames",
    "Hit",
    "Index",
    "Interaction",
    "Method",
    "Model",
    "Span",
    "Term",
    "TokenSet",
    "__version__",
    "build_index",
    "load",
}


def test_the_public_names_are_these_and_all_resolve() -> None:
    assert set(vidsift.__all__) == PUBLIC | set(errors.__all__)
    for name in vidsift.__all__:
        assert getattr(vidsift, name) is not None, name


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="build_index"):
        _ = vidsift.loda


@pytest.mark.parametrize(
    "statement",
    [
        "import vidsift",
        "import vidsift.errors",
        "import vidsift.video",
        "import vidsift.types",
        "from vidsift.cli.main import app; app()",
    ],
)
def test_light_imports_do_not_import_torch(statement: str) -> None:
    heavy = "('torch', 'transformers', 'lancedb')"
    probe = f"import sys; {statement}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
