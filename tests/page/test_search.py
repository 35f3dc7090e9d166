"""Searching as one expects: address, history, cards, filters, and every state that is not a list of hits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.page.browser import HIT, hits_of, shown_number, until, until_asked, until_text, visit
from tests.page.fake import HOSTILE, Library

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_sum_accounts_for_each_part(page: Page) -> None:
    visit(page, "/?q=a+dog+%2B+snow+-+a+person")
    page.wait_for_selector(".words button.chip")
    page.locator(f"{HIT} .open").first.click()
    page.wait_for_selector(".receipt .word")
    assert page.locator(".receipt .part").all_inner_texts() == ["+ a dog", "+ snow", "\u2212 a person"]
    page.click("text=All the numbers")
    page.wait_for_selector(".sum")
    gave = [shown_number(text) for text in page.locator(".sum tbody .gave").all_inner_texts()]
    assert min(gave) < 0 < max(gave)
    assert round(sum(gave), 4) == shown_number(page.inner_text(".sum .score"))


def ask(page: Page, text: str) -> None:
    page.fill("#query", text)
    page.press("#query", "Enter")
    page.wait_for_selector(f".results:not(.waiting) {HIT}")


def address(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


TIME = "document.querySelector('.stage video').currentTime"


def test_the_address_holds_the_question_and_back_goes_back(page: Page) -> None:
    page.goto("/", wait_until="domcontentloaded")
    assert page.evaluate("document.activeElement.id") == "query"
    ask(page, "a dog runs")
    assert address(page) == {"q": ["a dog runs"]}
    assert page.title() == "a dog runs \u2013 vidsift"
    assert page.locator(".card").count() == 9
    ask(page, "a cat & 50 % more?")
    assert address(page) == {"q": ["a cat & 50 % more?"]}
    page.go_back()
    until(page, "document.title.startsWith('a dog runs')")
    assert page.input_value("#query") == "a dog runs"
    page.go_back()
    page.wait_for_selector(".home")
    assert page.input_value("#query") == ""
    assert page.locator(".lately a").all_inner_texts() == ["a cat & 50 % more?", "a dog runs"]
    page.click(".lately a >> nth=1")
    page.wait_for_selector(".card[data-segment]:not(.skeleton)")
    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector(".card[data-segment]:not(.skeleton)")
    assert page.input_value("#query") == "a dog runs"


def test_a_card_shows_moment_name_time_and_how_good_it_is(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog")
    hits = hits_of(page, "a dog")
    first = page.locator(".card[data-segment]").first
    assert first.locator(".open").get_attribute("aria-label").startswith("1. ")  # type: ignore[union-attr]
    assert first.locator("img").get_attribute("src") == hits[0]["thumbnail_url"]
    assert first.locator(".match").inner_text() == "Good match"
    assert "good match" in (first.locator(".open").get_attribute("aria-label") or "")
    assert "%" not in page.inner_text(".results")
    until(
        page, "[...document.querySelectorAll('.card img')].slice(0, 4).every(node => node.naturalWidth > 0)"
    )
    names = [name.rsplit("/", 1)[-1].rsplit(".", 1)[0] for name in (hit["path"] for hit in hits)]
    assert page.locator(".card[data-segment] .title").all_inner_texts() == names
    assert page.inner_text(".summary") == "9 good matches in 8 videos"
    assert page.get_attribute(".summary", "title") == "9 parts of videos compared in 0.04 seconds"


def test_by_video_and_filters_are_in_the_address_and_in_what_is_asked(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog")
    page.click("text=Videos")
    until(page, "document.querySelectorAll('.card[data-segment]').length === 8")
    page.select_option("[aria-label=Length]", label="1 to 10 minutes")
    page.select_option("[aria-label=Date]", label="Past week")
    page.select_option("[aria-label=Folder]", label="club")
    until(page, "document.querySelectorAll('.card[data-segment]').length === 4")
    request = library.requests[-1]
    assert (request["group_by"], request["query"]) == ("video", "a dog")
    filters = request["filter"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", filters.pop("modified_after"))
    assert filters == {"under": "/home/me/Videos/club", "min_duration": 60, "max_duration": 600}
    assert address(page)["by"] == ["video"]
    assert address(page)["longer"] == ["60"]
    assert page.inner_text(".summary") == "4 good matches in 4 of 8 videos"
    page.click("text=Clear filters")
    until(page, "document.querySelectorAll('.card[data-segment]').length === 8")
    assert address(page) == {"q": ["a dog"], "by": ["video"]}


def test_several_tags_have_to_be_there_all(page: Page, library: Library) -> None:
    for video, tags in zip(library.videos, (["beach", "dog"], ["beach"], ["dog", "<b>"]), strict=False):
        video.tags.extend(tags)
    visit(page, "/?q=a+dog")
    page.focus("[aria-label=Tag]")
    page.select_option("[aria-label=Tag]", "beach")
    until(page, f"document.querySelectorAll('{HIT}').length === 2")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Tag"
    assert page.locator("[aria-label=Tag] option").all_inner_texts() == ["Also with tag", "<b>", "dog"]
    page.select_option("[aria-label=Tag]", "dog")
    until(page, f"document.querySelectorAll('{HIT}').length === 1")
    assert library.requests[-1]["filter"] == {"tags": ["beach", "dog"]}
    assert address(page)["tag"] == ["beach", "dog"]
    assert page.locator(".picked").all_inner_texts() == ["beach", "dog"]
    page.go_back()
    until(page, f"document.querySelectorAll('{HIT}').length === 2")
    assert page.locator(".picked").all_inner_texts() == ["beach"]
    page.go_forward()
    until(page, "document.querySelectorAll('.picked').length === 2")
    page.click("[aria-label='Tag beach: leave it out']")
    # The third video has two segments.
    until(page, f"document.querySelectorAll('{HIT}').length === 3")
    assert address(page)["tag"] == ["dog"]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Tag"


SHOWN = f"[...document.querySelectorAll('{HIT}')].filter(node => node.checkVisibility())"


def test_what_follows_the_last_good_match_is_folded_away(page: Page, library: Library) -> None:
    visit(page, "/?q=mixed")
    hits = hits_of(page, "mixed")
    until(page, f"{SHOWN}.length === 2")
    assert page.inner_text(".summary") == "2 good matches in 8 videos"
    until(page, "document.querySelector('#said').textContent.endsWith('7 less likely, folded below')")
    assert page.inner_text(".fold summary") == "Less likely 7"
    assert page.locator(".none-good").count() == 0
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f".card[data-segment='{hits[1]['segment_id']}'] .open:focus")
    for _ in range(2):  # a closed fold is as far as it goes
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".fold summary:focus")
    page.keyboard.press("Enter")
    until(page, f"{SHOWN}.length === 9")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(f".card[data-segment='{hits[2]['segment_id']}'] .open:focus")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".fold summary:focus")
    page.keyboard.press("ArrowUp")
    page.wait_for_selector(f".card[data-segment='{hits[1]['segment_id']}'] .open:focus")
    assert page.locator(".fold .match").all_inner_texts() == ["Possible match"] * 3 + ["Unlikely"] * 4
    shown = page.locator(HIT).evaluate_all("all => all.map(node => node.dataset.segment)")
    assert shown == [hit["segment_id"] for hit in hits]
    # Another question is folded again.
    ask(page, "mixed once more")
    until(page, f"{SHOWN}.length === 2")


def test_the_next_result_may_lie_below_the_fold(page: Page) -> None:
    visit(page, "/?q=mixed")
    hits = hits_of(page, "mixed")
    page.locator(f"{HIT} .open").nth(1).click()
    page.wait_for_selector(".player[open]")
    page.keyboard.press("n")
    until(page, "segment => location.search.includes(segment)", hits[2]["segment_id"])
    assert page.inner_text(".verdict-sure") == "Possible match"
    page.keyboard.press("Escape")
    page.wait_for_selector(f".card[data-segment='{hits[2]['segment_id']}'] .open:focus")
    until(page, f"{SHOWN}.length === 9")


def test_without_a_good_match_the_possible_ones_are_shown_and_said_to_be(page: Page) -> None:
    visit(page, "/?q=doubtful")
    until(page, f"{SHOWN}.length === 5")
    assert page.inner_text(".summary") == "5 possible matches in 8 videos"
    assert page.inner_text(".none-good").startswith("Nothing stands out.")
    assert page.inner_text(".fold summary") == "Less likely 4"


def test_pages_go_on_below_the_fold(page: Page, library: Library) -> None:
    def fewer(route: Any) -> None:
        route.continue_(post_data=route.request.post_data.replace('"k":24', '"k":3'))

    page.route("**/v1/search", fewer)
    visit(page, "/?q=mixed")
    until(page, f"{SHOWN}.length === 2")
    assert page.locator(".results > .below button").count() == 0
    page.click(".fold summary")
    for shown in (6, 9):
        page.click(".fold .below button")
        until(page, f"{SHOWN}.length === {shown}")
    assert page.locator(".below button").count() == 0


def test_good_matches_only(page: Page, library: Library) -> None:
    visit(page, "/?q=mixed")
    assert page.locator("[aria-label='Score at least']").count() == 0
    page.check("text=Good matches only")
    until(page, f"document.querySelectorAll('{HIT}').length === 2")
    assert library.requests[-1]["min_match"] == "good match"
    assert address(page)["sure"] == ["good"]
    assert page.locator(".fold").is_hidden()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Good matches only"
    page.go_back()
    until(page, f"document.querySelectorAll('{HIT}').length === 9")
    assert not page.is_checked("[aria-label='Good matches only']")
    visit(page, "/?q=doubtful&sure=good", "text=No good match")
    page.click("text=Show every match")
    page.wait_for_selector(HIT)
    assert "sure" not in address(page)


def test_an_address_with_a_least_confidence_still_counts(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog&sure=0.75")
    sure = [hit for hit in hits_of(page, "a dog") if hit["confidence"] >= 0.75]
    assert 0 < len(sure) == page.locator(HIT).count()
    assert library.requests[-2]["min_confidence"] == 0.75
    page.click("text=Confidence at least 0.75")
    until(page, f"document.querySelectorAll('{HIT}').length === 9")
    visit(page, "/?q=nothing&sure=0.95", "text=No match reaches your limit")


def test_a_score_is_limited_where_cards_show_scores(page: Page, library: Library) -> None:
    library.calibrated = False
    visit(page, "/?q=a+dog")
    hits = hits_of(page, "a dog")
    assert page.locator("[aria-label='Good matches only']").count() == 0
    best = hits[0]["score"]
    for limit, shown in ((best - 0.01, HIT), (best + 0.01, ".message")):
        page.fill("[aria-label='Score at least']", f"{limit:.4f}")
        page.press("[aria-label='Score at least']", "Enter")
        until(page, "wanted => location.search.includes(wanted)", f"least={limit:.4f}")
        until_asked(page, library, "min_score", round(limit, 4))
        page.wait_for_selector(f".results:not(.waiting) {shown}")
    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector("text=No match reaches your limit")
    assert page.input_value("[aria-label='Score at least']") == f"{best + 0.01:.4f}"
    page.go_back()
    page.wait_for_selector(f".results:not(.waiting) {HIT}")
    page.click("text=Clear filters")
    until(page, "location.search === '?q=a+dog'")
    # In an address that came from elsewhere it can be seen and taken back, whatever the cards show.
    library.calibrated = True
    visit(page, "/?q=a+dog&least=0.1&sure=many")
    assert page.input_value("[aria-label='Score at least']") == "0.1"
    assert "min_confidence" not in library.requests[-1]


def test_no_video_passes_the_filters(page: Page) -> None:
    visit(page, "/?q=a+dog+none&under=/elsewhere", "text=No video passes these filters")
    page.click("section >> text=Clear filters")
    page.wait_for_selector("h2 >> text=No results")


def test_sentences_in_order(page: Page, library: Library) -> None:
    page.goto("/", wait_until="domcontentloaded")
    page.fill("#query", "a dog waits")
    page.click("text=then >> nth=0")
    page.keyboard.type("the dog runs")
    page.keyboard.press("Enter")
    page.wait_for_selector(HIT)
    assert library.requests[-1]["query"] == ["a dog waits", "the dog runs"]
    assert address(page)["q"] == ["a dog waits", "the dog runs"]
    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector(HIT)
    assert page.input_value(".later input") == "the dog runs"
    hit = hits_of(page, ["a dog waits", "the dog runs"])[0]
    page.locator(f"{HIT} .open").first.click()
    page.wait_for_selector(".receipt .word")
    assert page.locator(".receipt .word bdi").all_inner_texts() == ["a", "dog", "waits"]
    page.click(".parts >> text=the dog runs")
    page.wait_for_selector(".receipt .word >> text=runs")
    page.click("text=All the numbers")
    shown = shown_number(page.inner_text(".sum .score"))
    assert shown == round(hit["parts"][1]["score"], 4)
    start = hit["parts"][1]["start"]
    until(page, f"({TIME}) >= {start - 0.1} && ({TIME}) < {start + 4}")


def test_more_like_this_is_labelled_and_can_be_left(page: Page, library: Library) -> None:
    visit(page, "/?q=a+dog")
    segment = page.locator(".card[data-segment]").first.get_attribute("data-segment")
    page.locator(".card [title='More like this']").first.click()
    page.wait_for_selector("text=Similar footage: the best 9 moments")
    assert library.requests[-1]["video"] == segment
    assert address(page) == {"like": [segment]}
    assert page.inner_text(".pill-words") == "Footage like this"
    assert page.locator(".words .chip").count() == 0
    page.click("[aria-label='Search without it']")
    page.wait_for_selector(".home")


@pytest.mark.parametrize(("name", "kind"), [("look.png", "image"), ("clip.mp4", "video")])
def test_a_picture_or_a_video_is_a_question(page: Page, library: Library, name: str, kind: str) -> None:
    from io import BytesIO

    from PIL import Image

    held = BytesIO()
    Image.new("RGB", (40, 30), "red").save(held, "png")
    page.goto("/", wait_until="domcontentloaded")
    mime = "image/png" if kind == "image" else "video/mp4"
    page.set_input_files("input[type=file]", {"name": name, "mimeType": mime, "buffer": held.getvalue()})
    page.wait_for_selector(HIT)
    assert library.requests[-1][kind] == "u1"
    assert page.inner_text(".pill-words") == name
    assert page.locator(".pill canvas").count() == (kind == "image")


def test_an_upload_that_cannot_be_read_says_so(page: Page) -> None:
    page.goto("/", wait_until="domcontentloaded")
    page.set_input_files("input[type=file]", {"name": "empty.png", "mimeType": "image/png", "buffer": b""})
    assert "the file is empty" in page.locator("[role=alert]").inner_text()
    assert "\u201cempty.png\u201d cannot be searched with" in page.locator("[role=alert]").inner_text()


def test_nothing_fits_is_said_and_what_comes_closest_is_folded_away(page: Page) -> None:
    visit(page, "/?q=nothing+here", ".message")
    assert page.inner_text(".message h2") == "Nothing in the library fits \u201cnothing here\u201d well"
    assert page.inner_text(".summary") == "Nothing fits well in 8 videos"
    assert page.evaluate(f"{SHOWN}.length") == 0
    page.click(".fold summary")
    until(page, f"{SHOWN}.length === 9")
    assert page.locator(".fold .match").all_inner_texts() == ["Unlikely"] * 9
    until(page, "document.querySelector('#said').textContent.startsWith('Nothing fits well')")


def test_trouble_is_shown_with_its_remedy_and_can_be_tried_again(page: Page, library: Library) -> None:
    library.broken = True
    page.goto("/?q=a+dog", wait_until="domcontentloaded")
    alert = page.locator("[role=alert]")
    assert "vidsift index check --repair" in alert.inner_text()
    library.broken = False
    alert.locator("text=Try again").click()
    page.wait_for_selector(HIT)
    assert alert.count() == 0


def test_a_service_that_is_gone_is_trouble_too(page: Page) -> None:
    visit(page, "/", ".home")
    page.route("**/v1/search", lambda route: route.abort())
    page.fill("#query", "a dog")
    page.press("#query", "Enter")
    assert "Is vidsift serve still running?" in page.locator("[role=alert]").inner_text()


def test_a_slow_answer_shows_where_it_will_be(page: Page, library: Library) -> None:
    visit(page, "/?q=stuck+dog", ".card.skeleton")
    height = page.locator(".card.skeleton").first.bounding_box()
    library.stuck = False
    page.wait_for_selector(".card:not(.skeleton)")
    settled = page.locator(".card").first.bounding_box()
    assert height
    assert settled
    assert (height["x"], height["y"], height["width"]) == (settled["x"], settled["y"], settled["width"])
    assert abs(height["height"] - settled["height"]) < 1


def test_an_answer_that_does_not_come_is_said_and_can_be_given_up(page: Page) -> None:
    page.clock.install()
    visit(page, "/?q=stuck+dog", ".card.skeleton")
    assert page.inner_text(".summary").startswith("Searching \u2026")
    page.clock.run_for(2000)
    until_text(page, ".summary button", "Cancel")
    page.clock.run_for(8000)
    until_text(page, ".above h2", "No answer for 10 seconds")
    until(page, "document.querySelector('#said').textContent === 'No answer for 10 seconds'")
    page.click("text=Cancel the search")
    until_text(page, ".above h2", "Search cancelled")
    assert page.locator(".card").count() == 0
    assert page.inner_text(".summary") == ""
    assert page.evaluate("document.activeElement.textContent") == "Search again"
    page.keyboard.press("Enter")
    page.clock.run_for(200)
    page.wait_for_selector(".card.skeleton")
    page.fill("#query", "a dog")
    page.press("#query", "Enter")
    page.wait_for_selector(HIT)
    page.clock.run_for(20_000)
    assert page.locator(".above h2").count() == 0


def test_the_start_page_suggests_what_the_library_answers_well(page: Page, library: Library) -> None:
    library.suggestions = ["a dog on a beach", HOSTILE]
    library.model_knows = "drawn shapes only"
    visit(page, "/", ".suggested a")
    shown = page.locator(".suggested a")
    assert shown.all_inner_texts() == [library.suggestions[0], HOSTILE.replace("\u202e", "\ufffd")]
    assert page.inner_text(".tips .about-model") == "About the model: drawn shapes only"
    shown.first.click()
    page.wait_for_selector(HIT)
    assert page.input_value("#query") == "a dog on a beach"


def test_without_suggestions_the_start_page_speaks_of_none(page: Page, library: Library) -> None:
    library.suggestions = []
    visit(page, "/", ".home .card")
    page.wait_for_selector(".suggested", state="hidden")
    library.calibrated = False
    visit(page, "/", ".home .card")
    assert page.locator(".suggested").count() == 0
    assert page.locator(".about-model").is_hidden()


def test_where_nothing_fits_the_page_says_what_the_model_knows(page: Page, library: Library) -> None:
    library.model_knows = "drawn shapes only"
    visit(page, "/?q=nothing+here", ".message.nothing")
    until_text(page, ".nothing .about-model", "About the model: drawn shapes only")


def test_the_last_question_wins(page: Page, library: Library) -> None:
    page.goto("/", wait_until="domcontentloaded")
    page.fill("#query", "slow dog")
    page.press("#query", "Enter")
    page.fill("#query", "nothing quick")
    page.press("#query", "Enter")
    page.wait_for_selector(".message.nothing")
    page.wait_for_timeout(1000)
    assert page.title().startswith("nothing quick")
    assert page.locator(".message.nothing").count() == 1


def test_more_results_go_on_where_the_first_ended(page: Page, library: Library) -> None:
    library.videos = [video for video in library.videos for _ in range(4)]
    visit(page, "/?q=a+dog")
    assert page.locator(".card[data-segment]").count() == 24
    page.click("text=More results")
    until(page, "document.querySelectorAll('.card[data-segment]').length === 36")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("25. ")
    assert page.locator(".below button").count() == 0


def test_pointing_at_a_card_previews_its_moment(page: Page) -> None:
    visit(page, "/?q=late+dog")
    hits = hits_of(page, "late dog")
    place = next(i for i, hit in enumerate(hits) if hit["segment_start"] > 0)
    card = page.locator(".card[data-segment]").nth(place)
    card.locator(".frame").hover()
    page.wait_for_selector(".preview.shown")
    shown = page.evaluate("document.querySelector('.preview').currentTime")
    assert hits[place]["start"] - 0.1 <= shown <= hits[place]["end"] + 0.5
    assert page.evaluate("document.querySelector('.preview').muted")
    page.mouse.move(5, 5)
    until(page, "!document.querySelector('.preview')")


def test_hostile_names_are_text(page: Page) -> None:
    visit(page, "/?q=hostile+%3Cscript%3Ealert(1)%3C/script%3E")
    title = page.locator(".card[data-segment] .title").first.inner_text()
    assert title == HOSTILE.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("\u202e", "\ufffd")
    page.wait_for_selector(".words .chip >> text=alert")
    page.locator(".card[data-segment] .open").first.click()
    page.wait_for_selector(".player[open] .receipt .word")
    page.click("text=Captions that fit")
    page.wait_for_selector(".captions li >> text=onerror")
    assert page.locator("img[src=x]").count() == 0


def test_what_was_searched_for_is_shown_with_the_way_to_the_written_words(
    page: Page, library: Library
) -> None:
    page.goto("/", wait_until="domcontentloaded")
    written = 'Show me "a dog runs", please!'
    ask(page, written)
    note = page.locator(".phrasing")
    assert note.inner_text() == "Searched for \u201ca dog runs\u201d \u00b7 Search exactly as written"
    assert "Searched for a dog runs. 9 good matches" in page.inner_text("[aria-live]")
    # The person's words stay in the field, the title, the address, and among the latest questions.
    assert page.input_value("#query") == written
    assert page.title() == f"{written} \u2013 vidsift"
    assert address(page) == {"q": [written]}
    note.get_by_role("link").focus()
    page.keyboard.press("Enter")
    until_asked(page, library, "verbatim", True)
    until(page, "document.querySelector('.phrasing').innerText.startsWith('Searched exactly as written')")
    assert address(page) == {"q": [written], "verbatim": ["1"]}
    note.get_by_role("link", name="Search as usual").click()
    until_asked(page, library, "verbatim", False)
    assert address(page) == {"q": [written]}
    # A new question is not verbatim because the one before was.
    visit(page, "/?q=a+dog.&verbatim=1")
    ask(page, "a cat")
    assert address(page) == {"q": ["a cat"]}
    until(page, "document.querySelector('.phrasing').innerText === ''")
    visit(page, "/?q=nothing+here.", ".message.nothing")
    assert "fits \u201cnothing here\u201d well" in page.inner_text(".message.nothing h2")
    visit(page, "/", ".home")
    assert page.locator(".lately a").all_inner_texts() == ["a cat", written]


def test_what_is_shown_is_exported_as_a_file(page: Page, library: Library) -> None:
    page.goto("/", wait_until="domcontentloaded")
    ask(page, "a dog runs")
    page.select_option("[aria-label='Kind of file']", "edl")
    with page.expect_download() as loaded:
        page.click(".export [type=submit]")
    assert loaded.value.suggested_filename == "hits.edl"
    request = library.requests[-1]
    assert request["kind"] == "edl"
    assert request["moments"][0].keys() == {"video_id", "start", "end", "score"}
    assert request["title"] == "a dog runs"
    assert 0 < len(request["moments"]) <= page.locator(".card").count()
    assert "variable frame rate" in page.inner_text(".export .note")
