"""Search by WTI over many segments: CPU time, memory and agreement beside the released formula.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/search.py     # its class's part of results/search.md

One thread, CPU time of the process, the ways taking turns; the least of the rounds counts. The released way
(DRL, foolwood/DRL tvr/models/modeling.py, wti_interaction) builds texts x videos x words x frames with
words padded to 32; over more than 20,000 segments it is run in parts, since it would not fit into memory.
Our way is the whole search: scan of every segment, choice of the best, and their exact scores from the
stored tokens.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
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
    take_turns,
    where,
    write_by_class,
)
from released import released_wti
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import train_tokenizer
from vidsift.index.encode import segment_table
from vidsift.index.manifest import Manifest
from vidsift.index.schema import FileRecord, layout_of
from vidsift.index.storage import Store
from vidsift.interactions.batches import concatenate_features
from vidsift.interactions.quantised import product
from vidsift.methods.model import Model
from vidsift.search.gallery import BLOCK
from vidsift.search.questions import Question
from vidsift.search.scan import scan, scanned_together
from vidsift.search.searcher import Index
from vidsift.types import TokenSet

COMMAND = command_line(__file__)
TITLE = "Search by WTI"
FRAMES, DIM, PADDED_WORDS, PART, HITS = 12, 512, 32, 20_000, 10
TARGETS = {1: 6.0, 32: 8.0}
EXTRA_MB, AGREEMENT = 64, 0.999


def tokens(rows: int, count: int, rng: torch.Generator, centres: torch.Tensor, spread: float) -> torch.Tensor:
    """Unit tokens around the centres, in a common cone as CLIP's are: ``(rows, count, DIM)``."""
    cone = torch.zeros(DIM)
    cone[0] = 0.6
    scattered = centres[:, None] + spread * torch.randn(rows, count, DIM, generator=rng) / DIM**0.5
    return torch.nn.functional.normalize(scattered + cone, dim=-1)


def videos(rows: int, seed: int) -> dict[str, TokenSet]:
    rng = torch.Generator().manual_seed(seed)
    centres = torch.nn.functional.normalize(torch.randn(rows, DIM, generator=rng), dim=-1)
    weights = torch.softmax(torch.randn(rows, FRAMES, generator=rng), dim=1)
    times = torch.arange(FRAMES).double().expand(rows, -1).contiguous()
    mask = torch.ones(rows, FRAMES, dtype=torch.bool)
    frame = torch.arange(FRAMES).expand(rows, -1).contiguous()
    return {"frame": TokenSet(tokens(rows, FRAMES, rng, centres, 0.5), mask, weights, times, frame)}


def texts(count: int, seed: int, library: int) -> list[dict[str, TokenSet]]:
    """Prepared queries as long as the MSR-VTT 1k-A captions: mean 11.6, median 11, 90 % up to 17."""
    rng = torch.Generator().manual_seed(seed)
    lengths = np.random.default_rng(seed).gamma(7.5, 1.56, count).round().clip(4, PADDED_WORDS).astype(int)
    made = []
    for length in lengths.tolist():
        about = torch.randint(library, (1,), generator=rng)
        near = centres_of(about) * 0.35
        made.append(
            {
                "word": TokenSet(
                    tokens(1, length, rng, near, 0.8),
                    torch.ones(1, length, dtype=torch.bool),
                    torch.softmax(torch.randn(1, length, generator=rng), dim=1),
                )
            }
        )
    return made


def centres_of(rows: torch.Tensor) -> torch.Tensor:
    """Centres of videos of the first part, which the texts are about."""
    rng = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(PART, DIM, generator=rng), dim=-1)[rows % PART]


