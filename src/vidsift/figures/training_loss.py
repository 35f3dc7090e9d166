"""The loss over the steps of several runs (DRL Fig. 5a)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vidsift.figures.page import COLOURS, Drawing, new_page
from vidsift.training.run_folder import LOG_FILE

__all__ = ["draw_training_loss", "read_losses"]


def read_losses(run: str | Path, part: str = "loss") -> list[tuple[int, float]]:
    """Read a loss from the log of a run.

    Args:
        run: its folder, or the log itself.
        part: "loss" for all of it, or one that the method logs beside it.

    Returns:
        Step and loss; where a run was resumed a step counts once, as it was done last.

    Raises:
        ValueError: there is no log, it is damaged, or it has no such loss.
    """
    file = Path(run) / LOG_FILE if Path(run).is_dir() else Path(run)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError as error:
        raise ValueError(f"there is no {file}; give the folder of a run, or its {LOG_FILE}") from error
    except ValueError as error:
        raise ValueError(f"{file} is no log of a run: {error}") from error
    steps = [
        record for record in records if isinstance(record, dict) and "loss" in record and "step" in record
    ]
    if not steps:
        raise ValueError(f"{file} holds no losses; a run writes them every log_every_steps")
    if part not in steps[-1]:
        known = [name for name, value in steps[-1].items() if isinstance(value, float)]
        raise ValueError(f"{file} has no {part!r}; it has {', '.join(known)}")
    return sorted({int(record["step"]): float(record[part]) for record in steps if part in record}.items())


def draw_training_loss(
    losses: Mapping[str, Sequence[tuple[int, float]]], *, part: str = "loss", smooth: int = 1
) -> Drawing:
    """Draw losses over steps, a line for each run.

    Args:
        losses: name of the run to what :func:`read_losses` gave.
        part: which loss it is, for the axis.
        smooth: lines of the log that are averaged, the middle one in the middle.

    Raises:
        ValueError: ``smooth`` is less than 1.
    """
    if smooth < 1:
        raise ValueError(f"smooth is {smooth}, expected at least 1 line of the log")
    with new_page(4.6, 3.0) as page:
        axes = page.subplots()
        for number, (name, points) in enumerate(losses.items()):
            steps, values = np.asarray(points, np.float64).T
            colour = COLOURS[number % len(COLOURS)]
            if smooth > 1:
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(steps, _smoothed(values, smooth), color=colour, label=name)
        axes.set_xlabel("step")
        axes.set_ylabel(part)
        axes.legend(fontsize=8)
    return Drawing(page, {"part": part, "smooth": smooth, "losses": {n: list(p) for n, p in losses.items()}})


def _smoothed(values: np.ndarray[tuple[int], np.dtype[np.float64]], width: int) -> list[float]:
    # Narrower at both ends: nothing is made up beyond them.
    half = width // 2
    return [float(values[max(0, place - half) : place + half + 1].mean()) for place in range(len(values))]
