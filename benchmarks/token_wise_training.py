"""The similarity of a training step by WTI: time and memory beside the plain formula.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/token_wise_training.py

writes results/token-wise-training.json and .md. Forward and backward of InfoNCE over B texts and B videos in
fp32, one thread. The plain formula (DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction) makes texts x
videos x words x frames and keeps them for the gradient. Each measurement of memory is a process of its own:
the growth of its largest resident size from before the step.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidsift.interactions.token_wise import token_wise
from vidsift.losses.contrastive import info_nce
from vidsift.types import TokenSet

COMMAND = " ".join(
    ["OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/token_wise_training.py", *sys.argv[1:]]
)
SHAPES = ((128, 32, 12), (64, 64, 64))
DIM = 512
TARGET_TIME, TARGET_MEMORY = 0.8, 1 / 8
ROOT = Path(__file__).resolve().parents[1]


def sides(batch: int, words: int, frames: int, full: bool) -> tuple[TokenSet, TokenSet]:
    """Random unit tokens; sentences are full, or of 4 to ``words`` tokens as captions are."""
    generator = torch.Generator().manual_seed(0)

    def side(width: int, lengths: Tensor) -> TokenSet:
        mask = torch.arange(width) < lengths[:, None]
        tokens = torch.nn.functional.normalize(torch.randn(batch, width, DIM, generator=generator), dim=-1)
        weights = mask / mask.sum(dim=1, keepdim=True)
        return TokenSet((tokens * mask[..., None]).requires_grad_(), mask, weights)

    lengths = torch.randint(4, words + 1, (batch,), generator=generator)
    return side(words, torch.full((batch,), words) if full else lengths), side(
        frames, torch.full((batch,), frames)
    )


def plain(text: TokenSet, video: TokenSet) -> Tensor:
    """The released computation of WTI."""
    assert text.weights is not None
    assert video.weights is not None
    products = torch.einsum("qtd,vfd->qvtf", text.tokens, video.tokens)
    products = torch.einsum("qvtf,qt->qvtf", products, text.mask.float())
    products = torch.einsum("qvtf,vf->qvtf", products, video.mask.float())
    text_to_video = torch.einsum("qvt,qt->qv", products.max(dim=-1).values, text.weights)
    video_to_text = torch.einsum("qvf,vf->qv", products.max(dim=-2).values, video.weights)
    return (text_to_video + video_to_text) / 2


Similarity = Callable[[TokenSet, TokenSet], Tensor]
WAYS: dict[str, Similarity] = {"plain": plain, "blocked": token_wise}


def step(similarity: Similarity, text: TokenSet, video: TokenSet) -> None:
    """Similarity, loss, gradients."""
    text.tokens.grad = video.tokens.grad = None
    torch.autograd.backward(info_nce(similarity(text, video), torch.tensor(100.0)))


def peak_mb(way: str, shape: tuple[int, int, int], full: bool) -> float:
    """What a step takes beyond the tokens and their gradients, in a process of its own (Linux)."""
    request = json.dumps({"way": way, "shape": shape, "full": full})
    answer = subprocess.run(
        [sys.executable, __file__, "--peak", request], capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def _peak(way: str, shape: tuple[int, int, int], full: bool) -> float:
    text, video = sides(2, *shape[1:], full)
    step(WAYS[way], text, video)  # libraries take their memory
    text, video = sides(*shape, full)
    gradients = sum(one.tokens.numel() * one.tokens.element_size() for one in (text, video))
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    step(WAYS[way], text, video)
    return (_status("VmHWM") - before) / 1024 - gradients / 2**20


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def measure(shape: tuple[int, int, int], full: bool, rounds: int) -> dict[str, Any]:
    text, video = sides(*shape, full)
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(rounds + 1):
        for way, similarity in WAYS.items():
            begin = time.process_time()
            step(similarity, text, video)
            if turn:
                spent[way].append(time.process_time() - begin)
    gradients = {}
    # The plain formula lets padding win where all real words are worse; so does ours when told to.
    same = {"plain": plain, "blocked": lambda one, other: token_wise(one, other, padding="zero")}
    for way, similarity in same.items():
        step(similarity, text, video)
        gradients[way] = torch.cat([one.tokens.grad.flatten() for one in (text, video)])  # type: ignore[union-attr]
    best = {way: min(times) for way, times in spent.items()}
    memory = {way: peak_mb(way, shape, full) for way in WAYS}
    off = (gradients["plain"] - gradients["blocked"]).abs().max() / gradients["plain"].abs().max()
    return {
        "batch": shape[0],
        "words": shape[1],
        "frames": shape[2],
        "sentences": "full" if full else "of 4 words and more",
        "cpu_ms": {way: round(value * 1000, 1) for way, value in best.items()},
        "time": round(best["blocked"] / best["plain"], 3),
        "extra_mb": {way: round(value, 1) for way, value in memory.items()},
        "memory": round(memory["blocked"] / memory["plain"], 3),
        "gradients_off": float(off),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.peak:
        print(_peak(**json.loads(chosen.peak)))
        return
    rows = [measure(shape, full, chosen.rounds) for shape in SHAPES for full in (True, False)]
    result = {
        "command": COMMAND,
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "torch": torch.__version__,
        "rows": rows,
    }
    (chosen.out / "token-wise-training.json").write_text(json.dumps(result, indent=2) + "\n")
    (chosen.out / "token-wise-training.md").write_text(table(rows))
    print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# The similarity of a training step by WTI",
        "",
        f"`{COMMAND}`: forward and backward of InfoNCE in fp32, {DIM} channels, one thread, CPU time, ways",
        "taking turns, least of the rounds; memory is the growth of the resident peak beyond tokens and",
        "gradients.",
        f"Targets: {TARGET_TIME:g} x the time, {TARGET_MEMORY:g} x the memory of the plain formula.",
        "",
        "| batch | words | frames | sentences | plain ms | ours ms | time | plain MB | ours MB | share |",
        "|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ms, mb = row["cpu_ms"], row["extra_mb"]
        lines.append(
            f"| {row['batch']} | {row['words']} | {row['frames']} | {row['sentences']} | {ms['plain']:g} | "
            f"{ms['blocked']:g} | {row['time']:.2f} | {mb['plain']:g} | {mb['blocked']:g} | "
            f"{row['memory']:.3f} |"
        )
    worst = max(row["gradients_off"] for row in rows)
    lines += ["", f"Gradients differ by at most {worst:.0e} of the largest one."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
