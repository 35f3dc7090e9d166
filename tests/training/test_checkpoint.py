"""Checkpoints: whole or not there, and nothing that runs code."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vidsift.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    set_random_states,
)


def saved(path: Path) -> tuple[nn.Linear, torch.optim.AdamW]:
    layer = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    save_checkpoint(path, layer, optimiser, step=7, best={"step": 5, "value": 12.5}, seconds=3.5)
    return layer, optimiser


def test_everything_comes_back(tmp_path: Path) -> None:
    layer, optimiser = saved(tmp_path / "a" / "last.pt")
    expected = (random.random(), np.random.random(), torch.rand(3))  # noqa: NPY002
    found = load_checkpoint(tmp_path / "a" / "last.pt")
    assert (found.step, found.best, found.seconds) == (7, {"step": 5, "value": 12.5}, 3.5)
    assert torch.equal(found.weights["weight"], layer.weight)
    average = found.optimiser["state"][0]["exp_avg"]
    assert torch.equal(average, optimiser.state[layer.weight]["exp_avg"])
    set_random_states(found.random)
    assert (random.random(), np.random.random()) == expected[:2]  # noqa: NPY002
    assert torch.equal(torch.rand(3), expected[2])


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    layer, optimiser = saved(path)

    def fail(_content: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, layer, optimiser, step=8, best={}, seconds=0.0)
    assert load_checkpoint(path).step == 7
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)
    torch.save({"format": 99}, path)
    with pytest.raises(CheckpointError, match="has format 99, this version reads 1"):
        load_checkpoint(path)
    torch.save({"format": 1, "run": Path("x")}, path)
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)
