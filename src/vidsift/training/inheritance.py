"""Recipes that share: ``extends`` takes the values of other files, ``variants`` name changes to choose from.

    extends: [../base/clip.yaml, ../base/msrvtt.yaml]   # relative to this file
    name: msrvtt-drl-wti
    variants:
      b16: {model: {start: openai/clip-vit-base-patch16}}

Sections are merged key by key; anything else, lists too, is replaced as a whole, and ``steps`` takes the
place of ``epochs`` or the other way round. Of the files that are named the later ones win, and the file that
names them wins over all; the variant that is chosen wins over that. Files that are extended extend nothing
themselves: whoever reads a recipe has to open these files and no more.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidsift.errors import RecipeError, did_you_mean
from vidsift.training.yaml_files import read_values

__all__ = ["EITHER", "INHERITANCE_KEYS", "MergedValues", "read_merged"]

INHERITANCE_KEYS = ("extends", "variants")
"""What a file of a recipe may say beside the keys of the recipe."""

EITHER = {"steps": "epochs", "epochs": "steps"}
"""Keys of a recipe that exclude each other: the later one replaces the other."""

_Place = tuple[str, ...]


class MergedValues:
    """Values of several files, and in which of them each stands.

    Attributes:
        values: keys and values, without :data:`INHERITANCE_KEYS`.
        path: the file that names the others.
    """

    def __init__(self, path: Path) -> None:
        """See the class; empty."""
        self.path = path
        self.values: dict[str, Any] = {}
        self._files: dict[_Place, str] = {}

    def merge(self, values: Mapping[str, Any], file: str) -> None:
        """Let the values of a file, or of a part of it that ``file`` names, win over those so far."""
        self._merge(self.values, values, file, ())

    def _merge(self, below: dict[str, Any], values: Mapping[str, Any], file: str, place: _Place) -> None:
        for key, value in values.items():
            here = (*place, str(key))
            inner = below.get(key)
            if isinstance(value, Mapping) and isinstance(inner, dict):
                self._merge(inner, value, file, here)
                continue
            # A run is so many steps or epochs: who says one says that it is not the other.
            if not place and value is not None and EITHER.get(key, key) not in values:
                below.pop(EITHER[key], None)
            # Copies: a section of a variant is merged into, and may be read again.
            below[key] = copy.deepcopy(value)
            self._files = {known: f for known, f in self._files.items() if known[: len(here)] != here}
            self._files[here] = file

    def files_of(self, location: Sequence[str | int]) -> str:
        """Name the file in which a value stands; of a section that several files make up, all of them.

        Args:
            location: keys from the outermost on; what no file holds is missing in the recipe itself.
        """
        place = tuple(map(str, location))
        files = [self._files[place[:end]] for end in range(1, len(place) + 1) if place[:end] in self._files]
        # The innermost that names the value; a section has besides what was merged into it.
        files = files[-1:]
        files += [file for known, file in self._files.items() if known[: len(place)] == place]
        return " and ".join(dict.fromkeys(files)) if place and files else str(self.path)


def read_merged(path: str | Path, variant: str | None = None) -> MergedValues:
    """Read a recipe's file with all that it extends.

    Args:
        path: of a YAML file.
        variant: name of one of the ``variants``; where it does not change ``name`` itself, the run's name
            gets it as an ending (``msrvtt-drl-wti-b16``), so that it has a folder of its own.

    Raises:
        RecipeError: a file is missing or no YAML, one that is extended extends another, or there is no such
            variant.
    """
    file = Path(path)
    merged = MergedValues(file)
    values = read_values(file)
    for base in _bases(values.pop("extends", []), file):
        inherited = read_values(base)
        if "extends" in inherited:
            raise RecipeError(
                f"{base}, which {file} extends, has extends itself: recipes inherit one level deep, so that "
                f"nobody has to follow a chain of files; name all files in {file}"
            )
        merged.merge(inherited, str(base))
    merged.merge(values, str(file))
    variants = _checked_variants(merged)
    if variant is not None:
        _choose(merged, variants, variant)
    return merged


def _bases(extended: Any, file: Path) -> list[Path]:
    names = [extended] if isinstance(extended, str) else extended
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise RecipeError(
            f"{file}: extends is {extended!r}, expected a file or a list of files, relative to this one"
        )
    bases = [file.parent / Path(name).expanduser() for name in names]
    for name, base in zip(names, bases, strict=True):
        if not base.is_file():
            raise RecipeError(f"{file} extends {name}, and there is no file {base}")
    # For people: recipes/base/x.yaml and not recipes/msrvtt/../base/x.yaml, unless a link is in the way.
    shorter = [Path(os.path.normpath(base)) for base in bases]
    return [short if short.is_file() else base for short, base in zip(shorter, bases, strict=True)]


def _checked_variants(merged: MergedValues) -> dict[str, dict[str, Any]]:
    """Take the variants out of the values; what is wrong with them is said whether or not one is chosen."""
    where = merged.files_of(("variants",))
    variants = merged.values.pop("variants", {})
    if not isinstance(variants, dict):
        raise RecipeError(f"{where}: variants is {variants!r}, expected names with the keys that they change")
    for name, changes in variants.items():
        place = merged.files_of(("variants", str(name)))
        if not isinstance(changes, dict):
            raise RecipeError(f"{place}: variants.{name} is {changes!r}, expected the keys that it changes")
        for key in INHERITANCE_KEYS:
            if key in changes:
                raise RecipeError(f"{place}: variants.{name}.{key}: a variant changes keys and has no {key}")
    return {str(name): changes for name, changes in variants.items()}


def _choose(merged: MergedValues, variants: Mapping[str, dict[str, Any]], variant: str) -> None:
    if variant not in variants:
        hint = did_you_mean(variant, variants)
        known = ", ".join(map(repr, variants)) or "it has none"
        raise RecipeError(f"{merged.path} has no variant {variant!r}{hint}; known variants: {known}")
    changes = variants[variant]
    # A variant of a base has parts from several files: key by key, each with the file it came from.
    for key in changes:
        merged.merge({key: changes[key]}, merged.files_of(("variants", variant, key)))
    name = merged.values.get("name")
    if "name" not in changes and isinstance(name, str):
        merged.merge({"name": f"{name}-{variant}"}, merged.files_of(("name",)))
