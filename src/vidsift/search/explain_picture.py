"""An explanation as a picture: frames, words, how they met, and how that sums to the score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidsift.encoders.tokenizer import END, START
from vidsift.search.explain import Explanation, TermAccount
from vidsift.search.explain_maps import draw_patches, draw_places, map_height, nearest_picture
from vidsift.types import Frames
from vidsift.video import VideoReadError, read_frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["draw_explanation", "frames_of", "write_picture"]

_THUMBNAIL_PX = 160
_GAVE, _TOOK, _QUIET = "#1f6f8b", "#a03317", "#7a7a7a"
_SPECIAL = {START: "start of text", END: "end of text"}
_LEGEND = (
    "the bluer, the more alike; numbers: what a meeting gave;  "
    "\u25b6 a word's best frame,  \u25bc a frame's best word"
)
_MARGINS = 3.6
"""Inches beside the matrices."""

_MOST_NUMBERS = 26
"""Columns up to which each meeting that gave something carries its number."""


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
    """Draw an explanation into a file; its suffix says the format (png, pdf, svg).

    Args:
        explanation: what is drawn.
        target: the file.
        frames: see :func:`frames_of`.

    Raises:
        ImportError: matplotlib, of the extra ``train``, is not installed.
        OSError: the file cannot be written.
        ValueError: there is no such format.
    """
    figure = draw_explanation(explanation, frames)
    figure.savefig(str(target), dpi=130)


def draw_explanation(explanation: Explanation, frames: Frames | None = None) -> Figure:
    """Draw an explanation, a block a term: frames along the top, the matrix, weights, and sums.

    Raises:
        ImportError: matplotlib, of the extra ``train``, is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise ImportError(
            "drawing an explanation needs matplotlib, which comes with the extra 'train': "
            "pip install 'vidsift[train]'; --json gives the same numbers without it"
        ) from missing
    terms = explanation.terms
    width = _width(explanation)
    heights = [0.85 + sum(_heights(term, width)) for term in terms]
    figure = Figure(figsize=(max(8.5, _MARGINS + width), 1.1 + sum(heights)), layout="constrained")
    head, *blocks = np.ravel(
        np.asarray(figure.subfigures(1 + len(terms), 1, height_ratios=[0.9, *heights]), object)
    )
    _draw_head(head, explanation)
    for block, term in zip(blocks, terms, strict=True):
        _draw_term(block, term, explanation, frames)
    return figure


def _draw_head(head: SubFigure, explanation: Explanation) -> None:
    parts = " ".join(
        f"{'+' if number and term.total >= 0 else ''}{term.total:.4f}"
        for number, term in enumerate(explanation.terms)
    )
    where = Path(explanation.path).name or explanation.segment_id
    if explanation.segment is not None:
        where += f", {explanation.segment.start_seconds:.1f} to {explanation.segment.end_seconds:.1f} s"
    summed = f" = {parts}" if len(explanation.terms) > 1 else ""
    head.text(0.01, 0.78, f"“{explanation.query}”", fontsize=13, weight="bold", va="center", parse_math=False)
    head.text(
        0.01, 0.42, f"{where}      score {explanation.score:.4f}{summed}", va="center", parse_math=False
    )
    head.text(0.01, 0.12, _LEGEND, va="center", fontsize=8, color=_QUIET, parse_math=False)


def _draw_term(block: SubFigure, term: TermAccount, explanation: Explanation, frames: Frames | None) -> None:
    columns = term.values.shape[1]
    *heights, below = _heights(term, _width(explanation))
    if term.patches is not None:
        halves = block.subfigures(2, 1, height_ratios=[0.85 + sum(heights), below])
        block, maps = np.ravel(np.asarray(halves, object))
        draw_patches(maps, term, frames)
    grid = block.add_gridspec(
        3,
        3,
        height_ratios=heights,
        width_ratios=[1.1, _width(explanation), 1.6],
    )
    matrix = block.add_subplot(grid[1, 1])
    if term.times_seconds is not None:
        _draw_frames(block.add_subplot(grid[0, 1], sharex=matrix), term, frames)
    elif term.grid is not None:
        draw_places(block.add_subplot(grid[0, 1]), term, frames)
    _draw_matrix(matrix, term)
    _draw_words(block.add_subplot(grid[1, 0], sharey=matrix), term)
    _draw_word_sums(block.add_subplot(grid[1, 2], sharey=matrix), term)
    _draw_token_sums(block.add_subplot(grid[2, 1], sharex=matrix), term)
    corner = block.add_subplot(grid[2, 2])
    corner.axis("off")
    corner.text(0.05, 0.5, f"all: {term.total:.4f}", weight="bold", va="center")
    told = f"{term.name}" + (f", counts {term.weight:.3g} times" if term.weight != 1 else "")
    if len(explanation.terms) > 1 and term.sentence != explanation.query:
        told = f"“{term.sentence}”: {told}"
    note = f"\n{term.note}" if term.note else ""
    block.suptitle(f"{told}{note}", x=0.01, ha="left", fontsize=10, parse_math=False)
    matrix.set_xlim(-0.5, columns - 0.5)


