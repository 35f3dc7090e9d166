"""Each system learns by its recipe, from fresh weights, on drawn videos laid out as MSR-VTT lies on a disk.

All on the command line: train (the best on validation becomes the model), evaluate, post-processing, compare,
table. A system takes minutes. Where ``VIDSIFT_SOAK_FOLDER`` names a folder, what is finished stays there, and
a run that was stopped goes on.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from recipes.stand_in import write_msrvtt, write_small_clip
from tests.soak.lives import ROOT, count

RECIPES = ROOT / "recipes" / "msrvtt"
SYSTEMS = sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem != "zeroshot")
TRAINING, GALLERY, STEPS = 4096, 256, count("LEARNING_STEPS", 800)
CHANCE = 100 / GALLERY

# Rates of a training from fresh weights and not of a fine-tuning; a step takes half a second of a core.
CHANGES = (
    "threads=1",
    "precision=fp32",
    "weights=fp32",
    "optimiser.algorithm=muon",
    "optimiser.schedule=cosine",
    "optimiser.decay=matrices",
    "optimiser.learning_rate=3e-3",
    "optimiser.backbone_learning_rate=3e-3",
    "optimiser.weight_decay=0.05",
    "optimiser.warmup_share=0.05",
    "model.frames=2",
    "data.batch_size=64",
    "data.workers=0",
    "data.jitter=null",
    "data.cache=data/frames",
    f"validation.every_steps={max(1, STEPS // 4)}",
    "validation.videos=128",
    "validation.cut=128",
    "checkpoint_every_steps=100",
)

OF_SYSTEM = {
    # A fixed temperature is fit for towers that are trained already: from fresh weights it is as sharp as
    # where the learned ones of the other systems start. At their rate all its tokens become one in the
    # warm-up, and no gradient is left.
    "pidro": (
        "model.arguments.tau=14.3",
        "optimiser.learning_rate=1e-3",
        "optimiser.backbone_learning_rate=1e-3",
    ),
    # It looks at other seconds than the other systems, which share a cache.
    "xpool": ("data.cache=data/frames-uniform",),
}


def vidsift(home: Path, *arguments: str) -> str:
    """Run a command as its users do, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "vidsift", *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, f"vidsift {' '.join(arguments)}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data/msrvtt`` and ``data/small-clip``, from where recipes find their data."""
    given = os.environ.get("VIDSIFT_SOAK_FOLDER")
    folder = Path(given) if given else tmp_path_factory.mktemp("learning")
    if not (folder / "data" / "small-clip" / "config.json").is_file():
        captions = write_msrvtt(
            folder / "data" / "msrvtt", training=TRAINING, test=GALLERY, tags=("appearance", "detail")
        )
        write_small_clip(folder / "data" / "small-clip", captions)
    return folder


# How many times STEPS: PIDRo's three stages share them, and X-Pool's attention has to be learned first.
TIMES_THE_STEPS = {"pidro": 3, "xpool": 2}


def trained(home: Path, system: str, name: str, steps: int) -> None:
    """Follow a system's recipe to the end, from where it was."""
    recipe = RECIPES / f"{system}.yaml"
    changes = ("model.start=data/small-clip", f"steps={steps}", *CHANGES, *OF_SYSTEM.get(system, ()))
    vidsift(home, "train", str(recipe), *changes, "-o", f"runs/{name}", "--device", "cpu")


def evaluated(home: Path, name: str, *options: str) -> dict[str, Any]:
    """Judge a run as its own recipe says, and return the report."""
    saved = home / "results" / name
    shutil.rmtree(saved, ignore_errors=True)
    data = ("data/msrvtt/videos", "--data", "msrvtt", "--annotations", "data/msrvtt/annotations")
    vidsift(home, "evaluate", f"runs/{name}", *data, *options, "--save", str(saved), "--device", "cpu")
    report: dict[str, Any] = json.loads((saved / "report.json").read_text(encoding="utf-8"))
    return report


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_learns_by_its_recipe(system: str, home: Path) -> None:
    start = f"{system}-start"
    trained(home, system, start, 0)
    trained(home, system, system, STEPS * TIMES_THE_STEPS.get(system, 1))
    before, after = evaluated(home, start), evaluated(home, system, "--post", "dsl", "--post", "tvh")
    first, last = before["text_to_video"]["R@1"], after["text_to_video"]["R@1"]
    error = math.hypot(standard_error(first), standard_error(last))
    print(f"{system}: R@1 {first:.1f} before, {last:.1f} after, {(last - first) / error:.1f} errors apart")
    assert after["text_to_video"]["questions"] == GALLERY
    assert after["protocol"]["split"] == "1k-A"
    assert last >= 10 * CHANCE
    assert last - first >= 5 * error
    # Rows of their own, with the plain one as it was.
    rows = after["post_processed"]
    assert set(rows) == {"dsl", "tvh"}
    assert all(10 * CHANCE <= row["text_to_video"]["R@1"] <= 100 for row in rows.values())
    # Both weights of the run, and which of them the folder holds.
    validations = [
        line
        for line in map(
            json.loads, (home / "runs" / system / "metrics.jsonl").read_text("utf-8").splitlines()
        )
        if "validation" in line
    ]
    assert len(validations) >= 3
    compared = vidsift(home, "compare", f"results/{start}", f"results/{system}")
    assert f"{last:.1f}" in compared
    assert f"{last:.1f}" in vidsift(home, "table", "msrvtt-1ka", f"results/{start}", f"results/{system}")


def standard_error(percent: float) -> float:
    """Of a share of the gallery's queries, in percent."""
    # With half a hit more, none at all is not certain.
    share = (percent / 100 * GALLERY + 0.5) / (GALLERY + 1)
    return 100 * math.sqrt(share * (1 - share) / GALLERY)
