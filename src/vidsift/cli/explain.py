"""``vidsift explain``: why a video was found, as a table, as a picture, or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidsift.cli.opening import DeviceOption, ModelOption, open_for_search
from vidsift.cli.question import VerbatimOption, question_of, say_what_is_searched
from vidsift.cli.text import IndexFolder, clock, one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vidsift.search.explain import Explanation, TermAccount
    from vidsift.search.leaving_out import LeavingOut, WordFall
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
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out",
            help="Also say how much the score falls without each word; done anyway where what each word gave "
            "is not most of the score.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole account as one JSON object.")
    ] = False,
    folder: IndexFolder = None,
    verbatim: VerbatimOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Show which words of TEXT met which frames of VIDEO, and how that sums to its score.

    Where words gave less than half of it, it says how much the score falls without each.

    Of a file the segment that fits best is explained.
    """
    question = question_of(query, verbatim=verbatim)
    (query,) = question.sentences
    index = open_for_search(folder, model, device)
    say_what_is_searched(question)
    hit = index.segment_of(query, video)
    # Whoever asks why wants an answer, and of plain CLIP and black boxes there is no other of words.
    explanation = index.explain(query, hit, leave_out=leave_out or "auto")
    wanted = output is not None or as_json
    if explanation.maps_on_request and wanted and not explanation.account_missing:
        explanation = _with_maps(index, query, hit, explanation)
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
        with_maps = index.explain(query, hit, frames=index.frames_of(hit))
        return replace(with_maps, leaving_out=without.leaving_out)
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
    if explanation.account_missing:
        lines.append(f"no account of what each word and frame gave: {explanation.account_missing}")
    elif not explanation.moment_from:
        lines += ["", "no term has tokens with a time: the moment of a hit is the whole segment"]
    if explanation.leaving_out is not None:
        lines += _lines_of_falls(explanation.query, explanation.leaving_out)
    return lines


def _lines_of_falls(query: str, falls: LeavingOut) -> list[str]:
    from vidsift.search.leaving_out import MEANING

    lines = [
        "",
        *(f"{'left out: ' if not row else ''}{line}" for row, line in enumerate(MEANING.split("; "))),
    ]
    if not falls.words:
        return [*lines, "  the question has no word of letters or digits"]
    if falls.frames_missing:
        lines.append(f"  {falls.frames_missing}")
    timed = falls.times_seconds is not None
    lines.append(f"  {'falls by':>8}  {'most at' if timed else '':>8}  without")
    for of_sentence in falls.by_sentence:
        first = of_sentence[0]
        if first.sentence != query:
            lines.append(f'  of "{one_line(first.sentence)}", counts {first.weight:.3g} times')
        lines += [
            f"  {_fall(word)}  {_most_at(word, falls.times_seconds):>8}  {one_line(word.word)}"
            for word in of_sentence
        ]
    if any(word.fall is None for word in falls.words):
        lines.append("  -: the only word of its sentence; without it there is nothing to score")
    return lines


def _fall(word: WordFall) -> str:
    return f"{'-':>8}" if word.fall is None else f"{word.fall:8.4f}"


def _most_at(word: WordFall, times_seconds: NDArray[np.float64] | None) -> str:
    """The time of the frame whose share falls most; "" where none falls."""
    if times_seconds is None or word.frame_falls is None or word.frame_falls.max() <= 0:
        return ""
    return clock(float(times_seconds[word.frame_falls.argmax()]))


def _place(term: TermAccount, token: int) -> str:
    if token < 0:
        return "padding"
    if term.times_seconds is not None:
        return clock(float(term.times_seconds[token]))
    if term.grid is not None and term.group is not None:
        row, column = divmod(int(term.group[token]), term.grid[1])
        return f"row {row + 1}, {column + 1}"
    return f"{term.name.split('-', 1)[-1]} {token + 1}"
