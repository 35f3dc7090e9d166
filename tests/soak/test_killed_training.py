"""A training that is killed at random steps and goes on each time gives the bits of an undisturbed one."""

from __future__ import annotations

import random
import time
from pathlib import Path

import torch
from tests.soak.lives import assert_nobody_left, count, kill, start
from tests.training.small import losses, silent, write

from vidsift.methods.model import load
from vidsift.training.trainer import train

KILLS = count("TRAINING_KILLS", 20)
_MOST_STEPS_A_LIFE = 10


def test_kills_at_random_steps_change_no_bit(tmp_path: Path) -> None:
    rng = random.Random(count("SEED", 0))
    # Lives of at most so many steps: it takes more than KILLS of them to get to the end.
    recipe = write(tmp_path, steps=_MOST_STEPS_A_LIFE * (KILLS + 1), checkpoint_every_steps=3)
    train(recipe, ("data.workers=1",), output=tmp_path / "undisturbed", device="cpu", say=silent)
    output, log = tmp_path / "run", tmp_path / "errors.txt"
    command = ["-m", "vidsift", "train", str(recipe), "data.workers=1", "--output", str(output)]

    kills = 0
    while True:
        process = start([*command, "--device", "cpu"], log)
        assert process.stdout is not None
        steps_left = rng.randint(1, _MOST_STEPS_A_LIFE)
        for line in process.stdout:
            steps_left -= line.startswith("step ")
            if steps_left == 0:
                time.sleep(rng.uniform(0, 0.05))
                break
        if not kill(process):
            assert process.returncode == 0, log.read_text("utf-8")[-2000:]
            break
        kills += 1
        assert_nobody_left(process)
    assert kills >= KILLS
    assert losses(output) == losses(tmp_path / "undisturbed")
    killed, undisturbed = (
        load(folder, "cpu").method.state_dict() for folder in (output, tmp_path / "undisturbed")
    )
    assert killed.keys() == undisturbed.keys()
    assert all(torch.equal(killed[name], undisturbed[name]) for name in killed)
    names = sorted(path.name for path in (output / "checkpoints").iterdir())
    assert names == ["before.pt", "last.pt", "tokenizer"]  # no half of one
    assert "Traceback" not in log.read_text("utf-8")
    print(f"{kills} kills")
