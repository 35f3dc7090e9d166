"""Every source of data by its name in recipes and on the command line."""

from __future__ import annotations

from typing import Any

from vidsift.data.activitynet import ActivityNet
from vidsift.data.didemo import Didemo
from vidsift.data.folder import CaptionedFolder
from vidsift.data.lsmdc import Lsmdc
from vidsift.data.msrvtt import MsrVtt
from vidsift.data.msvd import Msvd
from vidsift.data.shapes import Shapes
from vidsift.data.shapes2 import Shapes2
from vidsift.data.source import DataSource
from vidsift.data.vatex import Vatex
from vidsift.data.youcook2 import YouCook2
from vidsift.errors import did_you_mean

__all__ = ["DEFAULT", "SOURCES", "check_data", "open_annotations", "open_source", "source_of"]

SOURCES: dict[str, type[DataSource]] = {
    "shapes-stream": Shapes,
    "shapes2-stream": Shapes2,
    "folder": CaptionedFolder,
    "msrvtt": MsrVtt,
    "msvd": Msvd,
    "lsmdc": Lsmdc,
    "didemo": Didemo,
    "activitynet": ActivityNet,
    "vatex": Vatex,
    "youcook2": YouCook2,
}

DEFAULT = "folder"
"""What videos are taken for where nobody names a data set."""


def source_of(name: object) -> type[DataSource]:
    """Return the source of a name.

    Raises:
        ValueError: there is none; the message names the known ones.
    """
    source = SOURCES.get(name) if isinstance(name, str) else None
    if source is None:
        given = "is missing" if name is None else f"{name!r} is unknown"
        hint = did_you_mean(str(name), SOURCES)
        raise ValueError(f"source {given}; expected one of {', '.join(map(repr, SOURCES))}{hint}")
    return source


def check_data(values: Any) -> Any:
    """Turn the ``data`` section of a recipe into its source, by the source's own fields.

    Args:
        values: as read from YAML; anything but keys and values is returned as it is.

    Raises:
        pydantic.ValidationError: fields are unknown or refused; each with its place.
        ValueError: there is no such source.
    """
    if not isinstance(values, dict):
        return values
    return source_of(values.get("source")).model_validate(values)


def open_source(name: str, videos: str, annotations: str | None = None) -> DataSource:
    """Return the data set of files that lie somewhere.

    Args:
        name: of the data set.
        videos: folder of its videos.
        annotations: folder, or file, of its annotations, where they lie elsewhere.

    Raises:
        ValueError: there is no such data set, or it lacks something.
    """
    return source_of(name).from_files(name, videos, annotations)


def open_annotations(name: str, annotations: str) -> DataSource:
    """Return a data set of which only the annotations are there, to be counted.

    Args:
        name: of the data set.
        annotations: folder, or file, of its annotations.

    Raises:
        ValueError: there is no such data set, or it has no annotations.
    """
    return source_of(name).from_annotations(name, annotations)
