"""The committed table of methods is what the code says."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from tests.scripts import load_script

from vidsift.methods.catalog import METHODS

SCRIPT = Path(__file__).parents[1] / "docs" / "make_methods.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("docs/make_methods.py")


@pytest.fixture(scope="module")
def page(script: ModuleType) -> str:
    made: str = script.page()
    return made


def _table(page: str) -> dict[str, dict[str, str]]:
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return {line[0]: dict(zip(lines[0], line, strict=False)) for line in lines[1:]}


def test_the_committed_page_is_current(script: ModuleType, page: str) -> None:
    committed = script.PAGE.read_text(encoding="utf-8")
    differing = [line[:80] for line in page.splitlines() if line not in committed.splitlines()]
    assert committed == page, f"run: python docs/make_methods.py (new lines: {differing})"


def test_every_method_has_a_row(page: str) -> None:
    assert {f"**{name}**" for name in METHODS} <= set(_table(page))


def test_the_numbers_of_known_rows(page: str) -> None:
    table = _table(page)
    # 512 products for the mean frame; 12 frames of 512 halves, and of mask, weight, time and place.
    assert table["**zero_shot**"]["multiply-adds per pair"] == "512"
    assert table["**zero_shot**"]["stored bytes per segment"] == f"{12 * (2 * 512 + 1 + 4 + 8 + 4):,}"
    assert table["**zero_shot**"]["parameters beyond CLIP"] == "0"
    # Four blocks of 12 D^2 + 13 D, and 76 positions.
    transformer = 4 * (12 * 512**2 + 13 * 512) + 76 * 512
    assert table["clip4clip, `head=seqTransf`"]["parameters beyond CLIP"] == f"{transformer:,}"
    # 28 phrases with 12 frames of 12 objects, the sentence with 3 events.
    prost = table["**prost**"]
    assert prost["multiply-adds per pair"] == f"{(28 * 144 + 3) * 512:,}"
    assert (prost["text sets"], prost["video sets"]) == ("phrase, sentence", "object, event")


def test_sections_of_docstrings_are_put_on_one_line(script: ModuleType) -> None:
    def documented() -> None:
        """Do it.

        Source: a paper, ``file.py``,
            see :func:`~vidsift.a.b`.
        Differs: here | there.

        Args:
            none: at all.
        """

    assert script.section(documented, "Source") == "a paper, `file.py`, see `b`."
    assert script.section(documented, "Differs") == "here \\| there."
    assert script.section(documented, "Raises") == ""
