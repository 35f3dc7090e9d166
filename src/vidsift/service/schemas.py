"""What goes in and out of the service: questions, hits and explanations; for the rest see schemas_library.

The names of the classes are those of the OpenAPI document, so they stay. Some are also the name of the value
in Python that they write down (``Explanation``, ``Filter``); code that uses such a schema writes
``schemas.Explanation``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from vidsift.types import Match

__all__ = [
    "MAX_K",
    "MAX_QUERY",
    "ExplainRequest",
    "Explanation",
    "ExplanationTerm",
    "FieldProblem",
    "Filter",
    "Health",
    "Pool",
    "Problem",
    "SearchHit",
    "SearchPart",
    "SearchRequest",
    "SearchResponse",
    "Strip",
    "StripRequest",
    "StripResponse",
    "StripSegment",
    "UploadResponse",
    "VideoStretch",
    "media_url",
    "thumbnail_url",
]

MAX_K, MAX_QUERY, MAX_SENTENCES, MAX_TAGS, MAX_EXPLAINED = 100, 2000, 8, 32, 10

Sentence = Annotated[str, Field(min_length=1, max_length=MAX_QUERY)]
Query = Sentence | Annotated[list[Sentence], Field(min_length=1, max_length=MAX_SENTENCES)]
# Strict: a JSON true is no 1, and "5" no 5. A number of seconds may be written without a point.
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, strict=True)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
Identity = Annotated[str, Field(min_length=1, max_length=64)]

_QUERY_IS = (
    "What the video should show: a sentence; a sum as 'a dog + snow - person'; or a list of sentences that "
    "must come in that order within one video."
)
_VERBATIM_IS = (
    "Take the query exactly as it is written. Else what says nothing about a video is taken off: quotes "
    "around it, 'show me', 'videos of', 'please', a last dot."
)
_SEARCHED_FOR = (
    "What the query was taken for, where that is not what was written; a list for sentences in order. Null "
    "elsewhere."
)


def thumbnail_url(video_id: str, at_seconds: float) -> str:
    """Where the picture of a video at a second is."""
    return f"/v1/videos/{video_id}/thumbnail?at={max(0.0, at_seconds):.3f}"


def media_url(video_id: str) -> str:
    """Where a video's file is."""
    return f"/v1/videos/{video_id}/media"


class FieldProblem(BaseModel):
    """One field of a request that is wrong."""

    detail: str = Field(description="What is wrong with it, and what was expected.")
    pointer: str | None = Field(
        default=None, description="The field in the JSON body, as '#/filter/tags/0'; for fields of the body."
    )
    parameter: str | None = Field(
        default=None, description="Name of the parameter; for those of the path and the query."
    )


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    type: str = Field(
        description="Which kind of problem it is: where this service describes it, as '/problems#too-large'."
    )
    title: str = Field(description="The kind of problem.")
    status: int = Field(description="The HTTP status of the answer.")
    detail: str = Field(description="What went wrong here, and the remedy.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="Which fields of the request are wrong; left out where it is none of them."
    )


class VideoStretch(BaseModel):
    """Seconds of a video, from one to a later one."""

    model_config = ConfigDict(extra="forbid")

    video_id: Identity = Field(description="The video_id of a hit.")
    start: Seconds = Field(description="Where it begins, in seconds.")
    end: Seconds = Field(description="Where it ends, in seconds.")

    @model_validator(mode="after")
    def _be_a_stretch(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"start is {self.start:g} and end is {self.end:g}; end must be after start")
        return self


class Filter(BaseModel):
    """Which videos may be found; what is left out does not narrow."""

    model_config = ConfigDict(extra="forbid")

    under: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, description="Only videos in this folder, its folders included; or only this file."
    )
    name: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None,
        description="Only files whose name, its ending included, holds this text, in small letters or large.",
    )
    min_duration: Seconds | None = Field(default=None, description="Only videos of so many seconds or more.")
    max_duration: Seconds | None = Field(default=None, description="Only videos of so many seconds or less.")
    modified_after: datetime | None = Field(
        default=None, description="Only files changed at or after this moment; UTC where it names no zone."
    )
    modified_before: datetime | None = Field(
        default=None, description="Only files changed before this moment; UTC where it names no zone."
    )
    tags: list[Tag] = Field(
        default_factory=list, max_length=MAX_TAGS, description="Only videos that have all of these tags."
    )


