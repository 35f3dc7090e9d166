"""What was found for a sentence, right or wrong (PIDRo Fig. 6, ProST supplement Fig. 2)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry
from vidsift.errors import VideoReadError
from vidsift.evaluation.retrieval import video_of_caption
from vidsift.figures.page import Drawing, new_page
from vidsift.video import probe, read_frames

__all__ = [
    "Retrieved",
    "draw_retrieved",
    "failed_captions",
    "rescued_captions",
    "retrieved",
    "video_pictures",
]

Matrix = NDArray[np.floating]


_RIGHT, _WRONG = "#2e8b57", "#c0392b"
_PICTURES = 3
_SIDE_PX, _GAP_PX = 96, 2
_LINE_WIDTH = 60


@dataclass(frozen=True)
class Retrieved:
    """The best videos of a caption.

    Attributes:
        model: who found them.
        caption: the sentence.
        videos: rows of the entries, the best one first.
        scores: of those.
        right: the row of the video that is meant.
        right_rank: where it stands, 1 for first; in the middle of those with its very score.
    """

    model: str
    caption: str
    videos: tuple[int, ...]
    scores: tuple[float, ...]
    right: int
    right_rank: float


def retrieved(
    sim_QV: Matrix, entries: Sequence[Entry], caption: int, *, model: str = "", videos: int = 3
) -> Retrieved:
    """Look up what was found for a caption.

    Args:
        sim_QV: every caption of the entries, in order, with every video.
        entries: the videos.
        caption: its row.
        model: name of who scored.
        videos: how many.

    Raises:
        ValueError: there is no such caption.
    """
    if not 0 <= caption < len(sim_QV):
        raise ValueError(f"caption {caption}: there are captions 0 to {len(sim_QV) - 1}")
    owner = int(video_of_caption(entries)[caption])
    scores_V = np.asarray(sim_QV[caption])
    order = np.argsort(-scores_V, kind="stable")[:videos]
    better, same = (scores_V > scores_V[owner]).sum(), (scores_V == scores_V[owner]).sum()
    first = sum(len(entry.captions) for entry in entries[:owner])
    return Retrieved(
        model,
        entries[owner].captions[caption - first],
        tuple(int(row) for row in order),
        tuple(float(scores_V[row]) for row in order),
        owner,
        float(better + (same + 1) / 2),
    )


def failed_captions(sim_QV: Matrix, entries: Sequence[Entry], count: int) -> list[int]:
    """Return captions that another video fits best, the surest mistakes first (ProST supplement Fig. 2).

    Captions of a video that is missing (minus infinity) are no mistakes of the model.
    """
    owner_Q = video_of_caption(entries)
    right_Q = sim_QV[np.arange(len(sim_QV)), owner_Q]
    lead_Q = np.where(np.isfinite(right_Q), sim_QV.max(axis=1) - right_Q, 0.0)
    order = np.argsort(-lead_Q, kind="stable")
    return [int(row) for row in order[:count] if lead_Q[row] > 0]


def rescued_captions(first_QV: Matrix, second_QV: Matrix, entries: Sequence[Entry], count: int) -> list[int]:
    """Return captions whose video the second model ranks first and the first does not, by how far it was."""
    owner_Q = video_of_caption(entries)
    rows = np.arange(len(owner_Q))
    rank_Q = (first_QV > first_QV[rows, owner_Q][:, None]).sum(axis=1)
    best_Q = (second_QV >= second_QV[rows, owner_Q][:, None]).sum(axis=1) == 1
    chosen = np.flatnonzero((rank_Q > 0) & best_Q)
    return [int(row) for row in chosen[np.argsort(-rank_Q[chosen], kind="stable")][:count]]


def video_pictures(entry: Entry) -> NDArray[np.uint8] | None:
    """Return three pictures of a video side by side, RGB uint8; None where it cannot be read."""
    try:
        span = entry.span(probe(entry.path).duration_seconds)
        length = span.end_seconds - span.start_seconds
        times = span.start_seconds + (np.arange(_PICTURES) + 0.5) * length / _PICTURES
        pixels = read_frames(entry.path, times, size_px=_SIDE_PX).pixels
    except (VideoReadError, OSError):
        return None
    gap = np.full((_SIDE_PX, _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([part for picture in pixels for part in (gap, picture)][1:], axis=1)


def draw_retrieved(rows: Sequence[Retrieved], entries: Sequence[Entry]) -> Drawing:
    """Draw three pictures of each video that was found, in a box that says whether it is the right one.

    Args:
        rows: a line each; those of one caption by two models stand below each other.
        entries: the videos.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not rows:
        raise ValueError("no caption fits what was asked for: there is nothing to draw")
    most = max(len(row.videos) for row in rows)
    with new_page(2.9 * most, 1.75 * len(rows)) as page:
        grid = page.subplots(len(rows), most, squeeze=False)
        for line, row in enumerate(rows):
            for column in range(most):
                axes = grid[line][column]
                axes.set_xticks([])
                axes.set_yticks([])
                axes.grid(visible=False)
                if column >= len(row.videos):
                    axes.axis("off")
                    continue
                video = row.videos[column]
                strip = video_pictures(entries[video])
                if strip is None:
                    axes.text(0.5, 0.5, "cannot be read", ha="center", transform=axes.transAxes)
                else:
                    axes.imshow(strip)
                for side in axes.spines.values():
                    side.set_visible(True)
                    side.set_color(_RIGHT if video == row.right else _WRONG)
                    side.set_linewidth(3)
                # Said in words too: not everybody tells green from red.
                verdict = "right" if video == row.right else "wrong"
                name = entries[video].path.name
                axes.set_xlabel(f"{verdict}  {row.scores[column]:.3f}  {name}", fontsize=6.5)
            said = "\n".join(textwrap.wrap(row.caption, _LINE_WIDTH))
            who = f"{row.model}: " if row.model else ""
            title = f"{who}right video at rank {row.right_rank:g}\n{said}"
            grid[line][0].set_title(title, loc="left", fontsize=7.5)
    return Drawing(page, [vars(row) | {"files": [entries[v].name for v in row.videos]} for row in rows])
