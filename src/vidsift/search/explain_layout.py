"""Where the parts of an explanation's picture stand, and what all of its blocks draw alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsift.encoders.tokenizer import END, START
from vidsift.search.canvas import Canvas, Colour, Pasted, Rectangle, Written
from vidsift.search.explain_maps import GAVE, LINE, TOOK, nearest_picture, shaped
from vidsift.types import Frames

__all__ = [
    "BLACK",
    "EDGE",
    "GAP",
    "MOST_NUMBERS",
    "NOTE",
    "ROW",
    "SMALL",
    "SPECIAL",
    "SUMS",
    "TITLE",
    "WEIGHTS",
    "WHITE",
    "WORD",
    "Columns",
    "draw_bar",
    "draw_frames",
    "shown_number",
    "shown_word",
    "side",
]

SPECIAL = {START: "start of text", END: "end of text"}

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

EDGE, GAP = 0.15, 0.12
ROW = 0.34
WEIGHTS, SUMS = 1.0, 1.05
"""Inches that the bars of weights and of sums may take."""
_LARGEST_FRAME = 2.4
WORD, SMALL, NOTE, TITLE = 9.0, 7.5, 8.0, 10.0
"""Points of text."""

MOST_NUMBERS = 26
"""Columns up to which each meeting that gave something carries its number."""


@dataclass(frozen=True)
class Columns:
    """Where the parts of every block stand, in inches: words, their weights, the matrix, and sums."""

    words_end: float
    matrix: float
    matrix_end: float
    sums: float
    width: float

    def cell(self, count: int) -> float:
        """Width of one of ``count`` columns of the matrix."""
        return (self.matrix_end - self.matrix) / count

    def middle(self, count: int, column: float) -> float:
        """Middle of one of ``count`` columns of the matrix."""
        return self.matrix + (column + 0.5) * self.cell(count)


def draw_frames(
    canvas: Canvas,
    columns: Columns,
    y: float,
    times_N: NDArray[np.float64],
    frames: Frames | None,
    *,
    count: int | None = None,
) -> float:
    """Draw the frames along the top of a matrix whose first columns have these times; returns where it ends.

    Args:
        canvas: where they are drawn.
        columns: of the block.
        y: their top.
        times_N: of the columns; columns with one time share a frame.
        frames: the pictures; None where there are none.
        count: of all columns; those that have a time when None.
    """
    count = len(times_N) if count is None else count
    cell, bottom = columns.cell(count), y + LINE
    for time in np.unique(times_N):
        tokens = np.flatnonzero(times_N == time)
        left, right = (columns.middle(count, float(token)) for token in (tokens.min(), tokens.max()))
        middle, edge = (left + right) / 2, min(right - left + 0.94 * cell, _LARGEST_FRAME)
        canvas.draw(Written(middle, y + 0.4 * LINE, f"{time:.2f} s", NOTE, "middle"))
        if frames is not None:
            box = shaped((middle - edge / 2, y + LINE, middle + edge / 2, y + LINE + edge), frames)
            canvas.draw(Pasted(nearest_picture(frames, float(time)), box))
            bottom = max(bottom, y + LINE + edge)
    return bottom + 0.05


def draw_bar(canvas: Canvas, zero: float, middle: float, value: float, scale: float) -> None:
    """Draw a value as a bar of a row, with its number at the end.

    Args:
        canvas: where it is drawn.
        zero: where the bar starts.
        middle: of the row.
        value: negative ones go to the left.
        scale: inches for one.
    """
    ends = sorted((zero, zero + value * scale))
    canvas.draw(
        Rectangle((ends[0], middle - 0.36 * ROW, ends[1], middle + 0.36 * ROW), fill=side(value)),
        Written(ends[1] + 0.05, middle, shown_number(value, 4), NOTE),
    )


def side(value: float) -> Colour:
    """The colour of what was given, or of what was taken off."""
    return GAVE if value >= 0 else TOOK


def shown_number(value: float, places: int) -> str:
    """The number without the sign of a zero that it was rounded to."""
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def shown_word(word: str) -> str:
    """A word as it fits beside a matrix."""
    return SPECIAL.get(word, word if len(word) <= 28 else word[:27] + "…").strip()
