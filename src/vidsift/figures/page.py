"""A page to draw on: matplotlib without its global state, and the numbers written beside every picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.files.disk_errors import saving
from vidsift.files.whole import whole_file, write_json_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "FORMATS", "Drawing", "new_page"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
"""Told apart by people who do not see all colours (Okabe and Ito)."""

FORMATS = ("png", "pdf", "svg", "jpg", "webp")

_STYLE: Any = {  # matplotlib types its keys one by one
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    # No text as outlines: a figure in a paper can be searched.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def new_page(width: float, height: float) -> Iterator[Figure]:
    """Give an empty page; what is put on it inside the block looks alike.

    Args:
        width: in inches.
        height: likewise.

    Raises:
        ImportError: the extra ``figures`` is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs the extra 'figures': pip install 'vidsift[figures]'") from error
    # A Figure of its own and not pyplot's: no window, and nothing of it stays in memory.
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


@dataclass(frozen=True)
class Drawing:
    """A page with the numbers that it shows.

    Attributes:
        page: the picture.
        numbers: what is drawn, as JSON holds it.
    """

    page: Figure
    numbers: Any

    def write(self, path: Path, dots_per_inch: int = 160) -> Path:
        """Write the picture, and the numbers beside it with the ending .json.

        Args:
            path: its suffix says the format, see :data:`FORMATS`.
            dots_per_inch: of formats made of dots.

        Returns:
            The file of the numbers.

        Raises:
            ValueError: there is no such format.
            NotSavedError: the disk takes no more.
        """
        kind = path.suffix.lower().removeprefix(".")
        if kind not in FORMATS:
            raise ValueError(f"{path} ends in {path.suffix!r}; expected one of .{', .'.join(FORMATS)}")
        import matplotlib

        beside = path.with_suffix(".json")
        with saving("the figure", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary, matplotlib.rc_context(_STYLE):
                self.page.savefig(temporary, format=kind, dpi=dots_per_inch, facecolor="white")
            write_json_whole(beside, self.numbers, indent=1)
        return beside
