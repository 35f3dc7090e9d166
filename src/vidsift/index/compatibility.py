"""Which models an index takes: the one that it was made with, and only one that can be searched with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vidsift.errors import IndexFolderError, NotSearchableError
from vidsift.files.paths import absolute
from vidsift.index.decode_worker import SegmentLength
from vidsift.index.manifest import MANIFEST, Manifest
from vidsift.index.schema import SetLayout
from vidsift.index.storage import Store

if TYPE_CHECKING:
    from vidsift.methods.base import FirstStage, Method
    from vidsift.methods.model import Model

__all__ = [
    "DEFAULT_MODEL",
    "check_made_with",
    "check_model",
    "check_searchable",
    "first_stage_of",
    "open_with_model",
]

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
"""Model of a new index when nobody names one: it knows the world, and most people's machines run it."""


def open_with_model(
    folder: Path, model: str | Path | Model | None, segment: SegmentLength, device: str
) -> tuple[Store, Model]:
    """Open or create an index, and load the model that it belongs to.

    Args:
        folder: of the index.
        model: name or folder, or a loaded model; when None the index's own, else :data:`DEFAULT_MODEL`.
        segment: how videos are to be cut.
        device: where to load the model.

    Raises:
        IndexFolderError: the index is of another model or segment length, or damaged.
        NotSearchableError: nothing finds candidates for the model's method.
        ValueError: the model cannot be loaded.
    """
    from vidsift.index.encode import sets_of
    from vidsift.index.plain_clip import load_for_index
    from vidsift.methods.model import Model

    store = Store.open(folder) if (folder / MANIFEST).exists() else None
    source = model
    if source is None:
        source = DEFAULT_MODEL if store is None else store.manifest.model
        if not source:
            raise IndexFolderError(f"the index {folder} was made with a model from memory; pass that model")
    made_with = None if store is None else store.manifest
    loaded = source if isinstance(source, Model) else load_for_index(source, device, made_with)
    name = "" if isinstance(source, Model) else _lasting_name(source)
    sets = sets_of(loaded) if store is None else store.manifest.sets
    # Checked now, and not after hours of reading videos.
    check_searchable(loaded, sets)
    if store is None:
        # Indexing reads no text: a method that cannot read one would be found out at the first search.
        loaded.encode_text(["video"])
        manifest = Manifest(
            model=_pinned(name),
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
        name: see :func:`check_model`.

    Raises:
        IndexFolderError: it is of another model or segment length.
    """
    check_model(store, model, name)
    if segment != store.manifest.segment:
        raise IndexFolderError(
            f"the index {store.folder} cuts videos by {store.manifest.segment!r}, not by {segment!r}; "
            "segments of one index are cut alike: leave out --segment, or name another folder with --index"
        )


def check_model(store: Store, model: Model, name: str | Path = "") -> None:
    """Refuse a model that is not the one that an index was made with.

    Args:
        store: the index.
        model: loaded.
        name: name or folder that the model was loaded by; "" where a loaded one was given.

    Raises:
        IndexFolderError: it is of another model, or of this one before its weights changed.
    """
    from vidsift.methods.model import BUNDLED

    manifest = store.manifest
    if model.fingerprint == manifest.fingerprint:
        return
    source, other = manifest.model or manifest.model_name, _lasting_name(name) if name else model.name
    # Models of one name may be any two: only who is looked up by the recorded name is known to have changed.
    if name and other == manifest.model:
        changed = "came with another version of vidsift" if source == BUNDLED else "has changed since"
        raise IndexFolderError(
            f"the index {store.folder} was made with another model: {source} {changed} (fingerprint "
            f"{manifest.fingerprint[:12]}, now {model.fingerprint[:12]}); delete {store.folder} and index "
            "the videos again, or name another folder with --index"
        )
    remedy = (
        "leave out --model, or name another folder with --index"
        if name
        else "use that model, or index the videos again into another folder"
    )
    raise IndexFolderError(
        f"the index {store.folder} was made with another model: {source} of fingerprint "
        f"{manifest.fingerprint[:12]}, and {other} has {model.fingerprint[:12]}; {remedy}"
    )


def first_stage_of(method: Method) -> FirstStage:
    """What finds candidates for a method that is too dear to scan.

    Raises:
        NotSearchableError: if the method declares nothing.
    """
    if method.first_stage is not None:
        return method.first_stage
    name, dear = type(method).__name__, next(term for term in method.terms if not term.interaction.scans)
    raise NotSearchableError(
        f"{name} cannot be searched with: its term {dear.name} ({type(dear.interaction).__name__}) is "
        "too dear to score every segment, and it declares no first stage; give Method.__init__ "
        'one, for example first_stage=[Term("sentence", "frame", MeanDot())], or use the method for '
        "evaluation alone"
    )


def check_searchable(model: Model, sets: Mapping[str, SetLayout]) -> None:
    """Refuse a model that no index of such sets could be searched with.

    Raises:
        NotSearchableError: the method cannot scan and declares no first stage, or one whose sets cannot meet.
    """
    if model.method.scans:
        return
    stage = first_stage_of(model.method)
    text = stage.adapt_text(model.encode_text(["video"]))
    for term in stage.terms:
        words, frames = text[term.text].tokens.shape[2], sets[term.video].dim
        if words != frames:
            raise NotSearchableError(
                f"{model.name} cannot be searched with: its first stage {term.name} compares texts of "
                f"{words} channels with videos of {frames}; project both to one width, or declare a first "
                "stage over other sets"
            )


def _pinned(name: str) -> str:
    """A name of the hub with the commit that was loaded: the weights behind a name may change."""
    from vidsift.methods.model import is_plain_clip

    if not name or not is_plain_clip(name):
        return name
    from vidsift.encoders.weights import pinned_name

    return pinned_name(name)


def _lasting_name(source: str | Path) -> str:
    """The name under which the model is found from any working folder."""
    from vidsift.methods.model import BUNDLED

    # The bundled model's name wins over a folder that happens to be called so.
    if str(source) == BUNDLED or not Path(source).expanduser().exists():
        return str(source)
    return absolute(source)
