"""A real browser and a real server for the tests of the page."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from tests.page.fake import RATE, SIZE_PX, Library, Video
from tests.video.making import Recipe, make

if TYPE_CHECKING:
    from playwright.sync_api import Page

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def browser_path() -> str | None:
    """Where a Chromium is, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def why_not() -> str | None:
    """Why no browser can be started here; None where one can."""
    if find_spec("playwright") is None:
        return "playwright is not installed (pip install -e '.[dev]')"
    if browser_path() is None:
        return f"no Chromium on the path (looked for {', '.join(NAMES)}; Debian: apt-get install chromium)"
    return None


WAIT_SECONDS = 10
HIT = ".card[data-segment]"
"""A card that is an answer, and neither a place for one nor a video of the start page."""


def visit(page: Page, path: str, shown: str = HIT) -> None:
    """Go to a path and wait until something is shown; pictures may come later."""
    page.goto(path, wait_until="domcontentloaded")
    page.wait_for_selector(shown)


def until(page: Page, condition: str, argument: Any = None) -> None:
    """Wait until a JavaScript expression, or a function of ``argument``, is true.

    Unlike the driver's own waiting it needs no `eval` in the page, which the page's policy forbids.
    """
    last = time.monotonic() + WAIT_SECONDS
    while not _holds(page, condition, argument):
        if time.monotonic() > last:
            raise AssertionError(f"not within {WAIT_SECONDS} s: {condition}")
        page.wait_for_timeout(20)


def until_asked(page: Page, library: Library, part: str, value: Any) -> None:
    """Wait until the service was last asked for so much; until then the page shows the old answer."""
    last = time.monotonic() + WAIT_SECONDS
    while library.requests[-1].get(part) != value:
        if time.monotonic() > last:
            raise AssertionError(
                f"not within {WAIT_SECONDS} s: {part} {value}, asked was {library.requests[-1]}"
            )
        page.wait_for_timeout(20)


def _holds(page: Page, condition: str, argument: Any) -> bool:
    """Whether a condition is true now; what it asks about may not be there yet."""
    from playwright.sync_api import Error

    try:
        return bool(page.evaluate(condition, argument))
    except Error as error:
        if "of null" not in str(error):
            raise
        return False


def until_text(page: Page, selector: str, text: str) -> None:
    """Wait until the first element of a selector reads so."""
    until(page, "([at, text]) => document.querySelector(at).innerText === text", [selector, text])


def hits_of(page: Page, query: str | list[str], **parts: Any) -> list[dict[str, Any]]:
    """What the service answers to the question that the page asks."""
    body = {"query": query, "k": 24, "group_by": "segment"} | parts
    answer = page.request.post("/v1/search", data=body)
    hits: list[dict[str, Any]] = answer.json()["data"]
    return hits


def shown_number(text: str) -> float:
    """The first number in a text of the page, which writes a true minus sign."""
    number = re.search(r"[\u2212-]?\d+\.\d+", text)
    assert number, text
    return float(number[0].replace("\u2212", "-"))


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application on a free port of this machine; gives its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # The default ends idle connections after 5 s, perhaps just when a test asks on one that it kept.
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, timeout_keep_alive=600)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            until = time.monotonic() + 20
            while not server.started:
                if time.monotonic() > until:
                    raise TimeoutError("the service did not start within 20 s")
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)


QUICK = {"preset": "ultrafast", "crf": "28"}
FOLDERS = ("/home/me/Videos/holiday", "/home/me/Videos/club")
CLIPS = (
    ("IMG_2041.mp4", 8), ("dog on the beach.mp4", 10), ("GX010117.MP4", 120), ("Kindergeburtstag.mov", 16),
    ("\u6d77\u8fba\u306e\u72ac.mp4", 12),
    ("\u0643\u0644\u0628 \u0639\u0644\u0649 \u0627\u0644\u0634\u0627\u0637\u0626.mp4", 14),
    ("training 2026-04-12 left camera.mkv", 18), ("drone.mp4", 9),
)  # fmt: skip


def small_library(folder: Path) -> Library:
    """Eight small videos in two made-up folders; the third lasts a minute and has two segments."""
    videos = []
    for number, (name, frames) in enumerate(CLIPS):
        recipe = Recipe(
            frames=frames,
            fps=RATE,
            gop=RATE,
            b_frames=0,
            width_px=SIZE_PX[0],
            height_px=SIZE_PX[1],
            options=QUICK,
        )
        file = make(folder, recipe, f"video{number}")
        path = f"{FOLDERS[number % 2]}/{name}"
        videos.append(Video(f"{number:032x}", path, file, frames / RATE))
    return Library(videos)
