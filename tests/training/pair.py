"""What each of two processes does in the tests of several processes: forked once for all of it.

The first one writes down, as JSON, what was found wrong: ``{name of the check: what}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.variants import VARIANTS
from tests.training import made

from vidsift.data.loading import Batch
from vidsift.data.share import part_of_batch
from vidsift.errors import ProcessesDifferError
from vidsift.methods.model import Model
from vidsift.training.batch_loss import BatchLoss
from vidsift.training.blocks import wrap_blocks
from vidsift.training.distributed import Processes
from vidsift.training.features import BatchEncoder
from vidsift.training.lora import add_lora
from vidsift.training.placement import Placement
from vidsift.training.setup import set_trained
from vidsift.training.together import agree_on_batch

__all__ = ["main"]

_DRAWS = 3  # seed of what a loss draws


def main(number: str, rendezvous: str, answer: str) -> None:
    """Be one of the two."""
    processes = Processes(Placement(int(number), 2, int(number), 2, rendezvous), torch.device("cpu"))
    wrong: dict[str, str] = {}

    def check(name: str, do: Callable[[], object]) -> None:
        # Both go on after what is wrong: they have to stay in step.
        try:
            do()
        except AssertionError as error:
            wrong[name] = f"process {number}: {error}"

    for name, (method, arguments) in VARIANTS.items():
        check(name, lambda m=method, a=arguments: equal(processes, m, a))  # type: ignore[misc]
    check("stage without parts", lambda: a_stage_without_parts(processes))
    check("words", lambda: words(processes))
    for chunk in (1, 2):
        check(f"chunks of {chunk}", lambda c=chunk: equal(processes, "drl", {"temporal": "none"}, chunk=c))  # type: ignore[misc]
    check("chunks, LoRA and recomputed blocks", lambda: chunks_lora_and_recomputed_blocks(processes))
    check("laps", lambda: equal(processes, "drl", {"temporal": "none"}, laps=2))
    for empty in (0, 1):
        check(f"no rows in {empty}", lambda e=empty: equal(processes, "prost", {}, empty=e))  # type: ignore[misc]
    check("weights", lambda: weights(processes))
    check("unreadable", lambda: unreadable(processes))
    answers = processes.exchange(wrong)
    processes.close()
    if processes.first:
        Path(answer).write_text(json.dumps(answers[1] | answers[0]), "utf-8")


def equal(
    processes: Processes,
    method: str,
    arguments: Mapping[str, Any],
    *,
    chunk: int | None = None,
    laps: int = 1,
    empty: int | None = None,
    prepare: Callable[[Model], object] = lambda _model: None,
) -> None:
    """Loss and gradients of two processes are those of one."""
    model = made.without_chance(method, arguments)
    prepare(model)
    captions = [text for lap in range(laps) for text in made.CAPTIONS[lap : lap + 5]]
    batch = made.batch_of(made.FRAMES, captions)
    part = part_of_batch(batch, processes.share)
    if empty is not None:
        part = made.batch_of([], []) if processes.number == empty else batch
    value, together = taken(model, part, processes, chunk)
    values = processes.exchange(value)
    assert values[0] == values[1], f"losses {values}"
    processes.require_same_weights(model.method, 0)
    if not processes.first:
        return
    # One process does it all over again.
    expected_value, expected = taken(model, batch, None, None)
    assert abs(value / expected_value - 1) < 1e-5, f"loss {value} and not {expected_value}"
    made.require_equal(together, expected)


def taken(
    model: Model, batch: Batch, processes: Processes | None, chunk: int | None
) -> tuple[float, dict[str, torch.Tensor]]:
    model.method.zero_grad(set_to_none=True)
    more: dict[str, Any] = {} if processes is None else {"processes": processes}
    encoder = BatchEncoder(model, batch, torch.float32, longest=max(made.FRAMES))
    loss = BatchLoss(
        model.method, encoder, chunk=chunk, before_loss=lambda: torch.manual_seed(_DRAWS), **more
    )
    value = float(loss.losses["loss"].detach())
    loss.backward()
    return value, made.gradients(model.method)


def a_stage_without_parts(processes: Processes) -> None:
    """PIDRo's second stage: no patches, and all but the routing stays as it is."""

    def prepare(model: Model) -> None:
        model.method.leave_out(("patches",))
        for name, parameter in model.method.named_parameters():
            parameter.requires_grad_(name.startswith("routing."))

    equal(processes, "pidro", {"head_layers": 1}, prepare=prepare)


def chunks_lora_and_recomputed_blocks(processes: Processes) -> None:
    """All that saves memory at once."""

    def prepare(model: Model) -> None:
        torch.manual_seed(0)
        add_lora(model.method, rank=2, alpha=4.0, layers=("q_proj", "fc1"))
        for name, parameter in model.method.named_parameters():
            if name.endswith("lora_up"):  # at 0 as it starts, nothing would reach the other matrix
                torch.nn.init.normal_(parameter, std=0.1)
        set_trained(model.method, (), lora=True)
        wrap_blocks(model.method, recomputed=True)

    equal(processes, "drl", {"temporal": "none"}, chunk=2, prepare=prepare)


def words(processes: Processes) -> None:
    """What one says, all hear; what draws alike and what does not."""
    said = processes.exchange({"number": processes.number, "text": "é" * (3 + processes.number)})
    assert said == [{"number": 0, "text": "ééé"}, {"number": 1, "text": "éééé"}]
    assert processes.from_first(lambda: [processes.number, "x"]) == [0, "x"]
    assert processes.largest(processes.number * 15) == 15
    processes.seed_draws(5, 7, alike=True)
    alike = processes.exchange(torch.rand(2).tolist())
    processes.seed_draws(5, 7)
    apart = processes.exchange(torch.rand(2).tolist())
    assert alike[0] == alike[1]
    assert apart[0] != apart[1]
    assert alike[0] not in apart


def weights(processes: Processes) -> None:
    """Weights that differ are noticed, and mended by those of the first."""
    model = made.without_chance("drl", {"temporal": "none"})
    if not processes.first:
        with torch.no_grad():
            model.method.towers.logit_scale.add_(1e-6)
    with pytest.raises(ProcessesDifferError, match="after step 4 the 2 processes hold different weights"):
        processes.require_same_weights(model.method, 4)
    processes.send_weights(model.method)
    processes.require_same_weights(model.method, 4)


def unreadable(processes: Processes) -> None:
    """What one cannot read, all know; of too few rows in all, each takes its own of a whole batch."""
    whole = made.batch_of([2, 2, 2], ["a", "b", "c"])._replace(replacements=("other.mp4",))
    rows = part_of_batch(whole, processes.share)
    failed = ((f"{processes.number}.mp4", "broken"),)
    batch = agree_on_batch(rows._replace(failed=failed, partial=failed[:0]), pytest.fail, processes)
    assert batch.failed == (("0.mp4", "broken"), ("1.mp4", "broken"))
    assert batch.rows.tolist() == [[0], [1, 2]][processes.number]
    none = made.batch_of([], []) if processes.first else made.batch_of([1], ["a"])
    batch = agree_on_batch(none, lambda: whole, processes)
    assert batch.captions == [["a"], ["b", "c"]][processes.number]
    assert batch.replacements == ("other.mp4",)
