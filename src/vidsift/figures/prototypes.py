"""Where in the picture objects are, and when events look (ProST supplement, Fig. 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.figures.page import COLOURS, Drawing, new_page
from vidsift.methods.model import Model
from vidsift.methods.prost import Prost
from vidsift.types import Frames

__all__ = ["Prototypes", "draw_prototypes", "video_prototypes"]


@dataclass(frozen=True, eq=False)
class Prototypes:
    """What the prototypes of a video come from.

    Attributes:
        objects: share of each patch in each object of each frame ``(F, O, P)``, patches row by row.
        events: attention of each event to each frame in the last layer ``(E, F)``.
    """

    objects: NDArray[np.float64]
    events: NDArray[np.float64]


def video_prototypes(model: Model, frames: Frames) -> Prototypes:
    """Trace a video's objects to patches, and its events to frames.

    Raises:
        ValueError: the model has no such prototypes.
    """
    method = model.method
    if not isinstance(method, Prost):
        raise ValueError(
            f"{model.name} is of the method {model.method_name!r}, and this figure shows the objects and "
            "events of prost; train one, or draw another figure"
        )
    with torch.inference_mode():
        pixels, mask, _ = model.inputs.pictures(
            [frames.pixels], [frames.times_seconds], dtype=model.precision, device=model.device
        )
        shares = method.patch_shares(pixels, mask)["object"].shares[0]
        events = method.video_maps(pixels, mask).events[-1, 0]
    count = len(frames)
    # The first object of each frame is the frame as a whole.
    objects = shares.reshape(-1, method.objects, shares.shape[-1])[:count, 1:]
    return Prototypes(objects.double().cpu().numpy(), events[:, :count].double().cpu().numpy())


def draw_prototypes(prototypes: Prototypes, frames: Frames, *, objects: int = 4) -> Drawing:
    """Draw the frames, below them some objects as lit places, and at the bottom a line for each event.

    Args:
        prototypes: see :func:`video_prototypes`.
        frames: the pictures.
        objects: how many, those that differ most over the places of the pictures first.
    """
    spread_O = prototypes.objects.std(axis=2).mean(axis=0)
    chosen = np.argsort(-spread_O)[:objects]
    columns, rows = len(frames), 2 + len(chosen)
    side = round(prototypes.objects.shape[2] ** 0.5)
    with new_page(max(3.0, 0.75 * columns), 0.75 * (rows - 1) + 1.6) as page:
        layout = page.add_gridspec(rows, columns, height_ratios=[*[1] * (rows - 1), 2])
        for column in range(columns):
            _show(page.add_subplot(layout[0, column]), frames.pixels[column], None)
            for row, number in enumerate(chosen):
                share = prototypes.objects[column, number].reshape(side, side)
                _show(page.add_subplot(layout[1 + row, column]), frames.pixels[column], share)
        axes = page.add_subplot(layout[rows - 1, :])
        for number, attention in enumerate(prototypes.events):
            axes.plot(
                frames.times_seconds,
                attention,
                marker="o",
                markersize=3,
                # Thinner from line to line: of two that coincide both are seen.
                linewidth=max(0.8, 3.5 - number),
                color=COLOURS[number % len(COLOURS)],
                label=f"event {number + 1}",
            )
        axes.set_xlabel("second")
        axes.set_ylabel("attention")
        axes.legend(fontsize=7)
    return Drawing(page, _as_numbers(prototypes, frames, chosen.tolist()))


def _show(axes: Any, picture: NDArray[np.uint8], share: NDArray[np.float64] | None) -> None:
    axes.axis("off")
    if share is None:
        axes.imshow(picture)
        return
    # Dimmed where the object is not: the picture stays recognisable, the places stand out.
    light = share / max(float(share.max()), 1e-9)
    size = picture.shape[0]
    scale = -(-size // len(light))
    mask = np.kron(light, np.ones((scale, scale)))[:size, :size, None]
    axes.imshow((picture * (0.2 + 0.8 * mask)).astype(np.uint8))


def _as_numbers(prototypes: Prototypes, frames: Frames, chosen: list[int]) -> dict[str, Any]:
    return {
        "seconds": frames.times_seconds.tolist(),
        "objects shown": chosen,
        "objects": prototypes.objects.round(4).tolist(),
        "events": prototypes.events.round(4).tolist(),
    }
