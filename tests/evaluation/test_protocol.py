"""What a protocol says of code, machine and model."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from tests.methods import tiny

from vidsift import __version__
from vidsift.evaluation import protocol
from vidsift.evaluation.protocol import code_version, hardware, look_differently, model_facts


def test_a_checkout_says_its_commit_and_an_installed_package_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") and (Path(__file__).parents[2] / ".git").exists():
        version = code_version()
        assert re.fullmatch("[0-9a-f]{40}", version["commit"])
        assert isinstance(version["changed"], bool)
    monkeypatch.setattr(protocol, "_ROOT", tmp_path)
    assert code_version() == {"version": __version__, "torch": torch.__version__}


def test_the_machine_is_named() -> None:
    facts = hardware(torch.device("cpu"))
    assert facts["processor"]
    assert facts["threads"] == torch.get_num_threads()
    assert "gpu" not in facts


def test_what_is_changed_by_hand_is_told_and_done() -> None:
    model = tiny.model()
    before = model_facts(model)
    assert look_differently(model, frames=before["frames"]) == {}
    assert model_facts(model)["fingerprint"] == before["fingerprint"]
    changed = look_differently(model, frames=before["frames"] + 3, sampling="head", max_words=5)
    assert changed == {
        "frames": [before["frames"], before["frames"] + 3],
        "sampling": [before["sampling"], "head"],
        "max_words": [before["max_words"], 5],
    }
    after = model_facts(model)
    assert (after["frames"], after["sampling"], after["max_words"]) == (before["frames"] + 3, "head", 5)
    assert after["fingerprint"] != before["fingerprint"], "it is not the same model any more"
    with pytest.raises(ValueError, match=r"max_words is 900; expected 3 .* to \d+"):
        look_differently(model, max_words=900)
    assert model.max_words == 5
