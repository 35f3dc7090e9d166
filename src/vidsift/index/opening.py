"""Opening or beginning an index for writing, with the model that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vidsift.errors import IndexFolderError
from vidsift.files.paths import absolute
from vidsift.index.decode_worker import SegmentLength
from vidsift.index.manifest import Manifest
from vidsift.index.storage import Store

if TYPE_CHECKING:
    from vidsift.methods.model import Model

__all__ = ["DEFAULT_MODEL", "check_made_with", "open_index"]

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
"""Model of a new index when nobody names one: it knows the world, and most people's machines run it."""


def open_index(
    folder: Path, model: str | Path | Model | None, segment: SegmentLength, device: str
) -> tuple[Store, Model]:
    """Open or create the index, and load the model that it belongs to; see :func:`build_index`."""
    from vidsift.index.encode import sets_of
    from vidsift.index.searchable import check_searchable
    from vidsift.methods.model import Model, load

    exists = (folder / "index.json").exists()
    store = Store.open(folder) if exists else None
    source = model
    if source is None:
        source = DEFAULT_MODEL if store is None else store.manifest.model
        if not source:
            raise IndexFolderError(f"the index {folder} was made with a model from memory; pass that model")
    loaded = source if isinstance(source, Model) else load(source, device)
    name = "" if isinstance(source, Model) else _lasting(source)
    sets = sets_of(loaded) if store is None else store.manifest.sets
    # Told now, and not after hours of reading videos.
    check_searchable(loaded, sets)
    if store is None:
        manifest = Manifest(
            model=name,
            model_name=loaded.name,
            method=loaded.method_name,
            fingerprint=loaded.fingerprint,
            segment=segment,
            reading=loaded.preprocessing.to_dict(),
            sets=sets,
        )
        return Store.create(folder, manifest), loaded
    check_made_with(store, loaded, segment, name)
    return store, loaded


def check_made_with(store: Store, model: Model, segment: SegmentLength, name: str = "") -> None:
    """Refuse an index that holds what another model made, or that cuts videos otherwise.

    Args:
        store: the index.
        model: loaded.
        segment: how videos are to be cut.
        name: under which the model was asked for, for the message.

    Raises:
        IndexFolderError: it is of another model or segment length.
    """
    if model.fingerprint != store.manifest.fingerprint:
        raise IndexFolderError(
            f"the index {store.folder} was made with {store.manifest.model or store.manifest.model_name} "
            f"(fingerprint {store.manifest.fingerprint[:12]}), not with {name or model.name} "
            f"({model.fingerprint[:12]}); leave out --model, or name another folder with --index"
        )
    if segment != store.manifest.segment:
        raise IndexFolderError(
            f"the index {store.folder} cuts videos by {store.manifest.segment!r}, not by {segment!r}; "
            "segments of one index are cut alike: leave out --segment, or name another folder with --index"
        )


def _lasting(source: str | Path) -> str:
    """The name under which the model is found from any working folder."""
    from vidsift.methods.model import BUNDLED

    # The bundled model's name wins over a folder that happens to be called so.
    if str(source) == BUNDLED or not Path(source).expanduser().exists():
        return str(source)
    return absolute(source)
