"""``vidsift mcp``: the library as tools of an assistant that speaks the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["mcp"]


def mcp(
    index: Annotated[
        Path | None, typer.Argument(metavar="INDEX", envvar="VIDSIFT_INDEX", help="Where the index is.")
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where cut clips are saved. Default: 'clips' beside the index."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to encode and score: auto, cpu, cuda.")] = "auto",
) -> None:
    """Let an assistant search, explain, cut and list the videos of INDEX, over standard input and output.

    For the settings of a program that speaks MCP: command vidsift, arguments mcp INDEX. It starts and ends
    with that program.
    """
    from vidsift.files.disk_errors import refuse_unwritable
    from vidsift.index.manifest import index_folder, read_manifest

    folder = index_folder(index)
    # What is wrong is said at the start, on standard error: the program's log. The other is the protocol's.
    read_manifest(folder)
    place = folder.absolute().parent / "clips" if clips is None else clips.expanduser().absolute()
    refuse_unwritable(place / "clip.mp4")
    try:
        from vidsift.service.mcp_server import LibraryTools, library_server
    except ImportError as error:
        raise ImportError(
            f"vidsift mcp needs {error.name}, which is not installed; install vidsift[serve,mcp]"
        ) from error

    tools = LibraryTools(folder, place, device=device)
    try:
        library_server(tools).run()
    finally:
        tools.close()
