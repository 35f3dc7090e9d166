"""What goes in and out of the service about what people saved: searches under a name, collections of moments.

The names of the classes are those of the OpenAPI document, so they stay.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vidsift.service.schemas import MAX_K, Filter, Query, VideoStretch

__all__ = [
    "AddMomentsRequest",
    "Collection",
    "CollectionFacts",
    "CollectionMoment",
    "CollectionsResponse",
    "NameRequest",
    "NewMoment",
    "SaveSearchRequest",
    "SavedQuestion",
    "SavedSearch",
    "SavedSearchesResponse",
]

Name = Annotated[str, Field(min_length=1, max_length=100)]


class NameRequest(BaseModel):
    """How something shall be called."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="One printable line; no other of its kind may be called so.")


class SavedQuestion(BaseModel):
    """A question as a person set it; all but within_days and sort are fields of POST /v1/search."""

    model_config = ConfigDict(extra="forbid")

    query: Query = Field(description="The sentence, the sum, or the list of sentences in order.")
    verbatim: bool = Field(default=False, strict=True, description="Take the query exactly as it is written.")
    group_by: Literal["segment", "video"] = Field(
        default="segment", description="'video' shows each video once."
    )
    filter: Filter = Field(default_factory=Filter, description="Which videos may be found.")
    within_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        strict=True,
        description="Only files changed in so many days before it is asked: whoever asks makes the filter's "
        "modified_after of it.",
    )
    sort: Literal["match", "date", "name"] = Field(
        default="match", description="In which order the page shows the hits."
    )
    min_match: Literal["good match", "possible match"] | None = Field(
        default=None, description="Leave out hits of a weaker match."
    )
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
        description="Leave out hits of a lower confidence.",
    )


class SaveSearchRequest(NameRequest):
    """A question to save."""

    question: SavedQuestion = Field(description="What is asked.")


class SavedSearch(BaseModel):
    """A question under a name."""

    search_id: str = Field(description="Its identity.")
    name: str = Field(description="What a person called it.")
    question: SavedQuestion = Field(description="What is asked.")
    created: datetime = Field(description="When it was saved.")


class SavedSearchesResponse(BaseModel):
    """The saved searches of the index."""

    data: list[SavedSearch] = Field(description="All of them, newest first.")


class NewMoment(VideoStretch):
    """A moment to add to a collection."""

    note: str = Field(default="", max_length=500, description="What a person says of it, in one line.")


class AddMomentsRequest(BaseModel):
    """Moments to add to a collection."""

    model_config = ConfigDict(extra="forbid")

    moments: list[NewMoment] = Field(
        min_length=1,
        max_length=MAX_K,
        description="They go to its end in this order; those that it holds already are not added twice.",
    )


class CollectionMoment(BaseModel):
    """A moment in a collection."""

    moment_id: str = Field(description="Its identity in the collection.")
    video_id: str = Field(description="Identity of the video's content.")
    start: float = Field(description="Where it begins, in seconds.")
    end: float = Field(description="Where it ends, in seconds.")
    note: str = Field(description="What a person says of it; may be empty.")
    added: datetime = Field(description="When it was added.")
    in_library: bool = Field(
        description="Whether the library has the video now. What it had stays in collections, and can be "
        "played again when the video comes back."
    )
    path: str = Field(description="Where the video lies, or where it lay when the moment was added.")
    duration: float | None = Field(description="Length of the video in seconds; null where it is gone.")
    thumbnail_url: str | None = Field(description="A picture of the moment as a JPEG; null likewise.")
    media_url: str | None = Field(description="The video file itself; null likewise.")


class CollectionFacts(BaseModel):
    """A collection, without its moments."""

    collection_id: str = Field(description="Its identity.")
    name: str = Field(description="What a person called it.")
    created: datetime = Field(description="When it was made.")
    size: int = Field(description="How many moments it holds.")
    thumbnail_url: str | None = Field(
        description="A picture of its first moment that the library has; null without one."
    )


class Collection(CollectionFacts):
    """A collection with its moments."""

    moments: list[CollectionMoment] = Field(description="In the order in which they were added.")


class CollectionsResponse(BaseModel):
    """The collections of the index."""

    data: list[CollectionFacts] = Field(description="All of them, newest first.")
