"""``vidsift serve``: a page to search on, and the same over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.text import IndexFolder

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.service.security import Access

__all__ = ["opened_index", "serve"]

_TokenFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Ask everybody for the token in this file, or in the variable VIDSIFT_TOKEN; at least 22 "
        "letters, digits and . _ ~ -. Beyond this machine one is made up if none is given.",
    ),
]
_NewToken = Annotated[bool, typer.Option("--new-token", help="Print a new token, for such a file, and end.")]


def serve(  # noqa: PLR0917 - the options of the verb
    index: IndexFolder = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8765,
    token_file: _TokenFile = None,
    new_token: _NewToken = False,
    token: Annotated[str | None, typer.Option(hidden=True)] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name by which the service is called, as behind a proxy."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model of an index that is made on the page, see vidsift index.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to encode and score: auto, cpu, cuda.")] = "auto",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Refuse to change the index and its tags.")
    ] = False,
    folder_chooser: Annotated[
        bool,
        typer.Option(
            "--folder-chooser/--no-folder-chooser",
            help="Show the folders of this machine to who adds one on the page.",
        ),
    ] = True,
) -> None:
    """Search on a page, see the moment, and why it was found; Ctrl-C stops.

    The same over HTTP: POST /v1/search with {"query": "..."}; /docs lists all that can be asked.
    """
    import secrets

    if new_token:
        typer.echo(secrets.token_urlsafe(32))
        return
    from vidsift.index.manifest import index_folder
    from vidsift.service.app import create_app
    from vidsift.service.security import Access
    from vidsift.service.server import listen
    from vidsift.service.server import serve as run

    # What can be wrong with the arguments is found before the seconds in which the index is read.
    access = Access.listening_on(host, token=_token(token, token_file), names=allow_host or ())
    folder = index_folder(index)
    with listen(host, port) as sock:
        opened = opened_index(folder, device)
        app = create_app(
            folder if opened is None else opened,
            access=access,
            model=model,
            device=device,
            read_only=read_only,
            folder_chooser=folder_chooser,
        )
        typer.echo(f"Listening on {_address(host, port, access)} (try /docs); Ctrl-C stops.")
        run(app, sock)


def _token(on_command_line: str | None, file: Path | None) -> str | None:
    """The token that is to be asked for, from where no list of processes shows it."""
    if on_command_line is not None:
        raise ValueError(
            "--token is not taken any more: everybody on this machine can read it in the list of "
            "processes; put the token into a file and name that with --token-file, or set the variable "
            "VIDSIFT_TOKEN"
        )
    if file is None:
        # One that is set and empty is no token, as in a file of settings with nothing after its =.
        return os.environ.get("VIDSIFT_TOKEN") or None
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(
            f"--token-file is {file}, which cannot be read ({why}); vidsift serve --new-token > {file} "
            "makes it"
        ) from error


def opened_index(folder: Path, device: str) -> Index | None:
    """Open the index: what is wrong with it is one line now, and not the answer to the first question.

    Args:
        folder: of the index.
        device: where to encode and score.

    Returns:
        None where there is none yet, which is said.

    Raises:
        NotADirectoryError: it is a file.
    """
    from vidsift.index.manifest import MANIFEST
    from vidsift.search.searcher import Index

    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            f"--index is {folder}, which is a file; give the folder of an index, or one that is not there yet"
        )
    if not (folder / MANIFEST).exists():
        typer.echo(
            f"There is no index at {folder} yet: open the page and add a folder of videos, or run "
            f"vidsift index FOLDER --index {folder}",
            err=True,
        )
        return None
    opened = Index.open(folder, device=device)
    typer.echo(f"Reading {len(opened.gallery)} segments with {opened.model.name} ...", err=True)
    _ = opened.calibration  # takes seconds where it is not measured yet; no question waits for it now
    return opened


def _address(host: str, port: int, access: Access) -> str:
    """What to open in a browser; one that listens everywhere is called by the name of its machine."""
    import socket

    name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}" + ("" if access.token is None else f"/?token={access.token}")
