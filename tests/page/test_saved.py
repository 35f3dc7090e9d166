"""What people save: searches under a name, and moments that they put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.page.browser import until, until_asked, until_text, visit
from tests.page.conftest import fresh_page
from tests.page.fake import Fake, Library
from tests.page.test_access import violations_in_both_colours

from vidsift.index.moment_collections import CollectedMoment, MomentCollections
from vidsift.index.saved_searches import SavedSearches

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FILTERS = "&verbatim=1&by=video&sort=date&longer=5&since=7d&tag=beach&sure=good"
LONG = f"{2:032x}"
"""The video of a minute."""


def searches(library: Library) -> list[tuple[str, Any]]:
    return [(search.name, search.question) for search in SavedSearches(library.saved.path).read()]


def collections(library: Library) -> dict[str, list[tuple[str, float, float]]]:
    return {
        collection.name: [
            (moment.video_id, moment.start_seconds, moment.end_seconds) for moment in collection.moments
        ]
        for collection in MomentCollections(library.saved.path).read()
    }


def collect(library: Library, name: str, *moments: tuple[str, float, float]) -> str:
    """Make a collection behind the page's back."""
    held = MomentCollections(library.saved.path)
    made = held.add(name).entry_id
    held.add_moments(
        made, [CollectedMoment("", video, "/gone/party.mp4", start, end) for video, start, end in moments]
    )
    return made


def active(page: Page, what: str = "textContent") -> Any:
    return page.evaluate(f"document.activeElement.{what}")


def test_a_search_is_saved_as_it_was_set_and_opened_again(page: Page, library: Library) -> None:
    visit(page, f"/?q=a+dog&q=runs{FILTERS}", ".save-search")
    address = page.evaluate("location.search")
    page.click("text=Save this search")
    assert page.input_value(".save-search input") == "a dog \u203a runs"
    page.keyboard.type("Beach")
    page.keyboard.press("Enter")
    until_text(page, ".save-search .note", "Saved as Beach")
    assert searches(library) == [
        (
            "Beach",
            {
                "query": ["a dog", "runs"],
                "verbatim": True,
                "group_by": "video",
                "filter": {"tags": ["beach"], "min_duration": 5.0},
                "within_days": 7,
                "sort": "date",
                "min_match": "good match",
            },
        )
    ]
    # The start page offers it, and asks it as it was.
    visit(page, "/", ".named-link")
    page.click(".named-link >> text=Beach")
    until(page, "address => location.search === address", address)
    until_asked(page, library, "min_match", "good match")


