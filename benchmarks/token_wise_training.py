"""The similarity of a training step by WTI, TI and PIDRo's rule: time and memory beside the plain formula.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/token_wise_training.py

writes results/token-wise-training.json and .md. Forward and backward of InfoNCE over B texts and B videos in
fp32, one thread. The plain formula (DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction; PIDRo's Eq. 4)
makes texts x videos x words x frames and keeps them for the gradient. The weights of WTI learn, those of TI
are all alike. Each measurement of memory is a process of its own: the growth of its largest resident size
from before the step. With `--device cuda` wall time of finished work and the growth of the allocator's peak,
to results/token-wise-training-gpu.json and .md; beside the kernels stands what other devices do, block by
block.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

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
from released import released_wti
from torch import Tensor

from vidsift.interactions import pooled_match
from vidsift.interactions.sharpened import SharpenedTokenWise, sharpened_mean
from vidsift.interactions.token_wise import token_wise
from vidsift.losses.contrastive import info_nce
from vidsift.types import TokenSet

COMMAND = command_line(__file__)
SHAPES = {"cpu": ((128, 32, 12), (64, 64, 64)), "cuda": ((128, 32, 12), (64, 64, 64), (1024, 32, 12))}
ROUNDS = {"cpu": 5, "cuda": 10}
DIM = 512
TARGET_TIME, TARGET_MEMORY = 0.8, 1 / 8


def sides(
    rule: str, batch: int, words: int, frames: int, *, full: bool, device: str = "cpu"
) -> tuple[TokenSet, TokenSet]:
    """Random unit tokens; sentences are full, or of 4 to ``words`` tokens as captions are."""
    generator = torch.Generator().manual_seed(0)

    def side(width: int, lengths: Tensor) -> TokenSet:
        mask = torch.arange(width) < lengths[:, None]
        tokens = torch.nn.functional.normalize(torch.randn(batch, width, DIM, generator=generator), dim=-1)
        weights = mask / mask.sum(dim=1, keepdim=True)
        tokens, mask, weights = (tokens * mask[..., None]).to(device), mask.to(device), weights.to(device)
        return TokenSet(tokens.requires_grad_(), mask, weights.requires_grad_(rule == "wti"))

    lengths = torch.randint(4, words + 1, (batch,), generator=generator)
    return side(words, torch.full((batch,), words) if full else lengths), side(
        frames, torch.full((batch,), frames)
    )


def plain_sharpened(text: TokenSet, video: TokenSet) -> Tensor:
    """PIDRo's Eq. 4 with texts x videos x words x frames all made, padding -inf: ``sim_QV``."""
    products_QVTF = torch.einsum("qtd,vfd->qvtf", text.tokens, video.tokens)
    text_QVT = products_QVTF.masked_fill(~video.mask[:, None, :], -torch.inf).max(dim=-1).values
    video_QVF = products_QVTF.masked_fill(~text.mask[:, None, :, None], -torch.inf).max(dim=-2).values
    text_to_video_QV = sharpened_mean(text_QVT, text.mask[:, None], ETA)
    return (text_to_video_QV + sharpened_mean(video_QVF, video.mask, ETA)) / 2


Similarity = Callable[[TokenSet, TokenSet], Tensor]
ETA = 100.0
RULES: dict[str, dict[str, Similarity]] = {
    "wti": {"plain": released_wti, "ours": token_wise},
    "ti": {"plain": released_wti, "ours": token_wise},
    "pidro": {"plain": plain_sharpened, "ours": SharpenedTokenWise(ETA).score},
}


def ways_of(rule: str, device: str, batch: int) -> dict[str, Similarity]:
    """The plain formula and ours; where kernels compute ours, in small batches what it is without them."""
    ways = dict(RULES[rule])
    if device == "cuda" and batch <= 128:
        ways["blocked"] = partial(without_kernels, ways["ours"])
    return ways


def without_kernels(similarity: Similarity, text: TokenSet, video: TokenSet) -> Tensor:
    """Score as a device does for which there are no kernels."""
    with mock.patch.object(pooled_match, "can_fuse", return_value=False):
        return similarity(text, video)


def learned(text: TokenSet, video: TokenSet) -> list[Tensor]:
    """Everything that a step gives a gradient to."""
    parts = (text.tokens, text.weights, video.tokens, video.weights)
    return [part for part in parts if part is not None and part.requires_grad]


def step(similarity: Similarity, text: TokenSet, video: TokenSet) -> None:
    """Similarity, loss, gradients."""
    for part in learned(text, video):
        part.grad = None
    scale = torch.tensor(100.0, device=text.tokens.device)
    torch.autograd.backward(info_nce(similarity(text, video), scale))


