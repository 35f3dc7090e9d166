"""PIDRo's Table 2: parameters, multiply-adds, time and peak memory of its parts, beside the paper's figures.

    PYTHONPATH=src python benchmarks/pidro.py [--batch 8] [--rounds 3]

CLIP of ViT-B/32's size with random weights, 12 frames and 32 words, as many texts as videos; inference in
fp32. Writes results/pidro.json and results/pidro.md. Each case runs in a process of its own, so that its peak
memory is its own; CPU time, the least of the rounds. With a GPU (``--device cuda``) wall time and the
allocator's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FRAMES, WORDS = 12, 32
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


def measure(name: str, batch: int, rounds: int, device: str) -> dict[str, Any]:
    """Build one case and measure it in this process."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import CLIPConfig

    from vidsift.encoders.clip import ClipTowers
    from vidsift.methods.pidro import Pidro

    torch.manual_seed(0)
    method = Pidro(ClipTowers(CLIPConfig(projection_dim=512)), **CASES[name][0]).to(device).eval()
    embedding = method.towers.clip.text_model.embeddings.token_embedding.weight.numel()
    # The branch's last transformer, counted as if the two branches shared theirs.
    shared = 0 if method.patch_branch is None else sum(p.numel() for p in method.frame_head.parameters())
    ids = torch.randint(0, 1000, (batch, WORDS), device=device)
    mask = torch.ones(batch, WORDS, dtype=torch.bool, device=device)
    pixels = torch.randn(batch, FRAMES, 3, 224, 224, device=device)
    seen = torch.ones(batch, FRAMES, dtype=torch.bool, device=device)
    times = torch.zeros(batch, FRAMES, dtype=torch.float64, device=device)

    def pairs(rows: int) -> None:
        text = method.prepare_text(method.text_features(ids[:rows], mask[:rows]))
        video = method.prepare_video(method.video_features(pixels[:rows], seen[:rows], times[:rows]))
        method.similarity(text, video)

    seconds = []
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counted:
            pairs(1)
        for _ in range(rounds + 1):
            begin = _clock(device)
            pairs(batch)
            seconds.append(_clock(device) - begin)
    peak = (
        torch.cuda.max_memory_allocated()
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    parameters = sum(value.numel() for value in method.parameters())
    return {
        "case": name,
        "parameters_m": (parameters - embedding) / 1e6,
        "shared_parameters_m": (parameters - embedding - shared) / 1e6,
        "multiply_adds_g": counted.get_total_flops() / 2e9,
        "seconds": min(seconds[1:]),
        "peak_mb": peak / 1e6,
    }


def _clock(device: str) -> float:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def report(rows: list[dict[str, Any]], command: str, where: str) -> str:
    """Compose the page."""
    base = rows[0]
    lines = [
        "# PIDRo: what its parts cost",
        "",
        (
            f"`{command}`, {where}; {FRAMES} frames, {WORDS} words, ViT-B/32, fp32. Time and memory as "
            "ratios to the base model B; the paper's figures (V100, batch 128) in brackets. Parameters "
            "without the token embedding of 25.3 M, which is what makes the paper's base 138 M."
        ),
        "",
        (
            "| case | parameters M | of these with one transformer behind both branches | multiply-adds G | "
            "time / B | peak memory / B |"
        ),
        "|---|---|---|---|---|---|",
    ]
    first = CASES["B"][1]
    assert first is not None
    for row in rows:
        paper = CASES[row["case"]][1]
        said = [""] * 4
        if paper is not None:
            ratios = (paper[2] / first[2], paper[3] / first[3])
            said = [f" ({paper[0]:g})", f" ({paper[1]:g})", *(f" ({ratio:.2f})" for ratio in ratios)]
        lines.append(
            f"| {row['case']} | {row['parameters_m']:.1f}{said[0]} | {row['shared_parameters_m']:.1f} "
            f"| {row['multiply_adds_g']:.1f}{said[1]} | {row['seconds'] / base['seconds']:.2f}{said[2]} "
            f"| {row['peak_mb'] / base['peak_mb']:.2f}{said[3]} |"
        )
    lines += [
        "",
        (
            f"B takes {base['seconds']:.2f} s a batch and {base['peak_mb']:.0f} MB at most. `docs/pidro.md` "
            "says which reading of the text comes closest to the paper's counts, and that none meets them."
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case is not None:
        print(json.dumps(measure(chosen.case, chosen.batch, chosen.rounds, chosen.device)))
        return
    sizes = ["--batch", str(chosen.batch), "--rounds", str(chosen.rounds), "--device", chosen.device]
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    rows = []
    for name in CASES:
        command = [sys.executable, __file__, *sizes, "--case", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    command_line = " ".join(["PYTHONPATH=src python benchmarks/pidro.py", *sizes])
    where = f"{platform.machine()}, Python {platform.python_version()}"
    found = {"command": command_line, "machine": where, "rows": rows}
    chosen.results.mkdir(exist_ok=True)
    (chosen.results / "pidro.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (chosen.results / "pidro.md").write_text(report(rows, command_line, where), encoding="utf-8")


if __name__ == "__main__":
    main()
