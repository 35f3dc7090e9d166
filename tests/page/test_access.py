"""For everyone: the keyboard alone, screen readers (axe), both colours, a phone, and nothing that jumps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.page.browser import until, visit
from tests.page.conftest import fresh_page
from tests.page.fake import Fake, Library, make_job

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NO_AXE = "axe-playwright-python is not installed (pip install -e '.[dev]')"
STATES = {
    "start": ("/", ".home .card"),
    "results": ("/?q=a+dog", ".words .chip"),
    "weak": ("/?q=nothing+here", ".message.nothing"),
    "mixed": ("/?q=mixed", ".fold summary"),
    "doubtful": ("/?q=doubtful", ".none-good"),
    "no hits": ("/?q=none", ".message"),
    "trouble": ("/?q=trouble", "[role=alert]"),
    "library": ("/?view=library", ".shelf .card"),
    "player": (
        "/?q=a+dog&video=00000000000000000000000000000002&segment=00000000000000000000000000000002s1&t=40",
        ".receipt .word",
    ),
    "map": (
        "/?q=objects+places&video=00000000000000000000000000000002&segment=00000000000000000000000000000002s1",
        ".map-picture:not(.missing)",
    ),
    "filters": ("/?q=a+dog&tag=beach&sure=0.5&least=0.1&from=2026-01-01&longer=3&since=7d&file=GX", ".off"),
    "videos": ("/?q=a+dog&by=video&sort=date", ".moments"),
}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def settle(page: Page, state: str) -> None:
    path, shown = STATES[state]
    visit(page, path, shown)


def violations(page: Page, **options: Any) -> list[str]:
    # The page's own policy lets no script in from outside; the driver's way in does not ask it.
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=NO_AXE)
    violated = axe.Axe().run(page, options={"resultTypes": ["violations"]} | options).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in violated
        for node in rule["nodes"]
    ]


@pytest.fixture
def calm(browser: Browser, made_up: tuple[str, Fake], library: Library) -> Iterator[Page]:
    """A page in which nothing moves, also not from one colour to another."""
    library.failures = [{"path": "/home/me/Videos/club/broken.mp4", "reason": "the file is empty"}]
    library.jobs["f" * 16] = make_job("f" * 16, "update", ["/home/me/Videos/club"], state="paused")
    library.job_step_seconds = 1
    yield from fresh_page(browser, made_up[0], reduced_motion="reduce")


def violations_in_both_colours(page: Page) -> list[str]:
    """In light by every rule; other colours change contrast and nothing else."""
    violated = violations(page)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    violated += violations(page, runOnly={"type": "rule", "values": ["color-contrast"]})
    page.emulate_media(color_scheme="light")
    return violated


def test_no_state_breaks_a_rule_of_accessibility(calm: Page, library: Library) -> None:
    broken: dict[str, list[str]] = {}
    for state in STATES:
        settle(calm, state)
        if state == "library":
            calm.click(".add-folder >> text=Choose")
            calm.wait_for_selector(".chooser-list button")
        if state == "player":
            calm.click("text=Cut and download")
            calm.click("text=All the numbers")
        if state == "videos":
            calm.locator(".select").first.check()
            calm.click(".moments summary")
            calm.wait_for_selector(".moment-list a")
        if state == "map":
            calm.locator(".receipt .word").nth(1).click()
            calm.click("text=The map in numbers")
        if violated := violations_in_both_colours(calm):
            broken[state] = violated
    library.videos = []
    visit(calm, "/", ".first")
    if violated := violations_in_both_colours(calm):
        broken["first run"] = violated
    assert broken == {}


def test_the_keyboard_alone_suffices(page: Page) -> None:
    """From an empty page to a word that is held in the player, a tag, and back; no pointer."""

    def focused(script: str) -> Any:
        return page.evaluate(f"(node => {script})(document.activeElement)")

    visit(page, "/", ".home .card")
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    assert focused("node.id") == "query"
    page.keyboard.type("a dog runs")
    page.keyboard.press("Enter")
    page.wait_for_selector(".words .chip")
    page.keyboard.press("ArrowDown")
    label = focused("node.getAttribute('aria-label')")
    assert label.startswith("1. ")
    page.keyboard.press("ArrowRight")
    assert focused("node.getAttribute('aria-label')").startswith("2. ")
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('.results .cards')).gridTemplateColumns.split(' ').length"
    )
    page.keyboard.press("ArrowDown")
    assert focused("node.getAttribute('aria-label')").startswith(f"{2 + columns}. ")
    ring = focused("(style => style.outlineStyle + style.outlineWidth)(getComputedStyle(node))")
    assert ring == "solid2px"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_selector(".player[open] .receipt .word")
    assert page.evaluate("document.querySelector('.player').contains(document.activeElement)")
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused("node.matches('.receipt .word') && node.textContent.startsWith('dog')"):
            break
    page.wait_for_selector(".timeline[data-kind=word]")
    page.keyboard.press("Enter")
    assert focused("node.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Escape")
    assert focused("node.getAttribute('aria-pressed')") == "false"
    page.keyboard.press("Escape")
    page.wait_for_selector(".player[open]", state="detached")
    assert focused("node.getAttribute('aria-label')").startswith("1. ")
    page.keyboard.press("Escape")
    assert focused("node.id") == "query"
    page.keyboard.press("Tab")
    page.keyboard.press("?")
    page.wait_for_selector(".help[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector(".help[open]", state="detached")


def test_the_first_tab_skips_to_the_results(page: Page) -> None:
    visit(page, "/?q=a+dog", ".words .chip")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_colours_follow_the_system_until_someone_chooses(
    browser: Browser, made_up: tuple[str, Fake], library: Library
) -> None:
    for page in fresh_page(browser, made_up[0], color_scheme="dark"):
        page.goto("/", wait_until="domcontentloaded")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 20, 19)"
        page.click("[aria-label='Light colours']")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"
        page.reload(wait_until="domcontentloaded")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"


def test_a_phone_needs_no_sideways_scrolling(
    browser: Browser, made_up: tuple[str, Fake], library: Library
) -> None:
    too_wide = "(node => node.scrollWidth - node.clientWidth)(document.querySelector('.player-body'))"

    def widths() -> Iterator[int]:
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            yield width

    for page in fresh_page(browser, made_up[0], **PHONE):
        for state in STATES:
            settle(page, state)
            if state == "map":
                page.click("text=The map in numbers")
                page.locator(".map-table td").first.wait_for()
            for width in widths():
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, state)
                assert state != "map" or page.evaluate(too_wide) <= 0
        settle(page, "player")
        page.click("text=Cut and download")
        page.click("text=All the numbers")
        page.locator(".cell").first.wait_for()
        for width in widths():
            player = page.locator(".player").bounding_box()
            assert player
            assert (player["x"], player["width"]) == (0, width)
            assert page.evaluate(too_wide) <= 0


def test_nothing_jumps(page: Page) -> None:
    page.add_init_script(
        "window.shifts = []; const named = source => source.node?.className ?? source.node?.nodeName;"
        "new PerformanceObserver(list => { for (const node of list.getEntries()) if (!node.hadRecentInput)"
        " window.shifts.push([node.value, node.sources.map(named)]); })"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    for state in ("start", "results", "weak", "player", "map", "filters"):
        settle(page, state)
        page.wait_for_timeout(500)
        shifts = page.evaluate("window.shifts")
        assert sum(value for value, _ in shifts) < 0.01, (state, shifts)


def test_what_happens_is_said(page: Page) -> None:
    page.goto("/?q=a+dog", wait_until="domcontentloaded")
    until(page, "document.querySelector('#said').textContent === '9 good matches'")
    page.locator(".card[data-segment] .open").first.click()
    until(page, "document.querySelector('#said').textContent.startsWith('Playing ')")
    assert page.get_attribute("#said", "aria-live") == "polite"
