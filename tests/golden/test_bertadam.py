"""BertAdam and its schedule give what CLIP4Clip's modules/optimization.py gave."""

from __future__ import annotations

import pytest
import torch
from tests.golden.conftest import Golden
from torch import nn

from vidsift.training.bertadam import BertAdam
from vidsift.training.optim import rate_factor, set_rates

STEPS = 20


def factor(step: int, steps: int) -> float:
    return rate_factor(step, steps, warmup_share=0.1, final_share=0.0, schedule="bertadam_cosine")


def test_the_schedule(golden: Golden) -> None:
    file = golden("bertadam")
    recorded = file["sched.warmup_cosine"].tolist()
    assert file["sched.x"].tolist()[:101] == pytest.approx([step / 100 for step in range(101)])
    for step in range(101):
        assert factor(step, 100) == pytest.approx(recorded[step], abs=1e-12)
    notes = golden("bertadam_notes")
    before, after = notes["cosine_at_warmup_minus/plus"]
    assert factor(999_999, 10**7) == pytest.approx(before, abs=1e-6)
    assert factor(10**6, 10**7) == pytest.approx(after, abs=1e-12)
    assert (factor(0, 100) != 0) == notes["step0_moves_params"]
    rates = file["traj.get_lr_after_step"]
    for step in range(1, STEPS):
        # Told after a step, it is the rate of the next one.
        assert 1e-4 * factor(step, STEPS) == pytest.approx(float(rates[step - 1, 1]), rel=1e-9)


def test_twenty_steps_of_three_groups(golden: Golden) -> None:
    file = golden("bertadam")
    parameters = [nn.Parameter(file[f"traj.p{group}.init"].clone()) for group in range(3)]
    peaks, decays = (1e-7, 1e-4, 1e-4), (0.2, 0.2, 0.0)
    optimiser = BertAdam(
        [
            {"params": [parameter], "peak_rate": peak, "lr": 0.0, "weight_decay": decay}
            for parameter, peak, decay in zip(parameters, peaks, decays, strict=True)
        ]
    )
    for step in range(STEPS):
        for group, parameter in enumerate(parameters):
            parameter.grad = file[f"traj.g{group}.{step:02}"].clone()
        set_rates(optimiser, factor(step, STEPS))
        optimiser.step()
        for group, parameter in enumerate(parameters):
            recorded = file[f"traj.p{group}.{step:02}"]
            torch.testing.assert_close(parameter.detach(), recorded, rtol=3e-7, atol=1e-7)
    change = (parameters[1].detach() - file["traj.p1.init"]).abs().max()
    assert change > 2e-4  # far more than the tolerance


def test_fp16_moves_some_weights_far_and_most_not_at_all(golden: Golden) -> None:
    facts = golden("bertadam_notes")["fp16_vs_fp32_mean_weight_change_after_700_of_7000_steps_lr1e-7"]
    starts = [torch.full((64,), fact["w0"]).half().float() for fact in facts]
    gradients = torch.tensor([fact["grad"] for fact in facts])
    for half, recorded in ((True, "torch.float16"), (False, "torch.float32")):
        weights = [nn.Parameter(start.clone()) for start in starts]
        optimiser = BertAdam(
            [{"params": weights, "peak_rate": 1e-7, "lr": 0.0, "weight_decay": 0.0, "half": half}]
        )
        # The noise was not recorded; of this size it gives what was.
        noise = torch.Generator().manual_seed(0)
        for step in range(700):
            grads = gradients[:, None] * (1 + 0.3 * torch.randn(len(facts), 64, generator=noise))
            for weight, grad in zip(weights, grads, strict=True):
                weight.grad = grad
            set_rates(optimiser, factor(step, 7000))
            optimiser.step()
        for fact, weight, start in zip(facts, weights, starts, strict=True):
            change = float((weight.detach() - start).mean())
            assert change == pytest.approx(fact[recorded], rel=0.02), fact
