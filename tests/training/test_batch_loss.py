"""The gradients of a batch that is encoded in chunks are those of the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from tests.methods import tiny
from tests.methods.variants import every_variant
from tests.training import made
from tests.training.small import RECIPE, losses, silent, write
from torch import Tensor, nn

from vidsift.data.loading import Batch
from vidsift.errors import RecipeError
from vidsift.methods.model import Model
from vidsift.training.batch_loss import BatchLoss, refuse_batch_statistics
from vidsift.training.features import BatchEncoder
from vidsift.training.recipe import read_recipe
from vidsift.training.step import TrainingStep
from vidsift.training.trainer import Trainer, train
from vidsift.types import Features


def step(
    model: Model, batch: Batch, chunk: int | None, dtype: torch.dtype = torch.float32
) -> tuple[float, dict[str, Tensor]]:
    """The loss and the gradients, of a model that has none."""
    model.method.zero_grad(set_to_none=True)
    torch.manual_seed(3)  # of what a loss draws
    loss = BatchLoss(model.method, BatchEncoder(model, batch, dtype), chunk=chunk)
    value = float(loss.losses["loss"].detach())
    loss.backward()
    return value, made.gradients(model.method)


def last_set(features: Features) -> Tensor:
    return list(features.values())[-1].tokens.detach().clone()


@every_variant
def test_chunks_give_the_gradients_of_the_whole_batch(method: str, arguments: Mapping[str, Any]) -> None:
    model, batch = made.without_chance(method, arguments), made.batch_of(made.FRAMES, made.CAPTIONS[:5])
    value, expected = step(model, batch, None)
    chunked, actual = step(model, batch, 2)
    assert chunked == pytest.approx(value, rel=1e-5)
    made.require_equal(actual, expected)


def test_chunks_of_laps_of_captions_and_in_bf16() -> None:
    model = made.without_chance("drl", {"temporal": "none"})
    laps = made.batch_of(made.FRAMES, [*made.CAPTIONS[:5], *made.CAPTIONS[1:]])
    made.require_equal(step(model, laps, 3)[1], step(model, laps, None)[1])
    kinds = ((None, torch.bfloat16), (4, torch.bfloat16), (None, torch.float32))
    whole, parts, exact = (
        torch.cat([gradient.flatten() for gradient in step(model, laps, chunk, dtype)[1].values()])
        for chunk, dtype in kinds
    )
    assert float((whole - parts).norm() / whole.norm()) < 0.01
    assert not torch.equal(whole, exact)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("prost", {"objects": 4, "phrases": 5}), ("ts2net", {"temporal_layers": 1}), ("xpool", {})],
)
def test_what_is_random_is_drawn_again_alike(
    monkeypatch: pytest.MonkeyPatch, method: str, arguments: Mapping[str, Any]
) -> None:
    """Each second encoding of a chunk gives the features of the first, and the next draw is none of them."""
    model, batch = tiny.model(method, arguments), made.batch_of(made.FRAMES, made.CAPTIONS[:5])
    model.method.train()
    encoder, seen = BatchEncoder(model, batch, torch.float32), list[tuple[slice, Tensor]]()

    def watched(encode: Callable[[slice], Any]) -> Callable[[slice], Any]:
        def encoded(rows: slice) -> Any:
            features = encode(rows)
            seen.append((rows, last_set(features)))
            return features

        return encoded

    monkeypatch.setattr(encoder, "video", watched(encoder.video))
    torch.manual_seed(5)
    loss = BatchLoss(model.method, encoder, chunk=2)
    following = torch.rand(4, generator=torch.Generator().set_state(torch.get_rng_state()))
    loss.backward()
    assert torch.equal(torch.rand(4), following)
    first, second = seen[:3], seen[3:]
    assert [rows.start for rows, _ in second] == [2, 0]  # the last chunk kept its graph
    for rows, features in second:
        assert torch.equal(features, {r.start: f for r, f in first}[rows.start])
    if method == "prost":  # whose video encoders have dropout: chance did have a say
        torch.manual_seed(6)
        again = last_set(encoder.video(slice(0, 2)))
        assert not torch.equal(first[0][1], again)


def test_what_learns_nothing_is_not_encoded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = made.without_chance("drl", {"temporal": "none"}), made.batch_of([2, 2, 2], ["a", "b", "c"])
    for name, parameter in model.method.named_parameters():
        parameter.requires_grad_("vision" in name or "visual" in name)
    encoder = BatchEncoder(model, batch, torch.float32)
    texts = Mock(side_effect=encoder.text)
    monkeypatch.setattr(encoder, "text", texts)
    BatchLoss(model.method, encoder, chunk=1).backward()
    assert texts.call_count == 3
    assert all("vis" in name for name in made.gradients(model.method))


def test_a_run_in_chunks_is_the_run_but_for_rounding_and_goes_on_alike(tmp_path: Path) -> None:
    arguments = {"objects": 4, "phrases": 5, "shift_blocks": [], "dropout": 0.0}
    model = RECIPE["model"] | {"method": "prost", "arguments": arguments}
    recipe = write(tmp_path, model=model)
    train(recipe, output=tmp_path / "whole", device="cpu", say=silent)
    train(recipe, ("chunk=3",), output=tmp_path / "chunks", device="cpu", say=silent)
    whole, chunks = losses(tmp_path / "whole"), losses(tmp_path / "chunks")
    assert chunks == pytest.approx(whole, rel=1e-3)
    # With dropout: the same bits after a stop.
    model["arguments"] = arguments | {"dropout": 0.2}
    recipe = write(tmp_path, model=model, chunk=3, checkpoint_every_steps=3)
    train(recipe, output=tmp_path / "once", device="cpu", say=silent)
    stopped = Trainer(read_recipe(recipe), tmp_path / "twice", device="cpu", say=silent)
    stopped._should_stop = lambda: stopped.step == 4
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    torch.manual_seed(99)
    train(recipe, output=tmp_path / "twice", device="cpu", say=silent)
    assert losses(tmp_path / "twice") == losses(tmp_path / "once")


def test_batches_that_cannot_be_divided_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"chunk: 2 divides the batch, but 1 \(BatchNorm1d\) takes statistics"
    ):
        refuse_batch_statistics(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "chunk: 2")
    with pytest.raises(RecipeError, match="chunk is 0"):
        read_recipe(write(tmp_path), ("chunk=0",))
    run = Trainer(read_recipe(write(tmp_path)), tmp_path / "run", device="cpu", say=silent)
    many = Mock(count=9)
    with pytest.raises(RecipeError, match="stage 'all': batches of 8 videos for 9 processes; raise data"):
        TrainingStep(
            run.recipe, run.model, run.optimiser, run.stages, dtype=run.dtype, advice=str, processes=many
        )
