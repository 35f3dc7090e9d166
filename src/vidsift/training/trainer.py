"""The loop: batches in, a model out. On a CPU, a run that was stopped and resumed gives the same bits."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import torch
from torch import Tensor

from vidsift.data.loading import Batch, Feed
from vidsift.encoders.device import choose_device
from vidsift.encoders.precision import best_inference_dtype
from vidsift.encoders.tokenizer import Tokenizer
from vidsift.evaluation.evaluate import headline
from vidsift.evaluation.missing import missing_note
from vidsift.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    set_random_states,
)
from vidsift.training.features import batch_features
from vidsift.training.optim import build_optimiser, parameter_groups, rate_factor, set_rates
from vidsift.training.recipe import Recipe, RecipeError, read_recipe, write_recipe
from vidsift.training.setup import (
    RunStage,
    Validation,
    batch_maker,
    build_model,
    plan_stages,
    remember,
    set_trained,
)

__all__ = ["NonFiniteLossError", "StoppedEarly", "Trainer", "train"]

Say = Callable[[str], None]

_CHECKPOINT = Path("checkpoints") / "last.pt"
_VOCABULARY = Path("checkpoints") / "tokenizer"
_RECIPE = "recipe.yaml"
_LOG = "metrics.jsonl"
# What may differ between a checkpoint's recipe and the one it is resumed with: nothing that weights see.
_FREE = {"checkpoint_every_steps", "log_every_steps", "validation", "card", "threads"}


class NonFiniteLossError(ValueError):
    """The loss became NaN or infinite; says at which step."""


class StoppedEarly(KeyboardInterrupt):
    """Somebody pressed Ctrl-C; the run is saved and can go on."""


class Trainer:
    """One run.

    Args:
        recipe: what to do.
        output: folder of the run; holds the model at the end.
        device: where to compute; "auto" takes a GPU where there is one.
        resume: True goes on from the checkpoint in ``output``, False starts anew, None goes on where
            there is one.
        say: takes the lines for the console.
        should_stop: asked after every step whether to save and end, as after Ctrl-C.

    Raises:
        ValueError: if the recipe cannot be followed, or ``output`` holds another run.
    """

    def __init__(
        self,
        recipe: Recipe,
        output: str | Path,
        *,
        device: str = "auto",
        resume: bool | None = None,
        say: Say = print,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """See the class."""
        self._should_stop = should_stop
        self.recipe, self.output, self.say = recipe, Path(output), say
        if recipe.threads is not None:
            torch.set_num_threads(recipe.threads)
        self.device = choose_device(device)
        bf16 = recipe.precision == "bf16" or (
            recipe.precision == "auto" and best_inference_dtype(self.device) == torch.bfloat16
        )
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        resuming = self._prepare_folder(resume)
        known = Tokenizer.from_folder(self.output / _VOCABULARY) if resuming else None
        self.model = build_model(recipe, known).to(self.device)
        remember(recipe, self.model)
        self.method = self.model.method
        self.stages = plan_stages(recipe, self.model)
        rates = recipe.optimiser
        backbone = rates.backbone_learning_rate
        groups = parameter_groups(
            self.method,
            learning_rate=rates.learning_rate,
            backbone_learning_rate=rates.learning_rate if backbone is None else backbone,
            weight_decay=rates.weight_decay,
        )
        self.optimiser = build_optimiser(
            groups, algorithm=rates.algorithm, beta1=rates.beta1, beta2=rates.beta2, epsilon=rates.epsilon
        )
        self.step, self.seconds = 0, 0.0
        self.best: dict[str, float] = {}
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self._unreadable: set[str] = set()
        self._stop = False
        torch.manual_seed(recipe.seed)
        if resuming:
            self._restore()
        else:
            write_recipe(recipe, self.output / _RECIPE)
            self.model.tokenizer.save(self.output / _VOCABULARY)

    def run(self) -> dict[str, Any]:
        """Train to the end and write the model.

        Returns:
            ``steps``, ``seconds``, ``loss`` (mean of the last lines of the log) and ``validation``.

        Raises:
            NonFiniteLossError: at a loss that is no number; the checkpoint before stays.
            StoppedEarly: after Ctrl-C, once the run is saved.
        """
        parts = sum(parameter.numel() for parameter in self.method.parameters())
        self.say(
            f"{self.recipe.name}: {parts / 1e6:.2f} M parameters, {self.recipe.steps} steps on {self.device} "
            f"in {str(self.dtype).removeprefix('torch.')}, output {self.output}"
        )
        validate = (
            None if self.recipe.validation is None else Validation(self.recipe, self.model, say=self.say)
        )
        report: dict[str, Any] = {}
        with (self.output / _LOG).open("a", encoding="utf-8") as log, self._listening():
            last_loss = self._loop(log, validate) if self.step < self.recipe.steps else math.nan
            if validate is not None:
                report = self._validate(validate, log)
        self._save_checkpoint()
        self.model.save(self.output, card=self._card(report))
        self.say(f"model written to {self.output} after {self.seconds / 60:.1f} min of training")
        return {
            "steps": self.step,
            "seconds": self.seconds,
            "loss": last_loss,
            "validation": report,
            "unreadable": sorted(self._unreadable),
        }

    def _loop(self, log: TextIO, validate: Validation | None) -> float:
        recipe, steps = self.recipe, self.recipe.steps
        maker = batch_maker(recipe, self.model, self.stages)
        loss, clips, mark, marked_step = math.nan, 0, time.perf_counter(), self.step
        stage = None
        with Feed(maker, start=self.step, stop=steps, workers=recipe.data.workers) as feed:
            self.method.train()
            for batch in feed:
                if stage is not (now := self._stage_of(self.step)):
                    stage = now
                    self.method.leave_out(stage.without)
                    learning = set_trained(
                        self.method, stage.trained, frozen_towers=recipe.model.frozen_towers
                    )
                    self.say(
                        f"stage {stage.name}: {learning / 1e6:.2f} M parameters learn, {stage.frames} "
                        f"frames, batches of {stage.batch_size}"
                    )
                self._note_unreadable(batch, log)
                self._train_step(batch)
                clips += len(batch.pixels)
                if self.step % recipe.log_every_steps == 0 or self.step == steps:
                    values = self._settle()
                    now_seconds = time.perf_counter()
                    took, self.seconds = now_seconds - mark, self.seconds + now_seconds - mark
                    loss = values["loss"]
                    self._log_line(log, values, clips / took, took / (self.step - marked_step))
                    clips, mark, marked_step = 0, now_seconds, self.step
                if self._stop or self._should_stop():
                    self.seconds += time.perf_counter() - mark
                    self._stop_early(log)
                # The check at the very end is made by the caller, after the loop.
                if validate is not None and self._due(
                    recipe.validation.every_steps if recipe.validation else 0
                ):
                    self.seconds += time.perf_counter() - mark
                    self._validate(validate, log)
                    mark, marked_step, clips = time.perf_counter(), self.step, 0
                if self._due(recipe.checkpoint_every_steps):
                    self._save_checkpoint()
        self.method.leave_out(())
        return loss

    def _due(self, every: int) -> bool:
        return self.step % every == 0 and self.step < self.recipe.steps

    def _stage_of(self, step: int) -> RunStage:
        return [stage for stage in self.stages if stage.first_step <= step][-1]

    def _train_step(self, batch: Batch) -> None:
        """One step of the optimiser."""
        if len(batch.rows) < 2:
            raise ValueError(
                f"step {self.step}: {len(batch.failed)} videos of the batch cannot be read, "
                f"{len(batch.rows)} can; a step needs at least 2"
            )
        recipe = self.recipe.optimiser
        stage = self._stage_of(self.step)
        first, steps = (stage.first_step, stage.steps) if stage.own_rates else (0, self.recipe.steps)
        factor = rate_factor(
            self.step - first, steps, warmup_share=recipe.warmup_share, final_share=recipe.final_share
        )
        set_rates(self.optimiser, factor)
        losses = self._losses(batch)
        # On a CPU the check costs nothing; on a GPU it would wait for the step, so it is made with the log.
        self._pending.append((self.step, losses))
        if self.device.type == "cpu":
            self._check(self.step, losses)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["loss"])
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), recipe.clip_norm)
        self.optimiser.step()
        self.method.after_step()
        losses["loss"] = losses["loss"].detach()
        self.step += 1

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        text, video = batch_features(self.model, batch, self.dtype)
        rows = len(batch.pixels)
        each = [
            self.method.loss({name: part[first : first + rows] for name, part in text.items()}, video)
            for first in range(0, len(batch.captions), rows)
        ]
        return {name: torch.stack([one[name] for one in each]).mean() for name in each[0]}

    def _check(self, step: int, losses: dict[str, Tensor]) -> None:
        value = float(losses["loss"].detach())
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"the loss is {value} at step {step}; the last checkpoint is from before. Lower "
                "optimiser.learning_rate, or train with precision=fp32"
            )

    def _settle(self) -> dict[str, float]:
        """Return the means of the losses since last time, after making sure that they are numbers."""
        self._check_pending()
        count = len(self._pending)
        names = self._pending[0][1] if count else ()
        means = {n: sum(float(losses[n].detach()) for _, losses in self._pending) / count for n in names}
        self._pending.clear()
        return means

    def _log_line(
        self, log: TextIO, values: dict[str, float], clips_per_second: float, step_seconds: float
    ) -> None:
        rate = max(group["lr"] for group in self.optimiser.param_groups)
        left = step_seconds * (self.recipe.steps - self.step)
        self.say(
            f"step {self.step}/{self.recipe.steps}  loss {values['loss']:.4f}  "
            f"{clips_per_second:.0f} clips/s  rate {rate:.1e}  {_minutes(left)} left"
        )
        _write(
            log,
            {
                "step": self.step,
                **values,
                "rate": rate,
                "scale": float(self.method.scale.detach()),
                "clips_per_second": round(clips_per_second, 1),
                "seconds": round(self.seconds, 2),
            },
        )

    def _note_unreadable(self, batch: Batch, log: TextIO) -> None:
        for path, reason in (*batch.failed, *batch.partial):
            if path not in self._unreadable:
                self._unreadable.add(path)
                self.say(f"cannot read all of {path}: {reason}")
                _write(log, {"step": self.step, "unreadable": path, "reason": reason})

    def _validate(self, validate: Validation, log: TextIO) -> dict[str, Any]:
        self._check_pending()
        begin = time.perf_counter()
        report = validate(self.model)
        self.method.train()
        value = report["text_to_video"]["R@1"]
        if value > self.best.get("value", -1.0):
            self.best = {"step": self.step, "value": value}
        self.say(f"validation at step {self.step}: {headline(report)}")
        took = round(time.perf_counter() - begin, 2)
        _write(log, {"step": self.step, "validation": report, "validation_seconds": took})
        return report

    def _save_checkpoint(self) -> None:
        self._check_pending()
        save_checkpoint(
            self.output / _CHECKPOINT,
            self.method,
            self.optimiser,
            step=self.step,
            best=self.best,
            seconds=self.seconds,
        )

    def _check_pending(self) -> None:
        """Make sure that no loss since the last line was NaN."""
        for step, losses in self._pending:
            self._check(step, losses)

    def _stop_early(self, log: TextIO) -> None:
        self._save_checkpoint()
        log.flush()
        raise StoppedEarly(
            f"stopped after step {self.step} of {self.recipe.steps}; saved. The same command goes on "
            f"from there (checkpoint {self.output / _CHECKPOINT})"
        )

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Let the first Ctrl-C (or a polite kill) end the run after the step, a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(_number: int, _frame: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _prepare_folder(self, resume: bool | None) -> bool:
        """Make the folder; return whether the run goes on from a checkpoint in it."""
        checkpoint = self.output / _CHECKPOINT
        if resume is False or (resume is None and not checkpoint.is_file()):
            self.output.mkdir(parents=True, exist_ok=True)
            checkpoint.unlink(missing_ok=True)
            (self.output / _LOG).unlink(missing_ok=True)
            return False
        if not checkpoint.is_file():
            raise CheckpointError(f"there is no checkpoint {checkpoint} to resume from; leave --resume out")
        before = read_recipe(self.output / _RECIPE)
        changed = _differences(before.model_dump(mode="json"), self.recipe.model_dump(mode="json"))
        if changed:
            raise RecipeError(
                f"{self.output} holds another run (different: {', '.join(changed)}); name another --output, "
                "or start it anew with --no-resume"
            )
        return True

    def _restore(self) -> None:
        found = load_checkpoint(self.output / _CHECKPOINT)
        self.method.load_state_dict(found.weights)
        self.optimiser.load_state_dict(found.optimiser)
        set_random_states(found.random)
        self.step, self.seconds, self.best = found.step, found.seconds, found.best
        log = self.output / _LOG
        if log.is_file():
            lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
            log.write_text("".join(line for line in lines if _step_of(line) <= self.step), encoding="utf-8")
        self.say(f"going on after step {self.step}")

    def _card(self, report: dict[str, Any]) -> dict[str, Any]:
        recipe = self.recipe
        trained = (
            f"recipe `{recipe.name}`, {recipe.steps} steps, seed {recipe.seed}, {self.seconds / 60:.1f} "
            f"minutes on {self.device.type}; the whole recipe is in `{_RECIPE}`"
        )
        card: dict[str, Any] = {"Training": trained, **recipe.card}
        if report:
            there = report["text_to_video"]
            note = missing_note(report)
            card["Validation"] = {name: round(value, 1) for name, value in there.items()}
            card["Validation"] |= {"missing": note} if note else {}
        return card


def train(
    recipe: str | Path,
    overrides: tuple[str, ...] = (),
    *,
    output: str | Path | None = None,
    device: str = "auto",
    resume: bool | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Follow a recipe; see :class:`Trainer` and :func:`~vidsift.training.recipe.read_recipe`."""
    read = read_recipe(recipe, overrides)
    folder = Path("runs") / read.name if output is None else Path(output)
    return Trainer(read, folder, device=device, resume=resume, say=say).run()


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted({*before, *now}):
        name = f"{prefix}{key}"
        one, two = before.get(key), now.get(key)
        if name in _FREE or name == "data.workers" or one == two:
            continue
        both = isinstance(one, dict) and isinstance(two, dict)
        found += _differences(one or {}, two or {}, f"{name}.") if both else [name]
    return found


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # the half line of a run that was killed


def _write(log: TextIO, values: dict[str, Any]) -> None:
    log.write(json.dumps(values) + "\n")
    log.flush()


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
