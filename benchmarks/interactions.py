"""What scoring 100,000 videos costs by each method, and what ProST and TS2-Net cost; beside the papers.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/interactions.py

writes results/interactions.json and .md. One sentence of 32 words against videos of 12 frames, 512 channels,
random tokens; a method's own similarity on prepared sets, laid out in blocks as the search lays them out, in
fp32 and in the number format that the search scans. All methods take turns; one thread, CPU time, medians.
What the black boxes need is measured on a sample and extrapolated. Then ProST beside TS2-Net at ViT-B/32's
size: features, a training step, the search of 1,000 texts among 1,000 videos. About 7 minutes on a free
processor; `--videos 1000 --rounds 1 --batch 1` takes one. With `--device cuda` a million videos, wall time of
finished work, to results/interactions-gpu.json and .md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pyarrow as pa
import torch
from made_up import DIM, FRAMES, WORDS, footage, like, questions, towers_of
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
from prost_ts2net import MULTIPLICATIONS, compare_peers, compared, said_of_prost

from vidsift.index.schema import layout_of, segments_schema, token_columns
from vidsift.methods.base import Method
from vidsift.methods.catalog import build_method
from vidsift.methods.drl import complexity
from vidsift.search.gallery import ScanSet, best_scan_format, block_of, scans_int8
from vidsift.types import Features

COMMAND = command_line(__file__)
PREPARED_TOGETHER = 512
VIDEOS = {"cpu": 100_000, "cuda": 1_000_000}
HELD_MB = 512
"""Videos kept of each method; where all would take more, these are gone through again and again."""


@dataclass(frozen=True)
class Case:
    """A method to score with.

    Attributes:
        label: for the table.
        name: in the catalogue.
        arguments: of the method.
        formula: multiplications for a pair, as its paper counts or would count them.
        multiplications: the same as a number.
        paper_ms: DRL's Table 2, a million videos on a V100.
        sample: videos that are scored, where all would take too long.
    """

    label: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    formula: str = ""
    multiplications: int = 0
    paper_ms: float | None = None
    sample: int | None = None


def _drl(kind: Any, formula: str, paper_ms: float, sample: int | None = None, **arguments: Any) -> Case:
    arguments = {"interaction": kind, "max_frames": FRAMES} | arguments
    return Case(
        kind.upper(), "drl", arguments, formula, complexity(kind)[0], paper_ms=paper_ms, sample=sample
    )


CASES = (
    _drl("dp", "D", 415),
    _drl("hi", "S D", 531),
    _drl("mlp", "L D^2 + D", 25_304, sample=20_000),
    _drl("xti", "(N D^2 + N^2 D) L, N = N_t + N_v", 80_453, sample=192, cross_text="word"),
    Case(
        "XTI, end-of-text alone (code)",
        "drl",
        {"interaction": "xti", "max_frames": FRAMES},
        "the same, N = 1 + N_v",
        complexity("xti", words=1)[0],
        sample=384,
    ),
    _drl("ti", "N_t N_v D", 536),
    _drl("wti", "N_t N_v D + N_t + N_v", 565),
    Case("PIDRo", "pidro", {}, "N_t (N_v + 49) D", WORDS * (FRAMES + 49) * DIM),
    Case("ProST", "prost", {}, "(N_p N_v N_o + N_e) D", MULTIPLICATIONS["ProST"]),
    Case("X-CLIP", "xclip", {}, "(1 + N_t) (1 + N_v) D", (1 + WORDS) * (1 + FRAMES) * DIM),
    Case("TS2-Net", "ts2net", {}, "N_v D", MULTIPLICATIONS["TS2-Net"]),
)
BLACK_BOXES = ("MLP", "XTI", "XTI, end-of-text alone (code)")


@dataclass(frozen=True)
class Held:
    """Videos of one method, as the search keeps them.

    Attributes:
        method: theirs.
        text: one prepared sentence.
        sets: video sets in blocks.
        kind: number format of the sets.
        videos: to be scored in a round: whole blocks, so perhaps some more than asked for.
        blocks: how many blocks are held.
        block_size: videos in each.
    """

    method: Method
    text: Features
    sets: Mapping[str, ScanSet]
    kind: str
    videos: int
    blocks: int
    block_size: int

    def score(self) -> None:
        """Score all videos, block after block."""
        numbers = cycle(range(self.blocks))
        for _ in range(self.videos // self.block_size):
            number = next(numbers)
            self.method.similarity(
                self.text, {name: scan_set.block(number) for name, scan_set in self.sets.items()}
            )


def hold(method: Method, first: Features, wanted: str, videos: int, device: str) -> Held:
    """Lay out random videos as the search does."""
    compact = method.compact_video(method.prepare_video(first))
    kinds: dict[str, Any] = {
        name: wanted if wanted != "int8" or scans_int8(method, name) else "fp32" for name in compact
    }
    widths = {"int8": 1, "bf16": 2, "fp32": 4}
    most = max(token_set.tokens.shape[1] for token_set in compact.values())
    longest = block_of(device)
    block_size = min(max(1, FRAMES * longest // most), longest, videos)
    row_bytes = sum(token_set.tokens[0].numel() * widths[kinds[name]] for name, token_set in compact.items())
    blocks = -(-videos // block_size)
    held_blocks = max(1, min(blocks, (HELD_MB << 20) // (row_bytes * block_size)))
    sets = {
        name: ScanSet(held_blocks * block_size, token_set, kinds[name], torch.device(device), block_size)
        for name, token_set in compact.items()
    }
    # The same rows again and again, each in its own place: to time it takes places, not values.
    part = method.compact_video(method.prepare_video(like(first, PREPARED_TOGETHER)))
    for at in range(0, held_blocks * block_size, PREPARED_TOGETHER):
        places = torch.arange(at, min(at + PREPARED_TOGETHER, held_blocks * block_size), device=device)
        for name, token_set in part.items():
            sets[name].put(places, token_set[: len(places)])
    for scanned in sets.values():
        scanned.finish()
    text = method.prepare_text(questions(method, 1, device))
    kind = "/".join(dict.fromkeys(kinds.values()))
    return Held(method, text, sets, kind, blocks * block_size, held_blocks, block_size)


def stored_bytes(prepared: Features) -> int:
    """What the index stores of a video's sets."""
    sets = layout_of(prepared)
    schema = segments_schema(sets)

    def width(kind: pa.DataType) -> int:
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size) * int(kind.value_type.bit_width) // 8
        return int(kind.byte_width)

    return sum(width(schema.field(name).type) for name in token_columns(sets))


