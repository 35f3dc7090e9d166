"""One browser for all tests of the page, and a page that may not fail silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.page.browser import ARGUMENTS, WAIT_SECONDS, browser_path, serving, small_library, why_not
from tests.page.fake import Fake, Library

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

USUAL: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; tests are skipped where there is none."""
    if reason := why_not():
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Fake]]:
    """The address of a service with a made-up library, and the service."""
    if reason := why_not():
        pytest.skip(reason)
    fake = Fake(small_library(tmp_path_factory.mktemp("page")))
    with serving(fake.app()) as address:
        yield address, fake


@pytest.fixture
def library(made_up: tuple[str, Fake]) -> Iterator[Library]:
    """The made-up library, as new for every test."""
    _, fake = made_up
    before = fake.library
    fake.library = Library(before.videos)
    yield fake.library
    for video in before.videos:
        video.tags.clear()
    fake.library = before


@pytest.fixture(scope="session")
def context(browser: Browser, made_up: tuple[str, Fake]) -> Iterator[BrowserContext]:
    """What most tests open their page in: a context costs more than the page."""
    opened = browser.new_context(base_url=made_up[0], **USUAL)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, made_up: tuple[str, Fake], library: Library) -> Iterator[Page]:
    """A fresh page of 1280 x 900 that remembers nothing."""
    yield from watched(context, made_up[0])


def fresh_page(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Open a page in a context of its own."""
    context = browser.new_context(base_url=address, **(USUAL | options))
    yield from watched(context, address)
    context.close()


def watched(context: BrowserContext, address: str) -> Iterator[Page]:
    """Open a page and watch it: no script error, nothing refused by its policy, nothing from outside."""
    context.set_default_timeout(WAIT_SECONDS * 1000)
    page = context.new_page()
    complaints: list[str] = []
    outside: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: _keep(complaints, message))
    page.on("request", lambda request: outside.append(request.url))
    page.on("dialog", lambda dialog: complaints.append(f"a dialog opened: {dialog.message}"))
    yield page
    hacked = page.evaluate("localStorage.clear() || window.hacked")
    page.close()
    assert complaints == []
    assert [url for url in outside if not url.startswith((address, "blob:" + address))] == []
    assert hacked is None


def _keep(complaints: list[str], message: Any) -> None:
    # Problems are answers: the browser notes each of them, the page shows them.
    if message.type == "error" and "Failed to load resource" not in message.text:
        complaints.append(message.text)
