"""The house: rooms stand in the order in which data flows, and import only from rooms above them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vidsift"
ROOMS = [
    "errors",
    "types",
    "files",
    "workers",
    "video",
    "encoders",
    "interactions",
    "losses",
    "postprocess",
    "methods",
    "shapes",
    "data",
    "evaluation",
    "training",
    "index",
    "search",
    "service",
    "cli",
]
FILES = sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Every room that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {parts[1] for name in names if (parts := name.split("."))[0] == "vidsift" and len(parts) > 1}
    return found & set(ROOMS)


def test_every_folder_is_a_known_room() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {"assets"} == set(ROOMS) - {"errors", "types"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_rooms_import_only_from_rooms_above(path: Path) -> None:
    here = room(path)
    if here not in ROOMS:
        pytest.skip(f"{here} is the front door, not a room")
    below = {other for other in imported_rooms(path) if ROOMS.index(other) > ROOMS.index(here)}
    assert not below, f"{path.name} in {here}/ imports from {sorted(below)}, which stand below it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 500, f"{path} has {lines} lines; a file of ours has at most 500"
