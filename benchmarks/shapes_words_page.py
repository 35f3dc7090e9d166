"""The page of ``benchmarks/shapes_words.py``: what is asked of a model whose words carry, and the curve."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from measuring import rows_of, where

from vidsift.figures.page import COLOURS, Drawing, new_page
from vidsift.shapes.world import TAGS

NUMBERS: dict[str, tuple[str, ...]] = {
    "R@1": ("R@1", "all"),
    **{f"R@1, {tag}": ("R@1", tag) for tag in TAGS},
    "R@1 without start and end of text": ("grounding", "without_ends", "R@1"),
    "less than R@1 by": ("grounding", "without_ends", "R@1_lost"),
    "R@1 by what words gave alone": ("grounding", "without_ends", "R@1_of_words"),
    "start and end give of the lead on hard negatives, %": ("grounding", "difference", "start_and_end"),
    "the same by size, %": ("grounding", "difference", "start_and_end_by_size"),
    "effective words of that lead": ("grounding", "difference", "effective_of_words"),
    "with start and end among them": ("grounding", "difference", "effective_words"),
    "weight of the end of text, %": ("grounding", "end_weight"),
    "pointing: a word's best frame is right": ("grounding", "pointing"),
    "pointing: chance": ("grounding", "chance"),
    "pointing: words in random order": ("grounding", "shuffled_words"),
    "pointing: words of another caption": ("grounding", "other_caption"),
    **{
        f"pointing: {kind}{of}": ("grounding", "by_kind", kind, name)
        for kind in ("appearance", "event", "order")
        for of, name in (("", "pointing"), (", chance", "chance"))
    },
    "deletion: the word that gave most costs most": ("grounding", "deletion"),
    "deletion: contributions dealt out at random": ("grounding", "deletion", "permuted"),
    "pointing by leaving words out": ("grounding", "leaving_out", "pointing"),
}
"""What the tables show, and where it stands in what was measured."""

CURVE = ("pointing: a word's best frame is right", "deletion: the word that gave most costs most",
         "effective words of that lead")  # fmt: skip
_AXES = ("pointing, %", "deletion, %", "effective words of the lead")
_CHANCE = ("pointing: chance", "deletion: contributions dealt out at random", None)


class Gate(NamedTuple):
    """What is asked of the mean over the models.

    Attributes:
        number: one of :data:`NUMBERS`.
        wanted: the smallest value, or the largest.
        at_least: which of the two it is.
        goal: whether it is hoped for and not asked.
    """

    number: str
    wanted: float
    at_least: bool = True
    goal: bool = False

    def __str__(self) -> str:
        """Return what is wanted in words."""
        return f"at {'least' if self.at_least else 'most'} {self.wanted:g}{' (goal)' if self.goal else ''}"

    def reached(self, value: float | None) -> bool:
        """Whether a value is enough; what has none is not."""
        if value is None:
            return False
        return value >= self.wanted if self.at_least else value <= self.wanted


GATES = (
    Gate("R@1 without start and end of text", 45),
    Gate("less than R@1 by", 10, at_least=False),
    Gate("start and end give of the lead on hard negatives, %", 35, at_least=False),
    Gate("effective words of that lead", 5),
    Gate("pointing: a word's best frame is right", 80),
    Gate("deletion: the word that gave most costs most", 85),
    Gate("R@1", 58, goal=True),
    Gate("R@1, motion", 58, goal=True),
    Gate("R@1, order", 58, goal=True),
)


class Estimate(NamedTuple):
    """A number of one model, or its mean over several.

    Attributes:
        value: the number; None where a model has none.
        spread: standard deviation over models; None for one.
        interval: of 95 % over videos, for several the mean of theirs; None without.
    """

    value: float | None
    spread: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def half(self) -> float:
        """Half of the interval; 0 without."""
        return (self.interval[1] - self.interval[0]) / 2 if self.interval else 0.0

    def __str__(self) -> str:
        """Return it as a cell of a table."""
        if self.value is None:
            return "-"
        spread = "" if self.spread is None else f" ± {self.spread:.1f}"
        ends = "" if self.interval is None else f" ({self.interval[0]:.1f} to {self.interval[1]:.1f})"
        return f"{self.value:.1f}{spread}{ends}"


def estimate(measured: Sequence[Mapping[str, Any]], number: str) -> Estimate:
    """Return a number of what was measured, of one model or the mean over several."""
    values, ends = [], []
    for of_model in measured:
        value: Any = of_model
        for key in NUMBERS[number]:
            value = value.get(key) if value is not None else None
        if value is None or value["value"] is None:
            return Estimate(None)
        values.append(value["value"])
        if value["interval"] is not None:
            ends.append(value["interval"])
    if not values:
        return Estimate(None)
    # A mean of some models' intervals would be none of the mean.
    known = len(ends) == len(values)
    interval = (
        (statistics.fmean(low for low, _ in ends), statistics.fmean(high for _, high in ends))
        if known
        else None
    )
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Estimate(statistics.fmean(values), spread, interval)


def above_control(models: Estimate, controls: Estimate) -> tuple[str, bool]:
    """Say by how much the pointing of models is above that of controls, and whether that is beyond error.

    The error is that of the difference as if each were measured on videos of its own: they share theirs, so
    it is rather too large.
    """
    if models.value is None or controls.value is None:
        return "-", False
    difference, error = models.value - controls.value, math.hypot(models.half, controls.half)
    return f"{difference:+.1f} ± {error:.1f}", difference > error


def verdicts(facts: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each gate: what is asked, and of each world the number and whether it is reached."""
    said = {True: "yes", False: "**no**"}
    rows = []
    for gate in GATES:
        row = [gate.number, str(gate)]
        for measured in facts["measured"].values():
            number = estimate([measured[name] for name in facts["models"]], gate.number)
            row += [str(number), said[gate.reached(number.value)]]
        rows.append(row)
    if facts["controls"]:
        row = ["pointing above that of the controls", "more than its error"]
        for measured in facts["measured"].values():
            sides = (
                estimate([measured[name] for name in facts[group]], CURVE[0])
                for group in ("models", "controls")
            )
            difference, beyond = above_control(*sides)
            row += [difference, said[beyond]]
        rows.append(row)
    return rows


