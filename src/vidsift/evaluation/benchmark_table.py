"""Results of ours beside those of papers: grouped by backbone, post-processed and unlike ones apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vidsift.evaluation.missing import missing_note
from vidsift.evaluation.published import (
    METRICS,
    Benchmark,
    Direction,
    PublishedResult,
    load_published,
    merge_results,
)

__all__ = ["TableGroup", "TableRow", "benchmark_groups", "own_rows", "protocol_differences", "usual_backbone"]

TRANSDUCTIVE: Mapping[str, bool] = {
    "dsl": True,
    "inverted-softmax": True,
    "sinkhorn": True,
    "tvh": True,
    "qbnorm": False,
}
"""Whether a post-processing of the papers reads the other test queries: QB-Norm's bank is of training."""

_WIDTHS = {"768": "B", "1024": "L", "1280": "H", "1408": "g"}

_TOWER = re.compile(r"patches of (\d+) px, \d+ blocks, width (\d+)")
_VIT = re.compile(
    r"(?:^|[^a-z])(?:vit[-_ ]?)?(b|l|h|g|base|large|huge)[-_/ ]?(?:patch)?[-_/ ]?(\d{2})\b", re.I
)


@dataclass(frozen=True)
class TableRow:
    """One line of the table.

    Attributes:
        method: the paper's, or the model that was measured here.
        metrics: some of :data:`~vidsift.evaluation.published.METRICS`; none for a blank.
        source: paper and table, or the file of our result.
        measured_here: whether it was measured here.
        backbone: None where it is none of CLIP's or nobody says.
        post: post-processing, or "".
        split: "" where nobody says.
        frames: of a video; None likewise.
        max_words: tokens of a caption; None likewise.
        transductive: whether it saw the other test queries; None where nobody says.
        differences: in what the protocol is another than the benchmark's; empty where it is the same.
        remarks: what is ambiguous.
    """

    method: str
    metrics: Mapping[str, float]
    source: str
    measured_here: bool = False
    backbone: str | None = None
    post: str = ""
    split: str = ""
    frames: int | None = None
    max_words: int | None = None
    transductive: bool | None = False
    differences: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableGroup:
    """Rows that may be compared; of those of the kind "other protocol" each says what differs.

    Attributes:
        kind: which.
        backbone: of all rows; None for the rest, and for other protocols.
        rows: those of papers first, ours last.
    """

    kind: Literal["plain", "post-processed", "other protocol"]
    backbone: str | None
    rows: tuple[TableRow, ...]


def usual_backbone(name: str | None) -> str | None:
    """Write a backbone as papers do, whatever a checkpoint or a report calls it.

    Example:
        >>> usual_backbone("openai/clip-vit-base-patch32"), usual_backbone(None)
        ('ViT-B/32', None)
        >>> usual_backbone("CLIP ViT, patches of 16 px, 12 blocks, width 768; text width 512; shared 512")
        'ViT-B/16'
    """
    tower = _TOWER.search(name) if name else None
    if tower and tower[2] in _WIDTHS:
        return f"ViT-{_WIDTHS[tower[2]]}/{tower[1]}"
    match = _VIT.search(name) if name else None
    return f"ViT-{match[1][0].upper()}/{match[2]}" if match else name


def protocol_differences(report: Mapping[str, Any], benchmark: Benchmark, direction: Direction) -> list[str]:
    """Say in what a report was made unlike the benchmark's usual protocol; nothing where it was not.

    Source, split, number of videos, frames, missing videos and videos that were trained on count; and from
    video to text, where a video has several captions, the convention: the papers read here follow
    CLIP4Clip's groups.

    Args:
        report: of :func:`~vidsift.evaluation.evaluate.evaluate_entries`, with ``protocol``.
        benchmark: what it is to be compared with.
        direction: which way.
    """
    protocol = report["protocol"]
    source, split = protocol.get("source", "folder"), protocol.get("split")
    differences = []
    if source != benchmark.source:
        differences.append(f"data set {source}, expected {benchmark.source}")
    if split not in benchmark.splits:
        differences.append(f"split {split}, expected {benchmark.splits[0]}")
    videos, frames = protocol.get("videos"), protocol.get("frames")
    if benchmark.videos is not None and videos != benchmark.videos:
        differences.append(f"{videos} videos, expected {benchmark.videos}")
    if benchmark.frames is not None and frames != benchmark.frames:
        differences.append(f"{frames} frames, papers {benchmark.frames}")
    if note := missing_note(report):
        differences.append(note)
    if seen := protocol.get("trained_on"):
        differences.append(f"{seen['videos']} of {seen['of']} videos were trained on")
    convention = protocol.get("video_to_text", "caption_groups")
    several = protocol.get("captions", 0) != videos
    if direction == "video_to_text" and several and convention != "caption_groups":
        differences.append(f"video to text by {convention}, papers by caption_groups")
    return differences


