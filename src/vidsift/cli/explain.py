"""``vidsift explain``: why a video was found, as a table, as a picture, or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.opening import DeviceOption, ModelOption, open_for_search
from vidsift.cli.text import IndexFolder, clock, one_line

if TYPE_CHECKING:
    from vidsift.search.explain import Explanation, TermAccount
    from vidsift.search.searcher import Index
    from vidsift.types import Hit

__all__ = ["explain"]


def explain(  # noqa: PLR0917 - the options of the verb
    query: Annotated[str, typer.Argument(metavar="TEXT", help="What the video was searched for with.")],
    video: Annotated[
        str, typer.Argument(metavar="VIDEO", help="A file in the index, or the id of a segment.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Draw the account into this file: png, jpg, webp, tif, pdf or svg."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole account as one JSON object.")
    ] = False,
    folder: IndexFolder = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Show which words of TEXT met which frames of VIDEO, and how that sums to its score.

    Of a file the segment that fits best is explained.
    """
    from vidsift.errors import NoAlignmentError

    index = open_for_search(folder, model, device)
    try:
        hit = index.segment_of(query, video)
        explanation = index.explain(query, hit)
        if explanation.maps_on_request and (output is not None or as_json):
            explanation = _with_maps(index, query, hit, explanation)
    except NoAlignmentError as error:
        raise ValueError(f"{index.model.name}: there is no account to show. {error}") from error
    if output is not None:
        from vidsift.search.explain_picture import frames_of, write_picture

        write_picture(explanation, output, frames_of(explanation))
    if as_json:
        typer.echo(json.dumps(explanation.to_dict(), ensure_ascii=False))
    else:
        for line in _lines(explanation):
            typer.echo(line)


def _with_maps(index: Index, query: str, hit: Hit | str, without: Explanation) -> Explanation:
    """Explain with the patches that tokens come from; say why where these cannot be had."""
    from dataclasses import replace

    from vidsift.errors import QueryError, VideoReadError

    try:
        return index.explain(query, hit, frames=index.frames_of(hit))
    except (QueryError, VideoReadError, OSError) as error:
        typer.echo(f"vidsift: no map of the picture: {one_line(str(error))}", err=True)
        return replace(without, maps_missing=str(error))


def _lines(explanation: Explanation) -> list[str]:
    lines = []
    if explanation.segment is not None:
        stretch = f"{clock(explanation.segment.start_seconds)}-{clock(explanation.segment.end_seconds)}"
        lines.append(f"{explanation.score:.4f}  {stretch}  {one_line(explanation.path)}")
    for term in explanation.terms:
        counts = f", counts {term.weight:.3g} times" if term.weight != 1 else ""
        of = f' of "{one_line(term.sentence)}"' if term.sentence != explanation.query else ""
        lines += ["", f"{term.name}{of} gave {term.total:.4f}{counts}"]
        if term.note:
            lines.append(f"  {term.note}")
        lines.append(f"  {'gave':>8}  {'weight':>6}  {'met best at':>11}  word")
        gave = term.contributions.sum(axis=1)
        for row, word in enumerate(term.words):
            meeting = _place(term, int(term.best_video_token[row]))
            lines.append(
                f"  {gave[row]:8.4f}  {term.text_weights[row]:6.3f}  {meeting:>11}  {one_line(word)}"
            )
    if not explanation.moment_from:
        lines += ["", "no term has tokens with a time: the moment of a hit is the whole segment"]
    return lines


def _place(term: TermAccount, token: int) -> str:
    if token < 0:
        return "padding"
    if term.times_seconds is not None:
        return clock(float(term.times_seconds[token]))
    if term.grid is not None and term.group is not None:
        row, column = divmod(int(term.group[token]), term.grid[1])
        return f"row {row + 1}, {column + 1}"
    return f"{term.name.split('-', 1)[-1]} {token + 1}"