def score_all(videos: int, rounds: int, device: str) -> list[dict[str, Any]]:
    """Time and memory of all methods, one after the other in every round."""
    thin = towers_of(thin=True).to(device)
    fast = best_scan_format(device)
    held: dict[tuple[str, str], Held] = {}
    rows = []
    for case in CASES:
        method = build_method(case.name, thin, case.arguments).to(device).eval()
        first = footage(method, 1, device)
        sample = videos if case.sample is None else min(videos, case.sample * (64 if device == "cuda" else 1))
        for wanted in dict.fromkeys(("fp32", fast)):
            able = wanted != "int8" or any(scans_int8(method, name) for name in method.video_preparers)
            if wanted == "fp32" or (able and case.label not in BLACK_BOXES):
                held[case.label, wanted] = hold(method, first, wanted, sample, device)
        rows.append(
            {
                "method": case.label,
                "formula": case.formula,
                "multiplications": case.multiplications,
                "paper_ms": case.paper_ms,
                "sample": None if sample == videos else sample,
                "stored_bytes": stored_bytes(method.prepare_video(first)),
            }
        )
        print("laid out:", case.label, flush=True)
    works = {"\n".join(key): laid_out.score for key, laid_out in held.items()}
    spent = take_turns(works, rounds, clock=clock_of(device))
    for row in rows:
        for role, wanted in (("fp32", "fp32"), ("search", fast)):
            label = str(row["method"])
            key = (label, wanted if (label, wanted) in held else "fp32")
            if role == "fp32" or label not in BLACK_BOXES:
                laid_out, seconds = held[key], spent["\n".join(key)]
                row[role] = {
                    "format": laid_out.kind,
                    "seconds": median(seconds) * videos / laid_out.videos,
                    "spread": (max(seconds) - min(seconds)) / median(seconds),
                    "extra_mb": peak_extra_mb(laid_out.score, device),
                }
        print(row, flush=True)
    return rows


