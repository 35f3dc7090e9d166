"""Excerpts as the text of a file, by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from vidsift.export.excerpts import (
    Excerpt,
    Placed,
    conforming_notes,
    laid_out,
    printable,
    timeline_rate,
)
from vidsift.export.fcpxml import fcpxml_text
from vidsift.export.lists import csv_text, m3u8_text
from vidsift.export.otio_timeline import edl_text, otio_text
from vidsift.files.new_names import place_new
from vidsift.files.whole import temporary_path

__all__ = ["KINDS", "ExportText", "export_kind", "export_text", "save_export"]

_TIMELINES: dict[str, Callable[[Sequence[Placed], str, Fraction], str]] = {
    "otio": otio_text,
    "edl": edl_text,
    "fcpxml": fcpxml_text,
}
_LISTS: dict[str, Callable[[Sequence[Excerpt]], str]] = {"csv": csv_text, "m3u8": m3u8_text}

KINDS = (*_TIMELINES, *_LISTS)
"""Endings of the files that excerpts can be written to."""

_LONGEST_TITLE = 70


class ExportText(NamedTuple):
    """What a file says.

    Attributes:
        text: of the file.
        notes: what was conformed, in lines for people.
    """

    text: str
    notes: list[str]


def export_kind(path: Path) -> str:
    """Return the kind of a file by its name.

    Raises:
        ValueError: it is none of :data:`KINDS`.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        endings = ", ".join(f".{known}" for known in KINDS)
        raise ValueError(f"{path.name!r} ends in {path.suffix or 'nothing'!r}, expected one of {endings}")
    return kind


def export_text(excerpts: Sequence[Excerpt], kind: str, title: str) -> ExportText:
    """Return the text of a file.

    Args:
        excerpts: in the order in which they are shown.
        kind: of :data:`KINDS`.
        title: of a timeline: the question.

    Raises:
        ValueError: there is no excerpt.
        ImportError: the library of timelines is not installed.
    """
    if kind in _LISTS:
        # A playlist counts in seconds; nothing of it is conformed.
        notes = conforming_notes(excerpts, None) if kind == "csv" else []
        return ExportText(_LISTS[kind](excerpts), notes)
    rate = timeline_rate(excerpts)
    name = printable(title)[:_LONGEST_TITLE].strip() or "vidsift"
    text = _TIMELINES[kind](laid_out(excerpts, rate), name, rate)
    return ExportText(text, conforming_notes(excerpts, rate))


def save_export(text: str, path: Path) -> Path:
    """Write a file beside what is there; return its name, which has a number where it was taken.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        # Bytes of file names that are no UTF-8 stay what they are.
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        return place_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
