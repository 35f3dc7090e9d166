"""The page of a grid: a table for each setting, and for each claim what the errors bear."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.evaluation.claims import LEVEL, Measured, holm, measure, verdict
from vidsift.training.grid import Claim, Grid, jobs_of

__all__ = ["page", "spread", "weigh"]

Record = Mapping[str, Any]

_ALL = "all"
_BELOW = "\u2020"
_ROUNDING = 1e-9


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
        asked = np.asarray([claim.tag in (_ALL, tag) for tag in runs[0]["tags"]])
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
    part = report["text_to_video"] if tag == _ALL else report["by_tag"][tag]
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
    return (
        f"Shapes test split: {grid.test_videos} videos decoded from their files, chance "
        f"{100 / grid.test_videos:.2f} % R@1. R@1 text to video in percent, mean ± standard deviation over "
        f'seeds {", ".join(map(str, grid.seeds))}; "among four" is how often the right one of four hard '
        f"negatives scores highest (chance 25 %). {len(records)} of {len(list(jobs_of(grid)))} runs, "
        f"{minutes:.0f} minutes of training and testing added up; runs went side by side."
    )


def _table(grid: Grid, records: Sequence[Record]) -> list[str]:
    tags = list(dict.fromkeys(tag for one in records for tag in one["report"].get("by_tag", {})))
    head = ["row", "method", "R@1", *tags, "among four", "seeds", "M parameters", "minutes a run"]
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
    found = [spread([_recall(one, tag) for one in reports]) for tag in (_ALL, *tags)]
    return [*found, spread([one["choice"]["all"]["right"] for one in reports])]


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
        "| claim | source | setting | measured difference in R@1 (± standard error) | Shapes |",
        "|---|---|---|---|---|",
    ]
    place = 0
    for claim, setting, measured, missing in asked:
        own, place = corrected[place : place + len(measured)], place + len(measured)
        cell = f"not run: {', '.join(missing)}" if missing else "; ".join(map(_measured, own))
        said = "not tested" if missing else f"**{verdict(own)}**"
        words = claim.say if claim.tag == _ALL else f"{claim.say} (on {claim.tag})"
        lines.append(f"| {words} | {claim.source} | {setting} | {cell} | {said} |".replace(" > ", " &gt; "))
    return lines


def _measured(one: Measured) -> str:
    figures = f"{one.difference:+.1f} ± {one.error:.1f}"
    figures = f"**{figures}**" if one.significant else figures
    return f"{one.comparison.text}: {figures}{f' {_BELOW}' if one.below_start else ''}"
