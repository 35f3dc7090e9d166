"""The page of a grid with backbones: what rows score, and a verdict for each comparison with its power.

All of it is computed from what the published JSON holds: for every run the mean of each measure over the
captions of each group of hard negatives, and what the start scored. So every error can be computed again.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.evaluation.claims import LEVEL
from vidsift.evaluation.paired_verdicts import MEASURES, PairedComparison, correct, power_of
from vidsift.evaluation.run_differences import RunScores, backbone_factor, run_difference
from vidsift.training.grid import ALL, Claim, Grid, jobs_of
from vidsift.training.grid_report import sections, spread, succeeded

__all__ = ["claims_page", "judged_claims", "results_of"]

Record = Mapping[str, Any]
Results = dict[str, Any]


def results_of(grid: Grid, records: Sequence[Record]) -> Results:
    """Gather what is published: every run's sums, and the verdicts that follow from them.

    Returns:
        ``runs`` (a record each, ``groups`` in the order of ``group_tags``), ``starts`` (one a backbone),
        ``group_tags`` and ``claims``: for each comparison its differences, errors, p-values, power, verdict.
    """
    good = succeeded(records)
    starts = {record["backbone"]: record["start"] for record in good if "start" in record}
    left_out = ("start", "group_tags", "made_from")
    runs = [{key: value for key, value in record.items() if key not in left_out} for record in records]
    return {
        "name": grid.name,
        "group_tags": good[0]["group_tags"] if good else [],
        "starts": [{"backbone": number, **start} for number, start in sorted(starts.items())],
        "runs": runs,
        "claims": [_as_json(*line) for line in judged_claims(grid, good)],
    }


def judged_claims(grid: Grid, records: Sequence[Record]) -> list[tuple[Claim, str, PairedComparison, float]]:
    """Judge every comparison whose rows were run, all corrected together.

    Returns:
        Claim, setting, comparison, and how much of the log-likelihood a point of R@1 is in that setting.
    """
    lines: list[tuple[Claim, str, PairedComparison, float]] = []
    for setting in grid.settings:
        of_setting = [record for record in records if record["setting"] == setting]
        lost = not_improved(grid, of_setting)
        slope = _slope(of_setting)
        for claim in grid.claims:
            lines += [(claim, setting, item, slope) for item in _compared(claim, of_setting, lost)]
    corrected = correct([item for _, _, item, _ in lines])
    return [
        (claim, setting, item, slope)
        for (claim, setting, _, slope), item in zip(lines, corrected, strict=True)
    ]


def not_improved(grid: Grid, records: Sequence[Record]) -> set[str]:
    """Return the rows that learn and are no likelier on validation than at their beginning.

    Likelier is a larger mean log-likelihood of the right video within its group of hard negatives, which
    tells smaller differences than R@1 does. The beginning is the row itself before its first step, so that
    each reads the backbone in its own way; for a row that is marked ``fresh``, the backbone as it is.
    """
    learning = {row.name: row for row in grid.rows if not row.untrained}
    gains: dict[str, list[float]] = {}
    for record in records:
        name = record["row"]
        if name in learning and (beginning := _beginning(record, fresh=learning[name].fresh)):
            gains.setdefault(name, []).append(record["validation"][MEASURES[1]] - beginning[MEASURES[1]])
    return {row for row, values in gains.items() if statistics.mean(values) <= 0}


def _beginning(record: Record, *, fresh: bool) -> Record:
    """What a run has to beat on validation; empty where the backbone could not be judged."""
    judged: Record = record.get("start", {}).get("validation", {}) if fresh else record["beginning"]
    return judged


def _compared(claim: Claim, records: Sequence[Record], lost: set[str]) -> list[PairedComparison]:
    if not records:
        return []
    tags = records[0]["group_tags"]
    chosen = np.array([claim.tag in (ALL, tag) for tag in tags])
    scores = {measure: _scores(records, measure) for measure in MEASURES}
    factors = {measure: backbone_factor(list(rows.values()), chosen) for measure, rows in scores.items()}
    result = []
    for place, comparison in enumerate(claim.comparisons):
        try:
            measured = {
                measure: run_difference(comparison.weights, rows, factors[measure], chosen)
                for measure, rows in scores.items()
            }
        except (KeyError, ValueError):
            continue  # not run, or with too few seeds yet
        effect = claim.effect[place] if claim.effect else None
        of_it = tuple(row for row in comparison.weights if row in lost)
        result.append(PairedComparison(comparison, measured, effect, of_it))
    return result


def _scores(records: Sequence[Record], measure: str) -> dict[str, RunScores]:
    rows: dict[str, dict[tuple[int, int], NDArray[np.float64]]] = {}
    for record in records:
        run = record["backbone"], record["seed"]
        rows.setdefault(record["row"], {})[run] = np.asarray(record["groups"][measure], np.float64)
    return dict(rows)


def _slope(records: Sequence[Record]) -> float:
    """How much log-likelihood goes with a point of R@1, over rows: least squares of their means."""
    rows = sorted({record["row"] for record in records})
    means = np.array(
        [
            [np.mean([np.mean(it["groups"][measure]) for it in records if it["row"] == row]) for row in rows]
            for measure in MEASURES
        ]
    )
    if len(rows) < 2:
        return 0.0
    recall, likelihood = means - means.mean(axis=1, keepdims=True)
    spread = float(recall @ recall)
    return max(0.0, float(recall @ likelihood) / spread) if spread else 0.0


def _as_json(claim: Claim, setting: str, item: PairedComparison, slope: float) -> dict[str, Any]:
    measures = {}
    for measure, it in item.measured.items():
        low, high = it.interval(item.level)
        likely = power_of(item, measure, 1.0 if measure == MEASURES[0] else slope)
        measures[measure] = {
            "difference": it.difference,
            "error": it.error,
            "error_of_runs": it.of_runs,
            "error_of_questions": it.of_questions,
            "degrees_of_freedom": it.freedom,
            "runs": it.runs,
            "p_value": it.p_value,
            "corrected_p_value": (item.p_values or {}).get(measure),
            "interval": [low, high],
            "power": likely,
        }
    return {
        "claim": claim.say,
        "source": claim.source,
        "tag": claim.tag,
        "setting": setting,
        "comparison": item.comparison.text,
        "effect": item.effect,
        "not_improved": list(item.lost),
        "verdict": item.verdict,
        "measures": measures,
    }


def claims_page(grid: Grid, records: Sequence[Record], command: str, about: str = "") -> str:
    """Write the page in Markdown.

    Args:
        grid: what was run.
        records: as :func:`~vidsift.training.ablate.ablate` returns them.
        command: what made them.
        about: a paragraph about where they were made.
    """
    good, run = succeeded(records), "backbone {backbone} / seed {seed}"
    head = [f"# {grid.name}", "", f"`{command}`", "", _summary(grid, good), *(["", about] if about else [])]
    claims = _verdicts(judged_claims(grid, good))
    return "\n".join([*head, *sections(grid, records, _table, claims, run)]) + "\n"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _summary(grid: Grid, records: Sequence[Record]) -> str:
    minutes = sum(record["train_seconds"] + record["test_seconds"] for record in records) / 60
    jobs = list(jobs_of(grid))
    return (
        f"{jobs[0].recipe.data.title}: {jobs[0].test_videos} test videos in {grid.galleries} galleries, "
        f"{_counted(len(grid.backbones), 'backbone')}, seeds {', '.join(map(str, grid.seeds))}, others for "
        f"each. {len(records)} of {len(jobs)} runs, {minutes:.0f} minutes added up. R@1 is in percent, mean "
        "± standard deviation over runs. The log-likelihood is that of the right video within its group of "
        'hard negatives, in thousandths of a nat, at a scale fitted on validation; "beginning" and '
        '"validation" are it there, before and after training.'
    )


def _table(grid: Grid, records: Sequence[Record]) -> list[str]:
    tags = list(dict.fromkeys(records[0]["group_tags"]))
    # The first two on validation, by which a row counts; then R@1 there; the rest on test.
    validated = ["beginning", "validation", "validation R@1"]
    heads = ["row", *validated, "R@1", *tags, "log-likelihood", "runs", "rate", "s a run"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lost = not_improved(grid, records)
    starts = {record["backbone"]: record["start"] for record in records if "start" in record}
    if starts:
        figures = " | ".join(_figures(list(starts.values()), records[0], tags))
        lines.append(f"| start | | {figures} | {len(starts)} | | |")
    for row in grid.rows:
        runs = [record for record in records if record["row"] == row.name]
        if runs:
            seconds = statistics.mean(it["train_seconds"] + it["test_seconds"] for it in runs)
            name = f"{row.name} (not improved)" if row.name in lost else row.name
            beginning = [it[MEASURES[1]] for run in runs if (it := _beginning(run, fresh=row.fresh))]
            figures = " | ".join([spread(beginning) if beginning else "", *_figures(runs, runs[0], tags)])
            lines.append(f"| {name} | {figures} | {len(runs)} | {runs[0]['rate']:g} | {seconds:.0f} |")
    return lines


def _figures(runs: Sequence[Record], first: Record, tags: Sequence[str]) -> list[str]:
    of_tag = np.array(first["group_tags"])
    recall_RG, likelihood_RG = (np.array([it["groups"][name] for it in runs]) for name in MEASURES)
    values = [
        [it["validation"][MEASURES[1]] for it in runs],
        [it["validation"]["R@1"] for it in runs],
        recall_RG.mean(axis=1),
        *(recall_RG[:, of_tag == tag].mean(axis=1) for tag in tags),
    ]
    return [
        *(spread(np.asarray(value, np.float64).tolist()) for value in values),
        f"{likelihood_RG.mean():.0f}",
    ]


def _verdicts(lines: Sequence[tuple[Claim, str, PairedComparison, float]]) -> list[str]:
    if not lines:
        return ["No comparison yet: each needs two seeds of its rows."]
    count = sum(len(item.measured) for _, _, item, _ in lines if not item.lost)
    result = [
        (
            f"{_counted(count, 'test')}, corrected together by Holm's method: the chance of any false "
            f"verdict is {100 * LEVEL:.0f} %. A comparison holds, or does not hold, where a test by one of "
            "the measures says so and the other does not say the contrary; it does not count where a row of "
            "it is no likelier on validation than at its beginning, before its first step (one of random "
            "weights: than the start). Power is how likely the paper's difference would have been told, were "
            "it true here (of the log-likelihood by its slope against R@1 over rows). ± is a standard error "
            "over backbones, seeds and questions; in brackets the interval of R@1 that holds for all."
        ),
        "",
        "| claim | source | setting | comparison | paper | R@1 | log-likelihood | power | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for claim, setting, item, slope in lines:
        recall, likelihood = (item.measured[name] for name in MEASURES)
        low, high = recall.interval(item.level)
        powers = [power_of(item, name, by) for name, by in zip(MEASURES, (1.0, slope), strict=True)]
        likely = " / ".join("-" if it is None else f"{it:.2f}" for it in powers)
        words = claim.say if claim.tag == ALL else f"{claim.say} (on {claim.tag})"
        verdict = f"{item.verdict} ({', '.join(item.lost)})" if item.lost else item.verdict
        cells = [
            words,
            claim.source,
            setting,
            item.comparison.text.replace(">", "&gt;"),
            "" if item.effect is None else f"{item.effect:+.1f}",
            f"{recall.difference:+.2f} ± {recall.error:.2f} [{low:+.1f}, {high:+.1f}]",
            f"{likelihood.difference:+.1f} ± {likelihood.error:.1f}",
            likely,
            f"**{verdict}**",
        ]
        result.append(f"| {' | '.join(cells)} |")
    return result
