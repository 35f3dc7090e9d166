"""A training step of ours beside the released formulation of the same model, on one thread.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/training_step.py

writes results/training-step.json and .md. The model is DRL's (WTI, a transformer of four blocks across
frames, InfoNCE) on a CLIP of ViT-B/32's size with random weights. The released formulation is our
restatement of what foolwood/DRL main.py and tvr/models/modeling.py compute, in plain torch, with the same
towers: fp32, texts encoded to all 32 tokens, every patch through the last block, products of all words and
frames of all pairs, the backward pass inside `detect_anomaly` (main.py:264), a global clip, and BertAdam
tensor by tensor with a clip of each. Ours is what `vidsift train` computes with `optimiser.algorithm:
bertadam`: in fp32, with `precision: bf16`, and with `compile: true` too. Reading videos is no part of it, nor
is the compiler's time.

The whole step takes a few videos, since towers cost the most; the part outside the towers takes 128 x 12
frames x 32 words from random features on, with the step of the optimiser over all parameters. CPU time,
ways taking turns, least of the rounds.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from measuring import (
    ROOT,
    command_line,
    features,
    machine,
    processor_class,
    rows_of,
    take_turns,
    where,
    write_results,
)
from released import released_wti
from torch import Tensor, nn
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.methods.base import Method
from vidsift.methods.drl import Drl
from vidsift.training.bertadam import BertAdam
from vidsift.training.blocks import set_attention, wrap_blocks
from vidsift.training.optim import build_optimiser, parameter_groups, set_rates
from vidsift.types import TokenSet

COMMAND = command_line(__file__)
WORDS, FRAMES, VIDEOS = 32, 12, 128
TARGETS = {"bf16 compiled": 3.0, "fp32": 1.0, "outside": 1.5}
RATE, DECAY = 1e-4, 0.2
PRODUCT = ((6400, 3072), (768, 3072))
PRODUCT_GFLOP = 2 * 6400 * 3072 * 768 / 1e9


class ReleasedBertAdam:
    """BertAdam tensor by tensor, as in ArrowLuo/CLIP4Clip modules/optimization.py."""

    def __init__(self, method: Method) -> None:
        """Begin with means of 0."""
        self._named = list(method.named_parameters())
        self._means = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in self._named}

    @torch.no_grad()
    def step(self) -> None:
        """Make one step with the gradients at hand."""
        for name, parameter in self._named:
            gradient = parameter.grad
            if gradient is None:
                continue
            mean, square = self._means[name]
            nn.utils.clip_grad_norm_(parameter, 1.0)
            mean.mul_(0.9).add_(gradient, alpha=0.1)
            square.mul_(0.98).addcmul_(gradient, gradient, value=0.02)
            move = mean / (square.sqrt() + 1e-6)
            if "bias" not in name:
                move += DECAY * parameter
            parameter.add_(-(RATE * move))


def our_optimiser(method: Method) -> torch.optim.Optimizer:
    groups = parameter_groups(
        method,
        learning_rate=RATE,
        backbone_learning_rate=RATE,
        weight_decay=DECAY,
        decay="all_but_biases",
    )
    optimiser = build_optimiser(
        groups, algorithm="bertadam", beta1=0.9, beta2=0.98, epsilon=1e-6, clip_norm=1.0
    )
    assert isinstance(optimiser, BertAdam)
    set_rates(optimiser, 1.0)
    return optimiser


class Sentences:
    """Made-up sentences of 5 to 32 tokens, as captions are mostly short, and pictures."""

    def __init__(self, videos: int, frames: int) -> None:
        """Make so many of both."""
        generator = torch.Generator().manual_seed(0)
        lengths = torch.randint(5, 16, (videos, 1), generator=generator)
        self.mask = torch.arange(WORDS) < lengths
        self.ids = torch.randint(1, 40_000, (videos, WORDS), generator=generator)
        self.pixels = torch.randn(videos, frames, 3, 224, 224, generator=generator)
        self.seen = torch.ones(videos, frames, dtype=torch.bool)
        self.times = torch.arange(frames, dtype=torch.float64).repeat(videos, 1)


def released_loss(method: Method, words: TokenSet, frames: TokenSet) -> Tensor:
    """Weights and unit tokens, all products, cross-entropy both ways."""
    text, video = (
        method.prepare_text({"word": words})["word"],
        method.prepare_video({"frame": frames})["frame"],
    )
    logits = released_wti(text, video) * method.scale
    diagonal = torch.arange(len(logits))
    return (F.cross_entropy(logits, diagonal) + F.cross_entropy(logits.T, diagonal)) / 2


def released_features(method: Drl, batch: Sentences) -> tuple[TokenSet, TokenSet]:
    towers = method.towers
    everything = torch.ones_like(batch.mask)
    words = TokenSet(towers.encode_text(batch.ids, everything), batch.mask)
    classes = towers.encode_frames(batch.pixels, batch.seen)[:, :, 0]
    return words, TokenSet(method.temporal(classes, batch.seen), batch.seen)


def released_step(method: Drl, optimiser: ReleasedBertAdam, batch: Sentences) -> None:
    loss = released_loss(method, *released_features(method, batch))
    with torch.autograd.detect_anomaly(check_nan=True):
        torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(method.parameters(), 1.0)
    optimiser.step()
    method.zero_grad(set_to_none=True)


def our_step(method: Drl, optimiser: torch.optim.Optimizer, batch: Sentences, dtype: torch.dtype) -> None:
    width = int(batch.mask.sum(dim=1).max())
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        text = method.text_features(batch.ids[:, :width], batch.mask[:, :width])
        video = method.video_features(batch.pixels, batch.seen, batch.times)
    loss = method.loss(method.prepare_text(text), method.prepare_video(video))["loss"]
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(method.parameters(), 1.0)
    optimiser.step()


class Outside:
    """What comes behind the towers: heads, similarity, loss, their gradients, and the optimiser's step."""

    def __init__(self, method: Drl) -> None:
        """Make features of 128 pairs, and gradients for all parameters."""
        self.method = method
        self.batch = Sentences(VIDEOS, 1)
        self.seen = torch.ones(VIDEOS, FRAMES, dtype=torch.bool)
        generator = torch.Generator().manual_seed(1)
        self.words = torch.randn(VIDEOS, WORDS, 512, generator=generator, requires_grad=True)
        self.frames = torch.randn(VIDEOS, FRAMES, 512, generator=generator, requires_grad=True)
        for parameter in method.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 1e-4

    def _step(self, loss: Tensor, optimiser: Any) -> None:
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.method.parameters(), 1.0)
        optimiser.step()

    def released(self, optimiser: ReleasedBertAdam) -> None:
        """As released."""
        frames = TokenSet(self.method.temporal(self.frames, self.seen), self.seen)
        self._step(released_loss(self.method, TokenSet(self.words, self.batch.mask), frames), optimiser)

    def ours(self, optimiser: torch.optim.Optimizer) -> None:
        """As trained here."""
        width, method = int(self.batch.mask.sum(dim=1).max()), self.method
        text = TokenSet(self.words[:, :width], self.batch.mask[:, :width])
        video = TokenSet(method.temporal(self.frames, self.seen), self.seen)
        prepared = method.prepare_text({"word": text}), method.prepare_video({"frame": video})
        self._step(method.loss(*prepared)["loss"], optimiser)


