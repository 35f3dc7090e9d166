"""``vidsift ablate``: train and judge every row of a grid."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vidsift.training.grid import Grid

__all__ = ["ablate"]


def ablate(  # noqa: PLR0917 - the options of the verb
    grid: Annotated[Path, typer.Argument(help="A grid of runs, e.g. recipes/shapes/methods.yaml.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the runs.", show_default="runs/NAME")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write the page here (.md), and its numbers beside it (.json)."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run the smaller grid that the file names.")] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Runs at a time.", show_default="one a core where runs have one thread each, else 1"
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="A sentence for the page: where it was run.")] = "",
) -> None:
    """Train every row of a grid with every seed, judge them on the test split, and weigh the claims.

    Run the same command again to go on after an interruption: finished runs stay. The page is written to
    the folder of the runs as report.md, after an interruption too.
    """
    from vidsift.training.placement import refuse_several_processes
    from vidsift.training.stopping import StoppedEarly, starting_up

    refuse_several_processes()
    stopped: StoppedEarly | None = None
    with starting_up("the grid began"):
        from vidsift.training.ablate import ablate as run_grid
        from vidsift.training.ablate import finished, write_report
        from vidsift.training.grid import read_grid

        read = read_grid(grid)
        chosen = read.smaller() if quick else read
        folder = Path("runs") / chosen.name if output is None else output
        try:
            records = run_grid(chosen, folder, processes=processes or _at_a_time(chosen), say=typer.echo)
        except StoppedEarly as early:
            stopped, records = early, finished(chosen, folder)
    command = f"vidsift ablate {grid.as_posix()}{' --quick' if quick else ''}"
    # A page that was published is not replaced by half of one.
    for page in (folder / "report.md", *((report,) if report and stopped is None else ())):
        write_report(chosen, records, page, command=command, note=note)
        typer.echo(f"page of {len(records)} runs written to {page}")
    if stopped is not None:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(stopped.status)
    if any("failed" in record for record in records):
        raise typer.Exit(1)


def _at_a_time(grid: Grid) -> int:
    """As many runs as there are cores, if each run keeps to one thread."""
    return (os.cpu_count() or 1) if grid.base.get("threads") == 1 else 1
