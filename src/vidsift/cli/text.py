"""What the verbs share: other people's text in a line of a terminal, times, facts, common options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Annotations",
    "CaptionedVideos",
    "ComputeDevice",
    "FrameSampling",
    "IndexFolder",
    "ModelName",
    "about",
    "clock",
    "one_line",
    "read_clock",
    "show_facts",
    "show_table",
    "write_numbers",
]


class FrameSampling(StrEnum):
    """Which seconds of a video are looked at."""

    uniform = "uniform"
    one_fps_linspace = "one_fps_linspace"
    head = "head"


ModelName = Annotated[str, typer.Argument(help="A model folder, a CLIP on the hub, or shapes.")]
CaptionedVideos = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="A folder of videos with captions.jsonl; or of the data set that --data names."
    ),
]
ComputeDevice = Annotated[str, typer.Option(help="cpu, cuda, or auto for a GPU where there is one.")]

IndexFolder = Annotated[
    Path | None,
    typer.Option("--index", envvar="VIDSIFT_INDEX", help="Where the index is. Default: your data folder."),
]

Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        help="The folder of a data set's annotation files; for a folder of videos, the file of their "
        "captions where that lies elsewhere.",
    ),
]

# Surrogates stand for bytes in file names that are no UTF-8 (PEP 383): no terminal takes them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    r"""Return a path or a reason as one line: what would steer the terminal is written out.

    Example:
        >>> one_line("a\nfilm.mp4")
        'a\\nfilm.mp4'
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def clock(seconds: float) -> str:
    """Write seconds as people read them on a player, with tenths where they are not whole.

    Example:
        >>> clock(62.5), clock(3605.0)
        ('1:02.5', '1:00:05')
    """
    # Rounded once and then parted: 59.96 s are 1:00 and not 0:60.
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    tenth = f".{rest % 10}" if rest % 10 else ""
    return f"{start}:{rest // 10:02d}{tenth}"


def about(seconds: float) -> str:
    """Write how long something takes as roughly as it is known.

    Example:
        >>> about(40), about(65), about(560), about(5000)
        ('less than a minute', 'about a minute', 'about 9 minutes', 'about 1.5 hours')
    """
    minutes = seconds / 60
    if minutes < 0.75:
        return "less than a minute"
    if minutes < 1.5:
        return "about a minute"
    if minutes < 10:
        return f"about {round(minutes)} minutes"
    if minutes < 57.5:
        return f"about {5 * round(minutes / 5)} minutes"
    half_hours = round(minutes / 30)
    return "about an hour" if half_hours == 2 else f"about {half_hours / 2:g} hours"


_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")


def read_clock(text: str) -> float | None:
    """Read seconds as people write them; None where the text is something else.

    Example:
        >>> read_clock("75"), read_clock("1:02.5"), read_clock("1:00:05"), read_clock("soon")
        (75.0, 62.5, 3605.0, None)
    """
    parts = _CLOCK.fullmatch(text)
    if parts is None:
        return None
    hours, minutes, seconds = parts.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one a line."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {_value(value)}")


def show_table(head: Sequence[str], rows: Sequence[Sequence[str | int]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    cells = [list(head), *([_value(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for first, *others in cells:
        numbers = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        typer.echo("  ".join([f"{first:<{widths[0]}}", *numbers]).rstrip())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_value(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_value(part) for part in value) or "none"
    # Before int, as True is one in Python.
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else one_line(str(value))


def write_numbers(values: Any, file: Path, what: str) -> None:
    """Write numbers as JSON where a person wants them, and say so; folders are made.

    Raises:
        NotSavedError: the disk takes no more.
    """
    from vidsift.files.disk_errors import saving
    from vidsift.files.whole import write_json_whole

    with saving(what, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json_whole(file, values)
    typer.echo(f"written to {file}", err=True)