class SearchRequest(BaseModel):
    """A question to the index: exactly one of query, video and image."""

    model_config = ConfigDict(extra="forbid")

    query: Query | None = Field(default=None, description=_QUERY_IS)
    verbatim: bool = Field(default=False, strict=True, description=_VERBATIM_IS)
    video: Identity | None = Field(
        default=None, description="More like this: the segment_id of a hit, or the upload_id of a video."
    )
    image: Identity | None = Field(default=None, description="More like this: the upload_id of a picture.")
    k: int = Field(default=10, ge=1, le=MAX_K, strict=True, description="How many hits to return at most.")
    group_by: Literal["segment", "video"] = Field(
        default="segment", description="'video' keeps only the best segment of each video."
    )
    filter: Filter = Field(default_factory=Filter, description="Which videos may be found.")
    min_score: float | None = Field(
        default=None,
        ge=-1e6,
        le=1e6,
        allow_inf_nan=False,
        strict=True,
        description="Leave out hits of a lower score.",
    )
    min_confidence: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        strict=True,
        description="Leave out hits of a lower confidence; those whose confidence is not known stay. "
        "min_match is the same in words.",
    )
    min_match: Literal["good match", "possible match"] | None = Field(
        default=None,
        description="Leave out hits of a weaker match, 'good match' for good ones only; those of which no "
        "match is known stay.",
    )
    explain: bool = Field(
        default=False, strict=True, description="Account for the score of every hit; k is 10 at most then."
    )
    candidates: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        strict=True,
        description="Only for models that are too slow to score the whole library: a quick "
        "look picks this many likely segments, and the model ranks these; for sentences in order, videos. "
        "100 when left out. More is slower and misses less. All other models score everything and refuse it.",
    )
    page: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="The next_page of an answer to the same question, for the hits after it."
    )

    @model_validator(mode="after")
    def _ask_one_thing(self) -> SearchRequest:
        given = sum(value is not None for value in (self.query, self.video, self.image))
        if given != 1:
            raise ValueError(f"give exactly one of query, video and image; {given} were given")
        if self.verbatim and self.query is None:
            raise ValueError("verbatim needs a query; similar footage has no words to take as they are")
        if self.explain and self.query is None:
            raise ValueError("explain needs a query; similar footage has no words to explain")
        if self.explain and self.k > MAX_EXPLAINED:
            raise ValueError(
                f"explain takes k up to {MAX_EXPLAINED}, and k is {self.k}; ask /v1/explain for the hits "
                "that are looked at"
            )
        return self


class ExplanationTerm(BaseModel):
    """One part of a score: T words of the sentence met N tokens of the video."""

    name: str = Field(description="Which sets met, as 'word-frame'.")
    words: list[str] = Field(description="The T text tokens, readable; special ones as they are called.")
    times_seconds: list[float] | None = Field(
        description="When each of the N video tokens is seen; null where they have no time of their own."
    )
    frame: list[int] | None = Field(
        description="Place in the segment of each video token's frame; null where that means nothing."
    )
    group: list[int] | None = Field(
        description="Place of each video token within its frame (object, patch); null likewise."
    )
    values: list[list[float]] = Field(description="T x N: similarity of each word with each video token.")
    contributions: list[list[float]] = Field(
        description="T x N: what each meeting gave to the score; all terms together sum to it."
    )
    text_weights: list[float] = Field(description="Importance of each word.")
    video_weights: list[float] = Field(description="Importance of each video token.")
    best_video_token: list[int] = Field(
        description="For each word the video token that it met best; -1 where that was padding."
    )
    best_text_token: list[int] = Field(
        description="For each video token the word that it met best; -1 likewise."
    )
    sentence: str = Field(description="Whose words they are: the query, or one part of its sum.")
    weight: float = Field(description="What the term counts for; negative for a part that is taken off.")
    grid: list[int] | None = Field(
        description="Rows and columns into which the picture (the square in its middle that the model looks "
        "at) is cut, where the account says where in it: by 'patches', or without them by 'group', a place "
        "counted row by row. Null where it does not."
    )
    patches: list[list[float]] | None = Field(
        description="N x places: which patches of its frame each video token was made from, row by row; all "
        "zero for one that comes from the whole frame. Null unless asked for with 'maps', and for models "
        "that cannot tell."
    )
    map_note: str = Field(description="What a map of the picture shows and what not; empty without 'grid'.")
    word_of_token: list[int] | None = Field(
        description="Of each of the T text tokens the place of its word in the account's 'words'; -1 for "
        "start, end and punctuation. Null where the tokens are not those of words (one for the whole "
        "sentence, phrases)."
    )
    total: float = Field(description="What the term gave to the score.")
    note: str = Field(description="How to read the numbers of this term; empty where nothing has to be said.")


