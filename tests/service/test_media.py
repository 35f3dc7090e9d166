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
from vidsift.service.problems import ProblemError
from vidsift.service.transfer import byte_range, content_disposition
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
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with service(tmp_path_factory.mktemp("media")) as opened:
        yield opened


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """For tests that change the file."""
    with service(tmp_path) as opened:
        yield opened


def test_the_headers_say_where_the_file_s_own_clock_begins(tmp_path: Path, one: Served) -> None:
    assert one.client.head(one.media).headers["x-start-seconds"] == "0.000"
    assert "x-start-seconds" not in one.client.get(one.media).headers
    source = make(tmp_path, Recipe(suffix=".mkv", b_frames=0), "source")
    file = moved(source, tmp_path / "late.mkv", lambda _, at: at + 50)
    with served(index_of(tmp_path / "index", [file])) as client:
        assert client.head(f"/v1/videos/{video_id(file)}/media").headers["x-start-seconds"] == "50.000"


def test_the_file_is_sent_whole(one: Served) -> None:
    answer = one.client.get(one.media)
    assert answer.status_code == 200
    assert answer.content == one.file.read_bytes()
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{one.name}"'
    assert answer.headers["content-length"] == str(one.file.stat().st_size)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == (
        "inline; filename*=UTF-8''a%20%22quoted%22%20%3Cscript%3E.mp4"
    )


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=100-", 100, None), ("bytes=-7", -7, None)],
)
def test_a_range_is_sent(one: Served, asked: str, first: int, stop: int | None) -> None:
    whole = one.file.read_bytes()
    answer = one.client.get(one.media, headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == whole[first:stop]
    begin = first if first >= 0 else len(whole) + first
    assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(answer.content) - 1}/{len(whole)}"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,4-5", "bytes=5-2", "bytes=a-b", "bytes=-", "seconds=0-1", "bytes"]
)
def test_what_is_no_single_range_means_the_whole_file(one: Served, asked: str) -> None:
    answer = one.client.get(one.media, headers={"range": asked})
    assert (answer.status_code, len(answer.content)) == (200, one.file.stat().st_size)


