"""``vidsift open``: folders of videos on a page, in one command."""

from __future__ import annotations

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.indexing import show_report, shown_progress
from vidsift.cli.text import IndexFolder, one_line

if TYPE_CHECKING:
    import socket

    from vidsift.service.jobs import Jobs
    from vidsift.service.schemas_library import Job

__all__ = ["open"]

_HOST, _PORT = "127.0.0.1", 8765
_LOOK_SECONDS = 0.2


def open(  # noqa: A001, PLR0917 - what people type, and the options of the verb
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders and video files.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, CLIP name, or 'shapes' for the demo model. Default: the index's own; for "
            "a new index openai/clip-vit-base-patch32."
        ),
    ] = None,
    index: IndexFolder = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=f"Port of the page. Default: {_PORT}, or a free one."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    device: Annotated[str, typer.Option(help="Where to encode and score: auto, cpu, cuda.")] = "auto",
) -> None:
    """Make the videos in FOLDER searchable and open the page to search them on; Ctrl-C ends all.

    The page is there at once and finds what has been read so far. Run it again later, and only what changed
    is read; what Ctrl-C left is gone on with.
    """
    places = _existing(folders)

    from vidsift.cli.serve import opened_index
    from vidsift.index.manifest import MANIFEST, index_folder
    from vidsift.service.app import create_app
    from vidsift.service.schemas_library import JobRequest
    from vidsift.service.server import serve

    where = index_folder(index)
    known = (where / MANIFEST).exists()
    with _listening(port) as sock:
        opened = opened_index(where, device) if known else None
        app = create_app(opened or where, model=model, device=device)
        jobs: Jobs = app.state.service.jobs
        # The same command goes on with it; no other is to.
        job = jobs.add(JobRequest(action="add", folders=list(places)), places, remembered=False)
        address = f"http://{_HOST}:{sock.getsockname()[1]}"
        typer.echo(f"Reading {', '.join(one_line(place) for place in places)}")
        typer.echo(f"The page is at {address}; Ctrl-C ends all.")
        if browser:
            _open_page(address)
        _in_background(lambda: _follow(jobs, job.job_id, where, default=index is None))
        serve(app, sock)
    if jobs.look(job.job_id)[0].state == "cancelled":
        typer.echo("Run the same command again to go on.")


def _existing(folders: list[Path]) -> tuple[str, ...]:
    """Full paths, each once.

    Raises:
        FileNotFoundError: something is not there.
    """
    from vidsift.files.paths import absolute

    for folder in folders:
        if not folder.expanduser().exists():
            raise FileNotFoundError(f"{folder} is not there; give a folder of videos, or a video file")
    return tuple(dict.fromkeys(absolute(folder.expanduser()) for folder in folders))


def _listening(port: int | None) -> socket.socket:
    """Listen on this machine; where nobody names a port and the usual one is taken, on a free one."""
    from vidsift.service.server import listen

    if port is not None:
        return listen(_HOST, port)
    try:
        return listen(_HOST, _PORT)
    except OSError:
        return listen(_HOST, 0)


def _open_page(address: str) -> None:
    """Open the browser of this machine, where there is one on a screen.

    The socket listens already: a browser that is quicker than the service waits for it.
    """
    # A browser for terminals would take the terminal from this program.
    screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if screen or sys.platform in {"win32", "darwin"}:
        _in_background(lambda: webbrowser.open(address))


def _in_background(work: Callable[[], object]) -> None:
    threading.Thread(target=work, daemon=True).start()


def _follow(jobs: Jobs, job_id: str, where: Path, *, default: bool) -> None:
    """Show on the terminal how far the job is, and what came of it."""
    from vidsift.index.build import Progress

    with shown_progress() as show:
        while True:
            job, _, final = jobs.look(job_id)
            now = job.progress
            if now.step == "reading":
                show(Progress(now.videos_done, now.videos_total, now.frames, now.failed))
            if final:
                break
            time.sleep(_LOOK_SECONDS)
    _say_end(job, where, default=default)


def _say_end(job: Job, where: Path, *, default: bool) -> None:
    if job.report is not None:
        show_report(job.report, where, verbose=False, default=default, hint=False)
    elif job.error is not None:
        typer.echo(f"vidsift: {one_line(job.error)}", err=True)
    typer.echo("The page stays open until Ctrl-C.", err=True)
