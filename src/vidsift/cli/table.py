"""``vidsift table``: our results beside those of papers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vidsift.evaluation.benchmark_table import TableGroup, TableRow
    from vidsift.evaluation.published import Benchmark, Direction

__all__ = ["table"]

DIRECTIONS: tuple[Direction, ...] = ("text_to_video", "video_to_text")
_COLUMNS = ("method", "R@1", "R@5", "R@10", "MdR", "MnR", "split", "frames", "words", "source")


def table(
    benchmark: Annotated[
        str | None,
        typer.Argument(
            metavar="BENCHMARK", help="Such as msrvtt-1ka; without it, the benchmarks are listed."
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RESULTS", help="Files of vidsift evaluate --json, or folders of vidsift evaluate --save."
        ),
    ] = None,
    ablations: Annotated[bool, typer.Option("--ablations", help="Also rows of ablation tables.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of markdown.")] = False,
) -> None:
    """Put our results on a benchmark beside those of papers, by backbone and protocol, as markdown."""
    from vidsift.evaluation.benchmark_table import benchmark_groups
    from vidsift.evaluation.published import benchmark_of, load_published

    if benchmark is None:
        _list_benchmarks(list(load_published().benchmarks.values()), as_json)
        return
    chosen = benchmark_of(benchmark)
    reports = {str(path): _report(path) for path in results or []}
    groups = {
        direction: benchmark_groups(chosen, direction, reports, ablations=ablations)
        for direction in DIRECTIONS
    }
    if as_json:
        papers = load_published().papers
        typer.echo(json.dumps(_as_json(chosen, groups, papers, reports), indent=2, ensure_ascii=False))
        return
    for line in [*_markdown(chosen, groups), *_papers(groups)]:
        typer.echo(line)


def _list_benchmarks(benchmarks: Sequence[Benchmark], as_json: bool) -> None:
    from vidsift.evaluation.published import load_published

    counts = {
        known.name: sum(row.benchmark == known.name for row in load_published().results)
        for known in benchmarks
    }
    if as_json:
        facts = [asdict(known) | {"published_rows": counts[known.name]} for known in benchmarks]
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(len(known.name) for known in benchmarks)
    for known in benchmarks:
        typer.echo(f"{known.name:<{width}}  {known.title}; {counts[known.name]} published rows")


def _report(path: Path) -> dict[str, Any]:
    """Read the report of a result: a file, or a folder that holds one.

    Raises:
        ValueError: it is no report of ours.
        OSError: it cannot be read.
    """
    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        missing = f"there is no {file}" if path.is_dir() else f"{path} is not there"
        raise ValueError(f"{missing}; expected what vidsift evaluate --json FILE or --save DIR wrote")
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}") from error
    lacking = "it lacks protocol, text_to_video or video_to_text"
    if not isinstance(report, dict) or not all(
        isinstance(report.get(key), dict) for key in ("protocol", *DIRECTIONS)
    ):
        raise ValueError(f"{file} is no report of vidsift evaluate: {lacking}")
    for row in (report, *report.get("post_processed", {}).values()):
        numbers = [value for way in DIRECTIONS for value in (row[way] or {}).values()]
        if not all(isinstance(value, int | float) for value in numbers):
            raise ValueError(f"{file} is no report of vidsift evaluate: a value in it is no number")
    return report


def _as_json(
    benchmark: Benchmark,
    groups: Mapping[Direction, Sequence[TableGroup]],
    papers: Mapping[str, Mapping[str, Any]],
    reports: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    return {
        "benchmark": asdict(benchmark),
        **{
            direction: [
                {
                    "kind": group.kind,
                    "backbone": group.backbone,
                    "rows": [asdict(row) for row in group.rows],
                }
                for group in of_direction
            ]
            for direction, of_direction in groups.items()
        },
        "papers": dict(papers),
        "protocols": {source: report["protocol"] for source, report in reports.items()},
    }


def _markdown(benchmark: Benchmark, groups: Mapping[Direction, Sequence[TableGroup]]) -> list[str]:
    facts = [
        f"split {benchmark.splits[0]}",
        benchmark.captions,
        *([f"{benchmark.videos} videos"] if benchmark.videos else []),
        *([f"{benchmark.frames} frames"] if benchmark.frames else []),
        *([f"{benchmark.max_words} words"] if benchmark.max_words else []),
    ]
    lines = [f"# {benchmark.title}", "", "; ".join(facts)]
    remarks: list[str] = []
    for direction, of_direction in groups.items():
        lines += ["", f"## {direction.replace('_', ' ').capitalize()}"]
        if not of_direction:
            lines += ["", "No table of the papers read here has it, and no result of ours was given."]
        for group in of_direction:
            lines += ["", f"### {_title(group)}", "", *_group_lines(group, remarks)]
    if remarks:
        lines += ["", *(f"[{number}] {remark}  " for number, remark in enumerate(remarks, start=1))]
    return lines


def _papers(groups: Mapping[Direction, Sequence[TableGroup]]) -> list[str]:
    """Say which papers the sources are, a line each."""
    from vidsift.evaluation.published import load_published

    sources = [
        source.rpartition(" ")[0]
        for of_direction in groups.values()
        for group in of_direction
        for row in group.rows
        if not row.measured_here
        for source in row.source.split(", ")
    ]
    papers = load_published().papers
    lines = [
        f"{name} N: table N of {papers[name]['authors']}, {papers[name]['title']}, {papers[name]['venue']}  "
        for name in dict.fromkeys(sources)
    ]
    return ["", *lines] if lines else []


def _title(group: TableGroup) -> str:
    backbone = group.backbone or "Not CLIP's, or not stated"
    return {
        "plain": backbone,
        "post-processed": f"{backbone}, post-processed",
        "other protocol": "Ours, of another protocol: not to be compared with the rows above",
    }[group.kind]


def _group_lines(group: TableGroup, remarks: list[str]) -> list[str]:
    columns = list(_COLUMNS)
    if any(row.post for row in group.rows):
        columns[-1:] = ["post-processing", "transductive", "source"]
    if group.kind == "other protocol":
        columns += ["backbone", "differs in"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join("---" for _ in columns) + "|"]
    for row in group.rows:
        cells = _cells(row, remarks)
        lines.append("| " + " | ".join(cells[column] for column in columns) + " |")
    return lines


def _cells(row: TableRow, remarks: list[str]) -> dict[str, str]:
    numbers = []
    for remark in row.remarks:
        if remark not in remarks:
            remarks.append(remark)
        numbers.append(f" [{remarks.index(remark) + 1}]")
    name = _plain_cell(row.method)
    transductive = {True: "yes", False: "no", None: "unknown"}[row.transductive]
    return {
        "method": (f"**ours: {name}**" if row.measured_here else name) + "".join(numbers),
        **{name: f"{row.metrics[name]:.1f}" if name in row.metrics else "-" for name in _COLUMNS[1:6]},
        "split": _plain_cell(row.split) or "-",
        "frames": "-" if row.frames is None else str(row.frames),
        "words": "-" if row.max_words is None else str(row.max_words),
        "post-processing": row.post or "-",
        "transductive": transductive if row.metrics else "-",
        "source": _plain_cell(row.source) or "-",
        "backbone": _plain_cell(row.backbone or "-"),
        "differs in": _plain_cell("; ".join(row.differences)),
    }


def _plain_cell(text: str) -> str:
    """What stands in a cell of markdown: one line, without the bar that ends a cell."""
    from vidsift.cli.text import one_line

    return one_line(text).replace("|", "\\|")
