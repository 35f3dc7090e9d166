"""Three small films in an index, for verbs that read the files of hits again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tests.index.library import clip
from tests.methods import tiny
from tests.service.serving import index_of

from vidsift.index.manifest import read_manifest, write_manifest

__all__ = ["IndexedFilms", "index_films"]


@dataclass(frozen=True)
class IndexedFilms:
    """An index as options of the command line name it, and the films in it."""

    options: list[str]
    films: list[Path]


def index_films(folder: Path) -> IndexedFilms:
    """Make the films, one with a line break in its name, a tiny model, and the index that names it."""
    model = tiny.model()
    model.save(folder / "model")
    films = [clip(folder / "films", name, frames=24 + place) for place, name in enumerate(["a", "b\nb", "c"])]
    index_of(folder / "index", films, model)
    manifest = replace(read_manifest(folder / "index"), model=str(folder / "model"))
    write_manifest(folder / "index", manifest)
    return IndexedFilms(["--index", str(folder / "index"), "--model", str(folder / "model")], films)
