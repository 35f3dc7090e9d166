"""What scoring 100,000 videos costs by each method, and what ProST and TS2-Net cost; beside the papers.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/interactions.py

writes results/interactions.json and .md. One sentence of 32 words against videos of 12 frames, 512 channels,
random tokens; a method's own similarity on prepared sets, laid out in blocks as the search lays them out, in
fp32 and in the number format that the search scans. All methods take turns; one thread, CPU time, medians.
What the black boxes need is measured on a sample and extrapolated. Then ProST beside TS2-Net at ViT-B/32's
size: features, a training step, the search of 1,000 texts among 1,000 videos. About 7 minutes on a free
processor; `--videos 1000 --rounds 1 --batch 1` takes one. With `--device cuda` a million videos, wall time of
finished work.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pyarrow as pa
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
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.index.reading import BLOCK, ScanSet, best_scan_format, scans_int8
from vidsift.index.schema import layout_of, segments_schema, token_columns
from vidsift.methods.base import Method
from vidsift.methods.catalog import build_method
from vidsift.methods.drl import complexity
from vidsift.methods.ts2net import Ts2Net
from vidsift.types import Features, TokenSet

COMMAND = command_line(__file__)
FRAMES, WORDS, DIM, PREPARED_TOGETHER = 12, 32, 512, 512
VIDEOS = {"cpu": 100_000, "cuda": 1_000_000}
HELD_MB = {"cpu": 512, "cuda": 8192}
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
    Case("ProST", "prost", {}, "(N_p N_v N_o + N_e) D", (28 * FRAMES * 12 + 3) * DIM),
    Case("X-CLIP", "xclip", {}, "(1 + N_t) (1 + N_v) D", (1 + WORDS) * (1 + FRAMES) * DIM),
    Case("TS2-Net", "ts2net", {}, "N_v D", FRAMES * DIM),
)
BLACK_BOXES = ("MLP", "XTI", "XTI, end-of-text alone (code)")


def towers_of(*, thin: bool) -> ClipTowers:
    """A CLIP of ViT-B/32's tokens and blocks; ``thin`` has them in narrow towers, which are not timed."""
    narrow = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2} if thin else {}
    return ClipTowers(CLIPConfig(projection_dim=DIM, text_config=dict(narrow), vision_config=dict(narrow)))


def questions(method: Method, count: int, device: str) -> dict[str, TokenSet]:
    """Texts of all words, as encoded."""
    ids = torch.randint(1, 1000, (count, WORDS), device=device)
    return dict(method.text_features(ids, torch.ones_like(ids, dtype=torch.bool)))


def footage(method: Method, count: int, device: str) -> dict[str, TokenSet]:
    """Videos of all frames, as encoded."""
    side = method.towers.image_size_px
    pixels = torch.randn(count, FRAMES, 3, side, side, device=device)
    mask = torch.ones(count, FRAMES, dtype=torch.bool, device=device)
    times = torch.arange(FRAMES, dtype=torch.float64, device=device).repeat(count, 1)
    return dict(method.video_features(pixels, mask, times))


def like(first: Features, rows: int) -> dict[str, TokenSet]:
    """As many rows shaped like the first of these sets, with random tokens."""
    made = {}
    for name, one in first.items():
        several = one[torch.zeros(rows, dtype=torch.int64, device=one.tokens.device)]
        made[name] = several.replace(tokens=torch.randn_like(several.tokens))
    return made


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
            self.method.similarity(self.text, {name: one.block(number) for name, one in self.sets.items()})