def peak_mb(rule: str, way: str, shape: tuple[int, int, int], *, full: bool, device: str) -> float:
    """What a step takes beyond the tokens and their gradients, on a CPU in a process of its own (Linux)."""
    if device == "cuda":
        return _peak(rule, way, shape, full=full, device=device)
    request = json.dumps({"rule": rule, "way": way, "shape": shape, "full": full})
    answer = subprocess.run(
        [sys.executable, __file__, "--peak", request], capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def _peak(rule: str, way: str, shape: tuple[int, int, int], *, full: bool, device: str = "cpu") -> float:
    similarity = ways_of(rule, device, shape[0])[way]
    text, video = sides(rule, 2, *shape[1:], full=full, device=device)
    step(similarity, text, video)  # libraries take their memory
    text, video = sides(rule, *shape, full=full, device=device)
    gradients = sum(tensor.numel() * tensor.element_size() for tensor in learned(text, video))
    extra = peak_extra_mb(lambda: step(similarity, text, video), device)
    if extra is None:
        raise SystemExit("the peak of memory is read from /proc, which is not here: this needs Linux")
    return extra - gradients / 2**20


def measure(
    rule: str, shape: tuple[int, int, int], *, full: bool, rounds: int, device: str
) -> dict[str, Any]:
    text, video = sides(rule, *shape, full=full, device=device)
    ways = ways_of(rule, device, shape[0])
    steps = {way: partial(step, similarity, text, video) for way, similarity in ways.items()}
    spent = take_turns(steps, rounds, clock=clock_of(device))
    gradients = {}
    same = dict(ways)
    if rule != "pidro":
        # The released formula lets padding win where all real words are worse; so does ours when told to.
        same["ours"] = partial(token_wise, padding="zero")
    for way in ("plain", "ours"):
        step(same[way], text, video)
        gradients[way] = torch.cat(
            [part.grad.flatten() for part in learned(text, video) if part.grad is not None]
        )
    best = {way: min(times) for way, times in spent.items()}
    memory = {way: peak_mb(rule, way, shape, full=full, device=device) for way in ways}
    off = (gradients["plain"] - gradients["ours"]).abs().max() / gradients["plain"].abs().max()
    return {
        "rule": rule,
        "batch": shape[0],
        "words": shape[1],
        "frames": shape[2],
        "sentences": "full" if full else "of 4 words and more",
        "ms": {way: round(value * 1000, 1 if device == "cpu" else 3) for way, value in best.items()},
        "time": round(best["ours"] / best["plain"], 3),
        "extra_mb": {way: round(value, 1) for way, value in memory.items()},
        "memory": round(memory["ours"] / memory["plain"], 3),
        "gradients_off": float(off),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="5, on a GPU 10, unless said")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.peak:
        print(_peak(**json.loads(chosen.peak)))
        return
    rounds, rows = chosen.rounds or ROUNDS[chosen.device], []
    for shape in SHAPES[chosen.device]:
        for rule in RULES:
            for full in (True, False):
                rows.append(measure(rule, shape, full=full, rounds=rounds, device=chosen.device))
                print(rows[-1], flush=True)
    result = {"command": COMMAND, "device": chosen.device, **machine(chosen.device), "rows": rows}
    write_results(chosen.out, "token-wise-training", result, table(result), chosen.device)


def table(measured: dict[str, Any]) -> str:
    rows = measured["rows"]
    ways = list(rows[0]["ms"])
    head = ["rule", "batch", "words", "frames", "sentences"]
    head += [*(f"{way} ms" for way in ways), "time", *(f"{way} MB" for way in ways), "share"]
    cells = []
    for row in rows:
        cells.append([row[name] for name in ("rule", "batch", "words", "frames", "sentences")])
        for what, share in (("ms", f"{row['time']:.2f}"), ("extra_mb", f"{row['memory']:.3f}")):
            cells[-1] += [*(f"{row[what][way]:g}" if way in row[what] else "" for way in ways), share]
    if measured["device"] == "cpu":
        how = "one thread, CPU time, ways taking turns, least of the rounds; memory is the growth of the "
        how += "resident peak beyond tokens and gradients."
    else:
        how = (
            "wall time of finished work, ways taking turns, least of the rounds; memory is the growth of the "
        )
        how += "allocator's peak beyond tokens and gradients. Ours: kernels that never write the products; "
        how += "blocked: what ours is on other devices, in blocks made for a CPU's cache."
    lines = [
        "# The similarity of a training step by WTI, TI and PIDRo's rule",
        "",
        f"`{COMMAND}` on {where(measured)}: forward and backward of InfoNCE in fp32, {DIM} channels, {how}",
        f"Targets: {TARGET_TIME:g} x the time, {TARGET_MEMORY:g} x the memory of the plain formula.",
        "",
        *rows_of(head, cells),
    ]
    worst = max(row["gradients_off"] for row in rows)
    lines += ["", f"Gradients differ by at most {worst:.0e} of the largest one."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
