"""PIDRo's Table 2: parameters, multiply-adds, time and peak memory of its parts, beside the paper's figures.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/pidro.py     # writes results/pidro.json and .md

CLIP of ViT-B/32's size with random weights, 12 frames and 32 words, as many texts as videos; inference in
fp32. The models stand side by side around the same towers and take turns; CPU time, medians. Then the
readings of the text that could explain the paper's counts of the T-S patch branch, counted without being
timed. About 8 minutes; `--batch 1 --rounds 1` takes one. With `--device cuda` wall time and the allocator's
peak, to results/pidro-gpu.json and .md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

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
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.methods.pidro import PatchBranch, Pidro

COMMAND = command_line(__file__)
FRAMES, WORDS, DIM = 12, 32, 512
# Arguments of the method, and the paper's parameters (M), multiply-adds (G), seconds and MB on one V100.
Case = tuple[dict[str, Any], tuple[float, float, float, float] | None]
CASES: dict[str, Case] = {
    "B": ({"routing": "none", "patches": False}, (138, 53, 22.07, 8521)),
    "B + DR": ({"patches": False}, (139, 54, 22.11, 8539)),
    "B + T-S": ({"routing": "none"}, (178, 66, 25.67, 10675)),
    "B + DR + T-S": ({}, (179, 67, 25.87, 10687)),
    "B + DR + T-S, M = 4": ({"patch_layers": 4}, (152, 58, 23.65, 10582)),
    "B + DR + T-S, K = 8": ({"patch_tokens": 8}, (179, 67, 25.71, 9092)),
    "B + DR + T-S, 512 wide": ({"patch_width": 512}, None),
    "B + DR + T-S, 512 wide, M = 4": ({"patch_width": 512, "patch_layers": 4}, None),
}
PAPER_BRANCH = {12: (40.0, 13.0), 4: (13.0, 4.0)}
"""M -> what T-S adds in Table 2, in M and G: rows B + DR + T-S less row B + DR."""


@dataclass(frozen=True)
class Reading:
    """A way to understand the text, or to count.

    Attributes:
        label: for the table.
        width: channels of the branch's temporal transformer.
        own_head: whether the transformer behind the branch is counted; the paper's may be that of the frames.
        lifts: projections where the two branches are added: one "each" layer, "one" for all, or "none"
            because the widths are the same.
        frames: tokens in a cube beside its class token.
        attention: whether what is inside attention is counted. Counters that hook onto ``nn.Linear`` miss
            ``nn.MultiheadAttention``: neither its weights nor its products are seen.
    """

    label: str
    width: int = 768
    own_head: bool = True
    lifts: str = "none"
    frames: int = FRAMES
    attention: bool = True


READINGS = (
    Reading("as the text says (the default): 768 wide, a transformer of its own behind it"),
    Reading("768 wide, the transformer behind both branches shared", own_head=False),
    Reading("768 wide, shared, attention not counted", own_head=False, attention=False),
    Reading("512 wide, a projection a layer, own", 512, lifts="each"),
    Reading("512 wide, a projection a layer, shared", 512, own_head=False, lifts="each"),
    Reading("512 wide, one projection, shared", 512, own_head=False, lifts="one"),
    Reading("512 wide, one projection, shared, attention not counted", 512, False, "one", attention=False),
    Reading("512 wide, one projection, shared, cubes of 6 frames", 512, False, "one", frames=6),
    Reading("384 wide, a projection a layer, own", 384, lifts="each"),
    Reading("384 wide, a projection a layer, shared", 384, own_head=False, lifts="each"),
)


def measure(towers: ClipTowers, batch: int, rounds: int, device: str) -> list[dict[str, Any]]:
    """Build all cases around the same towers and measure them in turn."""
    methods = {name: Pidro(towers, **case[0]).to(device).eval() for name, case in CASES.items()}
    ids = torch.randint(0, 1000, (batch, WORDS), device=device)
    pixels = torch.randn(batch, FRAMES, 3, towers.image_size_px, towers.image_size_px, device=device)
    words, frames = (torch.ones(batch, count, dtype=torch.bool, device=device) for count in (WORDS, FRAMES))
    times = torch.zeros(batch, FRAMES, dtype=torch.float64, device=device)

    def infer(method: Pidro, rows: int) -> None:
        text = method.prepare_text(method.text_features(ids[:rows], words[:rows]))
        video = method.prepare_video(method.video_features(pixels[:rows], frames[:rows], times[:rows]))
        method.similarity(text, video)

    works = {name: partial(infer, method, batch) for name, method in methods.items()}
    spent = take_turns(works, rounds, clock=clock_of(device))
    embedding = towers.clip.text_model.embeddings.token_embedding.weight.numel()
    rows = []
    for name, method in methods.items():
        with FlopCounterMode(display=False) as counted:
            infer(method, 1)
        parameters = sum(value.numel() for value in method.parameters())
        extra = peak_extra_mb(works[name], device)
        rows.append(
            {
                "case": name,
                "parameters_m": (parameters - embedding) / 1e6,
                "multiply_adds_g": counted.get_total_flops() / 2e9,
                "seconds": median(spent[name]),
                "seconds_of_rounds": spent[name],
                "extra_mb": extra,
                "peak_mb": None if extra is None else extra + parameters * 4 / 2**20,
            }
        )
        print(rows[-1], flush=True)
    return rows


@cache
def branch_counts(towers: ClipTowers, width: int, layers: int, frames: int) -> dict[str, tuple[float, float]]:
    """Count parts of a patch branch alone: millions of parameters, G multiply-adds of one video."""
    branch = PatchBranch(towers, width=width, layers=layers).eval()
    state = torch.zeros(1, frames, 1 + towers.patches, towers.vision_width)
    with FlopCounterMode(display=False) as counted:
        branch([state] * (1 + towers.vision_blocks), torch.ones(1, frames, dtype=torch.bool))
    multiply_adds_g = {name: sum(kinds.values()) / 2e9 for name, kinds in counted.get_flop_counts().items()}

    def part(*names: str) -> tuple[float, float]:
        parts: list[nn.Module] = [branch.get_submodule(name) for name in names]
        parameters = sum(value.numel() for module in parts for value in module.parameters())
        return parameters / 1e6, sum(
            multiply_adds_g.get(f"PatchBranch.{name}".rstrip("."), 0.0) for name in names
        )

    return {
        "all": part(""),
        "attention": part(*(f"blocks.{number}.self_attn" for number in range(layers))),
        "lifts": part(*(f"lifts.{number}" for number in range(layers))),
        "head": part("cube_head"),
    }


def read(towers: ClipTowers, reading: Reading) -> dict[str, Any]:
    """What a reading gives for M = 12 and 4, and by what factor the worst of the four misses the paper."""
    row: dict[str, Any] = asdict(reading)
    off = []
    for layers, paper in PAPER_BRANCH.items():
        parts = branch_counts(towers, reading.width, layers, reading.frames)
        parameters, products = parts["all"]
        if not reading.own_head:
            # The weights are there already, but they run once more.
            parameters -= parts["head"][0]
        if reading.lifts == "one":
            # Every layer multiplies by it still.
            parameters -= parts["lifts"][0] * (layers - 1) / layers
        if not reading.attention:
            parameters -= parts["attention"][0]
            products -= parts["attention"][1]
        row[f"m{layers}"] = {"parameters_m": parameters, "multiply_adds_g": products}
        off.append(max(parameters / paper[0], paper[0] / parameters))
        off.append(max(products / paper[1], paper[1] / products))
    row["off"] = {"parameters": max(off[::2]), "multiply_adds": max(off[1::2]), "both": max(off)}
    return row


def costs(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The measured table."""
    base, first = rows[0], CASES["B"][1]
    assert first is not None
    cells = []
    for row in rows:
        paper = CASES[row["case"]][1]
        said = [""] * 4
        if paper is not None:
            ratios = (paper[2] / first[2], paper[3] / first[3])
            said = [f" ({paper[0]:g})", f" ({paper[1]:g})", *(f" ({ratio:.2f})" for ratio in ratios)]
        peak = "unknown" if row["peak_mb"] is None else f"{row['peak_mb'] / base['peak_mb']:.2f}"
        cells.append(
            [
                row["case"],
                f"{row['parameters_m']:.1f}{said[0]}",
                f"{row['multiply_adds_g']:.1f}{said[1]}",
                f"{row['seconds'] / base['seconds']:.2f}{said[2]}",
                f"{peak}{said[3]}",
            ]
        )
    return rows_of(["case", "parameters M", "multiply-adds G", "time / B", "peak memory / B"], cells)


