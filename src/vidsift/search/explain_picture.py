"""An explanation as a picture: frames, words, how they met, and how that sums to the score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import VideoReadError
from vidsift.files.disk_errors import saving
from vidsift.search.canvas import Canvas, Colour, Polygon, Rectangle, Written, text_width, wrapped
from vidsift.search.explain import Explanation, TermAccount
from vidsift.search.explain_falls import columns_of_falls, draw_falls
from vidsift.search.explain_layout import (
    BLACK,
    EDGE,
    GAP,
    MOST_NUMBERS,
    NOTE,
    ROW,
    SMALL,
    SPECIAL,
    SUMS,
    TITLE,
    WEIGHTS,
    WHITE,
    WORD,
    Columns,
    draw_bar,
    draw_frames,
    shown_number,
    shown_word,
    side,
)
from vidsift.search.explain_maps import GAVE, LINE, QUIET, TOOK, draw_patches, draw_places
from vidsift.types import Frames
from vidsift.video import read_frames

__all__ = ["draw_explanation", "frames_of", "write_picture"]

_THUMBNAIL_PX = 160
_LEGEND = "the bluer, the more alike; numbers: what a meeting gave;"
_MARKS = "a word's best frame", "a frame's best word"

_BEST_WORD: Colour = (0xD0, 0x8C, 0x1D)
_WEIGHT: Colour = (0xD9, 0xD9, 0xD9)
# ColorBrewer's sequential scheme "Blues" of nine classes.
_BLUES = np.array(
    [[247, 251, 255], [222, 235, 247], [198, 219, 239], [158, 202, 225], [107, 174, 214],
     [66, 146, 198], [33, 113, 181], [8, 81, 156], [8, 48, 107]], np.float64,
)  # fmt: skip

_BARS, _NUMBER = 0.85, 0.6
_NARROWEST = 7.5
_QUERY = 13.0


def frames_of(explanation: Explanation) -> Frames | None:
    """Read the pictures that the model looked at, as it cropped them; None where the file gives none."""
    times = _times(explanation)
    if not len(times) or not explanation.path:
        return None
    try:
        # A hair later: the picture whose own time is asked for, whatever the last bit of that time.
        return read_frames(explanation.path, times + 1e-4, size_px=_THUMBNAIL_PX)
    except (VideoReadError, OSError):
        return None


def write_picture(explanation: Explanation, target: str | Path, frames: Frames | None = None) -> None:
    """Draw an explanation into a file; its suffix says the format (png, jpg, webp, tif, pdf, svg).

    Args:
        explanation: what is drawn.
        target: the file; its folder is made.
        frames: see :func:`frames_of`.

    Raises:
        OSError: the file cannot be written.
        ValueError: there is no such format.
    """
    drawn = draw_explanation(explanation, frames)
    with saving("the picture", Path(target)):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        drawn.save(target)


def draw_explanation(explanation: Explanation, frames: Frames | None = None) -> Canvas:
    """Draw an explanation, a block a term: frames along the top, the matrix, weights, and sums.

    Where words were left out, that is a block below.
    """
    columns = _columns(explanation)
    canvas = Canvas(columns.width)
    bottom = _draw_head(canvas, explanation)
    for term in explanation.terms:
        bottom = _draw_title(canvas, bottom + GAP, term, explanation)
        bottom = _draw_term(canvas, columns, bottom, term, frames)
    if explanation.leaving_out is not None:
        bottom = draw_falls(canvas, columns, bottom + GAP, explanation.leaving_out, frames)
    canvas.height = bottom + EDGE
    return canvas


def _columns(explanation: Explanation) -> Columns:
    falls = explanation.leaving_out
    left_out = [] if falls is None else falls.words
    words = [word for term in explanation.terms for word in term.words] + [word.word for word in left_out]
    below = [line for term in explanation.terms for line in _beside_bars(term)]
    words_end = EDGE + max([text_width(shown_word(word), WORD) for word in words], default=0.0)
    matrix = words_end + GAP
    if explanation.terms:
        matrix += WEIGHTS + GAP
        # The words beside the bars below the matrix need their place too.
        matrix = max(matrix, EDGE + GAP + max(text_width(line, NOTE) for line in below))
    most = max([term.values.shape[1] for term in explanation.terms], default=0)
    most = max(most, 0 if falls is None else columns_of_falls(falls))
    wide = float(np.clip(0.8 * most, 4.0, 11.0))
    wide = max(wide, _NARROWEST - matrix - GAP - SUMS - _NUMBER - EDGE)
    sums = matrix + wide + GAP
    return Columns(words_end, matrix, matrix + wide, sums, sums + SUMS + _NUMBER + EDGE)


def _draw_head(canvas: Canvas, explanation: Explanation) -> float:
    parts = " ".join(
        f"{'+' if number and term.total >= 0 else ''}{term.total:.4f}"
        for number, term in enumerate(explanation.terms)
    )
    where = Path(explanation.path).name or explanation.segment_id
    if explanation.segment is not None:
        where += f", {explanation.segment.start_seconds:.1f} to {explanation.segment.end_seconds:.1f} s"
    summed = f" = {parts}" if len(explanation.terms) > 1 else ""
    room = canvas.width - 2 * EDGE
    y = EDGE + 0.1
    for line in wrapped(f"“{explanation.query}”", _QUERY, room, bold=True):
        canvas.draw(Written(EDGE, y, line, _QUERY, bold=True))
        y += 0.26
    y += 0.03
    for line in wrapped(f"{where}      score {explanation.score:.4f}{summed}", TITLE, room):
        canvas.draw(Written(EDGE, y, line, TITLE))
        y += 0.22
    if not explanation.terms:
        return y
    canvas.draw(Written(EDGE, y, _LEGEND, NOTE, colour=QUIET))
    x = EDGE + text_width(_LEGEND, NOTE) + 0.12
    for pointer, colour, text in zip((_right, _down), (GAVE, _BEST_WORD), _MARKS, strict=True):
        canvas.draw(pointer(x, y, colour), Written(x + 0.1, y, text, NOTE, colour=QUIET))
        x += text_width(text, NOTE) + 0.3
    return y + LINE


def _draw_title(canvas: Canvas, y: float, term: TermAccount, explanation: Explanation) -> float:
    title = f"{term.name}" + (f", counts {term.weight:.3g} times" if term.weight != 1 else "")
    if len(explanation.terms) > 1 and term.sentence != explanation.query:
        title = f"“{term.sentence}”: {title}"
    y += 0.5 * LINE
    for line in [title, term.note] if term.note else [title]:
        for text in wrapped(line, TITLE, canvas.width - 2 * EDGE):
            canvas.draw(Written(EDGE, y, text, TITLE))
            y += 1.2 * LINE
    return y


def _draw_term(canvas: Canvas, columns: Columns, y: float, term: TermAccount, frames: Frames | None) -> float:
    if term.times_seconds is not None:
        y = draw_frames(canvas, columns, y, term.times_seconds, frames)
    elif term.grid is not None:
        y = draw_places(canvas, (columns.matrix + columns.matrix_end) / 2, y, term, frames)
    y += 0.5 * LINE
    canvas.draw(
        Written(columns.words_end + GAP + WEIGHTS, y, "weight", NOTE, "right"),
        Written(columns.sums, y, f"each {term.name.split('-', 1)[0]} gave", NOTE),
    )
    y += 0.7 * LINE
    _draw_matrix(canvas, columns, y, term)
    _draw_words(canvas, columns, y, term)
    _draw_word_sums(canvas, columns, y, term)
    y = _draw_token_sums(canvas, columns, y + len(term.words) * ROW + GAP, term)
    if term.patches is not None:
        y = draw_patches(canvas, (EDGE, y + GAP, columns.width - EDGE, y), term, frames)
    return y


def _draw_matrix(canvas: Canvas, columns: Columns, y: float, term: TermAccount) -> None:
    rows, count = term.values.shape
    cell = columns.cell(len(term.video_weights))
    colours = _blues(term.values)
    for row in range(rows):
        for column in range(count):
            left = columns.matrix + column * cell
            box = (left, y + row * ROW, left + cell, y + (row + 1) * ROW)
            canvas.draw(Rectangle(box, fill=colours[row][column]))
    canvas.draw(Rectangle((columns.matrix, y, columns.matrix_end, y + rows * ROW), outline=BLACK))
    for row, best in enumerate(term.best_video_token):
        if best >= 0:
            x = columns.middle(len(term.video_weights), float(best)) - min(0.36 * cell, cell / 2 - 0.06)
            canvas.draw(_right(x, y + (row + 0.5) * ROW, GAVE))
    for column, best in enumerate(term.best_text_token):
        if best >= 0:
            canvas.draw(
                _down(columns.middle(len(term.video_weights), column), y + (best + 0.14) * ROW, _BEST_WORD)
            )
    # In narrower cells numbers would run into each other.
    if count > MOST_NUMBERS:
        return
    for row, column in zip(*np.nonzero(term.contributions), strict=True):
        given = float(term.contributions[row, column])
        dark = sum(colours[row][column][:3]) < 3 * 0x80
        # On dark cells the sign of a number is its minus alone.
        colour = WHITE if dark else BLACK if given > 0 else TOOK
        middle = columns.middle(len(term.video_weights), float(column))
        number = shown_number(given, 3).replace("0.", ".", 1)
        canvas.draw(Written(middle, y + (row + 0.58) * ROW, number, SMALL, "middle", colour))


def _draw_words(canvas: Canvas, columns: Columns, y: float, term: TermAccount) -> None:
    """The words, and how much each of them weighs."""
    end = columns.words_end + GAP + WEIGHTS
    largest = max(float(term.text_weights.max()), 1e-6)
    for row, (word, weight) in enumerate(zip(term.words, term.text_weights, strict=True)):
        middle = y + (row + 0.5) * ROW
        colour = QUIET if word in SPECIAL else BLACK
        long = WEIGHTS * max(float(weight), 0.0) / largest
        canvas.draw(
            Written(columns.words_end, middle, shown_word(word), WORD, "right", colour),
            Rectangle((end - long, middle - 0.36 * ROW, end, middle + 0.36 * ROW), fill=_WEIGHT),
            Written(end - 0.04, middle, shown_number(float(weight), 2), SMALL, "right"),
        )


def _draw_word_sums(canvas: Canvas, columns: Columns, y: float, term: TermAccount) -> None:
    sums = term.contributions.sum(axis=1, dtype=np.float64)
    low, high = min(0.0, float(sums.min())), max(0.0, float(sums.max()))
    scale = SUMS / max(high - low, 1e-6)
    zero = columns.sums - low * scale
    for row, given in enumerate(sums):
        draw_bar(canvas, zero, y + (row + 0.5) * ROW, float(given), scale)
    canvas.draw(Rectangle((zero, y, zero + 0.01, y + len(sums) * ROW), fill=BLACK))


def _draw_token_sums(canvas: Canvas, columns: Columns, y: float, term: TermAccount) -> float:
    sums = term.contributions.sum(axis=0, dtype=np.float64)
    numbered = len(sums) <= MOST_NUMBERS
    low, high = min(0.0, float(sums.min())), max(0.0, float(sums.max()))
    top = y + (LINE if numbered else 0)
    scale = (_BARS - (LINE if numbered else 0)) / max(high - low, 1e-6)
    zero = top + high * scale
    wide = 0.4 * columns.cell(len(term.video_weights))
    weighs = _weighs(term)
    for column, (given, weight) in enumerate(zip(sums, term.video_weights, strict=True)):
        middle = columns.middle(len(term.video_weights), column)
        ends = sorted((zero, zero - float(given) * scale))
        canvas.draw(Rectangle((middle - wide, ends[0], middle + wide, ends[1]), fill=side(given)))
        if numbered:
            number = shown_number(float(given), 3)
            canvas.draw(Written(middle, ends[0] - 0.45 * LINE, number, SMALL, "middle"))
        if numbered and weighs:
            below = y + _BARS + 0.6 * LINE
            canvas.draw(Written(middle, below, f"w {shown_number(float(weight), 2)}", 7.0, "middle", QUIET))
    canvas.draw(Rectangle((columns.matrix, zero, columns.matrix_end, zero + 0.01), fill=BLACK))
    middle = y + _BARS / 2
    beside = _beside_bars(term)
    for line, text in enumerate(beside):
        place = middle + (line - (len(beside) - 1) / 2) * LINE
        canvas.draw(Written(columns.matrix - GAP, place, text, NOTE, "right"))
    canvas.draw(Written(columns.sums, middle, f"all: {term.total:.4f}", TITLE, bold=True))
    return y + _BARS + (1.2 * LINE if numbered else 0.05)


def _beside_bars(term: TermAccount) -> list[str]:
    given = f"each {term.name.split('-', 1)[-1]} gave"
    return [f"{given},", "w its weight"] if _weighs(term) else [given]


def _weighs(term: TermAccount) -> bool:
    """Whether the tokens below the matrix differ in weight; else their weights say nothing."""
    return not np.allclose(term.video_weights, term.video_weights[:1])


def _right(x: float, y: float, colour: Colour) -> Polygon:
    return Polygon([(x - 0.035, y - 0.045), (x + 0.04, y), (x - 0.035, y + 0.045)], colour, WHITE)


def _down(x: float, y: float, colour: Colour) -> Polygon:
    return Polygon([(x - 0.045, y - 0.035), (x, y + 0.04), (x + 0.045, y - 0.035)], colour, WHITE)


def _blues(values: NDArray[np.float32]) -> list[list[Colour]]:
    """Colours of cells; the darkest are left out, so that what is written on them can be read."""
    low, high = min(0.0, float(values.min())), 1.6 * max(float(values.max()), 1e-6)
    place = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * (len(_BLUES) - 1)
    steps = np.arange(len(_BLUES))
    mixed = np.stack([np.interp(place, steps, _BLUES[:, channel]) for channel in range(3)], axis=-1).round()
    return [[(int(r), int(g), int(b)) for r, g, b in row] for row in mixed]


def _times(explanation: Explanation) -> NDArray[np.float64]:
    times = (term.times_seconds for term in explanation.terms)
    timed: Sequence[Any] = [times_N for times_N in times if times_N is not None]
    return np.unique(np.concatenate(timed)) if timed else np.zeros(0)
