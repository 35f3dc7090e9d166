"""BertAdam, which the released recipes of the CLIP4Clip family train with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BertAdam", "round_to_half"]

# A step count at which AdamW's corrections of its young means, 1 - beta ** step, are 1 to the last bit.
_LONG_AGO = 1e9


class BertAdam(torch.optim.AdamW):
    """Adam without the correction of its young means, as BERT was trained, each tensor's gradient clipped.

    A step moves a weight ``p`` by ``-lr * (m / (sqrt(v) + eps) + weight_decay * p)``. Groups marked
    ``"half": True`` are computed in fp16, operation by operation, as for weights that are fp16: their
    gradients, means and weights are rounded to it after each. The tensors themselves stay fp32, so whatever
    else computes with them does so in its own type.

    Below 6e-8 fp16 has no numbers. There a mean of squares is 0 and the weight moves by ``lr * m / eps``, as
    by plain gradient descent; and a step below half the distance to the next fp16 number is no step at all.
    So in fp16 a rate of 1e-7 moves some weights far and most not at all; in fp32 it hardly moves any (about
    1e-7 a step). A recipe that copies the released rate of CLIP's weights without their fp16 trains another
    model.

    Args:
        groups: parameter groups.
        betas: decay of the mean of the gradients, and of the mean of their squares.
        eps: added to the root of the latter.
        clip_norm: largest norm of the gradient of each tensor; 0 clips nothing.

    Source: ArrowLuo/CLIP4Clip modules/optimization.py (the same file in X-CLIP, TS2-Net and DRL).
    Differs: there the rate of a parameter follows the number of its own steps, here of the run's.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        clip_norm: float = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(groups, betas=betas, eps=eps, fused=True)
        self.clip_norm = clip_norm

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one step with the gradients at hand; a closure is not supported."""
        every = self.param_groups
        for group in every:
            learning = [parameter for parameter in group["params"] if parameter.grad is not None]
            self._begin(learning)
            if group.get("half"):
                for parameter in learning:
                    self._step_half(parameter, group)
            else:
                _clip_each([parameter.grad for parameter in learning], self.clip_norm)
        try:
            # In fp32 this is AdamW long after its beginning: one pass over all weights.
            self.param_groups = [group for group in every if not group.get("half")]
            super().step(closure)
        finally:
            self.param_groups = every

    def _begin(self, parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.full((), _LONG_AGO, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }

    def _step_half(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        assert parameter.grad is not None
        gradient = parameter.grad.half()
        _clip_each([gradient], self.clip_norm)
        mean = state["exp_avg"].half().mul_(beta1).add_(gradient, alpha=1 - beta1)
        square = state["exp_avg_sq"].half().mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        weight = parameter.half()
        # Line by line as released: which products are rounded decides which weights move.
        move = mean / (square.sqrt() + group["eps"])
        if group["weight_decay"] > 0:
            move += group["weight_decay"] * weight
        weight.add_(-(group["lr"] * move))
        for tensor, value in ((state["exp_avg"], mean), (state["exp_avg_sq"], square), (parameter, weight)):
            tensor.copy_(value)


def _clip_each(gradients: list[Tensor | None], most: float) -> None:
    """Scale down each gradient whose own norm is larger, as ``clip_grad_norm_`` does for all together."""
    present = [gradient for gradient in gradients if gradient is not None]
    if not most or not present:
        return
    factors = [(most / (norm + 1e-6)).clamp(max=1.0) for norm in torch._foreach_norm(present)]
    torch._foreach_mul_(present, factors)


@torch.no_grad()
def round_to_half(towers: nn.Module) -> set[int]:
    """Round to fp16 numbers what CLIP's ``convert_weights`` does, in place; the tensors stay fp32.

    Args:
        towers: CLIP's; weights and biases of its linear layers and convolutions are rounded, norms,
            embeddings and the scale are not.

    Returns:
        The ``id`` of each parameter that was rounded.

    Raises:
        ValueError: a weight is too large for fp16.

    Source: openai/CLIP clip/model.py ``convert_weights``; ArrowLuo/CLIP4Clip modules/module_clip.py:498-519.
    """
    rounded: set[int] = set()
    for name, module in towers.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        for key, parameter in module.named_parameters(recurse=False):
            half = parameter.half()
            if not bool(half.isfinite().all()):
                raise ValueError(
                    f"{name}.{key} holds {float(parameter.abs().max()):.3g}, fp16 ends at 65504; train with "
                    "weights: fp32"
                )
            parameter.copy_(half)
            rounded.add(id(parameter))
    return rounded
