"""The page of a grid: a table for each setting, and for each claim what the errors bear."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.evaluation.claims import LEVEL, Measured, holm, measure, verdict
from vidsift.training.grid import ALL, Claim, Grid, jobs_of

__all__ = ["page", "spread", "weigh"]

Record = Mapping[str, Any]

_BELOW = "\u2020"
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
    good = [one for one in records if "failed" not in one]
    lines = [f"# {grid.name}", "", f"`{command}`", "", _how(grid, good)]
    lines += ["", about] if about else []
    for setting in grid.settings:
        own = [one for one in good if one["setting"] == setting]
        lines += ["", f"## {setting}", "", *(_table(grid, own) if own else ["Not run yet."])]
    if grid.claims:
        lines += ["", "## Claims", "", *_claims(grid, good)]
    failed = [one for one in records if "failed" in one]
    if failed:
        lines += ["", "## Failed", ""]
        lines += [
            f"- {one['setting']} / {one['row']} / seed {one['seed']}: {one['failed']}" for one in failed
        ]
    return "\n".join(lines) + "\n"


def weigh(claim: Claim, setting: str, records: Sequence[Record]) -> tuple[list[Measured], list[str]]:
    """Measure the comparisons of a claim in a setting.

    Returns:
        What was measured, not yet corrected for how many comparisons the grid makes, and the rows that are
        missing or have one seed only, in which case nothing was.
    """
    found: dict[str, NDArray[np.float64]] = {}
    below: dict[str, bool] = {}
    missing: list[str] = []
    for row in sorted(claim.rows):
        runs = [one for one in records if one["row"] == row and one["setting"] == setting]
        if len(runs) < 2:
            missing.append(row)
            continue
        asked = np.asarray([claim.tag in (ALL, tag) for tag in runs[0]["tags"]])
        found[row] = np.asarray([one["found"] for one in runs], np.float64)[:, asked]
        below[row] = _below_start(runs, claim.tag)
    if missing:
        return [], missing
    return [
        measure(one, found, below_start=all(below[row] for row in one.weights)) for one in claim.comparisons
    ], []


def _below_start(runs: Sequence[Record], tag: str) -> bool:
    """Whether runs of one row score no better, on average, than the weights that they started from."""
    if not all("start" in one for one in runs):
        return False
    gains = [_recall(one["report"], tag) - _recall(one["start"]["report"], tag) for one in runs]
    return statistics.mean(gains) <= _ROUNDING


def _recall(report: Mapping[str, Any], tag: str) -> float:
    part = report["text_to_video"] if tag == ALL else report["by_tag"][tag]
    return float(part["R@1"])


def spread(values: Sequence[float]) -> str:
    """Write the mean, and the standard deviation where there are several.

    Example:
        >>> spread([1.0, 2.0, 3.0])
        '2.0 ± 1.0'
    """
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.1f}"


def _how(grid: Grid, records: Sequence[Record]) -> str:
    minutes = sum(one["train_seconds"] + one["test_seconds"] for one in records) / 60
    jobs = list(jobs_of(grid))
    videos = len(records[0]["found"]) if records else jobs[0].test_videos
    where = f"{jobs[0].recipe.data.title} test split"
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
    tags = list(dict.fromkeys(tag for one in records for tag in one["report"].get("by_tag", {})))
    choice = [_AMONG] if any("choice" in record["report"] for record in records) else []
    head = ["row", "method", "R@1", *tags, *choice, "seeds", "M parameters", "minutes a run"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    starts = {json.dumps(one["start"], sort_keys=True): one["start"] for one in records if "start" in one}
    for start in starts.values():
        about = f"{start['model']} as it is, {start['frames']} frames"
        cells = ["(start)", about, *_recalls([start["report"]], tags), "", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    for row in grid.rows:
        runs = [one for one in records if one["row"] == row.name]
        if not runs:
            continue
        cells = [row.name, row.about or _described(row.method, row.arguments)]
        cells += _recalls([one["report"] for one in runs], tags)
        cells += [str(len(runs)), f"{runs[0]['parameters'] / 1e6:.2f}"]
        cells.append(f"{statistics.mean(one['train_seconds'] for one in runs) / 60:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _recalls(reports: Sequence[Mapping[str, Any]], tags: Sequence[str]) -> list[str]:
    recalls = [spread([_recall(report, tag) for report in reports]) for tag in (ALL, *tags)]
    if any("choice" in report for report in reports):
        recalls.append(spread([report["choice"]["all"]["right"] for report in reports]))
    return recalls


def _described(method: str, arguments: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name} {value}" for name, value in arguments.items())
    return f"{method}: {said}" if said else method


def _claims(grid: Grid, records: Sequence[Record]) -> list[str]:
    begun = {one["setting"] for one in records}
    asked = [
        (claim, setting, *weigh(claim, setting, records))
        for claim in grid.claims
        for setting in grid.settings
        if setting in begun and claim.rows <= grid.rows_of(setting)
    ]
    title = next(iter(jobs_of(grid))).recipe.data.title
    corrected = holm([one for _, _, measured, _ in asked for one in measured])
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
    for claim, setting, measured, missing in asked:
        own, place = corrected[place : place + len(measured)], place + len(measured)
        cell = f"not run: {', '.join(missing)}" if missing else "; ".join(map(_measured, own))
        said = "not tested" if missing else f"**{verdict(own)}**"
        words = claim.say if claim.tag == ALL else f"{claim.say} (on {claim.tag})"
        lines.append(f"| {words} | {claim.source} | {setting} | {cell} | {said} |".replace(" > ", " &gt; "))
    return lines


def _measured(one: Measured) -> str:
    figures = f"{one.difference:+.1f} ± {one.error:.1f}"
    figures = f"**{figures}**" if one.significant else figures
    return f"{one.comparison.text}: {figures}{f' {_BELOW}' if one.below_start else ''}"