def draw_curve(facts: Mapping[str, Any]) -> Drawing:
    """Draw how accurate models are against how much their words mean, a row of panels for each version."""
    points = [
        {"world": world, "group": group, "name": name, "R@1": estimate([measured[name]], "R@1").value}
        | {number: estimate([measured[name]], number).value for number in CURVE}
        | {chance: estimate([measured[name]], chance).value for chance in _CHANCE if chance}
        for world, measured in facts["measured"].items()
        for group in ("models", "controls", "also")
        for name in facts[group]
    ]
    with new_page(10.5, 3.1 * len(facts["measured"])) as sheet:
        axes = sheet.subplots(len(facts["measured"]), len(CURVE), squeeze=False)
        for row, world in zip(axes, facts["measured"], strict=True):
            for axis, number, label, chance in zip(row, CURVE, _AXES, _CHANCE, strict=True):
                _panel(axis, [point for point in points if point["world"] == world], number, chance)
                axis.set(xlabel=f"R@1, {world}", ylabel=label)
                axis.set_xlim(0, 100)
                axis.set_ylim(0, 100 if label.endswith("%") else None)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        sheet.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    return Drawing(sheet, points)


def _panel(axis: Any, points: Sequence[Mapping[str, Any]], number: str, chance: str | None) -> None:
    axis.axhline(next(gate.wanted for gate in GATES if gate.number == number), color="#999999", linestyle=":")
    # Seeds of one recipe share a colour and an entry of the legend.
    shown = [point["name"] for point in points if point["group"] != "models"]
    seeds = ", ".join(point["name"] for point in points if point["group"] == "models")
    for place, point in enumerate(points):
        if point[number] is None:
            continue
        is_seed = point["group"] == "models"
        colour = COLOURS[0 if is_seed else (1 + shown.index(point["name"])) % len(COLOURS)]
        label = (seeds if place == 0 else None) if is_seed else point["name"]
        axis.plot(point["R@1"], point[number], "o", color=colour, label=label)
        if chance is not None and point[chance] is not None:
            axis.plot(point["R@1"], point[chance], "_", color="#999999", markersize=9)


def page(facts: Mapping[str, Any], picture: str) -> str:
    """Return the results as a page.

    Args:
        facts: what was measured.
        picture: file of the curve, beside the page.
    """
    lines = [
        "# Words that mean something",
        "",
        f"`{facts['command']}`",
        f"on {where(facts)}; {', '.join(facts['able'])}.",
        "",
        _about(facts),
        "",
        "## What is asked of them",
        "",
        *rows_of(
            ["", "wanted", *(cell for world in facts["measured"] for cell in (world, "reached"))],
            verdicts(facts),
            left=2,
        ),
    ]
    for world, measured in facts["measured"].items():
        lines += ["", f"## {world}", "", *_table(facts, measured)]
    lines += [
        "",
        "## Accuracy against words",
        "",
        f"![R@1 against pointing, deletion and effective words]({picture})",
    ]
    lines += [
        "",
        "Dotted lines are what is asked for, grey marks chance and contributions dealt out at random.",
        "",
    ]
    head = [
        "",
        "R@1",
        "without start and end",
        "their share of the lead, %",
        "effective words",
        "pointing",
        "deletion",
    ]
    numbers = ("R@1", GATES[0].number, GATES[2].number, CURVE[2], CURVE[0], CURVE[1])
    for world, measured in facts["measured"].items():
        names = [name for group in ("models", "controls", "also") for name in facts[group]]
        body = [[name, *(estimate([measured[name]], number) for number in numbers)] for name in names]
        head[0] = world
        lines += [*rows_of(head, body), ""]
    return "\n".join(lines).rstrip() + "\n"


def _about(facts: Mapping[str, Any]) -> str:
    first = {world: next(iter(measured.values())) for world, measured in facts["measured"].items()}
    shown = " and ".join(
        f"{of['videos']} test videos of {world} ({of['grounding']['protocol']['captions']:,} captions, "
        f"{of['frames']} frames)"
        for world, of in first.items()
    )
    controls = f", beside the controls {', '.join(facts['controls'])}" if facts["controls"] else ""
    return (
        f"{', '.join(facts['models'])}{controls}, on {shown}, decoded from their files. ± is the standard "
        "deviation over models, in brackets stands the interval of 95 % over videos (of a mean, the mean of "
        "the models'). What each number is: [docs/grounding.md](../docs/grounding.md). Effective words are "
        "of the size of what words give to the lead on hard negatives; start and end of text are no words "
        "there."
    )


def _table(facts: Mapping[str, Any], measured: Mapping[str, Any]) -> list[str]:
    """Every number, of the groups and of each model."""
    groups = {f"{group} (mean of {len(facts[group])})": facts[group] for group in ("models", "controls")}
    columns = {name: names for name, names in groups.items() if len(names) > 1}
    columns |= {name: [name] for group in ("models", "controls") for name in facts[group]}
    body = [
        [number, *(estimate([measured[name] for name in names], number) for names in columns.values())]
        for number in NUMBERS
    ]
    return rows_of(["", *columns], body)
