"""``vidsift train --processes``: one run of several processes, which begin, stop, fail and end together."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from tests import forked
from tests.forked import FORKING
from tests.training.small import RECIPE, losses, silent, write

from vidsift.methods.model import load
from vidsift.training.checkpoint import load_checkpoint
from vidsift.training.recipe import read_recipe
from vidsift.training.trainer import StoppedEarly, Trainer, train

# With what is random in encoders and loss.
ARGUMENTS = {"objects": 4, "phrases": 5, "shift_blocks": [], "dropout": 0.2}
CHANGES = {"model": RECIPE["model"] | {"method": "prost", "arguments": ARGUMENTS}, "chunk": 3}

AT_STEP = """
import os, signal, time
from vidsift.training import trainer
train_step = trainer.Trainer._train_step
def step(self, batch):
    if self.step == {step} - 1 and os.environ.get("RANK") == "1":
        {do}
    train_step(self, batch)
trainer.Trainer._train_step = step
note_not_finite = trainer.Trainer._note_not_finite
def note_late(self, error):
    # The second process has ended by then.
    time.sleep(1.0 if os.environ.get("RANK") == "0" else 0.0)
    note_not_finite(self, error)
trainer.Trainer._note_not_finite = note_late
"""


def started(folder: Path, *arguments: str, do: str = "pass", step: int = 4) -> forked.Process:
    """Start a run; before one of its steps the second process does something."""
    before = FORKING + AT_STEP.format(do=do, step=step)
    places = (str(folder / "small.yaml"), "--output", str(folder / "run"), "--device", "cpu")
    return forked.vidsift("train", *places, *arguments, before=before)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load(folder, device="cpu").method.state_dict()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nobody disturbed."""
    folder = tmp_path_factory.mktemp("both")
    write(folder, **CHANGES, validation={"videos": 4, "every_steps": 4})
    process = started(folder, "--processes", "2")
    assert process.wait() == 0, process.errors
    assert process.errors == ""
    # The first one alone speaks and writes.
    assert process.said.count("step 8/8") == 1
    assert "8 steps on 2 x cpu" in process.said
    assert process.said.count("validation at step 4") == 1
    return folder / "run"


