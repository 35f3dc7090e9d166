"""``vidsift compare``: two saved evaluations of the same videos, question by question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vidsift.cli.score_table import aligned
from vidsift.cli.text import one_line, write_numbers

__all__ = ["compare"]


def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR_A", help="What evaluate --save wrote.")],
    second: Annotated[Path, typer.Argument(metavar="DIR_B", help="Of the same videos and captions.")],
    post: Annotated[
        str, typer.Option(help="Compare the rows of this post-processing; none for the plain ones.")
    ] = "none",
    show: Annotated[int, typer.Option(min=0, help="Questions to show that only one of them answers.")] = 10,
    json_file: Annotated[
        Path | None, typer.Option("--json", "-o", "--output", help="Write all of it here, every flip too.")
    ] = None,
) -> None:
    """Compare two saved evaluations: paired differences, intervals, and which questions flipped."""
    from vidsift.evaluation.comparison import compare_results
    from vidsift.evaluation.saved import load_result

    result = compare_results(load_result(first), load_result(second), post_processing=post)
    for line in _table(result):
        typer.echo(line)
    for name, side, other in (("only_first", "A", "B"), ("only_second", "B", "A")):
        for line in _flips(result["flips"][name], side, other, show):
            typer.echo(line)
    if json_file is not None:
        write_numbers(result, json_file, "the comparison")


def _table(result: Mapping[str, Any]) -> list[str]:
    names = [
        f"{side}: {result[name]['folder']} ({result[name]['protocol']['model']})"
        for side, name in (("A", "first"), ("B", "second"))
    ]
    post = result["post_processing"]
    rows = [["", "A", "B", "A - B", "95 % interval", "p", "p corrected", ""]]
    for row in result["metrics"]:
        direction = row["direction"].replace("_", " ")
        low, high = row["interval"]
        p_values = [row["p_value"], row["p_corrected"]]
        rows.append(
            [
                f"{direction} {row['metric']}".strip(),
                f"{row['first']:.1f}",
                f"{row['second']:.1f}",
                f"{row['difference']:+.1f}",
                f"{low:+.1f} to {high:+.1f}",
                *("-" if value is None else f"{value:.4f}" for value in p_values),
                "*" if row["significant"] else "",
            ]
        )
    return [
        *names,
        *([] if post == "none" else [f"post-processed: {post}"]),
        *aligned(rows),
        "* less than 5 % by chance, of all tests here together",
    ]


def _flips(flips: Sequence[Mapping[str, Any]], side: str, other: str, show: int) -> list[str]:
    ways = ("text_to_video", "video_to_text")
    counts = {way: sum(flip["direction"] == way for flip in flips) for way in ways}
    lines = [
        (
            f"found first by {side} and not by {other}: {counts['text_to_video']} captions, "
            f"{counts['video_to_text']} videos"
        )
    ]
    for flip in [flip for flip in flips if flip["direction"] == "text_to_video"][:show]:
        lines.append(
            f"  {one_line(flip['question'])}: {one_line(flip['text'])} "
            f"(A {flip['first_rank']:g}, B {flip['second_rank']:g})"
        )
    return lines