def test_days_come_back_as_they_were_chosen(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog&file=GX&from=2026-05-17&to=2026-05-18&least=0.25", ".save-search")
    address = page.evaluate("location.search")
    # An address by hand may have an age too, which then counts for nothing.
    visit(page, f"/{address}&since=7d", ".save-search")
    page.click("text=Save this search")
    page.keyboard.press("Enter")
    until_text(page, ".save-search .note", "Saved as a dog")
    visit(page, "/?view=saved", ".named-link")
    page.click(".named-link")
    until(page, "address => location.search === address", address)


def test_saved_searches_are_renamed_and_deleted_by_keyboard(page: Page, library: Library) -> None:
    for name in ("first", "second"):
        SavedSearches(library.saved.path).add(name, {"query": "a dog"})
    visit(page, "/?view=saved", ".named-link")
    page.focus("[aria-label='Rename first']")
    page.keyboard.press("Enter")
    page.keyboard.type("SECOND")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.named .wrong:not(:empty)')?.textContent.includes('is taken')")
    page.keyboard.press("Escape")
    assert active(page, "ariaLabel") == "Rename first"
    page.keyboard.press("Enter")
    page.keyboard.type("third")
    page.keyboard.press("Enter")
    until(page, "document.activeElement.ariaLabel === 'Rename third'")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert active(page) == "Delete this search"
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.named').length === 1")
    assert active(page) == "second"
    assert [name for name, _ in searches(library)] == ["second"]
    page.click("text=Delete")
    page.click("text=Delete this search")
    page.wait_for_selector("text=None yet: \u201cSave this search\u201d")
    assert searches(library) == []


def test_what_cannot_be_saved_says_why_where_it_was_typed(page: Page, library: Library) -> None:
    SavedSearches(library.saved.path).add("a dog", {"query": "a cat"})
    visit(page, "/?q=a+dog", ".save-search")
    page.click("text=Save this search")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.save-search .note').textContent.includes('is taken by another')")
    assert page.input_value(".save-search input") == "a dog"
    page.keyboard.press("Escape")
    assert active(page) == "Save this search"


def test_moments_are_put_together_from_cards_and_the_player(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog")
    card = page.locator(".card[data-segment]").first
    hit = page.request.post("/v1/search", data={"query": "a dog", "k": 1}).json()["data"][0]
    card.locator("[title='Add to a collection']").click()
    page.wait_for_selector(".collect[open]")
    page.keyboard.type("best of")
    page.keyboard.press("Enter")
    until_text(page, ".collect-choice .note", "added")
    page.keyboard.press("Enter")  # on the collection, which has the focus now
    until_text(page, ".collect-choice .note", "holds it already")
    page.keyboard.press("Escape")
    assert active(page, "title") == "Add to a collection"
    expected = [(hit["video_id"], hit["start"], hit["end"])]
    assert collections(library) == {"best of": expected}

    # In the player what is being cut is what is added; keys typed in the dialog do nothing to the player.
    card.locator(".open").click()
    page.wait_for_selector(".player[open]")
    page.click("text=Cut and download")
    page.fill(".cut input >> nth=0", "0:01")
    page.fill(".cut input >> nth=1", "0:02.5")
    page.click(".player >> text=Add to a collection")
    page.wait_for_selector(".collect-choice")
    page.keyboard.press("Enter")
    until_text(page, ".collect-choice .note", "added")
    page.keyboard.press("Escape")
    page.wait_for_selector(".player[open]")
    assert collections(library) == {"best of": [*expected, (hit["video_id"], 1, 2.5)]}


def test_what_is_selected_goes_into_a_collection_together(page: Page, library: Library) -> None:
    collect(library, "best of", (LONG, 1, 2))
    visit(page, "/?q=a+dog")
    hits = page.request.post("/v1/search", data={"query": "a dog", "k": 3}).json()["data"]
    for number in (3, 1):
        page.check(f".card[data-segment]:nth-child({number}) .select")
    page.click(".selection >> text=Add to a collection")
    page.click(".collect-choice")
    until_text(page, ".collect-choice .note", "2 added")
    expected = [(hit["video_id"], hit["start"], hit["end"]) for hit in (hits[2], hits[0])]
    assert collections(library) == {"best of": [(LONG, 1, 2), *expected]}


def test_a_collection_plays_exports_and_lets_go(page: Page, library: Library) -> None:
    made = collect(library, "best of", (LONG, 40, 44.5), ("f" * 32, 3, 4), (f"{0:032x}", 1, 2))
    visit(page, "/?view=saved", ".named-link")
    page.click(".named-link >> text=best of")
    page.wait_for_selector(".collection .card")
    assert page.inner_text(".collection > .note >> nth=1") == "3 moments \u00b7 1 not in the library now"
    assert page.locator(".collection .title").all_inner_texts() == ["GX010117", "party", "IMG_2041"]
    assert page.locator(".absent").inner_text().startswith("Not in the library now")
    page.select_option("[aria-label=Order]", "date")
    until(page, "document.querySelector('.collection .title').innerText === 'IMG_2041'")

    with page.expect_download() as download:
        page.click(".export >> text=Export")
    assert download.value.suggested_filename == "hits.otio"
    assert library.requests[-1] == {
        "kind": "otio",
        "title": "best of",
        "moments": [
            {"video_id": f"{0:032x}", "start": 1, "end": 2},
            {"video_id": LONG, "start": 40, "end": 44.5},
        ],
    }

    page.check("[aria-label='Select 3. GX010117']")
    page.click("text=Save as clips")
    until_text(page, ".selection > .note", "Saved 1 clip")
    assert library.requests[-1] == {"video_id": LONG, "start": 40, "end": 44.5, "exact": True}

    page.click(".collection .open >> nth=1")
    page.wait_for_selector(".player[open]")
    until(page, "Math.abs(document.querySelector('.player video').currentTime - 40) < 0.6")
    assert page.input_value(".cut input >> nth=1") == "0:44.5"
    page.keyboard.press("Escape")
    until(page, "document.activeElement.ariaLabel?.startsWith('GX010117, at 40 seconds')")
    assert page.evaluate("location.search") == f"?view=saved&collection={made}&sort=date"

    page.click("[data-moment] .more >> nth=0")
    until(page, "document.querySelectorAll('.collection .card').length === 2")
    assert active(page, "ariaLabel").startswith("Take out of the collection: party")
    assert collections(library) == {"best of": [(LONG, 40, 44.5), ("f" * 32, 3, 4)]}


def test_collections_are_made_and_what_is_gone_is_said(page: Page, library: Library) -> None:
    visit(page, "/?view=saved", ".new-collection")
    page.fill(".new-collection input", "<b>hostile</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector(".collection .message")
    assert page.inner_text(".collection h1") == "<b>hostile</b>"
    assert page.title() == "Saved \u2013 vidsift"
    visit(page, f"/?view=saved&collection={'0' * 16}", ".collection .message")
    assert "There is no such collection" in page.inner_text(".collection")
    page.click("text=See what is saved")
    page.wait_for_selector(".named-link >> text=<b>hostile</b>")


def test_every_state_is_for_everyone(browser: Browser, made_up: tuple[str, Fake], library: Library) -> None:
    """Axe in both colours, and no sideways scrolling at the width of a phone."""
    long = "a long name without an end " * 3
    SavedSearches(library.saved.path).add(long, {"query": "a dog catches a frisbee " * 4})
    made = collect(library, long, (LONG, 40, 44.5), ("f" * 32, 3, 4))
    broken: dict[str, list[str]] = {}
    for page in fresh_page(browser, made_up[0], reduced_motion="reduce"):
        for path, shown in (
            ("/?view=saved", ".named-link"),
            (f"/?view=saved&collection={made}", ".collection .card"),
            ("/?q=a+dog", ".card[data-segment]"),
        ):
            visit(page, path, shown)
            if path == "/?view=saved":
                page.click("text=Rename >> nth=0")
                page.click("text=Delete >> nth=0")
            if path == "/?q=a+dog":
                page.click("text=Save this search")
                page.click("[title='Add to a collection'] >> nth=0")
                page.wait_for_selector(".collect-choice")
            if violated := violations_in_both_colours(page):
                broken[path] = violated
            page.set_viewport_size({"width": 320, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
            page.set_viewport_size({"width": 1280, "height": 900})
    assert broken == {}


def test_damage_leaves_the_start_page_as_it_is(page: Page, library: Library) -> None:
    (library.saved.path / "saved-searches.json").write_text("{", "utf-8")
    visit(page, "/", ".home .card")
    assert "What is saved cannot be shown" in page.inner_text(".home")
