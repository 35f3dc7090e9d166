from __future__ import annotations

import io
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.methods import tiny
from tests.service.serving import ask, index_of, problem, served, video_id

from vidsift.search import calibration
from vidsift.search.confidence import Fits
from vidsift.search.searcher import Index
from vidsift.service.limits import ServiceLimits
from vidsift.service.schemas import SearchRequest
from vidsift.service.service import Service
from vidsift.video.footage import read_footage


def test_a_hit_says_all_that_is_known(client: TestClient, index: Index, files: list[Path]) -> None:
    answer = ask(client, k=3)
    expected = index.search("a red circle", k=3)
    for shown, hit in zip(answer["data"], expected, strict=True):
        video = hit.video_id
        best = hit.times_seconds[int(np.argmax(hit.shares))]
        length = (
            next(8 + n for n in range(7) if video_id(files[n]) == video) / 12
            if video != video_id(files[7])
            else 32.0
        )
        assert shown == {
            "rank": hit.rank,
            "score": hit.score,
            "confidence": hit.confidence,
            "match": hit.match,
            "video_id": video,
            "segment_id": hit.segment_id,
            "path": hit.path,
            "start": hit.moment.start_seconds,
            "end": hit.moment.end_seconds,
            "segment_start": hit.segment.start_seconds,
            "segment_end": hit.segment.end_seconds,
            "duration": pytest.approx(length),
            "thumbnail_url": f"/v1/videos/{video}/thumbnail?at={best:.3f}",
            "media_url": f"/v1/videos/{video}/media",
            "modified": shown["modified"],
            "strip": {"times": list(hit.times_seconds), "shares": list(hit.shares)},
            "explanation": None,
            "parts": [],
            "candidates": None,
        }
        changed = Path(hit.path).stat().st_mtime
        assert datetime.fromisoformat(shown["modified"]).timestamp() == pytest.approx(changed, abs=1e-3)
    assert answer["label"] == "text"
    assert answer["pool"] == {"segments": 9, "videos": 8, "allowed_segments": 9, "allowed_videos": 8}
    assert answer["took_ms"] > 0
    assert answer["found"] == index.found("a red circle", expected)


def test_the_explanation_adds_up_to_the_score(client: TestClient) -> None:
    for hit in ask(client, k=3, explain=True)["data"]:
        account = hit["explanation"]
        total = sum(sum(map(sum, term["contributions"])) for term in account["terms"])
        assert total == pytest.approx(hit["score"], abs=1e-6)
        body = {"query": "a red circle", "segment_id": hit["segment_id"]}
        assert client.post("/v1/explain", json=body).json() == account
        (term,) = account["terms"]
        assert len(term["words"]) == len(term["values"]) == len(term["text_weights"])
        assert len(term["times_seconds"]) == len(term["values"][0])
    problem(client.post("/v1/explain", json={"query": "circle", "segment_id": "nothing"}), 404)
    ordered = {"query": ["circle", "ring"], "segment_id": "nothing"}
    assert "explained one by one" in problem(client.post("/v1/explain", json=ordered), 422)


def test_a_black_box_has_no_account(tmp_path: Path, files: list[Path]) -> None:
    model = tiny.model("drl", {"interaction": "mlp"})
    with served(index_of(tmp_path / "index", files[:2], model)) as client:
        (first, _) = ask(client, explain=True)["data"]
        assert first["explanation"] is None
        assert first["strip"] == {"times": [], "shares": []}
        body = {"query": "red circle", "segment_id": first["segment_id"]}
        assert "leave_out=True says how much" in problem(client.post("/v1/explain", json=body), 422)
        account = client.post("/v1/explain", json=body | {"leave_out": True}).json()
        assert account["terms"] == []
        assert "PairPerceptron is a black box" in account["account_missing"]
        assert [word["without"] for word in account["leaving_out"]["words"]] == ["circle", "red"]


