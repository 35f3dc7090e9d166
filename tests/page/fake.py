"""A service that answers with made-up hits: every state of the page, always the same, at once.

What is asked for decides what comes back: "nothing" is not found, "mixed" has good, possible and unlikely
matches, "doubtful" no good one, "none" has no hits, "trouble" is a problem, "slow" takes its time, "stuck"
waits until a test lets it go, "hostile" has names that try to become markup, "blackbox" has no account,
"patches" has terms with and without times, "places" and "objects" have maps of the picture ("lost" ones do
not after all), "late" has its best moment in the second segment of a long video.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from tests.page.accounts import FRAMES, explanation, shares_of
from tests.page.saved_routes import SavedFolder, saved_app
from tests.video.making import picture

import vidsift.service
from vidsift.search.match_quality import is_at_least
from vidsift.service import schemas, schemas_library
from vidsift.service.answering import rephrased, searched_query
from vidsift.service.export_routes import ExportRequest
from vidsift.service.security import HEADERS
from vidsift.types import Match

PAGE = Path(vidsift.service.__file__).parent / "page"
HOSTILE = '<img src=x onerror="window.hacked=1">"\'&\u202egpj.mp4'
RATE = 2
"""Pictures a second of the videos."""
SIZE_PX = (160, 96)


@dataclass(frozen=True)
class Video:
    """One file of the made-up library."""

    video_id: str
    path: str
    file: Path
    duration: float
    tags: list[str] = field(default_factory=list)
    start_seconds: float = 0.0

    @property
    def segments(self) -> list[tuple[str, float, float]]:
        """Identity, start and end of each segment, at most 30 s each."""
        count = max(1, round(self.duration / 30 + 0.49))
        edges = [self.duration * part / count for part in range(count + 1)]
        return [(f"{self.video_id}s{part}", edges[part], edges[part + 1]) for part in range(count)]


@dataclass
class Library:
    """What the service pretends to hold, and what was asked of it."""

    videos: list[Video]
    failures: list[dict[str, str]] = field(default_factory=list)
    partial: list[dict[str, str]] = field(default_factory=list)
    copies: int = 0
    suggestions: list[str] = field(default_factory=lambda: ["a dog on a beach", "people at a table"])
    model_knows: str | None = None
    stuck: bool = True
    calibrated: bool = True
    folder_chooser: bool = True
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    job_step_seconds: float = 0.05
    broken: bool = False
    saved: SavedFolder = field(default_factory=SavedFolder)

    @property
    def by_id(self) -> dict[str, SimpleNamespace]:
        """What collections ask of its videos."""
        return {
            video.video_id: SimpleNamespace(path=video.path, duration_seconds=video.duration)
            for video in self.videos
        }

    def video(self, video_id: str) -> Video | None:
        """The video of this identity."""
        return next((video for video in self.videos if video.video_id == video_id), None)

    def segment(self, segment_id: str) -> tuple[Video, float, float] | None:
        """The video of a segment, and where the segment starts and ends."""
        for video in self.videos:
            for name, start, end in video.segments:
                if name == segment_id:
                    return video, start, end
        return None


def checked(model: type[BaseModel], body: Any, status: int = 200) -> JSONResponse:
    """An answer that the service itself could give; anything else fails here."""
    return JSONResponse(model.model_validate(body).model_dump(mode="json"), status)


async def body_of(model: type[BaseModel], request: Request) -> dict[str, Any]:
    """What was asked, if the service would take it."""
    body: dict[str, Any] = await request.json()
    model.model_validate(body)
    return body


def _rephrased(body: dict[str, Any]) -> str | list[str] | None:
    if "query" not in body:
        return None
    query = body["query"]
    return rephrased(query, searched_query(query, verbatim=body.get("verbatim", False)))


def problem(status: int, title: str, detail: str) -> JSONResponse:
    """A problem as the service words it."""
    body = {"title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def match_at(text: str, rank: int) -> Match:
    """How good a match is: good, but where the question names another state."""
    if "nothing" in text:
        return "unlikely"
    if "mixed" in text or "doubtful" in text:
        good = 2 if "mixed" in text else 0
        return "good match" if rank < good else "possible match" if rank < 5 else "unlikely"
    return "good match"


class Fake:
    """The routes of the service over a made-up library."""

    def __init__(self, library: Library) -> None:
        """Serve ``library``, which a test may change at any time."""
        self.library = library

    def app(self) -> Starlette:
        """The application."""
        routes = [
            Route("/", self.page),
            Route("/page/{name}", self.file),
            Route("/v1/search", self.search, methods=["POST"]),
            Route("/v1/explain", self.explain, methods=["POST"]),
            Route("/v1/strip", self.strip, methods=["POST"]),
            Route("/v1/uploads", self.upload, methods=["POST"]),
            Route("/v1/clips", self.clip, methods=["POST"]),
            Route("/v1/exports", self.export, methods=["POST"]),
            Route("/v1/index", self.index),
            Route("/v1/folders", self.folders),
            Route("/v1/suggestions", self.suggestions),
            Route("/v1/index/jobs", self.jobs, methods=["GET", "POST"]),
            Route("/v1/index/jobs/{job}/events", self.events),
            Route("/v1/index/jobs/{job}/{verb}", self.steer, methods=["POST"]),
            Route("/v1/videos", self.videos),
            Route("/v1/videos/{video}", self.video),
            Route("/v1/videos/{video}/tags", self.tag, methods=["PUT"]),
            Route("/v1/videos/{video}/captions", self.captions),
            Route("/v1/videos/{video}/thumbnail", self.thumbnail),
            Route("/v1/videos/{video}/media", self.media),
            Mount("/", saved_app(lambda: self.library.saved, lambda: self.library.by_id)),
        ]
        return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_policy)])

    async def page(self, _request: Request) -> Response:
        """The page itself."""
        return FileResponse(PAGE / "index.html")

    async def file(self, request: Request) -> Response:
        """One of the page's files."""
        return await StaticFiles(directory=PAGE).get_response(request.path_params["name"], request.scope)

    async def search(self, request: Request) -> Response:
        """Hits for whatever is asked."""
        body = await body_of(schemas.SearchRequest, request)
        self.library.requests.append(body)
        query = body.get("query") or body.get("video") or body.get("image")
        text = " ".join(query) if isinstance(query, list) else str(query)
        if self.library.broken or "trouble" in text:
            return problem(
                503, "The index cannot be searched", "the index is damaged; run vidsift index check --repair"
            )
        if "slow" in text:
            await asyncio.sleep(0.9)
        while "stuck" in text and self.library.stuck and not await request.is_disconnected():
            await asyncio.sleep(0.05)
        filters = body.get("filter", {})
        chosen = [
            video
            for video in self.library.videos
            if video.path.startswith(filters.get("under", ""))
            and filters.get("name", "").lower() in video.path.rsplit("/", 1)[-1].lower()
            and set(filters.get("tags", [])) <= set(video.tags)
        ]
        hits = [] if "none" in text else self._hits(text, chosen, body)
        # A page belongs to one question, to the last digit of its filters.
        question = json.dumps({key: value for key, value in body.items() if key != "page"})
        first, mark = 0, f"{zlib.crc32(question.encode()):08x}"
        if "page" in body:
            place, _, asked_for = body["page"].partition(".")
            if asked_for != mark:
                return problem(422, "The question cannot be answered", "page is of another question")
            first = int(place)
        last = first + body["k"]
        answer = {
            "data": hits[first:last],
            "found": "nothing" not in text if self.library.calibrated else None,
            "label": "text" if "query" in body else "similar footage",
            "searched_for": _rephrased(body),
            "pool": {
                "segments": sum(len(video.segments) for video in self.library.videos),
                "videos": len(self.library.videos),
                "allowed_segments": sum(len(video.segments) for video in chosen),
                "allowed_videos": len(chosen),
            },
            "next_page": f"{last}.{mark}" if last < len(hits) else None,
            "took_ms": 41.7,
        }
        return checked(schemas.SearchResponse, answer)

    def _hits(self, text: str, videos: list[Video], body: dict[str, Any]) -> list[dict[str, Any]]:
        hits = []
        for video in videos:
            parts = video.segments[:1] if body.get("group_by") == "video" else video.segments
            if "late" in text and len(video.segments) > 1:
                parts = video.segments[1:]
            sentences = body["query"] if isinstance(body.get("query"), list) else []
            hits += [self._hit(text, video, *part) | self._parts(sentences, *part) for part in parts]
        hits.sort(key=lambda hit: -hit["score"])
        for rank, hit in enumerate(hits):
            sure = 0.06 if "nothing" in text else max(0.11, 0.97 - 0.045 * rank)
            known = self.library.calibrated and "query" in body
            hit |= {"rank": rank + 1, "confidence": sure if known else None}
            hit["match"] = match_at(text, rank) if known else None
        least_score, least_sure = body.get("min_score"), body.get("min_confidence") or 0
        least_match = body.get("min_match")
        if least_score is not None:
            hits = [hit for hit in hits if hit["score"] >= least_score]
        hits = [hit for hit in hits if hit["confidence"] is None or hit["confidence"] >= least_sure]
        return [hit for hit in hits if is_at_least(hit["match"], least_match)]

    def _hit(self, text: str, video: Video, segment_id: str, start: float, end: float) -> dict[str, Any]:
        account = explanation(text, segment_id, start, end)
        times, shares = shares_of(account)
        best = times[int(np.argmax(shares))]
        width = (end - start) / FRAMES
        moment = (max(start, best - width), min(end, best + width))
        dark = "blackbox" in text
        return {
            "score": account["score"],
            "video_id": video.video_id,
            "segment_id": segment_id,
            "path": HOSTILE if "hostile" in text else video.path,
            "start": moment[0],
            "end": moment[1],
            "segment_start": start,
            "segment_end": end,
            "duration": video.duration,
            "thumbnail_url": f"/v1/videos/{video.video_id}/thumbnail?at={best:.2f}",
            "media_url": f"/v1/videos/{video.video_id}/media",
            "modified": modified(video),
            "strip": {"times": [] if dark else times, "shares": [] if dark else shares},
            "explanation": None,
            "candidates": 200 if dark else None,
        }

    def _parts(self, sentences: list[str], segment_id: str, start: float, end: float) -> dict[str, Any]:
        """Where each of several sentences fits: one half of the segment after the other."""
        parts = []
        for place, sentence in enumerate(sentences):
            width = (end - start) / len(sentences)
            score = explanation(sentence, segment_id, start, end)["score"]
            stretch = {"start": start + place * width, "end": start + (place + 1) * width}
            parts.append({"segment_id": segment_id, "score": score, **stretch})
        return {"parts": parts}

    async def explain(self, request: Request) -> Response:
        """The account of one hit."""
        body = await body_of(schemas.ExplainRequest, request)
        query, segment_id = body["query"], body["segment_id"]
        segment = self.library.segment(segment_id)
        if isinstance(query, list):
            return problem(422, "The question cannot be answered", "explain each sentence by itself")
        if segment is None:
            return problem(404, "Not found", "no such segment")
        video, start, end = segment
        maps = body.get("maps", False)
        account = explanation(query, segment_id, start, end, maps=maps and "lost" not in query)
        if maps and "lost" in query:
            account["maps_missing"] = "the file is not where it was"
        place = {"segment_id": segment_id, "video_id": video.video_id, "path": video.path}
        span = {"start": start, "end": end, "moment_from": ["word-frame"]}
        if "blackbox" in query:
            account["terms"] = []
        return checked(schemas.Explanation, account | place | span)

    async def strip(self, request: Request) -> Response:
        """Scores along a whole video."""
        body = await body_of(schemas.StripRequest, request)
        query = body["query"] if isinstance(body["query"], str) else " ".join(body["query"])
        video = self.library.video(body["video_id"])
        if video is None:
            return problem(404, "Not found", "no such video")
        times: list[float] = []
        shares: list[float] = []
        segments = []
        for segment_id, start, end in [] if "blackbox" in query else video.segments:
            account = explanation(query, segment_id, start, end)
            own_times, own_shares = shares_of(account)
            times += own_times
            shares += own_shares
            segments.append({"segment_id": segment_id, "start": start, "end": end, "score": account["score"]})
        return checked(schemas.StripResponse, {"times": times, "shares": shares, "segments": segments})

    async def upload(self, request: Request) -> Response:
        """Take a picture or a video."""
        if not await request.body():
            return problem(422, "The file cannot be read", "the file is empty")
        kind = request.headers["content-type"].split("/")[0]
        made = {"upload_id": "u1", "kind": kind, "expires_seconds": 600}
        return checked(schemas.UploadResponse, made, 201)

    async def clip(self, request: Request) -> Response:
        """The whole file in the place of a cut."""
        body = await body_of(schemas_library.ClipRequest, request)
        self.library.requests.append(body)
        video = self.library.video(body["video_id"])
        assert video is not None
        named = {
            "content-disposition": "attachment; filename=\"clip.mp4\"; filename*=UTF-8''cut%20out.mp4",
            "x-clip-start-seconds": f"{body['start'] - (0 if body.get('exact') else 2.4):.3f}",
            "x-clip-end-seconds": f"{body['end']:.3f}",
        }
        return Response(video.file.read_bytes(), media_type="video/mp4", headers=named)

    async def export(self, request: Request) -> Response:
        """A file that says how many moments were to be in it."""
        body = await body_of(ExportRequest, request)
        self.library.requests.append(body)
        headers = {
            "content-disposition": f"attachment; filename*=UTF-8''hits.{body['kind']}",
            "x-export-notes": "a.mp4%20has%20a%20variable%20frame%20rate",
        }
        return Response(str(len(body["moments"])), media_type="text/plain", headers=headers)

    async def index(self, _request: Request) -> Response:
        """What the library holds."""
        library = self.library
        if library.broken:
            return problem(503, "The index cannot be read", "the disk is gone; plug it in again")
        folders = sorted({video.path.rsplit("/", 1)[0] for video in library.videos})
        counts = [sum(video.path.startswith(folder + "/") for video in library.videos) for folder in folders]
        bad = [
            sum(failure["path"].startswith(folder + "/") for failure in library.failures)
            for folder in folders
        ]
        return checked(
            schemas_library.IndexResponse,
            {
                "version": "0",
                "model": "openai/clip-vit-base-patch32" if library.videos else None,
                "method": "wti" if library.videos else None,
                "model_knows": library.model_knows,
                "videos": len(library.videos),
                "duration": sum(video.duration for video in library.videos),
                "segments": sum(len(video.segments) for video in library.videos),
                "files": len(library.videos) + library.copies,
                "failed": len(library.failures),
                "bytes_on_disk": 48_231_424,
                "folders": [
                    {"path": path, "videos": count, "failed": failed}
                    for path, count, failed in zip(folders, counts, bad, strict=True)
                ],
                "failures": library.failures,
                "partial": library.partial,
                "calibrated": library.calibrated,
                "folder_chooser": library.folder_chooser,
                "tags": sorted({tag for video in library.videos for tag in video.tags}),
            },
        )

    async def suggestions(self, _request: Request) -> Response:
        """Questions to begin with."""
        return checked(schemas_library.SuggestionsResponse, {"data": self.library.suggestions})

    async def folders(self, request: Request) -> Response:
        """A home with three folders, of which one holds two."""
        home, films = "/home/me", ["/home/me/Films/2024", "/home/me/Films/2025"]
        path = request.query_params.get("path", home)
        inside = {
            home: [f"{home}/{name}" for name in ("Films", "Music", "\u05d1\u05d9\u05ea")],
            f"{home}/Films": films,
        }
        if "missing" in path:
            return problem(422, "The question cannot be answered", f"{path!r} is not there; check its name")
        listed = {"path": path, "parent": path.rpartition("/")[0] or None, "folders": inside.get(path, [])}
        return checked(schemas_library.FoldersResponse, listed | {"more": 0, "places": [home, "/media/disk"]})

    async def jobs(self, request: Request) -> Response:
        """List jobs, or start one."""
        if request.method == "GET":
            newest_first = list(self.library.jobs.values())[::-1]
            return checked(schemas_library.JobsResponse, {"data": newest_first})
        body = await body_of(schemas_library.JobRequest, request)
        self.library.requests.append(body)
        if any("missing" in folder for folder in body["folders"]):
            detail = f"{body['folders'][0]!r} is not there, or may not be read; check its name"
            return problem(422, "The question cannot be answered", detail)
        job = make_job(f"{len(self.library.jobs):016x}", body["action"], body["folders"])
        self.library.jobs[job["job_id"]] = job
        return checked(schemas_library.Job, job, 202)

    async def steer(self, request: Request) -> Response:
        """Pause, resume or cancel a job."""
        job = self.library.jobs[request.path_params["job"]]
        verb = request.path_params["verb"]
        after = {("running", "pause"): "paused", ("paused", "resume"): "running"}
        if verb == "cancel":
            after[job["state"], verb] = "cancelled"
        if (job["state"], verb) not in after:
            return problem(409, "Not possible now", f"the job is {job['state']}")
        job["state"] = after[job["state"], verb]
        return checked(schemas_library.Job, job)

    async def events(self, request: Request) -> Response:
        """A job's progress: one video at a step."""
        job = self.library.jobs[request.path_params["job"]]
        return StreamingResponse(self._progress(job), media_type="text/event-stream")

    async def _progress(self, job: dict[str, Any]) -> AsyncIterator[str]:
        while job["state"] in ("queued", "running", "paused"):
            yield f"event: progress\ndata: {schemas_library.Job(**job).model_dump_json()}\n\n"
            await asyncio.sleep(self.library.job_step_seconds)
            if job["state"] in ("queued", "running"):
                job["state"] = "running"
                job["progress"]["videos_done"] += 1
                job["progress"]["seconds"] += 1.5
                job["progress"]["reading_seconds"] += 1.5
                if job["progress"]["videos_done"] == job["progress"]["videos_total"]:
                    job["state"] = "done"
        yield f"event: done\ndata: {schemas_library.Job(**job).model_dump_json()}\n\n"

    def _facts(self, video: Video) -> dict[str, Any]:
        return {
            "video_id": video.video_id,
            "path": video.path,
            "paths": [video.path],
            "duration": video.duration,
            "width": SIZE_PX[0],
            "height": SIZE_PX[1],
            "codec": "h264",
            "fps": float(RATE),
            "segments": len(video.segments),
            "modified": modified(video),
            "tags": video.tags,
            "damage": None,
            "thumbnail_url": f"/v1/videos/{video.video_id}/thumbnail?at=1.00",
            "media_url": f"/v1/videos/{video.video_id}/media",
        }

    async def videos(self, request: Request) -> Response:
        """A page of the library."""
        params = request.query_params
        self.library.requests.append(dict(params))
        videos = [
            video
            for video in self.library.videos
            if video.path.startswith(params.get("under", ""))
            and params.get("name", "").lower() in video.path.lower()
        ]
        if params.get("sort") == "date":
            videos.sort(key=modified, reverse=True)
        first, limit = int(params.get("page", 0)), int(params["limit"])
        more = str(first + limit) if first + limit < len(videos) else None
        data = [self._facts(video) for video in videos[first : first + limit]]
        listed = {"data": data, "total": len(videos), "next_page": more}
        return checked(schemas_library.VideosResponse, listed)

    async def video(self, request: Request) -> Response:
        """One video."""
        video = self.library.video(request.path_params["video"])
        if video is None:
            return problem(404, "Not found", "no video of this identity is in the library")
        return checked(schemas_library.VideoDetails, self._facts(video) | {"captions": []})

    async def tag(self, request: Request) -> Response:
        """Give a video its tags."""
        video = self.library.video(request.path_params["video"])
        assert video is not None
        video.tags[:] = (await body_of(schemas_library.TagsRequest, request))["tags"]
        return checked(schemas_library.VideoDetails, self._facts(video) | {"captions": []})

    async def captions(self, _request: Request) -> Response:
        """Captions that fit."""
        data = [{"rank": 1, "caption": HOSTILE, "score": 0.31}]
        return checked(schemas_library.CaptionsResponse, {"data": data})

    async def thumbnail(self, request: Request) -> Response:
        """The picture of a video at a second."""
        video = self.library.video(request.path_params["video"])
        if video is None:
            return problem(404, "Not found", "no video of this identity is in the library")
        number = int(float(request.query_params["at"]) * RATE)
        return Response(_picture(number), media_type="image/jpeg", headers={"cache-control": "max-age=3600"})

    async def media(self, request: Request) -> Response:
        """The file, whole or in part."""
        video = self.library.video(request.path_params["video"])
        if video is None:
            return problem(404, "Not found", "no video of this identity is in the library")
        data = video.file.read_bytes()
        if request.method == "HEAD":
            return Response(headers={"x-start-seconds": f"{video.start_seconds:.3f}"})
        header = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not header:
            return Response(data, media_type="video/mp4", headers={"accept-ranges": "bytes"})
        first, last = int(header[1]), int(header[2] or len(data) - 1)
        headers = {"content-range": f"bytes {first}-{last}/{len(data)}", "accept-ranges": "bytes"}
        return Response(data[first : last + 1], 206, media_type="video/mp4", headers=headers)


def modified(video: Video) -> str:
    """When a video was last changed: the shorter it is, the later."""
    return f"2026-05-17T10:00:{59 - min(59, round(video.duration)):02}Z"


def make_job(job_id: str, action: str, folders: list[str], **parts: Any) -> dict[str, Any]:
    """A job as the service describes it."""
    progress: dict[str, Any] = {"videos_done": 0, "videos_total": 8, "frames": 0, "failed": 0, "seconds": 0.0}
    progress |= {"step": "reading", "reading_seconds": 0.0}
    job = {"job_id": job_id, "action": action, "folders": folders, "state": "queued", "progress": progress}
    return job | {"report": None, "error": None} | parts


async def _policy(request: Request, go_on: RequestResponseEndpoint) -> Response:
    answer = await go_on(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def _picture(number: int) -> bytes:
    """What the videos show as their picture of this number, as a JPEG: no file has to be decoded."""
    held = BytesIO()
    Image.fromarray(picture(number, *SIZE_PX)).save(held, "jpeg", quality=85)
    return held.getvalue()
