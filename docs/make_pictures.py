"""Draw the pictures of docs/shapes.md: one page of words, and a group of hard negatives for each tag.

python docs/make_pictures.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vidsift.shapes.captions import describe_scene
from vidsift.shapes.groups import hard_negative_group
from vidsift.shapes.render import render
from vidsift.shapes.world import (
    BACKGROUNDS,
    COLOURS,
    RADII,
    SHAPES,
    TAGS,
    TEXTURES,
    Scene,
    Thing,
)

HERE = Path(__file__).parent
SIDE_PX, GAP_PX, TITLE_PX = 80, 2, 16
TIMES_SECONDS = np.arange(8) / 2 + 0.25
LOOK = (0.3, 0.1, 0.7, 0.5, 0.2, 0.4, 0.6, 0.8)

Picture = NDArray[np.uint8]
Row = tuple[Sequence[str], Sequence[Picture]]


def page(rows: Sequence[Row], name: str) -> None:
    """Write rows of pictures with the titles above them; one title speaks for a whole row."""
    width = max(len(pictures) for _, pictures in rows) * (SIDE_PX + GAP_PX)
    height = SIDE_PX + TITLE_PX + GAP_PX
    sheet = Image.new("RGB", (width, len(rows) * height), "white")
    pen = ImageDraw.Draw(sheet)
    for line, (titles, pictures) in enumerate(rows):
        for place, title in enumerate(titles):
            pen.text((place * (SIDE_PX + GAP_PX) + 3, line * height + 3), title, fill="black")
        for place, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (place * (SIDE_PX + GAP_PX), line * height + TITLE_PX))
    sheet.quantize(128).save(HERE / name, optimize=True)


def still(background: str, *things: Thing) -> Picture:
    """One picture of things that do nothing."""
    picture: Picture = render(Scene(background, things, (), "appearance", (), LOOK), np.zeros(1), SIDE_PX)[0]
    return picture


def big(shape: str, colour: str, texture: str = "plain") -> Thing:
    """A thing that fills its picture."""
    return Thing(shape, colour, "large", texture, 0.36)


def words() -> list[Row]:
    """One picture for each shape, colour, texture, size and background."""
    textures = [still("snow", big("heart", "red", texture)) for texture in TEXTURES]
    sizes = [
        still("wood", Thing("star", "yellow", size, "plain", sum(radii) / 2)) for size, radii in RADII.items()
    ]
    return [
        (SHAPES, [still("sand", big(shape, "blue")) for shape in SHAPES]),
        (COLOURS, [still("tiles", big("disc", colour)) for colour in COLOURS]),
        ((*TEXTURES, *RADII), textures + sizes),
        (BACKGROUNDS, [still(background) for background in BACKGROUNDS]),
    ]


def main() -> None:
    """Draw all pages."""
    page(words(), "shapes-words.png")
    rng = np.random.default_rng(8)
    for tag in TAGS:
        group = hard_negative_group(rng, "train", tag)
        rows = [
            ([describe_scene(scene, rng, 0.4).text], list(render(scene, TIMES_SECONDS, SIDE_PX)))
            for scene in group
        ]
        page(rows, f"shapes-{tag}.png")


if __name__ == "__main__":
    main()
