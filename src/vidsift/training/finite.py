"""Finite means finite: a step whose loss or gradient is no number ends the run before it is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidsift.encoders.state_dict import non_finite
from vidsift.errors import NonFiniteGradientError, NonFiniteLossError

__all__ = ["StepNumbers", "remedies"]

_NAMED = 4


@dataclass
class StepNumbers:
    """What a step gave, to be looked at now or with those after it.

    Attributes:
        step: number of the step, from 0.
        rate: largest learning rate of the step.
        losses: parts of the loss and ``"loss"``, each a scalar.
        norm: of all gradients together, before clipping, a scalar; None while it is not known.
        videos: names of the videos of the batch, or their numbers where they have none.
        captions: of the batch.
    """

    step: int
    rate: float
    losses: dict[str, Tensor]
    norm: Tensor | None = None
    videos: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()

    def clip(self, method: nn.Module, most: float, advice: str | None) -> None:
        """Take the norm of all gradients and scale them down to a largest one.

        Args:
            method: whose parameters hold the gradients.
            most: the largest norm; 0 leaves the gradients as they are.
            advice: what to do, for the message; None leaves it to a later :meth:`check`.

        Raises:
            NonFiniteGradientError: with advice, at a norm that is no number, or too large for one.
        """
        weights = list(method.parameters())
        try:
            # Without a limit this computes the norm alone. To be able to raise it waits for a GPU.
            norm = nn.utils.clip_grad_norm_(weights, most or math.inf, error_if_nonfinite=advice is not None)
        except RuntimeError:  # before any gradient was scaled, so that the bad ones can be named
            parts = [weight.grad.norm() for weight in weights if weight.grad is not None]
            # As clip_grad_norm_ takes it, the norm of the norms.
            self.norm = torch.stack(parts).norm()
            self.check(advice or "", method.named_parameters())
            raise
        self.norm = norm.detach()

    def check(self, advice: str, gradients_of: Iterable[tuple[str, nn.Parameter]] = ()) -> None:
        """Make sure that they are numbers; on a GPU this waits for the step.

        Args:
            advice: what to do, for the message; see :func:`remedies`.
            gradients_of: parameters that still hold the gradients of this step, to name the bad ones.

        Raises:
            NonFiniteLossError: the loss is no number.
            NonFiniteGradientError: the norm of the gradients is no number, or too large for one.
        """
        loss = float(self.losses["loss"].detach())
        if not math.isfinite(loss):
            parts = {name: float(value.detach()) for name, value in self.losses.items() if name != "loss"}
            of = f" ({', '.join(f'{name} {value:.4g}' for name, value in parts.items())})" if parts else ""
            raise NonFiniteLossError(
                f"the loss is {loss}{of} at step {self.step}, learning rate {self.rate:.2g}{self._batch}; "
                f"{advice}"
            )
        norm = math.nan if self.norm is None else float(self.norm)
        if self.norm is not None and not math.isfinite(norm):
            raise NonFiniteGradientError(
                f"the norm of the gradients is {norm} at step {self.step}, loss {loss:.4g}, learning rate "
                f"{self.rate:.2g}{_non_finite_names(gradients_of)}{self._batch}; {advice}"
            )

    @property
    def finite(self) -> bool:
        """Whether they are numbers; on a GPU this waits for the step."""
        norm = 0.0 if self.norm is None else float(self.norm)
        return math.isfinite(float(self.losses["loss"].detach())) and math.isfinite(norm)

    @property
    def _batch(self) -> str:
        """Which videos the numbers came from; a damaged one may be among them."""
        if not self.videos:
            return ""
        more = len(self.videos) - _NAMED
        rest = f" and {more} more, which metrics.jsonl names" if more > 0 else ""
        return f", from the videos {', '.join(self.videos[:_NAMED])}{rest}"


def _non_finite_names(parameters: Iterable[tuple[str, nn.Parameter]]) -> str:
    """Which gradients are no numbers; all may be, and only their squares too large."""
    gradients = {name: weight.grad for name, weight in parameters if weight.grad is not None}
    if not gradients:
        return ""
    bad = non_finite(gradients)
    if not bad:
        # Each is finite, but the sum of their squares is not.
        largest = max(gradients, key=lambda name: float(gradients[name].abs().max()))
        return f", its largest part of {largest}"
    more = ", ..." if len(bad) > _NAMED else ""
    return f", in {len(bad)} of {len(gradients)} parameters ({', '.join(bad[:_NAMED])}{more})"


def remedies(*, bf16: bool, clipped: bool, good_checkpoint: str | None) -> str:
    """Say what to do about a run whose numbers left the range.

    Args:
        bf16: whether the towers computed in bf16.
        clipped: whether gradients are clipped.
        good_checkpoint: the last one that holds only numbers, where there is one.
    """
    ways = ["a lower optimiser.learning_rate"]
    ways += [] if clipped else ["optimiser.clip_norm=1"]
    ways += ["precision=fp32"] if bf16 else []
    how = " or ".join(ways)
    if good_checkpoint is None:
        return f"no checkpoint was written yet: start again with {how}"
    return f"the last good checkpoint, {good_checkpoint}, stays: go on from it with --resume and {how}"
