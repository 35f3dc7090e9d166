"""The folder of one run: recipe, vocabulary, log and checkpoints, held by one process at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from vidsift.encoders.tokenizer import Tokenizer
from vidsift.errors import CheckpointError, RecipeError
from vidsift.files.disk_errors import saving
from vidsift.files.whole import remove_leftovers, write_text_whole
from vidsift.methods.folder import SAVING
from vidsift.training.arguments import as_it_ran, as_saved, with_all_arguments
from vidsift.training.checkpoint import Checkpoint, Checkpoints
from vidsift.training.recipe import Recipe, read_recipe, write_recipe
from vidsift.training.run_lock import locked_folder

__all__ = ["CHECKPOINTS", "LOG_FILE", "RunFolder"]

CHECKPOINTS = "checkpoints"
"""The folder of what a run goes on from, in its own."""

LOG_FILE = "metrics.jsonl"
"""The log of a run in its folder: JSON lines."""

# What may differ between a checkpoint's recipe and the one it is resumed with: nothing that weights see.
_NOT_OF_THE_RESULT = {
    "checkpoint_every_steps",
    "log_every_steps",
    "trackers",
    "validation",
    "evaluation",
    "card",
    "checkpoint_blocks",
    "threads",
    "data.workers",
}
# What may differ besides where somebody asks to go on: what saves a run whose numbers left the range.
_CHANGED_ON_RESUME = {
    "precision",
    "compile",
    "optimiser.learning_rate",
    "optimiser.backbone_learning_rate",
    "optimiser.clip_norm",
    "chunk",
}
# What earlier versions called files of a model while they wrote them.
_PARTIAL = ("model.safetensors.partial", "config.json.partial")


class RunFolder:
    """The folder of a run.

    Attributes:
        path: where; the finished model is written here too.
        log: ``metrics.jsonl``.
        vocabulary: folder of the tokenizer that the run trains with.
        checkpoints: the last two.
        resuming: whether the run goes on from a checkpoint; known once it is open.
    """

    def __init__(self, path: Path) -> None:
        """See the class; nothing is touched before :meth:`open`."""
        self.path = path
        self.log = path / LOG_FILE
        self.vocabulary = path / CHECKPOINTS / "tokenizer"
        self.checkpoints = Checkpoints(path / CHECKPOINTS)
        self.resuming = False
        self._recipe = path / "recipe.yaml"
        # The lock is taken in open() and let go in close(), perhaps by an error between them.
        self._hold = ExitStack()
        self._changed: dict[str, Any] = {}

    def open(self, recipe: Recipe, resume: bool | None) -> Recipe:
        """Take hold of the folder, made where absent, and find out whether the run goes on.

        Args:
            recipe: the run's.
            resume: True goes on from a checkpoint, also with other rates, clipping or precision; False starts
                anew, None goes on where there is a checkpoint.

        Returns:
            The recipe with all arguments of its method. Where an earlier version began the run, those that
            came later and that the recipe does not say are what the run did.

        Raises:
            FolderBusyError: another process trains in it.
            CheckpointError: there is nothing to resume.
            RecipeError: it holds another run.
        """
        with saving("the run", self.path):
            self._hold.enter_context(locked_folder(self.path))
        try:
            remove_leftovers(self.path, [self._recipe.name, self.log.name, SAVING], *_PARTIAL)
            remove_leftovers(self.checkpoints.last.parent, [self.checkpoints.last.name])
            self.resuming = self._may_resume(resume)
            return self._compared(recipe, resume) if self.resuming else with_all_arguments(recipe)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder."""
        self._hold.close()

    def begin(self, recipe: Recipe, tokenizer: Tokenizer) -> None:
        """Begin a run anew; what another one left goes only now that this one is known to be able to begin.

        Raises:
            NotSavedError: the disk takes no more.
        """
        # First: killed after any line here, no checkpoint stands beside a recipe that is not its own.
        self.checkpoints.forget()
        self.log.unlink(missing_ok=True)
        self._write_recipe(recipe)
        with saving("the vocabulary", self.vocabulary):
            tokenizer.save(self.vocabulary)

    def _write_recipe(self, recipe: Recipe) -> None:
        with saving("the recipe", self.path):
            write_recipe(recipe, self._recipe)

    def restore(self, recipe: Recipe, steps: int, say: Callable[[str], None]) -> Checkpoint:
        """Return the last good checkpoint, and cut the log where it ends.

        Args:
            recipe: the run's.
            steps: of the whole run.
            say: takes a line where the last checkpoint is no good.

        Raises:
            CheckpointError: none is good.
            RecipeError: values were changed that no step is left for.
        """
        checkpoint = self.checkpoints.load(say)
        if self._changed and checkpoint.step >= steps:
            raise RecipeError(
                f"all {steps} steps of the run in {self.path} are done, so that new values "
                f"({', '.join(self._changed)}) change nothing; leave them out, or name another --output"
            )
        if self.log.is_file():
            # The log may be ahead of the checkpoint: those steps are going to be run again.
            lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
            lines_before = "".join(line for line in lines if _step_of(line) <= checkpoint.step)
            if self._changed:
                lines_before += json.dumps({"step": checkpoint.step, "changed": self._changed}) + "\n"
            with saving("the log", self.log):
                write_text_whole(self.log, lines_before)
        if self._changed:
            self._write_recipe(recipe)
        return checkpoint

    def _may_resume(self, resume: bool | None) -> bool:
        if resume is False or (resume is None and not self.checkpoints.there):
            return False
        if not self.checkpoints.there:
            raise CheckpointError(
                f"there is no checkpoint {self.checkpoints.last} to resume from; leave --resume out"
            )
        return True

    def _compared(self, recipe: Recipe, resume: bool | None) -> Recipe:
        """Return the recipe to go on with; refuse one of another run."""
        try:
            saved = read_recipe(self._recipe)
        except RecipeError as error:
            raise RecipeError(
                f"what the checkpoints in {self.path} were trained by cannot be read: {error}. Put that file "
                "back as it was, or start the run anew with --no-resume"
            ) from error
        recipe, before = as_it_ran(recipe, saved), as_saved(saved)
        changed = _differences(before.model_dump(mode="json"), recipe.model_dump(mode="json"))
        # How it validates changes no weight, but for what it takes away from training.
        if _cut_of(before) != _cut_of(recipe):
            changed["validation.cut"] = _cut_of(recipe)
        if not changed.keys() <= _CHANGED_ON_RESUME or (changed and resume is None):
            ways = "name another --output, or start it anew with --no-resume"
            if changed.keys() <= _CHANGED_ON_RESUME:
                ways = f"go on with the new values by --resume, {ways}"
            raise RecipeError(f"{self.path} holds another run (different: {', '.join(changed)}); {ways}")
        self._changed = changed
        return recipe


def _cut_of(recipe: Recipe) -> int | None:
    return None if recipe.validation is None else recipe.validation.cut


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys, with dots, that differ and may not: with the values now."""
    changed: dict[str, Any] = {}
    for key in sorted({*before, *now}):
        name = f"{prefix}{key}"
        old, new = before.get(key), now.get(key)
        if name in _NOT_OF_THE_RESULT or old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed |= _differences(old, new, f"{name}.")
        else:
            changed[name] = new
    return changed


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # the half line of a run that was killed