class WordInSentence(BaseModel):
    """Where a word stands."""

    word: str = Field(description="As it is written.")
    start: int = Field(description="Its first character in the sentence.")
    end: int = Field(description="The character after its last.")
    sentence: str = Field(description="Whose word it is: the question, or one part of a sum.")
    weight: float = Field(description="What the score of that sentence counts for.")


class ExplanationWord(WordInSentence):
    """A word of the question as it is written."""

    contribution: float | None = Field(
        description="What its text tokens gave to the score, in all terms together; null where no term "
        "compares words."
    )


class ExplanationWordFall(WordInSentence):
    """What leaving out one word does to the score."""

    without: str = Field(description="The sentence that was scored instead; empty without another word.")
    fall: float | None = Field(
        description="The score less that without the word; negative where it rises. Null for the only word "
        "of a sentence."
    )
    frame_falls: list[float] | None = Field(
        description="Likewise what each frame gave, by times_seconds of the account; null without frames."
    )
    untimed_fall: float | None = Field(
        description="Likewise what tokens without a time gave; null where there are none."
    )


class ExplanationLeavingOut(BaseModel):
    """How much the score falls without each word: of every model, and no part of the sum."""

    meaning: str = Field(description="What the numbers are, in plain words.")
    times_seconds: list[float] | None = Field(description="Of the frames; null where the account has none.")
    frames_missing: str = Field(description="Why there are no frames; else empty.")
    words: list[ExplanationWordFall] = Field(description="In the order of the question.")


class Explanation(BaseModel):
    """The account of one hit's score; all contributions sum to the score."""

    query: str = Field(description="The sentence that was scored.")
    score: float = Field(description="The similarity that is accounted for.")
    segment_id: str = Field(description="Identity of the segment.")
    video_id: str = Field(description="Identity of the file's content.")
    path: str = Field(description="The video file.")
    start: float | None = Field(description="Start of the segment in seconds.")
    end: float | None = Field(description="End of the segment in seconds.")
    moment_from: list[str] = Field(description="Names of the terms whose tokens have a time.")
    maps_on_request: bool = Field(
        description="Whether /v1/explain, asked with 'maps', also says which patches of the picture tokens "
        "come from."
    )
    maps_missing: str = Field(
        description="Why the patches are missing although they were asked for, for example because the file "
        "is not there; else empty."
    )
    account_missing: str = Field(
        description="Why there are no terms, where the model cannot say what each word and frame gave; else "
        "empty."
    )
    leaving_out: ExplanationLeavingOut | None = Field(
        description="How much the score falls without each word; null unless asked for with 'leave_out'."
    )
    words: list[ExplanationWord] = Field(description="The words, in the order of the question.")
    words_carry: bool = Field(
        description="Whether words gave most of the score, so that their contributions account for it. Else "
        "'leaving_out' is the account of words."
    )
    terms: list[ExplanationTerm] = Field(
        description="The parts that the score is the sum of; none where account_missing says why."
    )


class Strip(BaseModel):
    """What each second that was looked at gave to a score; empty where the model cannot say."""

    times: list[float] = Field(description="Seconds of the frames that were looked at, ascending.")
    shares: list[float] = Field(description="What each of them gave to the score.")


class SearchPart(BaseModel):
    """Where one of several sentences fits in a video."""

    segment_id: str = Field(description="Identity of the segment; /v1/explain takes it with the sentence.")
    score: float = Field(description="Similarity of the sentence with the segment.")
    start: float = Field(description="Start of its moment, in seconds.")
    end: float = Field(description="End of its moment, in seconds.")


