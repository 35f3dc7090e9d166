"""Recall over an argument: the curves by which papers choose a number (PIDRo Fig. 2-4, DRL Fig. 4 and 5b)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsift.figures.page import COLOURS, Drawing, new_page
from vidsift.methods.catalog import resolve_arguments
from vidsift.training.ablate import finished
from vidsift.training.grid import Grid, GridJob, jobs_of

__all__ = ["Curve", "draw_sweep", "read_records", "sweep_curves"]

_INCHES = 3.4
_NO_VALUE = "default"


@dataclass(frozen=True)
class Curve:
    """What became of rows that differ in one argument alone.

    Attributes:
        label: what they have in common, short.
        values: of the argument, ascending.
        rows: the grid's names of the rows, a row each value.
        means: of the metric over seeds.
        deviations: over seeds; 0 with a single seed.
    """

    label: str
    values: tuple[Any, ...]
    rows: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]


def read_records(grid: Grid, results: str | Path) -> list[dict[str, Any]]:
    """Read what became of the runs of a grid.

    Args:
        grid: what was run.
        results: the JSON of its report, or the folder of its runs.

    Raises:
        ValueError: there is no such file or folder, or it holds something else.
    """
    place = Path(results)
    if place.is_dir():
        records = finished(grid, place)
        if not records:
            raise ValueError(
                f"{place} holds no finished run of the grid {grid.name!r}; run vidsift ablate first"
            )
        return records
    try:
        read: list[dict[str, Any]] = json.loads(place.read_text(encoding="utf-8"))
        if all({"setting", "row", "report"} <= record.keys() for record in read if "failed" not in record):
            return read
    except FileNotFoundError as error:
        raise ValueError(f"there is no {place}; give the .json of a grid's report, or its folder") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{place} holds no records of a grid: {error}") from error
    raise ValueError(f"{place} holds no records of a grid; give the .json beside its report")


def sweep_curves(
    grid: Grid,
    records: Sequence[Mapping[str, Any]],
    argument: str,
    *,
    setting: str,
    metric: str = "R@1",
    ignoring: Collection[str] = (),
) -> list[Curve]:
    """Gather the rows of a grid that differ in one argument alone.

    Args:
        grid: says what its rows are.
        records: of its runs, as :func:`~vidsift.training.ablate.ablate` gives or its report holds them.
        argument: of a method (``cdcr_alpha``), or a key of the recipe with dots (``model.frames``).
        setting: of the grid.
        metric: of text to video, in percent or ranks.
        ignoring: further arguments of the method in which rows of a curve may differ.

    Returns:
        A curve for all rows that agree in everything else and have at least two values.

    Raises:
        ValueError: there is no such setting or metric, or no two rows differ in the argument alone.
    """
    if setting not in grid.settings:
        raise ValueError(f"setting is {setting!r}, expected one of {', '.join(map(repr, grid.settings))}")
    measured = _measured(records, setting, metric)
    lines: dict[str, dict[Any, str]] = {}
    arguments: dict[str, dict[str, Any]] = {}
    for job in jobs_of(grid):
        parted = _parted(job, argument, ignoring) if job.setting == setting and job.row in measured else None
        if parted is not None:
            value, rest, arguments_of_row = parted
            lines.setdefault(rest, {})[value] = job.row
            arguments.setdefault(rest, arguments_of_row)
    lines = {rest: rows for rest, rows in lines.items() if len(rows) > 1}
    if not lines:
        raise ValueError(
            f"no two measured rows of the setting {setting!r} differ in {argument!r} alone; name an argument "
            "that the grid varies"
        )
    labels = _labels([arguments[rest] for rest in lines])
    return [_curve(label, rows, measured) for label, rows in zip(labels, lines.values(), strict=True)]


def _measured(records: Sequence[Mapping[str, Any]], setting: str, metric: str) -> dict[str, list[float]]:
    """The metric of every run of a setting, row by row."""
    measured: dict[str, list[float]] = {}
    for record in records:
        if record["setting"] == setting and "failed" not in record:
            metrics = record["report"]["text_to_video"]
            if metric not in metrics:
                raise ValueError(f"metric is {metric!r}, expected one of {', '.join(metrics)}")
            measured.setdefault(record["row"], []).append(float(metrics[metric]))
    return measured


def _labels(arguments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of each curve what the others have otherwise; of a single one which method it is."""
    names = dict.fromkeys(name for of_curve in arguments for name in of_curve)
    differing = [name for name in names if len({str(of_curve.get(name)) for of_curve in arguments}) > 1]
    return [
        ", ".join(f"{name} {of_curve[name]}" for name in differing if name in of_curve) or of_curve["method"]
        for of_curve in arguments
    ]


