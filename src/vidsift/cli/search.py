"""``vidsift search``: find videos by a sentence, by several in order, or by other footage."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.text import IndexFolder, clock, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidsift.methods.base import Method
    from vidsift.search.filters import Conditions
    from vidsift.search.searcher import Index
    from vidsift.types import Hit

__all__ = ["search"]

_AT_SECOND = re.compile(r"^(?P<file>.+)@(?P<seconds>\d+(\.\d+)?)$")


def search(  # noqa: PLR0917 - the options of the verb
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="What the video shows, as a sentence; a + or - with spaces around adds or takes off: "
            "'a dog + snow - person'.",
        ),
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option("--then", metavar="TEXT", help="What has to come later in the same video; repeatable."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[@SECONDS]",
            help="Find footage similar to a video, its picture at a second, an image, or a segment's id.",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", "-t", min=1, help="How many hits.")] = 10,
    skip: Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the N best: the next page.")] = 0,
    paths_only: Annotated[
        bool, typer.Option("--paths", "-f", help="Print paths alone, each once, for pipes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    folder: IndexFolder = None,
    under: Annotated[Path | None, typer.Option(help="Only videos in this folder.")] = None,
    min_duration: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Only videos at least this long.")
    ] = None,
    max_duration: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Only videos at most this long.")
    ] = None,
    after: Annotated[
        datetime | None, typer.Option(help="Only files last written at this time or later, your local time.")
    ] = None,
    before: Annotated[datetime | None, typer.Option(help="Only files last written earlier.")] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only videos with this tag; repeatable: with all of them."),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="SCORE", help="Only segments that score at least this.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="segment|video", help="'video' keeps the best segment of each video.")
    ] = "segment",
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Only for models that are too slow to score the whole library (vidsift info calls them "
            "black boxes): a quick look picks the N likeliest segments, and the model ranks these alone. "
            "Leave it out unless a video that you know to be there is not found: then a larger N finds more, "
            "and takes longer. All other models score everything and refuse it.",
            show_default="100",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Where the index's model is now, if it was moved.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda.")] = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what was searched.")] = False,
) -> None:
    """Find the moments that fit TEXT best: score, confidence, start and end, file.

    Hits marked with ? are no surer than chance: nothing in the library fits.
    """
    sentences = [] if query is None else [query, *(then or [])]
    _check_asked(sentences, then, like)
    if by not in ("segment", "video"):
        raise ValueError(f"--by is {by!r}; expected segment or video")

    from vidsift.index.manifest import default_folder, read_manifest

    # A missing index is told before anything heavy is imported.
    where = (default_folder() if folder is None else folder).expanduser()
    read_manifest(where)

    from vidsift.search.searcher import Index

    opened = Index.open(where, model, device=device)
    conditions: Conditions = {
        "under": under,
        "min_duration_seconds": min_duration,
        "max_duration_seconds": max_duration,
        "modified_after": after,
        "modified_before": before,
        "tags": tags or (),
        "min_score": min_score,
        "group_by": "video" if by == "video" else "segment",
        "candidates": candidates,
        "skip": skip,
    }
    hits = _like(opened, like, top, conditions) if like else opened.search(sentences, top, **conditions)
    if verbose:
        pieces = " ".join(piece for one in sentences for piece in opened.model.tokenize([one]).pieces[0])
        said = pieces or f"footage similar to {like}"
        typer.echo(f"{len(opened)} segments searched with {opened.model.name} for: {said}", err=True)
    _tell_of_candidates(opened, hits)
    weak = bool(hits) and like is None and min_score is None
    weak = weak and opened.found(sentences, hits, **conditions) is False
    if like:
        typer.echo("vidsift: similar footage: these scores are not comparable with those of texts", err=True)
    if weak:
        narrowed = any((under, min_duration, max_duration, after, before, tags))
        place = "among these videos" if narrowed else "in the library"
        typer.echo(f"vidsift: nothing {place} fits; what comes nearest is marked with ?", err=True)
    if not hits:
        typer.echo(f"vidsift: {_why_none(opened, sentences, conditions)}", err=True)
    if paths_only:
        for path in dict.fromkeys(hit.path for hit in hits):
            typer.echo(path)
        return
    for hit in hits:
        found = _as_object(hit, opened.model.method) if as_json else None
        typer.echo(_as_line(hit, weak=weak) if found is None else json.dumps(found, ensure_ascii=False))


def _why_none(opened: Index, sentences: Sequence[str], conditions: Conditions) -> str:
    """What it means that there is no hit at all."""
    if not len(opened):
        return "nothing is indexed yet"
    # All that is asked for but how hits are made: where nothing is, only the order can leave no video.
    asked = {name: value for name, value in conditions.items() if name not in ("group_by", "candidates")}
    if len(sentences) > 1 and not any(value not in (None, 0, ()) for value in asked.values()):
        return f"no video has as many as {len(sentences)} pictures, one for each sentence; leave some out"
    return "no video fits the conditions"


def _check_asked(sentences: Sequence[str], then: Sequence[str] | None, like: str | None) -> None:
    """Refuse what is no question before anything is loaded."""
    if like is not None and (sentences or then):
        raise ValueError("--like asks for similar footage; leave TEXT and --then out, or leave --like out")
    if like is None and not sentences:
        raise ValueError('say what the video shows: vidsift search "a dog catches a frisbee", or name --like')
    if any(not one.strip() for one in sentences):
        raise ValueError(
            'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
        )


def _like(opened: Index, named: str, top: int, conditions: Conditions) -> list[Hit]:
    """Search by footage: a segment's id, a file, or a second of a file."""
    from vidsift.search.similar import read_footage

    if opened.holds(named):
        return opened.similar(named, k=top, **conditions)
    second = _AT_SECOND.match(named)
    if second is not None and not Path(named).expanduser().exists():
        frames = read_footage(second["file"], opened.model, float(second["seconds"]))
    else:
        frames = read_footage(named, opened.model)
    return opened.similar(frames=frames, k=top, **conditions)


