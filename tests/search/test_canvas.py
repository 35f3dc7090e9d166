"""Drawings: marks where they belong, as pixels and as SVG, with letters of any language."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from vidsift.search import canvas
from vidsift.search.canvas import Canvas, Pasted, Polygon, Rectangle, Written, text_width, wrapped

RED, BLUE = (200, 0, 0), (0, 0, 200)


def drawn() -> Canvas:
    page = Canvas(2.0, 1.0)
    page.draw(
        Rectangle((0.0, 0.0, 1.0, 1.0), fill=RED),
        Rectangle((0.0, 0.5, 1.0, 1.0), fill=(0, 0, 0, 128)),
        Pasted(np.full((2, 2, 3), BLUE, np.uint8), (1.5, 0.0, 2.0, 0.5)),
        Polygon([(1.5, 0.6), (2.0, 0.6), (1.75, 1.0)], RED, RED),
        Written(1.25, 0.5, "<b> & x", 9, "middle"),
    )
    return page


def at(page: Image.Image, x: float, y: float) -> tuple[int, ...]:
    pixel = page.getpixel((int(x * page.width / 2), int(y * page.height)))
    assert isinstance(pixel, tuple)
    return pixel


def test_marks_stand_where_they_are_put_and_lie_above_earlier_ones() -> None:
    page = drawn().image()
    assert page.size == (260, 130)
    assert at(page, 0.5, 0.25) == RED
    assert at(page, 0.5, 0.75) == pytest.approx((100, 0, 0), abs=1)
    assert at(page, 1.75, 0.25) == BLUE
    assert at(page, 1.75, 0.7) == RED
    assert at(page, 1.95, 0.9) == (255, 255, 255)
    dark = np.argwhere(np.asarray(page.convert("L"))[:, 135:190] < 100)
    assert dark.mean(axis=0) == pytest.approx((65, 27), abs=4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "pdf", "svg", "PNG"])
def test_every_format_that_is_named_is_written(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"drawn.{suffix}"
    drawn().save(target)
    if suffix == "svg":
        root = ET.fromstring(target.read_text("utf-8"))
        kinds = [element.tag.rpartition("}")[2] for element in root]
        assert kinds == ["rect", "rect", "rect", "image", "polygon", "text"]
        assert root[-1].text == "<b> & x"
        assert (root[1].get("x"), root[1].get("width"), root[1].get("fill")) == (
            "0.0000",
            "1.0000",
            "#c80000",
        )
    elif suffix == "pdf":
        assert target.read_bytes().startswith(b"%PDF")
    else:
        with Image.open(target) as page:
            assert page.size == (260, 130)


@pytest.mark.parametrize("name", ["drawn.docx", "drawn"])
def test_another_format_is_refused_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot draw into drawn.*expected one of \.png, .*\.svg"):
        drawn().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_controls_and_broken_file_names_are_written_as_missing_letters(tmp_path: Path) -> None:
    page = Canvas(2.0, 1.0)
    page.draw(Written(0.1, 0.5, "a\x00b\udcff"))
    page.save(tmp_path / "drawn.png")
    page.save(tmp_path / "drawn.svg")
    assert ET.fromstring((tmp_path / "drawn.svg").read_text("utf-8"))[-1].text == "a\ufffdb\ufffd"


def test_lines_are_broken_where_they_are_too_long_and_lose_nothing() -> None:
    text = "a very long sentence " * 4 + "w" * 60
    lines = wrapped(text, 9, 1.5)
    assert len(lines) > 5
    assert all(text_width(line, 9) <= 1.5 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrapped("short", 9, 1.5) == ["short"]
    assert wrapped("", 9, 1.5) == [""]


def test_letters_that_a_font_lacks_are_taken_from_the_next_that_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Other:
        """A font that has every letter, each as a mark of its own."""

        def getmask(self, text: str) -> bytes:
            return b"" if text == canvas._IN_NO_FONT else text.encode()

    default = ImageFont.load_default(24)

    def font_of(family: str, size_px: float) -> object:
        if family == "other.ttf":
            return Other()
        if family:
            raise OSError("cannot open resource")
        return default

    monkeypatch.setattr(canvas, "_font_of", font_of)
    monkeypatch.setattr(canvas, "_SYSTEM_FONTS", ("none.ttf", "other.ttf"))
    canvas._family_for.cache_clear()
    try:
        assert canvas._family_for(frozenset("red circle")) == ""
        assert canvas._family_for(frozenset("красный")) == "other.ttf"
        monkeypatch.setattr(canvas, "_SYSTEM_FONTS", ("none.ttf",))
        canvas._family_for.cache_clear()
        assert canvas._family_for(frozenset("красный")) == ""
    finally:
        canvas._family_for.cache_clear()
