"""Words, frames and the strip agree with the account that the service gives."""

from __future__ import annotations

import re
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
    visit(page, "/?q=" + query.replace("+", "%2B").replace(" ", "+"))
    card = page.locator(HIT).first
    segment = card.get_attribute("data-segment")
    card.locator(".open").click()
    page.wait_for_selector(".receipt .word")
    question = {"query": query, "segment_id": segment, "leave_out": "auto"}
    account: dict[str, Any] = page.request.post("/v1/explain", data=question).json()
    return account


def strip_cells(page: Page, scope: str) -> list[float]:
    cells = page.locator(f"{scope} .strip-cell")
    return [float(value) for value in cells.evaluate_all("all => all.map(node => node.dataset.value)")]


def numbers(page: Page, selector: str) -> list[float]:
    return [
        float(value)
        for value in page.locator(selector).evaluate_all("all => all.map(it => it.dataset.value)")
    ]


def of_word(account: dict[str, Any], place: int) -> Any:
    """How alike a word and each frame are: the mean of its text tokens."""
    term = account["terms"][0]
    rows = [row for row, word in zip(term["values"], term["word_of_token"], strict=True) if word == place]
    return np.mean(rows, axis=0)


LONG = "a dog, outstandingly fast!"


@pytest.mark.parametrize(
    "query", ["a dog runs fast", LONG, "patches of a dog", "a dog - snow", "plain dogs run"]
)
def test_all_numbers_add_up_to_the_score(page: Page, query: str) -> None:
    account = open_first(page, query)
    page.click("text=All the numbers")
    page.wait_for_selector(".sum")
    gave = [shown_number(text) for text in page.locator(".sum .gave").all_inner_texts() if text != "\u2013"]
    score = shown_number(page.inner_text(".sum .score"))
    assert score == round(account["score"], 4)
    assert round(sum(gave), 4) == shown_number(page.inner_text(".sum .total")) == score
    exact = numbers(page, ".sum tbody tr")
    assert sum(exact) == pytest.approx(account["score"], abs=1e-9)
    expected = [word["contribution"] or 0.0 for word in account["words"]]
    assert exact[: len(expected)] == pytest.approx(expected, abs=1e-12)
    words = page.locator(".sum tbody th").all_inner_texts()
    assert words[: len(expected)] == [word["word"] for word in account["words"]]


def test_the_sentence_stands_as_it_was_written_with_a_bar_a_word(page: Page) -> None:
    account = open_first(page, LONG)
    assert "outstandingly" not in account["terms"][0]["words"]
    words = page.locator(".receipt .word bdi").all_inner_texts()
    assert words == ["a", "dog", "outstandingly", "fast"]
    assert page.locator(".receipt .marks").all_inner_texts() == [",", "!"]
    gave = [word["contribution"] for word in account["words"]]
    assert numbers(page, ".receipt .word") == pytest.approx(gave, abs=1e-12)
    heights = page.locator(".receipt .word-bar").evaluate_all("all => all.map(it => it.offsetHeight)")
    assert int(np.argmax(heights)) == int(np.argmax(gave))
    assert heights == pytest.approx([max(2, 30 * value / max(gave)) for value in gave], abs=1)
    # No number with decimals on the panel itself, and no marks of the model's.
    panel = page.evaluate(
        "[...document.querySelectorAll('.receipt > :not(.numbers), .film')].map(it => it.innerText).join(' ')"
    )
    assert not re.search(r"\d\.\d{2}|start|end of", panel)


def test_words_that_do_not_carry_the_score_are_measured_by_leaving_them_out(page: Page) -> None:
    account = open_first(page, "plain dogs run")
    assert account["words_carry"] is False
    falls = account["leaving_out"]["words"]
    assert numbers(page, ".receipt .word") == pytest.approx([it["fall"] for it in falls], abs=1e-12)
    assert page.inner_text(".receipt > .note").startswith("The taller the bar, the weaker the match without")
    page.locator(".receipt .word").nth(1).hover()
    page.wait_for_selector(".timeline[data-kind=word]")
    assert strip_cells(page, ".timeline") == pytest.approx(falls[1]["frame_falls"], abs=1e-9)
    best = account["leaving_out"]["times_seconds"][int(np.argmax(falls[1]["frame_falls"]))]
    assert page.inner_text(".best-frame").startswith("\u201cdogs\u201d counts most at 0:0")
    assert f"at={best:.2f}" in (page.get_attribute(".best-frame img", "src") or "")
    page.click("text=All the numbers")
    page.wait_for_selector(".sum")
    shown = [shown_number(text) for text in page.locator(".sum .falls").all_inner_texts() if text]
    assert shown == [round(it["fall"], 4) for it in falls]


def test_a_sentence_of_one_word_has_nothing_to_leave_out(page: Page) -> None:
    open_first(page, "plain")
    assert page.locator(".receipt .word").text_content() == "plain: without it nothing is left to compare"
    page.locator(".receipt .word").hover()
    assert page.inner_text(".best-frame") == "\u201cplain\u201d is needed in no frame"
    page.click("text=All the numbers")
    assert page.inner_text(".sum .falls >> nth=0") == "the only word"


def test_each_part_of_a_sum_has_its_own_sentence(page: Page) -> None:
    account = open_first(page, "a dog - white snow")
    assert page.locator(".receipt .part").all_inner_texts() == ["+ a dog", "\u2212 white snow"]
    assert page.locator(".receipt .word bdi").all_inner_texts() == ["a", "dog", "white", "snow"]
    less = page.locator(".receipt .word-bar").evaluate_all(
        "all => all.map(it => it.classList.contains('less'))"
    )
    assert less == [word["contribution"] < 0 for word in account["words"]]
    assert "A hollow bar: it speaks against it." in page.inner_text(".receipt > .note")


