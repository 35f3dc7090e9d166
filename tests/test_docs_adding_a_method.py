"""The shortest method of docs/adding-a-method.md, as it stands there, does all that a method has to."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.index.library import filled
from tests.methods import test_catalog as checks
from tests.methods import tiny
from tests.methods.searching import search_in_every_format

from vidsift.methods import catalog

PAGE = Path(__file__).parents[1] / "docs" / "adding-a-method.md"
COUNTS = [5, 1, 3, 5, 4, 5, 2]


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put code into a file and import it, under the name of a module of ours."""

    def as_module(name: str, code: str) -> ModuleType:
        file = tmp_path / f"{name.rpartition('.')[2]}.py"
        file.write_text(code, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return as_module


@pytest.fixture(params=["method", "method with the interaction"])
def best_frame(request: pytest.FixtureRequest, imported: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Enter the page's method in the catalogue, with or without the page's interaction in it."""
    method, interaction = blocks()
    if request.param != "method":
        imported("vidsift.interactions.frame_attention", interaction)
        method = method.replace(
            "from vidsift.interactions.token_wise import TokenWise",
            "from vidsift.interactions.frame_attention import FrameAttention",
        ).replace('TokenWise(paths="t2v")', "FrameAttention()")
        assert "TokenWise" not in method
    module = imported("vidsift.methods.best_frame", method)
    monkeypatch.setitem(catalog.METHODS, "best_frame", module.BestFrame)
    return "best_frame"


def test_it_trains_is_saved_and_loaded_and_padding_and_company_have_no_say(
    best_frame: str, tmp_path: Path
) -> None:
    checks.test_loss_falls_over_a_few_steps(best_frame, {})
    checks.test_saved_and_loaded_scores_are_the_same_bits(best_frame, {}, tmp_path / "saved")
    checks.test_scores_do_not_depend_on_what_else_is_scored(best_frame, {})
    checks.test_contributions_sum_to_the_score_or_the_method_says_why_not(best_frame, {})
    checks.test_bf16_towers_score_nearly_the_same(best_frame, {}, tmp_path / "rounded")
    checks.test_training_encodes_in_bf16_and_scores_in_fp32(best_frame, {})
    checks.test_every_method_says_when_to_use_it_and_its_example_runs(best_frame)


def test_it_is_indexed_searched_and_explained(best_frame: str, tmp_path: Path) -> None:
    model = tiny.model(best_frame)
    store = filled(tmp_path / "index", model, COUNTS)
    answer = search_in_every_format(model, store, "a red circle moves left", k=4)
    assert [term.name for term in answer.accounts[0].terms] == ["sentence-frame"]
    assert all(hit.shares for hit in answer.hits)


def test_the_page_s_method_has_what_a_card_and_the_table_of_methods_read(
    best_frame: str, tmp_path: Path
) -> None:
    tiny.model(best_frame).save(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Best frame: a sentence is looked for in the one frame that shows it best." in card
    assert "Source: the token-wise interaction of DRL (arXiv 2203.07111)" in card
