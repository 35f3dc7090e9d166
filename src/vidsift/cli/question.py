"""What a verb searches for: the question, which videos may answer it, and the hits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from vidsift.cli.text import one_line
from vidsift.errors import QueryError
from vidsift.types import Filter

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.types import FilterFields, Hit

__all__ = [
    "AfterOption",
    "BeforeOption",
    "ByOption",
    "CandidatesOption",
    "LikeOption",
    "MaxDurationOption",
    "MinDurationOption",
    "MinScoreOption",
    "NameOption",
    "SearchQuestion",
    "SkipOption",
    "TagsOption",
    "ThenOption",
    "TopOption",
    "UnderOption",
    "VerbatimOption",
    "filter_of",
    "hits_for",
    "nothing_fits",
    "question_of",
    "say_what_is_searched",
]

_OPTION_OF = {
    "name": "--name",
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
TopOption = Annotated[int, typer.Option("--top", "-t", "-n", min=1, help="How many hits.")]
SkipOption = Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the N best: the next page.")]
UnderOption = Annotated[Path | None, typer.Option(help="Only videos in this folder, or this one file.")]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="TEXT", help="Only files whose name holds this text, in small letters or large."
    ),
]
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
VerbatimOption = Annotated[
    bool,
    typer.Option(
        "--verbatim", help="Search for TEXT exactly as written: with its quotes, 'show me', 'videos of', ..."
    ),
]


def filter_of(**fields: Unpack[FilterFields]) -> Filter:
    """Build the filter; what it refuses is said with the name of the option."""
    try:
        return Filter(**fields)
    except QueryError as error:
        option = _OPTION_OF.get(error.field or "")
        if option is None:
            raise
        # Whatever a filter refuses, it says as "name is value, expected ...".
        problem = str(error).removeprefix(error.field or "").partition(", or None for ")[0]
        raise QueryError(f"{option}{problem}", field=error.field) from error


@dataclass(frozen=True)
class SearchQuestion:
    """What is searched for: sentences, more than one of them in order, or else footage.

    Attributes:
        written: the sentences as they were given.
        sentences: the same without what says nothing about a video.
    """

    written: list[str]
    sentences: list[str]
    like: str | None

    @property
    def is_rephrased(self) -> bool:
        """Whether the sentences are others than were written."""
        from vidsift.search.phrasing import is_rephrased

        return is_rephrased(self.written, self.sentences)


def question_of(
    query: str | None, then: list[str] | None = None, like: str | None = None, *, verbatim: bool = False
) -> SearchQuestion:
    """Read the question, and refuse what is none before anything is loaded."""
    from vidsift.search.sums import normalise_query, parse

    written = [] if query is None else [query, *(then or [])]
    if like is not None and (written or then):
        raise ValueError("--like asks for similar footage; leave TEXT and --then out, or leave --like out")
    if like is not None and verbatim:
        raise ValueError("--verbatim is about the words of TEXT; leave it out beside --like")
    if like is None and not written:
        raise ValueError('say what the video shows: vidsift search "a dog catches a frisbee", or name --like')
    # Also said by the index, but only after seconds of importing torch.
    if any(not sentence.strip() for sentence in written):
        raise ValueError(
            'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
        )
    sentences = written if verbatim else [normalise_query(sentence) for sentence in written]
    for sentence in sentences:
        parse(sentence)
    return SearchQuestion(written, sentences, like)


def say_what_is_searched(question: SearchQuestion) -> None:
    """Say what a question was taken for, where that is not what was written."""
    if question.is_rephrased:
        sentences = ", then ".join(one_line(sentence) for sentence in question.sentences)
        typer.echo(f"vidsift: searched for: {sentences}", err=True)


def nothing_fits(index: Index, question: SearchQuestion, hits: list[Hit], filter: Filter) -> bool:
    """Whether all hits are no surer than chance; with ``min_score``, the caller decides what fits."""
    if not hits or question.like is not None or filter.min_score is not None:
        return False
    return index.found(question.sentences, hits, filter=filter) is False


def hits_for(index: Index, question: SearchQuestion, top: int, filter: Filter) -> list[Hit]:
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
