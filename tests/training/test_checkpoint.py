"""Checkpoints: whole or not there, and nothing that runs code."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.files.full_disk import full_disk
from torch import nn

from vidsift.errors import CheckpointError, NotSavedError
from vidsift.training.checkpoint import Checkpoints, load_checkpoint, set_random_states


def saved(path: Path) -> tuple[nn.Linear, torch.optim.AdamW]:
    layer = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    best = {"step": 5, "value": 12.5}
    Checkpoints(path.parent).save(layer, optimiser, step=7, best=best, seconds=3.5)
    return layer, optimiser


def test_everything_comes_back(tmp_path: Path) -> None:
    layer, optimiser = saved(tmp_path / "a" / "last.pt")
    expected = (random.random(), np.random.random(), torch.rand(3))  # noqa: NPY002
    loaded = load_checkpoint(tmp_path / "a" / "last.pt")
    assert (loaded.step, loaded.best, loaded.seconds) == (7, {"step": 5, "value": 12.5}, 3.5)
    assert torch.equal(loaded.weights["weight"], layer.weight)
    average = loaded.optimiser["state"][0]["exp_avg"]
    assert torch.equal(average, optimiser.state[layer.weight]["exp_avg"])
    set_random_states(loaded.random)
    assert (random.random(), np.random.random()) == expected[:2]  # noqa: NPY002
    assert torch.equal(torch.rand(3), expected[2])


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    layer, optimiser = saved(path)

    def fail(_content: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("it broke")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="it broke"):
        Checkpoints(tmp_path).save(layer, optimiser, step=8, best={}, seconds=0.0)
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


def network() -> tuple[nn.Linear, torch.optim.AdamW]:
    layer = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return layer, optimiser


def three(folder: Path) -> tuple[Checkpoints, nn.Linear, torch.optim.AdamW]:
    checkpoints, (layer, optimiser) = Checkpoints(folder), network()
    for step in (2, 4, 6):
        checkpoints.save(layer, optimiser, step=step, best={}, seconds=0.0)
    return checkpoints, layer, optimiser


def poison(path: Path, value: float = float("nan"), *, optimiser: bool = False) -> None:
    content = torch.load(path, weights_only=True)
    target = content["optimiser"]["state"][1]["exp_avg_sq"] if optimiser else content["weights"]["weight"]
    target.view(-1)[-1] = value
    torch.save(content, path)


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints, _, _ = three(tmp_path)
    assert [load_checkpoint(path).step for path in (checkpoints.last, checkpoints.before)] == [6, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.pt", "last.pt"]
    lines: list[str] = []
    assert Checkpoints(tmp_path).load(lines.append).step == 6
    assert lines == []


@pytest.mark.parametrize("damage", ["nan", "inf of the optimiser", "cut short", "absent"])
def test_a_last_one_that_is_no_good_is_passed_over_and_replaced(tmp_path: Path, damage: str) -> None:
    checkpoints, layer, optimiser = three(tmp_path)
    if damage == "nan":
        poison(checkpoints.last)
    elif damage == "inf of the optimiser":
        poison(checkpoints.last, float("inf"), optimiser=True)
    elif damage == "cut short":
        checkpoints.last.write_bytes(checkpoints.last.read_bytes()[:-100])
    else:
        checkpoints.last.unlink()
    lines: list[str] = []
    again = Checkpoints(tmp_path)
    assert again.there
    assert again.load(lines.append).step == again.step == 4
    if damage != "absent":
        (line,) = lines
        assert line.startswith(f"{checkpoints.last} ")
        assert line.endswith(f"; going on from the one before, {checkpoints.before}")
    # What is no good never becomes the one before, over the last good one.
    again.save(layer, optimiser, step=5, best={}, seconds=0.0)
    assert [load_checkpoint(path).step for path in (checkpoints.last, checkpoints.before)] == [5, 4]
    again.save(layer, optimiser, step=6, best={}, seconds=0.0)
    assert [load_checkpoint(path).step for path in (checkpoints.last, checkpoints.before)] == [6, 5]


def test_two_bad_ones_are_refused_with_both_reasons(tmp_path: Path) -> None:
    checkpoints, _, _ = three(tmp_path)
    poison(checkpoints.last)
    checkpoints.before.write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=r"last\.pt holds NaN.*before\.pt cannot be read.*--no-resume"):
        Checkpoints(tmp_path).load(print)


def test_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    checkpoints, layer, optimiser = three(tmp_path)
    layer.bias.data[1] = float("inf")
    with pytest.raises(CheckpointError, match=r"1 of 8 weights .* \(the first is bias\)"):
        checkpoints.save(layer, optimiser, step=8, best={}, seconds=0.0)
    layer.bias.data.zero_()
    optimiser.state[layer.weight]["exp_avg"].fill_(float("nan"))
    with pytest.raises(CheckpointError, match="exp_avg of parameter 0"):
        checkpoints.save(layer, optimiser, step=8, best={}, seconds=0.0)
    assert [load_checkpoint(path).step for path in (checkpoints.last, checkpoints.before)] == [6, 4]


def test_a_full_disk_leaves_both(tmp_path: Path) -> None:
    checkpoints, layer, optimiser = three(tmp_path)
    words = rf"the checkpoint of step 8 could not be written to {tmp_path}: .*run the same command again"
    with pytest.raises(NotSavedError, match=words), full_disk(500):
        checkpoints.save(layer, optimiser, step=8, best={}, seconds=0.0)
    assert [load_checkpoint(path).step for path in (checkpoints.last, checkpoints.before)] == [6, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.pt", "last.pt"]