def test_three_processes_train_as_one_does_where_nothing_is_random(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    train(recipe, output=tmp_path / "alone", device="cpu", say=silent)
    # Three, so that not all have as many rows.
    assert started(tmp_path, "--processes", "3").wait() == 0
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert len(lines) == 8


def test_a_stop_of_any_process_saves_all_and_goes_on_to_the_same_bits(tmp_path: Path, both: Path) -> None:
    write(tmp_path, **CHANGES, validation={"videos": 4, "every_steps": 4})
    process = started(tmp_path, "--processes", "2", do="os.kill(os.getpid(), signal.SIGTERM)")
    assert process.wait() == 143
    assert "stopped after step 4 of 8; saved" in process.errors
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt").processes == 2
    process = started(tmp_path, "--processes", "2")
    assert process.wait() == 0, process.errors
    assert "going on after step 4\n" in process.said
    assert losses(tmp_path / "run") == losses(both)
    actual, expected = weights(tmp_path / "run"), weights(both)
    assert all(torch.equal(actual[name], value) for name, value in expected.items())


def test_stages_caches_fp16_and_chunks_go_on_to_the_same_bits(tmp_path: Path) -> None:
    """All at once: clips decoded once, a tower that looks once in the second stage, weights of 16 bits."""
    stages = [{"name": "all"}, {"name": "head", "trained": ["temporal.", "interactions."]}]
    temporal = {"interaction": "wti", "temporal": "transformer", "cdcr": "none"}
    for name in ("whole", "stopped"):
        folder = tmp_path / name
        folder.mkdir()
        data = {"clips": 16, "jitter": 0.0, "cache": str(folder / "set")}
        write(
            folder,
            model=RECIPE["model"] | {"arguments": temporal},
            data=RECIPE["data"] | data,
            optimiser={"algorithm": "bertadam"},
            weights="fp16",
            stages=stages,
            chunk=3,
        )
    whole = started(tmp_path / "whole", "--processes", "2")
    assert whole.wait() == 0, whole.errors
    assert "the image tower does not learn" in whole.said
    stop = "os.kill(os.getpid(), signal.SIGTERM)"
    process = started(tmp_path / "stopped", "--processes", "2", do=stop, step=6)
    assert process.wait() == 143
    assert "stopped after step 6 of 8; saved" in process.errors
    process = started(tmp_path / "stopped", "--processes", "2")
    assert process.wait() == 0, process.errors
    actual, expected = weights(tmp_path / "stopped" / "run"), weights(tmp_path / "whole" / "run")
    assert all(torch.equal(actual[name], value) for name, value in expected.items())
    assert losses(tmp_path / "stopped" / "run") == losses(tmp_path / "whole" / "run")
    # One process takes the same steps, but for how sums are rounded.
    train(tmp_path / "whole" / "small.yaml", output=tmp_path / "alone", device="cpu", say=silent)
    assert losses(tmp_path / "alone") == pytest.approx(losses(tmp_path / "whole" / "run"), rel=2e-3)
    rounded = [value for name, value in expected.items() if name.endswith(("fc1.weight", "q_proj.weight"))]
    assert rounded
    assert all(torch.equal(value, value.half().float()) for value in rounded)


def test_ctrl_c_ends_all_and_one_process_goes_on(tmp_path: Path) -> None:
    write(tmp_path)
    process = started(tmp_path, "--processes", "2", "steps=400")
    process.wait_until(lambda: "step 4/400" in process.said)
    process.send(signal.SIGINT, group=True)
    assert process.wait() == 130
    assert "saved. The same command goes on" in process.errors
    step = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt").step
    lines: list[str] = []
    run = Trainer(
        read_recipe(tmp_path / "small.yaml", ("steps=400",)),
        tmp_path / "run",
        device="cpu",
        say=lines.append,
        should_stop=lambda: True,
    )
    assert lines[-1] == f"going on after step {step} in 1 process, 2 before"
    with pytest.raises(StoppedEarly, match=f"after step {step + 1} of 400; saved"):
        run.run()


def test_a_process_that_is_killed_ends_the_others_with_one_message(tmp_path: Path) -> None:
    write(tmp_path, checkpoint_every_steps=2)
    process = started(tmp_path, "--processes", "2", do="os.kill(os.getpid(), signal.SIGKILL)")
    assert process.wait() == 2
    (line,) = process.errors.splitlines()
    assert line.startswith("vidsift: process 1 of 2 (counted from 0) was killed by signal 9")
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt").step == 2


@pytest.mark.parametrize(
    ("do", "what"),
    [
        ("raise OSError('the GPU of this one is gone')", "vidsift: the GPU of this one is gone"),
        (
            "self.method.towers.clip.text_projection.weight.data.fill_(float('nan'))",
            "vidsift: the loss is nan",
        ),
    ],
    ids=["error", "NaN"],
)
def test_what_goes_wrong_in_one_process_is_said_once(tmp_path: Path, do: str, what: str) -> None:
    write(tmp_path)
    process = started(tmp_path, "--processes", "2", do=do)
    assert process.wait() == 2
    (line,) = process.errors.splitlines()
    assert line.startswith(what)
    if "nan" in line:
        # The videos of both, four of each.
        written = json.loads((tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()[-1])
        assert written["videos"] == [str(row) for row in range(24, 32)]
        assert len(written["captions"]) == 8


def test_what_cannot_be_followed_is_said_once(tmp_path: Path) -> None:
    write(tmp_path)
    process = started(tmp_path, "--processes", "2", "sted=3")
    assert process.wait() == 2
    assert process.errors.count("unknown key sted") == 1
