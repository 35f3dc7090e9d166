"""``vidsift search``: find videos by a sentence, by several in order, or by other footage."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack, cast

import typer

from vidsift.cli.opening import DeviceOption, ModelOption, open_for_search
from vidsift.cli.text import IndexFolder, clock, one_line
from vidsift.errors import QueryError
from vidsift.types import Filter

if TYPE_CHECKING:
    from vidsift.methods.base import Method
    from vidsift.search.searcher import Index
    from vidsift.types import FilterFields, GroupBy, Hit

__all__ = ["search"]

_OPTION_OF = {
    "min_duration_seconds": "--min-duration",
    "max_duration_seconds": "--max-duration",
    "tags": "--tag",
    "min_score": "--min-score",
    "group_by": "--by",
    "candidates": "--candidates",
    "skip": "--skip",
}
"""Which option gives a field of the filter; typer does not see, for example, that a number is NaN."""

_AT_SECOND = re.compile(r"^(?P<file>.+)@(?P<seconds>\d+(\.\d+)?)$")

QueryArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TEXT",
        help="What the video shows, as a sentence; a + or - with spaces around adds or takes off: "
        "'a dog + snow - person'.",
    ),
]
ThenOption = Annotated[
    list[str] | None,
    typer.Option("--then", metavar="TEXT", help="What has to come later in the same video; repeatable."),
]
LikeOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE[@SECONDS]",
        help="Find footage similar to a video, its picture at a second, an image, or a segment's id.",
    ),
]
TopOption = Annotated[int, typer.Option("--top", "-t", min=1, help="How many hits.")]
SkipOption = Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the N best: the next page.")]
PathsOption = Annotated[bool, typer.Option("--paths", "-f", help="Print paths alone, each once, for pipes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
UnderOption = Annotated[Path | None, typer.Option(help="Only videos in this folder.")]
MinDurationOption = Annotated[
    float | None, typer.Option(min=0, metavar="SECONDS", help="Only videos at least this long.")
]
MaxDurationOption = Annotated[
    float | None, typer.Option(min=0, metavar="SECONDS", help="Only videos at most this long.")
]
AfterOption = Annotated[
    datetime | None, typer.Option(help="Only files last written at this time or later, your local time.")
]
BeforeOption = Annotated[datetime | None, typer.Option(help="Only files last written earlier.")]
TagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Only videos with this tag; repeatable: with all of them."),
]
MinScoreOption = Annotated[
    float | None, typer.Option(metavar="SCORE", help="Only segments that score at least this.")
]
ByOption = Annotated[
    str, typer.Option(metavar="segment|video", help="'video' keeps the best segment of each video.")
]
CandidatesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Only for models that are too slow to score the whole library (vidsift info "
        "says how a model scores): a quick look picks the N likeliest segments, and the model ranks these "
        "alone. "
        "Leave it out unless a video that you know to be there is not found: then a larger N finds more, "
        "and takes longer. All other models score everything and refuse it.",
        show_default="100",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say what was searched.")]


def search(  # noqa: PLR0917 - the options of the verb
    query: QueryArgument = None,
    then: ThenOption = None,
    like: LikeOption = None,
    top: TopOption = 10,
    skip: SkipOption = 0,
    paths_only: PathsOption = False,
    as_json: JsonOption = False,
    folder: IndexFolder = None,
    under: UnderOption = None,
    min_duration: MinDurationOption = None,
    max_duration: MaxDurationOption = None,
    after: AfterOption = None,
    before: BeforeOption = None,
    tags: TagsOption = None,
    min_score: MinScoreOption = None,
    by: ByOption = "segment",
    candidates: CandidatesOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    verbose: VerboseOption = False,
) -> None:
    """Find the moments that fit TEXT best: score, confidence, start and end, file.

    Hits marked with ? are no surer than chance: nothing in the library fits.
    """
    question = _question_of(query, then, like)
    filter = _filter_of(
        under=under,
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
    hits = _hits(index, question, top, filter)
    if verbose:
        _say_what_was_searched(index, question)
    _say_of_candidates(index, hits)
    weak = _nothing_fits(index, question, hits, filter)
    _say_how_to_read(index, question, hits, filter, weak=weak)
    _print_hits(index, hits, paths_only=paths_only, as_json=as_json, weak=weak)


def _filter_of(**fields: Unpack[FilterFields]) -> Filter:
    """Build the filter; what it refuses is said with the name of the option."""
    try:
        return Filter(**fields)
    except QueryError as error:
        option = _OPTION_OF.get(error.field or "")
        if option is None:
            raise
        # Whatever a filter refuses, it says as "name is value, expected ...".
        problem = str(error).removeprefix(error.field or "").removesuffix(", or None for no limit")
        raise QueryError(f"{option}{problem}", field=error.field) from error


@dataclass(frozen=True)
class _Question:
    """What is searched for: sentences, more than one of them in order, or else footage."""

    sentences: list[str]
    like: str | None


def _question_of(query: str | None, then: list[str] | None, like: str | None) -> _Question:
    """Refuse what is no question before anything is loaded."""
    sentences = [] if query is None else [query, *(then or [])]
    if like is not None and (sentences or then):
        raise ValueError("--like asks for similar footage; leave TEXT and --then out, or leave --like out")
    if like is None and not sentences:
        raise ValueError('say what the video shows: vidsift search "a dog catches a frisbee", or name --like')
    # Also said by the index, but only after seconds of importing torch.
    if any(not sentence.strip() for sentence in sentences):
        raise ValueError(
            'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
        )
    return _Question(sentences, like)


def _hits(index: Index, question: _Question, top: int, filter: Filter) -> list[Hit]:
    """Search by sentences, or by footage: a segment's id, a file, or a second of a file."""
    if question.like is None:
        return index.search(question.sentences, top, filter=filter)

    from vidsift.video.footage import read_footage

    if index.holds(question.like):
        return index.similar(question.like, k=top, filter=filter)
    at_second = _AT_SECOND.match(question.like)
    # A file may be called so too; then it is meant as a whole.
    if at_second is not None and not Path(question.like).expanduser().exists():
        frames = read_footage(at_second["file"], index.model.preprocessing, float(at_second["seconds"]))
    else:
        frames = read_footage(question.like, index.model.preprocessing)
    return index.similar(frames=frames, k=top, filter=filter)


