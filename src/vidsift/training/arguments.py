"""A method's arguments in recipes: all of them beside a run, and those of runs that knew fewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vidsift.methods.catalog import SAVED_WITHOUT, resolve_arguments, saved_arguments
from vidsift.training.recipe import Recipe

__all__ = ["as_it_ran", "as_saved", "changed_defaults", "with_all_arguments"]


def with_all_arguments(recipe: Recipe) -> Recipe:
    """Fill in the defaults of the method's arguments; a run records it, so that no later default changes it.

    Raises:
        ValueError: if the method or an argument is unknown.
    """
    section = recipe.model
    if section.method is None:
        return recipe
    return _with_arguments(recipe, resolve_arguments(section.method, section.arguments))


def as_saved(recipe: Recipe) -> Recipe:
    """Read the recipe of a run as the version meant it that wrote it, with all arguments of this version."""
    section = recipe.model
    if section.method is None:
        return recipe
    return with_all_arguments(_with_arguments(recipe, saved_arguments(section.method, section.arguments)))


def as_it_ran(recipe: Recipe, saved: Recipe) -> Recipe:
    """Let a recipe go on with an earlier run: arguments that came after that run are what the run did.

    Args:
        recipe: what is to go on; what it says itself stays.
        saved: the run's recipe as it was read.

    Returns:
        The recipe with all arguments, to be compared with :func:`as_saved` of the run's.
    """
    section = recipe.model
    if section.method is None or section.method != saved.model.method:
        return with_all_arguments(recipe)
    later = SAVED_WITHOUT.get(section.method, {})
    # What the run recorded itself is no default; what it lacks is what it did without a word.
    defaults_then = {name: value for name, value in later.items() if name not in saved.model.arguments}
    return with_all_arguments(_with_arguments(recipe, {**defaults_then, **section.arguments}))


def changed_defaults(recipe: Recipe) -> dict[str, Any]:
    """Tell which arguments a recipe leaves to defaults that were others once, and what they are now."""
    section = recipe.model
    if section.method not in SAVED_WITHOUT:
        return {}
    defaults = resolve_arguments(section.method)
    return {name: defaults[name] for name in SAVED_WITHOUT[section.method] if name not in section.arguments}


def _with_arguments(recipe: Recipe, arguments: Mapping[str, Any]) -> Recipe:
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"arguments": dict(arguments)})})