@pytest.mark.parametrize("query", ["\U0001f436\U0001f436 a dog, fast!", "\u0643\u0644\u0628 a dog, fast!"])
def test_letters_of_any_kind_leave_the_sentence_as_it_was_written(page: Page, query: str) -> None:
    open_first(page, query)
    words = page.locator(".receipt .word bdi").all_inner_texts()
    assert words[-3:] == ["a", "dog", "fast"]
    assert page.locator(".receipt .marks").all_inner_texts()[-2:] == [",", "!"]


def test_a_sentence_that_stands_twice_in_a_sum_is_told_twice(page: Page) -> None:
    account = open_first(page, "a dog + snow + a dog")
    assert page.locator(".receipt .part").all_inner_texts() == ["+ a dog", "+ snow", "+ a dog"]
    assert page.locator(".receipt .word bdi").all_inner_texts() == ["a", "dog", "snow", "a", "dog"]
    gave = [word["contribution"] for word in account["words"]]
    assert numbers(page, ".receipt .word") == pytest.approx(gave, abs=1e-12)


def test_terms_without_time_say_so_among_the_numbers(page: Page) -> None:
    account = open_first(page, "patches of a dog")
    frame, patch, event = account["terms"]
    of_words = np.zeros(4)
    for term in (frame, patch):
        for word, row in zip(term["word_of_token"], term["contributions"], strict=True):
            if word >= 0:
                of_words[word] += np.sum(row)
    page.click("text=All the numbers")
    page.wait_for_selector(".sum")
    assert numbers(page, ".sum tbody tr")[:4] == pytest.approx(of_words, abs=1e-12)
    assert numbers(page, ".sum tbody tr")[-1] == pytest.approx(np.sum(event["contributions"]), abs=1e-12)
    assert f"{np.sum(event['contributions']):.4f} came from parts that have no time" in page.inner_text(
        ".numbers"
    )


def test_pointing_at_a_word_shows_where_it_matched_and_its_best_frame(page: Page) -> None:
    account = open_first(page, "a dog runs fast")
    term = account["terms"][0]
    given = np.sum(term["contributions"], axis=0)
    assert strip_cells(page, ".timeline") == pytest.approx(given, abs=1e-9)
    strongest = term["times_seconds"][int(np.argmax(given))]
    assert f"at={strongest:.2f}" in (page.get_attribute(".best-frame img", "src") or "")
    for place in (1, 3):
        page.locator(".receipt .word").nth(place).hover()
        page.wait_for_selector(".timeline[data-kind=word]")
        values = of_word(account, place)
        assert strip_cells(page, ".timeline") == pytest.approx(values, abs=1e-9)
        assert numbers(page, ".frames li") == pytest.approx(values, abs=1e-9)
        best = term["times_seconds"][int(np.argmax(values))]
        assert f"at={best:.2f}" in (page.get_attribute(".best-frame img", "src") or "")
    warmest = page.locator(".timeline .strip-cell").evaluate_all(
        "all => all.map(node => Number(node.getAttribute('fill-opacity')))"
    )
    assert int(np.argmax(warmest)) == int(np.argmax(of_word(account, 3)))
    page.mouse.move(640, 30)
    page.wait_for_selector(".timeline[data-kind=score]")


def test_a_word_that_is_clicked_plays_its_best_frame_and_stays_until_escape(page: Page) -> None:
    account = open_first(page, "a dog runs fast")
    chip = page.locator(".receipt .word").nth(1)
    chip.click()
    page.mouse.move(640, 30)
    best = account["terms"][0]["times_seconds"][int(np.argmax(of_word(account, 1)))]
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
    likeness = np.stack([of_word(account, place) for place in range(4)])
    for frame in (3, 9):
        page.locator(".frame-button").nth(frame).hover()
        best = page.locator(".receipt .word.best")
        assert best.get_attribute("data-place") == str(likeness[:, frame].argmax())
        warm = page.locator(".receipt .word").evaluate_all(
            "all => all.map(it => Number(it.style.getPropertyValue('--warm')))"
        )
        assert np.argsort(warm).tolist() == np.argsort(likeness[:, frame]).tolist()
    box = page.locator(".timeline").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5 / 12, box["y"] + 20)
    assert page.locator(".receipt .word.best").get_attribute("data-place") == str(likeness[:, 0].argmax())


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
    assert page.locator(".words .chip").all_inner_texts() == ["a", "dog", "runs"]
    until(page, "document.querySelectorAll('.card[data-segment]').length === 9")
    until(page, ALL_LEARNED)
    page.locator(".words .chip").nth(1).hover()
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


def test_a_black_box_has_words_by_leaving_out_and_says_what_it_has_not(page: Page) -> None:
    visit(page, "/?q=blackbox+dog")
    assert "ranked among the 200 likeliest" in page.inner_text(".summary")
    assert page.locator(".card .strip-cell").count() == 0
    page.locator(".card[data-segment] .open").first.click()
    page.wait_for_selector(".receipt .word")
    assert page.locator(".receipt .word bdi").all_inner_texts() == ["blackbox", "dog"]
    assert page.locator(".best-frame").count() == 0
    page.wait_for_selector("text=What this model compared has no time of its own.")
    page.click("text=All the numbers")
    page.wait_for_selector("text=has no account of words and frames")
    # Cards can show nothing of it: the account of one is enough to know.
    requests = page.evaluate(
        "performance.getEntriesByType('resource').filter(it => it.name.endsWith('/v1/explain')).length"
    )
    assert requests <= 4


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
