"""The page of a grid: a table for each setting, and a verdict for each claim."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.evaluation.claims import Measured, measure, verdict
from vidsift.training.grid import Claim, Grid, jobs_of

__all__ = ["page", "spread", "weigh"]

Record = Mapping[str, Any]

_ALL = "all"


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
        What was measured, and the rows that are missing or have one seed only, in which case nothing was.
    """
    found: dict[str, NDArray[np.float64]] = {}
    missing: list[str] = []
    for row in sorted(claim.rows):
        runs = [one for one in records if one["row"] == row and one["setting"] == setting]
        if len(runs) < 2:
            missing.append(row)
            continue
        asked = np.asarray([claim.tag in (_ALL, tag) for tag in runs[0]["tags"]])
        found[row] = np.asarray([one["found"] for one in runs], np.float64)[:, asked]
    if missing:
        return [], missing
    return [measure(one, found) for one in claim.comparisons], []


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
    for row in grid.rows:
        runs = [one for one in records if one["row"] == row.name]
        if not runs:
            continue
        cells = [row.name, row.about or _described(row.method, row.arguments)]
        cells.append(spread([one["report"]["text_to_video"]["R@1"] for one in runs]))
        cells += [spread([one["report"]["by_tag"][tag]["R@1"] for one in runs]) for tag in tags]
        cells.append(spread([one["report"]["choice"]["all"]["right"] for one in runs]))
        cells += [str(len(runs)), f"{runs[0]['parameters'] / 1e6:.2f}"]
        cells.append(f"{statistics.mean(one['train_seconds'] for one in runs) / 60:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _described(method: str, arguments: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name} {value}" for name, value in arguments.items())
    return f"{method}: {said}" if said else method


def _claims(grid: Grid, records: Sequence[Record]) -> list[str]:
    lines = [
        (
            "A comparison counts where the difference exceeds two standard errors over test videos and "
            "seeds. A claim agrees where all of its comparisons do (`>=` unless the contrary counts, but one "
            "at least must count), and disagrees where one counts the other way round. With so many "
            "comparisons some differences of two errors are chance."
        ),
        "",
        "| claim | source | setting | measured difference in R@1 (± standard error) | Shapes |",
        "|---|---|---|---|---|",
    ]
    begun = {one["setting"] for one in records}
    for claim in grid.claims:
        for setting in grid.settings:
            if setting not in begun or not claim.rows <= grid.rows_of(setting):
                continue
            measured, missing = weigh(claim, setting, records)
            if missing:
                cell, said = f"not run: {', '.join(missing)}", "not tested"
            else:
                cell = "; ".join(
                    f"{one.comparison.text}: {one.difference:+.1f} ± {one.error:.1f}" for one in measured
                )
                said = f"**{verdict(measured)}**"
            words = claim.say if claim.tag == _ALL else f"{claim.say} (on {claim.tag})"
            lines.append(
                f"| {words} | {claim.source} | {setting} | {cell} | {said} |".replace(" > ", " &gt; ")
            )
    return lines
