"""docs/claims.md is what its script writes, before there are results and with them."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.scripts import load_script

SCRIPT = Path(__file__).parents[1] / "docs" / "make_claims.py"


@pytest.fixture
def script() -> ModuleType:
    return load_script("docs/make_claims.py")


def test_the_committed_page_of_claims_is_current(script: ModuleType) -> None:
    assert script.PAGE.read_text("utf-8") == script.page(), "run: python docs/make_claims.py"


def test_ours_are_filled_in_from_the_results(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure: dict[str, Any] = {"difference": 1.26, "error": 0.34, "power": 0.9}
    claim = {
        "claim": "Weights help words",
        "tag": "all",
        "comparison": "wti > ti",
        "measures": {"R@1": measure, "log-likelihood": measure | {"power": None}},
        "verdict": "does not count",
        "not_improved": ["ti"],
    }
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"claims": [claim]}), encoding="utf-8")
    monkeypatch.setattr(script, "RESULTS", file)
    text = script.page()
    assert "+1.3 ± 0.3, power 0.90/-: **does not count** (ti not improved) |" in text
    assert text.count("not yet run") == script.page().count("not yet run") > 10


def test_what_words_of_kept_models_see_is_filled_in_too(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = {
        "claim": "WTI weighs content words",
        "numbers": [{"runs": [60.0, 61.0]}, {"runs": [50.0, 50.0]}],
        "difference": 10.5,
        "error": 0.34,
        "verdict": "holds",
    }
    file = tmp_path / "words.json"
    file.write_text(json.dumps({"claims": [claim]}), encoding="utf-8")
    monkeypatch.setattr(script, "WORDS", file)
    assert "| 60.5 beside 50.0, +10.5 ± 0.3: **holds** |" in script.page()