def scored(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table of all methods."""
    base = rows[0]
    head = [
        "method",
        "multiplications a pair",
        "as a number / DP's",
        "stored bytes a video",
        "fp32 s",
        "/ DP",
    ]
    head += ["more MB", "as the search scans, s", "/ DP", "more MB", "V100 / DP (DRL's Table 2)"]
    cells = []
    for row in rows:
        line = [row["method"] + ("" if row["sample"] is None else f" (from {row['sample']:,} videos)")]
        line += [row["formula"], f"{row['multiplications'] / base['multiplications']:,.0f}"]
        line += [f"{row['stored_bytes']:,}"]
        for role in ("fp32", "search"):
            timing = row.get(role)
            if timing is None:
                line += ["re-ranks only", "", ""]
                continue
            kind = f" ({timing['format']})" if role == "search" else ""
            extra = "unknown" if timing["extra_mb"] is None else f"{timing['extra_mb']:.0f}"
            seconds = f"{timing['seconds']:,.0f}" if timing["seconds"] >= 100 else f"{timing['seconds']:.3g}"
            line += [seconds + kind, f"{timing['seconds'] / base[role]['seconds']:,.1f}", extra]
        paper = row["paper_ms"]
        line.append("" if paper is None else f"{paper / base['paper_ms']:.2f}")
        cells.append(line)
    return rows_of(head, cells, left=2)


def said_of_drl(rows: Sequence[dict[str, Any]], base: float) -> str:
    """What the table says of DRL's Table 2."""
    by_name = {row["method"]: row for row in rows if row["paper_ms"] is not None}
    ours = {name: row["fp32"]["seconds"] / base for name, row in by_name.items()}
    theirs = {name: row["paper_ms"] / by_name["DP"]["paper_ms"] for name, row in by_name.items()}
    order = sorted(ours, key=ours.__getitem__)
    same = order == sorted(theirs, key=theirs.__getitem__)
    cheap = [f"{name} {ours[name]:.1f} ({theirs[name]:.2f})" for name in ("HI", "TI", "WTI")]
    dear = [f"{name} {ours[name]:,.0f} ({theirs[name]:.0f})" for name in ("MLP", "XTI")]
    scan = by_name["WTI"]["search"]["seconds"] / by_name["DP"]["search"]["seconds"]
    return (
        f"DRL's Table 2, times DP's cost, the paper's in brackets: {', '.join(cheap + dear)}. The order, "
        f"{' < '.join(order)}, is {'the same' if same else 'not the same'} as the paper's; WTI costs "
        f"{ours['WTI'] / ours['TI']:.2f} times TI (paper: {theirs['WTI'] / theirs['TI']:.2f}), and black "
        "boxes cannot search a gallery here either. But that token-wise costs hardly more than a dot product "
        f"{'does not hold' if ours['TI'] > 2 else 'holds'} here. The paper's ratios cannot come from the "
        "operations, of which TI has 384 times DP's: its 415 ms must be nearly all something else, since the "
        "million vectors of DP are 2 GB, which a V100 reads in about 2 ms. As the search scans, WTI takes "
        f"{scan:.1f} times DP's time."
    )


def report(measured: dict[str, Any]) -> str:
    """Compose the page."""
    rows, peers = measured["rows"], measured["peers"]
    clock = "CPU time" if measured["device"] == "cpu" else "wall time of finished work"
    lines = [
        "# What scoring costs, method by method",
        "",
        (
            f"`{COMMAND}` on {where(measured)}; one thread, {clock}, methods in turn, medians of "
            f"{measured['rounds']} rounds (they differ by up to {measured['spread']:.0%})."
        ),
        "",
        f"## One sentence of {WORDS} words against {measured['videos']:,} videos of {FRAMES} frames, D {DIM}",
        "",
        *scored(rows),
        "",
        (
            "Prepared sets, laid out in blocks as the search lays them out. fp32 is for comparing methods; "
            f"the other columns are the search's own scan ({best_scan_format(measured['device'])} here, "
            "where a method can). Rows marked with a sample are extrapolated from it in proportion: the "
            "black boxes, which the search lets re-rank the candidates of a cheap score and never scan. "
            f"Of each method up to {HELD_MB} MB of videos are held and gone through until all are scored; "
            "more MB is the growth of the peak while scoring. S = 3, L = 4, N_t = 32, N_v = 12; 49 patches "
            "of PIDRo; ProST has N_p = 28 phrases, N_o = 12 objects a frame and N_e = 3 events. The formulas "
            "are DRL's (Table 1), for the last four the same way of counting."
        ),
        "",
        said_of_drl(rows, rows[0]["fp32"]["seconds"]),
        "",
        "## ProST and TS2-Net",
        "",
        *compared(peers),
        "",
        (
            "ViT-B/32, random weights, fp32. Searches are extrapolated from 8 texts (as released: from 100 "
            "videos). Beside it the supplement's Table 1: A100, MSR-VTT; its hours are whole trainings."
        ),
        "",
        said_of_prost(peers),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, help="100,000, on a GPU a million, unless said")
    parser.add_argument("--rounds", type=int, default=5, help="3 of them for ProST and TS2-Net")
    parser.add_argument("--batch", type=int, default=4, help="videos in a training step")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    videos = chosen.videos or VIDEOS[chosen.device]
    with torch.inference_mode():
        rows = score_all(videos, chosen.rounds, chosen.device)
    with torch.no_grad():
        peers = compare_peers(chosen.batch, min(chosen.rounds, 3), chosen.device)
    spread = max(row[role]["spread"] for row in rows for role in ("fp32", "search") if role in row)
    sizes = {"device": chosen.device, "videos": videos, "rounds": chosen.rounds, "spread": spread}
    measured = {"command": COMMAND, **machine(chosen.device), **sizes, "rows": rows, "peers": peers}
    write_results(chosen.results, "interactions", measured, report(measured), chosen.device)


if __name__ == "__main__":
    main()