def _draw_frames(axes: Axes, term: TermAccount, frames: Frames | None) -> None:
    assert term.times_seconds is not None
    axes.axis("off")
    times = np.unique(term.times_seconds)
    axes.set_ylim(1, 0)
    for time in times:
        columns = np.flatnonzero(term.times_seconds == time)
        left, right = columns.min() - 0.46, columns.max() + 0.46
        picture = None if frames is None else nearest_picture(frames, float(time))
        if picture is not None:
            axes.imshow(picture, extent=(left, right, 0.98, 0.16), aspect="auto", zorder=2)
        axes.text((left + right) / 2, 0.08, f"{time:.2f} s", ha="center", va="center", fontsize=8)


def _draw_matrix(axes: Axes, term: TermAccount) -> None:
    values, given = term.values, term.contributions
    axes.imshow(
        values, aspect="auto", cmap="Blues", vmin=min(0.0, values.min()), vmax=1.6 * max(values.max(), 1e-6)
    )
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    best_frame, best_word = term.best_video_token, term.best_text_token
    rows, columns = values.shape
    shown = range(columns)
    axes.scatter(
        [best_frame[row] - 0.36 for row in range(rows) if best_frame[row] >= 0],
        [row for row in range(rows) if best_frame[row] >= 0],
        marker=">", s=14, color=_GAVE, zorder=3,
    )  # fmt: skip
    axes.scatter(
        [column for column in shown if best_word[column] >= 0],
        [best_word[column] - 0.34 for column in shown if best_word[column] >= 0],
        marker="v", s=14, color="#d08c1d", zorder=3,
    )  # fmt: skip
    if columns > _MOST_NUMBERS:
        return
    for row, column in zip(*np.nonzero(given), strict=True):
        number = f"{given[row, column]:.3f}".replace("0.", ".", 1)
        colour = "black" if given[row, column] > 0 else _TOOK
        axes.text(column, row + 0.05, number, ha="center", va="center", fontsize=7.5, color=colour)


def _draw_words(axes: Axes, term: TermAccount) -> None:
    """The words, and how much each of them weighs."""
    weights = term.text_weights
    axes.barh(range(len(weights)), weights, color="#d9d9d9", height=0.72)
    axes.set_xlim(max(float(weights.max()), 1e-6) * 1.05, 0)
    axes.set_yticks(range(len(term.words)), [_shown(word) for word in term.words], fontsize=9)
    axes.yaxis.tick_left()
    for label, word in zip(axes.get_yticklabels(), term.words, strict=True):
        label.set_parse_math(False)
        if word in _SPECIAL:
            label.set_fontstyle("italic")
            label.set_color(_QUIET)
    for row, weight in enumerate(weights):
        axes.text(0, row, f"{weight:.2f} ", ha="right", va="center", fontsize=7.5)
    axes.set_title("weight", fontsize=8)
    axes.tick_params(bottom=False, labelbottom=False, left=False)
    axes.spines[["top", "bottom", "left", "right"]].set_visible(False)


def _draw_word_sums(axes: Axes, term: TermAccount) -> None:
    sums = term.contributions.sum(axis=1, dtype=np.float64)
    axes.barh(range(len(sums)), sums, color=[_GAVE if one >= 0 else _TOOK for one in sums], height=0.72)
    largest = max(float(np.abs(sums).max()), 1e-6)
    axes.set_xlim(min(0.0, float(sums.min())) * 1.4, max(0.0, float(sums.max())) * 1.1 + largest * 0.35)
    for row, one in enumerate(sums):
        axes.text(max(one, 0), row, f" {one:.4f}", va="center", fontsize=8)
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    axes.set_title(f"each {term.name.split('-', 1)[0]} gave", fontsize=8)
    axes.spines[["top", "bottom", "right"]].set_visible(False)


def _draw_token_sums(axes: Axes, term: TermAccount) -> None:
    sums = term.contributions.sum(axis=0, dtype=np.float64)
    axes.bar(range(len(sums)), sums, color=[_GAVE if one >= 0 else _TOOK for one in sums], width=0.8)
    if len(sums) <= _MOST_NUMBERS:
        for column, (one, weight) in enumerate(zip(sums, term.video_weights, strict=True)):
            axes.text(column, max(one, 0), f"{one:.3f}", ha="center", va="bottom", fontsize=7.5)
            axes.text(
                column, -0.06, f"w {weight:.2f}", ha="center", va="top", fontsize=7, color=_QUIET,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    axes.margins(y=0.3)
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    tokens = term.name.split("-", 1)[-1]
    axes.set_ylabel(f"each {tokens} gave,\nw its weight", fontsize=8, rotation=0, ha="right", va="center")
    axes.spines[["top", "left", "right"]].set_visible(False)


def _shown(word: str) -> str:
    return _SPECIAL.get(word, word if len(word) <= 28 else word[:27] + "…").strip()


def _times(explanation: Explanation) -> NDArray[np.float64]:
    timed: Sequence[Any] = [one.times_seconds for one in explanation.terms if one.times_seconds is not None]
    return np.unique(np.concatenate(timed)) if timed else np.zeros(0)


def _width(explanation: Explanation) -> float:
    """Inches of the matrices, the same for all."""
    return float(np.clip(0.8 * max(one.values.shape[1] for one in explanation.terms), 4.0, 11.0))


def _heights(term: TermAccount, width: float) -> tuple[float, float, float, float]:
    """Inches of the row of pictures (square, with the time above), of the matrix, the sums, and the maps."""
    pictures = 0.01
    if term.times_seconds is not None:
        pictures = 0.92 * width / len(np.unique(term.times_seconds)) / 0.82
    elif term.grid is not None:
        pictures = 1.9
    return pictures, 0.34 * len(term.words) + 0.1, 0.8, map_height(term, width + _MARGINS)
