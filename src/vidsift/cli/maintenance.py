"""The verbs of ``vidsift index`` that look after what is there: remove, check, stats, optimize."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from vidsift.cli.text import IndexFolder, one_line, show_facts

__all__ = ["check", "optimize", "remove", "stats"]

_LISTED = 50
_SHOWN_EVERY = 100


def remove(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Folders and files; they need not exist any more.")
    ],
    folder: IndexFolder = None,
) -> None:
    """Take folders and files out of the index; the files themselves stay where they are.

    What lies in a folder that the index keeps stays out from now on, until it is added again by its own name.
    """
    from vidsift.files.paths import absolute
    from vidsift.index.maintenance import remove_paths
    from vidsift.index.manifest import index_folder
    from vidsift.index.storage import Store

    where = index_folder(folder)
    count = remove_paths(where, paths)
    typer.echo(f"{count} files were taken out of the index; they themselves are untouched.")
    folders = Store.open(where).read_folders()
    for path in map(absolute, paths):
        above = next((indexed.path for indexed in folders if path in indexed.removed), None)
        if above is not None:
            typer.echo(
                f"{one_line(path)} lies in {one_line(above)}, which the index keeps: it is left out from now "
                f"on; to take it back: vidsift index add {one_line(shlex.quote(path))}"
            )


def check(
    folder: IndexFolder = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop what is wrong; the next run reads those files again.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not read the files whose size and time are unchanged.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List everything.")] = False,
) -> None:
    """Prove that the index is whole: every row against its file, its model and itself.

    Exits with status 1 if something is wrong and was not repaired.
    """
    from vidsift.index.check import check_index

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty() and (done % _SHOWN_EVERY == 0 or done >= total):
            typer.echo(f"\r{done} of {total} rows", nl=done >= total, err=True)

    report = check_index(folder, repair=repair, contents=not quick, on_progress=show)
    *lines, ending = report.sentences()
    for line in lines if verbose else lines[:_LISTED]:
        typer.echo(one_line(line))
    if len(lines) > _LISTED and not verbose:
        typer.echo(f"... and {len(lines) - _LISTED} more (--verbose lists all)")
    typer.echo(ending)
    if not report.whole and not repair:
        typer.echo("Repair it with: vidsift index check --repair, then: vidsift index update")
    elif report.problems and report.whole:
        typer.echo("Read the dropped files again with: vidsift index update")
    if not report.whole:
        raise typer.Exit(1)


def stats(
    folder: IndexFolder = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is in the index and how much room it takes, per hour of video too."""
    from vidsift.index.library import describe
    from vidsift.index.manifest import index_folder

    facts = describe(index_folder(folder))
    typer.echo(json.dumps(facts)) if as_json else show_facts(facts)


def optimize(
    folder: IndexFolder = None,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Also drop what a search that runs this moment may still read.")
    ] = False,
) -> None:
    """Merge the small pieces that many runs left, and drop old versions.

    What a search that runs this moment may still read is kept for an hour, but for --now.
    """
    from vidsift.index.maintenance import optimize_index

    before, after = optimize_index(folder, **({"keep_seconds": 0.0} if now else {}))
    typer.echo(f"{before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after.")
