"""The whole way by keyboard in Firefox and in WebKit, on the real service.

Firefox is driven by Mozilla's `marionette_driver`, WebKitGTK by `selenium` and its WebKitWebDriver, on a
display of Xvfb: `pip install marionette_driver selenium`; Debian's firefox-esr, webkit2gtk-driver and xvfb.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
from tests.page.keyboard_run import Keyboard, empty_service, from_nothing_to_a_clip, write_videos

FIREFOX = shutil.which("firefox") or shutil.which("firefox-esr")
WEBKIT = next(Path("/usr/lib").glob("*/webkit2gtk-4*/MiniBrowser"), None)
DISPLAY = ":93"
CODES = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Backspace": "\ue003",
    "ArrowDown": "\ue015",
}
SHIFT = "\ue008"


class ActionKeyboard:
    """Keys by the actions of WebDriver, which both drivers have in their own words."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def press(self, key: str) -> None:
        *shift, name = key.split("+") if key != "+" else [key]
        self._send([SHIFT] if shift else [], CODES.get(name, name))

    def write(self, text: str) -> None:
        for letter in text:
            self._send([], letter)

    def look(self, expression: str) -> Any:
        return self._driver.execute_script(f"return {expression}")

    def _send(self, held: list[str], key: str) -> None:
        raise NotImplementedError


class FirefoxKeyboard(ActionKeyboard):
    """Keys by Marionette."""

    def _send(self, held: list[str], key: str) -> None:
        chain = self._driver.actions.sequence("key", "keyboard")
        for code in [*held, key]:
            chain = chain.key_down(code)
        for code in [key, *held]:
            chain = chain.key_up(code)
        chain.perform()


class WebkitKeyboard(ActionKeyboard):
    """Keys by Selenium."""

    def _send(self, held: list[str], key: str) -> None:
        chain = pytest.importorskip("selenium.webdriver").ActionChains(self._driver, duration=0)
        for code in held:
            chain.key_down(code)
        chain.send_keys(key)
        for code in held:
            chain.key_up(code)
        chain.perform()


@contextmanager
def running(command: list[str], port: int | None = None, **options: Any) -> Iterator[None]:
    """A program, from when it listens until the block ends."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    ) as process:
        try:
            if port is not None:
                _wait_for(port)
            yield
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens at port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def firefox(address: str, downloads: Path) -> Iterator[Keyboard]:
    """A headless Firefox at an address, whose downloads go into a folder."""
    if FIREFOX is None:
        pytest.skip("there is no Firefox; install firefox-esr")
    driver = pytest.importorskip("marionette_driver.marionette", reason="pip install marionette_driver")
    port, profile = _free_port(), downloads.parent / "profile"
    profile.mkdir()
    settings = {
        "marionette.port": port,
        "browser.download.folderList": 2,
        "browser.download.dir": f'"{downloads}"',
        "browser.helperApps.neverAsk.saveToDisk": '"video/mp4"',
        "accessibility.tabfocus": 7,
    }
    lines = [f'user_pref("{name}", {value});' for name, value in settings.items()]
    (profile / "user.js").write_text("\n".join(lines), encoding="utf-8")
    command = [FIREFOX, "--headless", "--marionette", "--profile", str(profile), "--no-remote"]
    with running(command, port, env=os.environ | {"HOME": str(downloads.parent), "MOZ_HEADLESS": "1"}):
        session = driver.Marionette(host="127.0.0.1", port=port)
        session.start_session()
        session.navigate(address)
        yield FirefoxKeyboard(session)


@contextmanager
def webkit(address: str, downloads: Path) -> Iterator[Keyboard]:
    """WebKitGTK's own small browser at an address."""
    if WEBKIT is None or not shutil.which("WebKitWebDriver") or not shutil.which("Xvfb"):
        pytest.skip("there is no WebKit to drive; install webkit2gtk-driver and xvfb")
    selenium = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    options = selenium.WebKitGTKOptions()
    options.binary_location = str(WEBKIT)
    options.add_argument("--automation")
    surroundings = os.environ | {"DISPLAY": DISPLAY, "HOME": str(downloads.parent)}
    surroundings |= {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "GDK_BACKEND": "x11"}
    with running(["Xvfb", DISPLAY, "-screen", "0", "1280x900x24", "-nolisten", "tcp"]):
        time.sleep(1)
        service = pytest.importorskip("selenium.webdriver.webkitgtk.service").Service(env=surroundings)
        driver = selenium.WebKitGTK(options=options, service=service)
        try:
            driver.get(address)
            yield WebkitKeyboard(driver)
        finally:
            driver.quit()


@pytest.mark.skipif(sys.platform != "linux", reason="the browsers are those of Linux")
@pytest.mark.parametrize("browser", [firefox, webkit], ids=["firefox", "webkit"])
def test_from_an_empty_library_to_a_clip_by_keyboard_alone(browser: Any, tmp_path: Path) -> None:
    folder, downloads = tmp_path / "my videos", tmp_path / "downloads"
    downloads.mkdir()
    clips = write_videos(folder, 8)
    with empty_service(tmp_path / "index") as address, browser(address, downloads) as keys:
        assert from_nothing_to_a_clip(keys, folder, clips[0].captions[0]).startswith("Saved, ")
        if browser is firefox:
            time.sleep(1)
    for clip in downloads.iterdir():
        with av.open(str(clip)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 10
    assert browser is webkit or len(list(downloads.iterdir())) == 1