def readings(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The counted table, and what comes closest."""
    head = [
        "what T-S adds",
        "M = 12: parameters M",
        "multiply-adds G",
        "M = 4: parameters M",
        "multiply-adds G",
    ]
    cells: list[list[object]] = [["**the paper**"]]
    for paper in PAPER_BRANCH.values():
        cells[0] += [f"**{number:g}**" for number in paper]
    cells[0].append("")
    for row in rows:
        counts = [f"{row[f'm{layers}'][name]:.1f}" for layers in PAPER_BRANCH for name in row["m12"]]
        cells.append([row["label"], *counts, f"{row['off']['both']:.1f} x"])
    lines = [*rows_of([*head, "off by at most"], cells), ""]
    for name, words in (("parameters", "Parameters"), ("multiply_adds", "Multiply-adds"), ("both", "Both")):
        best = min(rows, key=lambda row: row["off"][name])
        lines.append(f"{words} come closest with: {best['label']} (within {best['off'][name]:.2f} x).")
    return lines


def report(measured: dict[str, Any]) -> str:
    """Compose the page."""
    base = measured["rows"][0]
    peak = "unknown" if base["peak_mb"] is None else f"{base['peak_mb']:.0f} MB"
    counts = {row["case"]: row["multiply_adds_g"] for row in measured["rows"]}
    saved = counts["B + T-S"] - counts["B"] - measured["readings"][0]["m12"]["multiply_adds_g"]
    lines = [
        "# PIDRo: what its parts cost",
        "",
        (
            f"`{COMMAND}` on {where(measured)}; {FRAMES} frames, {WORDS} words, ViT-B/32, fp32, batch "
            f"{measured['batch']}. Time (median of {measured['rounds']} rounds) and peak memory (weights, "
            "and what the batch takes beside them) as ratios to the base model B; the paper's figures (V100, "
            "batch 128) in brackets. Parameters without the token embedding of 25.3 M, which is what makes "
            "the paper's base 138 M. Multiply-adds of one video and one sentence; on a CPU those of tokens "
            "with tokens inside the towers' attention, 1 %, are not counted."
        ),
        "",
        *costs(measured["rows"]),
        "",
        (
            f"B takes {base['seconds']:.2f} s a batch and {peak} at most. Without a patch branch the last "
            f"block of the image tower is run for the class tokens alone, which saves {saved:.1f} G; the "
            "branch needs all patches, so with it this cost comes back, here and not in the paper."
        ),
        "",
        "## Readings of the T-S patch branch",
        "",
        "Counted on the branch alone. The paper's: row B + DR + T-S, M as given, less row B + DR.",
        "",
        *readings(measured["readings"]),
        "",
        "What follows from it is in `docs/pidro.md`.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    towers = ClipTowers(CLIPConfig(projection_dim=DIM)).eval()
    counted = [read(towers, reading) for reading in READINGS]
    rows = measure(towers.to(chosen.device), chosen.batch, chosen.rounds, chosen.device)
    sizes = {"batch": chosen.batch, "rounds": chosen.rounds}
    measured = {"command": COMMAND, **machine(chosen.device), **sizes, "rows": rows, "readings": counted}
    write_results(chosen.results, "pidro", measured, report(measured), chosen.device)


if __name__ == "__main__":
    main()
