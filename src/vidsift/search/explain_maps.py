"""Where in the picture: the maps of an explanation, drawn over the frames."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidsift.search.explain import TermAccount
from vidsift.types import Frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

__all__ = ["draw_patches", "draw_places", "map_height", "nearest_picture", "tokens_with_maps"]

_MOST_MAPS = 12
_LETTER_INCHES, _LINE_INCHES, _TITLE_INCHES = 0.066, 0.16, 0.4
_LARGEST_INCHES, _EDGE_INCHES = 1.6, 0.3
_HEAT, _FILL = (0.89, 0.34, 0.04), (0.89, 0.34, 0.04, 0.3)
_QUIET = "#7a7a7a"


def nearest_picture(frames: Frames, time_seconds: float) -> NDArray[np.uint8]:
    """The picture that is shown nearest to a second."""
    picture: NDArray[np.uint8] = frames.pixels[int(np.abs(frames.times_seconds - time_seconds).argmin())]
    return picture


def tokens_with_maps(term: TermAccount) -> list[int]:
    """Which video tokens' maps are drawn: of those that gave something the largest, in their order."""
    gave = np.abs(term.contributions.sum(axis=0, dtype=np.float64))
    largest = np.argsort(-gave, kind="stable")[:_MOST_MAPS]
    return sorted(int(token) for token in largest if gave[token] > 0)


def map_height(term: TermAccount, width: float) -> float:
    """Inches of the maps of a term's tokens, when they stand side by side over a width; with their note."""
    if term.patches is None:
        return 0.01
    side = min(_LARGEST_INCHES, (width - _EDGE_INCHES) / max(len(tokens_with_maps(term)), 1))
    return side + _TITLE_INCHES + _LINE_INCHES * (len(_note(term, width).splitlines()) + 2)


def draw_patches(block: SubFigure, term: TermAccount, frames: Frames | None) -> None:
    """A picture for each token that gave something: its frame, and over it the patches it comes from."""
    assert term.patches is not None
    assert term.grid is not None
    tokens = tokens_with_maps(term)
    width = float(block.bbox.width / block.figure.dpi)
    height = float(block.bbox.height / block.figure.dpi)
    note = _note(term, width)
    block.text(0.01, 0.02, note, va="bottom", fontsize=8, color=_QUIET, parse_math=False)
    # Their places are reckoned here: the layout would shrink square pictures to the space between texts.
    side = min(_LARGEST_INCHES, (width - _EDGE_INCHES) / max(len(tokens), 1))
    bottom = _LINE_INCHES * (len(note.splitlines()) + 2)
    for column, token in enumerate(tokens):
        left = _EDGE_INCHES / 2 + column * side
        axes = block.add_axes(
            (left / width, bottom / height, 0.92 * side / width, 0.92 * side / height),
        )
        axes.set_in_layout(False)
        axes.set_title(_title(term, token), fontsize=7.5)
        share_RC = term.patches[token].reshape(term.grid)
        time = None if term.times_seconds is None else float(term.times_seconds[token])
        _draw_picture(axes, frames, time, share_RC.shape)
        if share_RC.any():
            _draw_shares(axes, share_RC)
        else:
            axes.set_xlabel("the whole frame", fontsize=7.5, labelpad=2)


def draw_places(axes: Axes, term: TermAccount, frames: Frames | None) -> None:
    """Where in the picture the term's contributions come from, over the middle frame."""
    assert term.grid is not None
    assert term.group is not None
    given = np.zeros(term.grid)
    np.add.at(given.reshape(-1), term.group, term.contributions.sum(axis=0, dtype=np.float64))
    middle = None if frames is None else float(frames.times_seconds[len(frames) // 2])
    _draw_picture(axes, frames, middle, given.shape)
    axes.imshow(given, extent=_box(given.shape), cmap="inferno", alpha=0.55)
    axes.set_title("where in the picture", fontsize=8)


def _title(term: TermAccount, token: int) -> str:
    name = term.name.split("-", 1)[-1]
    number = term.group[token] if term.group is not None else token
    when = "" if term.times_seconds is None else f", {term.times_seconds[token]:.2f} s"
    return f"{name} {int(number) + 1}{when}\ngave {term.contributions[:, token].sum(dtype=np.float64):.4f}"


def _note(term: TermAccount, width: float) -> str:
    return fill(term.map_note, max(40, int(width / _LETTER_INCHES)))


def _box(shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    return -0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5


def _draw_picture(axes: Axes, frames: Frames | None, time: float | None, shape: tuple[int, ...]) -> None:
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    axes.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5), aspect="equal")
    if frames is not None and time is not None:
        axes.imshow(nearest_picture(frames, time), extent=_box(shape))


def _draw_shares(axes: Axes, share_RC: NDArray[np.float64]) -> None:
    """Squares over the picture, the larger the larger the share: they show without their colour too."""
    from matplotlib.patches import Rectangle

    for row, column in zip(*np.nonzero(share_RC), strict=True):
        side = 0.94 * float(np.sqrt(share_RC[row, column] / share_RC.max()))
        corner = (column - side / 2, row - side / 2)
        axes.add_patch(Rectangle(corner, side, side, facecolor="none", edgecolor="white", linewidth=2.2))
        axes.add_patch(Rectangle(corner, side, side, facecolor=_FILL, edgecolor=_HEAT, linewidth=1.0))
