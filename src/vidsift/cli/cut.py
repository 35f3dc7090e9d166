"""``vidsift cut``: clips of what a question finds, or of the seconds that are named, as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vidsift.cli.opening import DeviceOption, ModelOption, open_for_search
from vidsift.cli.question import (
    AfterOption,
    BeforeOption,
    ByOption,
    CandidatesOption,
    LikeOption,
    MaxDurationOption,
    MinDurationOption,
    MinScoreOption,
    NameOption,
    SearchQuestion,
    SkipOption,
    TagsOption,
    ThenOption,
    TopOption,
    UnderOption,
    VerbatimOption,
    filter_of,
    hits_for,
    nothing_fits,
    question_of,
    say_what_is_searched,
)
from vidsift.cli.text import IndexFolder, one_line, read_clock
from vidsift.types import Filter, Span

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.types import GroupBy, Hit
    from vidsift.video.clip_files import SavedClip

__all__ = ["cut"]

WhatArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT | VIDEO START END",
        help="What the clips show, as for vidsift search; or a video file and from when to when: seconds, "
        "1:02.5 or 1:02:03.",
    ),
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Where the clips go; made if it is not there.")
]
PadOption = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="So much more before and after each clip.")
]
FastOption = Annotated[
    bool,
    typer.Option(
        "--fast",
        help="Copy the pictures where that is possible, and say how far the copy overruns; without it they "
        "are encoded anew, which is slower and exact.",
    ),
]


@dataclass(frozen=True)
class _Piece:
    """What is to be cut.

    Attributes:
        path: of the video, for people.
        span: which seconds.
        hit: that it is of, where a question led to it.
    """

    path: str
    span: Span
    hit: Hit | None = None


def cut(  # noqa: PLR0917 - the options of the verb
    what: WhatArgument = None,
    then: ThenOption = None,
    like: LikeOption = None,
    top: TopOption = 5,
    skip: SkipOption = 0,
    output: OutputOption = Path(),
    pad: PadOption = 0.0,
    fast: FastOption = False,
    folder: IndexFolder = None,
    under: UnderOption = None,
    name: NameOption = None,
    min_duration: MinDurationOption = None,
    max_duration: MaxDurationOption = None,
    after: AfterOption = None,
    before: BeforeOption = None,
    tags: TagsOption = None,
    min_score: MinScoreOption = None,
    by: ByOption = "segment",
    candidates: CandidatesOption = None,
    verbatim: VerbatimOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Save the moments that fit TEXT best, or the named seconds of VIDEO, as clips (MP4).

    Each clip is called after its video and its seconds. No file is overwritten: a name that is taken gets a
    number. Prints the path of each clip.
    """
    words = what or []
    filter = filter_of(
        under=under,
        name=name,
        min_duration_seconds=min_duration,
        max_duration_seconds=max_duration,
        modified_after=after,
        modified_before=before,
        tags=tags or (),
        min_score=min_score,
        group_by=cast("GroupBy", by),
        candidates=candidates,
        skip=skip,
    )
    if len(words) == 3:
        if then or like or filter != Filter():
            raise ValueError(
                "VIDEO START END names what is cut; leave out what searches (--then, --like, --under, ...)"
            )
        _cut_all(None, [_named_piece(*words)], output, pad, exact=not fast)
        return
    question = question_of(_only(words), then, like, verbatim=verbatim)
    index = open_for_search(folder, model, device)
    say_what_is_searched(question)
    hits = hits_for(index, question, top, filter)
    _say_of_hits(index, question, hits, filter)
    _cut_all(index, [_Piece(hit.path, hit.moment, hit) for hit in hits], output, pad, exact=not fast)


def _only(words: list[str]) -> str | None:
    """The question; None where there is none."""
    if len(words) > 1:
        raise ValueError(
            f'{len(words)} words; put the question in quotes: vidsift cut "a dog catches a frisbee", or '
            "name a video and from when to when: vidsift cut holiday.mp4 1:02 1:07.5"
        )
    return words[0] if words else None


def _named_piece(video: str, start: str, end: str) -> _Piece:
    seconds = []
    for name, text in (("START", start), ("END", end)):
        value = read_clock(text)
        if value is None:
            raise ValueError(
                f"{name} is {text!r}, expected seconds, 1:02.5 or 1:02:03; a question of several words goes "
                'in quotes: vidsift cut "a dog catches a frisbee"'
            )
        seconds.append(value)
    if seconds[1] <= seconds[0]:
        raise ValueError(f"START is {start} and END is {end}; END has to come after START")
    return _Piece(video, Span(*seconds))


def _say_of_hits(index: Index, question: SearchQuestion, hits: list[Hit], filter: Filter) -> None:
    if not hits:
        raise ValueError("nothing was found, so nothing is cut; vidsift search says why")
    if nothing_fits(index, question, hits, filter):
        typer.echo("vidsift: nothing fits well; the clips show what comes nearest", err=True)


def _cut_all(index: Index | None, pieces: list[_Piece], output: Path, pad: float, *, exact: bool) -> None:
    """Cut what can be cut, say what cannot; exit status 2 where something could not."""
    from vidsift.errors import VidsiftError
    from vidsift.files.disk_errors import is_disk_full, refuse_unwritable
    from vidsift.video.clip_files import as_it_is, write_clip
    from vidsift.workers.process import ProcessLimits
    from vidsift.workers.sandbox import Sandbox

    refuse_unwritable(output / "clip.mp4")
    longest = max(piece.span.duration_seconds for piece in pieces) + 2 * pad
    failed = False
    # A minute of large pictures is encoded in minutes on a slow machine.
    with Sandbox(ProcessLimits(time_limit_seconds=300.0 + 20 * longest)) as sandbox:
        for piece in pieces:
            try:
                source = (
                    as_it_is(piece.path) if index is None or piece.hit is None else index.file_of(piece.hit)
                )
                saved = write_clip(sandbox, source, piece.span, output, pad_seconds=pad, exact=exact)
            except (VidsiftError, OSError) as error:
                # Room for none is room for no other.
                if is_disk_full(error):
                    raise
                failed = True
                typer.echo(f"vidsift: not cut: {one_line(_reason(piece, error))}", err=True)
                continue
            typer.echo(one_line(str(saved.path)))
            if not exact:
                typer.echo(f"vidsift: {one_line(saved.path.name)}: {_overrun(saved)}", err=True)
    if failed:
        raise typer.Exit(2)


def _reason(piece: _Piece, error: Exception) -> str:
    from vidsift.errors import VideoChangedError
    from vidsift.files.disk_errors import plain_words

    if isinstance(error, FileNotFoundError):
        return f"{piece.path}: is not where it was; connect its disk or put it back"
    words = str(error) if isinstance(error, ValueError) else plain_words(error)
    # An error that names a file names this one.
    return words if piece.path in words or isinstance(error, VideoChangedError) else f"{piece.path}: {words}"


def _overrun(saved: SavedClip) -> str:
    """Say how far a copied clip reaches beyond what was wanted."""
    if not saved.clip.copied:
        return "could not be copied, so it was encoded anew and is exact"
    before = saved.span.start_seconds - saved.clip.span.start_seconds
    after = saved.clip.span.end_seconds - saved.span.end_seconds
    parts = []
    if before >= 0.05:
        parts.append(f"{before:.1f} s before the start, which most players skip")
    if after >= 0.05:
        parts.append(f"{after:.1f} s after the end")
    return f"copied; it also holds {', and '.join(parts)}" if parts else "copied, without any overrun"
