"""``vidsift search``: find videos by a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidsift.cli.text import one_line

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.types import Hit

__all__ = ["search"]


def search(  # noqa: PLR0917 - the options of the verb
    query: Annotated[str, typer.Argument(metavar="TEXT", help="What the video shows, as a sentence.")],
    top: Annotated[int, typer.Option("--top", "-t", min=1, help="How many hits.")] = 10,
    paths_only: Annotated[
        bool, typer.Option("--paths", "-f", help="Print paths alone, each once, for pipes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--index", envvar="VIDSIFT_INDEX", help="The index. Default: your data folder."),
    ] = None,
    under: Annotated[Path | None, typer.Option(help="Only videos in this folder.")] = None,
    min_duration: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Only videos at least this long.")
    ] = None,
    max_duration: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Only videos at most this long.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="segment|video", help="'video' keeps the best segment of each video.")
    ] = "segment",
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many segments a black box scores, found by its first stage. [100]"
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Where the index's model is now, if it was moved.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda.")] = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what was searched.")] = False,
) -> None:
    """Find the moments that fit TEXT best: score, file, start and end."""
    if not query.strip():
        raise ValueError(
            'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
        )
    if by not in ("segment", "video"):
        raise ValueError(f"--by is {by!r}; expected segment or video")

    from vidsift.index.storage import default_folder, read_manifest

    # A missing index is told before anything heavy is imported.
    where = (default_folder() if folder is None else folder).expanduser()
    read_manifest(where)

    from vidsift.search.searcher import Index

    opened = Index.open(where, model, device=device)
    hits = opened.search(
        query,
        top,
        under=under,
        min_duration_seconds=min_duration,
        max_duration_seconds=max_duration,
        group_by="video" if by == "video" else "segment",
        candidates=candidates,
    )
    if verbose:
        pieces = " ".join(opened.model.tokenize([query]).pieces[0])
        typer.echo(f"{len(opened)} segments searched with {opened.model.name} for: {pieces}", err=True)
    _tell_of_candidates(opened, hits)
    if not hits:
        nothing = "nothing is indexed yet" if not len(opened) else "no video fits the conditions"
        typer.echo(f"vidsift: {nothing}", err=True)
    if paths_only:
        for path in dict.fromkeys(hit.path for hit in hits):
            typer.echo(path)
        return
    for hit in hits:
        found = _as_object(hit, black_box=opened.model.method.black_box) if as_json else None
        typer.echo(_as_line(hit) if found is None else json.dumps(found, ensure_ascii=False))


def _tell_of_candidates(opened: Index, hits: list[Hit]) -> None:
    """Say that hits are the best of candidates alone, where a black box could not score everything."""
    stage = opened.model.method.first_stage
    if stage is None or not hits or hits[0].candidates is None:
        return
    typer.echo(
        f"vidsift: {opened.model.name} is a black box: these are the best of {hits[0].candidates} candidates "
        f"found by {stage.label}; --candidates N takes more",
        err=True,
    )


def _as_object(hit: Hit, *, black_box: bool) -> dict[str, Any]:
    own = {
        "candidates": hit.candidates,
        "account": "black box: no account; the moment is that of the first stage",
    }
    return {
        "rank": hit.rank,
        "score": hit.score,
        "path": hit.path,
        "start": hit.moment.start_seconds,
        "end": hit.moment.end_seconds,
        "segment_start": hit.segment.start_seconds,
        "segment_end": hit.segment.end_seconds,
        "video_id": hit.video_id,
    } | (own if black_box else {})


def _as_line(hit: Hit) -> str:
    moment = f"{_clock(hit.moment.start_seconds)}-{_clock(hit.moment.end_seconds)}"
    return f"{hit.score:7.4f}  {moment:>13}  {one_line(hit.path)}"


def _clock(seconds: float) -> str:
    """Write seconds as people read them on a player: 1:02.5, 1:00:05.0."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02d}.{rest % 10}"