def test_the_account_without_each_word_is_that_of_the_index(client: TestClient, index: Index) -> None:
    (hit,) = index.search("a red circle", k=1)
    body = {"query": "a red circle", "segment_id": hit.segment_id}
    assert client.post("/v1/explain", json=body).json()["leaving_out"] is None
    account = client.post("/v1/explain", json=body | {"leave_out": True}).json()
    expected = index.explain("a red circle", hit, leave_out=True)
    assert expected.leaving_out is not None
    assert account == expected.to_dict()
    assert len(account["leaving_out"]["words"]) == 3


def test_a_strip_lies_along_the_whole_video(client: TestClient, index: Index, files: list[Path]) -> None:
    body = {"query": "a red circle", "video_id": video_id(files[7])}
    strip = client.post("/v1/strip", json=body).json()
    assert [(part["start"], part["end"]) for part in strip["segments"]] == [(0.0, 16.0), (16.0, 32.0)]
    scores = {hit.segment_id: hit.score for hit in index.search("a red circle", k=100)}
    for segment in strip["segments"]:
        assert segment["score"] == scores[segment["segment_id"]]
        inside = [
            share
            for time, share in zip(strip["times"], strip["shares"], strict=True)
            if segment["start"] <= time < segment["end"]
        ]
        assert sum(inside) == pytest.approx(segment["score"], abs=1e-6)
    problem(client.post("/v1/strip", json={"query": "circle", "video_id": "0" * 32}), 404)
    both = client.post("/v1/strip", json=body | {"query": ["a red circle", "a ring"]}).json()
    other = client.post("/v1/strip", json=body | {"query": "a ring"}).json()
    assert both["times"] == strip["times"]
    means = [(a + b) / 2 for a, b in zip(strip["shares"], other["shares"], strict=True)]
    assert both["shares"] == pytest.approx(means)


def test_more_like_a_segment_and_like_an_upload(client: TestClient, files: list[Path]) -> None:
    first = ask(client, k=1)["data"][0]
    answer = client.post("/v1/search", json={"video": first["segment_id"], "k": 3}).json()
    assert (answer["label"], answer["found"]) == ("similar footage", None)
    assert len(answer["data"]) == 3
    sent = client.post("/v1/uploads", content=files[2].read_bytes(), headers={"content-type": "video/mp4"})
    assert sent.status_code == 201, sent.text
    upload = sent.json()
    assert (upload["kind"], upload["expires_seconds"]) == ("video", 1800.0)
    like = client.post("/v1/search", json={"video": upload["upload_id"], "k": 1}).json()
    assert like["data"][0]["video_id"] == video_id(files[2])
    problem(client.post("/v1/search", json={"image": upload["upload_id"]}), 404)  # it is no picture
    problem(client.post("/v1/search", json={"video": "f" * 32}), 404)


def png(size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_picture_can_be_asked_with(client: TestClient, kind: str) -> None:
    sent = client.post(
        "/v1/uploads", content=png(kind=kind), headers={"content-type": f"image/{kind.lower()}"}
    )
    upload = sent.json()
    assert upload["kind"] == "image"
    answer = client.post("/v1/search", json={"image": upload["upload_id"]}).json()
    assert (len(answer["data"]), answer["label"]) == (9, "similar footage")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "GIF"])
def test_a_picture_is_read_as_python_and_the_command_line_read_it(
    client: TestClient, tmp_path: Path, kind: str
) -> None:
    tall = Image.effect_mandelbrot((90, 40), (-2, -1, 1, 1), 50).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6  # a phone that was held upright
    more: dict[str, Any] = {"exif": turned} if kind != "GIF" else {}
    if kind == "GIF":
        more = {"save_all": True, "append_images": [tall.rotate(180)], "duration": 500}
    file = tmp_path / f"picture.{kind.lower()}"
    tall.save(file, kind, **more)
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    read = read_footage(file, service.snapshot().opened().model.preprocessing)
    headers = {"content-type": f"image/{kind.lower()}"}
    upload_id = client.post("/v1/uploads", content=file.read_bytes(), headers=headers).json()["upload_id"]
    upload = service.uploads.get(upload_id)
    assert upload is not None
    np.testing.assert_array_equal(upload.frames.pixels, read.pixels)
    assert (len(read) > 1) is (kind == "GIF")


