"""Memory of a training step of ViT-B/32: plain, with blocks computed again, in chunks.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/training_memory.py

writes results/training-memory.json and .md. The model is DRL's (WTI, a transformer of four blocks across
frames) on a CLIP of real size with random weights, bf16 autocast, 32 words and 12 frames. What autograd
stores is counted by hooks (`vidsift.training.saved_tensors.SavedTensors`, each storage once, weights left
out) on two small batches. What is there at once, a block that is computed again and gradients on their way
included, is counted by the storages that operations make and let go of. Lines through the two counts give
the batch of 128; 64 frames are 64/12 times the pictures. The count is held against the growth of the
resident peak over forward and backward (Linux, gradients there before), in a process that gives
freed memory back at once. Weights, gradients and AdamW's two means are 16 bytes a parameter on top.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import (
    ROOT,
    command_line,
    features,
    machine,
    peak_extra_mb,
    processor_class,
    rows_of,
    where,
    write_results,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from transformers import CLIPConfig

from vidsift.data.loading import Batch
from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import train_tokenizer
from vidsift.methods.model import Model
from vidsift.training.batch_loss import BatchLoss
from vidsift.training.blocks import wrap_blocks
from vidsift.training.features import BatchEncoder
from vidsift.training.saved_tensors import SavedTensors

COMMAND = command_line(__file__)
WAYS = ("plain", "chunked", "checkpointed")
WORDS, FRAMES, LONG_FRAMES, VIDEOS, CHUNK = 32, 12, 64, 128, 8
TARGETS_GB = {("checkpointed", FRAMES): 24, ("chunked", FRAMES): 8, ("checkpointed", LONG_FRAMES): 80}
BYTES_A_PARAMETER = 16
"""Weight, gradient and AdamW's two means in fp32."""


def new_model() -> Model:
    words = train_tokenizer(["a dog runs over the wet grass of a wide field"], 560)
    model = Model.create(
        "drl",
        ClipTowers(CLIPConfig()),
        words,
        PixelNorm(224),
        arguments={"interaction": "wti", "cdcr": "none"},
        frames=FRAMES,
        max_words=WORDS,
    )
    model.method.train()
    # Its gradient, of all 49,408 words, is made beside the one that is there: more than a small batch takes.
    model.method.towers.clip.text_model.embeddings.token_embedding.requires_grad_(False)
    for parameter in model.method.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    step(model, batch_of(2, 1), None)  # libraries take their memory
    return model


def batch_of(videos: int, frames: int) -> Batch:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (videos, frames, 224, 224, 3), dtype=np.uint8)
    mask, times = np.ones((videos, frames), bool), np.tile(np.arange(frames, dtype=np.float64), (videos, 1))
    return Batch(
        pixels, mask, times, [f"a long sentence of number {n} " * 8 for n in range(videos)], np.arange(videos)
    )


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of storages that operations make, while they live, and the most at once."""

    def __init__(self, leave_out: Iterable[Tensor]) -> None:
        """Count nothing of what is left out."""
        super().__init__()
        self._known = {tensor.untyped_storage().data_ptr() for tensor in leave_out}
        self._living: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self.bytes = self.most_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note what it made."""
        result = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._note, result)
        return result

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._living or storage.data_ptr() in self._known:
            return

        def let_go(_: object) -> None:
            self.bytes -= size
            self._living.pop(key, None)

        self._living[key] = weakref.ref(storage, let_go)
        self.bytes += size
        self.most_bytes = max(self.most_bytes, self.bytes)


def step(model: Model, batch: Batch, chunk: int | None) -> tuple[int, int]:
    """Forward and backward; returns the bytes stored between them, and the most that lived at once."""
    encoder = BatchEncoder(model, batch, torch.bfloat16)
    there = [
        tensor
        for weight in model.method.parameters()
        for tensor in (weight, weight.grad)
        if tensor is not None
    ]
    with LiveStorages(there) as living:
        with SavedTensors(model.method.parameters()) as saved:
            loss = BatchLoss(model.method, encoder, chunk=chunk)
            stored = saved.bytes
        loss.backward()
    return stored, living.most_bytes


