"""Where in the picture: the maps of an explanation, drawn over the frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidsift.search.canvas import Box, Canvas, Colour, Pasted, Rectangle, Written, wrapped
from vidsift.search.explain import TermAccount
from vidsift.types import Frames

__all__ = [
    "GAVE",
    "LINE",
    "QUIET",
    "TOOK",
    "draw_patches",
    "draw_places",
    "nearest_picture",
    "shaped",
    "tokens_with_maps",
]

GAVE: Colour = (0x1F, 0x6F, 0x8B)
TOOK: Colour = (0xA0, 0x33, 0x17)
QUIET: Colour = (0x76, 0x76, 0x76)
LINE = 0.17
"""Inches from a line of small text to the next."""

_MOST_MAPS = 12
_LARGEST, _PLACES = 1.6, 1.7
_HEAT: Colour = (0xE3, 0x57, 0x0A)
_COLD: Colour = (0x1B, 0x5F, 0xC4)
_WHITE: Colour = (255, 255, 255)
_SMALL, _NOTE = 7.5, 8.0
_VISIBLE = 0.005
"""Places that gave a smaller share of what the largest gave would be dots."""


def shaped(box: Box, frames: Frames | None) -> Box:
    """The part of a square box in which the model's square crop has the shape that a player shows."""
    aspect = 1.0 if frames is None else frames.pixel_aspect
    left, top, right, bottom = box
    across, down = (
        (right - left) * (1 - min(1.0, aspect)) / 2,
        (bottom - top) * (1 - min(1.0, 1 / aspect)) / 2,
    )
    return left + across, top + down, right - across, bottom - down


def nearest_picture(frames: Frames, time_seconds: float) -> NDArray[np.uint8]:
    """The picture that is shown nearest to a second."""
    picture: NDArray[np.uint8] = frames.pixels[int(np.abs(frames.times_seconds - time_seconds).argmin())]
    return picture


def tokens_with_maps(term: TermAccount) -> list[int]:
    """Which video tokens' maps are drawn: of those that gave something the largest, in their order."""
    gave = np.abs(term.contributions.sum(axis=0, dtype=np.float64))
    largest = np.argsort(-gave, kind="stable")[:_MOST_MAPS]
    return sorted(int(token) for token in largest if gave[token] > 0)


def draw_patches(canvas: Canvas, area: Box, term: TermAccount, frames: Frames | None) -> float:
    """A picture for each token that gave something: its frame, and over it the patches it comes from.

    Args:
        canvas: where they are drawn.
        area: its left, top and right edge bound the maps.
        term: the account; it has ``patches``.
        frames: the pictures that the model looked at; None where the file gave none.

    Returns:
        Where the next thing can stand: inches from the top.
    """
    assert term.patches is not None
    assert term.grid is not None
    left, top, right, _ = area
    tokens = tokens_with_maps(term)
    step = min(_LARGEST, (right - left) / max(len(tokens), 1))
    side = 0.92 * step
    place = top + 2.4 * LINE
    for column, token in enumerate(tokens):
        start = left + column * step
        for line, text in enumerate(_title(term, token)):
            canvas.draw(Written(start + side / 2, top + (0.6 + 0.95 * line) * LINE, text, _SMALL, "middle"))
        box = shaped((start, place, start + side, place + side), frames)
        time = None if term.times_seconds is None else float(term.times_seconds[token])
        _draw_picture(canvas, box, frames, time)
        share_RC = term.patches[token].reshape(term.grid)
        if share_RC.any():
            _draw_shares(canvas, box, share_RC)
        else:
            canvas.draw(Written(start + side / 2, box[3] + 0.6 * LINE, "the whole frame", _SMALL, "middle"))
    below = place + side + 1.5 * LINE
    for text in wrapped(term.map_note, _NOTE, right - left):
        canvas.draw(Written(left, below, text, _NOTE, colour=QUIET))
        below += LINE
    return below + 0.1


def draw_places(canvas: Canvas, middle: float, top: float, term: TermAccount, frames: Frames | None) -> float:
    """Where in the picture the term's contributions come from, over the middle frame.

    Returns:
        Where the next thing can stand: inches from the top.
    """
    assert term.grid is not None
    assert term.group is not None
    # Tokens of one place add up: add.at, as += would count each place once.
    given_RC = np.zeros(term.grid)
    np.add.at(given_RC.reshape(-1), term.group, term.contributions.sum(axis=0, dtype=np.float64))
    given_RC[np.abs(given_RC) < _VISIBLE * np.abs(given_RC).max()] = 0
    took = "; blue: taken off" if (given_RC < 0).any() else ""
    canvas.draw(Written(middle, top + 0.5 * LINE, f"where in the picture{took}", 8, "middle"))
    side = _PLACES
    box = shaped((middle - side / 2, top + LINE, middle + side / 2, top + LINE + side), frames)
    _draw_picture(
        canvas, box, frames, None if frames is None else float(frames.times_seconds[len(frames) // 2])
    )
    if given_RC.any():
        _draw_shares(canvas, box, given_RC)
    return top + LINE + side + 0.1


def _title(term: TermAccount, token: int) -> tuple[str, str]:
    name = term.name.split("-", 1)[-1]
    number = term.group[token] if term.group is not None else token
    when = "" if term.times_seconds is None else f", {term.times_seconds[token]:.2f} s"
    return f"{name} {int(number) + 1}{when}", f"gave {term.contributions[:, token].sum(dtype=np.float64):.4f}"


def _draw_picture(canvas: Canvas, box: Box, frames: Frames | None, time: float | None) -> None:
    if frames is not None and time is not None:
        canvas.draw(Pasted(nearest_picture(frames, time), box))
    canvas.draw(Rectangle(box, outline=(0, 0, 0)))


def _draw_shares(canvas: Canvas, box: Box, share_RC: NDArray[np.float64]) -> None:
    """Squares over the picture, the larger the larger the share: they show without their colour too.

    What took from the score is drawn in another colour.
    """
    rows, columns = share_RC.shape
    wide, high = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    largest = np.abs(share_RC).max()
    for row, column in zip(*np.nonzero(share_RC), strict=True):
        # The root: areas compare as the shares do.
        part = 0.94 * float(np.sqrt(abs(share_RC[row, column]) / largest))
        colour = _HEAT if share_RC[row, column] > 0 else _COLD
        x, y = box[0] + (column + 0.5) * wide, box[1] + (row + 0.5) * high
        square = (x - part * wide / 2, y - part * high / 2, x + part * wide / 2, y + part * high / 2)
        around = (square[0] - 0.012, square[1] - 0.012, square[2] + 0.012, square[3] + 0.012)
        canvas.draw(
            Rectangle(around, outline=_WHITE, line=0.012),
            Rectangle(square, fill=(*colour[:3], 76), outline=colour, line=0.014),
        )
