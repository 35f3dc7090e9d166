"""The similarity of a training step by WTI, TI and PIDRo's rule: time and memory beside the plain formula.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/token_wise_training.py

writes results/token-wise-training.json and .md. Forward and backward of InfoNCE over B texts and B videos in
fp32, one thread. The plain formula (DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction; PIDRo's Eq. 4)
makes texts x videos x words x frames and keeps them for the gradient. The weights of WTI learn, those of TI
are all alike. Each measurement of memory is a process of its own: the growth of its largest resident size
from before the step.
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

import torch
from measuring import ROOT, command_line, machine, peak_extra_mb, rows_of, take_turns, write_results
from released import released_wti
from torch import Tensor

from vidsift.interactions.sharpened import SharpenedTokenWise, sharpened_mean
from vidsift.interactions.token_wise import token_wise
from vidsift.losses.contrastive import info_nce
from vidsift.types import TokenSet

COMMAND = command_line(__file__)
SHAPES = ((128, 32, 12), (64, 64, 64))
DIM = 512
TARGET_TIME, TARGET_MEMORY = 0.8, 1 / 8


def sides(rule: str, batch: int, words: int, frames: int, *, full: bool) -> tuple[TokenSet, TokenSet]:
    """Random unit tokens; sentences are full, or of 4 to ``words`` tokens as captions are."""
    generator = torch.Generator().manual_seed(0)

    def side(width: int, lengths: Tensor) -> TokenSet:
        mask = torch.arange(width) < lengths[:, None]
        tokens = torch.nn.functional.normalize(torch.randn(batch, width, DIM, generator=generator), dim=-1)
        weights = mask / mask.sum(dim=1, keepdim=True)
        return TokenSet(
            (tokens * mask[..., None]).requires_grad_(), mask, weights.requires_grad_(rule == "wti")
        )

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
    "wti": {"plain": released_wti, "blocked": token_wise},
    "ti": {"plain": released_wti, "blocked": token_wise},
    "pidro": {"plain": plain_sharpened, "blocked": SharpenedTokenWise(ETA).score},
}


def learned(text: TokenSet, video: TokenSet) -> list[Tensor]:
    """Everything that a step gives a gradient to."""
    parts = (text.tokens, text.weights, video.tokens, video.weights)
    return [part for part in parts if part is not None and part.requires_grad]


def step(similarity: Similarity, text: TokenSet, video: TokenSet) -> None:
    """Similarity, loss, gradients."""
    for part in learned(text, video):
        part.grad = None
    torch.autograd.backward(info_nce(similarity(text, video), torch.tensor(100.0)))


def peak_mb(rule: str, way: str, shape: tuple[int, int, int], *, full: bool) -> float:
    """What a step takes beyond the tokens and their gradients, in a process of its own (Linux)."""
    request = json.dumps({"rule": rule, "way": way, "shape": shape, "full": full})
    answer = subprocess.run(
        [sys.executable, __file__, "--peak", request], capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def _peak(rule: str, way: str, shape: tuple[int, int, int], *, full: bool) -> float:
    text, video = sides(rule, 2, *shape[1:], full=full)
    step(RULES[rule][way], text, video)  # libraries take their memory
    text, video = sides(rule, *shape, full=full)
    gradients = sum(one.numel() * one.element_size() for one in learned(text, video))
    extra = peak_extra_mb(lambda: step(RULES[rule][way], text, video))
    if extra is None:
        raise SystemExit("the peak of memory is read from /proc, which is not here: this needs Linux")
    return extra - gradients / 2**20


def measure(rule: str, shape: tuple[int, int, int], *, full: bool, rounds: int) -> dict[str, Any]:
    text, video = sides(rule, *shape, full=full)
    ways = RULES[rule]
    spent = take_turns({way: partial(step, one, text, video) for way, one in ways.items()}, rounds)
    gradients = {}
    same = dict(ways)
    if rule != "pidro":
        # The released formula lets padding win where all real words are worse; so does ours when told to.
        same["blocked"] = partial(token_wise, padding="zero")
    for way, similarity in same.items():
        step(similarity, text, video)
        gradients[way] = torch.cat(
            [part.grad.flatten() for part in learned(text, video) if part.grad is not None]
        )
    best = {way: min(times) for way, times in spent.items()}
    memory = {way: peak_mb(rule, way, shape, full=full) for way in ways}
    off = (gradients["plain"] - gradients["blocked"]).abs().max() / gradients["plain"].abs().max()
    return {
        "rule": rule,
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
    rows = [
        measure(rule, shape, full=full, rounds=chosen.rounds)
        for rule in RULES
        for shape in SHAPES
        for full in (True, False)
    ]
    result = {"command": COMMAND, **machine(), "rows": rows}
    write_results(chosen.out, "token-wise-training", result, table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    head = ["rule", "batch", "words", "frames", "sentences"]
    head += ["plain ms", "ours ms", "time", "plain MB", "ours MB", "share"]
    cells = []
    for row in rows:
        ms, mb = row["cpu_ms"], row["extra_mb"]
        cells.append([row[name] for name in ("rule", "batch", "words", "frames", "sentences")])
        cells[-1] += [f"{ms['plain']:g}", f"{ms['blocked']:g}", f"{row['time']:.2f}"]
        cells[-1] += [f"{mb['plain']:g}", f"{mb['blocked']:g}", f"{row['memory']:.3f}"]
    lines = [
        "# The similarity of a training step by WTI, TI and PIDRo's rule",
        "",
        f"`{COMMAND}`: forward and backward of InfoNCE in fp32, {DIM} channels, one thread, CPU time, ways",
        "taking turns, least of the rounds; memory is the growth of the resident peak beyond tokens and",
        "gradients.",
        f"Targets: {TARGET_TIME:g} x the time, {TARGET_MEMORY:g} x the memory of the plain formula.",
        "",
        *rows_of(head, cells),
    ]
    worst = max(row["gradients_off"] for row in rows)
    lines += ["", f"Gradients differ by at most {worst:.0e} of the largest one."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
