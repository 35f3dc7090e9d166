"""Looking at a validation split while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vidsift.data.catalog import DEFAULT, open_source
from vidsift.data.entries import Entry, captions_of
from vidsift.data.frame_cache import read_entry
from vidsift.data.source import ValidationSet
from vidsift.data.summary import count_shared
from vidsift.evaluation.evaluate import (
    encode_gallery,
    evaluate_gallery,
    refuse_test_split,
    require_readable,
    retrieval_metrics,
)
from vidsift.evaluation.missing import MissingPolicy, refuse_missing
from vidsift.methods.model import Model
from vidsift.training.recipe import Recipe, ValidationSection
from vidsift.types import Frames

__all__ = ["Validation", "cut_for_validation"]

_REMEDY = (
    "Replace the files or take their captions out, or say what they count: validation.missing=miss (their "
    "captions are not found) or validation.missing=skip (left out, and every line of validation says so)"
)


class Validation:
    """The validation split, looked at on the way.

    Files are decoded each time; pictures that a source draws are kept in memory.

    Args:
        recipe: with a validation part.
        model: tells how videos are looked at.
        say: takes a line where this takes a while.

    Raises:
        SelectionOnTestError: somebody asks for a test split.
        MissingVideosError: a video is missing, and the recipe does not say what that counts; or all are.
        ValueError: there are no validation videos.
    """

    def __init__(
        self, recipe: Recipe, model: Model, *, say: Callable[[str], None] = lambda _line: None
    ) -> None:
        """See the class."""
        section = recipe.validation
        if section is None:
            raise ValueError("the recipe asks for no validation")
        self._workers = min(1, recipe.data.workers)
        self.entries, self._frames = _validation_set(recipe, section, model)
        if self._frames is None and section.cut is None:
            _warn_of_trained(recipe, self.entries, say)
        if self._frames is None and section.missing == "refuse":
            say(f"reading {len(self.entries)} validation videos once, to find those that are missing")
            require_readable(self.entries, model.preprocessing, remedy=_REMEDY, workers=self._workers)
        elif self._frames is None:
            _require_one_readable(self.entries, model)
        # What breaks later costs its captions, not the run.
        self._missing: MissingPolicy = "skip" if section.missing == "skip" else "miss"

    def __call__(self, model: Model) -> dict[str, Any]:
        """Judge the model.

        Returns:
            What :func:`~vidsift.evaluation.evaluate.evaluate_gallery` gives of files, and
            :func:`~vidsift.evaluation.evaluate.retrieval_metrics` of pictures in memory.
        """
        if self._frames is None:
            gallery = encode_gallery(model, self.entries, missing=self._missing, workers=self._workers)
            return evaluate_gallery(model, gallery)
        pixels, times = zip(*((frames.pixels, frames.times_seconds) for frames in self._frames), strict=True)
        videos = model.encode_frames(pixels, times, batch_size=32)
        texts = model.encode_text(captions_of(self.entries))
        return retrieval_metrics(model.similarity(texts, videos).float().cpu().numpy(), self.entries)


def cut_for_validation(recipe: Recipe, say: Callable[[str], None]) -> Recipe:
    """Return the recipe with a source whose training split lacks the videos to validate on.

    Args:
        recipe: without ``validation.cut`` it is returned as it is.
        say: takes the line about it.

    Raises:
        CaptionsError: the source has no files to cut, or too few.
    """
    if recipe.validation is None or recipe.validation.cut is None:
        return recipe
    data = recipe.data.cut_for_validation(recipe.validation.cut, recipe.seed)
    say(data.cut_note())
    return recipe.model_copy(update={"data": data})


def _validation_set(recipe: Recipe, section: ValidationSection, model: Model) -> ValidationSet:
    if section.cut is not None:
        return ValidationSet(list(recipe.data.cut_entries), None)
    data = section.data or recipe.data
    if section.path is not None:
        data = open_source(DEFAULT, section.path)
    purpose = f"validation in {data.where}"
    refuse_test_split(section.split, data.test_splits(), purpose, data.test_split_remedy)
    return data.validation_set(section.split, section.videos, model.preprocessing)


def _warn_of_trained(recipe: Recipe, entries: Sequence[Entry], say: Callable[[str], None]) -> None:
    """Say how many validation videos are trained on: of MSR-VTT's 9k, for one, all of validate."""
    shared = count_shared(recipe.data.training_files(), entries)
    if shared:
        files = len({entry.path for entry in entries})
        say(
            f"{shared} of {files} validation videos are trained on as well (split "
            f"{recipe.data.training_split!r}): their score says nothing of unseen videos, nor which weights "
            "are best; cut validation videos out of training with validation.cut in place of validation.split"
        )


def _require_one_readable(entries: Sequence[Entry], model: Model) -> None:
    """Make sure that there is anything to validate on, whatever the missing videos count."""
    looks = model.preprocessing
    failed: list[tuple[str, str]] = []
    for entry in entries:
        read = read_entry(entry, looks.wanted_times, looks.size_px)
        if isinstance(read, Frames):
            return
        failed.append((entry.name, read.reason))
    refuse_missing(failed, len(entries), "Look whether their drive is there")
