"""Measuring how sure hits are at the end of an indexing run, while the model is loaded."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidsift.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidsift.index.build import Report
    from vidsift.methods.model import Model

__all__ = ["calibrate_after"]

_NOTICED_SECONDS = 1.0


def calibrate_after(report: Report, where: Path, loaded: Sequence[Model]) -> None:
    """Measure what the first search would measure otherwise, where a run changed the index.

    The index is whole by now: whatever goes wrong here is left to that search.

    Args:
        report: of the run.
        where: the index.
        loaded: the run's model; none where nothing was to do.

    Raises:
        typer.Exit: with status 130 after Ctrl-C.
    """
    if report.stopped or not loaded or not (report.added or report.updated or report.removed):
        return
    slow = threading.Timer(
        _NOTICED_SECONDS,
        lambda: typer.echo(
            "Measuring how sure hits are (Ctrl-C leaves it to the first search) ...", err=True
        ),
    )
    slow.daemon = True
    slow.start()
    try:
        _calibrate(where, loaded[-1])
    except KeyboardInterrupt:
        typer.echo("Left to the first search; the index is whole.", err=True)
        raise typer.Exit(130) from None
    except Exception as problem:
        why = one_line(" ".join(str(problem).split())) or type(problem).__name__
        typer.echo(f"vidsift: how sure hits are is left to the first search to measure: {why}", err=True)
    finally:
        slow.cancel()


def _calibrate(where: Path, model: Model) -> None:
    from vidsift.search.searcher import Index

    _ = Index.open(where, model).calibration
