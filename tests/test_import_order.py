"""The house: what may import what, which room speaks which library, and how long a file and a function are.

Rooms stand in the order in which data flows and import only from rooms above them; no two files import each
other, however far around. Imports inside functions and under TYPE_CHECKING count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
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
    "export",
    "figures",
    "service",
    "cli",
]
FILES = sorted(SOURCE.rglob("*.py"))

SPOKEN_IN = {
    "transformers": "encoders",
    "tokenizers": "encoders",
    "lancedb": "index",
    "lance": "index",
    "fastapi": "service",
    "starlette": "service",
    "uvicorn": "service",
    "matplotlib": "figures",
    "opentimelineio": "export",
    "mcp": "service",
}
"""Libraries that one room alone imports, so that it alone changes when they do."""

LONG_FILES: dict[str, str] = {
    "methods/model.py": "the public face of a model: half of it says what its methods take and give",
}
"""Files of more than 500 lines, and why one job takes so many."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions of more than 60 lines, docstring included, and why."""


def short(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def module_name(path: Path) -> str:
    parts = ("vidsift", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Full names of all that a file imports anywhere: modules, or things in them."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def imported_modules(module: str) -> set[str]:
    """Our own modules that a module imports."""
    names = imported_names(MODULES[module])
    parents = {name.rpartition(".")[0] for name in names if name not in MODULES}
    return (parents.union(names) & set(MODULES)) - {module}


def imported_rooms(path: Path) -> set[str]:
    parts = (name.split(".") for name in imported_names(path))
    return {part[1] for part in parts if part[0] == "vidsift" and len(part) > 1} & set(ROOMS)


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def import_circle() -> list[str]:
    """A circle of imports, its first module again at the end; nothing where there is none."""
    done: set[str] = set()

    def walk(trail: list[str]) -> list[str]:
        for target in sorted(imported_modules(trail[-1])):
            if target in trail:
                return [*trail[trail.index(target) :], target]
            if target not in done and (circle := walk([*trail, target])):
                return circle
        done.add(trail[-1])
        return []

    return next((circle for module in sorted(MODULES) if (circle := walk([module]))), [])


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file and its number of lines, decorators apart."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{short(path)}:{node.name}", node.end_lineno - node.lineno + 1


def test_every_folder_is_a_known_room() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {"assets"} == set(ROOMS) - {"errors", "types"}


@pytest.mark.parametrize("path", FILES, ids=short)
def test_rooms_import_only_from_rooms_above(path: Path) -> None:
    own_room = room(path)
    if own_room not in ROOMS:
        pytest.skip(f"{own_room} is the front door, not a room")
    below = {other for other in imported_rooms(path) if ROOMS.index(other) > ROOMS.index(own_room)}
    assert not below, f"{path.name} in {own_room}/ imports from {sorted(below)}, which stand below it"


def test_no_circle_of_imports() -> None:
    circle = import_circle()
    assert not circle, (
        f"a circle of imports: {' -> '.join(circle)}; move what both sides need into a file of its own"
    )


def test_libraries_are_spoken_in_one_room() -> None:
    spoken = {
        (short(path), library)
        for path in FILES
        for library in {name.partition(".")[0] for name in imported_names(path)} & set(SPOKEN_IN)
        if room(path) != SPOKEN_IN[library]
    }
    assert not spoken, (
        f"{sorted(spoken)}: import these libraries in their rooms alone ({SPOKEN_IN}), and ask that room"
    )


def test_files_have_one_job() -> None:
    lengths = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    long = {name: lines for name, lines in lengths.items() if lines > 500}
    unlisted = {name: lines for name, lines in long.items() if name not in LONG_FILES}
    assert not unlisted, (
        f"more than 500 lines: {unlisted}; move the second job out, or say in LONG_FILES why it is one"
    )
    assert not (back := sorted(set(LONG_FILES) - set(long))), f"{back}: take off LONG_FILES, at most 500 now"


def test_functions_are_short() -> None:
    lengths = dict(item for path in FILES for item in functions(path))
    long = {name for name, lines in lengths.items() if lines > 60}
    unlisted = {name: lengths[name] for name in sorted(long - set(LONG_FUNCTIONS))}
    assert not unlisted, (
        f"more than 60 lines: {unlisted}; give a part its own name, or say in LONG_FUNCTIONS why not"
    )
    assert not (back := sorted(set(LONG_FUNCTIONS) - long)), f"{back}: take off LONG_FUNCTIONS, short now"
