"""Opening the index that a verb asks, with the options that say where it is and how to compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.text import one_line

if TYPE_CHECKING:
    from vidsift.methods.model import Model
    from vidsift.search.searcher import Index

__all__ = ["DeviceOption", "ModelOption", "open_for_search", "say_what_the_model_knows"]

ModelOption = Annotated[
    str | None, typer.Option("--model", help="Where the index's model is now, if it was moved.")
]
DeviceOption = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda.")]


def open_for_search(folder: Path | None, model: str | None, device: str) -> Index:
    """Open an index, the default one when ``folder`` is None.

    Raises:
        IndexFolderError: there is none, or it cannot be read.
    """
    from vidsift.index.manifest import index_folder, read_manifest

    where = index_folder(folder)
    # A missing index is an answer within milliseconds: torch, which takes seconds to import, comes after it.
    read_manifest(where)

    from vidsift.search.searcher import Index

    return Index.open(where, model, device=device)


def say_what_the_model_knows(model: Model) -> None:
    """Say it where the model's card does: why nothing may be found, and which footage needs another model."""
    if model.knows:
        typer.echo(f"vidsift: about the model: {one_line(model.knows)}", err=True)
