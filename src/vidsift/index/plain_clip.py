"""What an index makes of a CLIP that nobody trained on video: the method, and how a segment is looked at.

Such a CLIP names no method. :func:`~vidsift.methods.model.load` gives it as the papers have it, zero-shot
with the mean over frames. Recordings are found better by single frames (``results/moments.md``), so an index
that is made now takes those; one that was made otherwise stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.video.preprocessing import Sampling

if TYPE_CHECKING:
    from vidsift.index.manifest import Manifest
    from vidsift.methods.model import Model

__all__ = ["SETTINGS", "PlainClipSetting", "for_footage", "load_for_index"]


@dataclass(frozen=True)
class PlainClipSetting:
    """A method without weights of its own, and how segments are looked at.

    Attributes:
        method: in the catalogue.
        frames: looked at in a segment, at most.
        sampling: which.
        arguments: of the method.
    """

    method: str
    frames: int
    sampling: Sampling
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def applied_to(self, model: Model) -> Model:
        """Return a model of this setting around the towers of another."""
        from vidsift.methods.model import Model

        made = Model.create(
            self.method,
            model.method.towers,
            model.tokenizer,
            model.norm,
            arguments=self.arguments,
            frames=self.frames,
            sampling=self.sampling,
            max_words=model.max_words,
            name=model.name,
        )
        made.method.eval()
        return made.to(model.device)


SETTINGS = (
    PlainClipSetting("query_scoring", 30, "one_fps_linspace", {"pooling": "max"}),
    PlainClipSetting("zero_shot", 12, "uniform"),
)
"""What indexes of a plain CLIP are made with: by this version, and then by earlier ones, newest first.

One that is replaced stays in the list: indexes that were made with it are opened with it.
"""


def for_footage(model: Model, name: str | Path) -> Model:
    """Return what a new index of a model would be made with.

    Args:
        model: loaded.
        name: under which; only of a plain CLIP it is another than the model itself.
    """
    from vidsift.methods.model import is_plain_clip

    return SETTINGS[0].applied_to(model) if is_plain_clip(name) else model


def load_for_index(name: str | Path, device: str, made_with: Manifest | None = None) -> Model:
    """Load a model as an index uses it.

    Args:
        name: name or folder, see :func:`~vidsift.methods.model.load`.
        device: likewise.
        made_with: what the index says that it was made with; None for a new one.

    Returns:
        The model; a plain CLIP with the setting that gives the features of the index, where one does.

    Raises:
        ValueError: it cannot be loaded.
    """
    from vidsift.methods.model import is_plain_clip, load

    model = load(name, device)
    if made_with is None:
        return for_footage(model, name)
    if not is_plain_clip(name):
        return model
    for setting in SETTINGS:
        if setting.method == made_with.method:
            candidate = setting.applied_to(model)
            if candidate.fingerprint == made_with.fingerprint:
                return candidate
    # Of another CLIP altogether, or in another way: who compares fingerprints says so.
    return model
