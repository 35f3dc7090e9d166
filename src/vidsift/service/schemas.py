"""What goes in and out of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vidsift.types import Hit

__all__ = ["Health", "Problem", "SearchHit", "SearchRequest", "SearchResponse"]


class SearchRequest(BaseModel):
    """A question to the index."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(
        min_length=1, max_length=2000, description="What the video should show, as a sentence."
    )
    k: int = Field(default=10, ge=1, le=100, description="How many hits to return at most.")
    group_by: Literal["segment", "video"] = Field(
        default="segment", description="'video' keeps only the best segment of each video."
    )


class SearchHit(BaseModel):
    """One answer: a video and the moment in it."""

    rank: int = Field(description="1 for the best.")
    score: float = Field(description="Similarity by the trained interaction.")
    path: str = Field(description="The video file.")
    video_id: str = Field(description="Identity of the file's content.")
    start: float = Field(description="Start of the best moment, in seconds.")
    end: float = Field(description="End of the best moment, in seconds.")
    segment_start: float = Field(description="Start of the segment that was scored, in seconds.")
    segment_end: float = Field(description="End of the segment that was scored, in seconds.")
    candidates: int | None = Field(
        default=None,
        description="Where the model is a black box: how many segments, found by its first stage, this is "
        "the best of. Null where all were scored.",
    )

    @classmethod
    def of(cls, hit: Hit) -> SearchHit:
        """Write a hit as it goes over the wire."""
        return cls(
            rank=hit.rank,
            score=hit.score,
            path=hit.path,
            video_id=hit.video_id,
            start=hit.moment.start_seconds,
            end=hit.moment.end_seconds,
            segment_start=hit.segment.start_seconds,
            segment_end=hit.segment.end_seconds,
            candidates=hit.candidates,
        )


class SearchResponse(BaseModel):
    """The hits, best first."""

    data: list[SearchHit] = Field(description="At most k hits; fewer where the index holds fewer.")


class Health(BaseModel):
    """The service answers, and this is what it searches."""

    status: Literal["ok"] = Field(description="Always 'ok'; a service in trouble answers with a problem.")
    segments: int = Field(description="Segments in the index.")


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    title: str = Field(description="The kind of problem.")
    status: int = Field(description="The HTTP status of the answer.")
    detail: str = Field(description="What went wrong here, and the remedy.")
