"""What goes in and out of the service about the library: videos, clips, the index, and its jobs.

The names of the classes are those of the OpenAPI document, so they stay.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vidsift.service.schemas import MAX_TAGS, Tag, VideoStretch

__all__ = [
    "MAX_LISTED",
    "Action",
    "CaptionRank",
    "CaptionsResponse",
    "ClipRequest",
    "FileProblem",
    "Folder",
    "IndexResponse",
    "Job",
    "JobProgress",
    "JobReport",
    "JobRequest",
    "JobsResponse",
    "SuggestionsResponse",
    "TagsRequest",
    "VideoDetails",
    "VideoFacts",
    "VideosResponse",
]

MAX_LISTED = 1000

Action: TypeAlias = Literal["add", "update", "remove", "retry"]
State = Literal["queued", "running", "paused", "done", "failed", "cancelled"]


class VideoFacts(BaseModel):
    """One video of the library."""

    video_id: str = Field(description="Identity of the file's content.")
    path: str = Field(description="The first place where it lies.")
    paths: list[str] = Field(description="Every place where it lies.")
    duration: float = Field(description="Length in seconds.")
    width: int = Field(description="Width as shown, in pixels.")
    height: int = Field(description="Height as shown, in pixels.")
    codec: str = Field(description="How the pictures are coded, as FFmpeg calls it.")
    fps: float | None = Field(description="Pictures per second on average; null where the file says none.")
    segments: int = Field(description="How many segments are searched.")
    modified: datetime = Field(description="When the file was last changed.")
    tags: list[str] = Field(description="Tags that people gave it, ascending.")
    damage: str | None = Field(
        description="Why the file gave less than it should have; null for a whole one."
    )
    thumbnail_url: str = Field(description="A picture of it as a JPEG.")
    media_url: str = Field(description="The video file itself, with range requests.")


class VideoDetails(VideoFacts):
    """One video of the library with its captions."""

    captions: list[str] = Field(description="Captions that lay beside the file when it was indexed.")


class VideosResponse(BaseModel):
    """Some videos of the library, in the order that was asked for."""

    data: list[VideoFacts] = Field(description="The videos.")
    total: int = Field(description="How many there are on all pages.")
    next_page: str | None = Field(description="Give it as 'page' for those that follow; null at the end.")


class TagsRequest(BaseModel):
    """The tags that a video shall have."""

    model_config = ConfigDict(extra="forbid")

    tags: list[Tag] = Field(max_length=MAX_TAGS, description="All its tags; an empty list takes them away.")


class CaptionRank(BaseModel):
    """A caption of the library and how well it fits."""

    rank: int = Field(description="1 for the best.")
    caption: str = Field(description="The caption.")
    score: float = Field(description="Similarity by the trained interaction.")


class CaptionsResponse(BaseModel):
    """Captions of the library that fit a video, best first."""

    data: list[CaptionRank] = Field(description="The captions; none where the library has none.")


class ClipRequest(VideoStretch):
    """Which seconds to cut out."""

    exact: bool = Field(
        default=False,
        description="Encode anew, so that the file holds these seconds alone; else it is copied where that "
        "is possible, which is faster and may hold more.",
    )


class FileProblem(BaseModel):
    """A file and what is wrong with it."""

    path: str = Field(description="The file.")
    reason: str = Field(description="What is wrong with it.")


class Folder(BaseModel):
    """A folder with indexed files."""

    path: str = Field(description="The folder; its folders are counted with it.")
    videos: int = Field(description="Files that can be read.")
    failed: int = Field(description="Files that cannot be read.")


class SuggestionsResponse(BaseModel):
    """Questions to begin with."""

    data: list[str] = Field(
        description="Questions that the library answers well; none where hits have no confidence."
    )


class IndexResponse(BaseModel):
    """What is in the index."""

    model: str | None = Field(description="The model that it was made with; null before anything is indexed.")
    method: str | None = Field(description="The model's method; null likewise.")
    model_knows: str | None = Field(
        description="What the model's card says that it knows; null where it says nothing."
    )
    videos: int = Field(description="Different videos.")
    duration: float = Field(description="Length of all videos together, in seconds.")
    segments: int = Field(description="Segments that are searched.")
    files: int = Field(description="Files that can be read; copies of a video are counted each.")
    failed: int = Field(description="Files that cannot be read.")
    bytes_on_disk: int = Field(description="Size of the index.")
    folders: list[Folder] = Field(description="Outermost folders in which indexed files lie.")
    failures: list[FileProblem] = Field(description="Files that cannot be read, at most 1,000.")
    partial: list[FileProblem] = Field(
        description="Files that gave less than they should have, at most 1,000."
    )
    calibrated: bool = Field(description="Whether hits have a confidence.")
    tags: list[str] = Field(description="All tags that videos of the library have, ascending.")
    version: str = Field(description="Version of vidsift.")
    folder_chooser: bool = Field(description="Whether GET /v1/folders lists the folders of the machine.")


class FoldersResponse(BaseModel):
    """The folders in a folder of the machine."""

    path: str = Field(description="Which folder.")
    parent: str | None = Field(description="The folder above it; null at the top.")
    folders: list[str] = Field(description="Full paths of the folders in it by name, at most 1,000.")
    more: int = Field(description="How many are left out beyond those.")
    places: list[str] = Field(description="Where people begin to look: home, folders of films, disks.")


class JobRequest(BaseModel):
    """Work on the index."""

    model_config = ConfigDict(extra="forbid")

    action: Action = Field(
        description="'add' indexes folders; 'update' looks at folders again, at all known ones if none is "
        "named; 'retry' does so and reads again what failed; 'remove' takes folders out of the index, "
        "until they are added again by name, and leaves their files alone."
    )
    folders: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        default_factory=list,
        max_length=100,
        description="Full paths of folders or files on the service's machine.",
    )

    @model_validator(mode="after")
    def _name_folders(self) -> JobRequest:
        if not self.folders and self.action in ("add", "remove"):
            raise ValueError(f"{self.action!r} needs at least one folder in folders")
        return self


class JobProgress(BaseModel):
    """How far a job is."""

    videos_done: int = Field(default=0, description="Videos that are through.")
    videos_total: int = Field(default=0, description="Videos to look at; 0 until that is known.")
    frames: int = Field(default=0, description="Frames that were encoded.")
    failed: int = Field(default=0, description="Files that could not be read.")
    seconds: float = Field(default=0.0, description="Since it began, pauses included.")
    step: Literal["starting", "looking", "reading"] = Field(
        default="starting",
        description="What it is at: starting the model, looking for videos, or reading them.",
    )
    reading_seconds: float = Field(
        default=0.0,
        description="Since it began to read, pauses left out: what the time left can be judged by.",
    )


class JobReport(BaseModel):
    """What a job did."""

    added: int = Field(default=0, description="New videos.")
    unchanged: int = Field(default=0, description="Files that are as they were.")
    updated: int = Field(default=0, description="Files whose content had changed.")
    moved: int = Field(default=0, description="Files that were known at another place.")
    removed: int = Field(default=0, description="Files that are not in the index any more.")
    failed: list[FileProblem] = Field(
        default_factory=list,
        description="Files that cannot be read, at most 1,000; only where the job is asked for by its id.",
    )
    partial: list[FileProblem] = Field(
        default_factory=list,
        description="Files that gave less than they should have, at most 1,000; likewise.",
    )
    missing: list[str] = Field(
        default_factory=list,
        description="Folders and files that are not there now, such as those of a drive that is not "
        "connected, at most 1,000; what the index has of them stays in it. Likewise.",
    )
    passed_over: dict[str, int] = Field(
        default_factory=dict,
        description="How many files were left out since they hold no video, by what they are, such as "
        "'single picture'.",
    )
    failed_count: int = Field(default=0, description="How many files cannot be read.")
    partial_count: int = Field(default=0, description="How many files gave less than they should have.")
    missing_count: int = Field(default=0, description="How many folders and files are not there now.")
    stopped: bool = Field(default=False, description="It was stopped before it was through.")
    frames: int = Field(default=0, description="Frames that were encoded.")
    seconds: float = Field(default=0.0, description="How long it took.")


class Job(BaseModel):
    """Work on the index, and how far it is."""

    job_id: str = Field(description="Identity of the job.")
    action: Action = Field(description="What it does.")
    folders: list[str] = Field(description="With which folders.")
    state: State = Field(description="Jobs run one after the other; the last three states are final.")
    progress: JobProgress = Field(description="How far it is.")
    report: JobReport | None = Field(description="What it did; null until it ends.")
    error: str | None = Field(description="Why it failed, and the remedy; null unless it did.")


class JobsResponse(BaseModel):
    """The jobs, newest first."""

    data: list[Job] = Field(description="Jobs since the service began, the last 100 that ended.")
