from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import anyio
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.service.serving import index_of, problem, served, video_id
from tests.service.test_live_index import until
from tests.video.making import Recipe, make, moved, number_in
from tests.video.photographing import motion_photos

from vidsift.service.limits import ServiceLimits
from vidsift.video import probe, read_frames


@dataclass(frozen=True)
class Served:
    client: TestClient
    file: Path
    name: str
    """Identity of the file's content."""

    @property
    def media(self) -> str:
        return f"/v1/videos/{self.name}/media"

    @property
    def thumbnail(self) -> str:
        return f"/v1/videos/{self.name}/thumbnail"


@contextmanager
def service(folder: Path) -> Iterator[Served]:
    """A service with one film of 60 pictures in 2 s, a key frame every second."""
    videos = folder / "vidéos & <b>"
    videos.mkdir()
    file = make(videos, Recipe(), 'a "quoted" <script>')
    with served(index_of(folder / "index", [file])) as client:
        yield Served(client, file, video_id(file))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with service(tmp_path_factory.mktemp("media")) as opened:
        yield opened


@pytest.fixture
def own_film(tmp_path: Path) -> Iterator[Served]:
    """For tests that change the file."""
    with service(tmp_path) as opened:
        yield opened


def test_the_headers_say_where_the_file_s_own_clock_begins(tmp_path: Path, film: Served) -> None:
    assert film.client.head(film.media).headers["x-start-seconds"] == "0.000"
    assert "x-start-seconds" not in film.client.get(film.media).headers
    source = make(tmp_path, Recipe(suffix=".mkv", b_frames=0), "source")
    file = moved(source, tmp_path / "late.mkv", lambda _, at: at + 50)
    with served(index_of(tmp_path / "index", [file])) as client:
        assert client.head(f"/v1/videos/{video_id(file)}/media").headers["x-start-seconds"] == "50.000"


def test_the_file_is_sent_whole(film: Served) -> None:
    answer = film.client.get(film.media)
    assert answer.status_code == 200
    assert answer.content == film.file.read_bytes()
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{film.name}"'
    assert answer.headers["content-length"] == str(film.file.stat().st_size)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == (
        "inline; filename*=UTF-8''a%20%22quoted%22%20%3Cscript%3E.mp4"
    )


@pytest.mark.parametrize(
    ("header", "first", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=100-", 100, None), ("bytes=-7", -7, None)],
)
def test_a_range_is_sent(film: Served, header: str, first: int, stop: int | None) -> None:
    whole = film.file.read_bytes()
    answer = film.client.get(film.media, headers={"range": header})
    assert answer.status_code == 206
    assert answer.content == whole[first:stop]
    begin = first if first >= 0 else len(whole) + first
    assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(answer.content) - 1}/{len(whole)}"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    "header", ["bytes=0-1,4-5", "bytes=5-2", "bytes=a-b", "bytes=-", "seconds=0-1", "bytes"]
)
def test_what_is_no_single_range_means_the_whole_file(film: Served, header: str) -> None:
    answer = film.client.get(film.media, headers={"range": header})
    assert (answer.status_code, len(answer.content)) == (200, film.file.stat().st_size)


