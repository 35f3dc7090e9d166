"""The library for assistants: search, explain, cut and list over the Model Context Protocol (stdio).

The same answers and limits as over HTTP. Whoever starts it is whoever asks, so there is no token; clips go to
one folder.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from vidsift import __version__
from vidsift.errors import VidsiftError
from vidsift.files.disk_errors import plain_words
from vidsift.index.unchanged import unchanged_file
from vidsift.search.phrasing import is_rephrased
from vidsift.search.sums import normalise_query
from vidsift.service.limits import ServiceLimits
from vidsift.service.problems import ProblemError
from vidsift.service.schemas import MAX_K, Identity, Query, Seconds, Tag
from vidsift.types import Filter, Span
from vidsift.video.clip_files import write_clip
from vidsift.workers.process import ProcessLimits
from vidsift.workers.sandbox import Sandbox

if TYPE_CHECKING:
    from vidsift.search.explain import Explanation
    from vidsift.service.live_index import LiveIndex, Snapshot
    from vidsift.types import Hit

__all__ = ["LibraryTools", "library_server"]

_INSTRUCTIONS = """\
Finds moments in a person's own videos by what they show. Ask search with a plain sentence of what would be
seen, as "a dog catches a frisbee"; it answers with moments in seconds. "match" says how far a hit can be
trusted; where "anything_fits" is false the hits are only what comes nearest. explain says
which words a hit fits by. cut saves seconds of a video as a file. library lists the videos."""


class MomentAnswer(BaseModel):
    """A moment that was searched for."""

    rank: int = Field(description="1 for the best.")
    score: float = Field(description="Similarity by the model; on its own scale.")
    match: str | None = Field(description="How far the hit can be trusted; null where that is not known.")
    path: str = Field(description="The video file.")
    video_id: str = Field(description="Give it to cut.")
    segment_id: str = Field(description="Give it to explain.")
    start_seconds: float = Field(description="Where the moment begins in the video.")
    end_seconds: float = Field(description="Where it ends.")


class SearchAnswer(BaseModel):
    """What a search gives."""

    anything_fits: bool | None = Field(description="Whether the library holds it; null where unknown.")
    searched_for: list[str] = Field(description="What the question was taken for.")
    hits: list[MomentAnswer] = Field(description="Best first.")


class WordShare(BaseModel):
    """What a word gave to a score."""

    word: str
    sentence: str = Field(description="Whose word it is.")
    met: str = Field(description="The part of the score.")
    gave: float = Field(description="Its share; all shares sum to the score.")
    weight: float
    best_at_seconds: float | None = Field(description="The frame that it fits best.")


class WithoutWord(BaseModel):
    """How the score falls when a word is left out."""

    word: str
    score_falls_by: float | None = Field(description="Null for the only word.")


class ExplainAnswer(BaseModel):
    """What each word gave to a score, and how far it falls without each."""

    score: float
    path: str
    start_seconds: float | None
    end_seconds: float | None
    words: list[WordShare] = Field(description="None where the model cannot say.")
    without_word: list[WithoutWord]
    account_missing: str = Field(description="Why there are no words; else empty.")


class CutAnswer(BaseModel):
    """A clip that was saved."""

    path: str
    size_bytes: int
    start_seconds: float = Field(description="Which seconds of the video it holds.")
    end_seconds: float
    exact: bool


class ListedVideo(BaseModel):
    """A video of the library."""

    path: str
    video_id: str
    duration_seconds: float
    tags: list[str]
    damage: str | None = Field(description="Why the file gave less than it should have.")


class LibraryAnswer(BaseModel):
    """Some videos of the library."""

    total: int
    videos: list[ListedVideo]


def library_server(tools: LibraryTools) -> MCPServer:
    """Offer the tools of a library by the protocol; ``run()`` of what is returned speaks it on stdio."""
    server = MCPServer("vidsift", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING")
    for tool in (tools.search, tools.explain, tools.cut, tools.library):
        server.add_tool(tool)
    return server


class LibraryTools:
    """The tools, each a method whose signature is its schema.

    Args:
        folder: of the index.
        clips: the folder that clips are saved in, and no other.
        device: where to encode and score.
        limits: of clips.
    """

    def __init__(
        self, folder: Path, clips: Path, *, device: str = "auto", limits: ServiceLimits | None = None
    ) -> None:
        """See the class; the index is read when something is first asked."""
        self._folder, self._device = folder, device
        self._live_index: LiveIndex | None = None
        self._clips = clips
        self._limits = ServiceLimits() if limits is None else limits
        self._sandbox = Sandbox(ProcessLimits(self._limits.cut_seconds, self._limits.decode_bytes))
        # The server calls tools side by side; the model answers one question after the other.
        self._turn = threading.Lock()

    def close(self) -> None:
        """End the process that cuts."""
        self._sandbox.close()

    def search(  # noqa: PLR0917 - what an assistant may say
        self,
        query: Query,
        k: Annotated[int, Field(ge=1, le=MAX_K, description="How many moments at most.")] = 10,
        under: Annotated[str | None, Field(description="Only videos in this folder.")] = None,
        name: Annotated[
            str | None, Field(description="Only files whose name holds this text, in small letters or large.")
        ] = None,
        tags: Annotated[list[Tag] | None, Field(description="Only videos with all of these tags.")] = None,
        modified_after: datetime | None = None,
        modified_before: datetime | None = None,
        group_by: Literal["segment", "video"] = "segment",
    ) -> SearchAnswer:
        """Find moments of videos by what they show.

        query: what would be seen, as a sentence; a list of sentences has to come in that order in one video.
        group_by: "video" gives each video once.
        """
        with self._current() as snapshot:
            index = snapshot.opened()
            written = [query] if isinstance(query, str) else query
            sentences = [normalise_query(sentence) for sentence in written]
            filter = Filter(
                under=under,
                name=name,
                tags=tags or (),
                modified_after=modified_after,
                modified_before=modified_before,
                group_by=group_by,
            )
            hits = index.search(sentences, k, filter=filter)
            return SearchAnswer(
                anything_fits=index.found(sentences, hits, filter=filter),
                searched_for=sentences if is_rephrased(written, sentences) else written,
                hits=[_moment(hit) for hit in hits],
            )

    def explain(self, query: Query, segment_id: Identity) -> ExplainAnswer:
        """Say which words of a question a segment fits by: what each gave, and where it fits best.

        segment_id: of a hit of search. Sentences in order are explained one by one.
        """
        with self._current() as snapshot:
            if not isinstance(query, str):
                raise ToolError("sentences in order are explained one by one; ask for each by itself")
            snapshot.video_of_segment(segment_id)
            return _account(snapshot.opened().explain(normalise_query(query), segment_id, leave_out=True))

    def cut(
        self,
        video_id: Identity,
        start_seconds: Seconds,
        end_seconds: Seconds,
        exact: Annotated[bool, Field(description="False copies, which is faster and may hold more.")] = True,
    ) -> CutAnswer:
        """Save seconds of a video as a new MP4 file in the folder for clips, and say where."""
        with self._current() as snapshot:
            length = end_seconds - start_seconds
            if not 0 < length <= self._limits.clip_seconds:
                raise ToolError(
                    f"the clip has {length:g} s; end_seconds has to be after start_seconds, and at most "
                    f"{self._limits.clip_seconds:.0f} s after"
                )
            source = unchanged_file(snapshot.video(video_id).files)
        # Not in turn: cutting takes seconds, in which others may ask.
        with _plain_errors():
            saved = write_clip(
                self._sandbox,
                source,
                Span(start_seconds, end_seconds),
                self._clips,
                exact=exact,
                most_bytes=self._limits.clip_bytes,
            )
        return CutAnswer(
            path=str(saved.path),
            size_bytes=saved.clip.size_bytes,
            start_seconds=saved.clip.span.start_seconds,
            end_seconds=saved.clip.span.end_seconds,
            exact=not saved.clip.copied,
        )

    def library(
        self,
        under: Annotated[str | None, Field(description="Only videos in this folder.")] = None,
        skip: Annotated[int, Field(ge=0, description="Leave out so many of the first.")] = 0,
        k: Annotated[int, Field(ge=1, le=MAX_K, description="How many videos at most.")] = 50,
    ) -> LibraryAnswer:
        """List the videos of the library in the order of their paths, with length and tags."""
        from vidsift.files.paths import absolute
        from vidsift.files.paths import under as lies_under

        with self._current() as snapshot:
            place = None if under is None else absolute(under)
            videos = [
                video
                for video in snapshot.library.videos.values()
                if place is None or any(lies_under(file.path, place) for file in video.files)
            ]
            shown = [
                ListedVideo(
                    path=video.path,
                    video_id=video.video_id,
                    duration_seconds=video.duration_seconds,
                    tags=sorted(video.tags),
                    damage=video.damage,
                )
                for video in videos[skip : skip + k]
            ]
            return LibraryAnswer(total=len(videos), videos=shown)

    @contextmanager
    def _current(self) -> Iterator[Snapshot]:
        """The newest version of the index, for the length of an answer."""
        # Here: torch takes seconds to import, and an assistant waits for its server to begin.
        from vidsift.service.live_index import LiveIndex

        with self._turn, _plain_errors():
            if self._live_index is None:
                self._live_index = LiveIndex(self._folder, device=self._device)
            self._live_index.catch_up()
            yield self._live_index.current


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Give the assistant the words of an error that it, or its person, can do something about."""
    try:
        yield
    except ProblemError as problem:
        raise ToolError(problem.detail) from problem
    except (VidsiftError, ValueError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise ToolError(f"{where}{plain_words(error)}") from error


def _moment(hit: Hit) -> MomentAnswer:
    return MomentAnswer(
        rank=hit.rank,
        score=hit.score,
        match=hit.match,
        path=hit.path,
        video_id=hit.video_id,
        segment_id=hit.segment_id,
        start_seconds=hit.moment.start_seconds,
        end_seconds=hit.moment.end_seconds,
    )


def _account(explanation: Explanation) -> ExplainAnswer:
    """An account in so few numbers that an assistant reads them: a row a word, not one a meeting."""
    words = [
        WordShare(
            word=word,
            sentence=term.sentence,
            met=term.name,
            gave=float(term.contributions[row].sum()),
            weight=float(term.text_weights[row]),
            best_at_seconds=_best_at(term.times_seconds, int(term.best_video_token[row])),
        )
        for term in explanation.terms
        for row, word in enumerate(term.words)
    ]
    falls = [] if explanation.leaving_out is None else explanation.leaving_out.words
    segment = explanation.segment
    return ExplainAnswer(
        score=explanation.score,
        path=explanation.path,
        start_seconds=None if segment is None else segment.start_seconds,
        end_seconds=None if segment is None else segment.end_seconds,
        words=words,
        without_word=[WithoutWord(word=fall.word, score_falls_by=fall.fall) for fall in falls],
        account_missing=explanation.account_missing,
    )


def _best_at(times_seconds: Any, token: int) -> float | None:
    return None if times_seconds is None or token < 0 else float(times_seconds[token])