def model() -> Model:
    """A DRL with WTI over 512 channels; its towers are never run."""
    words = train_tokenizer(["a dog"], 540)
    text = {"vocab_size": words.vocabulary_size, "hidden_size": 16, "intermediate_size": 16}
    small = {"num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {"hidden_size": 16, "intermediate_size": 16, "image_size": 16, "patch_size": 8}
    ids = {"bos_token_id": words.start_id, "eos_token_id": words.end_id}
    config = CLIPConfig(projection_dim=DIM, text_config=text | small | ids, vision_config=vision | small)
    return Model.create("drl", ClipTowers(config), words, PixelNorm(16), arguments={"interaction": "wti"})


def build(folder: Path, loaded: Model, rows: int, thumbnail: bytes = b"") -> Index:
    first = videos(4, 0)
    manifest = Manifest(
        "",
        loaded.name,
        loaded.method_name,
        loaded.fingerprint,
        "auto",
        loaded.preprocessing.to_dict(),
        layout_of(first),
    )
    store = Store.create(folder, manifest)
    for part in range(0, rows, PART):
        count = min(PART, rows - part)
        names = [f"{part + row:032x}" for row in range(count)]
        facts = [
            {
                "segment_id": f"{name}-0",
                "video_id": name,
                "start_seconds": 0.0,
                "end_seconds": 12.0,
                "duration_seconds": 12.0,
                "width_px": 1280,
                "height_px": 720,
                "codec": "h264",
                "fps": 30.0,
                "thumbnail": thumbnail,
            }
            for name in names
        ]
        table = segment_table(facts, videos(count, part), manifest.sets)
        store.commit(table, [FileRecord(f"/videos/{name}.mp4", 1, 1, name) for name in names])
    return Index(Store.open(folder), loaded)


def padded(queries: list[dict[str, TokenSet]]) -> TokenSet:
    both = concatenate_features(queries)["word"]
    missing = PADDED_WORDS - both.tokens.shape[1]
    pad = torch.nn.functional.pad
    assert both.weights is not None
    return TokenSet(
        pad(both.tokens, (0, 0, 0, missing)), pad(both.mask, (0, missing)), pad(both.weights, (0, missing))
    )


def gemm_alone(index: Index, queries: list[dict[str, TokenSet]]) -> Callable[[], Any]:
    """The multiplications of the scan and nothing else, in its number format and blocks."""
    words = torch.cat([query["word"].tokens[0] for query in queries])
    blocks = [index.gallery.block(number)["frame"] for number in range(index.gallery.blocks)]
    if blocks[0].scale is not None:
        words = (words * 127).round().to(torch.int8)
    same = words.to(blocks[0].tokens.dtype)
    flat = [(block.tokens.transpose(0, 1).flatten(0, 1), block.packed) for block in blocks]
    return lambda: [product(same, tokens, packed) for tokens, packed in flat]


def measure(index: Index, parts: list[TokenSet], count: int, rounds: int) -> dict[str, Any]:
    queries = texts(count, 7, PART)
    wide = padded(queries)
    together = scanned_together([Question((query,)) for query in queries])
    groups = [concatenate_features([question.texts[0] for question in group]) for group in together]
    everything = np.ones(len(index.gallery), bool)
    method = index.model.method
    ways: dict[str, Callable[[], Any]] = {
        "released": lambda: [released_wti(wide, part) for part in parts],
        "search": lambda: index.rank(queries, HITS, everything),
        "scan": lambda: [scan(index.gallery, method, group, everything, 1024) for group in groups],
        "gemm": gemm_alone(index, queries),
    }
    for name in ("search", "gemm"):
        ways[name]()
    best = {name: min(times) for name, times in take_turns(ways, rounds, warm=0).items()}
    return {
        "segments": len(index.gallery),
        "queries": count,
        "cpu_ms": {name: round(value * 1000, 1) for name, value in best.items()},
        "times_faster": round(best["released"] / best["search"], 2),
        "target": TARGETS[count],
        "share_of_gemm": round(best["gemm"] / best["scan"], 3),
        "extra_mb": peak_extra_mb(ways["search"]),
        "rounds": rounds,
    }


def agreement(index: Index, parts: list[TokenSet], count: int) -> dict[str, Any]:
    """How often the top ten are those of fp32 throughout."""
    everything = np.ones(len(index.gallery), bool)
    same = ordered = 0
    for start in range(0, count, 32):
        queries = texts(min(32, count - start), 1000 + start, PART)
        ours = index.rank(queries, HITS, everything)
        together = concatenate_features(queries)
        scores = torch.cat(
            [
                index.model.method.similarity(together, {"frame": part[at : at + BLOCK]})
                for part in parts
                for at in range(0, len(part), BLOCK)
            ],
            dim=1,
        )
        exact = scores.topk(HITS, dim=1).indices.tolist()
        same += sum({row for row, _ in a} == set(b) for a, b in zip(ours, exact, strict=True))
        ordered += sum([row for row, _ in a] == b for a, b in zip(ours, exact, strict=True))
    return {
        "segments": len(index.gallery),
        "queries": count,
        "same_ten": same / count,
        "same_order": ordered / count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--agreement-queries", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    processor_class(features())  # Said before the long part: an imitated processor has no section.
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    loaded = model()
    rows: list[dict[str, Any]] = []
    agreed: list[dict[str, Any]] = []
    scan_format = ""
    for segments in chosen.segments:
        with tempfile.TemporaryDirectory() as folder:
            index = build(Path(folder) / "index", loaded, segments)
            begin = time.process_time()
            reading = len(index.gallery)
            seconds = time.process_time() - begin
            scan_format = str(index.gallery.block(0)["frame"].tokens.dtype)
            print(f"{reading} segments read in {seconds:.2f} s CPU, scanned as {scan_format}", flush=True)
            # The stored tokens, as both ways should see them.
            parts = [
                _stored(videos(min(PART, segments - at), at)["frame"]) for at in range(0, segments, PART)
            ]
            for count in TARGETS:
                rows.append(measure(index, parts, count, chosen.rounds) | {"read_cpu_s": round(seconds, 2)})
                print(json.dumps(rows[-1]), flush=True)
            if segments <= PART:
                agreed.append(agreement(index, parts, chosen.agreement_queries))
                print(json.dumps(agreed[-1]), flush=True)
            write(chosen.out, rows, agreed, scan_format)


def _stored(video: TokenSet) -> TokenSet:
    return video.replace(tokens=video.tokens.half().float())


def section(measured: Mapping[str, Any]) -> str:
    """Put what was found on a machine into words."""
    cells = []
    for row in measured["rows"]:
        ms = row["cpu_ms"]
        extra = "unknown" if row["extra_mb"] is None else f"{row['extra_mb']:.0f}"
        cells.append([f"{row['segments']:,}", row["queries"], ms["released"], ms["search"], ms["scan"]])
        cells[-1] += [row["times_faster"], f"{row['target']:g}", f"{row['share_of_gemm']:.0%}", extra]
    head = [
        "segments",
        "queries",
        "released ms",
        "search ms",
        "scan ms",
        "times faster",
        "target",
        "GEMM/scan",
    ]
    scanned = measured["scan"]
    lines = [
        f"`{measured['command']}`: one thread, CPU time, ways taking turns, least of the",
        f"rounds; scanned as {scanned}. {FRAMES} frames x {DIM} channels a segment; queries as long as",
        f"MSR-VTT's captions, which the released way pads to {PADDED_WORDS} words. Search is the whole:",
        "scan, choice, and exact scores from the stored tokens.",
        f"{where(measured)}; {', '.join(measured['able'])}.",
        "",
        *rows_of([*head, "MB"], cells, left=0),
        "",
    ]
    for agreement in measured["agreement"]:
        lines.append(
            f"Top {HITS} of {agreement['queries']} queries over {agreement['segments']:,} segments: the same "
            f"ten as fp32 throughout for {agreement['same_ten']:.2%} (target {AGREEMENT:.1%}), in the same "
            f"order for {agreement['same_order']:.2%}."
        )
    lines.append(
        f"Extra memory is the growth of the resident peak during a search; target {EXTRA_MB} MB at any size."
    )
    return "\n".join(lines)


def write(folder: Path, rows: list[dict[str, Any]], agreed: list[dict[str, Any]], scan_format: str) -> None:
    measured = {"command": COMMAND, **machine(), "able": features(), "scan": scan_format}
    write_by_class(folder, "search", TITLE, {**measured, "rows": rows, "agreement": agreed}, section)


if __name__ == "__main__":
    main()
