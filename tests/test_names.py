"""Plain words: no identifier that says nothing, and one name for one thing throughout the house."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "vidsift"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = ("src", "tests", "benchmarks", "docs", "examples", "recipes")
FROZEN = ("tests/stored/", "tests/test_stored.py")
"""What opens files of old versions stays as it was."""
ALL_FILES = [
    path
    for tree in TREES
    for path in sorted((ROOT / tree).rglob("*.py"))
    if not path.relative_to(ROOT).as_posix().startswith(FROZEN)
]

EMPTY = frozenset({"one", "found", "told", "asked", "tried", "kept", "own", "renewing", "telling", "care"})
"""Words that were bound hundreds of times for hundreds of things: a name says what the thing is."""

PUBLIC = frozenset({"src/vidsift/search/searcher.py: found", "src/vidsift/service/schemas.py: found"})
"""What was called so in Python and in JSON before: whether anything fits a question."""

SHARED_CLASSES = {
    "Explanation": "the value, and the schema that HTTP gives it; the schema's name is public",
    "Filter": "the value, and the schema that HTTP gives it; the schema's name is public",
}
"""Class name -> why two classes are called so."""

SHARED_FILES = {
    "ablate": "the verb, and what it runs",
    "catalog": "the literal dictionaries: of methods, of data sets",
    "base": "what every interaction, and every method, is",
    "clips": "cut out of videos, and drawn: people call both so",
    "evaluate": "the verb, and what it runs",
    "explain": "the verb, and what it runs",
    "folder": "of a model, and of videos with captions, which is what people call them",
    "grounding": "which word is true when, and how right an account of words is",
    "library": "of clips that are drawn, and what lies in an index: people call both so",
    "maintenance": "the verbs, and what they run",
    "moments": "which stretch a search shows, and how right such a stretch is",
}
"""File name -> why files of two rooms are called so: a verb of the command line and what it calls, mostly."""

SHARED_FUNCTIONS = {
    "ablate": "the verb, and what it runs",
    "cut": "the verb, which cuts clips out, and what cuts a video into segments; both names are public",
    "explain": "the verb, and the route; the route's name is part of the HTTP interface",
    "index": "the verb, and the route; likewise",
    "search": "the verb, and the route; likewise",
    "serve": "the verb, and what it runs",
    "train": "the verb, and what it runs",
}
"""Public function name -> why functions of two files are called so."""


NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs)


def bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a file gives to something: variables, arguments, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, NAMED) and node.name:
            yield node.lineno, node.name


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_what_a_thing_is(path: Path) -> None:
    here = path.relative_to(ROOT).as_posix()
    names = bound_names(ast.parse(path.read_text(encoding="utf-8")))
    empty = [
        f"line {line}: {name}"
        for line, name in names
        if name.strip("_").lower() in EMPTY and f"{here}: {name}" not in PUBLIC
    ]
    assert not empty, f"{path} binds names that say nothing of what they hold: {', '.join(empty)}"


def test_classes_of_two_files_have_two_names() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(SOURCE)))
    shared = {name: files for name, files in homes.items() if len(files) > 1}
    assert set(shared) == set(SHARED_CLASSES), f"one name for several classes: {shared}"


def test_files_of_two_rooms_have_two_names() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        if path.stem != "__init__":
            homes[path.stem].append(str(path.relative_to(SOURCE)))
    shared = {name: files for name, files in homes.items() if len(files) > 1}
    assert set(shared) == set(SHARED_FILES), f"one name for several files: {shared}"


def test_public_functions_of_two_files_have_two_names() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(SOURCE)))
    shared = {name: files for name, files in homes.items() if len(files) > 1}
    assert set(shared) == set(SHARED_FUNCTIONS), f"one name for several functions: {shared}"