def measure(model: Model, way: str, videos: int) -> dict[str, Any]:
    chunk = videos // 2 if way == "chunked" else None
    batch, counts = batch_of(videos, FRAMES), [(0, 0)]

    def work() -> None:
        counts[0] = step(model, batch, chunk)

    extra_mb = peak_extra_mb(work)
    if extra_mb is None:
        raise SystemExit("the peak of memory is read from /proc, which is not here: this needs Linux")
    stored, living = counts[0]
    return {
        "way": way,
        "videos": videos,
        "chunk": chunk,
        "stored_mb": round(stored / 2**20, 1),
        "living_mb": round(living / 2**20, 1),
        "peak_mb": round(extra_mb, 1),
        "parameters": sum(parameter.numel() for parameter in model.method.parameters()),
    }


def totals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batch of 128, by the line through the two counts; in chunks, that of a chunk."""
    totals_of_ways = []
    for way in WAYS:
        small, large = (row for row in rows if row["way"] == ("plain" if way == "chunked" else way))
        fixed = small["parameters"] * BYTES_A_PARAMETER / 1e9
        for frames in (FRAMES, LONG_FRAMES):
            videos = CHUNK if way == "chunked" else VIDEOS
            stored, living = (
                line(small, large, name, videos * frames / FRAMES) for name in ("stored_mb", "living_mb")
            )
            target = TARGETS_GB.get((way, frames))
            totals_of_ways.append(
                {
                    "way": way,
                    "frames": frames,
                    "stored_gb": round(stored, 2),
                    "living_gb": round(living, 2),
                    "all_gb": round(living + fixed, 2),
                    "target_gb": target,
                }
            )
    return totals_of_ways


def line(small: dict[str, Any], large: dict[str, Any], name: str, videos: float) -> float:
    """Value at so many videos of the line through two measurements, MiB to GB."""
    slope = (large[name] - small[name]) / (large["videos"] - small["videos"])
    return float(small[name] + slope * (videos - small["videos"])) * 2**20 / 1e9


def page(measured: dict[str, Any]) -> str:
    full = [
        [
            f"in chunks of {CHUNK}" if row["way"] == "chunked" else row["way"],
            f"{VIDEOS} x {row['frames']}",
            f"{row['stored_gb']:.1f}",
            f"{row['living_gb']:.1f}",
            f"{row['all_gb']:.1f}",
            row["target_gb"] or "",
        ]
        for row in measured["full"]
    ]
    small = []
    for row in measured["rows"]:
        cells = [row["way"], f"{row['videos']} x {FRAMES}", row["chunk"] or ""]
        cells += [f"{row[name]:.0f}" for name in ("stored_mb", "living_mb", "peak_mb")]
        small.append([*cells, f"{row['peak_mb'] / row['living_mb']:.2f}"])
    parameters = measured["rows"][0]["parameters"]
    about = (
        f"`{measured['command']}` on {where(measured)}, {measured['class']}. DRL with WTI on ViT-B/32 of "
        f"real size ({parameters / 1e6:.1f} M parameters, random weights), bf16 autocast, {WORDS} words."
    )
    at_full_size = (
        f"At a batch of {VIDEOS}, by lines through the counts below: what is stored between forward and "
        "backward, the most that is there at once, and that with weights, gradients and AdamW "
        f"({BYTES_A_PARAMETER} bytes a parameter)."
    )
    counted = (
        "Counted on small batches (stored: hooks on what autograd stores; at once: storages that operations "
        "make and let go of), beside the growth of the resident peak over forward and backward."
    )
    full_head = ["way", "videos x frames", "stored GB", "at once GB", "all GB", "target GB"]
    small_head = ["way", "videos x frames", "chunk", "stored MB", "at once MB", "peak MB", "peak / count"]
    parts = [
        "# Memory of a training step",
        "",
        about,
        "",
        at_full_size,
        "",
        *rows_of(full_head, full, left=2),
    ]
    return "\n".join([*parts, "", counted, "", *rows_of(small_head, small, left=2), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, nargs=2, default=(2, 4), help="sizes of the two small batches")
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    # Read when a process starts. Freed memory goes back to the system, else the peak is the allocator's.
    returning = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "262144"}
    if not returning.keys() <= os.environ.keys():
        again = subprocess.run([sys.executable, *sys.argv], check=False, env=os.environ | returning)
        raise SystemExit(again.returncode)
    model, rows = new_model(), []
    for way in WAYS:
        if way == "checkpointed":
            wrap_blocks(model.method, recomputed=True)
        for videos in chosen.videos:
            rows.append(measure(model, way, videos))
            print(rows[-1], flush=True)
    measured = {"command": COMMAND, **machine(), "class": processor_class(features()), "able": features()}
    measured |= {"rows": rows, "full": totals(rows)}
    write_results(chosen.out, "training-memory", measured, page(measured))


if __name__ == "__main__":
    main()