def product(dtype: torch.dtype) -> Callable[[], object]:
    """A linear layer of the image tower on the tokens of 128 frames: what most of a step consists of."""
    return partial(F.linear, *(torch.ones(*size, dtype=dtype) for size in PRODUCT))


def measure(videos: int, frames: int, rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    method = Drl(ClipTowers(CLIPConfig()), cdcr="none")
    method.train()
    theirs, ours = ReleasedBertAdam(method), our_optimiser(method)
    # First, as copies of the model below leave a heap behind that lends memory faster.
    behind = Outside(method)
    outside = take_turns(
        {"released": partial(behind.released, theirs), "ours": partial(behind.ours, ours)}, rounds
    )
    optimisers = take_turns({"released": theirs.step, "ours": ours.step}, rounds)
    del behind
    batch = Sentences(videos, frames)
    whole: dict[str, Callable[[], None]] = {
        "released": partial(released_step, method, theirs, batch),
        "fp32": partial(our_step, method, ours, batch, torch.float32),
    }
    products = {"fp32": product(torch.float32)}
    if "avx512_bf16" in features() or "amx_bf16" in features():
        products["bf16"] = product(torch.bfloat16)
        for way in ("bf16", "bf16 compiled"):
            copied = copy.deepcopy(method)
            set_attention(copied, "sdpa", torch.bfloat16)
            wrap_blocks(copied, compiled="compiled" in way)
            whole[way] = partial(our_step, copied, our_optimiser(copied), batch, torch.bfloat16)
            # The first step compiles.
            whole[way]()
    steps = take_turns(whole, rounds)
    rates = {way: PRODUCT_GFLOP / min(spent) for way, spent in take_turns(products, 5).items()}
    parts = {"whole": steps, "outside": outside, "optimiser": optimisers}
    seconds = {
        part: {way: round(min(spent), 4) for way, spent in ways.items()} for part, ways in parts.items()
    }
    return {
        "videos": videos,
        "frames": frames,
        "parameters": sum(parameter.numel() for parameter in method.parameters()),
        "seconds": seconds,
        "gflop_a_second": {way: round(rate, 1) for way, rate in rates.items()},
    }


def page(measured: dict[str, Any]) -> str:
    seconds, rows = measured["seconds"], []
    for way in (way for way in seconds["whole"] if way != "released"):
        ratio = seconds["whole"]["released"] / seconds["whole"][way]
        size = f"{measured['videos']} x {measured['frames']}"
        target = TARGETS.get(way, "")
        rows.append(["whole step", size, f"ours, {way}", *_ratio(seconds["whole"], way, ratio), target])
    for part, name in (("outside", "outside the towers"), ("optimiser", "its optimiser alone")):
        ratio = seconds[part]["released"] / seconds[part]["ours"]
        target = TARGETS.get(part, "")
        rows.append(
            [name, f"{VIDEOS} x {FRAMES}", "ours, fp32", *_ratio(seconds[part], "ours", ratio), target]
        )
    head = ["part", "videos x frames", "way", "released s", "ours s", "times faster", "target"]
    about = (
        f"`{measured['command']}` on {where(measured)}, {measured['class']}. DRL with WTI on ViT-B/32, "
        f"{measured['parameters'] / 1e6:.1f} M parameters, sentences of 5 to 15 tokens, padded to {WORDS} by "
        "the released formulation, which is restated in plain torch with the same towers (fp32, "
        "`detect_anomaly` around the backward pass, BertAdam tensor by tensor). One thread, CPU time, ways "
        "taking turns, least of the rounds."
    )
    rates = measured["gflop_a_second"]
    roof = ", ".join(f"{rate:.0f} GFLOP/s in {way}" for way, rate in rates.items())
    limit = (
        f"The product of a linear layer alone, which most of a step consists of, runs at {roof} in the same "
        "run: no more than their ratio can be gained by the number type."
    )
    return "\n".join(
        [
            "# A training step beside the released formulation",
            "",
            about,
            "",
            *rows_of(head, rows, left=3),
            "",
            limit,
            "",
        ]
    )


def _ratio(seconds: dict[str, float], way: str, ratio: float) -> list[str]:
    return [f"{seconds['released']:.2f}", f"{seconds[way]:.2f}", f"{ratio:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    measured = {"command": COMMAND, **machine(), "class": processor_class(features()), "able": features()}
    measured |= measure(chosen.videos, chosen.frames, chosen.rounds)
    write_results(chosen.out, "training-step", measured, page(measured))


if __name__ == "__main__":
    main()
