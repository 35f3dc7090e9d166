"""What is said on a terminal while videos are indexed, and when that is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidsift.cli.text import about, one_line

if TYPE_CHECKING:
    from vidsift.index.build import Progress, Report
    from vidsift.service.schemas_library import JobReport

__all__ = ["show_report", "shown_progress"]

_LINE_EVERY_SECONDS = 5.0
_LISTED = 20
_FEWEST_VIDEOS = 3  # from which the time that the others take can be judged


@contextmanager
def shown_progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a line every few seconds elsewhere."""
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("Indexing", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rates]}", markup=False),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("index", total=None, rates="")
        rate = _Rate()

        def show(progress: Progress) -> None:
            rates = rate.text(progress) + rate.left(progress)
            bar.update(task, total=progress.videos_total, completed=progress.videos_done, rates=rates)

        yield show


def _lines() -> Callable[[Progress], None]:
    rate = _Rate()
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        speeds = rate.text(progress)
        if progress.videos_done and time.monotonic() - last >= _LINE_EVERY_SECONDS:
            last = time.monotonic()
            done = f"{progress.videos_done} of {progress.videos_total} videos"
            typer.echo(f"{done}, {speeds}{rate.left(progress)}", err=True)

    return show


class _Rate:
    """Speeds since files were read; what comes before it, a model to load, is not counted."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def text(self, progress: Progress) -> str:
        if not progress.videos_done and not progress.frames:
            self._began = time.monotonic()
        seconds = max(time.monotonic() - self._began, 1e-3)
        return f"{progress.videos_done / seconds:.1f} videos/s, {progress.frames / seconds:.0f} frames/s"

    def left(self, progress: Progress) -> str:
        rest = progress.videos_total - progress.videos_done
        if progress.videos_done < _FEWEST_VIDEOS or not rest:
            return ""
        return f", {about((time.monotonic() - self._began) / progress.videos_done * rest)} left"


def show_report(
    report: Report | JobReport, where: Path, *, verbose: bool, default: bool, hint: bool = True
) -> None:
    """Print what a run did, and which files could not be read.

    Args:
        report: of the run, or of a job of a service.
        where: the index.
        verbose: list every file that failed.
        default: the index is where it is looked for without being named.
        hint: say what can be done next.
    """
    counts = {
        "added": report.added,
        "unchanged": report.unchanged,
        "updated": report.updated,
        "moved": report.moved,
        "removed": report.removed,
        "failed": len(report.failed),
    }
    for path in report.missing:
        typer.echo(f"{one_line(path)} is not there now; its videos stay in the index.")
    state = "Stopped early" if report.stopped else "Done"
    typer.echo(f"{state} in {report.seconds:.1f} s, {report.frames} frames encoded. Index: {where}")
    typer.echo("  ".join(f"{name} {count}" for name, count in counts.items()))
    if report.passed_over:
        kinds = [f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(report.passed_over.items())]
        typer.echo(f"{' and '.join(kinds)} passed over.")
    for title, failures in (("Could not be read", report.failed), ("Read in part", report.partial)):
        if failures:
            typer.echo(f"{title}:")
        shown = failures if verbose else failures[:_LISTED]
        for failure in shown:
            typer.echo(f"  {one_line(failure.path)}: {one_line(failure.reason)}")
        if len(failures) > len(shown):
            typer.echo(f"  ... and {len(failures) - len(shown)} more (--verbose lists all)")
    if not hint:
        return
    if report.stopped:
        typer.echo("Run the same command again to go on.")
    elif report.added and not report.unchanged:
        option = "" if default else f" --index {where}"
        typer.echo(f'Try: vidsift search "a person walking a dog"{option}')
