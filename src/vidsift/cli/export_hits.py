"""The option ``--export``: hits as a file for editors, tables and players."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.text import one_line

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.types import Hit

__all__ = ["ExportOption", "check_export", "export_hits"]

ExportOption = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="FILE",
        help="Also write the hits to a file: .otio, .edl or .fcpxml for editors, .csv as a table, .m3u8 as a "
        "playlist.",
    ),
]

# The packets of a file of hours are read through, from a slow disk too.
_TIMING_SECONDS = 900.0


def check_export(file: Path) -> None:
    """Refuse a file that cannot be written, before anything is searched.

    Raises:
        ValueError: its name ends in no kind that is known.
        NotSavedError: nothing can be written there.
    """
    from vidsift.export.write import export_kind
    from vidsift.files.disk_errors import refuse_unwritable

    export_kind(file)
    refuse_unwritable(file)


def export_hits(index: Index, hits: list[Hit], title: str, file: Path) -> None:
    """Write hits to a file and say so; exit status 2 where the file of one could not be read.

    Raises:
        ImportError: the library that writes this kind is not installed.
        OSError: the file cannot be written.
    """
    from vidsift.errors import VidsiftError
    from vidsift.export.excerpts import Excerpt
    from vidsift.export.write import export_kind, export_text, save_export
    from vidsift.video.frame_timing import FrameTiming, frame_timing
    from vidsift.workers.process import ProcessLimits
    from vidsift.workers.sandbox import Sandbox

    timings: dict[str, FrameTiming | None] = {}
    excerpts = []
    with Sandbox(ProcessLimits(time_limit_seconds=_TIMING_SECONDS)) as sandbox:
        for hit in hits:
            if hit.video_id not in timings:
                timings[hit.video_id] = None
                try:
                    timings[hit.video_id] = sandbox.run(frame_timing, index.file_of(hit))
                except (VidsiftError, OSError) as error:
                    typer.echo(f"vidsift: not exported: {one_line(f'{hit.path}: {error}')}", err=True)
            timing = timings[hit.video_id]
            if timing is not None:
                excerpts.append(Excerpt(hit.path, hit.moment, timing, hit.rank, hit.score))
    if not excerpts:
        raise ValueError(f"nothing to write to {file}: no hit whose file can be read")
    text, notes = export_text(excerpts, export_kind(file), title)
    saved = save_export(text, file)
    for note in notes:
        typer.echo(f"vidsift: {note}", err=True)
    typer.echo(f"vidsift: {len(excerpts)} moments written to {one_line(str(saved))}", err=True)
    if len(excerpts) < len(hits):
        raise typer.Exit(2)
