"""A thousand small updates: their cost, and that of a search after them, beside the same rows in one commit.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/small_updates.py    # writes results/small-updates.*

An update is what `vidsift index` does with the store when one video is new: hold it, read the known paths,
commit one video of one segment, drop what no path holds, tidy. Segments are made up, 12 tokens of 512
channels each, as ViT-B/32 gives. Searches take turns between both indexes; CPU time, medians of the rounds.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from measuring import ROOT, command_line, machine, rows_of, take_turns, where, write_results

from search import build, centres_of, model, texts, videos
from vidsift.index.encode import segment_table
from vidsift.index.library import describe
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.index.tables import Table
from vidsift.search.searcher import Index

COMMAND = command_line(__file__)
TARGET, HITS, SECONDS_A_SEGMENT = 1.2, 10, 30
_THUMBNAIL_BYTES = 5000


def update(folder: Path, number: int) -> None:
    """Add one video to the index, in the steps of a run."""
    store = Store.open(folder)
    with store.writing():
        store.read_files()
        name = f"{10**9 + number:032x}"
        fact = {
            "segment_id": f"{name}-0",
            "video_id": name,
            "start_seconds": 0.0,
            "end_seconds": 30.0,
            "duration_seconds": 30.0,
            "width_px": 1280,
            "height_px": 720,
            "codec": "h264",
            "fps": 30.0,
            "thumbnail": np.random.default_rng(number).bytes(_THUMBNAIL_BYTES),
        }
        table = segment_table([fact], videos(1, 10**6 + number), store.manifest.sets)
        store.commit(table, [FileRecord(f"/new/{name}.mp4", 1, 1, name)])
        store.drop_orphans()
        store.compact()


def rewritten(folder: Path, target: Path) -> None:
    """The same rows in an index of one commit."""
    source = Store.open(folder)
    whole = Store.create(target, source.manifest)
    whole.commit(pa.Table.from_batches(source.batches("segments")), list(source.read_files().values()))


def searches(index: Index) -> Callable[[], Any]:
    """Twenty questions, one after another, each with its exact scores from disk."""
    queries = texts(20, 7, 1)
    everything = np.ones(len(index.gallery), bool)
    return lambda: [index.rank([query], HITS, everything) for query in queries]


def bytes_per_hour(folder: Path) -> float:
    facts = describe(folder)
    return float(facts["bytes on disk"]) / (facts["segments"] * SECONDS_A_SEGMENT / 3600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=10_000, help="before the updates")
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    centres_of(torch.zeros(1, dtype=torch.int64))
    loaded = model()
    with tempfile.TemporaryDirectory() as home:
        many, single = Path(home) / "many", Path(home) / "one"
        build(many, loaded, chosen.segments, np.random.default_rng(0).bytes(_THUMBNAIL_BYTES))
        spent = []
        for number in range(chosen.updates):
            began = time.process_time()
            update(many, number)
            spent.append(time.process_time() - began)
            if (number + 1) % 100 == 0:
                print(
                    f"{number + 1} updates, last {statistics.median(spent[-100:]) * 1000:.0f} ms", flush=True
                )
        rewritten(many, single)
        opened = {"many": Index(Store.open(many), loaded), "one": Index(Store.open(single), loaded)}
        warm = take_turns({name: searches(index) for name, index in opened.items()}, chosen.rounds)
        opening = take_turns(
            {
                name: (lambda folder=folder: len(Index(Store.open(folder), loaded).gallery))
                for name, folder in (("many", many), ("one", single))
            },
            chosen.rounds,
        )
        pieces = {
            name: Table(folder, "segments").pieces() for name, folder in (("many", many), ("one", single))
        }
        sizes = {"after the updates": bytes_per_hour(many)}
        store = Store.open(many)
        with store.writing():
            began = time.process_time()
            store.optimize(keep=timedelta(0))
            optimizing = time.process_time() - began
        sizes["after optimize --now"] = bytes_per_hour(many)
        sizes["in one commit"] = bytes_per_hour(single)
        shutil.rmtree(single)
    search_ms = {name: statistics.median(times) * 1000 / 20 for name, times in warm.items()}
    open_ms = {name: statistics.median(times) * 1000 for name, times in opening.items()}
    result = {
        "command": COMMAND,
        **machine(),
        "segments": chosen.segments,
        "updates": chosen.updates,
        "update_ms": {
            "first hundred": round(statistics.median(spent[:100]) * 1000, 1),
            "last hundred": round(statistics.median(spent[-100:]) * 1000, 1),
            "slowest": round(max(spent) * 1000, 1),
        },
        "search_ms": search_ms,
        "open_ms": open_ms,
        "fragments": pieces,
        "search_ratio": round(search_ms["many"] / search_ms["one"], 3),
        "open_ratio": round(open_ms["many"] / open_ms["one"], 3),
        "target": TARGET,
        "optimize_seconds": round(optimizing, 2),
        "bytes_per_hour": {name: round(size) for name, size in sizes.items()},
    }
    write_results(chosen.out, "small-updates", result, page(result))


def page(result: dict[str, Any]) -> str:
    rows = [
        ["one search, its exact scores included"]
        + [f"{result['search_ms'][name]:.2f} ms" for name in ("many", "one")]
        + [f"{result['search_ratio']:.2f}", f"{TARGET:g}"],
        ["opening: all segments into memory"]
        + [f"{result['open_ms'][name]:.0f} ms" for name in ("many", "one")]
        + [f"{result['open_ratio']:.2f}", f"{TARGET:g}"],
    ]
    updates = result["update_ms"]
    sizes = ", ".join(f"{size / 1e6:.2f} MB {name}" for name, size in result["bytes_per_hour"].items())
    head = ["", f"after {result['updates']:,} updates", "the same rows in one commit", "ratio", "target"]
    lines = [
        "# Many small updates",
        "",
        (
            f"`{result['command']}`, {where(result)}: {result['segments']:,} segments, then "
            f"{result['updates']:,} updates of one video each; CPU time, medians."
        ),
        "",
        *rows_of(head, rows),
        "",
        (
            f"An update's share of the store took {updates['first hundred']:.0f} ms at first and "
            f"{updates['last hundred']:.0f} ms at last (median of a hundred), {updates['slowest']:.0f} ms at "
            f"most; the updates left {result['fragments']['many']} pieces. `vidsift index optimize --now` "
            f"took {result['optimize_seconds']:g} s."
        ),
        "",
        (
            "Room on disk per hour of video, one segment of 12 x 512 tokens and a thumbnail of "
            f"{_THUMBNAIL_BYTES:,} bytes every {SECONDS_A_SEGMENT} s: {sizes}."
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
