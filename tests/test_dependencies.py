"""What pyproject.toml asks for is what the sources import, no less and no more."""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "vidsift"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

# Where a distribution is not called like the module that it brings.
MODULES = {
    "axe-playwright-python": "axe_playwright_python",
    "huggingface-hub": "huggingface_hub",
    "otio-cmx3600-adapter": "otio_cmx3600_adapter",
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "pyyaml": "yaml",
}

# Which part of the sources each extra is for.
PLACES = {
    "serve": ("service/", "cli/serve.py"),
    "watch": ("index/watch.py",),
    "figures": ("figures/",),
    "mteb": ("evaluation/mteb.py",),
    "evaluate": ("evaluation/run_differences.py", "postprocess/assignment.py"),
    "jpeg": ("data/picture_codec.py",),
    "export": ("export/otio_timeline.py",),
    "mcp": ("service/mcp_server.py",),
}

# Not asked for: it comes with PyTorch for CUDA, and without it the plain formulas are used.
OPTIONAL = {"interactions/fused_match.py": {"triton"}}

# What developers run, what types need, and what starlette's test client speaks through: imported by no test.
TOOLS = {"httpx2", "mypy", "pre-commit", "pytest-xdist", "ruff", "triton", "types-pyyaml"}


def parsed(lines: Iterable[str]) -> dict[str, Requirement]:
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def module_of(distribution: str) -> str:
    return MODULES.get(distribution, distribution)


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from at_run_time(node)


def imported(path: Path) -> set[str]:
    """Names of other projects' modules that a file imports anywhere when it runs."""
    names: list[str] = []
    for node in at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    tops = {name.split(".")[0] for name in names}
    return tops - set(sys.stdlib_module_names) - {"vidsift", "tests", "__future__"}


IMPORTS = {path.relative_to(SOURCE).as_posix(): imported(path) for path in SOURCE.rglob("*.py")}


def inside(file: str, extra: str) -> bool:
    return file.startswith(PLACES[extra])


def test_the_sources_were_read() -> None:
    assert IMPORTS["video/container.py"] == {"av", "numpy"}
    assert "torch" not in IMPORTS["cli/explain.py"]


@pytest.mark.parametrize("name", parsed(PROJECT["dependencies"]))
def test_every_dependency_is_imported(name: str) -> None:
    assert any(module_of(name) in imported for imported in IMPORTS.values()), f"{name} is imported by nothing"


@pytest.mark.parametrize(
    ("extra", "name"), [(extra, name) for extra in PLACES for name in parsed(EXTRAS[extra])]
)
def test_every_dependency_of_an_extra_is_imported_where_the_extra_is_needed(extra: str, name: str) -> None:
    users = [file for file, imported in IMPORTS.items() if module_of(name) in imported]
    assert users, f"{name} of the extra {extra} is imported by nothing"
    assert all(inside(file, extra) for file in users), f"{users} import {name}, which only {extra!r} brings"


def test_every_extra_says_what_it_is_for() -> None:
    assert set(EXTRAS) == {*PLACES, "dev"}


def test_everything_imported_is_asked_for() -> None:
    always = {module_of(name) for name in parsed(PROJECT["dependencies"])}
    for file, imported in IMPORTS.items():
        brought = always | OPTIONAL.get(file, set())
        for extra in PLACES:
            if inside(file, extra):
                brought |= {module_of(name) for name in parsed(EXTRAS[extra])}
        assert imported <= brought, f"{file} imports {sorted(imported - brought)}, which nothing brings"


def test_what_developers_install_is_used() -> None:
    used = set[str]().union(
        *(imported(path) for room in ("tests", "benchmarks") for path in (ROOT / room).rglob("*.py"))
    )
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "page").glob("*.py"))
    used |= {name for name in MODULES.values() if name in pages}
    declared = {name for name in parsed(EXTRAS["dev"]) if name != "vidsift"}
    assert {name for name in declared - TOOLS if module_of(name) not in used} == set()


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = (Version(part.version) for part in requirement.specifier if part.operator == ">=")
    return bound


def test_the_lowest_versions_are_those_that_are_stated() -> None:
    """Where the lowest versions are asked for (``make test-lowest``), no higher ones are tested."""
    if not os.environ.get("VIDSIFT_LOWEST"):
        pytest.skip("set VIDSIFT_LOWEST=1 in an environment of the lowest versions")
    extras = ("serve", "watch", "evaluate", "jpeg", "export", "mcp")
    stated = parsed([*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])])
    higher = {
        name: held
        for name, requirement in stated.items()
        if Version((held := Version(version(name))).base_version) != lower_bound(requirement)
    }
    assert not higher, f"installed are {higher}: something else asks for these; state them"


def test_the_workflow_covers_what_the_project_says_it_runs_on() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    pythons = [
        line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+", line)
    ]
    assert matrix["python"] == pythons
    assert {name.partition("-")[0] for name in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert {entry["versions"] for entry in matrix["include"]} | {*matrix["versions"]} == {
        "newest",
        "lowest",
        "constraints",
    }
    lowest = {
        (entry["system"], entry["python"]) for entry in matrix["include"] if entry["versions"] == "lowest"
    }
    assert lowest == {(system, pythons[0]) for system in matrix["system"]}
    installs = [step["run"] for step in jobs["tests"]["steps"] if "uv pip install" in step.get("run", "")]
    assert len(installs) == 3
    assert all('-e ".[dev]"' in line for line in installs)


def test_every_name_and_lower_bound_is_stated_once() -> None:
    for lines in (PROJECT["dependencies"], *EXTRAS.values()):
        names = [Requirement(line).name for line in lines]
        assert len(names) == len(set(names))
        assert names == sorted(names) or lines is EXTRAS["dev"]
    extras = [line for name in (*PLACES, "dev") for line in EXTRAS[name] if "vidsift[" not in line]
    for line in (*PROJECT["dependencies"], *extras):
        assert re.search(r">=\d", line), f"{line}: say from which version on it works"


def test_this_environment_keeps_the_bounds() -> None:
    try:
        metadata("vidsift")
    except PackageNotFoundError:
        pytest.skip("vidsift itself is not installed")
    for name, requirement in {
        **parsed(PROJECT["dependencies"]),
        **parsed(EXTRAS["serve"]),
        **parsed(EXTRAS["watch"]),
        **parsed(EXTRAS["evaluate"]),
    }.items():
        held = Version(version(name))
        assert requirement.specifier.contains(held, prereleases=True), (
            f"{name} {held} is installed, asked for is {requirement}"
        )
    assert requires("vidsift")
