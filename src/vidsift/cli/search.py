"""``vidsift search``: find videos by a sentence, by several in order, or by other footage."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from vidsift.cli.export_hits import ExportOption, check_export, export_hits
from vidsift.cli.opening import DeviceOption, ModelOption, open_for_search, say_what_the_model_knows
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
from vidsift.cli.text import IndexFolder, clock, one_line
from vidsift.files.paths import name_order
from vidsift.types import Filter

if TYPE_CHECKING:
    from vidsift.methods.base import Method
    from vidsift.search.searcher import Index
    from vidsift.types import GroupBy, Hit

__all__ = ["search"]

QueryArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TEXT",
        help="What the video shows, as a sentence; a + or - with spaces around adds or takes off: "
        "'a dog + snow - person'.",
    ),
]
PathsOption = Annotated[bool, typer.Option("--paths", "-f", help="Print paths alone, each once, for pipes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
SortOption = Annotated[
    Literal["match", "date", "name"],
    typer.Option(help="In which order the hits are printed: the best first, the newest first, or by name."),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say what was searched.")]


def search(  # noqa: PLR0917 - the options of the verb
    query: QueryArgument = None,
    then: ThenOption = None,
    like: LikeOption = None,
    top: TopOption = 10,
    skip: SkipOption = 0,
    sort: SortOption = "match",
    paths_only: PathsOption = False,
    as_json: JsonOption = False,
    export: ExportOption = None,
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
    verbose: VerboseOption = False,
) -> None:
    """Find the moments that fit TEXT best: score, how good the match is, start and end, file.

    A good match is mostly right; a possible match is about it, but may not be it; what chance finds too is
    unlikely.
    """
    question = question_of(query, then, like, verbatim=verbatim)
    if export is not None:
        check_export(export)
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
    index = open_for_search(folder, model, device)
    say_what_is_searched(question)
    hits = hits_for(index, question, top, filter)
    if verbose:
        _say_what_was_searched(index, question)
    _say_of_candidates(index, hits)
    weak = nothing_fits(index, question, hits, filter)
    _say_how_to_read(index, question, hits, filter, weak=weak)
    hits = _in_order(index, hits, sort)
    _print_hits(index, question, hits, paths_only=paths_only, as_json=as_json)
    if export is not None:
        export_hits(index, hits, " / ".join(question.sentences) or f"like {question.like}", export)


def _say_what_was_searched(index: Index, question: SearchQuestion) -> None:
    tokens = index.model.tokenize(question.sentences).pieces if question.sentences else []
    words = " ".join(piece for pieces in tokens for piece in pieces)
    searched_for = words or f"footage similar to {question.like}"
    typer.echo(f"{len(index)} segments searched with {index.model.name} for: {searched_for}", err=True)


def _say_of_candidates(index: Index, hits: list[Hit]) -> None:
    """Say that hits are the best of some alone, where scoring everything would take too long."""
    if not hits or hits[0].candidates is None:
        return
    stage = index.model.method.first_stage
    if stage is None:
        message = (
            f"only the {hits[0].candidates} likeliest videos were ranked; narrow the search "
            "(--under FOLDER) to rank all of fewer"
        )
    else:
        message = (
            f"{index.model.name} is too slow to score everything: these are the best of "
            f"{hits[0].candidates} candidates found by {stage.label}; --candidates N takes more"
        )
    typer.echo(f"vidsift: {message}", err=True)


def _say_how_to_read(
    index: Index, question: SearchQuestion, hits: list[Hit], filter: Filter, *, weak: bool
) -> None:
    if question.like:
        typer.echo("vidsift: similar footage: these scores are not comparable with those of texts", err=True)
    if weak:
        place = "among these videos" if filter.narrows else "in the library"
        typer.echo(f"vidsift: nothing {place} fits; this comes nearest", err=True)
        say_what_the_model_knows(index.model)
    if not hits:
        typer.echo(f"vidsift: {_why_none(index, question, filter)}", err=True)


def _why_none(index: Index, question: SearchQuestion, filter: Filter) -> str:
    """What it means that there is no hit at all."""
    if not len(index):
        return "nothing is indexed yet"
    # How hits are made takes none away: without any other condition, only the order can leave no video.
    unconditional = replace(filter, group_by="segment", candidates=None) == Filter()
    if len(question.sentences) > 1 and unconditional:
        count = len(question.sentences)
        return f"no video has as many as {count} pictures, one for each sentence; leave some out"
    return "no video fits the conditions"


def _in_order(index: Index, hits: list[Hit], sort: Literal["match", "date", "name"]) -> list[Hit]:
    """Put the hits that were found in another order than the best first; equal ones stay as they are."""
    if sort == "name":
        return sorted(hits, key=lambda hit: name_order(hit.path))
    if sort == "date":
        records = index.store.read_files()
        return sorted(hits, key=lambda hit: records[hit.path].modified_ns, reverse=True)
    return hits


def _print_hits(
    index: Index, question: SearchQuestion, hits: list[Hit], *, paths_only: bool, as_json: bool
) -> None:
    # A video with several hits is one file to whatever reads the pipe.
    if paths_only:
        for path in dict.fromkeys(hit.path for hit in hits):
            typer.echo(path)
        return
    for hit in hits:
        if as_json:
            facts = _as_object(hit, index.model.method)
            if question.is_rephrased:
                sentences = question.sentences
                facts["searched_for"] = sentences[0] if len(sentences) == 1 else sentences
            typer.echo(json.dumps(facts, ensure_ascii=False))
        else:
            typer.echo(_as_line(hit))


def _as_object(hit: Hit, method: Method) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "rank": hit.rank,
        "score": hit.score,
        "confidence": hit.confidence,
        "match": hit.match,
        "kind": hit.kind,
        "path": hit.path,
        "start": hit.moment.start_seconds,
        "end": hit.moment.end_seconds,
        "segment_start": hit.segment.start_seconds,
        "segment_end": hit.segment.end_seconds,
        "segment_id": hit.segment_id,
        "video_id": hit.video_id,
    }
    of_method = hit.kind == "text"
    if (of_method and not method.scans) or hit.candidates is not None:
        facts["candidates"] = hit.candidates
    if of_method and not method.explains:
        moment = "that of the first stage" if method.first_stage is not None else "the whole segment"
        facts["account"] = f"none: the model cannot say what each frame or word gave; the moment is {moment}"
    if hit.parts:
        facts["parts"] = [_as_object(part, method) for part in hit.parts]
    return facts


def _as_line(hit: Hit) -> str:
    moment = f"{clock(hit.moment.start_seconds)}-{clock(hit.moment.end_seconds)}"
    return f"{hit.score:7.4f}  {hit.match or '-':<14} {moment:>13}  {one_line(hit.path)}"
