"""``vidsift index``: make folders of videos searchable, and look after the index."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.calibrate import calibrate_after
from vidsift.cli.indexing import show_report, shown_progress
from vidsift.cli.maintenance import check, optimize, remove, stats
from vidsift.cli.opening import say_what_the_model_knows
from vidsift.cli.plain import Group, program
from vidsift.cli.text import Annotations, IndexFolder, one_line

if TYPE_CHECKING:
    from vidsift.data.entries import Entry
    from vidsift.index.build import IndexingOptions, Report
    from vidsift.index.decode_worker import SegmentLength
    from vidsift.methods.model import Model

__all__ = ["add", "index", "update", "watch"]

Folders = Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders and video files.")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Model folder, CLIP name (NAME@REVISION to pin it), or 'shapes' for the demo model. Default: "
        "the index's own; for a new index openai/clip-vit-base-patch32.",
    ),
]
SegmentText = Annotated[
    str,
    typer.Option(
        "--segment",
        help="Cut videos into pieces of at most so many seconds; 'auto' is 30, 'none' is whole.",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="PATTERN",
        help="Only files that fit, such as '*.mov' or 'holidays/*'; repeatable.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="PATTERN", help="No files and folders that fit, such as 'drafts'; repeatable."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes that decode. Default: half of the processors."),
]
Retry = Annotated[bool, typer.Option("--retry", help="Read files again that failed before.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with status 1 if a file could not be read.")]
Device = Annotated[str, typer.Option("--device", help="Where to encode: auto, cpu, cuda.")]
TimeLimit = Annotated[
    float,
    typer.Option("--time-limit", min=1, help="Seconds without progress after which a file is given up."),
]
MemoryLimit = Annotated[
    float, typer.Option("--memory-limit", min=0.1, help="GiB of memory that reading one file may take.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="List every file that failed.")]
_TIME_LIMIT, _MEMORY_LIMIT = 120.0, 2.0


class _Verbs(Group):
    """``vidsift index FOLDER...`` is ``vidsift index add FOLDER...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb where it was left out."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["add", *args]
        return super().parse_args(ctx, args)


def index() -> typer.Typer:
    """Build the group of verbs."""
    group = program(
        cls=_Verbs,
        help="Make folders of videos searchable, and look after the index.\n\n"
        "'vidsift index FOLDER...' is 'vidsift index add FOLDER...'; a folder that is called like one of the "
        "verbs is named ./add.",
    )
    for verb in (add, update, remove, check, stats, optimize, watch):
        group.command(verb.__name__)(verb)
    return group


def add(  # noqa: PLR0917 - the options of the verb
    folders: Folders,
    model: ModelName = None,
    folder: IndexFolder = None,
    segment: SegmentText = "auto",
    include: Include = None,
    exclude: Exclude = None,
    workers: Workers = None,
    retry: Retry = False,
    strict: Strict = False,
    device: Device = "auto",
    time_limit: TimeLimit = _TIME_LIMIT,
    memory_limit: MemoryLimit = _MEMORY_LIMIT,
    verbose: Verbose = False,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep the captions of this data set too; FOLDER holds its videos."),
    ] = None,
    annotations: Annotations = None,
    split: Annotated[str | None, typer.Option(help="Which split of --data.")] = None,
) -> None:
    """Make the videos in FOLDER searchable; again later, only what changed is read.

    Ctrl-C finishes what is in hand and keeps it; the next run goes on from there.
    """
    length = _segment_length(segment)
    entries = _entries_of(data, folders, annotations, split)

    from vidsift.index.build import build_index
    from vidsift.index.manifest import MANIFEST, index_folder

    where = index_folder(folder)
    is_new = not (where / MANIFEST).exists()
    options = _options(workers, retry, device, time_limit, memory_limit)
    loaded: list[Model] = []
    with _interruptible() as stopped, shown_progress() as show:
        options |= {"on_model": loaded.append, "on_progress": show, "should_stop": stopped.is_set}
        report = build_index(
            folders,
            where,
            model,
            segment=length,
            include=include or (),
            exclude=exclude or (),
            **options,
        )
    show_report(report, where, verbose=verbose, default=folder is None)
    # Once, when somebody chooses the model; whoever goes on with the index knows.
    if is_new and loaded:
        say_what_the_model_knows(loaded[0])
    videos = report.added + report.unchanged + report.updated + report.moved + len(report.failed)
    if not (videos or report.stopped):
        typer.echo(f"No video was found in {', '.join(one_line(str(folder)) for folder in folders)}.")
    if entries and not report.stopped:
        from vidsift.index.maintenance import import_captions

        count = import_captions(where, f"{data} {split or ''}".strip(), entries)
        typer.echo(f"Captions of {count} videos of {data} stored.")
    calibrate_after(report, where, loaded)
    _leave(report, strict=strict)


