"""What ``vidsift data info`` and ``vidsift data check`` show of a data set's splits."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from vidsift.cli.text import one_line

if TYPE_CHECKING:
    from vidsift.data.source import DataSource
    from vidsift.data.summary import DataSummary

__all__ = ["print_json", "protocol_of", "show_notes", "split_title", "summary_as_json"]


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def split_title(split: str, test: bool) -> str:
    """Return how a split is called in tables."""
    return f"{split or 'no split named'}{' (test)' if test else ''}"


def protocol_of(source: type[DataSource]) -> dict[str, Any]:
    """Return how papers use a published data set; nothing of other data."""
    from vidsift.data.video_files import AnnotatedVideos

    if not issubclass(source, AnnotatedVideos):
        return {}
    return {
        "tests": list(source.tests),
        "validation_split": source.validation_split,
        "caption_protocol": source.caption_protocol,
        "max_words": source.max_words,
        "frames": source.frames,
    }


def summary_as_json(summary: DataSummary) -> dict[str, Any]:
    """Return a summary as JSON has it."""
    unread = {"absent": summary.absent, "broken": summary.broken}
    return {
        "splits": [asdict(split) for split in summary.splits],
        "overlaps": [overlap._asdict() for overlap in summary.overlaps],
    } | {
        what: [{"problem": problem, "splits": list(splits)} for problem, splits in problems.items()]
        for what, problems in unread.items()
    }


def show_notes(summary: DataSummary) -> None:
    """Print which splits share videos, and which could not be read: each reason once."""
    for first, second, videos, of_first, of_second in summary.overlaps:
        typer.echo(
            f"{first} and {second} share {videos:,} videos, of {of_first:,} and {of_second:,}: after "
            "training on one, the other measures what was seen"
        )
    for what, problems in (("not there", summary.absent), ("cannot be read", summary.broken)):
        for problem, splits in problems.items():
            typer.echo(f"{', '.join(splits)}: {what}: {one_line(problem)}")