def own_rows(
    report: Mapping[str, Any], source: str, benchmark: Benchmark, direction: Direction
) -> list[TableRow]:
    """Turn a report into rows: the plain one, and one for each post-processing.

    Args:
        report: see :func:`protocol_differences`; that of ``vidsift evaluate``.
        source: the file it was read from.
        benchmark: what it is compared with.
        direction: which way.
    """
    protocol = report["protocol"]
    differences = tuple(protocol_differences(report, benchmark, direction))
    backbone = usual_backbone(protocol.get("backbone"))
    rows = []
    for post, values in {"": report, **report.get("post_processed", {})}.items():
        # QB-Norm without a bank for it has no numbers from video to text.
        if not values.get(direction):
            continue
        rows.append(
            TableRow(
                method=f"{protocol.get('model', '?')} ({protocol.get('method', '?')})",
                metrics={name: values[direction][name] for name in METRICS if name in values[direction]},
                source=source,
                measured_here=True,
                backbone=backbone,
                post=post,
                split=str(protocol.get("split", "")),
                frames=protocol.get("frames"),
                max_words=protocol.get("max_words"),
                transductive=values.get("transductive") if post else False,
                differences=differences,
            )
        )
    return rows


def benchmark_groups(
    benchmark: Benchmark,
    direction: Direction,
    reports: Mapping[str, Mapping[str, Any]],
    *,
    ablations: bool = False,
) -> list[TableGroup]:
    """TableGroup what papers and our reports say of a benchmark.

    Args:
        benchmark: which.
        direction: which way.
        reports: ours by the file that they come from.
        ablations: whether rows of ablation tables are shown too.

    Returns:
        Without post-processing by backbone; with it by backbone; then our rows of another protocol. A group
        of a known backbone that holds none of ours ends with a row of ours without numbers.
    """
    of_benchmark = [
        row
        for row in load_published().results
        if (row.benchmark, row.direction) == (benchmark.name, direction)
    ]
    # Comparisons first: what stands in an ablation too is merged into them.
    merged = merge_results(sorted(of_benchmark, key=lambda row: row.kind != "comparison"))
    published = [row for row in merged if ablations or row.kind == "comparison"]
    ours = [
        row for source, report in reports.items() for row in own_rows(report, source, benchmark, direction)
    ]
    alike = [row for row in ours if not row.differences]
    rows = [_published_row(result) for result in published] + alike
    # None first, then from the smallest tower up: ViT-B/32, ViT-B/16, ViT-L/14.
    backbones = sorted({row.backbone for row in rows}, key=_size_order)
    groups: list[TableGroup] = []
    kinds: tuple[Literal["plain", "post-processed"], ...] = ("plain", "post-processed")
    for kind in kinds:
        for backbone in backbones:
            chosen = [row for row in rows if row.backbone == backbone and bool(row.post) == (kind != "plain")]
            if chosen:
                groups.append(TableGroup(kind, backbone, (*chosen, *_blank(chosen, backbone))))
    unlike = tuple(row for row in ours if row.differences)
    return groups + ([TableGroup("other protocol", None, unlike)] if unlike else [])


def _size_order(backbone: str | None) -> tuple[str, int, str]:
    match = _VIT.search(backbone or "")
    return (
        (match[1].upper(), -int(match[2]), "")
        if match
        else ("" if backbone is None else "~", 0, backbone or "")
    )


def _published_row(result: PublishedResult) -> TableRow:
    return TableRow(
        method=f"{result.method}, {result.variant}" if result.variant else result.method,
        metrics=result.metrics,
        source=", ".join(result.sources),
        backbone=result.backbone,
        post=result.post,
        split=result.split,
        frames=result.frames,
        max_words=result.max_words,
        transductive=TRANSDUCTIVE.get(result.post) if result.post else False,
        remarks=result.remarks,
    )


def _blank(rows: Sequence[TableRow], backbone: str | None) -> list[TableRow]:
    if backbone is None or any(row.measured_here for row in rows):
        return []
    return [TableRow("not measured", {}, "", measured_here=True, backbone=backbone)]
