"""How far the score falls without each word, as a block of an explanation's picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidsift.search.canvas import Canvas, Colour, Rectangle, Written, wrapped
from vidsift.search.explain_layout import (
    BLACK,
    EDGE,
    GAP,
    MOST_NUMBERS,
    NOTE,
    ROW,
    SMALL,
    SUMS,
    TITLE,
    WORD,
    Columns,
    draw_bar,
    draw_frames,
    shown_number,
    shown_word,
    side,
)
from vidsift.search.explain_maps import LINE, QUIET
from vidsift.search.leaving_out import MEANING, LeavingOut, WordFall
from vidsift.types import Frames

__all__ = ["columns_of_falls", "draw_falls"]

_PALEST = 0.75
"""Part of the way to white of the strongest colour of a cell, so that its number can be read."""


def columns_of_falls(falls: LeavingOut) -> int:
    """How many columns the block has: frames, and one more for tokens without a time; 0 without frames."""
    return 0 if falls.times_seconds is None else len(falls.times_seconds) + _has_untimed(falls)


def draw_falls(canvas: Canvas, columns: Columns, y: float, falls: LeavingOut, frames: Frames | None) -> float:
    """Draw a row a word: the falls of each frame's share, and a bar for that of the score.

    Args:
        canvas: where it is drawn.
        columns: of the picture.
        y: its top.
        falls: what is drawn.
        frames: the pictures that the model looked at; None where the file gave none.

    Returns:
        Where the next thing can stand: inches from the top.
    """
    y += 0.5 * LINE
    for line in wrapped(f"left out: {MEANING}", TITLE, columns.width - 2 * EDGE):
        canvas.draw(Written(EDGE, y, line, TITLE))
        y += 1.2 * LINE
    note = falls.frames_missing if falls.words else "the question has no word of letters or digits"
    for line in wrapped(note, NOTE, columns.width - 2 * EDGE) if note else ():
        canvas.draw(Written(EDGE, y, line, NOTE, colour=QUIET))
        y += LINE
    if not falls.words:
        return y
    count = columns_of_falls(falls)
    if falls.times_seconds is not None:
        top, y = y, draw_frames(canvas, columns, y, falls.times_seconds, frames, count=count)
        if _has_untimed(falls):
            canvas.draw(
                Written(columns.middle(count, count - 1), top + 0.4 * LINE, "no time", NOTE, "middle")
            )
    return _draw_rows(canvas, columns, y, falls, _Scale(columns, falls))


class _Scale:
    """How long bars are and how strong colours, for all words alike.

    Attributes:
        left: where bars may start.
        zero: where they do, but for those to the left.
        bar: inches for one.
        strongest: the largest change of a frame's share.
    """

    def __init__(self, columns: Columns, falls: LeavingOut) -> None:
        values = np.array([word.fall for word in falls.words if word.fall is not None] or [0.0])
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        self.left, room = columns.sums, SUMS
        if falls.times_seconds is None:
            # No matrix: the bars take its place.
            self.left, room = columns.matrix, columns.sums - columns.matrix
        self.bar = room / max(high - low, 1e-6)
        self.zero = self.left - low * self.bar
        cells = [np.abs(_cells(word)).max() for word in falls.words if word.frame_falls is not None]
        self.strongest = max([*map(float, cells), 1e-9])


def _draw_rows(canvas: Canvas, columns: Columns, y: float, falls: LeavingOut, scale: _Scale) -> float:
    canvas.draw(Written(scale.left, y + 0.5 * LINE, "the score falls by", NOTE))
    y += 1.2 * LINE
    sentences = falls.by_sentence
    for of_sentence in sentences:
        if len(sentences) > 1:
            y = _draw_sentence(canvas, columns, y, of_sentence[0])
        top = y
        for word in of_sentence:
            _draw_word(canvas, columns, y, word, scale)
            y += ROW
        if falls.times_seconds is not None:
            canvas.draw(Rectangle((columns.matrix, top, columns.matrix_end, y), outline=BLACK))
        canvas.draw(Rectangle((scale.zero, top, scale.zero + 0.01, y), fill=BLACK))
        y += GAP
    return y


def _draw_sentence(canvas: Canvas, columns: Columns, y: float, word: WordFall) -> float:
    y += 0.5 * LINE
    title = f"of “{word.sentence}”, counts {word.weight:.3g} times"
    for line in wrapped(title, NOTE, columns.width - 2 * EDGE):
        canvas.draw(Written(EDGE, y, line, NOTE))
        y += LINE
    return y


def _draw_word(canvas: Canvas, columns: Columns, y: float, word: WordFall, scale: _Scale) -> None:
    middle = y + 0.5 * ROW
    canvas.draw(Written(columns.matrix - GAP, middle, shown_word(word.word), WORD, "right"))
    if word.fall is None:
        canvas.draw(Written(scale.zero + 0.05, middle, "the only word", NOTE, colour=QUIET))
        return
    draw_bar(canvas, scale.zero, middle, word.fall, scale.bar)
    if word.frame_falls is None:
        return
    cells = _cells(word)
    wide = columns.cell(len(cells))
    for column, fall in enumerate(cells):
        left = columns.matrix + column * wide
        colour = _tint(fall / scale.strongest)
        canvas.draw(Rectangle((left, y, left + wide, y + ROW), fill=colour))
        # In narrower cells numbers would run into each other.
        if len(cells) <= MOST_NUMBERS:
            number = shown_number(float(fall), 3).replace("0.", ".", 1)
            canvas.draw(Written(left + wide / 2, middle, number, SMALL, "middle"))


def _has_untimed(falls: LeavingOut) -> bool:
    return any(word.untimed_fall is not None for word in falls.words)


def _cells(word: WordFall) -> NDArray[np.float64]:
    """What each column of a word's row shows."""
    frames = np.zeros(0) if word.frame_falls is None else word.frame_falls
    return frames if word.untimed_fall is None else np.append(frames, word.untimed_fall)


def _tint(share: float) -> Colour:
    """White where nothing changed; the stronger the more, in the colours of the bars."""
    part = _PALEST * min(abs(share), 1.0)
    mixed = [round(255 + part * (channel - 255)) for channel in side(share)[:3]]
    return mixed[0], mixed[1], mixed[2]