def test_an_upload_leaves_no_file(client: TestClient) -> None:
    folder = Path(client.app.state.service._folder.name)  # type: ignore[attr-defined]
    client.post("/v1/uploads", content=png(), headers={"content-type": "image/png"})
    client.post("/v1/uploads", content=b"nothing", headers={"content-type": "image/png"})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"", "image/png", 422, "is empty"),
        (b"no picture", "image/png", 422, "cannot be read; give a whole JPEG"),
        (png()[:60], "image/png", 422, "cannot be read"),
        (b"no video", "video/mp4", 422, "the video"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 422, "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "image/eps", 422, "cannot be read"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "video/mp4", 422, "the video"),
        (png(), "text/html", 415, "Content-Type"),
        (png(), "", 415, "Content-Type"),
    ],
)
def test_what_cannot_be_asked_with_is_told(
    client: TestClient, content: bytes, kind: str, status: int, message: str
) -> None:
    answer = client.post("/v1/uploads", content=content, headers={"content-type": kind})
    assert message in problem(answer, status)
    assert "vidsift-serve-" not in answer.text  # the name of our own file


def test_a_decompression_bomb_costs_only_itself(client: TestClient) -> None:
    bomb = bytearray(png((8, 8)))
    bomb[16:24] = (100_000).to_bytes(4, "big") * 2  # the header claims 100,000 x 100,000
    import zlib

    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    answer = client.post("/v1/uploads", content=bytes(bomb), headers={"content-type": "image/png"})
    problem(answer, 422)
    assert client.post("/v1/uploads", content=png(), headers={"content-type": "image/png"}).status_code == 201


