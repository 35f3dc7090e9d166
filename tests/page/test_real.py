"""The page on the real service: Shapes are indexed from the page, found, played, accounted for, cut."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from tests.page.browser import HIT, hits_of, serving, shown_number, until, visit, why_not
from tests.page.conftest import fresh_page

from vidsift.shapes.library import DrawnVideo, draw_split, write_video
from vidsift.shapes.render import render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from vidsift.service.job_process import JobControls, JobSpec

SECONDS, FPS, SIZE_PX, LONG = 4, 12, 128, 10
TIME = "document.querySelector('.stage video').currentTime"
BROKEN = "broken & <b>bold.mp4"


@dataclass
class Shown:
    """A served library that a page has made, and what is in it."""

    address: str
    folder: Path
    clips: list[DrawnVideo]
    go_on: threading.Event


def write_long(path: Path, clips: list[DrawnVideo]) -> None:
    """One video of many scenes, four seconds each."""
    with av.open(str(path), "w", format="mp4") as container:
        track = cast(Any, container.add_stream("libx264", rate=Fraction(FPS)))
        track.width = track.height = SIZE_PX
        track.pix_fmt = "yuv420p"
        track.options = {"preset": "veryfast", "threads": "1", "g": str(FPS)}
        for clip in clips:
            for picture in render(clip.scene, np.arange(SECONDS * FPS) / FPS, SIZE_PX):
                container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(track.encode())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A service whose index is not there yet, and a folder: six short videos, a long one, a broken one."""
    if reason := why_not():
        pytest.skip(reason)
    from vidsift.service.app import create_app
    from vidsift.service.job_process import run_job
    from vidsift.service.limits import ServiceLimits

    place = tmp_path_factory.mktemp("real")
    folder = place / "videos"
    folder.mkdir()
    clips = draw_split("test", 16, 3)
    write_long(folder / "long.mp4", clips[:LONG])
    for clip in clips[LONG:]:
        write_video(folder / clip.name, clip.scene)
    (folder / BROKEN).write_bytes(b"no video at all")
    go_on = threading.Event()

    def work(task: JobSpec, controls: JobControls) -> dict[str, Any]:
        # The job waits until the page has been looked at.
        go_on.wait(60)
        return run_job(task, controls)

    app = create_app(place / "index", run_job=work, model="shapes", limits=ServiceLimits(poll_seconds=0.05))
    with serving(app) as address:
        yield Shown(address, folder, clips, go_on)


@pytest.fixture(scope="module")
def made(browser: Browser, served: Shown) -> Shown:
    """The same once the page has made a library of the folder, by keyboard alone."""
    for page in fresh_page(browser, served.address):
        page.set_default_timeout(60_000)
        visit(page, "/", ".first")
        page.focus(".add-folder input")
        page.keyboard.type(str(served.folder))
        page.keyboard.press("Enter")
        page.wait_for_selector(".job[data-state=running]")
        assert page.inner_text(".job h2") == f"Adding {served.folder}"
        served.go_on.set()
        page.wait_for_selector(".home .card")
        assert page.locator(".home .card").count() == 7
        assert page.inner_text("#foot").startswith("7 videos")
    return served


@pytest.fixture
def page(browser: Browser, made: Shown) -> Iterator[Page]:
    yield from fresh_page(browser, made.address)


def account_of(page: Page, query: str, hit: dict[str, Any]) -> dict[str, Any]:
    answer = page.request.post(
        "/v1/explain", data={"query": query, "segment_id": hit["segment_id"], "leave_out": "auto"}
    )
    account: dict[str, Any] = answer.json()
    return account