def update(  # noqa: PLR0917 - the options of the verb
    model: ModelName = None,
    folder: IndexFolder = None,
    workers: Workers = None,
    retry: Retry = False,
    strict: Strict = False,
    device: Device = "auto",
    time_limit: TimeLimit = _TIME_LIMIT,
    memory_limit: MemoryLimit = _MEMORY_LIMIT,
    verbose: Verbose = False,
) -> None:
    """Look again at every folder that the index holds; only what changed is read.

    Folders that are not there, such as those of a drive that is not plugged in, stay as they are.
    """
    from vidsift.index.build import update_index
    from vidsift.index.manifest import index_folder

    where = index_folder(folder)
    options = _options(workers, retry, device, time_limit, memory_limit)
    loaded: list[Model] = []
    with _interruptible() as stopped, shown_progress() as show:
        options |= {"on_model": loaded.append, "on_progress": show, "should_stop": stopped.is_set}
        report = update_index(where, model, **options)
    show_report(report, where, verbose=verbose, default=folder is None)
    calibrate_after(report, where, loaded)
    _leave(report, strict=strict)


def watch(  # noqa: PLR0917 - the options of the verb
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER...]", help="What to watch; all that the index holds by default."),
    ] = None,
    model: ModelName = None,
    folder: IndexFolder = None,
    segment: SegmentText = "auto",
    workers: Workers = None,
    device: Device = "auto",
    poll: Annotated[
        bool, typer.Option("--poll", help="Look again and again; for network drives that report no changes.")
    ] = False,
    time_limit: TimeLimit = _TIME_LIMIT,
    memory_limit: MemoryLimit = _MEMORY_LIMIT,
    verbose: Verbose = False,
) -> None:
    """Keep the index up to date while files come, change and go; Ctrl-C ends it. Needs vidsift[watch]."""
    length = _segment_length(segment)

    from vidsift.index.manifest import index_folder
    from vidsift.index.watch import watch_index

    where = index_folder(folder)
    options = _options(workers, False, device, time_limit, memory_limit)

    def show(report: Report) -> None:
        if report.added or report.updated or report.moved or report.removed or report.failed:
            show_report(report, where, verbose=verbose, default=folder is None)
        typer.echo("Watching; Ctrl-C ends it.", err=True)

    with _interruptible() as stopped:
        watch_index(
            folders or (),
            where,
            model,
            stopped=stopped,
            on_report=show,
            on_trouble=lambda text: typer.echo(f"vidsift: {one_line(text)}", err=True),
            poll=poll,
            segment=length,
            **options,
        )


def _entries_of(
    data: str | None, folders: list[Path], annotations: Path | None, split: str | None
) -> list[Entry]:
    """What a data set says of its videos; nothing where none is named."""
    if data is None:
        if annotations is not None or split is not None:
            raise ValueError("--annotations and --split belong to a data set; name it with --data")
        return []
    if len(folders) != 1:
        raise ValueError(f"--data {data} goes with one FOLDER, that of its videos; {len(folders)} were given")

    from vidsift.data.catalog import open_source

    return open_source(data, str(folders[0]), None if annotations is None else str(annotations)).entries(
        split
    )


def _options(
    workers: int | None, retry: bool, device: str, time_limit: float, memory_limit: float
) -> IndexingOptions:
    return {
        "workers": workers,
        "retry": retry,
        "device": device,
        "time_limit_seconds": time_limit,
        "memory_limit_bytes": round(memory_limit * 2**30),
    }


def _leave(report: Report, *, strict: bool) -> None:
    if report.stopped:
        raise typer.Exit(130)
    if strict and report.failed:
        raise typer.Exit(1)


def _segment_length(text: str) -> SegmentLength:
    if text == "auto":
        return "auto"
    if text == "none":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # NaN is refused too: no comparison with it is true.
    if not 0 < seconds < float("inf"):
        raise ValueError(f"--segment is {text!r}; expected auto, none, or a number of seconds above 0")
    return seconds


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let the first Ctrl-C ask for an orderly end, and the second one end at once."""
    stopped = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        typer.echo("\nStopping: keeping what is finished (Ctrl-C again to stop at once).", err=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
