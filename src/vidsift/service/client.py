"""A thin client of the service, without the extra that the service needs.

Answers are the values of :mod:`~vidsift.service.schemas` and :mod:`~vidsift.service.schemas_library`,
which the OpenAPI document describes too (``/docs`` of a running service shows it).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from pydantic import BaseModel, TypeAdapter, ValidationError

from vidsift.errors import ServiceError
from vidsift.files.whole import whole_file
from vidsift.service.schemas import (
    Explanation,
    Health,
    SearchHit,
    SearchResponse,
    StripResponse,
    UploadResponse,
)
from vidsift.service.schemas_library import (
    Action,
    CaptionRank,
    CaptionsResponse,
    FoldersResponse,
    IndexResponse,
    Job,
    JobsResponse,
    SuggestionsResponse,
    VideoDetails,
    VideoFacts,
    VideosResponse,
)
from vidsift.service.schemas_saved import (
    Collection,
    CollectionFacts,
    CollectionMoment,
    CollectionsResponse,
    NewMoment,
    SavedQuestion,
    SavedSearch,
    SavedSearchesResponse,
)

__all__ = ["Client"]

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_BODY = TypeAdapter(Mapping[str, Any])

_KINDS = {
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_LOCAL = ("localhost", "127.0.0.1", "::1")
_CHUNK_BYTES = 1 << 20


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: the service gives none, and urllib would send the token along."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        """Follow none."""


class Client:
    """Asks a running service.

    Args:
        url: where it listens, as ``vidsift serve`` prints it; a ``?token=`` in it is taken.
        token: where one is needed; when None that of the url, for this machine also ``VIDSIFT_TOKEN``.
        timeout_seconds: to wait for an answer to go on.

    Example:
        ``Client().search("a dog catches a frisbee", k=5).data[0].path``
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8765", *, token: str | None = None, timeout_seconds: float = 60.0
    ) -> None:
        """See the class; nothing is asked yet."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"url is {url!r}, expected one like http://127.0.0.1:8765")
        in_url = parse_qs(parts.query).get("token", [])
        local = parts.hostname in _LOCAL
        self._base = f"{parts.scheme}://{parts.netloc}"
        # VIDSIFT_TOKEN is that of this machine's service, so it is sent to no other machine.
        default = os.environ.get("VIDSIFT_TOKEN") if local else None
        self._token = token or (in_url[-1] if in_url else default)
        self._timeout = timeout_seconds
        # A proxy of the environment (HTTP_PROXY) does not reach this machine's own address.
        no_proxy = [ProxyHandler({})] if local else []
        self._opener: OpenerDirector = build_opener(_NoRedirects, *no_proxy)

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the connections go."""
        self._opener.close()

    def search(self, query: str | list[str] | None = None, **question: Any) -> SearchResponse:
        """Find moments; further fields of the question (k, group_by, filter, verbatim, ...) by name."""
        body = question if query is None else {"query": query, **question}
        return self._ask(SearchResponse, "POST", "/v1/search", body)

    def hits(self, query: str | list[str] | None = None, **question: Any) -> Iterator[SearchHit]:
        """Yield hits, best first, page after page."""
        page: str | None = None
        while True:
            answer = self.search(query, **question, **({} if page is None else {"page": page}))
            yield from answer.data
            page = answer.next_page
            if page is None:
                return

    def explain(
        self,
        query: str,
        segment_id: str,
        *,
        maps: bool = False,
        leave_out: bool | Literal["auto"] = False,
        verbatim: bool = False,
    ) -> Explanation:
        """Account for the score of a sentence with a segment.

        Args:
            query: the sentence.
            segment_id: of a hit.
            maps: also say where in the picture.
            leave_out: also say how much the score falls without each word; "auto" only where words do not
                carry the score.
            verbatim: the sentence exactly as it is written.
        """
        body: dict[str, Any] = {"query": query, "segment_id": segment_id, "maps": maps}
        # Not named unless asked for: services of earlier versions refuse fields that they do not know.
        if leave_out:
            body["leave_out"] = leave_out
        if verbatim:
            body["verbatim"] = True
        return self._ask(Explanation, "POST", "/v1/explain", body)

    def strip(self, query: str | list[str], video_id: str, *, verbatim: bool = False) -> StripResponse:
        """Lay a sentence along a whole video."""
        exactly = {"verbatim": True} if verbatim else {}
        return self._ask(
            StripResponse, "POST", "/v1/strip", {"query": query, "video_id": video_id, **exactly}
        )

    def upload(self, file: str | Path, content_type: str | None = None) -> UploadResponse:
        """Upload a picture or a video to ask with; its ``upload_id`` goes into a search.

        Args:
            file: to send.
            content_type: ``image/...`` or ``video/...``; by the file's name when None.
        """
        path = Path(file)
        kind = content_type or _KINDS.get(path.suffix.lower(), "video/mp4")
        length = str(path.stat().st_size)
        with path.open("rb") as body:
            headers = {"content-type": kind, "content-length": length}
            with self._open("POST", "/v1/uploads", body, headers) as answer:
                return _value(UploadResponse, answer)

    def videos(
        self,
        *,
        under: str | None = None,
        name: str | None = None,
        sort: Literal["path", "name", "date"] = "path",
        limit: int = 100,
    ) -> Iterator[VideoFacts]:
        """Yield the videos of the library.

        Args:
            under: only those in this folder.
            name: only files whose name holds this text, in small letters or large.
            sort: in which order; "date" is those that changed last first.
            limit: how many are asked for at once.
        """
        narrowed = {"under": under, "name": name}
        parameters: dict[str, Any] = {"limit": limit, "sort": sort}
        parameters |= {field: value for field, value in narrowed.items() if value is not None}
        while True:
            answer = self._ask(VideosResponse, "GET", f"/v1/videos?{urlencode(parameters)}")
            yield from answer.data
            if answer.next_page is None:
                return
            parameters["page"] = answer.next_page

    def video(self, video_id: str) -> VideoDetails:
        """Return the facts of one video."""
        return self._ask(VideoDetails, "GET", f"/v1/videos/{quote(video_id, safe='')}")

    def set_tags(self, video_id: str, tags: list[str]) -> VideoDetails:
        """Give a video these tags in the place of those that it had."""
        path = f"/v1/videos/{quote(video_id, safe='')}/tags"
        return self._ask(VideoDetails, "PUT", path, {"tags": tags})

    def captions(self, video_id: str, k: int = 10) -> list[CaptionRank]:
        """Return the captions of the library that fit a video best."""
        path = f"/v1/videos/{quote(video_id, safe='')}/captions?k={k}"
        return self._ask(CaptionsResponse, "GET", path).data

    def thumbnail(self, video_id: str, at_seconds: float = 0.0, width_px: int = 320) -> bytes:
        """Return the picture shown at a second as a JPEG."""
        parameters = urlencode({"at": f"{at_seconds:.3f}", "width": width_px})
        with self._open("GET", f"/v1/videos/{quote(video_id, safe='')}/thumbnail?{parameters}") as answer:
            return answer.read()

    def download(self, video_id: str, target: str | Path) -> Path:
        """Write a video's file."""
        return self._save("GET", f"/v1/videos/{quote(video_id, safe='')}/media", None, Path(target))

    def clip(
        self,
        video_id: str,
        start_seconds: float,
        end_seconds: float,
        target: str | Path,
        *,
        exact: bool = False,
    ) -> Path:
        """Write the seconds of a video from one to another as an MP4 file, ``exact`` ones encoded anew."""
        body = {"video_id": video_id, "start": start_seconds, "end": end_seconds, "exact": exact}
        return self._save("POST", "/v1/clips", body, Path(target))

    def export(
        self,
        kind: Literal["otio", "edl", "fcpxml", "csv", "m3u8"],
        moments: Iterable[SearchHit | CollectionMoment],
        target: str | Path,
        *,
        title: str = "",
    ) -> Path:
        """Write moments to a file for editors, tables or players.

        Args:
            kind: of the file.
            moments: hits, or those of a collection that are in the library.
            target: the file.
            title: of a timeline.
        """
        listed = [{"video_id": part.video_id, "start": part.start, "end": part.end} for part in moments]
        body = {"kind": kind, "moments": listed, "title": title}
        return self._save("POST", "/v1/exports", body, Path(target))

    def saved_searches(self) -> list[SavedSearch]:
        """List the saved searches, newest first."""
        return self._ask(SavedSearchesResponse, "GET", "/v1/saved-searches").data

    def save_search(self, name: str, question: SavedQuestion) -> SavedSearch:
        """Keep a question in the index under a name."""
        return self._ask(SavedSearch, "POST", "/v1/saved-searches", {"name": name, "question": question})

    def rename_saved_search(self, search_id: str, name: str) -> SavedSearch:
        """Give a saved search another name."""
        path = f"/v1/saved-searches/{quote(search_id, safe='')}"
        return self._ask(SavedSearch, "PATCH", path, {"name": name})

    def delete_saved_search(self, search_id: str) -> None:
        """Delete a saved search."""
        self._delete(f"/v1/saved-searches/{quote(search_id, safe='')}")

    def collections(self) -> list[CollectionFacts]:
        """List the collections without their moments, newest first."""
        return self._ask(CollectionsResponse, "GET", "/v1/collections").data

    def create_collection(self, name: str) -> Collection:
        """Make an empty collection."""
        return self._ask(Collection, "POST", "/v1/collections", {"name": name})

    def collection(self, collection_id: str) -> Collection:
        """Return a collection with its moments."""
        return self._ask(Collection, "GET", f"/v1/collections/{quote(collection_id, safe='')}")

    def rename_collection(self, collection_id: str, name: str) -> Collection:
        """Give a collection another name."""
        path = f"/v1/collections/{quote(collection_id, safe='')}"
        return self._ask(Collection, "PATCH", path, {"name": name})

    def delete_collection(self, collection_id: str) -> None:
        """Delete a collection; the videos stay."""
        self._delete(f"/v1/collections/{quote(collection_id, safe='')}")

    def add_moments(self, collection_id: str, moments: list[NewMoment]) -> Collection:
        """Add moments to a collection, 100 at once at most; those that it holds are not added twice."""
        path = f"/v1/collections/{quote(collection_id, safe='')}/moments"
        return self._ask(Collection, "POST", path, {"moments": moments})

    def remove_moment(self, collection_id: str, moment_id: str) -> None:
        """Take a moment out of a collection."""
        self._delete(f"/v1/collections/{quote(collection_id, safe='')}/moments/{quote(moment_id, safe='')}")

    def index(self) -> IndexResponse:
        """Say what is in the index."""
        return self._ask(IndexResponse, "GET", "/v1/index")

    def folders(self, path: str | None = None) -> FoldersResponse:
        """List the folders in a folder of the service's machine; without a path where people begin."""
        parameters = "" if path is None else f"?{urlencode({'path': path})}"
        return self._ask(FoldersResponse, "GET", f"/v1/folders{parameters}")

    def suggestions(self) -> list[str]:
        """Questions that the library answers well."""
        return self._ask(SuggestionsResponse, "GET", "/v1/suggestions").data

    def start_job(self, action: Action, folders: list[str] | None = None) -> Job:
        """Work on the index: "add", "update", "retry" or "remove" folders of the service's machine."""
        return self._ask(Job, "POST", "/v1/index/jobs", {"action": action, "folders": folders or []})

    def jobs(self) -> list[Job]:
        """List the jobs, newest first."""
        return self._ask(JobsResponse, "GET", "/v1/index/jobs").data

    def job(self, job_id: str) -> Job:
        """Return a job as it stands."""
        return self._ask(Job, "GET", f"/v1/index/jobs/{quote(job_id, safe='')}")

    def steer(self, job_id: str, action: Literal["pause", "resume", "cancel"]) -> Job:
        """Have a job "pause", "resume" or "cancel"."""
        return self._ask(Job, "POST", f"/v1/index/jobs/{quote(job_id, safe='')}/{quote(action, safe='')}")

    def follow(self, job_id: str) -> Iterator[Job]:
        """Yield a job whenever it changes, until it ends.

        Raises:
            ServiceError: the service stopped before the job did.
        """
        with self._open("GET", f"/v1/index/jobs/{quote(job_id, safe='')}/events") as answer:
            name = ""
            for line in answer:
                key, _, value = line.decode().rstrip("\r\n").partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    yield _parsed(Job, value.encode())
                    if name == "done":
                        return
        raise ServiceError(0, "The answer broke off", "the service stopped; ask for the job when it is back")

    def health(self) -> Health:
        """Tell that the service answers."""
        return self._ask(Health, "GET", "/healthz")

    def metrics(self) -> str:
        """Return the counters in Prometheus's text format."""
        with self._open("GET", "/metrics") as answer:
            return answer.read().decode()

    def _ask(
        self, kind: type[AnswerT], method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AnswerT:
        # What was made of schemas and dates becomes JSON too.
        data = None if body is None else _BODY.dump_json(body)
        with self._open(method, path, data, {"content-type": "application/json"}) as answer:
            return _value(kind, answer)

    def _delete(self, path: str) -> None:
        with self._open("DELETE", path):
            pass

    def _save(self, method: str, path: str, body: Mapping[str, Any] | None, target: Path) -> Path:
        data = None if body is None else _BODY.dump_json(body)
        temporary = target.with_name(target.name + ".part")
        with (
            whole_file(target, temporary=temporary),
            self._open(method, path, data, {"content-type": "application/json"}) as answer,
            temporary.open("wb") as file,
        ):
            while chunk := answer.read(_CHUNK_BYTES):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise ValueError(f"{temporary} cannot be written ({error.strerror})") from error
            length = answer.headers.get("content-length")
            if length is not None and file.tell() != int(length):
                raise ServiceError(
                    0, "The answer broke off", f"{file.tell()} of {length} bytes came; ask again"
                )
        return target

    @contextmanager
    def _open(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[HTTPResponse]:
        request = Request(self._base + path, body, dict(headers or {}), method=method)  # noqa: S310 - http, see above
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                yield answer
        except HTTPError as error:
            with error:
                raise _service_error(error) from error
        except (OSError, HTTPException) as error:
            raise ServiceError(
                0, "No answer", f"{self._base} did not answer ({error}); is `vidsift serve` running there?"
            ) from error


def _value(kind: type[AnswerT], answer: HTTPResponse) -> AnswerT:
    return _parsed(kind, answer.read())


def _parsed(kind: type[AnswerT], text: bytes) -> AnswerT:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        [(place, what), *_] = [(".".join(map(str, wrong["loc"])), wrong["msg"]) for wrong in error.errors()]
        raise ServiceError(
            0,
            "An answer of another version",
            f"it is no {kind.__name__} ({place or 'as a whole'}: {what}); install the vidsift of the service",
        ) from error


def _service_error(error: HTTPError) -> ServiceError:
    try:
        body = json.load(error)
        return ServiceError(error.code, str(body["title"]), str(body["detail"]))
    except (ValueError, KeyError, TypeError):
        return ServiceError(
            error.code, f"Status {error.code}", "the answer is not one of vidsift's; check the url"
        )
