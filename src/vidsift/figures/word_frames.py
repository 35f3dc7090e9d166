"""Which words met which frames, as lines between them (PIDRo Fig. 5): a row a sentence, a column a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsift.encoders.tokenizer import END, START
from vidsift.figures.page import Drawing, new_page
from vidsift.figures.pairs import timed_term
from vidsift.search.explain import Explanation
from vidsift.types import Frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["WordFrames", "draw_word_frames", "word_frames"]

_MOST_FRAMES = 12
_COLOUR_MAP = "coolwarm"


@dataclass(frozen=True, eq=False)
class WordFrames:
    """How alike the words of a sentence and the frames of a video are.

    Attributes:
        words: W readable pieces, without the marks of start and end.
        seconds: of the F frames.
        values: similarity of each word with each frame ``(W, F)``; the largest where a frame has several
            tokens.
        pictures: RGB uint8 ``(F, S, S, 3)``.
    """

    words: list[str]
    seconds: list[float]
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    pictures: np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]


def word_frames(explanation: Explanation, frames: Frames) -> WordFrames:
    """Take out of an account what the picture shows.

    Args:
        explanation: of a method that compares words with frames.
        frames: the pictures that it looked at; of more than twelve, twelve are shown.

    Raises:
        ValueError: the method compares no words with frames.
    """
    term = timed_term(explanation)
    times = np.asarray(term.times_seconds)
    shown = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _MOST_FRAMES)).round().astype(int))
    rows = [row for row, word in enumerate(term.words) if word not in {START, END}]
    # Each token belongs to the frame whose time is nearest: some methods have several a frame.
    frame_of_N = np.abs(times[:, None] - frames.times_seconds[None, :]).argmin(axis=1)
    values = np.full((len(rows), len(shown)), np.nan, np.float32)
    for column, frame in enumerate(shown):
        of_frame = frame_of_N == frame
        if of_frame.any():
            values[:, column] = term.values[rows][:, of_frame].max(axis=1)
    return WordFrames(
        [term.words[row] for row in rows],
        [round(float(second), 3) for second in frames.times_seconds[shown]],
        values,
        frames.pixels[shown],
    )


def draw_word_frames(rows: Sequence[Sequence[WordFrames]], models: Sequence[str]) -> Drawing:
    """Draw lines from words to frames, red where they are alike and blue where not.

    Colours go from the lowest to the highest similarity of each panel, since scores of two models do not
    compare. Below each word stands its largest similarity.

    Args:
        rows: for each sentence what each model says of it.
        models: their names, above the columns.
    """
    widest = max(len(cell.seconds) for row in rows for cell in row)
    with new_page(max(4.0, 0.62 * widest) * len(models), 2.5 * len(rows)) as page:
        grid = page.subplots(len(rows), len(models), squeeze=False)
        for line, row in enumerate(rows):
            for column, cell in enumerate(row):
                axes = grid[line][column]
                if line == 0:
                    axes.set_title(models[column])
                _draw_cell(axes, cell)
    return Drawing(page, {"models": list(models), "pairs": [[_as_numbers(c) for c in row] for row in rows]})


def _draw_cell(axes: Axes, cell: WordFrames) -> None:
    from matplotlib import colormaps
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    colours = colormaps[_COLOUR_MAP]
    lowest, highest = float(np.nanmin(cell.values)), float(np.nanmax(cell.values))
    frames_x = (np.arange(len(cell.seconds)) + 0.5) / len(cell.seconds)
    words_x = (np.arange(len(cell.words)) + 0.5) / max(1, len(cell.words))
    share_WF = (cell.values - lowest) / max(highest - lowest, 1e-9)
    # Faint ones first: what is alike is drawn over the rest.
    for flat in np.argsort(share_WF, axis=None):
        word, frame = np.unravel_index(flat, share_WF.shape)
        share = share_WF[word, frame]
        if np.isfinite(share):
            axes.plot(
                [frames_x[frame], words_x[word]],
                [0.62, 0.2],
                color=colours(share),
                linewidth=0.4 + 1.2 * share,
            )
    for place, picture in zip(frames_x, cell.pictures, strict=True):
        # 40 points, however large the picture is.
        image = OffsetImage(picture, zoom=40 / picture.shape[0])
        axes.add_artist(AnnotationBbox(image, (place, 0.8), frameon=False, pad=0))
    for place, word, best in zip(words_x, cell.words, np.nanmax(cell.values, axis=1), strict=True):
        axes.text(place, 0.16, word, ha="right", va="top", rotation=35, fontsize=7, rotation_mode="anchor")
        axes.text(place, 0.2, f"{best:.2f}", ha="center", va="top", fontsize=5.5, color="#555555")


def _as_numbers(cell: WordFrames) -> dict[str, Any]:
    return {
        "words": cell.words,
        "seconds": cell.seconds,
        "values": cell.values.astype(float).round(4).tolist(),
    }
