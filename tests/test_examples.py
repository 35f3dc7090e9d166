"""The walk of ``examples/walk.py`` runs from a file to a hit, and its numbers agree with each other."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

WALK = Path(__file__).parents[1] / "examples" / "walk.py"


def test_the_walk_ends_at_the_video_that_it_began_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(WALK))["walk"](tmp_path)
    printed = capsys.readouterr().out
    similarity, total, first = (
        re.search(pattern, printed)
        for pattern in (
            r"similarity +([\d.]+)",
            r"contributions sum to ([\d.]+)",
            r"search +1\. ([\d.]+) (\S+)",
        )
    )
    assert similarity
    assert total
    assert first
    assert similarity[1] == total[1] == first[1]
    assert "startoftext" not in printed
    assert first[2] == "test-00000.mp4"
    assert re.findall(r"\((good match|possible match|unlikely)\)$", printed, re.MULTILINE)[0] == "good match"