def test_what_an_upload_is_can_be_found_out(client: TestClient, files: list[Path]) -> None:
    for content, kind in ((png(), "image"), (files[1].read_bytes(), "video")):
        headers = {"content-type": "application/octet-stream"}
        sent = client.post("/v1/uploads", content=content, headers=headers)
        assert (sent.status_code, sent.json()["kind"]) == (201, kind)
        answer = client.post("/v1/search", json={kind: sent.json()["upload_id"]})
        assert answer.json()["label"] == "similar footage"
    detail = problem(client.post("/v1/uploads", content=b"neither", headers=headers), 422)
    assert "the video" in detail


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ({"query": "x", "k": True}, "#/k"),
        ({"query": "x", "k": "5"}, "#/k"),
        ({"query": "x", "k": 5.0}, "#/k"),
        ({"query": "x", "explain": 1}, "#/explain"),
        ({"query": "x", "explain": "yes"}, "#/explain"),
        ({"query": "x", "min_score": "0.5"}, "#/min_score"),
        ({"query": "x", "min_confidence": True}, "#/min_confidence"),
        ({"query": "x", "candidates": "7"}, "#/candidates"),
        ({"query": "x", "filter": {"min_duration": "3"}}, "#/filter/min_duration"),
        ({"query": "x", "nonsense": 1}, "#/nonsense"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_place(
    client: TestClient, question: dict[str, Any], place: str
) -> None:
    answer = client.post("/v1/search", json=question)
    problem(answer, 422)
    assert [wrong["pointer"] for wrong in answer.json()["errors"]] == [place]
    whole = {"query": "x", "k": 1, "min_score": -5, "filter": {"min_duration": 0}}
    assert client.post("/v1/search", json=whole).status_code == 200


def test_uploads_are_limited_and_forgotten(tmp_path: Path, files: list[Path]) -> None:
    limits = ServiceLimits(image_bytes=1 << 20, video_bytes=1 << 20, uploads_held=2, body_bytes=4096)
    with served(index_of(tmp_path / "index", files[:2]), limits=limits) as client:
        large = b"\0" * ((1 << 20) + 1)
        for content in (large, iter([large[: 1 << 19]] * 3)):
            answer = client.post("/v1/uploads", content=content, headers={"content-type": "image/png"})
            assert "more than 1 MiB" in problem(answer, 413)
        keys = [
            client.post("/v1/uploads", content=png(), headers={"content-type": "image/png"}).json()[
                "upload_id"
            ]
            for _ in range(3)
        ]
        problem(client.post("/v1/search", json={"image": keys[0]}), 404)
        assert client.post("/v1/search", json={"image": keys[2]}).status_code == 200
        body = json.dumps({"query": "x" * 5000})
        assert "more than 4096 bytes" in problem(client.post("/v1/search", content=body), 413)
        parts = iter([body[:2000].encode(), body[2000:].encode()])
        kind = {"content-type": "application/json"}
        problem(client.post("/v1/search", content=parts, headers=kind), 413)


def test_uploads_at_once_are_limited(client: TestClient) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    gives = [service.upload_slots.acquire() for _ in range(service.limits.uploads_at_once)]
    answer = client.post("/v1/uploads", content=png(), headers={"content-type": "image/png"})
    assert "4 uploads are under way" in problem(answer, 429)
    for release in gives:
        release()
    assert client.post("/v1/uploads", content=png(), headers={"content-type": "image/png"}).status_code == 201


def test_too_many_parts_and_accounts_are_refused(client: TestClient) -> None:
    sums = client.post("/v1/search", json={"query": " + ".join(["ring"] * 9)})
    assert "a sum of 9 parts, expected at most 8" in problem(sums, 422)
    many = client.post("/v1/search", json={"query": "ring", "explain": True, "k": 11})
    assert "explain takes k up to 10" in problem(many, 422)


def test_thirty_two_ask_at_once_and_each_gets_its_own(client: TestClient) -> None:
    queries = [
        f"a {colour} {shape}"
        for colour in ("red", "blue", "green", "large")
        for shape in ("circle", "ring", "square", "star", "triangle", "box", "dot", "line")
    ]
    alone = [ask(client, query)["data"] for query in queries]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda query: ask(client, query)["data"], queries))
    assert together == alone
    batches = client.get("/metrics").text
    scans = float(re.findall(r"vidsift_search_batch_size_count (\S+)", batches)[0])
    sentences = float(re.findall(r"vidsift_search_batch_size_sum (\S+)", batches)[0])
    assert sentences >= 64
    assert scans < sentences, "no two sentences were answered by one scan"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "exactly one of query, video and image"),
        ({"query": "a", "video": "b"}, "exactly one of"),
        ({"video": "x" * 32, "explain": True}, "explain needs a query"),
        ({"query": []}, "query"),
        ({"query": ["a"] * 9}, "query"),
        ({"query": "a", "candidates": 5}, "scores every segment; leave candidates out"),
        ({"query": "a", "filter": {"under": "/no/such"}}, "no video of the index lies under"),
        ({"query": "a", "filter": {"under": "~nobody-there/x"}}, "no folder's name"),
        ({"query": "a", "filter": {"min_duration": -1}}, "filter.min_duration"),
        ({"query": "a", "filter": {"modified_after": "soon"}}, "filter.modified_after"),
        ({"query": "a", "filter": {"colour": "red"}}, "filter.colour"),
        ({"query": "a -"}, "needs a sentence on both sides"),
        ({"query": "a", "min_score": 1e9}, "min_score"),
    ],
)
def test_a_question_that_makes_no_sense_is_told(client: TestClient, question: Any, message: str) -> None:
    assert message in problem(client.post("/v1/search", json=question), 422)


