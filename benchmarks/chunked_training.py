"""Loss and gradients of a batch in chunks beside the whole batch: time and memory.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/chunked_training.py

writes results/chunked-training.json and .md. DRL-WTI over towers of the sizes of ViT-B/32 with random
weights, clips of the Shapes world at 224 pixels, fp32, one thread. Memory is the growth of the resident peak
beside weights and gradients (Linux). With `--device cuda` bf16, wall time and the allocator's peak, to
results/chunked-training-gpu.json and .md.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import (
    ROOT,
    clock_of,
    command_line,
    machine,
    peak_extra_mb,
    rows_of,
    take_turns,
    where,
    write_results,
)

from vidsift.data.loading import Batch
from vidsift.methods.model import Model
from vidsift.training.batch_loss import BatchLoss
from vidsift.training.features import BatchEncoder
from vidsift.training.recipe import Recipe
from vidsift.training.setup import batch_maker
from vidsift.training.trainer import Trainer

COMMAND = command_line(__file__)
SIZES = {"cpu": (8, 2, (None, 4, 2)), "cuda": (128, 12, (None, 64, 32, 16))}
ROUNDS = {"cpu": 1, "cuda": 5}
VIT_B_32 = {
    "dim": 512,
    "image_px": 224,
    "patch_px": 32,
    "vision_width": 768,
    "vision_layers": 12,
    "text_width": 512,
    "text_layers": 12,
    "head_width": 64,
    "vocabulary": 600,
    "vocabulary_captions": 200,
}


def made(batch: int, frames: int, device: str) -> tuple[Model, Batch]:
    """The model, and a batch of clips."""
    recipe = Recipe.model_validate(
        {
            "name": "chunked",
            "steps": 1,
            "threads": 1,
            "model": {"new": VIT_B_32, "method": "drl", "frames": frames},
            "data": {"source": "shapes-stream", "batch_size": batch, "workers": 0},
            "validation": None,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Trainer(recipe, folder, device=device, say=lambda _line: None)
        run.method.train()
        made_batch = batch_maker(recipe, run.model, run.stages)(0)
        run._close()  # a step is taken here, not a run
        return run.model, made_batch


def step(model: Model, batch: Batch, chunk: int | None, device: str) -> None:
    """Loss and gradients, added to those that are there."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    loss = BatchLoss(model.method, BatchEncoder(model, batch, dtype), chunk=chunk)
    loss.backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="1, on a GPU 5, unless said")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    size, frames, chunks = SIZES[chosen.device]
    model, batch = made(size, frames, chosen.device)
    ways = {str(chunk or "whole"): partial(step, model, batch, chunk, chosen.device) for chunk in chunks}
    rounds = chosen.rounds or ROUNDS[chosen.device]
    spent = take_turns(ways, rounds, clock=clock_of(chosen.device))
    seconds = {way: min(times) for way, times in spent.items()}
    memory = {way: peak_extra_mb(work, chosen.device) for way, work in ways.items()}
    rows = [
        {
            "chunk": way,
            "seconds": round(seconds[way], 3),
            "time": round(seconds[way] / seconds["whole"], 3),
            "extra_mb": None if (mb := memory[way]) is None else round(mb, 1),
        }
        for way in ways
    ]
    result = {
        "command": COMMAND,
        "device": chosen.device,
        "batch": size,
        "frames": frames,
        **machine(chosen.device),
        "rows": rows,
    }
    write_results(chosen.out, "chunked-training", result, table(result), chosen.device)


def table(measured: dict[str, Any]) -> str:
    body = [[row["chunk"], row["seconds"], f"{row['time']:.2f}", row["extra_mb"]] for row in measured["rows"]]
    lines = rows_of(["videos at a time", "seconds", "time", "MB"], body, left=0)
    return f"""# Loss and gradients of a batch in chunks

`{measured["command"]}`: DRL-WTI over towers of the sizes of ViT-B/32, {measured["batch"]} videos of
{measured["frames"]} frames at 224 pixels; ways taking turns, least of the rounds; memory beside weights and
gradients.

{chr(10).join(lines)}

{where(measured)}.
"""


if __name__ == "__main__":
    main()
