"""A run of seconds, shared by the tests of the trainer."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import yaml

from vidsift.encoders.clip import ClipTowers
from vidsift.methods.model import load
from vidsift.training.trainer import Trainer

RECIPE: dict[str, Any] = {
    "name": "small",
    "steps": 8,
    "precision": "fp32",
    "threads": 1,
    "model": {
        "new": {
            "dim": 16,
            "image_px": 16,
            "patch_px": 8,
            "vision_width": 16,
            "vision_layers": 1,
            "text_width": 16,
            "text_layers": 1,
            "head_width": 8,
            "vocabulary": 560,
            "vocabulary_captions": 40,
        },
        "method": "drl",
        "arguments": {"interaction": "wti", "temporal": "none", "cdcr": "none"},
        "frames": 2,
    },
    "data": {"source": "shapes-stream", "batch_size": 8, "workers": 0},
    "validation": None,
    "log_every_steps": 1,
    "checkpoint_every_steps": 100,
}


def write(folder: Path, **changes: Any) -> Path:
    """Write the recipe, top-level keys exchanged."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes), encoding="utf-8")
    return path


def losses(output: Path) -> dict[int, float]:
    """Return the logged loss of each step."""
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text("utf-8").splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def silent(_line: str) -> None:
    """Say nothing."""


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a model folder."""
    return load(folder, device="cpu").method.state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def count_walks(monkeypatch: pytest.MonkeyPatch, walk: Literal["_walk_frames", "_walk_text"]) -> list[int]:
    """Return a list that receives how many clips or texts a tower goes through, call by call."""
    counts: list[int] = []
    whole = getattr(ClipTowers, walk)

    def counted(self: ClipTowers, inputs: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        counts.append(len(inputs))
        return whole(self, inputs, *arguments, **options)

    monkeypatch.setattr(ClipTowers, walk, counted)
    return counts


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Send a signal to this process in the middle of a step, as a person would."""
    whole = Trainer._train_step

    def step(self: Trainer, batch: Any) -> None:
        if self.step == steps - 1:
            os.kill(os.getpid(), number)
        whole(self, batch)

    monkeypatch.setattr(Trainer, "_train_step", step)