class SearchHit(BaseModel):
    """One answer: a video and the moment in it."""

    rank: int = Field(description="1 for the best; counts on from page to page.")
    score: float = Field(description="Similarity by the trained interaction.")
    confidence: float | None = Field(
        description="The share of unrelated questions whose best answer in the index scores less, 0 to 1: no "
        "probability. Null where the index is not calibrated, for sums of sentences, and for similar footage."
    )
    match: Match | None = Field(
        description="What that and the lead over all other videos are worth, in a word for people; null "
        "where the confidence is."
    )
    video_id: str = Field(description="Identity of the file's content.")
    segment_id: str = Field(description="Identity of the segment that was scored.")
    path: str = Field(description="The video file.")
    start: float = Field(description="Start of the best moment, in seconds.")
    end: float = Field(description="End of the best moment, in seconds.")
    segment_start: float = Field(description="Start of the segment that was scored, in seconds.")
    segment_end: float = Field(description="End of the segment that was scored, in seconds.")
    duration: float = Field(description="Length of the video in seconds.")
    thumbnail_url: str = Field(description="The best frame of the moment as a JPEG.")
    media_url: str = Field(description="The video file itself, with range requests.")
    modified: datetime | None = Field(
        default=None, description="When the file was last changed; null where it was taken out since."
    )
    strip: Strip = Field(description="The segment's frames: what each gave to the score.")
    explanation: Explanation | None = Field(
        description="Why it was found; null unless asked for, for models that cannot say what each frame or "
        "word gave, and for sentences in order."
    )
    parts: list[SearchPart] = Field(
        description="For sentences in order, where each of them fits; empty for one sentence."
    )
    candidates: int | None = Field(
        description="How many were scored where others were left out, of which this is one of the best: "
        "where the model is too slow to score the whole library, segments that its first stage found; for "
        "sentences in order, "
        "videos, the likeliest first. Null where nothing that was left out can be better."
    )


class Pool(BaseModel):
    """What was searched."""

    segments: int = Field(description="Segments in the index.")
    videos: int = Field(description="Videos in the index.")
    allowed_segments: int = Field(description="Segments that the filter lets be found.")
    allowed_videos: int = Field(description="Videos that the filter lets be found.")


class SearchResponse(BaseModel):
    """The hits, best first."""

    data: list[SearchHit] = Field(description="At most k hits; fewer where the index holds fewer.")
    found: bool | None = Field(
        description="Whether something in the library fits: false says that the best hit is no better than "
        "those of questions about other things, and is never said where a hit is more than 'unlikely'. Null "
        "where the index is not calibrated, for sums of sentences, and for similar footage."
    )
    label: Literal["text", "similar footage"] = Field(
        description="What the scores mean; the two kinds cannot be compared."
    )
    searched_for: str | list[str] | None = Field(default=None, description=_SEARCHED_FOR)
    pool: Pool = Field(description="What was searched.")
    next_page: str | None = Field(description="Give it as 'page' for the hits that follow; null at the end.")
    took_ms: float = Field(description="Milliseconds from the question to the answer, waiting included.")


class ExplainRequest(BaseModel):
    """Which score to account for."""

    model_config = ConfigDict(extra="forbid")

    query: Query = Field(
        description="The sentence that was asked for, or the sum; of sentences in order each one by itself, "
        "with the segment_id of its part."
    )
    verbatim: bool = Field(default=False, strict=True, description=_VERBATIM_IS)
    segment_id: Identity = Field(description="The segment_id of a hit.")
    maps: bool = Field(
        default=False,
        strict=True,
        description="Also say which patches of the picture tokens come from, where the model can tell: the "
        "video is read and encoded again for it.",
    )
    leave_out: StrictBool | Literal["auto"] = Field(
        default=False,
        description="Also say how much the score falls without each word: the sentence is encoded again "
        "without each. Every model can tell, those too that have no other account. 'auto': only where "
        "'words_carry' is false.",
    )


class StripRequest(BaseModel):
    """Which video to lay a sentence along."""

    model_config = ConfigDict(extra="forbid")

    query: Query = Field(
        description="The sentence that was asked for, or the sum; of sentences in order the mean is told."
    )
    verbatim: bool = Field(default=False, strict=True, description=_VERBATIM_IS)
    video_id: Identity = Field(description="The video_id of a hit.")


class StripSegment(BaseModel):
    """One segment of the video with its score."""

    segment_id: str = Field(description="Identity of the segment.")
    start: float = Field(description="Start in seconds.")
    end: float = Field(description="End in seconds.")
    score: float = Field(description="Similarity of the sentence with the segment.")


class StripResponse(Strip):
    """What each second of a whole video gave to its segment's score."""

    segments: list[StripSegment] = Field(description="All segments of the video, ascending in time.")
    searched_for: str | list[str] | None = Field(default=None, description=_SEARCHED_FOR)


class UploadResponse(BaseModel):
    """An upload that can be asked with."""

    upload_id: str = Field(description="Give it as 'image' or 'video' of a search.")
    kind: Literal["image", "video"] = Field(description="What it was read as.")
    expires_seconds: float = Field(description="It is forgotten so long after its last use.")


class Health(BaseModel):
    """The service answers, and this is what it searches."""

    status: Literal["ok"] = Field(description="Always 'ok'; a service in trouble answers with a problem.")
    segments: int = Field(description="Segments in the index.")
