"""The page of a grid: a table for each setting, and for each claim what the errors bear."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.evaluation.claims import LEVEL, Measured, holm, measure, verdict
from vidsift.training.grid import ALL, Claim, Grid, jobs_of

__all__ = ["page", "sections", "spread", "succeeded", "weigh"]

Record = Mapping[str, Any]

_BELOW = "\u2020"
# Recalls are sums of floats: equal ones may differ in the last digits.
_ROUNDING = 1e-9
_AMONG = "among hard negatives"


def page(grid: Grid, records: Sequence[Record], command: str, about: str = "") -> str:
    """Write the page in Markdown.

    Args:
        grid: what was run.
        records: as :func:`~vidsift.training.ablate.ablate` returns them.
        command: what made them.
        about: a paragraph about where they were made.
    """
    good = succeeded(records)
    head = [f"# {grid.name}", "", f"`{command}`", "", _summary(grid, good), *(["", about] if about else [])]
    claims = _claims(grid, good) if grid.claims else []
    return "\n".join([*head, *sections(grid, records, _table, claims, "seed {seed}")]) + "\n"


def succeeded(records: Sequence[Record]) -> list[Record]:
    """Return the records of runs that did not fail."""
    return [record for record in records if "failed" not in record]


def sections(
    grid: Grid,
    records: Sequence[Record],
    table: Callable[[Grid, Sequence[Record]], list[str]],
    claims: Sequence[str],
    run: str,
) -> list[str]:
    """Write what a page of a grid has below its head: a table a setting, the claims, and what failed.

    Args:
        grid: what was run.
        records: of all runs, failed ones too.
        table: makes the lines of a setting from its records.
        claims: the lines about them, if any.
        run: what tells a run of a row from the others, a format of a record's keys.
    """
    good, lines = succeeded(records), []
    for setting in grid.settings:
        of_setting = [record for record in good if record["setting"] == setting]
        lines += ["", f"## {setting}", "", *(table(grid, of_setting) if of_setting else ["Not run yet."])]
    if claims:
        lines += ["", "## Claims", "", *claims]
    failed = [record for record in records if "failed" in record]
    if failed:
        lines += ["", "## Failed", ""]
        lines += [
            f"- {record['setting']} / {record['row']} / {run.format_map(record)}: {record['failed']}"
            for record in failed
        ]
    return lines


def weigh(claim: Claim, setting: str, records: Sequence[Record]) -> tuple[list[Measured], list[str]]:
    """Measure the comparisons of a claim in a setting.

    Returns:
        What was measured, not yet corrected for how many comparisons the grid makes, and the rows that are
        missing or have one seed only, in which case nothing was.
    """
    recalls: dict[str, NDArray[np.float64]] = {}
    below: dict[str, bool] = {}
    missing: list[str] = []
    for row in sorted(claim.rows):
        runs = [record for record in records if (record["row"], record["setting"]) == (row, setting)]
        if len(runs) < 2:
            missing.append(row)
            continue
        # All runs of a grid are judged on the same videos.
        of_tag = np.asarray([claim.tag in (ALL, tag) for tag in runs[0]["tags"]])
        recalls[row] = np.asarray([record["found"] for record in runs], np.float64)[:, of_tag]
        below[row] = _below_start(runs, claim.tag)
    if missing:
        return [], missing
    return [
        measure(comparison, recalls, below_start=all(below[row] for row in comparison.weights))
        for comparison in claim.comparisons
    ], []


def _below_start(runs: Sequence[Record], tag: str) -> bool:
    """Whether runs of one row score no better, on average, than the weights that they started from."""
    if not all("start" in record for record in runs):
        return False
    gains = [_recall(record["report"], tag) - _recall(record["start"]["report"], tag) for record in runs]
    return statistics.mean(gains) <= _ROUNDING


def _recall(report: Mapping[str, Any], tag: str) -> float:
    metrics = report["text_to_video"] if tag == ALL else report["by_tag"][tag]
    return float(metrics["R@1"])


def spread(values: Sequence[float]) -> str:
    """Write the mean, and the standard deviation where there are several.

    Example:
        >>> spread([1.0, 2.0, 3.0])
        '2.0 ± 1.0'
    """
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.1f}"


def _summary(grid: Grid, records: Sequence[Record]) -> str:
    minutes = sum(record["train_seconds"] + record["test_seconds"] for record in records) / 60
    jobs = list(jobs_of(grid))
    videos = len(records[0]["found"]) if records else jobs[0].test_videos
    where = f"Test split of {jobs[0].recipe.data.title}"
    judged = (
        f"{where}: {videos} videos decoded from their files, chance {100 / videos:.2f} % R@1. "
        if videos
        else f"{where}. "
    )
    choices = [record["report"]["choice"]["all"] for record in records if "choice" in record["report"]]
    among = ""
    if choices:
        chance = f" (chance {choices[0]['chance']:.0f} %)"
        among = f'; "{_AMONG}" is how often the right video scores highest in its group of them{chance}'
    return (
        f"{judged}R@1 text to video in percent, mean ± standard deviation over seeds "
        f"{', '.join(map(str, grid.seeds))}{among}. {len(records)} of {len(jobs)} runs, "
        f"{minutes:.0f} minutes of training and testing added up; runs went side by side."
    )


def _table(grid: Grid, records: Sequence[Record]) -> list[str]:
    tags = list(dict.fromkeys(tag for record in records for tag in record["report"].get("by_tag", {})))
    choice = [_AMONG] if any("choice" in record["report"] for record in records) else []
    head = ["row", "method", "R@1", *tags, *choice, "seeds", "M parameters", "minutes a run"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    # Dictionaries do not hash; as text, equal starts are one line of the table.
    starts = {
        json.dumps(record["start"], sort_keys=True): record["start"]
        for record in records
        if "start" in record
    }
    for start in starts.values():
        about = f"{start['model']} as it is, {start['frames']} frames"
        cells = ["(start)", about, *_recalls([start["report"]], tags), "", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    for row in grid.rows:
        runs = [record for record in records if record["row"] == row.name]
        if not runs:
            continue
        cells = [row.name, row.about or _described(row.method, row.arguments)]
        cells += _recalls([record["report"] for record in runs], tags)
        cells += [str(len(runs)), f"{runs[0]['parameters'] / 1e6:.2f}"]
        cells.append(f"{statistics.mean(record['train_seconds'] for record in runs) / 60:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _recalls(reports: Sequence[Mapping[str, Any]], tags: Sequence[str]) -> list[str]:
    recalls = [spread([_recall(report, tag) for report in reports]) for tag in (ALL, *tags)]
    if any("choice" in report for report in reports):
        recalls.append(spread([report["choice"]["all"]["right"] for report in reports]))
    return recalls


def _described(method: str, arguments: Mapping[str, Any]) -> str:
    values = ", ".join(f"{name} {value}" for name, value in arguments.items())
    return f"{method}: {values}" if values else method


def _claims(grid: Grid, records: Sequence[Record]) -> list[str]:
    begun = {record["setting"] for record in records}
    weighed = [
        (claim, setting, *weigh(claim, setting, records))
        for claim in grid.claims
        for setting in grid.settings
        if setting in begun and claim.rows <= grid.rows_of(setting)
    ]
    title = next(iter(jobs_of(grid))).recipe.data.title
    # All comparisons of the page together, then dealt out to the claims in this order.
    corrected = holm([comparison for _, _, measured, _ in weighed for comparison in measured])
    lines = [
        (
            f"{len(corrected)} comparisons were made. In bold are the differences that are more than chance, "
            f"at {100 * LEVEL:.0f} % for all of them together: Holm's method, from two-sided p-values of the "
            "difference in its standard errors, which hold test videos and seeds. A claim agrees where all "
            "of its comparisons are in bold (`>=` unless the contrary is, but one at least must be), and "
            "disagrees where one is in bold the other way round. "
            f"{_BELOW}: no row of the comparison scores above the weights that it started from, so it tells "
            "which row lost less under this budget, and nothing of the methods."
        ),
        "",
        f"| claim | source | setting | measured difference in R@1 (± standard error) | {title} |",
        "|---|---|---|---|---|",
    ]
    place = 0
    for claim, setting, measured, missing in weighed:
        of_claim, place = corrected[place : place + len(measured)], place + len(measured)
        cell = f"not run: {', '.join(missing)}" if missing else "; ".join(map(_measured, of_claim))
        result = "not tested" if missing else f"**{verdict(of_claim)}**"
        words = claim.say if claim.tag == ALL else f"{claim.say} (on {claim.tag})"
        lines.append(f"| {words} | {claim.source} | {setting} | {cell} | {result} |".replace(" > ", " &gt; "))
    return lines


def _measured(measured: Measured) -> str:
    figures = f"{measured.difference:+.1f} ± {measured.error:.1f}"
    figures = f"**{figures}**" if measured.significant else figures
    return f"{measured.comparison.text}: {figures}{f' {_BELOW}' if measured.below_start else ''}"
