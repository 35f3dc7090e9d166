"""What the verbs share: other people's text in a line of a terminal, facts in a column, common options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["IndexFolder", "one_line", "show_facts"]

IndexFolder = Annotated[
    Path | None,
    typer.Option("--index", envvar="VIDSIFT_INDEX", help="Where the index is. Default: your data folder."),
]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    r"""Return a path or a reason as one line: what would steer the terminal is written out.

    Example:
        >>> one_line("a\nfilm.mp4")
        'a\\nfilm.mp4'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one a line."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {_value(value)}")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_value(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_value(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else one_line(str(value))
