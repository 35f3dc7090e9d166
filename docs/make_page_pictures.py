"""Take the pictures of docs/page.md: the page on a small library of Shapes, in a real browser.

python docs/make_page_pictures.py

Needs Chromium and the extra ``dev``; where they are missing it says so and leaves the pictures as they are.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.page.browser import (  # noqa: E402
    ARGUMENTS,
    HIT,
    browser_path,
    serving,
    small_library,
    visit,
    why_not,
)
from tests.page.fake import Fake  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VIDEOS, SIZE_PX, COLOURS = 24, 240, 256
WIDE: Any = {"width": 1200, "height": 800}
PHONE: Any = {"width": 390, "height": 780}
NOWHERE = "a man plays the guitar on a stage"
BROKEN = b"This was a video once."
HOME = "/home/me"
"""Stands in the pictures where the library really is, a folder that is gone afterwards."""
RENAME = """([from, to]) => {
    const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (all.nextNode()) all.currentNode.data = all.currentNode.data.replaceAll(from, to);
}"""


def keep(page: Page, name: str, made: str) -> None:
    """Write what a page shows, with few colours: a picture of a page has few."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(600)
    page.evaluate(RENAME, [made, HOME])
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / f"page-{name}.png", optimize=True)


def question_of(sentence: str) -> str:
    """The path that asks for a sentence."""
    return "/?q=" + sentence.replace(",", "%2C").replace(" ", "+")


def take(browser: Browser, address: str, sentence: str, made: str) -> None:
    """All pictures of a library in which ``sentence`` fits a video."""
    light = browser.new_page(base_url=address, viewport=WIDE, color_scheme="light")
    # The first question also measures what unrelated ones score; its time is not the usual one.
    visit(light, question_of(NOWHERE), ".message")
    visit(light, question_of(sentence))
    light.wait_for_selector(".words button.chip")
    keep(light, "results", made)
    light.locator(f"{HIT} .select").first.check()
    keep(light, "selection", made)
    light.click("text=Select none")
    light.locator(f"{HIT} .open").first.click()
    light.wait_for_selector(".receipt .word")
    light.locator(".frame-button").nth(4).click()
    light.keyboard.press("k")
    light.locator(".frame-button").nth(4).hover()
    keep(light, "player", made)
    light.locator(".receipt .word").nth(11).click()
    keep(light, "word", made)
    visit(light, question_of(NOWHERE), ".message")
    keep(light, "nothing", made)
    visit(light, "/?view=library", ".shelf .card")
    keep(light, "library", made)
    light.fill(".add-folder input", made)
    light.click(".add-folder >> text=Choose")
    light.wait_for_selector(".chooser li")
    light.fill(".add-folder input", "")
    # Where people begin to look is of the machine on which the pictures are taken.
    light.evaluate("document.querySelector('.places').replaceChildren()")
    keep(light, "chooser", made)
    light.close()

    dark = browser.new_page(base_url=address, viewport=WIDE, color_scheme="dark")
    visit(dark, "/", ".home .card")
    keep(dark, "dark", made)
    dark.close()

    phone = browser.new_page(base_url=address, viewport=PHONE, is_mobile=True, has_touch=True)
    visit(phone, question_of(sentence))
    keep(phone, "phone", made)
    phone.close()


def take_map(browser: Browser) -> None:
    """The picture of a map, of a made-up account: the bundled model has no patches."""
    with tempfile.TemporaryDirectory() as made, serving(Fake(small_library(Path(made))).app()) as address:
        page = browser.new_page(base_url=address, viewport=WIDE, color_scheme="light")
        visit(page, question_of("two places on the beach"))
        page.locator(f"{HIT} .open").first.click()
        page.wait_for_selector(".map-picture:not(.missing)")
        page.locator(".receipt .word").nth(4).click()
        page.keyboard.press("k")
        keep(page, "map", made)
        page.close()


def main() -> None:
    """Render, index, serve, and take the pictures."""
    if reason := why_not():
        print(f"The pictures of docs/page.md stay as they are: {reason}", file=sys.stderr)
        return
    from playwright.sync_api import sync_playwright

    from vidsift.index.build import build_index
    from vidsift.methods.model import BUNDLED
    from vidsift.service.app import create_app
    from vidsift.shapes.library import write_library

    with tempfile.TemporaryDirectory() as made:
        folder, index = Path(made) / "Videos", Path(made) / "index"
        clips = write_library(folder, "test", VIDEOS, size_px=SIZE_PX, spoken_names=True)
        (folder / "holiday 2019.mp4").write_bytes(BROKEN)
        build_index([folder], index, BUNDLED)
        with serving(create_app(index)) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
            take(browser, address, clips[9].captions[0], made)
            take_map(browser)
            browser.close()


if __name__ == "__main__":
    main()