def test_a_range_beyond_the_end_is_refused_with_the_length(film: Served) -> None:
    answer = film.client.get(film.media, headers={"range": "bytes=99999999-"})
    assert "bytes; ask for some of them" in problem(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{film.file.stat().st_size}"
    problem(film.client.get(film.media, headers={"range": "bytes=-0"}), 416)


def test_head_tells_what_get_sends(film: Served) -> None:
    for headers in ({}, {"range": "bytes=3-9"}):
        head, get = (
            film.client.head(film.media, headers=headers),
            film.client.get(film.media, headers=headers),
        )
        assert head.status_code == get.status_code
        assert head.content == b""
        headers_told = {
            name: value for name, value in head.headers.items() if name not in ("date", "x-start-seconds")
        }
        assert headers_told == {name: value for name, value in get.headers.items() if name != "date"}


def test_a_range_goes_on_only_with_the_same_file(film: Served) -> None:
    size = film.file.stat().st_size
    dated = film.client.get(film.media).headers["last-modified"]
    for named, status in [
        (f'"{film.name}"', 206),
        (dated, 206),
        ('"other"', 200),
        ("yesterday", 200),
        ("W/x", 200),
    ]:
        answer = film.client.get(film.media, headers={"range": "bytes=0-4", "if-range": named})
        assert (answer.status_code, len(answer.content)) == (status, 5 if status == 206 else size), named


def test_what_the_client_has_is_not_sent_again(film: Served) -> None:
    for named in (f'"{film.name}"', f'W/"{film.name}"', f'"x", "{film.name}"', "*"):
        answer = film.client.get(film.media, headers={"if-none-match": named})
        assert (answer.status_code, answer.content) == (304, b"")
    assert film.client.get(film.media, headers={"if-none-match": '"x"'}).status_code == 200


def test_a_changed_file_is_not_sent(own_film: Served) -> None:
    stamps = own_film.file.stat()
    own_film.file.write_bytes(own_film.file.read_bytes() + b"x")
    assert "has changed since it was indexed; update the index" in problem(
        own_film.client.get(own_film.media), 409
    )
    content = own_film.file.read_bytes()[:-1]
    own_film.file.write_bytes(content[::-1])  # as long as it was, changed a moment later
    problem(own_film.client.get(own_film.media), 409)
    own_film.file.write_bytes(content)
    os.utime(own_film.file, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert own_film.client.get(own_film.media).content == content


def test_a_file_that_is_gone_is_told_with_a_remedy(own_film: Served) -> None:
    own_film.file.unlink()
    detail = problem(own_film.client.get(own_film.media), 410)
    assert "connect its disk or put it back" in detail
    assert str(own_film.file.parent) not in detail
    assert own_film.client.head(own_film.media).status_code == 410


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_stands_in_the_place_of_a_file_is_not_sent(own_film: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret of the house")
    puts: list[Callable[[], None]] = [
        lambda: own_film.file.symlink_to(secret),
        lambda: own_film.file.symlink_to("/etc/passwd"),
        lambda: own_film.file.symlink_to(own_film.file.parent / "loop"),
        lambda: os.mkfifo(own_film.file),
        own_film.file.mkdir,
    ]
    for put in puts:
        if own_film.file.is_dir() and not own_film.file.is_symlink():
            own_film.file.rmdir()
        else:
            own_film.file.unlink()
        put()
        answer = own_film.client.get(own_film.media)
        assert answer.status_code in (409, 410)
        assert "secret" not in answer.text
        assert "root:" not in answer.text


def test_a_link_that_was_turned_is_not_followed(own_film: Served, tmp_path: Path) -> None:
    """Another file of the same size and time of change, put there by a link, or under a second name."""
    stamps = own_film.file.stat()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"secret of the house".ljust(stamps.st_size, b"."))
    os.utime(secret, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    film = own_film.file.rename(tmp_path / "film.mp4")
    own_film.file.symlink_to(film)
    assert (
        own_film.client.get(own_film.media).content == film.read_bytes()
    )  # a link to the same film is as good
    for put in (own_film.file.symlink_to, own_film.file.hardlink_to):
        own_film.file.unlink()
        put(secret)
        answer = own_film.client.get(own_film.media)
        assert "has changed since it was indexed" in problem(answer, 409)
        assert (
            own_film.client.get(own_film.thumbnail, params={"at": 0.7}).headers["cache-control"] == "no-store"
        )
        problem(
            own_film.client.post("/v1/clips", json={"video_id": own_film.name, "start": 0, "end": 1}), 409
        )


def test_clips_are_limited(film: Served) -> None:
    service = film.client.app.state.service  # type: ignore[attr-defined]
    gives = [service.clip_slots.acquire() for _ in range(service.limits.clips_at_once)]
    body = {"video_id": film.name, "start": 0, "end": 1}
    assert "8 clips are under way" in problem(film.client.post("/v1/clips", json=body), 429)
    for release in gives:
        release()
    for _ in range(2 * len(gives)):
        assert film.client.post("/v1/clips", json=body).status_code == 200
    for release in [service.clip_slots.acquire() for _ in gives]:
        release()


def test_a_clip_that_is_too_large_is_told(tmp_path: Path) -> None:
    file = make(tmp_path, Recipe(), "film")
    with served(index_of(tmp_path / "index", [file]), limits=ServiceLimits(clip_bytes=100)) as client:
        body = {"video_id": video_id(file), "start": 0, "end": 1}
        assert "cut fewer seconds" in problem(client.post("/v1/clips", json=body), 422)


def test_a_full_disk_is_no_fault_of_the_file(film: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsift.service.media.shutil.disk_usage", lambda _path: SimpleNamespace(free=1000))
    body = {"video_id": film.name, "start": 0, "end": 1}
    assert "make room" in problem(film.client.post("/v1/clips", json=body), 503)


def test_a_copy_stands_in_for_a_file_that_is_gone(tmp_path: Path) -> None:
    first = make(tmp_path, Recipe(frames=12), "a")
    second = Path(shutil.copy2(first, tmp_path / "b.mkv"))
    with served(index_of(tmp_path / "index", [first, second])) as client:
        url = f"/v1/videos/{video_id(first)}/media"
        assert client.get(url).headers["content-type"] == "video/mp4"
        first.unlink()
        answer = client.get(url)
        assert answer.headers["content-type"] == "video/x-matroska"
        assert answer.content == second.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/videos/..%2f..%2f..%2fetc%2fpasswd/media",
        "/v1/videos/../../../../etc/passwd/media",
        "/v1/videos/%2e%2e%2f%2e%2e%2fetc/media",
        "/v1/videos/%252e%252e/media",
        "/v1/videos//etc/passwd/media",
        "/v1/videos/" + "0" * 31 + "/media",
        "/v1/videos/" + "0" * 32 + "%00/media",
        "/v1/videos/" + "A" * 32 + "/media",
        "/v1/videos/" + "0" * 32 + "/media",
        "/v1/videos/C:%5cwindows%5cwin.ini/thumbnail",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/page/index.html%00.js",
    ],
)
def test_nothing_is_found_by_a_path(film: Served, path: str) -> None:
    answer = film.client.get(path)
    assert answer.status_code in (404, 422), answer.text
    assert "root:" not in answer.text
    assert "import" not in answer.text


def picture(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize(("at", "number"), [(0.0, 0), (0.51, 15), (1.0, 30), (1.99, 59), (500.0, 59)])
def test_a_thumbnail_is_the_picture_at_its_second(film: Served, at: float, number: int) -> None:
    answer = film.client.get(film.thumbnail, params={"at": at})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert number_in(picture(answer.content)) == number
    again = film.client.get(film.thumbnail, params={"at": at})
    assert again.content == answer.content
    named = {"if-none-match": answer.headers["etag"]}
    assert film.client.get(film.thumbnail, params={"at": at}, headers=named).status_code == 304


def test_a_thumbnail_is_as_wide_as_asked(film: Served) -> None:
    assert picture(film.client.get(film.thumbnail, params={"width": 32}).content).shape == (24, 32, 3)
    assert picture(film.client.get(film.thumbnail, params={"width": 1920}).content).shape == (48, 64, 3)
    for wrong in ({"width": 15}, {"width": 1921}, {"at": -1}, {"at": "nan"}, {"at": "inf"}, {"at": "x"}):
        problem(film.client.get(film.thumbnail, params=wrong), 422)


def test_what_was_kept_stands_in_where_the_file_is_away(own_film: Served) -> None:
    own_film.file.unlink()
    answer = own_film.client.get(own_film.thumbnail, params={"at": 1.0})
    assert answer.status_code == 200
    assert picture(answer.content).shape == (48, 64, 3)
    assert answer.headers["cache-control"] == "no-store"  # the file may come back


def test_one_thumbnail_too_many_is_the_kept_one_or_told_to_come_back(
    own_film: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty-four wait or are decoded; who comes then gets what the index keeps, and nobody else waits."""
    service = own_film.client.app.state.service  # type: ignore[attr-defined]
    cached = own_film.client.get(own_film.thumbnail, params={"at": 1.9})
    go = threading.Event()
    decoding: list[float] = []

    async def decode(_function: object, _source: object, at: float, _width: int) -> bytes:
        decoding.append(at)
        while not go.is_set():
            await anyio.sleep(0.01)
        return b"\xff\xd8 decoded"

    monkeypatch.setattr(service.thumbnail_decoders, "run", decode)
    with ThreadPoolExecutor(64) as pool:
        waiting = [
            pool.submit(own_film.client.get, own_film.thumbnail, params={"at": number / 100})
            for number in range(64)
        ]
        try:
            until(lambda: len(decoding) == 64)
            stored = own_film.client.get(own_film.thumbnail, params={"at": 1.0})
            assert stored.status_code == 200
            assert picture(stored.content).shape == (48, 64, 3)
            assert stored.headers["cache-control"] == "no-store"  # the right one may be had later
            with monkeypatch.context() as patch:
                patch.setattr("vidsift.service.media_routes.stored_thumbnail", lambda *_: None)
                refused = own_film.client.get(own_film.thumbnail, params={"at": 1.0})
            assert "64 thumbnails are under way" in problem(refused, 429)
            assert "try again in a few seconds" in refused.json()["detail"]
            assert refused.headers["retry-after"] == "5"
            # All else is answered: what was decoded before, questions, the file.
            assert own_film.client.get(own_film.thumbnail, params={"at": 1.9}).content == cached.content
            assert own_film.client.post("/v1/search", json={"query": "circle"}).status_code == 200
            assert own_film.client.get(own_film.media).content == own_film.file.read_bytes()
            assert len(decoding) == 64
        finally:
            go.set()
        assert {pending.result(30).content for pending in waiting} == {b"\xff\xd8 decoded"}
    assert own_film.client.get(own_film.thumbnail, params={"at": 1.0}).content == b"\xff\xd8 decoded"


def cut(film: Served, start: float, end: float) -> bytes:
    answer = film.client.post("/v1/clips", json={"video_id": film.name, "start": start, "end": end})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert answer.headers["content-length"] == str(len(answer.content))
    return answer.content


def numbers(file: Path) -> list[int]:
    times = np.arange(0.01, probe(file).duration_seconds, 1 / 30)
    return [number_in(pixel) for pixel in read_frames(file, times).pixels]


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (1.0, 2.0), (0.5, 1.5)])
def test_a_clip_holds_the_seconds_asked_for(film: Served, tmp_path: Path, start: float, end: float) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(cut(film, start, end))
    shown = numbers(clip)
    assert shown[0] == round(start * 30)
    wanted = list(range(round(start * 30), round(end * 30)))
    assert shown[: len(wanted)] == wanted
    assert all(end * 30 <= number <= end * 30 + 2 for number in shown[len(wanted) :])  # what B-frames need


def test_a_copied_clip_has_the_packets_of_the_file(own_film: Served) -> None:
    cut(own_film, 1.0, 2.0)
    text = own_film.client.get("/metrics").text
    assert 'vidsift_clips_total{copied="true"} 1.0' in text


def test_a_clip_says_which_seconds_it_holds_and_is_exact_where_that_is_wanted(
    film: Served, tmp_path: Path
) -> None:
    body = {"video_id": film.name, "start": 0.5, "end": 1.2}
    copied = film.client.post("/v1/clips", json=body)
    assert copied.headers["x-clip-start-seconds"] == "0.000"  # its key frame
    assert 1.2 <= float(copied.headers["x-clip-end-seconds"]) < 1.3
    exact = film.client.post("/v1/clips", json=body | {"exact": True})
    assert float(exact.headers["x-clip-start-seconds"]) == pytest.approx(0.5, abs=1e-3)
    assert float(exact.headers["x-clip-end-seconds"]) == pytest.approx(1.2, abs=1e-3)
    assert "%200.5s-1.2s.mp4" in exact.headers["content-disposition"]
    (tmp_path / "clip.mp4").write_bytes(exact.content)
    assert numbers(tmp_path / "clip.mp4") == list(range(15, 36))


def test_what_cannot_be_copied_is_encoded_anew(tmp_path: Path) -> None:
    file = make(tmp_path, Recipe(".avi", codec="mjpeg", pix_fmt="yuvj420p", frames=45, b_frames=0), "old")
    with served(index_of(tmp_path / "index", [file])) as client:
        film = Served(client, file, video_id(file))
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(cut(film, 0.5, 1.0))
        assert 'vidsift_clips_total{copied="false"} 1.0' in client.get("/metrics").text
    assert probe(clip).codec == "h264"
    assert numbers(clip) == list(range(15, 30))


def test_clips_leave_nothing_behind(own_film: Served) -> None:
    folder = Path(own_film.client.app.state.service._folder.name)  # type: ignore[attr-defined]
    cut(own_film, 0.0, 1.0)
    with own_film.client.stream(
        "POST", "/v1/clips", json={"video_id": own_film.name, "start": 0, "end": 1}
    ) as answer:
        assert answer.status_code == 200  # and gone before it has come
    own_film.file.unlink()
    problem(own_film.client.post("/v1/clips", json={"video_id": own_film.name, "start": 0, "end": 1}), 410)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"start": 1, "end": 1}, 422, "end must be after start"),
        ({"start": 0, "end": 601}, 422, "cut at most 600 s"),
        ({"start": 3, "end": 4}, 422, "begin earlier"),
        ({"start": -1, "end": 1}, 422, "start: "),
        ({"start": 0}, 422, "end: "),
        ({"video_id": "0" * 32, "start": 0, "end": 1}, 404, "no video of the index"),
        ({"video_id": "../../etc/passwd", "start": 0, "end": 1}, 404, "no video of the index"),
    ],
)
def test_a_clip_that_cannot_be_cut_is_told(
    film: Served, body: dict[str, object], status: int, message: str
) -> None:
    assert message in problem(film.client.post("/v1/clips", json={"video_id": film.name} | body), status)


def test_of_a_photo_with_a_video_the_player_gets_the_video(tmp_path: Path) -> None:
    film = make(tmp_path, Recipe(), "film").read_bytes()
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(dict(motion_photos(film))["google.jpg"])
    with served(index_of(tmp_path / "index", [photo])) as client:
        url = f"/v1/videos/{video_id(photo)}/media"
        whole, tail = client.get(url), client.get(url, headers={"range": "bytes=-100"})
        assert (whole.content, whole.headers["content-type"]) == (film, "video/mp4")
        assert tail.content == film[-100:]
        assert tail.headers["content-range"] == f"bytes {len(film) - 100}-{len(film) - 1}/{len(film)}"
        assert client.head(url).headers["content-length"] == str(len(film))
        clip = client.post("/v1/clips", json={"video_id": video_id(photo), "start": 0.5, "end": 1.5})
        (tmp_path / "clip.mp4").write_bytes(clip.content)
    assert [number_in(pixel) for pixel in read_frames(tmp_path / "clip.mp4", [0.01]).pixels] == [15]
