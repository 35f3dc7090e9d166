"""The library: folders, failures, jobs, and the first run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.page.browser import until, until_text, visit
from tests.page.fake import HOSTILE, Library, make_job

if TYPE_CHECKING:
    from playwright.sync_api import Page

REASON = "the file ends in the middle of a picture; copy it again"


@pytest.fixture
def shelf(page: Page, library: Library) -> Page:
    library.failures = [
        {"path": "/home/me/Videos/club/broken.mp4", "reason": REASON},
        {"path": "/home/me/Videos/club/" + HOSTILE, "reason": "<b>no</b> video stream"},
    ]
    visit(page, "/?view=library", ".folder-list li")
    return page


def test_folders_counts_and_failures_with_reasons(shelf: Page) -> None:
    assert shelf.title() == "Library \u2013 vidsift"
    rows = shelf.locator(".folder-list li")
    assert rows.locator(".folder-name").all_inner_texts() == [
        "/home/me/Videos/club",
        "/home/me/Videos/holiday",
    ]
    assert rows.locator(".folder-counts").all_inner_texts() == ["4 videos \u00b7 2 not readable", "4 videos"]
    facts = shelf.locator(".big-facts dd").all_inner_texts()
    assert facts == ["8", "2", "2"]
    assert shelf.locator(".big-facts dt").all_inner_texts() == ["videos", "minutes in all", "not readable"]
    assert shelf.locator(".failure-reason").all_inner_texts() == [REASON, "<b>no</b> video stream"]
    until(shelf, "document.querySelectorAll('.shelf .card').length === 8")


def test_only_details_speak_of_models_and_segments(shelf: Page) -> None:
    words = shelf.inner_text(".library").lower()
    assert not [word for word in ("segment", "wti", "clip-vit", "calibrat", " ms") if word in words]
    shelf.click("text=Technical details")
    assert shelf.locator(".pairs dd").all_inner_texts() == [
        "openai/clip-vit-base-patch32", "wti", "9 segments", "48 MB",
    ]  # fmt: skip


def test_a_file_that_was_read_in_part_has_its_reason_below_its_name(page: Page, library: Library) -> None:
    library.partial = [{"path": "/home/me/Videos/club/short.mp4", "reason": REASON}]
    visit(page, "/?view=library", ".failure-list li")
    name, reason = page.locator(".failure-name"), page.locator(".failure-reason")
    assert (name.inner_text(), reason.inner_text()) == ("/home/me/Videos/club/short.mp4", REASON)
    above, below = name.bounding_box(), reason.bounding_box()
    assert above
    assert below
    assert below["y"] >= above["y"] + above["height"]


def test_copies_explain_why_folders_count_more_than_there_are_videos(page: Page, library: Library) -> None:
    visit(page, "/?view=library", ".folder-list li")
    assert page.locator(".copies").count() == 0
    library.copies = 1
    visit(page, "/?view=library", ".copies")
    assert page.inner_text(".copies") == (
        "9 files hold 8 different videos: one that lies in several places is found once."
    )


def test_a_folder_shows_its_videos_and_a_video_opens(shelf: Page) -> None:
    shelf.click(".folder-name >> nth=1")
    until_text(shelf, "#shelf-title", "4 videos in /home/me/Videos/holiday")
    until(shelf, "document.querySelectorAll('.shelf .card').length === 4")
    shelf.click(".shelf .open >> nth=0")
    shelf.wait_for_selector(".player[open]")
    until_text(shelf, ".player h2", "IMG_2041")
    shelf.keyboard.press("Escape")
    shelf.wait_for_selector(".player[open]", state="detached")
    shelf.go_back()
    until(shelf, "document.querySelectorAll('.shelf .card').length === 8")


def test_failures_are_tried_again(shelf: Page, library: Library) -> None:
    shelf.click("text=Try these again")
    shelf.wait_for_selector(".job >> text=Trying again")
    assert library.requests[-1] == {"action": "retry", "folders": []}
    library.failures = []
    shelf.wait_for_selector(".job[data-state=done]")
    shelf.wait_for_selector(".failures", state="hidden")


def test_a_job_shows_its_progress_and_what_came_of_it(shelf: Page, library: Library) -> None:
    library.job_step_seconds = 0.15
    shelf.fill(".add-folder input", "/home/me/More")
    shelf.click("text=Add folder")
    job = shelf.locator(".job")
    until(shelf, "document.querySelector('.job progress').value >= 0.25")
    assert library.requests[-1] == {"action": "add", "folders": ["/home/me/More"]}
    assert job.locator("h2").inner_text() == "Adding /home/me/More"
    assert "of 8 videos" in job.locator(".note").inner_text()
    shelf.wait_for_selector(".job[data-state=done]")
    assert job.locator(".note").inner_text() == "Done: 8 of 8 videos, 12 seconds"
    assert shelf.evaluate("document.querySelector('.job progress').value") == 1
    until(shelf, "document.querySelector('#said').textContent.startsWith('Done')")


def test_a_job_tells_what_is_away(shelf: Page, library: Library) -> None:
    library.job_step_seconds = 0.05
    library.jobs["e" * 16] = make_job("e" * 16, "update", ["/mnt/drive"], report={"missing_count": 1})
    shelf.reload(wait_until="domcontentloaded")
    shelf.wait_for_selector(".job[data-state=done]")
    assert shelf.locator(".job .note").inner_text() == (
        "Done: 8 of 8 videos, 12 seconds. Not there now: 1 place, whose videos stay in the library"
    )


def test_a_job_is_paused_goes_on_and_is_cancelled(shelf: Page, library: Library) -> None:
    library.job_step_seconds = 0.1
    library.jobs["f" * 16] = make_job("f" * 16, "update", ["/home/me/Videos/club"])
    library.jobs["f" * 16]["progress"]["videos_total"] = 10_000
    shelf.reload(wait_until="domcontentloaded")
    shelf.click(".job >> text=Pause")
    shelf.wait_for_selector(".job[data-state=paused]")
    assert shelf.locator(".job .note").inner_text().startswith("Paused. ")
    shelf.click(".job >> text=Go on")
    shelf.wait_for_selector(".job[data-state=running]")
    shelf.click(".job >> text=Cancel")
    shelf.wait_for_selector(".job[data-state=cancelled]")
    assert library.jobs["f" * 16]["state"] == "cancelled"


def test_only_the_job_at_work_is_followed_and_those_that_wait_cannot_pause(
    shelf: Page, library: Library
) -> None:
    library.job_step_seconds = 0.4
    followed: list[str] = []
    shelf.on("request", lambda request: followed.append(request.url) if "/events" in request.url else None)
    for number in range(8):
        name = f"{number:016x}"
        library.jobs[name] = make_job(name, "add", [f"/home/me/{number}"])
    library.jobs[f"{0:016x}"] |= {"state": "running"}
    shelf.reload(wait_until="domcontentloaded")
    until(shelf, "document.querySelectorAll('.job').length === 8")
    assert shelf.locator(".job h2").last.inner_text() == "Adding /home/me/0"
    assert shelf.locator(".job >> text=Pause").count() == 1
    assert shelf.locator(".job[data-state=queued] >> text=Cancel").count() == 7
    assert [url.split("/")[-2] for url in followed] == [f"{0:016x}"]
    del library.jobs[f"{3:016x}"]
    shelf.wait_for_selector("text=The service knows this work no more")
    assert shelf.locator(".job[data-state=lost]").count() == 1
    shelf.click("a[aria-label='vidsift, start page']")
    shelf.wait_for_selector(".home .card")
    events_before = len(followed)
    shelf.wait_for_timeout(300)
    assert len(followed) == events_before


def test_a_folder_that_is_not_there_is_said_at_its_place_until_it_is_mended(
    shelf: Page, library: Library
) -> None:
    shelf.fill(".add-folder input", "/missing")
    shelf.press(".add-folder input", "Enter")
    library.job_step_seconds = 60
    wrong = shelf.locator(".adding .wrong")
    until_text(shelf, ".adding .wrong", "'/missing' is not there, or may not be read; check its name")
    assert shelf.input_value(".add-folder input") == "/missing"
    assert shelf.get_attribute(".add-folder input", "aria-describedby") == wrong.get_attribute("id")
    assert shelf.get_attribute(".add-folder input", "aria-invalid") == "true"
    until_text(shelf, "#said", wrong.inner_text())
    shelf.press(".add-folder input", "End")
    shelf.keyboard.type("/2024")
    assert wrong.inner_text() == ""
    shelf.fill(".add-folder input", "'/home/me/2024'")
    shelf.press(".add-folder input", "Enter")
    shelf.wait_for_selector(".job")
    assert library.requests[-1]["folders"] == ["'/home/me/2024'"]
    assert shelf.input_value(".add-folder input") == ""
    until_text(shelf, "#said", "Adding '/home/me/2024'")


def test_a_folder_is_chosen_by_keyboard(shelf: Page, library: Library) -> None:
    shelf.focus(".add-folder >> text=Choose")
    shelf.keyboard.press("Enter")
    until_text(shelf, ".chooser h3", "/home/me")
    assert shelf.locator(".chooser-list button").all_inner_texts() == [
        "The folder above", "Films", "Music", "\u05d1\u05d9\u05ea",
    ]  # fmt: skip
    assert shelf.locator(".places button").all_inner_texts() == ["disk"]
    shelf.focus(".chooser-list button:has-text('Films')")
    shelf.keyboard.press("Enter")
    until_text(shelf, ".chooser h3", "/home/me/Films")
    # Who works by keyboard goes on in the list.
    assert shelf.evaluate("document.activeElement.textContent") == "The folder above"
    for _ in range(2):
        shelf.keyboard.press("Tab")
    shelf.keyboard.press("Enter")
    until_text(shelf, ".chooser .note", "No folder in it. Add it if its videos are here.")
    assert shelf.input_value(".add-folder input") == "/home/me/Films/2025"
    shelf.click("text=Add folder")
    shelf.wait_for_selector(".job >> text=Adding /home/me/Films/2025")
    assert library.requests[-1] == {"action": "add", "folders": ["/home/me/Films/2025"]}
    assert shelf.locator(".chooser").is_hidden()


def test_what_was_typed_and_is_no_folder_begins_where_people_begin(shelf: Page) -> None:
    shelf.fill(".add-folder input", "/missing")
    shelf.click(".add-folder >> text=Choose")
    until_text(shelf, ".chooser h3", "/home/me")
    assert shelf.locator(".adding .wrong").inner_text() == ""


def test_a_service_that_shows_no_folders_has_no_chooser(page: Page, library: Library) -> None:
    library.folder_chooser = False
    visit(page, "/?view=library", ".folder-list li")
    assert page.locator(".add-folder >> text=Choose").is_hidden()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (40, "less than a minute"),
        (100, "about 2 minutes"),
        (560, "about 9 minutes"),
        (5000, "about 1.5 hours"),
    ],
)
def test_time_left_is_as_rough_as_it_is_known(shelf: Page, seconds: float, words: str) -> None:
    assert shelf.evaluate("async s => (await import('/page/format.js')).about(s)", seconds) == words


def test_a_job_says_what_it_is_at_and_judges_the_rest_by_what_was_read(shelf: Page, library: Library) -> None:
    library.job_step_seconds = 60
    job = library.jobs["a" * 16] = make_job("a" * 16, "add", ["/home/me/More"], state="running")
    job["progress"] |= {"step": "starting", "videos_total": 0}
    shelf.reload(wait_until="domcontentloaded")
    until_text(shelf, ".job .note", "Starting the model \u2026")
    # The ten minutes in which the model was fetched say nothing of the videos to come.
    job["progress"] |= {"step": "reading", "videos_total": 8, "videos_done": 4, "seconds": 700}
    job["progress"] |= {"reading_seconds": 100}
    shelf.reload(wait_until="domcontentloaded")
    until_text(shelf, ".job .note", "4 of 8 videos, about 2 minutes left")


def test_removing_a_folder_asks_first(shelf: Page, library: Library) -> None:
    shelf.click("[aria-label='Remove /home/me/Videos/club from the library']")
    assert "The files stay." in shelf.inner_text(".folder-list li >> nth=0")
    assert not [request for request in library.requests if request.get("action") == "remove"]
    shelf.click("text=Remove from the library")
    shelf.wait_for_selector(".job >> text=Removing")
    assert library.requests[-1] == {"action": "remove", "folders": ["/home/me/Videos/club"]}


def test_a_library_that_cannot_be_read_says_why(page: Page, library: Library) -> None:
    library.broken = True
    page.goto("/?view=library", wait_until="domcontentloaded")
    assert "the disk is gone; plug it in again" in page.locator("[role=alert]").inner_text()


def test_the_first_run_asks_for_a_folder_and_ends_in_a_library(page: Page, library: Library) -> None:
    videos, library.videos = library.videos, []
    page.goto("/", wait_until="domcontentloaded")
    assert page.inner_text(".first h2") == "Add a folder of videos"
    assert page.locator(".filters").is_hidden()
    page.fill(".add-folder input", "/home/me/Videos")
    page.press(".add-folder input", "Enter")
    page.wait_for_selector(".job")
    library.videos = videos
    page.wait_for_selector(".home .card")
    assert page.locator(".filters").is_visible()
    assert page.locator("#foot").inner_text().startswith("8 videos")


@pytest.fixture
def many(page: Page, library: Library) -> Page:
    first = library.videos[0]
    library.videos = [replace(first, video_id=f"{number:032x}") for number in range(200)]
    visit(page, "/?view=library", ".shelf .card")
    return page


TILES = "document.querySelectorAll('.shelf .card').length"


def test_a_long_shelf_comes_page_by_page_as_it_is_scrolled(many: Page) -> None:
    many.wait_for_timeout(500)
    shown = many.evaluate(TILES)
    assert shown in (24, 48)  # no more than stand near the window
    for _ in range(8):
        many.evaluate("scrollTo(0, document.body.scrollHeight)")
        until(many, f"count => {TILES} > count || {TILES} === 200", shown)
        shown = many.evaluate(TILES)
    assert shown == 200
    assert many.locator(".shelf-more").count() == 0
    identities = many.locator(".shelf .card a").evaluate_all("all => all.map(it => it.href)")
    assert len(set(identities)) == 200


def test_a_page_that_does_not_come_can_be_asked_for_again_by_keyboard(many: Page) -> None:
    many.wait_for_timeout(500)
    shown = many.evaluate(TILES)
    many.route("**/v1/videos?*", lambda route: route.abort())
    many.evaluate("document.querySelector('.shelf-more').scrollIntoView()")
    many.wait_for_selector(".jobs [role=alert], .jobs .trouble, .library .message")
    assert many.evaluate(TILES) == shown
    many.unroute("**/v1/videos?*")
    many.locator(".shelf-more").focus()
    many.keyboard.press("Enter")
    until(many, f"count => {TILES} > count", shown)
    assert (
        many.evaluate("[...document.querySelectorAll('.shelf .card a')].indexOf(document.activeElement)")
        == shown
    )


def look_for_changes(page: Page) -> None:
    """Have the library looked at anew, as at the end of any work on it."""
    page.evaluate("document.querySelector('.folder-ways button').click()")
    page.wait_for_selector(".job[data-state=done]", state="attached")
    page.wait_for_timeout(1800)  # the library looks twice


def test_a_shelf_that_was_scrolled_stays_when_work_ends(many: Page) -> None:
    while (count := many.evaluate(TILES)) < 96:
        many.evaluate("scrollTo(0, document.body.scrollHeight)")
        until(many, f"count => {TILES} > count", count)
    shown, at = many.evaluate(TILES), many.evaluate("scrollY")
    many.evaluate("document.querySelectorAll('.shelf .card a')[60].focus({ preventScroll: true })")
    look_for_changes(many)
    assert many.evaluate(TILES) >= shown
    assert many.evaluate("scrollY") == pytest.approx(at, abs=300)  # the line of the work stands above
    assert (
        many.evaluate("[...document.querySelectorAll('.shelf .card a')].indexOf(document.activeElement)")
        == 60
    )


def test_a_page_of_the_shelf_as_it_was_is_not_put_behind_the_new_one(many: Page) -> None:
    many.wait_for_timeout(500)
    held: list[Any] = []
    many.route("**/v1/videos?*page=*", lambda route: held.append(route) if not held else route.continue_())
    many.evaluate("scrollTo(0, document.body.scrollHeight)")
    while not held:
        many.wait_for_timeout(20)
    many.evaluate("scrollTo(0, 0)")
    look_for_changes(many)
    held[0].continue_()
    many.wait_for_timeout(500)
    numbers = many.locator(".shelf .card a").evaluate_all(
        "all => all.map(it => parseInt(new URL(it.href).searchParams.get('video'), 16))"
    )
    assert numbers == list(range(len(numbers)))
