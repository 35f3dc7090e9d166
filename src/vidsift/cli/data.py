"""``vidsift data``: look after data sets for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.plain import Group, program
from vidsift.cli.text import Annotations, one_line

if TYPE_CHECKING:
    from vidsift.data.source import DataSource

__all__ = ["check", "data"]


def data() -> typer.Typer:
    """Build the group of verbs."""
    group = program(cls=Group, help="Look after data sets for training and evaluation.")
    group.callback()(_no_verb)  # with one verb only, typer would make it the group itself
    group.command("check")(check)
    return group


def _no_verb() -> None:
    """Look after data sets for training and evaluation."""


def check(
    name: Annotated[str, typer.Argument(help="The data set, such as msrvtt; the recipes' data.source.")],
    videos: Annotated[Path, typer.Argument(help="The folder of its videos.")],
    annotations: Annotations = None,
    split: Annotated[str | None, typer.Option(help="Which split; all by default.")] = None,
) -> None:
    """Count the videos and captions of each split, and list the videos that are not there.

    No video is opened. Ends with status 1 where one is not there, or annotations cannot be read.
    """
    from vidsift.data.catalog import open_source

    source = open_source(name, str(videos), None if annotations is None else str(annotations))
    tests = source.test_splits()
    names = [split] if split else source.split_names()
    whole = [_check_split(source, name, tests) for name in names]
    if not all(whole):
        raise typer.Exit(1)


def _check_split(source: DataSource, split: str, tests: tuple[str, ...]) -> bool:
    """Print what there is of a split; whether all of it is there."""
    from vidsift.data.entries import absent_videos
    from vidsift.errors import CaptionsError
    from vidsift.evaluation.missing import LISTED

    title = f"{split or 'no split named'}{' (test)' if split in tests else ''}"
    try:
        entries = source.entries(split)
    except CaptionsError as error:
        typer.echo(f"{title}: {one_line(str(error))}")
        return False
    absent = absent_videos(entries)
    captions = sum(len(entry.captions) for entry in entries)
    typer.echo(f"{title}: {len(entries)} videos, {captions} captions, {len(absent)} missing")
    for path, reason in absent[:LISTED]:
        typer.echo(f"  missing: {one_line(path)}: {reason}")
    if len(absent) > LISTED:
        typer.echo(f"  ... and {len(absent) - LISTED} more")
    return not absent
