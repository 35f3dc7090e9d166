"""What is trained is what is scored: a batch in training has the similarities that inference gives it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods import tiny
from tests.methods.variants import every_variant
from tests.training import small
from tests.training.made import LONG, batch_of

from vidsift.data.loading import Batch
from vidsift.methods.model import Model
from vidsift.training.features import batch_features
from vidsift.training.recipe import read_recipe
from vidsift.training.setup import batch_maker
from vidsift.training.trainer import Trainer


def scored(model: Model, batch: Batch) -> torch.Tensor:
    """What inference says of a batch, video by video."""
    counts = batch.mask.sum(axis=1)
    pixels = [frames[:count] for frames, count in zip(batch.pixels, counts, strict=True)]
    times = [seconds[:count] for seconds, count in zip(batch.times_seconds, counts, strict=True)]
    return model.similarity(model.encode_text(batch.captions), model.encode_frames(pixels, times))


@every_variant
@pytest.mark.parametrize(
    ("counts", "captions"),
    [([2, 1, 3], ["circle", "two triangles", "a ring"]), ([5, 1], [LONG, "circle"])],
    ids=["short", "long"],
)
def test_a_batch_scores_in_training_as_it_does_at_inference(
    method: str, arguments: Mapping[str, Any], counts: list[int], captions: list[str]
) -> None:
    model, batch = tiny.model(method, arguments), batch_of(counts, captions)
    with torch.no_grad():
        trained = model.method.similarity(*batch_features(model, batch, torch.float32))
    torch.testing.assert_close(trained, scored(model, batch), atol=2e-6, rtol=1e-5)


def test_the_trainer_learns_from_the_inputs_that_inference_has(tmp_path: Path) -> None:
    # Stills in training, two frames at inference, and padding takes part: of both, and of the words.
    recipe = small.write(
        tmp_path,
        model=small.RECIPE["model"]
        | {"arguments": {"interaction": "ti", "temporal": "none", "cdcr": "none", "padding": "zero"}},
        stages=[{"name": "stills", "frames": 1}],
    )
    trainer = Trainer(read_recipe(recipe), tmp_path / "run", device="cpu", say=small.silent)
    batch = batch_maker(trainer.recipe, trainer.model, trainer.stages)(0)
    assert batch.pixels.shape[1] == 1
    texts = trainer.model.encode_text(batch.captions)
    videos = trainer.model.encode_frames(list(batch.pixels), list(batch.times_seconds))
    expected = trainer.method.loss(texts, videos)["loss"]
    assert trainer._take_step.batch_loss(0, batch).losses["loss"].item() == pytest.approx(
        expected.item(), rel=1e-5
    )
