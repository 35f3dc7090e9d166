"""Objects of ProST as lit places, events as lines."""

from __future__ import annotations

import numpy as np
import pytest
from tests.methods import tiny

from vidsift.data.entries import Entry
from vidsift.figures.pairs import frames_seen
from vidsift.figures.prototypes import draw_prototypes, video_prototypes


def test_prototypes_are_those_of_the_method(clips: list[Entry]) -> None:
    model = tiny.model("prost", {"objects": 4, "events": 2})
    frames = frames_seen(model, clips[0].path)
    prototypes = video_prototypes(model, frames)
    patches = model.method.towers.patches
    assert prototypes.objects.shape == (tiny.FRAMES, 3, patches)
    # Attention of an event is shared out among the frames.
    np.testing.assert_allclose(prototypes.events.sum(axis=1), [1, 1], atol=1e-6)
    shares = model.patch_shares(frames)["object"].shares[0].numpy()
    np.testing.assert_allclose(prototypes.objects[1, 0], shares[4 + 1], atol=1e-6)
    drawing = draw_prototypes(prototypes, frames, objects=2)
    # Frames, two objects in each of them, and the lines of the events.
    assert len(drawing.page.axes) == 3 * tiny.FRAMES + 1
    lines = drawing.page.axes[-1].lines
    np.testing.assert_allclose(np.stack([np.asarray(line.get_ydata()) for line in lines]), prototypes.events)


def test_other_methods_have_none(clips: list[Entry]) -> None:
    model = tiny.model("drl")
    with pytest.raises(ValueError, match="objects and events of prost"):
        video_prototypes(model, frames_seen(model, clips[0].path))
