"""One step of training: the losses of a batch, their gradients, and what the optimiser makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from vidsift.data.loading import Batch, stage_at
from vidsift.data.source import PlannedStage
from vidsift.errors import RecipeError
from vidsift.methods.model import Model
from vidsift.training.batch_loss import BatchLoss, refuse_batch_statistics
from vidsift.training.distributed import ALONE, Processes
from vidsift.training.features import BatchEncoder
from vidsift.training.finite import StepNumbers
from vidsift.training.optim import rate_factor, set_rates
from vidsift.training.recipe import Recipe

__all__ = ["TrainingStep"]


class TrainingStep:
    """Takes the steps of a run.

    Attributes:
        pending: what the steps gave since somebody last took the means.

    Raises:
        RecipeError: if a batch is to be encoded in chunks or by several processes, and cannot be.

    Args:
        recipe: the run.
        model: what learns.
        optimiser: over the groups of :func:`~vidsift.training.optim.parameter_groups`.
        stages: of the run.
        dtype: bfloat16 computes the towers by autocast.
        advice: says what to do about numbers that left the range.
        processes: that take the same steps, each with its own rows of the batches.
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
        processes: Processes = ALONE,
    ) -> None:
        """See the class."""
        self.recipe, self.model, self.optimiser = recipe, model, optimiser
        self.stages, self.dtype = stages, dtype
        self.pending: list[StepNumbers] = []
        self._advice, self._processes = advice, processes
        if recipe.chunk is not None:
            refuse_batch_statistics(model.method, f"chunk: {recipe.chunk}")
        if processes.count > 1:
            refuse_batch_statistics(model.method, f"training in {processes.count} processes")
            _refuse_small_batches(stages, processes.count)

    def __call__(self, step: int, batch: Batch) -> int:
        """Take one step.

        Args:
            step: its number, from 0.
            batch: of videos and what is said of them, or this process's rows of it.

        Returns:
            How many videos the whole batch has.

        Raises:
            ValueError: if there are not two videos to compare, or the method gives no loss.
            NonFiniteLossError: at a loss that is no number; on a GPU it is looked at later.
            NonFiniteGradientError: likewise, at gradients.
        """
        names, captions, longest = self._whole(batch)
        videos = len(names)
        if videos < 2:
            raise ValueError(
                f"step {step}: {len(batch.failed)} videos of the batch cannot be read, {videos} can; a step "
                "needs at least 2"
            )
        set_rates(self.optimiser, self._rate_factor(step))
        loss = self.batch_loss(step, batch, longest=longest)
        rate = max(group["lr"] for group in self.optimiser.param_groups)
        numbers = StepNumbers(step, rate, loss.losses, videos=names, captions=captions)
        self.pending.append(numbers)
        # On a CPU a check costs nothing; on a GPU it would wait for the step, so it is made with the log.
        at_once = self.model.device.type == "cpu"
        if at_once:
            numbers.check(self._advice())
        # None and not 0: AdamW would still decay and move what takes no part in this stage.
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        clip_norm = self.recipe.optimiser.clip_norm
        numbers.clip(self.model.method, clip_norm, self._advice() if at_once else None)
        self.optimiser.step()
        self.model.method.after_step()
        return videos

    def batch_loss(self, step: int, batch: Batch, *, longest: int = 0) -> BatchLoss:
        """Return the loss of a batch, from which the gradients can be taken.

        Args:
            step: its number: with several processes, what is random hangs on it.
            batch: this process's rows.
            longest: see :class:`~vidsift.training.features.BatchEncoder`.
        """
        seed, processes = self.recipe.seed, self._processes
        processes.seed_draws(seed, step)
        return BatchLoss(
            self.model.method,
            BatchEncoder(self.model, batch, self.dtype, longest=longest),
            chunk=self.recipe.chunk,
            processes=processes,
            before_loss=lambda: processes.seed_draws(seed, step, alike=True),
        )

    def _whole(self, batch: Batch) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        """Names and captions of the videos of all processes, and how many frames the longest of them has."""
        names = batch.names or tuple(map(str, batch.rows.tolist()))
        longest = int(batch.mask.sum(axis=1).max(initial=0))
        said = self._processes.exchange([names, batch.captions, longest])
        videos = [len(theirs) for theirs, _, _ in said]
        # Lap by lap, as the captions of one process stand.
        laps = max(
            (len(texts) // count for (_, texts, _), count in zip(said, videos, strict=True) if count),
            default=0,
        )
        captions = [
            text
            for lap in range(laps)
            for (_, texts, _), count in zip(said, videos, strict=True)
            for text in texts[lap * count : (lap + 1) * count]
        ]
        every = tuple(name for theirs, _, _ in said for name in theirs)
        return every, tuple(captions), max(widths for _, _, widths in said)

    def check_pending(self) -> None:
        """Make sure that no loss and no gradient since the last line was NaN."""
        for numbers in self.pending:
            numbers.check(self._advice())

    def not_finite(self) -> StepNumbers | None:
        """Return what was no number since the last line, the first of it."""
        return next((numbers for numbers in self.pending if not numbers.finite), None)

    def mean_losses(self) -> dict[str, float]:
        """Return means since last time: of the losses, and of the gradients' norm before clipping.

        Raises:
            NonFiniteLossError: one was no number.
            NonFiniteGradientError: likewise.
        """
        self.check_pending()
        count = len(self.pending)
        names = self.pending[0].losses if count else ()
        means = {n: sum(float(numbers.losses[n].detach()) for numbers in self.pending) / count for n in names}
        norms = [float(numbers.norm) for numbers in self.pending if numbers.norm is not None]
        if norms:
            means["gradient_norm"] = sum(norms) / len(norms)
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


def _refuse_small_batches(stages: Sequence[PlannedStage], processes: int) -> None:
    for stage in stages:
        if stage.batch_size < processes:
            raise RecipeError(
                f"stage {stage.section.name!r}: batches of {stage.batch_size} videos for {processes} "
                "processes; raise data.batch_size, which all processes divide among them, or start fewer"
            )
