"""The weights that did best on validation, kept beside the last ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidsift.errors import CheckpointError
from vidsift.evaluation.missing import missing_note
from vidsift.files.disk_errors import saving
from vidsift.files.whole import whole_file
from vidsift.methods.folder import holds_model
from vidsift.methods.model import Model
from vidsift.training.lora import frozen_names, merged
from vidsift.training.recipe import Selected

__all__ = ["BestWeights", "remove_other_models", "save_selected"]


class BestWeights:
    """The best validation of a run so far, and the weights that it judged.

    Best is the highest recall R@1 from text to video, as the released code of CLIP4Clip and those after it
    chooses; of equal ones the highest sum of all recalls, then the earliest.

    Attributes:
        facts: ``step``, ``value`` (R@1), ``rsum``, ``report`` and ``validated`` (the last step that was
            judged), as a checkpoint holds them; empty before the first validation.

    Args:
        folder: of the checkpoints; a file in it for each step that a checkpoint may name as the best.
    """

    def __init__(self, folder: Path) -> None:
        """See the class."""
        self._folder = folder
        self.facts: dict[str, Any] = {}
        # What the checkpoint says that is on the disk: it may have to be gone back to.
        self._saved_step: int | None = None

    @property
    def step(self) -> int | None:
        """Step of the best weights; None before the first validation."""
        return self.facts.get("step")

    def judged(self, report: Mapping[str, Any], method: nn.Module, step: int, *, last: bool) -> None:
        """Take note of a validation, and keep the weights if it is the best one.

        Args:
            report: of the validation.
            method: what it judged.
            step: steps that were made.
            last: whether these are the weights that the run ends with, which are saved anyway.

        Raises:
            NotSavedError: the disk takes no more.
        """
        value, total = report["text_to_video"]["R@1"], report["rsum"]
        self.facts["validated"] = step
        # R@1 may be 0, which is a best too; runs of version 0.1 noted no sum.
        if (value, total) <= (self.facts.get("value", -1.0), self.facts.get("rsum", float("inf"))):
            return
        # By way of JSON: plain numbers, which is all that a checkpoint may hold beside tensors.
        plain = json.loads(json.dumps(report))
        self.facts |= {"step": step, "value": float(value), "rsum": float(total), "report": plain}
        if not last:
            with saving(f"the best weights, of step {step}", self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                with whole_file(self._file(step)) as temporary, temporary.open("wb") as file:
                    still = frozen_names(method)
                    torch.save({n: v for n, v in method.state_dict().items() if n not in still}, file)

    def restore(self, facts: Mapping[str, Any], step: int, say: Callable[[str], None]) -> None:
        """Go back to what a checkpoint says.

        Args:
            facts: of the checkpoint.
            step: of the checkpoint.
            say: takes a line where the weights are not there.
        """
        self.facts = dict(facts)
        best = self.step
        if best is not None and best != step and not self._file(best).is_file():
            say(
                f"the weights of step {best}, the best on validation so far, were not kept (by an earlier "
                "version, or the file is gone): the best ones are chosen from here on"
            )
            self.facts = {}
        self._saved_step = self.step

    def checkpoint_saved(self) -> None:
        """Remove what neither this checkpoint nor the one before it names."""
        wanted = {self._file(step) for step in (self.step, self._saved_step) if step is not None}
        self._saved_step = self.step
        for file in self._folder.glob("best-*.pt"):
            if file not in wanted:
                file.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove all, for a run that starts anew."""
        self.facts, self._saved_step = {}, None
        self.checkpoint_saved()

    def load(self) -> dict[str, Tensor]:
        """Return the best weights, where they are not the last ones.

        Raises:
            CheckpointError: they cannot be read.
        """
        assert self.step is not None, "there are none before the first validation"
        file = self._file(self.step)
        try:
            weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise CheckpointError(
                f"{file}, the best weights on validation, cannot be read ({reason}); give "
                "validation.select=last, or start the run anew with --no-resume"
            ) from error
        return weights

    def _file(self, step: int) -> Path:
        return self._folder / f"best-{step}.pt"


def remove_other_models(output: Path) -> None:
    """Remove the model that an earlier run left beside its own, in ``best`` or ``last``."""
    for name in ("best", "last"):
        if holds_model(output / name):
            shutil.rmtree(output / name, ignore_errors=True)


def save_selected(
    model: Model,
    output: Path,
    best: BestWeights,
    *,
    step: int,
    report: Mapping[str, Any],
    select: Selected,
    card: Mapping[str, Any],
) -> None:
    """Write the model of a run, and beside it the other of its last and its best weights.

    Args:
        model: with the last weights; afterwards with those that were selected.
        output: of the run. Where the best weights are others than the last, a folder ``best`` or ``last`` in
            it gets those that are not selected.
        best: the best validation.
        step: of the last weights.
        report: their validation; empty without one.
        select: which weights ``output`` gets.
        card: of the model.

    Raises:
        CheckpointError: the best weights cannot be read.
        NotSavedError: the disk takes no more.
    """
    if not report:
        _save(model, output, card)
        return
    validations = {"last": _rows(report, step), "best": _rows(best.facts["report"], best.step or 0)}
    if best.step == step:
        remove_other_models(output)
        _save(model, output, {**card, "Validation": validations["last"] | {"weights": "last and best"}})
        return
    other: Selected = "best" if select == "last" else "last"
    last = {name: value.detach().cpu().clone() for name, value in model.method.state_dict().items()}
    weights = {"last": last, "best": best.load()}
    for name, folder in ((other, output / other), (select, output)):
        # What LoRA leaves as it is was not stored a second time.
        model.method.load_state_dict(weights[name], strict=not frozen_names(model.method))
        beside = select if name == other else other
        sections = {
            "Validation": validations[name] | {"weights": f"{name}, of the run's two"},
            f"Validation of the {beside} weights": validations[beside],
        }
        _save(model, folder, {**card, **sections})


def _save(model: Model, folder: Path, card: Mapping[str, Any]) -> None:
    with merged(model.method):
        model.save(folder, card=card)


def _rows(report: Mapping[str, Any], step: int) -> dict[str, Any]:
    rows: dict[str, Any] = {name: round(value, 1) for name, value in report["text_to_video"].items()}
    note = missing_note(report)
    return rows | ({"missing": note} if note else {}) | {"step": step}
