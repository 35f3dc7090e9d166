"""What papers report: their tables as data, ``results/published.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vidsift.errors import did_you_mean

__all__ = [
    "METRICS",
    "Benchmark",
    "Direction",
    "Published",
    "PublishedResult",
    "benchmark_of",
    "load_published",
    "merge_results",
    "published_file",
]

Direction = Literal["text_to_video", "video_to_text"]

METRICS = ("R@1", "R@5", "R@10", "MdR", "MnR")
"""What the tables give, in their order; a table that lacks one leaves it out."""


@dataclass(frozen=True)
class Benchmark:
    """A data set with the split that papers report.

    Attributes:
        name: on the command line.
        title: what papers call it.
        source: its name among the data sets, see :mod:`vidsift.data.catalog`.
        splits: names of the test split; any of them.
        videos: in its gallery; None where the papers read do not say.
        frames: a video, as most papers have it; None likewise.
        max_words: tokens of a caption, special ones included; None likewise.
        captions: "one caption", "every caption" (each a question of its own) or "paragraph" (those of a
            video joined).
    """

    name: str
    title: str
    source: str
    splits: tuple[str, ...]
    captions: str
    videos: int | None = None
    frames: int | None = None
    max_words: int | None = None


@dataclass(frozen=True)
class PublishedResult:
    """A row of a paper's table, one direction.

    Attributes:
        benchmark: see :class:`Benchmark`.
        direction: which way.
        method: by one name in all papers.
        metrics: some of :data:`METRICS`, recalls in percent.
        sources: paper and table it stands in, such as "pidro 3"; several where they agree.
        kind: "comparison" of systems, or "ablation" of one.
        backbone: such as "ViT-B/32"; None for none of CLIP's, or where nobody says.
        variant: what differs from the method as it is, or "".
        post: post-processing by its name in ``vidsift evaluate --post``, or "".
        split: as the benchmark names it; "" where the paper does not say.
        frames: of a video; None where the paper does not say.
        max_words: tokens of a caption; None likewise.
        remarks: what is ambiguous.
    """

    benchmark: str
    direction: Direction
    method: str
    metrics: Mapping[str, float]
    sources: tuple[str, ...]
    kind: Literal["comparison", "ablation"]
    backbone: str | None = None
    variant: str = ""
    post: str = ""
    split: str = ""
    frames: int | None = None
    max_words: int | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """All of the file.

    Attributes:
        papers: what is known of each, by name.
        benchmarks: by name.
        results: rows in the order of the papers' tables.
    """

    papers: Mapping[str, Mapping[str, Any]]
    benchmarks: Mapping[str, Benchmark]
    results: tuple[PublishedResult, ...]


def published_file() -> Path:
    """Return the file: in the package where it is installed, in ``results/`` of a working copy.

    Raises:
        FileNotFoundError: it is in neither.
    """
    package = Path(__file__).parents[1]
    places = (package / "evaluation" / "published.json", package.parents[1] / "results" / "published.json")
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"the papers' tables are missing: there is no {places[0]}; install vidsift again")


@cache
def load_published() -> Published:
    """Read the papers' tables."""
    content = json.loads(published_file().read_text(encoding="utf-8"))
    benchmarks = {
        name: Benchmark(name, **facts | {"splits": tuple(facts["splits"])})
        for name, facts in content["benchmarks"].items()
    }
    papers = content["papers"]
    return Published(papers, benchmarks, tuple(_result(row, papers[row["paper"]]) for row in content["rows"]))


def _result(row: Mapping[str, Any], paper: Mapping[str, Any]) -> PublishedResult:
    # "printed" is what the table calls the row: for whoever checks the file, and for nothing else.
    plain = {key: row[key] for key in row if key not in {"paper", "table", "printed", "remarks"}}
    # A paper says how it reads videos itself, and not how those that it cites do.
    reading = paper if row["method"].split()[0] == paper.get("method") else {}
    return PublishedResult(
        **plain,
        sources=(f"{row['paper']} {row['table']}",),
        frames=reading.get("frames", {}).get(row["benchmark"]),
        max_words=reading.get("max_words", {}).get(row["benchmark"]),
        remarks=tuple(row.get("remarks", ())),
    )


def benchmark_of(name: str) -> Benchmark:
    """Return the benchmark of a name.

    Raises:
        ValueError: there is none; the message names the known ones.
    """
    known = load_published().benchmarks
    if name not in known:
        hint = did_you_mean(name, known)
        raise ValueError(f"benchmark {name!r} is unknown; expected one of {', '.join(known)}{hint}")
    return known[name]


def merge_results(results: Sequence[PublishedResult]) -> list[PublishedResult]:
    """Make one row of those that are the same result, cited by several papers.

    Two are the same where benchmark, direction, method, variant, backbone and post-processing are, and no
    metric that both give differs. Where one differs both stay: the papers disagree, and that is for the
    reader to see.

    Args:
        results: in order; a merged row stands at the place of its first.
    """
    merged: list[PublishedResult] = []
    for result in results:
        place = next((place for place, other in enumerate(merged) if _agree(other, result)), None)
        if place is None:
            merged.append(result)
            continue
        first = merged[place]
        metrics = {**result.metrics, **first.metrics}
        merged[place] = replace(
            first,
            metrics={name: metrics[name] for name in METRICS if name in metrics},
            sources=first.sources + tuple(source for source in result.sources if source not in first.sources),
            kind="comparison" if "comparison" in {first.kind, result.kind} else "ablation",
            split=first.split or result.split,
            frames=first.frames if first.frames is not None else result.frames,
            max_words=first.max_words if first.max_words is not None else result.max_words,
            remarks=tuple(dict.fromkeys(first.remarks + result.remarks)),
        )
    return merged


def _agree(left: PublishedResult, right: PublishedResult) -> bool:
    same = all(
        getattr(left, name) == getattr(right, name)
        for name in ("benchmark", "direction", "method", "variant", "backbone", "post")
    )
    common = set(left.metrics) & set(right.metrics)
    return same and bool(common) and all(left.metrics[name] == right.metrics[name] for name in common)
