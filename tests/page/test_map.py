"""Where in the picture: the squares on the page agree with the account that the service gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.page.browser import HIT, shown_number, until, visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

LARGE = ".map-stage .map-cell"
PLACES, PHRASES = 7 * 7, 4


def open_first(page: Page, query: str, *, maps: bool = True) -> dict[str, Any]:
    """Search, open the best hit, and return its account, with maps, as the service gave it."""
    visit(page, "/?q=" + query.replace(" ", "+"))
    card = page.locator(HIT).first
    segment = card.get_attribute("data-segment")
    card.locator(".open").click()
    page.wait_for_selector(".receipt .word")
    question = {"query": query, "segment_id": segment, "maps": maps}
    account: dict[str, Any] = page.request.post("/v1/explain", data=question).json()
    return account


def term_of(account: dict[str, Any], name: str) -> dict[str, Any]:
    return next(term for term in account["terms"] if term["name"] == name)


def squares(page: Page, scope: str = LARGE) -> dict[int, float]:
    """Places that have a square, with the value that it stands for."""
    script = "all => all.map(node => [Number(node.dataset.place), Number(node.dataset.value)])"
    return {int(place): value for place, value in page.locator(scope).evaluate_all(script)}


def sides(page: Page) -> dict[int, tuple[float, float, float]]:
    """Left, top and side of every square, in units of the grid."""
    script = (
        "all => all.map(node => [node.dataset.place, ...['x', 'y', 'width'].map(name =>"
        " node.querySelector('.map-square').getAttribute(name))].map(Number))"
    )
    return {int(place): (x, y, side) for place, x, y, side in page.locator(LARGE).evaluate_all(script)}


def nonzero(shares: list[float]) -> dict[int, float]:
    return {place: value for place, value in enumerate(shares) if value > 0}


def test_pointing_at_a_word_shows_the_places_that_it_is_like(page: Page) -> None:
    account = open_first(page, "places of a dog")
    term = term_of(account, "word-patch")
    page.wait_for_selector(LARGE)
    gave = dict(zip(term["group"], np.sum(term["contributions"], axis=0), strict=True))
    assert squares(page) == pytest.approx(gave, abs=1e-12)
    assert page.inner_text(".map-said").startswith("What each place gave to the score")
    for word in (1, 4):  # its text token: start stands before them
        page.locator(".receipt .word").nth(word - 1).hover()
        page.wait_for_selector(".timeline[data-kind=word]")
        assert squares(page) == dict(zip(term["group"], term["values"][word], strict=True))
        row, column = divmod(term["group"][int(np.argmax(term["values"][word]))], 7)
        caption = page.inner_text(".map-strongest")
        assert f"row {row + 1}, column {column + 1}" in caption
        assert shown_number(caption) == round(max(term["values"][word]), 2)
        # The same on the small frames: a place holds in all of them.
        assert squares(page, ".frames li:nth-child(3) .map-cell") == squares(page)
    page.mouse.move(640, 30)
    until(page, "!document.querySelector('.frames .map-cell')")


def test_squares_stand_where_they_mean_and_are_the_larger_the_more(page: Page) -> None:
    account = open_first(page, "places of a dog")
    term = term_of(account, "word-patch")
    page.locator(".receipt .word").nth(1).hover()
    page.wait_for_selector(".timeline[data-kind=word]")
    drawn = sides(page)
    for place, (x, y, side) in drawn.items():
        row, column = divmod(place, 7)
        assert (x + side / 2, y + side / 2) == pytest.approx((column + 0.5, row + 0.5), abs=2e-3)
    order = [place for _, place in sorted(zip(term["values"][2], term["group"], strict=True))]
    assert np.all(np.diff([drawn[place][2] for place in order]) >= 0)
    assert drawn[order[-1]][2] > 2 * drawn[order[0]][2] > 0


def test_a_word_shows_the_patches_of_the_object_that_it_met(page: Page) -> None:
    account = open_first(page, "objects of a dog")
    term = term_of(account, "phrase-object")
    page.wait_for_selector(LARGE)
    count = page.locator(".receipt .word").count()
    empty = 0
    for phrase in range(PHRASES):
        chip = page.locator(".receipt .word").nth(count - PHRASES + phrase)
        chip.hover()
        until(page, f"document.querySelector('.map-said').textContent.includes('phrase {phrase + 1}')")
        best = term["best_video_token"][phrase]
        assert squares(page) == nonzero(term["patches"][best])
        assert f"met object {term['group'][best] + 1} at" in page.inner_text(".map-said")
        empty += term["group"][best] == 0
        for frame in range(12):
            objects = range(3 * frame, 3 * frame + 3)
            met = max(objects, key=lambda token: term["values"][phrase][token])
            small = squares(page, f".frames li:nth-child({frame + 1}) .map-cell")
            assert small == nonzero(term["patches"][met])
    # A held word stays while frames are pointed at: its object in that frame.
    page.locator(".receipt .word").last.click()
    best_objects = set()
    for frame in (1, 4, 8):
        page.locator(".frame-button").nth(frame).hover()
        objects = range(3 * frame, 3 * frame + 3)
        met = max(objects, key=lambda token: term["values"][-1][token])
        best_objects.add(met)
        assert squares(page) == nonzero(term["patches"][met])
        caption = page.inner_text(".map-said")
        assert ("as a whole" in caption) == (term["group"][met] == 0)
    assert len(best_objects) == 3


def test_maps_come_after_the_numbers_and_change_none(page: Page) -> None:
    bodies: list[str] = []
    held: list[Any] = []

    def late(route: Any) -> None:
        body = route.request.post_data or ""
        bodies.append(body)
        if '"maps":true' in body:
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/explain", late)
    account = open_first(page, "objects of a dog")
    assert page.inner_text(".map-said") == "Looking at the frames again \u2026"
    assert page.locator(LARGE).count() == 0
    box = page.locator(".map-lens").bounding_box()
    chip = page.locator(".receipt .word").last
    chip.click()
    assert len(held) == 1
    held[0].continue_()
    page.wait_for_selector(LARGE)
    assert chip.get_attribute("aria-pressed") == "true"
    assert "phrase 4" in page.inner_text(".map-said")
    assert page.locator(".map-lens").bounding_box() == box
    assert sum('"maps":true' in body for body in bodies) == 1
    page.click(".receipt .numbers summary")
    assert shown_number(page.inner_text(".sum .score")) == round(account["score"], 4)
    assert "no part of the sum" in page.inner_text(".map-note")


def test_a_map_that_cannot_be_had_says_why(page: Page) -> None:
    open_first(page, "objects lost")
    page.wait_for_selector("text=There is no map: the file is not where it was")
    page.locator(".receipt .word").last.hover()
    assert page.locator(".map-cell").count() == 0
    assert "There is no map" in page.inner_text(".map-said")


def test_models_without_places_have_no_map(page: Page) -> None:
    open_first(page, "a dog runs")
    assert page.locator(".map").is_hidden()
    assert page.locator(".receipt .word").first.get_attribute("aria-describedby") is None


def test_a_map_can_be_read_by_keyboard_and_without_seeing_it(page: Page) -> None:
    account = open_first(page, "places of a dog")
    term = term_of(account, "word-patch")
    chip = page.locator(".receipt .word").nth(1)
    chip.focus()
    until(page, "document.querySelector('.map-said').textContent.startsWith('How alike')")
    label = page.locator(".map-over[role=img]").get_attribute("aria-label")
    assert label == f"{page.inner_text('.map-said')} {page.inner_text('.map-strongest')}"
    assert "\u201cof\u201d" in label
    assert chip.get_attribute("aria-describedby") == page.locator(".map-said").get_attribute("id")
    page.keyboard.press("Enter")
    page.locator(".map summary").focus()
    page.keyboard.press("Enter")
    page.locator(".map-table td").first.wait_for()
    cells = page.locator(".map-table td").all_inner_texts()
    assert len(cells) == PLACES
    values = dict(zip(term["group"], term["values"][2], strict=True))
    for place, text in enumerate(cells):
        assert text == ("" if place not in values else f"{values[place]:.2f}".replace("-", "\u2212"))


def test_the_map_hides_no_word_that_has_the_focus(page: Page) -> None:
    open_first(page, "objects of a dog that runs along the beach with a ball in its mouth")
    page.wait_for_selector(LARGE)
    chips = page.locator(".receipt .word")
    chips.first.focus()
    for _ in range(chips.count() - 1):
        page.keyboard.press("Tab")
        box = page.evaluate(
            "(box => [box.left + 3, box.top + box.height / 2])"
            "(document.activeElement.getBoundingClientRect())"
        )
        assert page.evaluate(
            "([x, y]) => document.activeElement.contains(document.elementFromPoint(x, y))", box
        )


def test_squares_lie_on_the_middle_that_the_model_looks_at(page: Page) -> None:
    """A small frame is shown whole, in 16 to 9; the model sees the square in the middle of the picture."""
    open_first(page, "places of a dog")
    page.locator(".receipt .word").nth(2).focus()
    until(page, "document.querySelector('.frames img').naturalWidth > 0")
    inside = page.locator(".frames .map-inside").first
    box = [float(inside.get_attribute(name) or "nan") for name in ("x", "y", "width", "height")]
    # 160 x 96 is narrower than 16 to 9: as high as the frame, and a square.
    assert box == pytest.approx([3.5, 0, 9, 9], abs=1e-3)
    large = page.locator(".map-stage").bounding_box()
    assert large
    assert large["width"] == large["height"]
    fit = "getComputedStyle(document.querySelector('.map-picture')).objectFit"
    assert page.evaluate(fit) == "cover"
