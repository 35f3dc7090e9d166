"""A thin client of the service, on the standard library alone.

Answers are the dictionaries that the OpenAPI document describes (``/docs`` of a running service shows it).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from vidsift.errors import ServiceError
from vidsift.files.whole import whole_file

__all__ = ["Client"]

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
        ``Client().search("a dog catches a frisbee", k=5)["data"]``
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

    def search(self, query: str | list[str] | None = None, **question: Any) -> dict[str, Any]:
        """Find moments; further fields of the question (k, group_by, filter, verbatim, ...) by name."""
        body = question if query is None else {"query": query, **question}
        return self._json("POST", "/v1/search", body)

    def hits(self, query: str | list[str] | None = None, **question: Any) -> Iterator[dict[str, Any]]:
        """Yield hits, best first, page after page."""
        page: str | None = None
        while True:
            answer = self.search(query, **question, **({} if page is None else {"page": page}))
            yield from answer["data"]
            page = answer["next_page"]
            if page is None:
                return

    def explain(
        self,
        query: str,
        segment_id: str,
        *,
        maps: bool = False,
        leave_out: bool = False,
        verbatim: bool = False,
    ) -> dict[str, Any]:
        """Account for the score of a sentence with a segment.

        Args:
            query: the sentence.
            segment_id: of a hit.
            maps: also say where in the picture.
            leave_out: also say how much the score falls without each word.
            verbatim: the sentence exactly as it is written.
        """
        body = {"query": query, "segment_id": segment_id, "maps": maps}
        # Not named unless asked for: services of earlier versions refuse fields that they do not know.
        if leave_out:
            body["leave_out"] = True
        if verbatim:
            body["verbatim"] = True
        return self._json("POST", "/v1/explain", body)

    def strip(self, query: str, video_id: str, *, verbatim: bool = False) -> dict[str, Any]:
        """Lay a sentence along a whole video."""
        exactly = {"verbatim": True} if verbatim else {}
        return self._json("POST", "/v1/strip", {"query": query, "video_id": video_id, **exactly})

    def upload(self, file: str | Path, content_type: str | None = None) -> dict[str, Any]:
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
                return _object(answer)

    def videos(self, *, under: str | None = None, limit: int = 100) -> Iterator[dict[str, Any]]:
        """Yield the videos of the library, in the order of their paths."""
        parameters: dict[str, Any] = {"limit": limit} | ({} if under is None else {"under": under})
        while True:
            answer = self._json("GET", f"/v1/videos?{urlencode(parameters)}")
            yield from answer["data"]
            if answer["next_page"] is None:
                return
            parameters["page"] = answer["next_page"]

    def video(self, video_id: str) -> dict[str, Any]:
        """Return the facts of one video."""
        return self._json("GET", f"/v1/videos/{quote(video_id, safe='')}")

    def set_tags(self, video_id: str, tags: list[str]) -> dict[str, Any]:
        """Give a video these tags in the place of those that it had."""
        return self._json("PUT", f"/v1/videos/{quote(video_id, safe='')}/tags", {"tags": tags})

    def captions(self, video_id: str, k: int = 10) -> list[dict[str, Any]]:
        """Return the captions of the library that fit a video best."""
        answer = self._json("GET", f"/v1/videos/{quote(video_id, safe='')}/captions?k={k}")
        return cast("list[dict[str, Any]]", answer["data"])

    def thumbnail(self, video_id: str, at_seconds: float = 0.0, width_px: int = 320) -> bytes:
        """Return the picture shown at a second as a JPEG."""
        parameters = urlencode({"at": f"{at_seconds:.3f}", "width": width_px})
        with self._open("GET", f"/v1/videos/{quote(video_id, safe='')}/thumbnail?{parameters}") as answer:
            return answer.read()

    def download(self, video_id: str, target: str | Path) -> Path:
        """Write a video's file."""
        return self._save("GET", f"/v1/videos/{quote(video_id, safe='')}/media", None, Path(target))

    def clip(self, video_id: str, start_seconds: float, end_seconds: float, target: str | Path) -> Path:
        """Write the seconds of a video from one to another as an MP4 file."""
        body = {"video_id": video_id, "start": start_seconds, "end": end_seconds}
        return self._save("POST", "/v1/clips", body, Path(target))

    def index(self) -> dict[str, Any]:
        """Say what is in the index."""
        return self._json("GET", "/v1/index")

    def start_job(self, action: str, folders: list[str] | None = None) -> dict[str, Any]:
        """Work on the index: "add", "update", "retry" or "remove" folders of the service's machine."""
        return self._json("POST", "/v1/index/jobs", {"action": action, "folders": folders or []})

    def jobs(self) -> list[dict[str, Any]]:
        """List the jobs, newest first."""
        return cast("list[dict[str, Any]]", self._json("GET", "/v1/index/jobs")["data"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as it stands."""
        return self._json("GET", f"/v1/index/jobs/{quote(job_id, safe='')}")

    def steer(self, job_id: str, action: str) -> dict[str, Any]:
        """Have a job "pause", "resume" or "cancel"."""
        return self._json("POST", f"/v1/index/jobs/{quote(job_id, safe='')}/{quote(action, safe='')}")

    def follow(self, job_id: str) -> Iterator[dict[str, Any]]:
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
                    yield json.loads(value)
                    if name == "done":
                        return
        raise ServiceError(0, "The answer broke off", "the service stopped; ask for the job when it is back")

    def health(self) -> dict[str, Any]:
        """Tell that the service answers."""
        return self._json("GET", "/healthz")

    def metrics(self) -> str:
        """Return the counters in Prometheus's text format."""
        with self._open("GET", "/metrics") as answer:
            return answer.read().decode()

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with self._open(method, path, data, {"content-type": "application/json"}) as answer:
            return _object(answer)

    def _save(self, method: str, path: str, body: Mapping[str, Any] | None, target: Path) -> Path:
        data = None if body is None else json.dumps(body).encode()
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


def _object(answer: HTTPResponse) -> dict[str, Any]:
    body: dict[str, Any] = json.load(answer)
    return body


def _service_error(error: HTTPError) -> ServiceError:
    try:
        body = json.load(error)
        return ServiceError(error.code, str(body["title"]), str(body["detail"]))
    except (ValueError, KeyError, TypeError):
        return ServiceError(
            error.code, f"Status {error.code}", "the answer is not one of vidsift's; check the url"
        )
