"""Training in bf16 learns what fp32 does on every processor, or is refused before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import RECIPE, losses, silent, write

from vidsift.encoders import device
from vidsift.training.trainer import train

pytestmark = pytest.mark.processor


def with_temporal(head: str) -> dict[str, Any]:
    model = RECIPE["model"]
    more = {"temporal_layers": 1} if head == "transformer" else {}
    return {"model": model | {"arguments": model["arguments"] | {"temporal": head} | more}, "steps": 3}


@pytest.mark.parametrize("head", ["lstm", "transformer"])
def test_bf16_follows_fp32(tmp_path: Path, head: str) -> None:
    curves = {}
    for name in ("fp32", "bf16"):
        recipe = write(tmp_path, precision=name, **with_temporal(head))
        train(recipe, output=tmp_path / name, device="cpu", say=silent)
        curves[name] = torch.tensor(list(losses(tmp_path / name).values()))
    assert len(curves["bf16"]) == 3
    assert not torch.equal(curves["bf16"], curves["fp32"])
    torch.testing.assert_close(curves["bf16"][0], curves["fp32"][0], rtol=0.02, atol=0)
    # Rounding sends the two runs different ways.
    torch.testing.assert_close(curves["bf16"], curves["fp32"], rtol=0.1, atol=0)


def test_auto_is_what_this_processor_computes(tmp_path: Path) -> None:
    chosen = "bf16" if device.best_inference_dtype("cpu") == torch.bfloat16 else "fp32"
    for name in ("auto", chosen):
        recipe = write(tmp_path, precision=name, **with_temporal("lstm"))
        train(recipe, output=tmp_path / name, device="cpu", say=silent)
    assert losses(tmp_path / "auto") == losses(tmp_path / chosen)


def test_a_part_without_a_kernel_refuses_the_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "wrong_parts", lambda *_: ("convolution",))
    with pytest.raises(
        ValueError, match=r"no right bf16 kernel .* for convolution; use precision fp32, or auto"
    ):
        train(write(tmp_path, precision="bf16"), output=tmp_path / "run", device="cpu", say=silent)
    assert not list(tmp_path.glob("run/**/recipe.yaml"))
    assert device.chosen_dtype("auto", "cpu") == torch.float32
