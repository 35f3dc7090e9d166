"""``vidsift data check``: open every video of a data set before it is trained on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.data_summary import print_json, show_notes, split_title, summary_as_json
from vidsift.cli.text import Annotations, one_line, show_table

if TYPE_CHECKING:
    from vidsift.data.source import DataSource
    from vidsift.data.summary import DataSummary
    from vidsift.data.video_check import Fault, FaultKind

__all__ = ["data_check"]

_KINDS: tuple[FaultKind, ...] = ("missing", "unreadable", "damaged", "too short", "duplicate")
_LISTED = 24
_SHOWN_EVERY = 10


def data_check(  # noqa: PLR0917 - the verb's options
    name: Annotated[str, typer.Argument(help="The data set, such as msrvtt; the recipes' data.source.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[VIDEOS]", help="The same as --videos.", show_default=False)
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="The folder of its videos.")] = None,
    annotations: Annotations = None,
    split: Annotated[str | None, typer.Option(help="Which split; all by default.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that open videos.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Open every video of each split: missing, unreadable, damaged, too short, or twice in two splits.

    A dozen pictures of each are decoded, in processes with limits: a file that crashes the decoder fails
    alone. Ends with status 0 where all is well, 1 where something is wrong with the data, 2 for wrong
    arguments.
    """
    from vidsift.data.catalog import open_source
    from vidsift.data.summary import summarise
    from vidsift.data.video_check import check_videos

    place = _one_folder(folder, videos)
    if annotations is not None and not annotations.expanduser().exists():
        raise ValueError(f"--annotations: there is no {annotations}")
    source = open_source(name, str(place), None if annotations is None else str(annotations))
    _check_split_name(source, split)
    summary = summarise(source, None if split is None else [split])
    faults = check_videos(summary.entries, workers=workers, on_progress=_progress)
    notes = _second_names(source, summary)
    unread = bool(summary.broken or not summary.splits)
    if as_json:
        _print_report(name, place, summary, faults, notes, well=not faults and not unread)
    else:
        _show_report(summary, faults, notes)
    if faults or unread:
        raise typer.Exit(1)


def _one_folder(folder: Path | None, videos: Path | None) -> Path:
    if folder is not None and videos is not None:
        raise ValueError(f"two folders of videos are named, {folder} and {videos}; name one with --videos")
    place = folder if videos is None else videos
    if place is None:
        raise ValueError("which videos? Name their folder with --videos FOLDER")
    if not place.expanduser().is_dir():
        raise ValueError(f"{place} is not a folder; expected the folder of the videos")
    return place


def _check_split_name(source: DataSource, split: str | None) -> None:
    names = source.split_names()
    if split is not None and split not in names:
        raise ValueError(f"--split: {source.where} has no split {split!r}; its splits: {', '.join(names)}")


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty() and (done % _SHOWN_EVERY == 0 or done == of):
        typer.echo(f"\r{done:,} of {of:,} files opened", err=True, nl=done == of)


def _second_names(source: DataSource, summary: DataSummary) -> list[str]:
    """Say where an id means several files, and which is taken."""
    from vidsift.data.video_files import AnnotatedVideos

    if not isinstance(source, AnnotatedVideos):
        return []
    notes: dict[str, None] = {}
    for held in summary.entries.values():
        for entry in held:
            others = source.on_disk.others(entry.path)
            if others:
                notes[f"{entry.path} is taken; the same name has {', '.join(others)}"] = None
    return list(notes)


def _show_report(summary: DataSummary, faults: Sequence[Fault], notes: Sequence[str]) -> None:
    rows: list[Sequence[str | int]] = []
    for held in summary.splits:
        counts = Counter(fault.kind for fault in faults if held.split in fault.splits)
        title = split_title(held.split, held.test)
        rows.append((title, held.videos, held.captions, held.spans, *(counts[kind] for kind in _KINDS)))
    if rows:
        show_table(("split", "videos", "captions", "spans", *_KINDS), rows)
    for kind in _KINDS:
        of_kind = [fault for fault in faults if fault.kind == kind]
        for fault in of_kind[:_LISTED]:
            splits = ", ".join(split or "no split named" for split in fault.splits)
            typer.echo(f"{kind} ({splits}): {one_line(fault.video)}: {one_line(fault.reason)}")
        if len(of_kind) > _LISTED:
            typer.echo(f"... and {len(of_kind) - _LISTED:,} more {kind}; --json names all")
    for note in notes[:_LISTED]:
        typer.echo(one_line(note))
    if len(notes) > _LISTED:
        typer.echo(f"... and {len(notes) - _LISTED:,} more names that several files have")
    show_notes(summary)


def _print_report(
    name: str,
    place: Path,
    summary: DataSummary,
    faults: Sequence[Fault],
    notes: Sequence[str],
    *,
    well: bool,
) -> None:
    report: dict[str, Any] = {"data_set": name, "videos": str(place), "well": well}
    listed = [fault._asdict() for fault in faults]
    print_json(report | summary_as_json(summary) | {"faults": listed, "several_files": list(notes)})