def _say_what_was_searched(index: Index, question: _Question) -> None:
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


def _nothing_fits(index: Index, question: _Question, hits: list[Hit], filter: Filter) -> bool:
    """Whether all hits are no surer than chance; with ``min_score``, the caller decides what fits."""
    if not hits or question.like is not None or filter.min_score is not None:
        return False
    return index.found(question.sentences, hits, filter=filter) is False


def _say_how_to_read(
    index: Index, question: _Question, hits: list[Hit], filter: Filter, *, weak: bool
) -> None:
    if question.like:
        typer.echo("vidsift: similar footage: these scores are not comparable with those of texts", err=True)
    if weak:
        place = "among these videos" if filter.narrows else "in the library"
        typer.echo(f"vidsift: nothing {place} fits; what comes nearest is marked with ?", err=True)
    if not hits:
        typer.echo(f"vidsift: {_why_none(index, question, filter)}", err=True)


def _why_none(index: Index, question: _Question, filter: Filter) -> str:
    """What it means that there is no hit at all."""
    if not len(index):
        return "nothing is indexed yet"
    # How hits are made takes none away: without any other condition, only the order can leave no video.
    unconditional = replace(filter, group_by="segment", candidates=None) == Filter()
    if len(question.sentences) > 1 and unconditional:
        count = len(question.sentences)
        return f"no video has as many as {count} pictures, one for each sentence; leave some out"
    return "no video fits the conditions"


def _print_hits(index: Index, hits: list[Hit], *, paths_only: bool, as_json: bool, weak: bool) -> None:
    # A video with several hits is one file to whatever reads the pipe.
    if paths_only:
        for path in dict.fromkeys(hit.path for hit in hits):
            typer.echo(path)
        return
    for hit in hits:
        if as_json:
            facts = _as_object(hit, index.model.method)
            typer.echo(json.dumps(facts, ensure_ascii=False))
        else:
            typer.echo(_as_line(hit, weak=weak))


def _as_object(hit: Hit, method: Method) -> dict[str, Any]:
    facts: dict[str, Any] = {
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


def _as_line(hit: Hit, *, weak: bool = False) -> str:
    moment = f"{clock(hit.moment.start_seconds)}-{clock(hit.moment.end_seconds)}"
    confidence = "-" if hit.confidence is None else _percent(hit.confidence)
    return f"{hit.score:7.4f}  {confidence:>4}{'?' if weak else ' '} {moment:>13}  {one_line(hit.path)}"


def _percent(confidence: float) -> str:
    """Whole percent, never more than is true: 0.949 is not yet the 95% from which on something is found."""
    return f"{math.floor(100 * confidence + 1e-9)}%"  # 100 * 0.29 is a little less than 29
