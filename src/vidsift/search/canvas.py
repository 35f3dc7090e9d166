"""A drawing of rectangles, pictures and text, in inches; written by Pillow, or as SVG."""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Box", "Canvas", "Colour", "Pasted", "Polygon", "Rectangle", "Written", "text_width", "wrapped"]

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in inches from the upper left corner."""

Colour = tuple[int, int, int] | tuple[int, int, int, int]
"""Red, green, blue and, where it is not opaque, alpha, each 0 to 255."""

_DOTS_PER_INCH = 130
_POINTS_PER_INCH = 72
_BOLD_PX = 0.35
"""How much wider each stroke of bold text is: the font at hand has one weight."""

_FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")

# Pillow's own font knows Latin letters. Others are looked for where the system keeps its fonts.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "segoeui.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "Arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",
    "msgothic.ttc",
    "malgun.ttf",
    "Hiragino Sans GB.ttc",
    "wqy-microhei.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
)
# For private use, so no font has it: what is drawn for it is the font's sign for what it lacks.
_IN_NO_FONT = "\U0010fffd"


@dataclass(frozen=True)
class Rectangle:
    """An area, filled, outlined or both; ``line`` inches thick."""

    box: Box
    fill: Colour | None = None
    outline: Colour | None = None
    line: float = 0.012


@dataclass(frozen=True)
class Polygon:
    """A filled shape with a thin edge of another colour."""

    points: Sequence[tuple[float, float]]
    fill: Colour
    edge: Colour


@dataclass(frozen=True, eq=False)
class Pasted:
    """Pixels ``(height, width, 3)``, stretched over a box."""

    pixels: NDArray[np.uint8]
    box: Box


@dataclass(frozen=True)
class Written:
    """A line of text: its left end, right end or middle (``align``) is at ``x``, half its height at ``y``."""

    x: float
    y: float
    text: str
    points: float = 9
    align: str = "left"
    colour: Colour = (0, 0, 0)
    bold: bool = False


Mark = Rectangle | Polygon | Pasted | Written


@dataclass
class Canvas:
    """A white page on which marks lie, the later ones above the earlier.

    Attributes:
        width, height: of the page in inches.
        marks: what was drawn.
    """

    width: float
    height: float = 0.0
    marks: list[Mark] = field(default_factory=list)

    def draw(self, *marks: Mark) -> None:
        """Put marks on top."""
        self.marks.extend(marks)

    def save(self, target: str | Path) -> None:
        """Write the page into a file, in the format that its suffix names.

        Raises:
            ValueError: no such format can be written.
            OSError: the file cannot be written.
        """
        target = Path(target)
        suffix = target.suffix.lower()
        if suffix not in _FORMATS:
            raise ValueError(
                f"cannot draw into {target.name}: its name ends in {target.suffix or 'no suffix'}, "
                f"expected one of {', '.join(_FORMATS)}"
            )
        if suffix == ".svg":
            target.write_text(self._svg(), encoding="utf-8")
        else:
            # Pillow reads dpi for pictures and resolution for PDF.
            self.image().save(target, dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH), resolution=_DOTS_PER_INCH)

    def image(self) -> Image.Image:
        """Return the page as pixels."""
        size = (round(self.width * _DOTS_PER_INCH), round(self.height * _DOTS_PER_INCH))
        page = Image.new("RGB", size, "white")
        # Colours with alpha are blended with what lies below.
        pen = ImageDraw.Draw(page, "RGBA")
        for mark in self.marks:
            match mark:
                case Rectangle():
                    _draw_rectangle(pen, mark)
                case Polygon():
                    points = [(x * _DOTS_PER_INCH, y * _DOTS_PER_INCH) for x, y in mark.points]
                    pen.polygon(points, fill=mark.fill, outline=mark.edge)
                case Pasted():
                    left, top, right, bottom = _pixels(mark.box)
                    size = (max(1, right - left), max(1, bottom - top))
                    page.paste(
                        Image.fromarray(mark.pixels).resize(size, Image.Resampling.BICUBIC), (left, top)
                    )
                case Written():
                    _write(pen, mark)
        return page

    def _svg(self) -> str:
        width, height = self.width * _POINTS_PER_INCH, self.height * _POINTS_PER_INCH
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.2f}pt" height="{height:.2f}pt" '
            f'viewBox="0 0 {self.width:.4f} {self.height:.4f}" font-family="sans-serif">'
        )
        lines = [
            head,
            '<rect width="100%" height="100%" fill="white"/>',
            *map(_svg_element, self.marks),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def text_width(text: str, points: float, bold: bool = False) -> float:
    """Inches that a line of text takes."""
    font = _font(text, _size_px(points))
    return (font.getlength(_printable(text)) + (_BOLD_PX * 2 if bold else 0)) / _DOTS_PER_INCH


def wrapped(text: str, points: float, width: float, bold: bool = False) -> list[str]:
    """Cut a text into lines of at most ``width`` inches, between words where that is possible."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if line and text_width(joined, points, bold) > width:
            lines.append(line)
            joined = word
        while text_width(joined, points, bold) > width and len(joined) > 1:
            fits = max(
                n for n in range(1, len(joined)) if n == 1 or text_width(joined[:n], points, bold) <= width
            )
            lines.append(joined[:fits])
            joined = joined[fits:]
        line = joined
    return [*lines, line]