def hold(method: Method, first: Features, wanted: str, videos: int, device: str) -> Held:
    """Lay out random videos as the search does."""
    compact = method.compact_video(method.prepare_video(first))
    kinds: dict[str, Any] = {
        name: wanted if wanted != "int8" or scans_int8(method, name) else "fp32" for name in compact
    }
    widths = {"int8": 1, "bf16": 2, "fp32": 4}
    most = max(one.tokens.shape[1] for one in compact.values())
    block_size = min(max(1, FRAMES * BLOCK // most), BLOCK, videos)
    row_bytes = sum(one.tokens[0].numel() * widths[kinds[name]] for name, one in compact.items())
    blocks = -(-videos // block_size)
    kept = max(1, min(blocks, (HELD_MB[device] << 20) // (row_bytes * block_size)))
    sets = {
        name: ScanSet(kept * block_size, one, kinds[name], torch.device(device), block_size)
        for name, one in compact.items()
    }
    for at in range(0, kept * block_size, PREPARED_TOGETHER):
        rows = min(PREPARED_TOGETHER, kept * block_size - at)
        part = method.compact_video(method.prepare_video(like(first, rows)))
        for name, one in part.items():
            sets[name].put(torch.arange(at, at + rows, device=device), one)
    for scanned in sets.values():
        scanned.finish()
    text = method.prepare_text(questions(method, 1, device))
    kind = "/".join(dict.fromkeys(kinds.values()))
    return Held(method, text, sets, kind, blocks * block_size, kept, block_size)


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
            if wanted == "fp32" or case.label not in BLACK_BOXES:
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
    works = {"\n".join(key): one.score for key, one in held.items()}
    spent = take_turns(works, rounds, clock=clock_of(device))
    for row in rows:
        for role, wanted in (("fp32", "fp32"), ("search", fast)):
            key = (str(row["method"]), wanted)
            if key in held:
                one, seconds = held[key], spent["\n".join(key)]
                row[role] = {
                    "format": one.kind,
                    "seconds": median(seconds) * videos / one.videos,
                    "spread": (max(seconds) - min(seconds)) / median(seconds),
                    "extra_mb": peak_extra_mb(one.score, device),
                }
        print(row, flush=True)
    return rows


def search_of_peers(methods: Mapping[str, Method], rounds: int, device: str) -> dict[str, float]:
    """Seconds for 1,000 texts and 1,000 videos, from 8 texts; TS2-Net also as released, from 100 videos.

    There the transformer behind the selected tokens stands inside the similarity, so that it runs again for
    every batch of texts: LiuRicky/ts2_net modules/modeling.py, _loose_similarity; batches of 8 as in
    scripts/run_msrvtt.sh.
    """
    works: dict[str, Callable[[], Any]] = {}
    for name, method in methods.items():
        text = method.prepare_text(like(questions(method, 1, device), 8))
        video = method.prepare_video(like(footage(method, 1, device), 1000))
        works[name] = partial(method.similarity, text, video)
    released = methods["TS2-Net"]
    assert isinstance(released, Ts2Net)
    chosen = torch.randn(100, FRAMES, 4, DIM, device=device)
    mask = torch.ones(100, FRAMES, dtype=torch.bool, device=device)
    sentence = released.prepare_text(like(questions(released, 1, device), 8))

    def inside() -> None:
        frames = released.frame_set(chosen, mask, torch.zeros(100, FRAMES, dtype=torch.float64))
        released.similarity(sentence, released.prepare_video({"frame": frames}))

    works["TS2-Net, released"] = inside
    times = {"TS2-Net, released": 1000 / 100 * 1000 / 8}
    spent = take_turns(works, rounds, clock=clock_of(device))
    return {name: median(one) * times.get(name, 1000 / 8) for name, one in spent.items()}


def training_of_peers(
    methods: Mapping[str, Method], batch: int, rounds: int, device: str
) -> Iterator[tuple[str, dict[str, float], dict[str, float | None]]]:
    """What, seconds and extra MB: features, a step of a small batch, the loss of a batch of 128."""

    def features(method: Method) -> None:
        with torch.inference_mode():
            method.eval().prepare_text(questions(method, batch, device))
            method.prepare_video(footage(method, batch, device))

    def step(method: Method) -> None:
        method.train().zero_grad(set_to_none=True)
        text = method.prepare_text(questions(method, batch, device))
        video = method.prepare_video(footage(method, batch, device))
        torch.autograd.backward(method.loss(text, video)["loss"])

    def loss(method: Method, text: Features, video: Features) -> None:
        method.train().zero_grad(set_to_none=True)
        losses = method.loss(method.prepare_text(text), method.prepare_video(video))
        torch.autograd.backward(losses["loss"])

    both: dict[str, dict[str, Callable[[], Any]]] = {
        "features": {name: partial(features, one) for name, one in methods.items()},
        "step": {name: partial(step, one) for name, one in methods.items()},
        "loss": {},
    }
    for name, one in methods.items():
        with torch.no_grad():
            sides = like(questions(one, 1, device), 128), like(footage(one, 1, device), 128)
        for side in (*sides[0].values(), *sides[1].values()):
            side.tokens.requires_grad_()
        both["loss"][name] = partial(loss, one, *sides)
    with torch.enable_grad():
        for what, works in both.items():
            spent = take_turns(works, rounds, clock=clock_of(device))
            extra = {name: peak_extra_mb(work, device) for name, work in works.items()}
            yield what, {name: median(one) for name, one in spent.items()}, extra


def compare_peers(batch: int, rounds: int, device: str) -> dict[str, Any]:
    """ProST and TS2-Net around the same towers."""
    towers = towers_of(thin=False).to(device)
    arguments = {"ProST": {}, "TS2-Net": {"max_frames": FRAMES}}
    methods = {
        label: build_method(name, towers, arguments[label]).to(device).eval()
        for label, name in (("TS2-Net", "ts2net"), ("ProST", "prost"))
    }
    found: dict[str, Any] = {
        "batch": batch,
        "search": search_of_peers(methods, rounds, device),
        "extra_mb": {},
    }
    for what, seconds, extra in training_of_peers(methods, batch, rounds, device):
        found[what], found["extra_mb"][what] = seconds, extra
        print(what, seconds, extra, flush=True)
    found["step_of_128"] = {name: found["step"][name] * 128 / batch + found["loss"][name] for name in methods}
    return found


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
            one = row.get(role)
            if one is None:
                line += ["re-ranks only", "", ""]
                continue
            kind = f" ({one['format']})" if role == "search" else ""
            extra = "unknown" if one["extra_mb"] is None else f"{one['extra_mb']:.0f}"
            line += [f"{one['seconds']:.3g}{kind}", f"{one['seconds'] / base[role]['seconds']:,.1f}", extra]
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


def said_of_prost(peers: dict[str, Any]) -> str:
    """What the second table says of the supplement's claim."""
    search = peers["search"]
    ratio = {name: one["ProST"] / one["TS2-Net"] for name, one in peers.items() if _has_both(one)}
    slower, faster = ratio["search"], search["TS2-Net, released"] / search["ProST"]
    if slower > 1:
        first = f"does not hold for the methods: with prepared videos ProST takes {slower:.0f} times as long"
    else:
        first = f"holds: with prepared videos ProST takes {slower:.2f} of TS2-Net's time"
    return (
        f"That ProST searches 7 to 8 times faster than TS2-Net {first}; its similarity has "
        f"{_multiplications('ProST'):,} multiplications a pair, TS2-Net's {_multiplications('TS2-Net'):,}. "
        "The released TS2-Net runs its transformer inside the similarity, over all videos again for every 8 "
        "texts (LiuRicky/ts2_net modules/modeling.py, _loose_similarity; scripts/run_msrvtt.sh); "
        f"beside that ProST is {faster:.0f} times faster. So the claim is about that code, not about the "
        f"methods. Features cost {ratio['features']:.2f} times TS2-Net's (paper: 1.01), training "
        f"{ratio['step_of_128']:.2f} times (paper: 0.77)."
    )


def _has_both(one: object) -> bool:
    return isinstance(one, dict) and "ProST" in one and "TS2-Net" in one


def _multiplications(label: str) -> int:
    return next(case.multiplications for case in CASES if case.label == label)


def compared(peers: dict[str, Any]) -> list[str]:
    """The table of ProST and TS2-Net."""
    search = peers["search"]
    head = ["", "TS2-Net", "ProST", "ProST / TS2-Net", "paper: TS2-Net", "paper: ProST", "paper: ratio"]
    batch = peers["batch"]

    def line(what: str, first: float, second: float, paper: Sequence[str]) -> list[str]:
        return [what, f"{first:.3g} s", f"{second:.3g} s", f"{second / first:.2f}", *paper]

    told = ["3.54 s", "0.48 s", "0.14"]
    lines = [
        line("search, 1,000 x 1,000, videos prepared", search["TS2-Net"], search["ProST"], ["", "", ""]),
        line("search as TS2-Net's code does it", search["TS2-Net, released"], search["ProST"], told),
    ]
    papers = {
        "features": (f"features of {batch} videos and texts", ["47.42 s", "47.88 s", "1.01"]),
        "step": (f"forward and backward, batch {batch}", ["", "", ""]),
        "loss": ("of these, similarity and loss, batch 128", ["", "", ""]),
        "step_of_128": ("both put together for a batch of 128", ["8.1 h", "6.2 h", "0.77"]),
    }
    for what, (words, paper) in papers.items():
        lines.append(line(words, peers[what]["TS2-Net"], peers[what]["ProST"], paper))
    for what, extra in peers["extra_mb"].items():
        if None not in extra.values():
            ratio = f"{extra['ProST'] / extra['TS2-Net']:.2f}"
            cells = [f"{extra[name]:.0f} MB" for name in ("TS2-Net", "ProST")]
            lines.append([f"more memory: {papers[what][0]}", *cells, ratio, "", "", ""])
    return rows_of(head, lines)


def report(found: dict[str, Any]) -> str:
    """Compose the page."""
    rows, peers = found["rows"], found["peers"]
    clock = "CPU time" if found["device"] == "cpu" else "wall time of finished work"
    lines = [
        "# What scoring costs, method by method",
        "",
        (
            f"`{COMMAND}` on {where(found)}; one thread, {clock}, methods in turn, medians of "
            f"{found['rounds']} rounds (they differ by up to {found['spread']:.0%})."
        ),
        "",
        f"## One sentence of {WORDS} words against {found['videos']:,} videos of {FRAMES} frames, D {DIM}",
        "",
        *scored(rows),
        "",
        (
            "Prepared sets, laid out in blocks as the search lays them out. fp32 is for comparing methods; "
            f"the other columns are the search's own scan ({best_scan_format(found['device'])} here, where a "
            "method can). Rows marked with a sample are extrapolated from it in proportion: the black boxes, "
            "which the search lets re-rank the candidates of a cheap score and never scan. Of each method up "
            f"to {HELD_MB[found['device']]} MB of videos are held and gone through until all are scored; "
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
    found = {"command": COMMAND, **machine(), **sizes, "rows": rows, "peers": peers}
    write_results(chosen.results, "interactions", found, report(found))


if __name__ == "__main__":
    main()