def test_a_range_beyond_the_end_is_refused_with_the_length(one: Served) -> None:
    answer = one.client.get(one.media, headers={"range": "bytes=99999999-"})
    assert "bytes; ask for some of them" in problem(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{one.file.stat().st_size}"
    problem(one.client.get(one.media, headers={"range": "bytes=-0"}), 416)


def test_head_tells_what_get_sends(one: Served) -> None:
    for headers in ({}, {"range": "bytes=3-9"}):
        head, get = one.client.head(one.media, headers=headers), one.client.get(one.media, headers=headers)
        assert head.status_code == get.status_code
        assert head.content == b""
        told = {
            name: value for name, value in head.headers.items() if name not in ("date", "x-start-seconds")
        }
        assert told == {name: value for name, value in get.headers.items() if name != "date"}


def test_a_range_goes_on_only_with_the_same_file(one: Served) -> None:
    size = one.file.stat().st_size
    dated = one.client.get(one.media).headers["last-modified"]
    for named, status in [
        (f'"{one.name}"', 206),
        (dated, 206),
        ('"other"', 200),
        ("yesterday", 200),
        ("W/x", 200),
    ]:
        answer = one.client.get(one.media, headers={"range": "bytes=0-4", "if-range": named})
        assert (answer.status_code, len(answer.content)) == (status, 5 if status == 206 else size), named


def test_what_the_client_has_is_not_sent_again(one: Served) -> None:
    for named in (f'"{one.name}"', f'W/"{one.name}"', f'"x", "{one.name}"', "*"):
        answer = one.client.get(one.media, headers={"if-none-match": named})
        assert (answer.status_code, answer.content) == (304, b"")
    assert one.client.get(one.media, headers={"if-none-match": '"x"'}).status_code == 200


def test_a_changed_file_is_not_sent(own: Served) -> None:
    stamps = own.file.stat()
    own.file.write_bytes(own.file.read_bytes() + b"x")
    assert "has changed since it was indexed; update the index" in problem(own.client.get(own.media), 409)
    content = own.file.read_bytes()[:-1]
    own.file.write_bytes(content[::-1])  # as long as it was, changed a moment later
    problem(own.client.get(own.media), 409)
    own.file.write_bytes(content)
    os.utime(own.file, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert own.client.get(own.media).content == content


def test_a_file_that_is_gone_is_told_with_a_remedy(own: Served) -> None:
    own.file.unlink()
    detail = problem(own.client.get(own.media), 410)
    assert "connect its disk or put it back" in detail
    assert str(own.file.parent) not in detail
    assert own.client.head(own.media).status_code == 410


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_stands_in_the_place_of_a_file_is_not_sent(own: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret of the house")
    puts: list[Callable[[], None]] = [
        lambda: own.file.symlink_to(secret),
        lambda: own.file.symlink_to("/etc/passwd"),
        lambda: own.file.symlink_to(own.file.parent / "loop"),
        lambda: os.mkfifo(own.file),
        own.file.mkdir,
    ]
    for put in puts:
        if own.file.is_dir() and not own.file.is_symlink():
            own.file.rmdir()
        else:
            own.file.unlink()
        put()
        answer = own.client.get(own.media)
        assert answer.status_code in (409, 410)
        assert "secret" not in answer.text
        assert "root:" not in answer.text


def test_a_link_that_was_turned_is_not_followed(own: Served, tmp_path: Path) -> None:
    """Another file of the same size and time of change, put there by a link, or under a second name."""
    stamps = own.file.stat()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"secret of the house".ljust(stamps.st_size, b"."))
    os.utime(secret, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    film = own.file.rename(tmp_path / "film.mp4")
    own.file.symlink_to(film)
    assert own.client.get(own.media).content == film.read_bytes()  # a link to the same film is as good
    for put in (own.file.symlink_to, own.file.hardlink_to):
        own.file.unlink()
        put(secret)
        answer = own.client.get(own.media)
        assert "has changed since it was indexed" in problem(answer, 409)
        assert own.client.get(own.thumbnail, params={"at": 0.7}).headers["cache-control"] == "no-store"
        problem(own.client.post("/v1/clips", json={"video_id": own.name, "start": 0, "end": 1}), 409)


def test_clips_are_limited(one: Served) -> None:
    service = one.client.app.state.service  # type: ignore[attr-defined]
    gives = [service.clip_slots.acquire() for _ in range(service.limits.clips_at_once)]
    asked = {"video_id": one.name, "start": 0, "end": 1}
    assert "8 clips are under way" in problem(one.client.post("/v1/clips", json=asked), 429)
    for give in gives:
        give()
    for _ in range(2 * len(gives)):
        assert one.client.post("/v1/clips", json=asked).status_code == 200
    for give in [service.clip_slots.acquire() for _ in gives]:
        give()


def test_a_clip_that_is_too_large_is_told(tmp_path: Path) -> None:
    file = make(tmp_path, Recipe(), "film")
    with served(index_of(tmp_path / "index", [file]), limits=ServiceLimits(clip_bytes=100)) as client:
        asked = {"video_id": video_id(file), "start": 0, "end": 1}
        assert "cut fewer seconds" in problem(client.post("/v1/clips", json=asked), 422)


def test_a_full_disk_is_no_fault_of_the_file(one: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidsift.service.media.shutil.disk_usage", lambda _path: SimpleNamespace(free=1000))
    asked = {"video_id": one.name, "start": 0, "end": 1}
    assert "make room" in problem(one.client.post("/v1/clips", json=asked), 503)


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
def test_nothing_is_found_by_a_path(one: Served, path: str) -> None:
    answer = one.client.get(path)
    assert answer.status_code in (404, 422), answer.text
    assert "root:" not in answer.text
    assert "import" not in answer.text


def picture(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize(("at", "number"), [(0.0, 0), (0.51, 15), (1.0, 30), (1.99, 59), (500.0, 59)])
def test_a_thumbnail_is_the_picture_at_its_second(one: Served, at: float, number: int) -> None:
    answer = one.client.get(one.thumbnail, params={"at": at})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert number_in(picture(answer.content)) == number
    again = one.client.get(one.thumbnail, params={"at": at})
    assert again.content == answer.content
    named = {"if-none-match": answer.headers["etag"]}
    assert one.client.get(one.thumbnail, params={"at": at}, headers=named).status_code == 304


def test_a_thumbnail_is_as_wide_as_asked(one: Served) -> None:
    assert picture(one.client.get(one.thumbnail, params={"width": 32}).content).shape == (24, 32, 3)
    assert picture(one.client.get(one.thumbnail, params={"width": 1920}).content).shape == (48, 64, 3)
    for wrong in ({"width": 15}, {"width": 1921}, {"at": -1}, {"at": "nan"}, {"at": "inf"}, {"at": "x"}):
        problem(one.client.get(one.thumbnail, params=wrong), 422)


def test_what_was_kept_stands_in_where_the_file_is_away(own: Served) -> None:
    own.file.unlink()
    answer = own.client.get(own.thumbnail, params={"at": 1.0})
    assert answer.status_code == 200
    assert picture(answer.content).shape == (48, 64, 3)
    assert answer.headers["cache-control"] == "no-store"  # the file may come back


def test_one_thumbnail_too_many_is_the_kept_one_or_told_to_come_back(
    own: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty-four wait or are decoded; who comes then gets what the index keeps, and nobody else waits."""
    service = own.client.app.state.service  # type: ignore[attr-defined]
    cached = own.client.get(own.thumbnail, params={"at": 1.9})
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
            pool.submit(own.client.get, own.thumbnail, params={"at": number / 100}) for number in range(64)
        ]
        try:
            until(lambda: len(decoding) == 64)
            kept = own.client.get(own.thumbnail, params={"at": 1.0})
            assert kept.status_code == 200
            assert picture(kept.content).shape == (48, 64, 3)
            assert kept.headers["cache-control"] == "no-store"  # the right one may be had later
            with monkeypatch.context() as patch:
                patch.setattr("vidsift.service.media_routes.stored_thumbnail", lambda *_: None)
                refused = own.client.get(own.thumbnail, params={"at": 1.0})
            assert "64 thumbnails are under way" in problem(refused, 429)
            assert "try again in a few seconds" in refused.json()["detail"]
            assert refused.headers["retry-after"] == "5"
            # All else is answered: what was decoded before, questions, the file.
            assert own.client.get(own.thumbnail, params={"at": 1.9}).content == cached.content
            assert own.client.post("/v1/search", json={"query": "circle"}).status_code == 200
            assert own.client.get(own.media).content == own.file.read_bytes()
            assert len(decoding) == 64
        finally:
            go.set()
        assert {one.result(30).content for one in waiting} == {b"\xff\xd8 decoded"}
    assert own.client.get(own.thumbnail, params={"at": 1.0}).content == b"\xff\xd8 decoded"


def cut(one: Served, start: float, end: float) -> bytes:
    answer = one.client.post("/v1/clips", json={"video_id": one.name, "start": start, "end": end})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert answer.headers["content-length"] == str(len(answer.content))
    return answer.content


def numbers(file: Path) -> list[int]:
    times = np.arange(0.01, probe(file).duration_seconds, 1 / 30)
    return [number_in(one) for one in read_frames(file, times).pixels]


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (1.0, 2.0), (0.5, 1.5)])
def test_a_clip_holds_the_seconds_asked_for(one: Served, tmp_path: Path, start: float, end: float) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(cut(one, start, end))
    shown = numbers(clip)
    assert shown[0] == round(start * 30)
    wanted = list(range(round(start * 30), round(end * 30)))
    assert shown[: len(wanted)] == wanted
    assert all(end * 30 <= number <= end * 30 + 2 for number in shown[len(wanted) :])  # what B-frames need


def test_a_copied_clip_has_the_packets_of_the_file(own: Served) -> None:
    cut(own, 1.0, 2.0)
    text = own.client.get("/metrics").text
    assert 'vidsift_clips_total{copied="true"} 1.0' in text


def test_what_cannot_be_copied_is_encoded_anew(tmp_path: Path) -> None:
    file = make(tmp_path, Recipe(".avi", codec="mjpeg", pix_fmt="yuvj420p", frames=45, b_frames=0), "old")
    with served(index_of(tmp_path / "index", [file])) as client:
        film = Served(client, file, video_id(file))
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(cut(film, 0.5, 1.0))
        assert 'vidsift_clips_total{copied="false"} 1.0' in client.get("/metrics").text
    assert probe(clip).codec == "h264"
    assert numbers(clip) == list(range(15, 30))


def test_clips_leave_nothing_behind(own: Served) -> None:
    folder = Path(own.client.app.state.service._folder.name)  # type: ignore[attr-defined]
    cut(own, 0.0, 1.0)
    with own.client.stream("POST", "/v1/clips", json={"video_id": own.name, "start": 0, "end": 1}) as answer:
        assert answer.status_code == 200  # and gone before it has come
    own.file.unlink()
    problem(own.client.post("/v1/clips", json={"video_id": own.name, "start": 0, "end": 1}), 410)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "status", "words"),
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
    one: Served, asked: dict[str, object], status: int, words: str
) -> None:
    assert words in problem(one.client.post("/v1/clips", json={"video_id": one.name} | asked), status)


def test_ranges_by_themselves() -> None:
    assert byte_range(None, 10) is None
    assert byte_range("bytes=0-", 10) == (0, 10)
    assert byte_range("bytes=-100", 10) == (0, 10)
    with pytest.raises(ProblemError):
        byte_range("bytes=0-", 0)
    assert content_disposition("attachment", "\udcff\n\r;") == "attachment; filename*=UTF-8''%3F%0A%0D%3B"


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
    assert [number_in(one) for one in read_frames(tmp_path / "clip.mp4", [0.01]).pixels] == [15]