def _pixels(box: Box) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(edge * _DOTS_PER_INCH) for edge in box)
    return left, top, right, bottom


def _draw_rectangle(pen: ImageDraw.ImageDraw, mark: Rectangle) -> None:
    left, top, right, bottom = _pixels(mark.box)
    # Pillow draws the last row and column too.
    box = (left, top, max(left, right - 1), max(top, bottom - 1))
    line = max(1, round(mark.line * _DOTS_PER_INCH)) if mark.outline else 0
    pen.rectangle(box, fill=mark.fill, outline=mark.outline, width=line)


def _write(pen: ImageDraw.ImageDraw, mark: Written) -> None:
    text = _printable(mark.text)
    font = _font(text, _size_px(mark.points))
    anchor = {"left": "l", "middle": "m", "right": "r"}[mark.align]
    # The middle of small letters and digits, whatever hangs below the line in this text.
    base = mark.y * _DOTS_PER_INCH + 0.36 * _size_px(mark.points)
    for moved in (-_BOLD_PX, _BOLD_PX) if mark.bold else (0,):
        pen.text((mark.x * _DOTS_PER_INCH + moved, base), text, mark.colour, font, anchor=f"{anchor}s")


def _size_px(points: float) -> float:
    return points / _POINTS_PER_INCH * _DOTS_PER_INCH


def _printable(text: str) -> str:
    """The text without what is no character: controls, halves of surrogate pairs from file names."""
    return "".join("\ufffd" if unicodedata.category(char) in {"Cc", "Cs"} else char for char in text)


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _font(text: str, size_px: float) -> Font:
    """The first font that has every character of a text, else the one that has the most of them."""
    characters = frozenset(_printable(text))
    return _font_of(_family_for(characters), size_px)


@cache
def _font_of(family: str, size_px: float) -> Font:
    return ImageFont.truetype(family, size_px) if family else ImageFont.load_default(size_px)


@cache
def _family_for(characters: frozenset[str]) -> str:
    best, most = "", -1
    for family in ("", *_SYSTEM_FONTS):
        try:
            font = _font_of(family, 24.0)
        except OSError:
            continue
        empty = bytes(font.getmask(_IN_NO_FONT))
        known = sum(char.isspace() or bytes(font.getmask(char)) != empty for char in characters)
        if known > most:
            best, most = family, known
        if most == len(characters):
            break
    return best


def _svg_colour(name: str, colour: Colour | None) -> str:
    if colour is None:
        return f'{name}="none"'
    red, green, blue, *alpha = colour
    opacity = f' {name}-opacity="{alpha[0] / 255:.3f}"' if alpha else ""
    return f'{name}="#{red:02x}{green:02x}{blue:02x}"{opacity}'


def _svg_element(mark: Mark) -> str:
    match mark:
        case Rectangle():
            outline = f'{_svg_colour("stroke", mark.outline)} stroke-width="{mark.line:.4f}"'
            return f"<rect {_svg_place(mark.box)} {_svg_colour('fill', mark.fill)} {outline}/>"
        case Polygon():
            points = " ".join(f"{x:.4f},{y:.4f}" for x, y in mark.points)
            edge = f'{_svg_colour("stroke", mark.edge)} stroke-width="0.008"'
            return f'<polygon points="{points}" {_svg_colour("fill", mark.fill)} {edge}/>'
        case Pasted():
            held = io.BytesIO()
            Image.fromarray(mark.pixels).save(held, "png")
            data = base64.b64encode(held.getvalue()).decode("ascii")
            return (
                f'<image {_svg_place(mark.box)} preserveAspectRatio="none" '
                f'href="data:image/png;base64,{data}"/>'
            )
        case Written():
            size = mark.points / _POINTS_PER_INCH
            anchor = {"left": "start", "middle": "middle", "right": "end"}[mark.align]
            weight = ' font-weight="bold"' if mark.bold else ""
            return (
                f'<text x="{mark.x:.4f}" y="{mark.y + 0.36 * size:.4f}" font-size="{size:.4f}" '
                f'text-anchor="{anchor}"{weight} {_svg_colour("fill", mark.colour)}>'
                f"{escape(_printable(mark.text))}</text>"
            )


def _svg_place(box: Box) -> str:
    left, top, right, bottom = box
    return f'x="{left:.4f}" y="{top:.4f}" width="{right - left:.4f}" height="{bottom - top:.4f}"'
