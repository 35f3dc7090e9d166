"""The open video: plays from the moment, obeys, cuts, and closes to where one was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.page.browser import hits_of, until, visit
from tests.page.fake import SIZE_PX, Library
from tests.video.making import moved

if TYPE_CHECKING:
    from playwright.sync_api import Page

TIME = "document.querySelector('.stage video').currentTime"


def results(page: Page, query: str = "late dog") -> list[dict[str, Any]]:
    visit(page, "/?q=" + query.replace(" ", "+"))
    return hits_of(page, query)


def open_hit(page: Page, place: int) -> None:
    page.locator(".card[data-segment] .open").nth(place).click()
    page.wait_for_selector(".player[open]")
    until(page, "document.querySelector('.stage video').readyState >= 2")


def late(hits: list[dict[str, Any]]) -> int:
    return next(i for i, hit in enumerate(hits) if hit["segment_start"] > 0)


def test_a_click_plays_from_the_moment(page: Page) -> None:
    hits = results(page)
    place = late(hits)
    open_hit(page, place)
    assert hits[place]["start"] > 29
    until(page, f"{TIME} > {hits[place]['start'] + 0.3}")
    assert page.evaluate(TIME) < hits[place]["start"] + 4
    assert page.evaluate("!document.querySelector('.stage video').paused")
    assert page.evaluate("document.querySelector('.stage video').videoWidth") == SIZE_PX[0]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_file_that_starts_late_plays_from_the_moment(
    page: Page, library: Library, tmp_path: Path, suffix: str
) -> None:
    """Chromium counts from the file's own clock, which stands at 50 s when the video begins."""
    place = next(at for at, video in enumerate(library.videos) if len(video.segments) > 1)
    before = library.videos[place]
    film = moved(before.file, tmp_path / f"late{suffix}", lambda _, at: at + 50)
    library.videos[place] = replace(before, file=film, start_seconds=50.0, video_id="f" * 32)
    try:
        hits = results(page)
        which = late(hits)
        open_hit(page, which)
        start = hits[which]["start"]
        if suffix == ".mp4":  # Chromium does not go beyond a length that leaves out where the file starts
            page.wait_for_selector(".stage.failed")
            assert "cannot go to the moment" in page.inner_text(".stage .cannot")
            return
        until(page, f"{TIME} > {50 + start + 0.3}")
        assert page.evaluate(TIME) < 50 + start + 4
        page.keyboard.press("Home")
        until(page, f"{TIME} < 52")
        assert page.evaluate(TIME) >= 50
        until(page, "document.querySelector('.player .time').innerText.startsWith('0:0')")
    finally:
        library.videos[place] = before


def test_back_closes_and_the_card_has_the_focus_again(page: Page) -> None:
    hits = results(page)
    open_hit(page, 2)
    assert f"video={hits[2]['video_id']}" in page.url
    page.go_back()
    page.wait_for_selector(".player[open]", state="detached")
    assert page.evaluate("document.activeElement.closest('.card').dataset.segment") == hits[2]["segment_id"]
    assert page.evaluate("document.querySelector('.stage video').getAttribute('src')") is None
    page.go_forward()
    page.wait_for_selector(".player[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector(".player[open]", state="detached")
    assert "video=" not in page.url


def test_a_link_to_a_moment_opens_it(page: Page) -> None:
    hits = results(page)
    hit = hits[late(hits)]
    visit(
        page,
        f"/?q=late+dog&video={hit['video_id']}&segment={hit['segment_id']}&t=41.5",
        ".player[open] .receipt .word",
    )
    until(page, f"Math.abs({TIME} - 41.5) < 3 && {TIME} >= 41.4")
    page.click(".player [aria-label=Close]")
    page.wait_for_selector(".player[open]", state="detached")
    assert page.url.endswith("/?q=late+dog")


def test_a_video_that_ends_keeps_its_moment_in_the_address(page: Page) -> None:
    hits = results(page)
    place = next(i for i, hit in enumerate(hits) if hit["duration"] < 5)
    open_hit(page, place)
    before = page.url
    page.evaluate("document.querySelector('.stage video').playbackRate = 8")
    until(page, "document.querySelector('.stage video').ended")
    page.wait_for_selector("[aria-label=Play]")
    assert page.url == before
    assert f"t={hits[place]['start']:.2f}" in before


def test_a_link_to_the_end_of_a_video_shows_the_moment(page: Page) -> None:
    hits = results(page)
    hit = next(hit for hit in hits if hit["duration"] < 5)
    end = f"&video={hit['video_id']}&segment={hit['segment_id']}&t={hit['duration']:.2f}"
    # Within a page that has the hit, and as a link that knows the video alone.
    for start, query in ((hit["start"], "/?q=late+dog"), (0, "/?by=video")):
        visit(page, "/?q=late+dog")
        page.add_init_script("HTMLMediaElement.prototype.play = () => Promise.reject(new Error('still'))")
        visit(page, query + end, ".player[open] .time")
        until(page, f"Math.abs({TIME} - {start}) < 0.3")


def test_a_video_that_is_gone_is_said(page: Page) -> None:
    visit(page, "/?video=ffff", "text=This video is not in the library any more")


def test_the_timeline_is_a_slider(page: Page) -> None:
    hits = results(page)
    open_hit(page, late(hits))
    timeline = page.locator("[role=slider]")
    box = timeline.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 20)
    until(page, f"Math.abs({TIME} - 15) < 1.5")
    page.keyboard.press("k")
    until(page, "document.querySelector('.stage video').paused")
    before = page.evaluate(TIME)
    timeline.focus()
    page.keyboard.press("ArrowRight")
    until(page, f"{TIME} > {before + 0.5}")
    page.keyboard.press("Home")
    until(page, f"{TIME} === 0")
    # It is said with the player's next sign of life, a quarter of a second later at most.
    spoken = "document.querySelector('[role=slider]').getAttribute('aria-valuetext')"
    until(page, f"{spoken} === '0 seconds of 1 minute'")
    assert timeline.get_attribute("aria-valuemax") == "60.0"


