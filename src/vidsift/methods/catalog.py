"""The methods by name: one literal dict, and building from a name with plain arguments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from vidsift.encoders.clip import ClipTowers
from vidsift.errors import did_you_mean
from vidsift.methods.base import Method
from vidsift.methods.clip2tv import Clip2Tv
from vidsift.methods.clip2video import Clip2Video
from vidsift.methods.clip4clip import Clip4Clip
from vidsift.methods.drl import Drl
from vidsift.methods.pidro import Pidro
from vidsift.methods.prost import Prost
from vidsift.methods.query_scoring import QueryScoring
from vidsift.methods.ts2net import Ts2Net
from vidsift.methods.video_colbert import VideoColbert
from vidsift.methods.xclip import XClip
from vidsift.methods.xpool import XPool
from vidsift.methods.zero_shot import ZeroShot

__all__ = ["METHODS", "SAVED_WITHOUT", "build_method", "resolve_arguments", "saved_arguments"]

METHODS: dict[str, Callable[..., Method]] = {
    "zero_shot": ZeroShot,
    "query_scoring": QueryScoring,
    "clip4clip": Clip4Clip,
    "drl": Drl,
    "pidro": Pidro,
    "prost": Prost,
    "xclip": XClip,
    "ts2net": Ts2Net,
    "xpool": XPool,
    "clip2video": Clip2Video,
    "clip2tv": Clip2Tv,
    "video_colbert": VideoColbert,
}
"""Name -> class; each takes the towers and keyword arguments that JSON can hold."""

SAVED_WITHOUT: dict[str, dict[str, Any]] = {
    "drl": {"cdcr_orientation": "released", "cdcr_deviation": "plain"},
    "pidro": {"selector_noise": "absolute"},
}
"""Arguments that came later with another default, and what methods did before: models and runs that were
saved without them mean this."""


def saved_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a method did before an argument existed.

    Args:
        name: a key of :data:`METHODS`.
        arguments: as an earlier version saved them.

    Example:
        >>> saved_arguments("drl", {"interaction": "ti"})["cdcr_orientation"]
        'released'
    """
    return {**SAVED_WITHOUT.get(name, {}), **arguments}


def resolve_arguments(name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Fill in the defaults of a method's arguments.

    Args:
        name: a key of :data:`METHODS`.
        arguments: some of the method's keyword arguments.

    Returns:
        All of them: what a saved model records, so that a later change of a default does not change it.

    Raises:
        ValueError: if the method or an argument is unknown; the known ones are named. Or if a word, or NaN,
            is given where a number belongs.

    Example:
        >>> resolve_arguments("clip4clip", {"head": "seqLSTM"})["temporal_layers"]
        4
    """
    if name not in METHODS:
        raise ValueError(
            f"unknown method {name!r}; known methods: {', '.join(METHODS)}{did_you_mean(name, METHODS)}"
        )
    # Without the first one, the towers.
    parameters = dict(list(inspect.signature(METHODS[name]).parameters.items())[1:])
    given = dict(arguments or {})
    for key in given:
        if key not in parameters:
            known = ", ".join(parameters) or "none"
            raise ValueError(
                f"method {name!r} has no argument {key!r}; its arguments: {known}"
                f"{did_you_mean(key, parameters)}"
            )
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            raise ValueError(
                f"method {name!r}: its argument {key!r} has no default; give it one in "
                f"{METHODS[name].__name__}.__init__, as a recipe need not name it"
            )
    defaults = {key: parameter.default for key, parameter in parameters.items()}
    for key, value in given.items():
        # Where the default is None or a word, the method itself checks.
        if _is_number(defaults[key]) and not (_is_number(value) and math.isfinite(value)):
            raise ValueError(
                f"method {name!r}: {key} is {value!r}, expected a finite number such as {defaults[key]}"
            )
    resolved = {key: given.get(key, default) for key, default in defaults.items()}
    # Lists, as JSON gives back: saved and given arguments are compared.
    return {key: list(value) if isinstance(value, tuple) else value for key, value in resolved.items()}


def build_method(name: str, towers: ClipTowers, arguments: Mapping[str, Any] | None = None) -> Method:
    """Build a method around towers: ``METHODS[name](towers, **arguments)``.

    Raises:
        ValueError: if the method or an argument is unknown, or a value is refused.
    """
    resolved = resolve_arguments(name, arguments)
    return METHODS[name](towers, **resolved)


def _is_number(value: Any) -> bool:
    # True and False are ints in Python.
    return isinstance(value, int | float) and not isinstance(value, bool)