def test_a_scene_of_a_long_video_is_found_and_plays_from_its_second(page: Page, made: Shown) -> None:
    place = LONG - 2
    query = made.clips[place].captions[0]
    visit(page, "/", ".home .card")
    page.keyboard.press("/")  # the question has the focus already, and no slash gets into it
    page.keyboard.type(query)
    assert page.input_value("#query") == query
    page.keyboard.press("Enter")
    page.wait_for_selector(HIT)
    hits = hits_of(page, query)
    assert page.locator(HIT).evaluate_all("all => all.map(node => node.dataset.segment)") == [
        hit["segment_id"] for hit in hits
    ]
    at = next(
        i for i, hit in enumerate(hits) if hit["path"].endswith("long.mp4") and hit["segment_start"] > 0
    )
    assert hits[at]["start"] >= SECONDS * LONG / 2
    page.keyboard.press("ArrowDown")
    wanted = f".card[data-segment='{hits[at]['segment_id']}'] .open:focus"
    for _ in range(len(hits) + 2):
        if page.locator(wanted).count():
            break
        page.keyboard.press(
            "Enter" if page.locator(".fold:not([open]) summary:focus").count() else "ArrowRight"
        )
    page.keyboard.press("Enter")
    page.wait_for_selector(".player[open]")
    until(page, f"{TIME} > {hits[at]['start'] + 0.2}")
    assert page.evaluate(TIME) < hits[at]["start"] + 4
    assert page.evaluate("document.querySelector('.stage video').videoWidth") == SIZE_PX


def test_words_frames_and_strips_agree_with_the_account(page: Page, made: Shown) -> None:
    query = made.clips[LONG].captions[0]
    visit(page, "/?q=" + query.replace(" ", "+").replace(",", "%2C"))
    hit = hits_of(page, query)[0]
    account = account_of(page, query, hit)
    term = next(term for term in account["terms"] if term["times_seconds"])
    assert account["score"] == pytest.approx(hit["score"], abs=1e-6)
    assert np.sum(term["contributions"]) == pytest.approx(hit["score"], abs=1e-6)
    page.wait_for_selector(".words .chip")
    assert page.locator(".words .chip").all_inner_texts() == [word["word"] for word in account["words"]]
    card = page.locator(HIT).first
    cells = card.locator(".strip-cell").evaluate_all("all => all.map(node => Number(node.dataset.value))")
    assert cells == pytest.approx(hit["strip"]["shares"], abs=1e-6)
    assert sum(cells) == pytest.approx(hit["score"], abs=1e-5)
    assert account["words_carry"]
    owners = np.array(term["word_of_token"])
    of_words = np.stack(
        [np.mean(np.array(term["values"])[owners == word], axis=0) for word in range(len(account["words"]))]
    )
    place = int(np.argmax(np.max(of_words, axis=1)))
    page.locator(".words .chip").nth(place).hover()
    page.wait_for_selector(f"{HIT} .strip[data-kind=word]")
    cells = card.locator(".strip-cell").evaluate_all("all => all.map(node => Number(node.dataset.value))")
    assert cells == pytest.approx(of_words[place], abs=1e-6)

    card.locator(".open").click()
    page.wait_for_selector(".receipt .word")
    shown = page.locator(".receipt .word").evaluate_all("all => all.map(node => Number(node.dataset.value))")
    assert shown == pytest.approx([word["contribution"] for word in account["words"]], abs=1e-7)
    page.click("text=All the numbers")
    page.wait_for_selector(".sum")
    rows = page.locator(".sum tbody tr")
    gave = [shown_number(text) for text in rows.locator(".gave").all_inner_texts()]
    assert round(sum(gave), 4) == round(hit["score"], 4) == shown_number(page.inner_text(".sum .score"))
    exact = rows.evaluate_all("all => all.map(node => Number(node.dataset.value))")
    assert sum(exact) == pytest.approx(np.sum(term["contributions"]), abs=1e-6)
    page.locator(".frame-button").nth(1).hover()
    best = page.locator(".receipt .word.best").get_attribute("data-place")
    assert best == str(int(np.argmax(of_words[:, 1])))


