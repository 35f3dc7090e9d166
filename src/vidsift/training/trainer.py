"""The loop: batches in, a model out. On a CPU, a run that was stopped and resumed gives the same bits."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch

from vidsift.data.loading import Batch, BatchMaker, Feed, stage_at
from vidsift.data.share import share_batches
from vidsift.data.source import PlannedStage
from vidsift.encoders.device import choose_device, chosen_dtype
from vidsift.encoders.tokenizer import Tokenizer
from vidsift.errors import (
    CheckpointError,
    NonFiniteGradientError,
    NonFiniteLossError,
    NonFiniteStateError,
    ProcessEndedError,
    RecipeError,
    WorkerEndedError,
)
from vidsift.evaluation.evaluate import headline
from vidsift.training.best import BestWeights, remove_other_models, save_selected
from vidsift.training.blocks import compiling, require_compiler, set_attention, wrap_blocks
from vidsift.training.checkpoint import set_random_states
from vidsift.training.distributed import Processes, device_of
from vidsift.training.finite import remedies
from vidsift.training.log import RunLog
from vidsift.training.lora import add_lora, frozen_digest, frozen_names
from vidsift.training.optim import optimiser_of
from vidsift.training.placement import placement
from vidsift.training.recipe import Recipe, read_recipe
from vidsift.training.run_folder import RunFolder
from vidsift.training.setup import begin_stage, build_model, epoch_line, plan_stages, steps_of
from vidsift.training.stage_features import StageFeatures
from vidsift.training.step import TrainingStep
from vidsift.training.stopping import StoppedEarly, StopRequests
from vidsift.training.together import agree_on_batch, open_together, set_threads
from vidsift.training.trackers import open_trackers
from vidsift.training.validation import Validation, cut_for_validation

__all__ = [
    "StoppedEarly",
    "Trainer",
    "train",
]

Say = Callable[[str], None]
T = TypeVar("T")

_GRACE_SECONDS = 1.0


class Trainer:
    """One run, or this process's part of one that a launcher started as several (:mod:`placement`).

    The first process alone writes, validates and says something.

    Args:
        recipe: what to do.
        output: folder of the run; holds the model at the end.
        device: where to compute; "auto" takes a GPU where there is one.
        resume: True goes on from the checkpoint in ``output``, also with other rates, clipping or precision;
            False starts anew, None goes on where there is a checkpoint of the same run.
        say: takes the lines for the console.
        should_stop: asked after every step whether to save and end, as after Ctrl-C.

    Raises:
        ValueError: if the recipe cannot be followed, or ``output`` holds another run.
        SeveralProcessesError: a launcher started several processes which cannot train together.
        FolderBusyError: another process trains in ``output``; a trainer holds it from here to the end of
            :meth:`run`.
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
        place = placement()
        self._should_stop = should_stop
        self.device = device_of(place, choose_device(device))
        self.processes = Processes(place, self.device)
        self.output, self.say = Path(output), say if self.processes.first else _say_nothing
        self._folder = RunFolder(self.output)
        try:
            self.recipe = open_together(self._folder, recipe, resume, self.processes)
            self._section = self.recipe.validation
            set_threads(recipe.threads, place, self.device)
            self._set_up()
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        self._folder.close()
        self.processes.close()

    def _set_up(self) -> None:
        # Before anything reads the training data: nothing else may see what is validated on.
        self.recipe = cut_for_validation(self.recipe, self.say)
        recipe, folder = self.recipe, self._folder
        self.dtype = chosen_dtype(recipe.precision, self.device)
        # A run goes on with the words that it began with: the captions may be others by now.
        known = Tokenizer.from_folder(folder.vocabulary) if folder.resuming else None
        # Drawn on the CPU, then moved: the same weights on every device.
        self.model = build_model(recipe, known)
        if recipe.lora is not None:
            section = recipe.lora
            add_lora(self.model.method, rank=section.rank, alpha=section.alpha, layers=section.layers)
        self.model.to(self.device)
        self.method = self.model.method
        set_attention(self.method, recipe.model.attention, self.dtype, self.device)
        if recipe.compile:
            require_compiler()
        wrap_blocks(self.method, recomputed=recipe.checkpoint_blocks, compiled=recipe.compile)
        self.stages = plan_stages(recipe, self.model)
        self.steps = steps_of(self.stages)
        self.optimiser = optimiser_of(recipe, self.method, self.say)
        self.step = 0
        log = folder.log if self.processes.first else Path(os.devnull)
        self.log = RunLog(log, self.say, steps=self.steps, device=self.device)
        self._frozen, self._base = frozen_names(self.method), frozen_digest(self.method)
        self.best = BestWeights(folder.checkpoints.last.parent)
        self._take_step = TrainingStep(
            recipe,
            self.model,
            self.optimiser,
            self.stages,
            dtype=self.dtype,
            advice=self._advice,
            processes=self.processes,
        )
        features = folder.checkpoints.last.parent / "features"
        self._features = StageFeatures(recipe, self.model, features, removes=self.processes.first)
        self._stop_requests = StopRequests()
        # Building a model draws numbers too, more or fewer: the steps begin at the seed, whatever it is.
        torch.manual_seed(recipe.seed)
        if folder.resuming:
            self._restore()
        self.processes.send_weights(self.method)

    def run(self) -> dict[str, Any]:
        """Train to the end and write the model.

        Returns:
            ``steps``, ``seconds``, ``loss`` (mean of the last lines of the log), ``validation`` (of the last
            weights), ``best`` (``step`` and ``validation`` of the best ones) and ``unreadable`` (paths).

        Raises:
            NonFiniteLossError: at a loss that is no number; the checkpoints before stay.
            NonFiniteGradientError: at gradients that are no numbers.
            NonFiniteStateError: at weights, or a state of the optimiser, that are no numbers.
            NotSavedError: the disk takes no more; the checkpoints before stay.
            StoppedEarly: after Ctrl-C or SIGTERM, once the run is saved.
            ProcessEndedError: another process of the run ended by itself.
            ProcessesDifferError: the processes of the run do not hold the same weights.
        """
        try:
            return self._run()
        except ProcessEndedError:
            # Whoever stops all of them may reach another one first.
            if self._stop_requests.number is None:
                raise
            raise StoppedEarly(
                "stopped with the other processes; the same command goes on from the last checkpoint",
                self._stop_requests.number,
            ) from None
        finally:
            self._close()

    def _run(self) -> dict[str, Any]:
        parameters = sum(parameter.numel() for parameter in self.method.parameters())
        self.say(
            f"{self.recipe.name}: {parameters / 1e6:.2f} M parameters, {self.steps} steps on "
            f"{self._hardware} in {str(self.dtype).removeprefix('torch.')}, output {self.output}"
        )
        report: dict[str, Any] = {}
        validate: Validation | None = None
        maker: BatchMaker | None = None
        last_loss = math.nan
        with self._stop_requests.listening():
            if self.recipe.validation is not None and self.processes.first:
                validate = self._wait_for(lambda: Validation(self.recipe, self.model, say=self.say))
            if self.step < self.steps:
                maker = self._wait_for(lambda: self._features.batch_maker(self.stages, self.say))
            # What an earlier run left goes only now that this one's videos are there, too.
            if not self._folder.resuming and self.processes.first:
                self._folder.begin(self.recipe, self.model.tokenizer)
                self.best.forget()
                remove_other_models(self.output)
            with self.log.opened():
                self._open_trackers()
                try:
                    if maker is not None:
                        self.log.note_epoch(self.step, epoch_line(self.recipe, self.stages))
                        last_loss = self._loop(maker, validate)
                    if validate is not None:
                        report = self._validate(validate)
                except (NonFiniteLossError, NonFiniteGradientError) as error:
                    self._note_not_finite(error)
                    raise
            self._save_checkpoint()
            validations = self.processes.from_first(lambda: self._save_model(report))
        self.say(f"model written to {self.output} after {self.log.seconds / 60:.1f} min of training")
        return {
            "steps": self.step,
            "seconds": self.log.seconds,
            "loss": last_loss,
            **validations,
            "unreadable": sorted(self.log.unreadable),
        }

    def _save_model(self, report: dict[str, Any]) -> dict[str, Any]:
        """Write the model; returns what validation said of its last and its best weights."""
        save_selected(
            self.model,
            self.output,
            self.best,
            step=self.step,
            report=report,
            select=self._section.select if self._section is not None else "last",
            card=self._card(),
        )
        best = {"step": self.best.step, "validation": self.best.facts["report"]} if report else {}
        return {"validation": report, "best": best}

    def _loop(self, maker: BatchMaker, validate: Validation | None) -> float:
        recipe, steps = self.recipe, self.steps
        loss, stage = math.nan, None
        if validate is not None:
            self._validate_what_was_stopped(validate)
        self.log.start_clock(self.step)
        mine = share_batches(maker, self.processes.share)
        with Feed(mine, start=self.step, stop=steps, workers=recipe.data.workers) as feed:
            self.method.train()
            for batch in self._batches(feed, maker):
                if stage is not (now := stage_at(self.stages, self.step)):
                    stage = now
                    self._begin_stage(stage)
                self.log.note_unreadable(batch, self.step)
                self._train_step(batch)
                if self.step % recipe.log_every_steps == 0 or self.step == steps:
                    values = self._take_step.mean_losses()
                    loss = values["loss"]
                    rate = max(group["lr"] for group in self.optimiser.param_groups)
                    self.log.line(self.step, values, rate=rate, scale=float(self.method.scale.detach()))
                if number := self.processes.largest(self._stop_request()):
                    self.log.stop_clock()
                    self._stop_early(number)
                # The check at the very end is made by the caller, after the loop.
                if validate is not None and self._validation_due():
                    # The time of validation is no time of training.
                    self.log.stop_clock()
                    self._validate(validate)
                    self.log.start_clock(self.step)
                if self._due(recipe.checkpoint_every_steps):
                    self._save_checkpoint()
        # What is validated and saved at the end is whole, whatever the last stage left out.
        self.method.leave_out(())
        self._features.end()
        return loss

    def _begin_stage(self, stage: PlannedStage) -> None:
        self.say(begin_stage(self.recipe, self.method, stage))
        if not self._features.begin(stage):
            return
        # Computing takes no part in the seconds of a step; the others find what the first one wrote.
        self.log.stop_clock()
        done = not self.processes.first or self._stop_requests.wait_for(self._features.compute)
        number = 0 if done else self._stop_requests.number or signal.SIGINT
        if number := self.processes.largest(number):
            self._stop_early(number)
        self.log.start_clock(self.step)

    def _wait_for(self, get: Callable[[], T]) -> T:
        """Return what takes long before a step; Ctrl-C and SIGTERM end the run there and then."""
        result = self._stop_requests.wait_for(get)
        if result is None:
            raise self._stopped_in_time(self._stop_requests.number or signal.SIGINT)
        return result

    def _stop_request(self) -> int:
        """Return the number of the signal by which somebody wants the run to end, or 0."""
        return self._stop_requests.number or (signal.SIGINT if self._should_stop() else 0)

    def _batches(self, feed: Feed, maker: BatchMaker) -> Iterator[Batch]:
        """The batches of the steps; with several processes the rows of this one."""

        def following() -> Batch | None:
            try:
                return next(feed, None)
            except WorkerEndedError:
                # Who asks a whole group of processes to end may reach the workers first.
                time.sleep(_GRACE_SECONDS)
                raise

        while self.step < self.steps:
            with self.log.waiting():
                batch = self._stop_requests.wait_for(following)
                # One that was asked to stop has none, and the others have to know.
                number = 0 if batch is not None else self._stop_requests.number or signal.SIGINT
                if number := self.processes.largest(number):
                    self._stop_early(number)
                assert batch is not None, "without a batch it stops"
                whole = partial(maker, self.step)
                batch = agree_on_batch(batch, whole, self.processes)
            yield batch

    def _due(self, every: int) -> bool:
        return self.step % every == 0 and self.step < self.steps

    def _validation_due(self) -> bool:
        return self._section is not None and self._due(self._section.every_steps)

    def _validate_what_was_stopped(self, validate: Validation) -> None:
        """Validate a run that was stopped right before it would have been: its best may be that one."""
        if self.step and self._validation_due() and self.best.facts.get("validated", 0) < self.step:
            self.method.leave_out(stage_at(self.stages, self.step - 1).section.without)
            self._validate(validate)

    def _train_step(self, batch: Batch) -> None:
        """One step of the optimiser."""
        try:
            with compiling(self.recipe.compile):
                self.log.count(self._take_step(self.step, batch))
        except RecipeError:
            # Ctrl-C at a console ends the compiler, which is a process, too.
            if (number := self._stop_requests.number) is None:
                raise
            raise StoppedEarly(
                "stopped while compiling; the same command goes on from the last checkpoint", number
            ) from None
        self.step += 1

    def _note_not_finite(self, error: Exception) -> None:
        """Write which videos were in the batch, as many as a message cannot hold."""
        numbers = self._take_step.not_finite()
        if numbers is not None:
            self.log.note_not_finite(error, numbers)

    def _open_trackers(self) -> None:
        recipe = self.recipe
        self.log.trackers = open_trackers(
            recipe.trackers if self.processes.first else (),
            self.output,
            name=recipe.name,
            settings=recipe.model_dump(mode="json"),
            step=self.step,
        )

    def _advice(self) -> str:
        checkpoints = self._folder.checkpoints
        return remedies(
            bf16=self.dtype == torch.bfloat16,
            clipped=bool(self.recipe.optimiser.clip_norm),
            good_checkpoint=None if checkpoints.step is None else f"of step {checkpoints.step}",
        )

    def _validate(self, validate: Validation) -> dict[str, Any]:
        self._take_step.check_pending()
        with self._finite():
            self._folder.checkpoints.require_finite(self.method, self.optimiser)
        begin = time.perf_counter()
        report = validate(self.model)
        self.method.train()
        self.say(f"validation at step {self.step}: {headline(report)}")
        seconds = round(time.perf_counter() - begin, 2)
        self.log.write({"step": self.step, "validation": report, "validation_seconds": seconds})
        self.best.judged(report, self.method, self.step, last=self.step == self.steps)
        return report

    def _save_checkpoint(self) -> None:
        self._take_step.check_pending()
        self.processes.require_same_weights(self.method, self.step)
        if not self.processes.first:
            return
        with self._finite():
            self._folder.checkpoints.save(
                self.method,
                self.optimiser,
                step=self.step,
                best=self.best.facts,
                seconds=self.log.seconds,
                processes=self.processes.count,
                left_out=self._frozen,
                base=self._base,
            )
        self.best.checkpoint_saved()

    @contextmanager
    def _finite(self) -> Iterator[None]:
        """Say what weights that are no numbers, or such a state of the optimiser, mean for the run."""
        try:
            yield
        except CheckpointError as error:
            raise NonFiniteStateError(f"after step {self.step} {error}; {self._advice()}") from error

    def _stopped_in_time(self, number: int) -> StoppedEarly:
        """What ends a run of which everything is saved."""
        after = f"after step {self.step} of {self.steps}" if self.step else "before the first step"
        return StoppedEarly(f"stopped {after}; nothing is lost, the same command goes on", number)

    def _stop_early(self, number: int) -> NoReturn:
        """Save the run and end it, in all processes."""
        if self.step in (0, self.processes.from_first(lambda: self._folder.checkpoints.step)):
            raise self._stopped_in_time(number)
        self._save_checkpoint()
        # Nobody leaves before the first has saved: launchers end the rest when one has ended.
        self.processes.from_first(lambda: None)
        raise StoppedEarly(
            f"stopped after step {self.step} of {self.steps}; saved. The same command goes on "
            f"from there (checkpoint {self._folder.checkpoints.last})",
            number,
        )

    def _restore(self) -> None:
        folder = self._folder
        if self.processes.first:
            checkpoint = folder.restore(self.recipe, self.steps, self.say)
        else:
            checkpoint = folder.checkpoints.load(self.say)
        # The state that is loaded below brings the groups of the earlier recipe along.
        peaks = [group["peak_rate"] for group in self.optimiser.param_groups]
        try:
            if checkpoint.base != self._base:
                raise ValueError("the weights that LoRA leaves as they are are others")
            self.method.load_state_dict(checkpoint.weights, strict=not self._frozen)
            self.optimiser.load_state_dict(checkpoint.optimiser)
        except (RuntimeError, ValueError) as error:
            # The first line of a module's message says only that something is wrong.
            reason = (str(error).splitlines() or [type(error).__name__])[:2][-1].strip().rstrip(".")
            raise CheckpointError(
                f"the checkpoint of step {checkpoint.step} in {self.output} does not fit the model of the "
                f"recipe ({reason}); put back what model.start names as it was, or start anew with "
                "--no-resume"
            ) from error
        for group, peak in zip(self.optimiser.param_groups, peaks, strict=True):
            group["peak_rate"] = peak  # which the recipe may have changed
        set_random_states(checkpoint.random)
        self.step, self.log.seconds = checkpoint.step, checkpoint.seconds
        self.best.restore(checkpoint.best, checkpoint.step, self.say)
        before, now = checkpoint.processes, self.processes.count
        others = f" in {now} process{'es' if now > 1 else ''}, {before} before" if before != now else ""
        self.say(f"going on after step {self.step}{others}")

    @property
    def _hardware(self) -> str:
        count = self.processes.count
        return f"{count} x {self.device.type}" if count > 1 else self.device.type

    def _card(self) -> dict[str, Any]:
        recipe = self.recipe
        trained = (
            f"recipe `{recipe.name}`, {self.steps} steps, seed {recipe.seed}, {self.log.seconds / 60:.1f} "
            f"minutes on {self._hardware}; the whole recipe is in `recipe.yaml`"
        )
        card: dict[str, Any] = {"Training": trained, **recipe.card}
        if cut := self.recipe.data.cut_note():
            card["Validation split"] = cut
        return card


def train(
    recipe: str | Path,
    overrides: tuple[str, ...] = (),
    *,
    variant: str | None = None,
    output: str | Path | None = None,
    device: str = "auto",
    resume: bool | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Follow a recipe; see :class:`Trainer` and :func:`~vidsift.training.recipe.read_recipe`."""
    read = read_recipe(recipe, overrides, variant=variant)
    folder = Path("runs") / read.name if output is None else Path(output)
    return Trainer(read, folder, device=device, resume=resume, say=say).run()


def _say_nothing(_line: str) -> None:
    """What processes say that are not the first."""
