"""The whole way by keyboard, in Chromium on the real service; tests/soak has other browsers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from tests.page.conftest import fresh_page
from tests.page.keyboard_run import empty_service, from_nothing_to_a_clip, write_videos

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class PlaywrightKeyboard:
    """Keys of a page of Playwright."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def write(self, text: str) -> None:
        self._page.keyboard.type(text)

    def look(self, expression: str) -> Any:
        return self._page.evaluate(expression)


def test_from_an_empty_library_to_a_clip_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "my videos"
    clips = write_videos(folder, 8)
    with empty_service(tmp_path / "index") as address:
        for page in fresh_page(browser, address):
            page.goto("/")
            with page.expect_download() as waiting:
                said = from_nothing_to_a_clip(PlaywrightKeyboard(page), folder, clips[0].captions[0])
            assert said.startswith("Saved, ")
            clip = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(clip)
            with av.open(str(clip)) as container:
                frames = sum(1 for _ in container.decode(video=0))
                assert frames == pytest.approx(2 * float(container.streams.video[0].average_rate or 0), abs=1)
