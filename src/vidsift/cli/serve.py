"""``vidsift serve``: answer searches over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["serve"]


def serve(
    index: Annotated[
        Path | None, typer.Option("--index", envvar="VIDSIFT_INDEX", help="The index to search.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8765,
) -> None:
    """Answer searches over HTTP: POST /v1/search with {"query": "..."}."""
    try:
        import uvicorn
    except ImportError as missing:
        raise ImportError("the service needs the extra 'serve': pip install 'vidsift[serve]'") from missing

    from vidsift.search.searcher import Index
    from vidsift.service.app import create_app

    opened = Index.open(index)
    # A model or tokens that cannot be read are told here and not to the first who asks.
    typer.echo(f"Reading {len(opened.gallery)} segments with {opened.model.name} ...", err=True)
    app = create_app(opened)
    typer.echo(f"Listening on http://{host}:{port} (try /docs); Ctrl-C stops.")
    uvicorn.run(app, host=host, port=port, log_level="warning")
