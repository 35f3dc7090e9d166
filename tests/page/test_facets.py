"""Facets: days, names and lengths of files, the order, and the moments of one video under its card."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.page.browser import HIT, hits_of, until, until_asked, until_text, visit
from tests.page.conftest import fresh_page
from tests.page.fake import Fake, Library, modified
from tests.page.test_access import PHONE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHOWN = f"document.querySelectorAll('{HIT}').length"


def address(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def focused(page: Page) -> str:
    label: str = page.evaluate("document.activeElement.getAttribute('aria-label')")
    return label


def test_days_a_name_and_minutes_are_filters_like_the_others(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog")
    page.select_option("[aria-label=Date]", label="Choose days \u2026")
    assert focused(page) == "First day"
    page.fill("[aria-label='First day']", "2026-05-01")
    page.keyboard.press("Enter")
    page.fill("[aria-label='Last day']", "2026-05-17")
    page.keyboard.press("Enter")
    page.select_option("[aria-label=Length]", label="Choose \u2026")
    page.fill("[aria-label='Minutes at least']", "0.05")
    page.keyboard.press("Enter")
    page.fill("[aria-label='File name']", " GX ")
    page.keyboard.press("Enter")
    until(page, f"{SHOWN} === 2")
    expected = {"from": ["2026-05-01"], "to": ["2026-05-17"], "longer": ["3"], "file": ["GX"], "q": ["a dog"]}
    assert address(page) == expected
    assert focused(page) == "File name"
    filters = library.requests[-1]["filter"]
    first, last = (datetime.fromisoformat(filters.pop(f"modified_{edge}")) for edge in ("after", "before"))
    # Days of the person: from the first's midnight to that which ends the last.
    assert (first.astimezone().isoformat()[:19], last.astimezone().isoformat()[:19]) == (
        "2026-05-01T00:00:00", "2026-05-18T00:00:00",
    )  # fmt: skip
    assert filters == {"name": "GX", "min_duration": 3}
    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector(HIT)
    assert page.input_value("[aria-label='Last day']") == "2026-05-17"
    assert page.input_value("[aria-label='Minutes at least']") == "0.05"
    for label, gone in (("Days", {"from", "to"}), ("Length", {"longer"})):
        page.click(f"[aria-label='{label}: leave it out']")
        until(page, "gone => !location.search.includes(gone)", min(gone))
        assert not gone & set(address(page))
    assert focused(page) == "Length"
    page.go_back()
    until(page, "document.querySelector('[aria-label=\"Minutes at least\"]').value === '0.05'")
    page.click("text=Clear filters")
    until(page, f"{SHOWN} === 9")
    assert address(page) == {"q": ["a dog"]}
    assert page.input_value("[aria-label='File name']") == ""


def test_what_is_half_typed_or_no_day_is_no_filter(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog&from=2026-13-40&longer=many")
    assert "filter" not in library.requests[-1]
    visit(page, "/?q=a+dog")
    page.select_option("[aria-label=Date]", label="Choose days \u2026")
    page.keyboard.type("05172")  # the year so far: 0002
    page.wait_for_timeout(50)
    assert "from" not in address(page)
    page.keyboard.type("026")
    until(page, "location.search.includes('from=2026-05-17')")
    # Who goes on typing is still there.
    assert focused(page) == "First day"


def test_a_choice_that_is_set_is_taken_back_beside_it(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog&under=/home/me/Videos/club&since=7d")
    page.click("[aria-label='Date Past week: leave it out']")
    until_asked(page, library, "filter", {"under": "/home/me/Videos/club"})
    assert focused(page) == "Date"
    page.focus("[aria-label='Folder club: leave it out']")
    page.keyboard.press("Enter")
    until(page, f"{SHOWN} === 9")
    assert address(page) == {"q": ["a dog"]}


def test_the_order_is_that_of_the_hits_that_were_found(page: Page, library: Library) -> None:
    visit(page, "/?q=mixed")
    ranked = hits_of(page, "mixed")
    page.select_option("[aria-label=Order]", label="Newest first")
    until_asked(page, library, "k", 96)
    assert address(page) == {"q": ["mixed"], "sort": ["date"]}
    newest = sorted(ranked[:2], key=lambda hit: hit["modified"], reverse=True)
    newest += sorted(ranked[2:], key=lambda hit: hit["modified"], reverse=True)
    order = f"[...document.querySelectorAll('{HIT}')].map(node => node.dataset.segment)"
    # What is less likely stays folded, however new it is.
    until(
        page,
        f"wanted => JSON.stringify({order}) === JSON.stringify(wanted)",
        [hit["segment_id"] for hit in newest],
    )
    assert page.locator(f".results > .cards {HIT}").count() == 2
    assert page.inner_text(".summary").endswith("in 8 videos, newest first")
    page.locator(f"{HIT} .open").first.click()
    page.keyboard.press("n")
    until(page, "segment => location.search.includes(segment)", newest[1]["segment_id"])
    visit(page, "/?q=a+dog&sort=name")
    titles = page.locator(f"{HIT} .title").all_inner_texts()
    assert titles[:4] == ["dog on the beach", "drone", "GX010117", "GX010117"]


def test_moments_of_a_video_are_listed_under_it(page: Page, library: Library) -> None:
    library.videos = [video for video in library.videos if video.duration > 30][:1] + library.videos[:1]
    visit(page, "/?q=mixed+dog&by=video")
    first, *others = hits_of(page, "mixed dog", filter={"under": library.videos[0].path})
    card = page.locator(f"{HIT}[data-video='{library.videos[0].video_id}']")
    assert page.locator(".moments").count() == 1  # the other video was compared as a whole
    card.locator("summary").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".moment-list a")
    request = library.requests[-1]
    assert (request["group_by"], request["filter"]) == ("segment", {"under": library.videos[0].path})
    shown = card.get_attribute("data-segment")
    others = [hit for hit in (first, *others) if hit["segment_id"] != shown]
    (moment,) = others
    assert card.locator(".moment-list .match").all_inner_texts() == [moment["match"].capitalize()]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".player[open]")
    assert address(page)["segment"] == [moment["segment_id"]]
    assert address(page)["by"] == ["video"]
    assert page.inner_text(".verdict-sure") == moment["match"].capitalize()
    # It stands between its video's best moment and the next video.
    page.keyboard.press("p")
    until(page, "segment => location.search.includes(segment)", shown)
    page.keyboard.press("n")
    until(page, "segment => location.search.includes(segment)", moment["segment_id"])
    page.keyboard.press("Escape")
    page.wait_for_selector(".moment-list a:focus")


def test_several_moments_are_cut_tagged_and_exported(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog")
    hits = hits_of(page, "a dog")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    page.check(f"{HIT}:nth-child(3) .select")
    assert page.inner_text(".selection strong") == "2 selected"
    chosen = [hits[0], hits[2]]
    saved: list[str] = []
    page.on("download", lambda download: saved.append(download.suggested_filename))
    page.click("text=Save as clips")
    until_text(page, ".selection > .note", "Saved 2 clips")
    assert saved == ["cut out.mp4"] * 2
    cut = [request for request in library.requests if request.get("exact")]
    assert [(each["video_id"], each["start"]) for each in cut] == [
        (hit["video_id"], hit["start"]) for hit in chosen
    ]
    library.videos[0].tags.append("old")
    page.fill("[aria-label='Tag for these']", " new ")
    page.keyboard.press("Enter")
    until_text(page, ".selection > .note", "Tagged 2 videos: new")
    tags = {video.video_id: video.tags for video in library.videos}
    assert [tags[hit["video_id"]] for hit in chosen] == [
        ["old", "new"] if hit["video_id"] == library.videos[0].video_id else ["new"] for hit in chosen
    ]
    page.wait_for_selector("[aria-label=Tag] option[value=new]", state="attached")
    page.click(".selection [type=submit]")
    until_text(page, ".selection .export .note", "Saved 2 moments; a.mp4 has a variable frame rate")
    assert [moment["start"] for moment in library.requests[-1]["moments"]] == [hit["start"] for hit in chosen]
    page.click("text=Select none")
    assert page.locator(".selection").is_hidden()
    assert page.locator(".select:checked").count() == 0
    assert focused(page).startswith("Select 1. ")


def test_the_library_is_ordered_and_narrowed_by_the_service(page: Page, library: Library) -> None:
    visit(page, "/?view=library", ".shelf .card")
    page.focus(".shelf [aria-label=Order]")
    page.select_option(".shelf [aria-label=Order]", label="Newest first")
    until_asked(page, library, "sort", "date")
    newest = sorted(library.videos, key=modified, reverse=True)
    until(
        page,
        "name => document.querySelector('.shelf .card .title').title === name",
        newest[0].path,
    )
    assert focused(page) == "Order"
    page.fill(".shelf [aria-label='File name']", "GX")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.shelf .card').length === 1")
    assert page.inner_text("#shelf-title") == "1 video called \u201cGX\u201d"
    assert address(page) == {"view": ["library"], "sort": ["date"], "file": ["GX"]}
    page.fill(".shelf [aria-label='File name']", "no such")
    page.keyboard.press("Enter")
    page.click("text=Show all videos")
    until(page, "document.querySelectorAll('.shelf .card').length === 8")


def test_on_a_phone_what_is_not_set_waits_behind_a_button(
    browser: Browser, made_up: tuple[str, Fake], library: Library
) -> None:
    for page in fresh_page(browser, made_up[0], **PHONE):
        visit(page, "/?q=a+dog&since=7d")
        assert page.locator("[aria-label=Date]").is_visible()
        assert page.locator("[aria-label=Folder]").is_hidden()
        page.tap("text=Filters >> nth=0")
        assert page.get_attribute(".all-filters", "aria-expanded") == "true"
        page.select_option("[aria-label=Date]", label="Choose days \u2026")
        until_asked(page, library, "filter", None)
        page.select_option("[aria-label=Length]", label="Choose \u2026")
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator(".select").first.check()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.select_option("[aria-label=Folder]", label="club")
        page.tap(".all-filters")
        assert page.locator("[aria-label='Folder club: leave it out']").is_visible()
        assert page.locator("[aria-label=Order]").is_hidden()