def _curve(label: str, rows: Mapping[Any, str], measured: Mapping[str, Sequence[float]]) -> Curve:
    values = _ascending(rows)
    scores = [measured[rows[value]] for value in values]
    return Curve(
        label,
        tuple(values),
        tuple(rows[value] for value in values),
        tuple(statistics.mean(of_row) for of_row in scores),
        tuple(statistics.stdev(of_row) if len(of_row) > 1 else 0.0 for of_row in scores),
    )


def _ascending(values: Iterable[Any]) -> list[Any]:
    # None, which mostly means all or the method's choice, comes last.
    return sorted(set(values), key=lambda value: (value is None, isinstance(value, str), value or 0))


def _parted(job: GridJob, argument: str, ignoring: Collection[str]) -> tuple[Any, str, dict[str, Any]] | None:
    """Return the value of an argument in a run, what else the run depends on, and its method's arguments.

    None where the run has no such argument.
    """
    values = job.recipe.model_dump(mode="json")
    model = values["model"]
    # Defaults filled in: a row that says nothing of the argument stands where its default lies.
    model["arguments"] = resolve_arguments(model["method"], model["arguments"])
    for name in ("name", "seed", "threads", "card"):
        del values[name]
    place: Any = model["arguments"] if argument in model["arguments"] else values
    *path, last = argument.split(".")
    for step in path:
        place = place.get(step) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        return None
    value = place.pop(last)
    for name in ignoring:
        model["arguments"].pop(name, None)
    rest = json.dumps(values, sort_keys=True, default=str)
    return value, rest, {"method": model["method"], **model["arguments"]}


def draw_sweep(panels: Mapping[str, Sequence[Curve]], *, metric: str = "R@1", about: str = "") -> Drawing:
    """Draw the curves, a panel for each argument, bars of one standard deviation over seeds.

    Args:
        panels: name of the argument to its curves.
        metric: what they show, for the axis.
        about: where the numbers come from, below the picture.
    """
    with new_page(_INCHES * len(panels), 2.9) as page:
        grid = page.subplots(1, len(panels), squeeze=False)[0]
        for axes, (argument, curves) in zip(grid, panels.items(), strict=True):
            # Words, and numbers far apart, stand side by side in their order.
            values = _ascending(value for curve in curves for value in curve.values)
            axes.set_xticks(
                range(len(values)), [_NO_VALUE if value is None else str(value) for value in values]
            )
            for number, curve in enumerate(curves):
                axes.errorbar(
                    [values.index(value) for value in curve.values],
                    curve.means,
                    curve.deviations,
                    label=curve.label,
                    color=COLOURS[number % len(COLOURS)],
                    marker="o",
                    markersize=4,
                    linewidth=1.2,
                    capsize=3,
                )
            axes.set_xlabel(argument)
            axes.set_ylabel(f"{metric}, text to video")
            axes.margins(x=0.15)
            axes.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 1))
        if about:
            page.supxlabel(about, fontsize=7, color="#666666")
    numbers = {argument: [vars(curve) for curve in curves] for argument, curves in panels.items()}
    return Drawing(page, {"metric": metric, "about": about, "curves": numbers})