def test_the_neighbours_are_a_key_away(page: Page) -> None:
    hits = results(page)
    open_hit(page, 0)
    assert page.locator("[aria-label='Previous result']").is_disabled()
    page.keyboard.press("n")
    until(page, "wanted => location.search.includes(wanted)", f"segment={hits[1]['segment_id']}")
    page.keyboard.press("p")
    until(page, "wanted => location.search.includes(wanted)", f"segment={hits[0]['segment_id']}")
    page.go_back()
    page.wait_for_selector(".player[open]", state="detached")


def test_cut_and_download(page: Page, library: Library) -> None:
    hits = results(page)
    place = late(hits)
    open_hit(page, place)
    page.click("text=Cut and download")
    assert page.input_value("[aria-label=From]") == f"0:{hits[place]['start']:04.1f}"
    page.fill("[aria-label=From]", "0:31")
    page.fill("[aria-label=To]", "0:12")
    assert "The end has to come after the start" in page.inner_text(".cut")
    assert page.locator("text=Download >> nth=-1").is_disabled()
    page.fill("[aria-label=To]", "34,5")
    with page.expect_download() as loaded:
        page.click(".cut [type=submit]")
    assert loaded.value.suggested_filename == "cut out.mp4"
    assert loaded.value.path().read_bytes() == library.videos[2].file.read_bytes()
    assert library.requests[-1] == {
        "video_id": hits[place]["video_id"],
        "start": 31,
        "end": 34.5,
        "exact": True,
    }
    page.focus("[role=slider]")
    page.keyboard.press("Home")
    page.keyboard.press("i")
    assert page.input_value("[aria-label=From]").startswith("0:0")


def test_tags_are_added_and_removed(page: Page, library: Library) -> None:
    results(page)
    open_hit(page, 0)
    page.fill("[aria-label='New tag']", "<b>holiday</b>")
    page.press("[aria-label='New tag']", "Enter")
    page.wait_for_selector(".tag >> text=<b>holiday</b>")
    assert ["<b>holiday</b>"] in [video.tags for video in library.videos]
    page.click("[aria-label='Remove the tag <b>holiday</b>']")
    page.wait_for_selector(".tag", state="detached")
    assert all(not video.tags for video in library.videos)


def test_a_file_that_the_browser_cannot_play_still_shows_its_frames(page: Page) -> None:
    page.route(
        "**/media", lambda route: route.fulfill(status=200, content_type="video/mp4", body=b"no video")
    )
    results(page, "a dog")
    page.locator(".card[data-segment] .open").first.click()
    page.wait_for_selector("text=This browser cannot play the file")
    page.wait_for_selector(".frames img")
    until(page, "document.querySelector('.frames img').naturalWidth > 0")