def _tell_of_candidates(opened: Index, hits: list[Hit]) -> None:
    """Say that hits are the best of some alone, where scoring everything would take too long."""
    if not hits or hits[0].candidates is None:
        return
    stage = opened.model.method.first_stage
    if stage is None:
        said = (
            f"the best of the {hits[0].candidates} videos that were looked at, the likeliest first; to have "
            "all of some looked at, narrow the search, as by --under FOLDER"
        )
    else:
        said = (
            f"{opened.model.name} is too slow to score everything: these are the best of "
            f"{hits[0].candidates} candidates found by {stage.label}; --candidates N takes more"
        )
    typer.echo(f"vidsift: {said}", err=True)


def _as_object(hit: Hit, method: Method) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if (not method.scans and hit.kind == "text") or hit.candidates is not None:
        own["candidates"] = hit.candidates
    if not method.explains and hit.kind == "text":
        moment = "that of the first stage" if method.first_stage is not None else "the whole segment"
        own["account"] = f"black box: no account; the moment is {moment}"
    if hit.parts:
        own["parts"] = [_as_object(part, method) for part in hit.parts]
    return {
        "rank": hit.rank,
        "score": hit.score,
        "confidence": hit.confidence,
        "kind": hit.kind,
        "path": hit.path,
        "start": hit.moment.start_seconds,
        "end": hit.moment.end_seconds,
        "segment_start": hit.segment.start_seconds,
        "segment_end": hit.segment.end_seconds,
        "segment_id": hit.segment_id,
        "video_id": hit.video_id,
    } | own


def _as_line(hit: Hit, *, weak: bool = False) -> str:
    moment = f"{clock(hit.moment.start_seconds)}-{clock(hit.moment.end_seconds)}"
    sure = "-" if hit.confidence is None else _percent(hit.confidence)
    return f"{hit.score:7.4f}  {sure:>4}{'?' if weak else ' '} {moment:>13}  {one_line(hit.path)}"


def _percent(confidence: float) -> str:
    """Whole percent, never more than is true: 0.949 is not yet the 95% from which on something is found."""
    return f"{math.floor(100 * confidence + 1e-9)}%"
