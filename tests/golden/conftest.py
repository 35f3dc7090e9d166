"""Recorded values of other projects' code, and the promise that a test module uses all it claims to cover."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

FOLDER = Path(os.environ.get("VIDSIFT_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))


class GoldenFile(Mapping[str, Any]):
    """The entries of one recorded file; remembers which were used.

    Iterating or asking for a length uses nothing; ``file[key]`` and ``file.under(prefix)`` do.
    """

    def __init__(self, name: str, entries: Mapping[str, Any]) -> None:
        self.name = name
        self.used: set[str] = set()
        self._entries = dict(entries)

    def __getitem__(self, key: str) -> Any:
        if key not in self._entries:
            raise KeyError(f"{self.name} has no {key!r}")
        self.used.add(key)
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def under(self, prefix: str) -> dict[str, Any]:
        """Return all entries whose key starts with ``prefix``, the prefix taken off, and count them."""
        return {key.removeprefix(prefix): self[key] for key in self._entries if key.startswith(prefix)}

    def unused(self, *prefixes: str) -> list[str]:
        """Return keys never used, of the whole file or of those starting with one of ``prefixes``."""
        keys = (key for key in self._entries if not prefixes or key.startswith(prefixes))
        return sorted(set(keys) - self.used)


class Golden:
    """Opens recorded files for one test module: ``golden("name")``, by the name without its ending."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.ran: set[str] = set()
        self._files: dict[str, GoldenFile] = {}

    def __call__(self, name: str) -> GoldenFile:
        """Open ``name.safetensors`` or ``name.json``; the test is skipped where the folder lacks it."""
        if name not in self._files:
            self._files[name] = GoldenFile(name, _read(name))
        return self._files[name]

    def path(self, file_name: str) -> Path:
        """Return the path of a file that is not a table of entries; skip where it is absent."""
        path = FOLDER / file_name
        if not path.is_file():
            pytest.skip(f"no {file_name} in {FOLDER} (set VIDSIFT_GOLDEN)")
        return path

    def assert_all_used(self, request: pytest.FixtureRequest, name: str, *prefixes: str) -> None:
        """Fail when a key of ``name`` (starting with one of ``prefixes``) was used by no test.

        Call it in the module's last test. It can only judge when the other tests of the module ran before it
        in this process, so it skips under ``-k`` and under pytest-xdist without ``--dist loadfile``.
        """
        others = {
            item.nodeid
            for item in request.session.items
            if item.nodeid.startswith(self.module) and "golden" in getattr(item, "fixturenames", ())
        }
        missed = others - self.ran
        if missed:
            pytest.skip(f"{len(missed)} tests of {self.module} did not run in this process")
        unused = self(name).unused(*prefixes)
        assert not unused, f"{name}: used by no test of {self.module}: {', '.join(unused)}"


def _read(name: str) -> Mapping[str, Any]:
    tensors, table = FOLDER / f"{name}.safetensors", FOLDER / f"{name}.json"
    if tensors.is_file():
        return load_file(tensors)
    if table.is_file():
        content: Mapping[str, Any] = json.loads(table.read_text(encoding="utf-8"))
        return content
    pytest.skip(f"no {name}.safetensors or {name}.json in {FOLDER} (set VIDSIFT_GOLDEN)")


@pytest.fixture(scope="module")
def _golden_of_module(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.node.nodeid)


@pytest.fixture
def golden(_golden_of_module: Golden, request: pytest.FixtureRequest) -> Golden:
    """Give recorded values: ``golden("openai_clip_tiny")["out.text_features"]``."""
    _golden_of_module.ran.add(request.node.nodeid)
    return _golden_of_module
