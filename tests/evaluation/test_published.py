"""The papers' tables as data: what is in them, that no number is made up, and that they travel along."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vidsift.data.catalog import SOURCES
from vidsift.evaluation import published
from vidsift.evaluation.published import (
    METRICS,
    PublishedResult,
    benchmark_of,
    load_published,
    merge_results,
    published_file,
)

ROOT = Path(__file__).parents[2]
PAPERS = ROOT.parent / "shared" / "papers"
CONTENT: dict[str, Any] = json.loads((ROOT / "results" / "published.json").read_text(encoding="utf-8"))
TABLES = {
    "pidro": {"1", "3", "4", "5", "6", "7"},
    "pidro-supplement": {"1", "2", "3", "4", "5"},
    "drl": {"2", "3", "4", "5"},
    "prost-supplement": {"2", "3", "4"},
}
BACKBONES = {None, "ViT-B/32", "ViT-B/16"}


def row(benchmark: str, direction: str, method: str, source: str, **fields: object) -> PublishedResult:
    (match,) = (
        result
        for result in load_published().results
        if (result.benchmark, result.direction, result.method) == (benchmark, direction, method)
        and source in result.sources
        and all(getattr(result, name) == value for name, value in fields.items())
    )
    return match


def test_tables_hold_what_the_papers_print() -> None:
    pidro = row("msrvtt-1ka", "text_to_video", "PIDRo", "pidro 3", backbone="ViT-B/16", post="dsl")
    assert dict(pidro.metrics) == {"R@1": 55.9, "R@5": 79.8, "R@10": 87.6, "MdR": 1.0, "MnR": 10.7}
    assert (pidro.split, pidro.frames, pidro.max_words) == ("1k-A", 12, 32)
    wti = row("msrvtt-1ka", "text_to_video", "DRL WTI", "drl 2", variant="without CDCR", backbone="ViT-B/32")
    assert dict(wti.metrics) == {"R@1": 46.3, "R@5": 73.7, "R@10": 83.2, "MnR": 13.0}
    tvh = row("vatex", "text_to_video", "ProST", "prost-supplement 3", post="tvh")
    assert dict(tvh.metrics) == {"R@1": 69.1}
    didemo = row("didemo", "video_to_text", "PIDRo", "pidro-supplement 4")
    assert didemo.metrics["MnR"] == 8.3
    assert (didemo.frames, didemo.max_words) == (None, None)  # the supplement does not say
    assert row("didemo", "text_to_video", "PIDRo", "pidro 7").frames == 64


def test_how_a_paper_reads_videos_is_said_of_its_method_alone() -> None:
    assert row("msrvtt-1ka", "text_to_video", "HERO", "pidro 3").frames is None


def test_every_row_is_whole() -> None:
    content = load_published()
    seen = set()
    for raw, result in zip(CONTENT["rows"], content.results, strict=True):
        seen.add((raw["paper"], raw["table"]))
        assert result.metrics
        assert list(result.metrics) == [name for name in METRICS if name in result.metrics], raw
        assert result.backbone in BACKBONES
        assert result.benchmark in content.benchmarks
        recalls = [result.metrics[name] for name in METRICS[:3] if name in result.metrics]
        assert recalls == sorted(recalls), f"recalls of {raw} do not grow"
        assert all(0 < recall <= 100 for recall in recalls)
        assert result.split in {"", *content.benchmarks[result.benchmark].splits}
    assert seen == {(paper, table) for paper, tables in TABLES.items() for table in tables}


def test_remarks_that_point_to_another_table_are_true() -> None:
    seen = 0
    rows = load_published().results
    for result in rows:
        for remark in result.remarks:
            same = re.match(r"(\S+ \d) prints the same figures as (text to video|video to text)$", remark)
            other = re.match(r"(\S+ \d) prints (other figures|MdR ([\d.]+))", remark)
            if not (same or other):
                continue
            seen += 1
            source = (same or other)[1]  # type: ignore[index]
            direction = same[2].replace(" ", "_") if same else result.direction
            # CLIP4Clip's heads have rows of their own in PIDRo's tables.
            pointed = [
                row.metrics
                for row in rows
                if (row.benchmark, row.direction) == (result.benchmark, direction)
                and source in row.sources
                and row.method.split("-")[0] == result.method.split("-")[0]
            ]
            assert pointed, (result, remark)
            alike = [
                all(of[name] == result.metrics[name] for name in of if name in result.metrics)
                for of in pointed
            ]
            assert any(alike) if same else not any(alike), (result, remark)
            if other and other[3]:
                assert float(other[3]) in [of.get("MdR") for of in pointed]
    assert seen > 20


def test_no_row_stands_twice() -> None:
    keys = [json.dumps(raw, sort_keys=True) for raw in CONTENT["rows"]]
    assert len(keys) == len(set(keys)) == 216


def test_benchmarks_name_our_data_sets() -> None:
    for name, known in load_published().benchmarks.items():
        if known.source in SOURCES:  # those that vidsift reads
            splits = SOURCES[known.source].splits
            assert set(known.splits) & set(splits), f"{name}: {known.splits}, {known.source} has {splits}"


def numbers_of(line: str) -> list[float]:
    cells = (cell.replace("*", "").removeprefix("<b>").removesuffix("</b>") for cell in line.split("\t"))
    return [float(cell) for cell in cells if re.fullmatch(r"\s*\d+(\.\d+)?\s*", cell)]


def lines_with(numbers: list[float], lines: list[str]) -> Iterator[str]:
    for line in lines:
        there = numbers_of(line)
        if any(there[at : at + len(numbers)] == numbers for at in range(len(there) - len(numbers) + 1)):
            yield line


@pytest.mark.skipif(not PAPERS.is_dir(), reason="the papers' texts are not beside this repository")
def test_every_number_stands_in_a_line_of_its_paper() -> None:
    texts = {name: (PAPERS / f"{name}.txt").read_text(encoding="utf-8") for name in TABLES}
    for raw in CONTENT["rows"]:
        lines = texts[raw["paper"]].split("\n")
        numbers = list(raw["metrics"].values())
        if any(remark.startswith("R@1 lost in the table") for remark in raw.get("remarks", ())):
            assert f"{numbers.pop(0)}% R@1" in texts[raw["paper"]]
        lines = list(lines_with(numbers, lines))
        assert lines, raw
        # Of this row, and not by chance of another: what the table calls it begins such a line.
        named = raw.get("printed", raw["method"])
        if "method name lost in the text; last and bold, R@1 as in the row of PIDRo" in raw.get(
            "remarks", ()
        ):
            named = ""
        assert any(line.replace("*", "").startswith(named.replace("*", "")) for line in lines), (raw, lines)
    for raw in CONTENT["efficiency"]:
        for figure in raw["figures"].values():
            plain, grouped = f"{figure:g}", f"{figure:,}"
            assert plain in texts[raw["paper"]] or grouped in texts[raw["paper"]], raw


def test_a_result_that_papers_agree_on_is_merged() -> None:
    first = PublishedResult(
        "msvd", "text_to_video", "X", {"R@1": 40.0, "R@5": 70.0}, ("a 1",), "ablation", remarks=("r",)
    )
    same = replace(
        first,
        metrics={"R@1": 40.0, "MdR": 2.0},
        sources=("b 2",),
        kind="comparison",
        frames=12,
        remarks=("s",),
    )
    (merged,) = merge_results([first, same])
    assert dict(merged.metrics) == {"R@1": 40.0, "R@5": 70.0, "MdR": 2.0}
    assert (merged.sources, merged.kind, merged.frames) == (("a 1", "b 2"), "comparison", 12)
    assert merged.remarks == ("r", "s")


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"R@1": 40.1}},  # the papers disagree
        {"metrics": {"R@10": 80.0}},  # nothing says that it is the same
        {"direction": "video_to_text"},
        {"backbone": "ViT-B/16"},
        {"post": "dsl"},
        {"variant": "without x"},
        {"benchmark": "vatex"},
    ],
)
def test_unlike_results_are_not_merged(change: dict[str, Any]) -> None:
    first = PublishedResult("msvd", "text_to_video", "X", {"R@1": 40.0}, ("a 1",), "comparison")
    other = replace(first, sources=("b 2",), **change)
    assert merge_results([first, other]) == [first, other]


def test_an_unknown_benchmark_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"'msrvtt'.*expected one of msrvtt-1ka, .*did you mean 'msrvtt-1ka'"
    ):
        benchmark_of("msrvtt")


def test_the_file_lies_where_an_installed_package_looks_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The wheel takes it along ...
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    (place,) = (target for source, target in included.items() if source == "results/published.json")
    # ... to the place where the package looks when there is no working copy around it.
    site = tmp_path / "site-packages"
    (site / "vidsift" / "evaluation").mkdir(parents=True)
    monkeypatch.setattr(published, "__file__", str(site / "vidsift" / "evaluation" / "published.py"))
    with pytest.raises(FileNotFoundError, match=r"papers' tables are missing.*install vidsift again"):
        published_file()
    (site / place).write_text("{}", encoding="utf-8")
    assert published_file() == site / place


def test_a_working_copy_has_it_among_its_results() -> None:
    assert published_file() == ROOT / "results" / "published.json"
