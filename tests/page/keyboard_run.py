"""From an empty library to a clip in a file by keys alone, in whatever browser presses them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.page.browser import HIT, serving

from vidsift.shapes.library import DrawnVideo, draw_split, write_video

__all__ = ["Keyboard", "empty_service", "from_nothing_to_a_clip", "write_videos"]

MOST_TABS = 80


class Keyboard(Protocol):
    """What presses keys in a browser; nothing here points or clicks."""

    def press(self, key: str) -> None:
        """Press a key by its name, such as "Tab", "Enter", "ArrowDown" or "/"."""

    def write(self, text: str) -> None:
        """Press the keys of a text."""

    def look(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""


def write_videos(folder: Path, count: int) -> list[DrawnVideo]:
    """Write so many videos of Shapes."""
    folder.mkdir()
    clips = draw_split("test", count, 3)
    for clip in clips:
        write_video(folder / clip.name, clip.scene)
    return clips


@contextmanager
def empty_service(index: Path) -> Iterator[str]:
    """The address of a service without an index, whose jobs run in its own process with the bundled model."""
    from vidsift.service.app import create_app
    from vidsift.service.job_process import run_job
    from vidsift.service.limits import ServiceLimits

    limits = ServiceLimits(poll_seconds=0.05)
    with serving(create_app(index, run_job=run_job, model="shapes", limits=limits)) as address:
        yield address


def from_nothing_to_a_clip(keys: Keyboard, folder: Path, sentence: str) -> str:
    """Add a folder, search, open the best moment, choose two seconds of it and download them.

    Returns:
        What the page says at last.
    """
    _until(keys, "document.querySelector('.add-folder input')")
    _tab_to(keys, ".add-folder input")
    # As a file manager copies it.
    keys.write(f"'{folder}'")
    keys.press("Enter")
    _until(keys, "document.querySelector('.home .card')", 120)
    keys.press("/")
    keys.write(sentence)
    keys.press("Enter")
    _until(keys, f"document.querySelector({json.dumps(HIT)})", 120)
    keys.press("ArrowDown")
    _until(keys, "document.activeElement.matches('.card .open')")
    keys.press("Enter")
    _until(keys, "document.querySelector('.player[open]')")
    # The words are there for the keyboard, and each shows its frame.
    _until(keys, "document.querySelector('.receipt .word')")
    _tab_to(keys, ".receipt .word")
    _until(keys, "document.querySelector('.receipt .word.pointed')")
    _tab_to(keys, ".tools [aria-expanded]", back=True)
    keys.press("Enter")
    _until(keys, "document.activeElement.matches('.cut .clock-field')")
    for seconds in ("0:01", "0:03"):
        _clear(keys)
        keys.write(seconds)
        _tab_to(keys, ".cut .clock-field" if seconds == "0:01" else ".cut [type=submit]")
    keys.press("Enter")
    said = "document.querySelector('.cut [role=status]').textContent"
    _until(keys, f"{said} && !/Cutting|seconds/.test({said})", 120)
    return str(keys.look(said))


def _clear(keys: Keyboard) -> None:
    for _ in range(len(str(keys.look("document.activeElement.value")))):
        keys.press("Backspace")


def _tab_to(keys: Keyboard, selector: str, *, back: bool = False) -> None:
    """Press Tab until another element has the focus that is meant."""
    for _ in range(MOST_TABS):
        keys.press("Shift+Tab" if back else "Tab")
        if keys.look(f"document.activeElement.matches({json.dumps(selector)})"):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def _until(keys: Keyboard, expression: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not keys.look(f"Boolean({expression})"):
        assert time.monotonic() < end, f"it did not come about in time: {expression}"
        time.sleep(0.05)