def test_arithmetic_and_order_reach_the_index(client: TestClient, index: Index) -> None:
    summed = "a red circle + star - ring"
    assert [hit["score"] for hit in ask(client, summed)["data"]] == [
        hit.score for hit in index.search(summed)
    ]
    ordered = ask(client, ["a red circle", "a ring"])["data"]
    assert {hit["video_id"] for hit in ordered}
    assert [hit["score"] for hit in ordered] == [
        hit.score for hit in index.search(["a red circle", "a ring"])
    ]


def test_questions_are_answered_while_sentences_in_order_are_measured(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    measured: list[int] = []
    whole = calibration._calibrated_in_order

    def slow(*given: Any) -> Fits | None:
        measured.append(given[-1])
        begun.set()
        assert go_on.wait(60)
        return whole(*given)

    monkeypatch.setattr(calibration, "_calibrated_in_order", slow)
    with served(index.reopened()) as client, ThreadPoolExecutor(2) as pool:
        sentences = ["a red circle", "a ring", "a star"]
        both = [pool.submit(ask, client, sentences) for _ in range(2)]
        try:
            assert begun.wait(60)
            assert ask(client, "a red circle")["data"]
            assert ask(client, ["a circle + a star", "a ring", "a star"])["data"]
            assert not any(answer_future.done() for answer_future in both)
        finally:
            go_on.set()
        first, second = (answer_future.result()["data"] for answer_future in both)
    assert first == second
    assert first[0]["confidence"] is not None
    assert measured == [3]


def test_what_is_asked_has_a_schema() -> None:
    schema = SearchRequest.model_json_schema()
    assert schema["properties"]["k"]["maximum"] == 100


def test_an_answer_says_what_was_searched_for(client: TestClient, index: Index) -> None:
    plain, phrased = ask(client, explain=True), ask(client, 'Show me "a red circle".', explain=True)
    assert (plain["searched_for"], phrased["searched_for"]) == (None, "a red circle")
    assert (phrased["data"], phrased["found"]) == (plain["data"], plain["found"])
    assert ask(client, " a  red circle ")["searched_for"] is None
    in_order = ask(client, ["find a circle", "a ring"])
    assert in_order["searched_for"] == ["a circle", "a ring"]
    verbatim = ask(client, "find a circle", verbatim=True)
    assert verbatim["searched_for"] is None
    expected = [hit.score for hit in index.search("find a circle")]
    assert [hit["score"] for hit in verbatim["data"]] == expected
    assert expected != [hit.score for hit in index.search("a circle")]
    said = problem(
        client.post("/v1/search", json={"video": plain["data"][0]["segment_id"], "verbatim": True}), 422
    )
    assert "verbatim needs a query" in said


def test_accounts_and_strips_are_of_what_was_searched_for(client: TestClient) -> None:
    (hit,) = ask(client, k=1)["data"]
    of_hit = {"segment_id": hit["segment_id"]}
    plain = client.post("/v1/explain", json={"query": "a red circle", **of_hit}).json()
    phrased = {"query": "find a red circle.", **of_hit}
    assert client.post("/v1/explain", json=phrased).json() == plain
    verbatim = client.post("/v1/explain", json=phrased | {"verbatim": True}).json()
    assert verbatim["query"] == "find a red circle."
    assert verbatim["score"] != plain["score"]
    body = {"query": "find a red circle.", "video_id": hit["video_id"]}
    strip = client.post("/v1/strip", json=body).json()
    assert strip.pop("searched_for") == "a red circle"
    expected = client.post("/v1/strip", json=body | {"query": "a red circle"}).json()
    assert expected.pop("searched_for") is None
    assert strip == expected
    assert client.post("/v1/strip", json=body | {"verbatim": True}).json()["shares"] != strip["shares"]


def test_a_sum_that_cancels_is_refused_with_a_remedy(client: TestClient) -> None:
    for query in ("a circle - a circle", "show me a circle - A  CIRCLE.", ["a ring", "a circle - a circle"]):
        said = problem(client.post("/v1/search", json={"query": query}), 422)
        assert "takes off all that it adds" in said
        assert "take off something else" in said
