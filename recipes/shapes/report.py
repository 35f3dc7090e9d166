"""Judge trained Shapes models on the test split and write the table.

Give the folder of each seed's run; the files of the test library are rendered once:

    vidsift train recipes/shapes/backbone.yaml
    vidsift train recipes/shapes/wti.yaml
    python recipes/shapes/report.py runs/shapes

A run's backbone is looked for where its recipe says, or by that name beside the run. Writes
results/shapes-wti.json and results/shapes-wti.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import vidsift
from vidsift.data.folder import read_folder
from vidsift.evaluation.evaluate import evaluate_entries
from vidsift.shapes.library import write_library
from vidsift.shapes.world import TAGS

ROOT = Path(__file__).parents[2]
LIBRARY = Path("runs/shapes-test")
VIDEOS = 640


def main() -> None:
    """Judge and write."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "runs", nargs="+", type=Path, help="A folder that vidsift train wrote, for each seed."
    )
    options.add_argument("--library", type=Path, default=LIBRARY, help="Rendered here.")
    options.add_argument("--note", default="", help="What else a reader of the minutes should know.")
    chosen = options.parse_args()
    if not (chosen.library / "captions.jsonl").is_file():
        write_library(chosen.library, "test", VIDEOS, seed=0)
    entries = read_folder(chosen.library)
    reports = []
    for run in chosen.runs:
        report = evaluate_entries(vidsift.load(run), entries, split="test")
        report["training"] = training_of(run)
        reports.append(report)
        print(run, report["text_to_video"])
    text = table(reports, command_line(chosen)) + (f"\n{chosen.note}\n" if chosen.note else "")
    (ROOT / "results" / "shapes-wti.json").write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    (ROOT / "results" / "shapes-wti.md").write_text(text, encoding="utf-8")
    print(text)


def command_line(chosen: argparse.Namespace) -> str:
    """Say what was run, the note apart."""
    command = ["python", "recipes/shapes/report.py", *map(str, chosen.runs)]
    if chosen.library != LIBRARY:
        command += ["--library", str(chosen.library)]
    return shlex.join(command)


def recipe_of(run: Path) -> dict[str, Any]:
    """The whole recipe of a run."""
    recipe: dict[str, Any] = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    return recipe


def start_of(run: Path, recipe: dict[str, Any]) -> Path:
    """The run that a run started from: where its recipe says, or by that name beside the run."""
    start = Path(recipe["model"]["start"])
    return start if start.is_absolute() else run.parent / start.name


def training_of(run: Path) -> dict[str, Any]:
    """Seed and costs of a run and of the backbone that it started from, from their logs.

    Returns:
        For each of the two its steps, the minutes of training alone, and the seconds that validation took
        beside them.
    """
    recipe = recipe_of(run)
    folders = {"backbone": start_of(run, recipe), "wti": run}
    stages = {}
    for name, folder in folders.items():
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        last = [line for line in lines if "loss" in line][-1]
        validation = sum(line.get("validation_seconds", 0.0) for line in lines)
        stages[name] = {
            "steps": last["step"],
            "minutes": round(last["seconds"] / 60, 1),
            "validation_seconds": round(validation, 1),
        }
    return {"run": run.name, "seed": recipe["seed"], **stages}


def table(reports: Sequence[dict[str, Any]], command: str) -> str:
    """Write the numbers of all seeds as a page.

    Args:
        reports: of the seeds.
        command: what made them.
    """
    first = reports[0]
    protocol = first["protocol"]
    rows = [
        (
            "all",
            [report["text_to_video"] for report in reports],
            [report["choice"]["all"] for report in reports],
        )
    ]
    rows += [
        (
            tag,
            [report["by_tag"][tag] for report in reports],
            [report["choice"]["by_tag"][tag] for report in reports],
        )
        for tag in TAGS
    ]
    lines = [
        "# Shapes, WTI from fresh weights",
        "",
        (
            f"`{command}`, after `vidsift train recipes/shapes/backbone.yaml` and `vidsift train "
            "recipes/shapes/wti.yaml` for each seed."
        ),
        "",
        (
            f"Test split: {protocol['videos']} videos decoded from their files, {protocol['captions']} "
            f"captions, {protocol['frames']} frames; chance {100 / protocol['videos']:.2f} % R@1, and "
            f"{first['choice']['all']['chance']:.0f} % for the choice among a group of hard negatives."
        ),
        f"Mean and standard deviation of {len(reports)} seeds."
        if len(reports) > 1
        else f"Seed {first['training']['seed']} alone.",
        "",
        "| queries | R@1 | R@5 | R@10 | MdR | right among hard negatives |",
        "|---|---|---|---|---|---|",
    ]
    for name, recalls, choices in rows:
        cells = [spread([recall[key] for recall in recalls]) for key in ("R@1", "R@5", "R@10", "MdR")]
        cells.append(spread([choice["right"] for choice in choices]))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for kind in ("seen", "unseen"):
        recalls = [report["by_novelty"][kind] for report in reports]
        cells = [spread([recall[key] for recall in recalls]) for key in ("R@1", "R@5", "R@10", "MdR")]
        lines.append(f"| {kind} combinations | " + " | ".join(cells) + " | |")
    backwards = spread([report["video_to_text"]["R@1"] for report in reports])
    lines += [
        "",
        f"Video to text R@1: {backwards}.",
        "",
        "Minutes of training alone; the seconds spent on validation are beside them.",
        "",
        (
            "| seed | backbone steps | minutes | validation s | WTI steps | minutes | validation s "
            "| R@1 | appearance |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        how = report["training"]
        cells = [how["seed"]]
        for stage in ("backbone", "wti"):
            cells += [how[stage][name] for name in ("steps", "minutes", "validation_seconds")]
        cells += [f"{part['R@1']:.1f}" for part in (report["text_to_video"], report["by_tag"]["appearance"])]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> str:
    """Write the mean, and the standard deviation where there are several."""
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} +- {statistics.stdev(values):.1f}"


if __name__ == "__main__":
    main()
