"""One step of training: the losses of a batch, their gradients, and what the optimiser makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from vidsift.data.loading import Batch, stage_at
from vidsift.data.source import PlannedStage
from vidsift.methods.base import Method
from vidsift.methods.model import Model
from vidsift.training.features import batch_features
from vidsift.training.finite import StepNumbers
from vidsift.training.optim import rate_factor, set_rates
from vidsift.training.recipe import Recipe
from vidsift.types import Features

__all__ = ["TrainingStep", "pair_losses"]


class TrainingStep:
    """Takes the steps of a run.

    Attributes:
        pending: what the steps gave since somebody last took the means.

    Args:
        recipe: the run.
        model: what learns.
        optimiser: over the groups of :func:`~vidsift.training.optim.parameter_groups`.
        stages: of the run.
        dtype: bfloat16 computes the towers by autocast.
        advice: says what to do about numbers that left the range.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Model,
        optimiser: torch.optim.Optimizer,
        stages: Sequence[PlannedStage],
        *,
        dtype: torch.dtype,
        advice: Callable[[], str],
    ) -> None:
        """See the class."""
        self.recipe, self.model, self.optimiser = recipe, model, optimiser
        self.stages, self.dtype = stages, dtype
        self.pending: list[StepNumbers] = []
        self._advice = advice

    def __call__(self, step: int, batch: Batch) -> None:
        """Take one step.

        Args:
            step: its number, from 0.
            batch: of videos and what is said of them.

        Raises:
            ValueError: if there are not two videos to compare, or the method gives no loss.
            NonFiniteLossError: at a loss that is no number; on a GPU it is looked at later.
            NonFiniteGradientError: likewise, at gradients.
        """
        if len(batch.rows) < 2:
            raise ValueError(
                f"step {step}: {len(batch.failed)} videos of the batch cannot be read, "
                f"{len(batch.rows)} can; a step needs at least 2"
            )
        set_rates(self.optimiser, self._rate_factor(step))
        losses = self.losses(batch)
        rate = max(group["lr"] for group in self.optimiser.param_groups)
        numbers = StepNumbers(step, rate, losses)
        self.pending.append(numbers)
        # On a CPU a check costs nothing; on a GPU it would wait for the step, so it is made with the log.
        at_once = self.model.device.type == "cpu"
        if at_once:
            numbers.check(self._advice())
        # None and not 0: AdamW would still decay and move what takes no part in this stage.
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["loss"])
        clip_norm = self.recipe.optimiser.clip_norm
        numbers.clip(self.model.method, clip_norm, self._advice() if at_once else None)
        self.optimiser.step()
        self.model.method.after_step()
        # It waits for the next line of the log, and would keep the graph of its step till then.
        losses["loss"] = losses["loss"].detach()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch as scalars, ``"loss"`` with its graph."""
        text, video = batch_features(self.model, batch, self.dtype)
        return pair_losses(self.model.method, text, video)

    def check_pending(self) -> None:
        """Make sure that no loss and no gradient since the last line was NaN."""
        for numbers in self.pending:
            numbers.check(self._advice())

    def mean_losses(self) -> dict[str, float]:
        """Return the means of the losses since last time, after making sure that they are numbers."""
        self.check_pending()
        count = len(self.pending)
        names = self.pending[0].losses if count else ()
        means = {n: sum(float(numbers.losses[n].detach()) for numbers in self.pending) / count for n in names}
        self.pending.clear()
        return means

    def _rate_factor(self, step: int) -> float:
        recipe = self.recipe.optimiser
        # A stage of its own rates counts its own steps, others go on over the whole run.
        stage = stage_at(self.stages, step)
        first, steps = 0, sum(stage.steps for stage in self.stages)
        if stage.section.own_rates:
            first, steps = stage.first_step, stage.steps
        return rate_factor(
            step - first,
            steps,
            warmup_share=recipe.warmup_share,
            final_share=recipe.final_share,
            schedule=recipe.schedule,
        )


def pair_losses(method: Method, text: Features, video: Features) -> dict[str, Tensor]:
    """Compose the losses of videos and their captions.

    Args:
        method: whose loss.
        text: prepared; the captions stand lap by lap, a caption of each video in a lap.
        video: prepared.

    Returns:
        Named scalars, the means over the laps: each lap is a batch of pairs.

    Raises:
        ValueError: if what the method returns is no such dictionary.
    """
    rows, captions = (len(next(iter(side.values()))) for side in (video, text))
    losses = [
        method.loss({name: tokens[first : first + rows] for name, tokens in text.items()}, video)
        for first in range(0, captions, rows)
    ]
    if not isinstance(losses[0], Mapping) or "loss" not in losses[0]:
        raise ValueError(
            f"{type(method).__name__}.loss returned {losses[0]!r}, expected a dictionary of scalars "
            "in which 'loss' is the one to minimise"
        )
    return {name: torch.stack([loss[name] for loss in losses]).mean() for name in losses[0]}
