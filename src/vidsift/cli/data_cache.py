"""``vidsift data cache``: decode a data set once, for all that train on it."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.text import Annotations, FrameSampling, one_line

if TYPE_CHECKING:
    from vidsift.data.entries import Entry
    from vidsift.data.source import DataSource

__all__ = ["data_cache"]

_SAID_EVERY_SECONDS = 10.0
_FRAMES = 12
"""Of data sets that say no number themselves, such as a folder."""


class Pictures(StrEnum):
    """How pictures are stored."""

    jpeg = "jpeg"
    uint8 = "uint8"


def data_cache(  # noqa: PLR0917 - the verb's options
    name: Annotated[str, typer.Argument(help="The data set, such as msrvtt; the recipes' data.source.")],
    videos: Annotated[Path, typer.Option(help="The folder of its videos.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the cache.")],
    annotations: Annotations = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Which split, several times for several; all by default.")
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames of a video: model.frames.", show_default="what papers look at"),
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="Side of the pictures that the model takes, in px.")] = 224,
    pictures: Annotated[
        Pictures, typer.Option("--format", help="jpeg is small, uint8 holds every bit.")
    ] = Pictures.jpeg,
    sampling: Annotated[
        FrameSampling, typer.Option(help="Which seconds: model.sampling.")
    ] = FrameSampling.uniform,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core by default.")] = None,
) -> None:
    """Decode a data set once into a few large files, which training reads by data.cache of the recipe.

    Run the same command again after an interruption, or when videos have changed or come: it decodes what is
    missing. Ends with status 1 where videos cannot be read; those are listed, and noted in the cache.
    """
    from vidsift.data.catalog import open_source
    from vidsift.data.make_shards import make_shards
    from vidsift.data.source import expanded
    from vidsift.errors import FrameCacheError, LockHeldError
    from vidsift.video.preprocessing import Preprocessing

    source = open_source(name, str(videos), None if annotations is None else str(annotations))
    entries = _entries(source, split or source.split_names())
    # The scale of the numbers plays no part: pictures are stored before it.
    frames = getattr(source, "frames", _FRAMES) if frames is None else frames
    looks = Preprocessing(frames, sampling.value, size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    try:
        made = make_shards(
            output,
            entries,
            looks,
            pictures=pictures.value,
            root=expanded(str(videos)),
            workers=workers or _cores(),
            on_video=_Progress(),
        )
    except KeyboardInterrupt:
        typer.echo("stopped; what is finished stays, the same command goes on", err=True)
        raise
    except LockHeldError as error:
        raise FrameCacheError(f"another process fills the cache {output}: wait until it has ended") from error
    typer.echo(
        f"{output}: {len(entries)} videos, {made.made} decoded now, {made.known} before, "
        f"{len(made.unreadable)} unreadable"
    )
    _show_unreadable(made.unreadable)
    typer.echo(f"in a recipe: data.cache: {output}, model.frames: {frames}, model.sampling: {sampling.value}")
    if made.unreadable:
        raise typer.Exit(1)


def _show_unreadable(unreadable: list[tuple[str, str]]) -> None:
    from vidsift.evaluation.missing import LISTED

    for video, reason in unreadable[:LISTED]:
        typer.echo(f"  unreadable: {one_line(video)}: {one_line(reason)}")
    if len(unreadable) > LISTED:
        typer.echo(f"  ... and {len(unreadable) - LISTED} more")


def _entries(source: DataSource, splits: list[str]) -> list[Entry]:
    """The videos of some splits, each once: splits of one data set may share videos."""
    by_name = {entry.name: entry for split in splits for entry in source.entries(split)}
    return list(by_name.values())


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Progress:
    """Says every ten seconds how far it is."""

    def __init__(self) -> None:
        self._begin = self._last = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        # Starting the processes says nothing of how long the videos take.
        if done == 1:
            self._begin = self._last = now
        if now - self._last < _SAID_EVERY_SECONDS:
            return
        self._last = now
        left_minutes = (now - self._begin) / done * (of - done) / 60
        typer.echo(f"{done} of {of} videos decoded, {left_minutes:.1f} min left")
