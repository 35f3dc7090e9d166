"""Draw the pictures of docs/shapes.md: words, hard negatives of each tag, and clips of Shapes 2.

python docs/make_pictures.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vidsift.shapes.captions import describe_scene
from vidsift.shapes.clip_captions import describe_clip
from vidsift.shapes.clip_groups import clip_group
from vidsift.shapes.grounding import ground_caption
from vidsift.shapes.groups import hard_negative_group
from vidsift.shapes.render import render
from vidsift.shapes.stream import clip_times
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
CLIP_PICTURES = 12
KIND_COLOURS = {"appearance": "seagreen", "event": "darkorange", "order": "royalblue", "background": "grey"}
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


def grounded_clip(name: str) -> None:
    """Write a clip with its caption, the seconds in which each word is true, and the boxes of two things."""
    rng = np.random.default_rng(15)
    clip = clip_group(rng, "train", "order")[0]
    caption = describe_clip(clip, rng)
    words = ground_caption(clip, caption)
    times = clip_times(CLIP_PICTURES, "uniform", clip.duration_seconds)
    step, left, line = SIDE_PX + GAP_PX, 70, 14
    sheet = Image.new("RGB", (left + CLIP_PICTURES * step, 40 + SIDE_PX + line * len(words)), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((3, 3), f"{caption.text}    ({clip.duration_seconds:g} s)", fill="black")
    for place, (time, picture) in enumerate(zip(times, render(clip, times, SIDE_PX), strict=True)):
        corner = left + place * step
        sheet.paste(Image.fromarray(picture), (corner, 20))
        for word in words:
            near = [box for box in word["boxes"] if abs(box[0] - time) <= 0.25 and word["kind"] == "event"]
            for _, x0, y0, x1, y1 in near[:1]:
                edges = [corner + x0 * SIDE_PX, 20 + y0 * SIDE_PX, corner + x1 * SIDE_PX, 20 + y1 * SIDE_PX]
                pen.rectangle(edges, outline="yellow")
    for row, word in enumerate(words):
        top = 26 + SIDE_PX + row * line
        pen.text((3, top), word["word"], fill="black")
        for span in word["spans"]:
            x0, x1 = (left + second / clip.duration_seconds * CLIP_PICTURES * step for second in span)
            pen.rectangle([x0, top + 2, x1, top + line - 3], fill=KIND_COLOURS[word["kind"]])
    sheet.quantize(128).save(HERE / name, optimize=True)


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
    grounded_clip("shapes2-grounding.png")
    rng = np.random.default_rng(23)
    group = clip_group(rng, "train", "motion")
    seconds = clip_times(CLIP_PICTURES, "uniform", group[0].duration_seconds)
    page(
        [([describe_clip(clip, rng).text], list(render(clip, seconds, SIDE_PX))) for clip in group],
        "shapes2-motion.png",
    )


if __name__ == "__main__":
    main()
