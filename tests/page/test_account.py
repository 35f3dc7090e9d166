"""Words, frames and the strip agree with the account that the service gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.page.accounts import explanation
from tests.page.browser import HIT, shown_number, until, visit

if TYPE_CHECKING:
    from playwright.sync_api import Page


ALL_LEARNED = (
    f"[...document.querySelectorAll('{HIT}')].every(node => node.dataset.account && node.dataset.whole)"
)


def open_first(page: Page, query: str) -> dict[str, Any]:
    """Search, open the best hit, and return its account as the service gave it."""
    visit(page, "/?q=" + query.replace(" ", "+"))
    card = page.locator(HIT).first
    segment = card.get_attribute("data-segment")
    card.locator(".open").click()
    page.wait_for_selector(".receipt .sum")
    answer = page.request.post("/v1/explain", data={"query": query, "segment_id": segment})
    account: dict[str, Any] = answer.json()
    return account


def strip_cells(page: Page, scope: str) -> list[float]:
    cells = page.locator(f"{scope} .strip-cell")
    return [float(value) for value in cells.evaluate_all("all => all.map(node => node.dataset.value)")]


@pytest.mark.parametrize("query", ["a dog runs fast", "patches of a dog"])
def test_what_is_shown_adds_up_to_the_score(page: Page, query: str) -> None:
    account = open_first(page, query)
    rows = page.locator(".sum tbody tr")
    gave = [shown_number(text) for text in rows.locator(".gave").all_inner_texts()]
    score = shown_number(page.inner_text(".receipt .score"))
    assert score == round(account["score"], 4)
    assert round(sum(gave), 4) == shown_number(page.inner_text(".sum .total")) == score
    exact = [
        float(value)
        for value in rows.locator(".gave").evaluate_all("all => all.map(node => node.dataset.value)")
    ]
    assert sum(exact) == pytest.approx(account["score"], abs=1e-9)
    if query.startswith("a dog"):
        term = account["terms"][0]
        assert exact == pytest.approx(np.sum(term["contributions"], axis=1), abs=1e-12)
        words = page.locator(".sum tbody .chip").all_inner_texts()
        assert words == ["start", *query.split(), "end"]
        frames = [shown_number(text) for text in page.locator(".frame-value").all_inner_texts()]
        assert round(sum(frames), 4) == score


def test_terms_over_the_same_words_are_one_row_each_and_those_without_time_say_so(page: Page) -> None:
    account = open_first(page, "patches of a dog")
    frame, patch, event = account["terms"]
    rows = page.locator(".sum tbody tr")
    assert rows.count() == len(frame["words"]) + 1
    exact = rows.locator(".gave").evaluate_all("all => all.map(node => Number(node.dataset.value))")
    both = np.sum(frame["contributions"], axis=1) + np.sum(patch["contributions"], axis=1)
    assert exact == pytest.approx([*both, np.sum(event["contributions"])], abs=1e-12)
    assert f"{np.sum(event['contributions']):.4f} came from parts that have no time" in page.inner_text(
        ".receipt"
    )
    rows.last.locator(".chip").hover()
    assert "was compared with parts that have no time" in page.inner_text(".film-title")


def test_pointing_at_a_word_shows_where_it_matched(page: Page) -> None:
    account = open_first(page, "a dog runs fast")
    term = account["terms"][0]
    assert strip_cells(page, ".timeline") == pytest.approx(np.sum(term["contributions"], axis=0), abs=1e-9)
    for place in (2, 4):
        page.locator(".sum tbody .chip").nth(place).hover()
        page.wait_for_selector(".timeline[data-kind=word]")
        assert strip_cells(page, ".timeline") == pytest.approx(term["values"][place], abs=1e-9)
        shown = [shown_number(text) for text in page.locator(".frame-value").all_inner_texts()]
        assert shown == [round(value, 2) for value in term["values"][place]]
    warmest = page.locator(".timeline .strip-cell").evaluate_all(
        "all => all.map(node => Number(node.getAttribute('fill-opacity')))"
    )
    assert int(np.argmax(warmest)) == int(np.argmax(term["values"][4])) == term["best_video_token"][4]
    page.mouse.move(640, 30)
    page.wait_for_selector(".timeline[data-kind=score]")


def test_a_word_that_is_clicked_plays_its_best_frame_and_stays_until_escape(page: Page) -> None:
    account = open_first(page, "a dog runs fast")
    term = account["terms"][0]
    chip = page.locator(".sum tbody .chip").nth(2)
    chip.click()
    page.mouse.move(640, 30)
    best = term["times_seconds"][term["best_video_token"][2]]
    until(page, "time => Math.abs(document.querySelector('.stage video').currentTime - time) < 1.5", best)
    assert chip.get_attribute("aria-pressed") == "true"
    assert page.locator(".timeline").get_attribute("data-kind") == "word"
    page.keyboard.press("Escape")
    assert page.locator(".player[open]").count() == 1
    assert chip.get_attribute("aria-pressed") == "false"
    page.keyboard.press("Escape")
    page.wait_for_selector(".player[open]", state="detached")


def test_pointing_at_a_frame_shows_which_words(page: Page) -> None:
    account = open_first(page, "a dog runs fast")
    term = account["terms"][0]
    for frame in (3, 9):
        page.locator(".frame-button").nth(frame).hover()
        shown = [shown_number(text) for text in page.locator(".sum tbody .in-frame").all_inner_texts()]
        assert shown == [round(row[frame], 2) for row in term["values"]]
        assert page.locator(".sum tr.best").get_attribute("data-place") == str(term["best_text_token"][frame])
    box = page.locator(".timeline").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5 / 12, box["y"] + 20)
    assert page.locator(".sum tr.best").get_attribute("data-place") == str(term["best_text_token"][0])


def test_all_numbers_are_in_a_table(page: Page) -> None:
    account = open_first(page, "a dog runs fast")
    term = account["terms"][0]
    page.click("text=All the numbers")
    cells = page.locator(".table-scroll .cell")
    cells.first.wait_for()
    assert cells.count() == np.size(term["values"])
    gave = [shown_number(text) for text in page.locator(".table-scroll .cell small").all_inner_texts()]
    assert gave == pytest.approx(np.ravel(term["contributions"]), abs=5.1e-5)


def test_chips_above_the_results_show_a_word_on_every_card(page: Page) -> None:
    visit(page, "/?q=a+dog+runs", ".words .chip")
    assert page.locator(".words .chip").all_inner_texts() == ["start", "a", "dog", "runs", "end"]
    until(page, "document.querySelectorAll('.card[data-segment]').length === 9")
    until(page, ALL_LEARNED)
    page.locator(".words .chip").nth(2).hover()
    until(page, "document.querySelectorAll('.card .strip[data-kind=word]').length === 9")
    for place in (0, 8):
        card = page.locator(".card[data-segment]").nth(place)
        segment = card.get_attribute("data-segment")
        shown = card.locator(".strip-cell").evaluate_all("all => all.map(node => Number(node.dataset.value))")
        times = card.locator(".strip-cell").evaluate_all("all => all.map(node => Number(node.dataset.time))")
        start = max(0.0, 1.5 * times[0] - 0.5 * times[1])
        account = explanation(
            "a dog runs", str(segment), round(start, 6), round(start + 12 * (times[1] - times[0]), 6)
        )
        assert shown == pytest.approx(account["terms"][0]["values"][2], abs=1e-9)
    page.mouse.move(5, 5)
    until(page, "!document.querySelector('.card .strip[data-kind=word]')")


def test_pointing_along_a_card_warms_the_words_of_that_frame(page: Page) -> None:
    visit(page, "/?q=a+dog+runs", ".words .chip")
    until(page, ALL_LEARNED)
    card = page.locator(".card[data-segment]").first
    card.locator(".strip").hover()
    page.wait_for_selector(".words .chip.best")
    warm = page.locator(".words .chip").evaluate_all(
        "all => all.map(node => Number(node.style.getPropertyValue('--warm')))"
    )
    assert max(warm) == 1
    assert int(np.argmax(warm)) == page.locator(".words .chip").evaluate_all(
        "all => all.findIndex(node => node.classList.contains('best'))"
    )


def test_a_long_video_shows_all_of_it_and_outlines_the_segment(page: Page) -> None:
    visit(page, "/?q=late+dog")
    until(page, ALL_LEARNED)
    place = page.locator(".card[data-segment] .title").all_inner_texts().index("GX010117")
    card = page.locator(".card[data-segment]").nth(place)
    assert card.locator(".strip-cell").count() == 24
    assert [float(card.locator(".strip-segment").get_attribute(name) or 0) for name in ("x", "width")] == [
        500,
        500,
    ]


def test_a_black_box_says_that_it_has_no_account(page: Page) -> None:
    visit(page, "/?q=blackbox+dog")
    assert "ranked among the 200 likeliest" in page.inner_text(".summary")
    assert page.locator(".card .strip-cell").count() == 0
    page.locator(".card[data-segment] .open").first.click()
    page.wait_for_selector("text=has no account of words and frames")


def test_times_have_tenths_only_where_they_say_something(page: Page) -> None:
    page.goto("/", wait_until="domcontentloaded")
    shown = page.evaluate(
        "async all => { const f = await import('/page/format.js'); return all.map((at) => f.span(...at)); }",
        [[3, 4.5], [0, 3], [59.96, 62], [0, 75]],
    )
    assert shown == [
        "0:03\u2009\u2013\u20090:04.5",
        "0:00\u2009\u2013\u20090:03",
        "1:00\u2009\u2013\u20091:02",
        "0:00\u2009\u2013\u20091:15",
    ]


def test_the_confidence_stands_under_all_the_numbers_named_what_it_is(page: Page) -> None:
    for query in ("a dog runs", "blackbox"):
        visit(page, f"/?q={query.replace(' ', '+')}")
        page.locator(f"{HIT} .open").first.click()
        page.click(".numbers summary")
        said = page.inner_text(".numbers .confidence")
        assert said.startswith("Confidence 0.9700: the share of unrelated questions whose best answer")
        assert said.endswith("It is no probability that this is right.")


def test_rounded_parts_add_up_whatever_they_are(page: Page) -> None:
    page.goto("/", wait_until="domcontentloaded")
    rng = np.random.default_rng(5)
    lists = [rng.normal(0, 0.1, size).tolist() for size in (1, 2, 7, 40)] + [
        [0.00005] * 9,
        [-0.00004] * 7,
        [0.1] * 3,
    ]
    rounded = page.evaluate(
        "async lists => { const all = await import('/page/format.js');"
        " return lists.map(node => all.apportion(node)); }",
        lists,
    )
    for exact, shown in zip(lists, rounded, strict=True):
        assert round(sum(shown), 4) == pytest.approx(
            round(sum(exact), 4), abs=1.01e-4 if abs(sum(exact) * 1e4 % 1 - 0.5) < 1e-6 else 1e-9
        )
        assert np.abs(np.subtract(exact, shown)).max() < 1e-4 + 1e-9