def test_the_pages_of_a_question_belong_to_it_also_where_the_date_moves_on(page: Page, made: Shown) -> None:
    # Three hits at once instead of two dozen, so that eight segments make several pages.
    def fewer(route: Any) -> None:
        route.continue_(post_data=route.request.post_data.replace('"k":24', '"k":3'))

    page.route("**/v1/search", fewer)
    visit(page, "/?q=a+red+circle&since=7d", f"{HIT}, .fold:not([hidden])")
    assert page.locator(HIT).count() == 3
    for shown in (6, 8):
        page.wait_for_timeout(20)
        if page.locator(".fold:not([open])").is_visible():
            page.click(".fold summary")
        page.click(".below button")
        until(page, f"document.querySelectorAll('{HIT}').length === {shown}")
    ids = page.locator(HIT).evaluate_all("all => all.map(node => node.dataset.segment)")
    assert len(set(ids)) == 8
    assert page.locator(".below button").count() == 0


def test_a_long_question_is_refused_in_words(page: Page) -> None:
    visit(page, "/", ".home .card")
    page.fill("#query", "circle " * 99)
    page.press("#query", "Enter")
    assert "the model takes" in page.locator("[role=alert]").inner_text()


def test_the_library_lists_the_broken_file_with_its_reason(page: Page, made: Shown) -> None:
    visit(page, "/?view=library", ".folder-list li")
    assert page.locator(".folder-name").all_inner_texts() == [str(made.folder)]
    assert page.inner_text(".folder-counts") == "7 videos \u00b7 1 not readable"
    assert page.inner_text(".failure-name") == str(made.folder / BROKEN)
    assert len(page.inner_text(".failure-reason")) > 10
    page.click("text=Try these again")
    page.wait_for_selector(".job[data-state=done]")
    assert page.inner_text(".failure-name") == str(made.folder / BROKEN)


def test_a_picture_finds_the_video_that_it_is_from(page: Page, made: Shown) -> None:
    from PIL import Image

    clip = made.clips[LONG + 1]
    held = BytesIO()
    Image.fromarray(render(clip.scene, np.array([1.0]), SIZE_PX)[0]).save(held, "png")
    visit(page, "/", ".home .card")
    look = {"name": "look.png", "mimeType": "image/png", "buffer": held.getvalue()}
    page.set_input_files("input[type=file]", cast(Any, look))
    page.wait_for_selector(HIT)
    assert page.inner_text(".summary").startswith("Similar footage")
    assert page.locator(f"{HIT} .title").first.inner_text() == clip.name.removesuffix(".mp4")


def test_seconds_are_cut_out_and_saved(page: Page, made: Shown) -> None:
    query = made.clips[2].captions[0]
    visit(page, "/?q=" + query.replace(" ", "+").replace(",", "%2C"))
    page.locator(f"{HIT} .open", has_text="long").first.click()
    page.click("text=Cut and download")
    page.fill("[aria-label=From]", "0:08")
    page.fill("[aria-label=To]", "0:12")
    with page.expect_download() as loaded:
        page.click(".cut [type=submit]")
    assert loaded.value.suggested_filename.endswith(".mp4")
    with av.open(str(loaded.value.path())) as cut:
        assert cut.duration is not None
        assert 3.9 <= cut.duration / 1e6 <= 6


def test_tags_are_kept_and_can_be_searched_in(page: Page, made: Shown) -> None:
    query = made.clips[LONG].captions[0]
    visit(page, "/?q=" + query.replace(" ", "+").replace(",", "%2C"))
    page.locator(f"{HIT} .open").first.click()
    page.fill("[aria-label='New tag']", "<i>mine</i>")
    page.press("[aria-label='New tag']", "Enter")
    page.wait_for_selector(".tag >> text=<i>mine</i>")
    page.keyboard.press("Escape")
    visit(page, page.url)
    page.select_option("[aria-label=Tag]", "<i>mine</i>")
    until(page, f"document.querySelectorAll('{HIT}').length === 1")
