"""Pages, filters and how sure hits have to be, as a search over HTTP shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.methods import tiny
from tests.service.serving import ask, index_of, problem, served, video_id

from vidsift.search.confidence import Fits


def test_pages_follow_one_another(client: TestClient) -> None:
    whole = ask(client, k=100)
    assert whole["next_page"] is None
    seen, page = [], None
    for count in (4, 4, 1):
        answer = ask(client, k=4, **({} if page is None else {"page": page}))
        assert len(answer["data"]) == count
        assert answer["found"] == whole["found"]
        seen += answer["data"]
        page = answer["next_page"]
    assert page is None
    assert seen == whole["data"]


def test_a_page_belongs_to_its_question(client: TestClient) -> None:
    page = ask(client, k=4)["next_page"]
    other: list[dict[str, Any]] = [
        {"query": "a blue square", "page": page},
        {"query": "a red circle", "page": page, "group_by": "video"},
        {"query": "a red circle", "page": page[:-4]},
        {"query": "a red circle", "page": "bm9wZQ"},
        {"query": "a red circle", "page": "é"},
        {"query": "a red circle", "page": "W1tbW1tbW1tb"},
    ]
    for question in other:
        assert "page is not of this question" in problem(client.post("/v1/search", json=question), 422)


def test_filters_reach_the_index(client: TestClient, files: list[Path]) -> None:
    assert len(ask(client, filter={"min_duration": 10})["data"]) == 2
    assert len(ask(client, filter={"max_duration": 10})["data"]) == 7
    assert len(ask(client, group_by="video", k=100)["data"]) == 8
    assert len(ask(client, filter={"under": str(files[0])})["data"]) == 1
    named = ask(client, filter={"name": files[0].name.upper()})["data"]
    assert [hit["path"] for hit in named] == [str(files[0])]
    old = ask(client, filter={"modified_before": "2001-01-01T00:00:00Z"})
    assert (old["data"], old["pool"]["allowed_segments"], old["pool"]["allowed_videos"]) == ([], 0, 0)
    here = ask(client, filter={"under": str(files[0])})["pool"]
    assert (here["allowed_segments"], here["allowed_videos"], here["videos"]) == (1, 1, 8)
    assert len(ask(client, filter={"modified_after": "2001-01-01"}, k=100)["data"]) == 9
    scores = [hit["score"] for hit in ask(client, k=100)["data"]]
    assert len(ask(client, k=100, min_score=scores[3])["data"]) == 4


def test_hits_that_are_not_sure_enough_are_left_out(client: TestClient) -> None:
    hits = ask(client, k=9)["data"]
    sure = [hit["confidence"] for hit in hits]
    assert sure == sorted(sure, reverse=True)
    limit = (sure[3] + sure[4]) / 2
    assert sure[3] > limit > sure[4]
    body = {"query": "a red circle", "min_confidence": limit}
    limited = ask(client, k=9, min_confidence=limit)
    assert [hit["segment_id"] for hit in limited["data"]] == [hit["segment_id"] for hit in hits[:4]]
    assert limited["found"] == ask(client, k=9)["found"]
    # Pages end where sureness does.
    ids: list[str] = []
    page: str | None = None
    for expected in (2, 2):
        body = body | {"k": 2} | ({} if page is None else {"page": page})
        answer = client.post("/v1/search", json=body).json()
        assert len(answer["data"]) == expected
        ids += [hit["segment_id"] for hit in answer["data"]]
        page = answer["next_page"]
    assert page is None
    assert ids == [hit["segment_id"] for hit in hits[:4]]
    summed = ask(client, "a red circle + circle", k=9, min_confidence=1)["data"]
    assert [hit["confidence"] for hit in summed] == [None] * 9
    assert "min_confidence" in problem(
        client.post("/v1/search", json={"query": "a", "min_confidence": 1.5}), 422
    )


def test_the_word_follows_one_rule_and_weaker_matches_can_be_left_out(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = ask(client, k=9)["data"]
    # The third lies just above chance, the best leads all other videos.
    limit = (hits[2]["score"] + hits[3]["score"]) / 2
    monkeypatch.setattr(Fits, "confidence", lambda _fits, score, _mean: 0.985 if score > limit else 0.94)
    monkeypatch.setattr(Fits, "lead", lambda _fits, score, of_others: 9.0 if score > of_others else 0.0)
    answer = ask(client, k=9)
    words = [hit["match"] for hit in answer["data"]]
    best = hits[0]["video_id"]
    expected = ["good match" if hit["video_id"] == best else "possible match" for hit in hits[:3]]
    assert words == [*expected, *["unlikely"] * 6]
    assert answer["found"] is True
    for least, count in (("good match", words.count("good match")), ("possible match", 3)):
        limited = ask(client, k=9, min_match=least)
        assert [hit["match"] for hit in limited["data"]] == words[:count]
        assert (limited["found"], limited["next_page"]) == (True, None)
    assert ask(client, k=1, min_match="possible match")["next_page"] is not None
    summed = ask(client, "a red circle + circle", k=9, min_match="good match")["data"]
    assert [hit["match"] for hit in summed] == [None] * 9
    assert "min_match" in problem(client.post("/v1/search", json={"query": "a", "min_match": "sure"}), 422)


def test_nothing_fits_is_not_said_of_a_later_page_with_a_sure_hit(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fits, "confidence", lambda *_: 0.5)
    first = ask(client, k=4)
    assert first["found"] is False
    assert ask(client, k=4, page=first["next_page"])["found"] is False
    # As where the library grew meanwhile.
    monkeypatch.setattr(Fits, "confidence", lambda *_: 0.96)
    assert ask(client, k=4, page=first["next_page"])["found"] is True


def test_limits_of_sureness_hold_for_sentences_in_order(client: TestClient) -> None:
    sentences = ["a red circle", "a ring"]
    hits = ask(client, sentences, k=9)["data"]
    sure = [hit["confidence"] for hit in hits]
    assert sure == sorted(sure, reverse=True)
    place = max(range(1, len(sure)), key=lambda at: sure[at - 1] - sure[at])
    assert sure[place - 1] > sure[place]
    sure_hits = ask(client, sentences, k=9, min_confidence=(sure[place - 1] + sure[place]) / 2)["data"]
    assert [hit["video_id"] for hit in sure_hits] == [hit["video_id"] for hit in hits[:place]]


def test_a_black_box_has_pages_below_hits_that_are_not_sure_enough(files: list[Path], tmp_path: Path) -> None:
    model = tiny.model("clip4clip", {"head": "tightTransf", "cross_layers": 1})
    with served(index_of(tmp_path / "index", files, model)) as client:
        sure = [hit["confidence"] for hit in ask(client, k=9)["data"]]
        assert sure != sorted(sure, reverse=True)
        limit, seen, page = sorted(sure)[4], [], None
        while True:
            answer = ask(client, k=1, min_confidence=limit, **({} if page is None else {"page": page}))
            seen += [hit["confidence"] for hit in answer["data"]]
            page = answer["next_page"]
            if page is None:
                break
        assert seen == [value for value in sure if value >= limit]


def test_a_video_has_to_carry_all_tags_that_are_asked_for(client: TestClient, files: list[Path]) -> None:
    first, second = video_id(files[0]), video_id(files[1])
    client.put(f"/v1/videos/{first}/tags", json={"tags": ["beach", "dog"]})
    client.put(f"/v1/videos/{second}/tags", json={"tags": ["beach"]})
    try:
        for tags, expected in ((["beach"], {first, second}), (["beach", "dog"], {first}), (["cat"], set())):
            hits = ask(client, k=9, filter={"tags": tags})["data"]
            assert {hit["video_id"] for hit in hits} == expected
    finally:
        for video in (first, second):
            client.put(f"/v1/videos/{video}/tags", json={"tags": []})
