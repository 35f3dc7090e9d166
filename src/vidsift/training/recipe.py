"""A training run on one page: read from YAML, changed by ``key=value``, checked, frozen.

A recipe says what is trained (model), on what (data), how (stages, optimiser, precision) and for how long
(steps). What a run was really trained with is written beside its checkpoints as ``recipe.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from vidsift.data.catalog import check_data, source_of
from vidsift.data.source import DataSource, Positive, RecipeSection, StageSection
from vidsift.errors import RecipeError, did_you_mean
from vidsift.evaluation.missing import MissingPolicy
from vidsift.evaluation.ranks import VideoToText
from vidsift.files.whole import write_text_whole
from vidsift.training.inheritance import EITHER, INHERITANCE_KEYS, MergedValues, read_merged
from vidsift.training.sections import LoraSection, OptimiserSection
from vidsift.training.trackers import TrackerName
from vidsift.training.yaml_files import parsed_value, yaml_text

__all__ = [
    "EvaluationSection",
    "ModelSection",
    "NewClip",
    "Recipe",
    "Selected",
    "ValidationSection",
    "read_recipe",
    "set_value",
    "validated",
    "write_recipe",
]

Checked = TypeVar("Checked", bound=BaseModel)


class NewClip(RecipeSection):
    """Sizes of a CLIP that starts from fresh weights, with a vocabulary learned from the captions.

    Attributes:
        dim: channels of the shared space.
        image_px: side of the pictures.
        patch_px: side of a patch.
        vision_width: channels inside the vision tower.
        vision_layers: blocks of the vision tower.
        text_width: channels inside the text tower.
        text_layers: blocks of the text tower.
        head_width: channels of an attention head, in both towers.
        mlp_ratio: width of the hidden layer of a block, in widths of the tower.
        max_tokens: longest text, start and end included.
        vocabulary: most entries of the byte-pair vocabulary; 514 of them are bytes and marks.
        vocabulary_captions: captions that the vocabulary is learned from.
        temperature: inverse of the learned scale at the start.
        activation: of the blocks: OpenAI's "quick_gelu", or "gelu" or "relu", which CPUs compute faster.
        embedding_std: spread of the embeddings of words and places at the start.
        shift_blocks: blocks of the vision tower in which tokens move between frames (TS2-Net's token shift),
            whatever method stands on it, see :func:`~vidsift.encoders.token_shift.shift_of`.
        shift_n_div: how many tokens move there.
    """

    dim: Positive = 128
    image_px: Positive = 64
    patch_px: Positive = 16
    vision_width: Positive = 192
    vision_layers: Positive = 4
    text_width: Positive = 128
    text_layers: Positive = 3
    head_width: Positive = 32
    mlp_ratio: Annotated[float, Field(gt=0)] = 4.0
    max_tokens: Annotated[int, Field(ge=3)] = 40
    vocabulary: Annotated[int, Field(gt=514)] = 768
    vocabulary_captions: Positive = 4000
    temperature: Annotated[float, Field(gt=0)] = 0.07
    activation: Literal["quick_gelu", "gelu", "relu"] = "gelu"
    embedding_std: Annotated[float, Field(gt=0)] = 0.02
    shift_blocks: tuple[Annotated[int, Field(ge=0)], ...] = ()
    shift_n_div: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="after")
    def _fits(self) -> NewClip:
        for name in ("vision_width", "text_width"):
            if getattr(self, name) % self.head_width:
                raise ValueError(
                    f"{name} {getattr(self, name)} is no multiple of head_width {self.head_width}"
                )
            if round(getattr(self, name) * self.mlp_ratio) < 1:
                raise ValueError(
                    f"mlp_ratio {self.mlp_ratio} leaves {name} {getattr(self, name)} no hidden channel"
                )
        if any(block >= self.vision_layers for block in self.shift_blocks):
            raise ValueError(
                f"shift_blocks is {list(self.shift_blocks)}: expected numbers from 0 to "
                f"{self.vision_layers - 1}"
            )
        if self.image_px % self.patch_px:
            raise ValueError(f"image_px {self.image_px} is no multiple of patch_px {self.patch_px}")
        return self


class ModelSection(RecipeSection):
    """What is trained.

    Attributes:
        start: a folder or hub name whose towers, tokenizer and picture size the run starts from; a vidsift
            folder without ``method`` goes on with its own method, heads included.
        new: sizes of a CLIP from fresh weights, instead of ``start``.
        method: name in the catalogue of methods.
        arguments: the method's own arguments.
        frames: frames of a stretch of video that the finished model looks at; with ``start`` the default is
            what that model looks at.
        sampling: which seconds the finished model looks at, and so does training, but for the jitter of data.
        max_words: longest text in tokens; the default is all that the text tower takes.
        attention: how the towers attend: "sdpa" (torch's fused attention, but in bf16 on a CPU, where its
            gradient is slow) or "eager" (matrix products and a softmax).
        frozen_towers: the towers stay as they are in every stage, all but the learned scale of the loss.
        text_windows: for each block of the text tower, how many tokens to either side a token sees (null for
            the whole text); the default is what the start says, or CLIP's causal order. Words with narrow
            windows say what their neighbours say, see :mod:`~vidsift.encoders.text_windows`.
        identity_heads: heads across frames begin by changing nothing, see
            :func:`~vidsift.encoders.temporal.start_as_identity`.
    """

    start: str | None = None
    new: NewClip | None = None
    method: str | None = None
    arguments: dict[str, Any] = Field(default={})
    frames: Positive | None = None
    sampling: Literal["uniform", "one_fps_linspace", "head"] = "uniform"
    max_words: Positive | None = None
    attention: Literal["sdpa", "eager"] = "sdpa"
    frozen_towers: bool = False
    text_windows: tuple[Annotated[int, Field(ge=0)] | None, ...] | None = None
    identity_heads: bool = False

    @model_validator(mode="after")
    def _one_beginning(self) -> ModelSection:
        if (self.start is None) == (self.new is None):
            raise ValueError("give either start (a folder or hub name) or new (sizes of a fresh CLIP)")
        if self.new is not None and self.method is None:
            raise ValueError("a new CLIP needs a method, e.g. method: clip4clip")
        if self.method is None and self.arguments:
            raise ValueError("arguments belong to a method; name the method too")
        return self


Selected = Literal["last", "best"]
"""Which weights a run's folder holds; the others lie in a folder of that name in it."""


class ValidationSection(RecipeSection):
    """Looking at a validation split on the way; never at a test split.

    Attributes:
        every_steps: how often; the end of the run is always looked at.
        videos: how many videos, of some sources a multiple of a number.
        split: its name. What is a test split the source says; it is refused when the run starts.
        path: another folder of videos than the one trained on.
        data: another data set than the one trained on, its keys as below the recipe's ``data``.
        cut: take so many videos, all that are validated on, out of the training split, where there is no
            validation split; which, the run's seed decides. Nothing of them is trained on.
        select: which weights the run's folder gets at its end, the last or the best on validation (see
            :class:`~vidsift.training.best.BestWeights`); the others lie beside them, in ``best`` or ``last``.
        missing: what a video counts that is not there or cannot be read. "refuse" does not start the run: all
            are read once before the first step. Then, and with "miss", its captions count as not found;
            "skip" leaves it out. No run ends because a video breaks on the way.
    """

    every_steps: Positive = 500
    videos: Annotated[int, Field(ge=2)] = 200
    split: str = "val"
    path: str | None = None
    data: Annotated[SerializeAsAny[DataSource] | None, BeforeValidator(check_data)] = None
    cut: Annotated[int, Field(ge=2)] | None = None
    select: Selected = "last"
    missing: MissingPolicy = "refuse"

    @model_validator(mode="after")
    def _not_test(self) -> ValidationSection:
        # Other names are known to be test splits only by their source.
        if self.split.casefold() == "test":
            raise ValueError("split: models are not chosen by their score on test; use a validation split")
        places = {"path": self.path, "data": self.data, "cut": self.cut}
        given = [name for name, value in places.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} each say what to validate on; give one of them")
        return self


class EvaluationSection(RecipeSection):
    """How the finished model is judged: what ``vidsift evaluate`` takes where its command line says nothing.

    It changes no weight, and goes with the model folder in its ``recipe.yaml``.

    Attributes:
        split: the one that numbers are reported on, a test split of the source.
        video_to_text: protocol of videos with several captions, see
            :func:`~vidsift.evaluation.ranks.video_to_text_ranks`.
    """

    split: str | None = None
    video_to_text: VideoToText = "closest_caption"


def _check_stage(values: Any, info: ValidationInfo) -> Any:
    """Let the source of the data say which keys a stage may have."""
    if not isinstance(values, dict):
        return values
    data = info.data.get("data")
    if data is None:  # refused already; which further keys a stage may have is not known
        return {key: value for key, value in values.items() if key in StageSection.model_fields}
    return data.stage.model_validate(values)


class Recipe(RecipeSection):
    """A whole run.

    Attributes:
        name: of the model that comes out.
        steps: steps of the optimiser; the schedule is fitted to them. 0 leaves the weights as they start, to
            be validated and saved.
        epochs: rounds through the training data, instead of steps; their data say what one is
            (:class:`~vidsift.data.source.Epoch`).
        seed: of weights, data and dropout.
        weights: of the towers while they learn: "fp32", or "fp16" to round them, their gradients and their
            means as the released recipes do (see :class:`~vidsift.training.bertadam.BertAdam`, which it
            needs). It changes how weights move, not what is computed in, nor what memory that takes.
        lora: let small products of matrices learn beside the towers' layers, and the towers not: optimiser
            and checkpoints need little room then.
        precision: what the towers compute in: "fp32", "bf16", or "auto" for bf16 where the device has it.
            A run is refused where the device has no right kernels for bf16 (an LSTM alone stays in fp32).
        checkpoint_blocks: compute the blocks of transformers again for the gradient instead of storing what
            is inside of them (gradient checkpointing): the same gradients in less memory and more time.
        compile: let torch.compile compile those blocks; needs a C++ compiler, and its first steps take long.
        threads: threads of the CPU; the default is torch's.
        model: what is trained.
        data: on what; its keys are the fields of its source.
        optimiser: how.
        stages: stretches of the run; the default is what the method declares.
        validation: looking at the validation split on the way; null for never.
        evaluation: how the finished model is judged.
        checkpoint_every_steps: what a run that is killed loses at most.
        log_every_steps: how often a line is written.
        chunk: how many videos, and captions, of a batch a device encodes at a time, with the gradients of the
            whole batch; each but the last is encoded twice. All at once where absent.
        trackers: who gets the numbers of the log besides: tensorboard, wandb, trackio.
        card: sections of the model card, title to text.
    """

    name: Annotated[str, Field(min_length=1)]
    steps: Annotated[int, Field(ge=0)] | None = None
    epochs: Annotated[float, Field(gt=0)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    weights: Literal["fp32", "fp16"] = "fp32"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    lora: LoraSection | None = None
    checkpoint_blocks: bool = False
    compile: bool = False
    threads: Positive | None = None
    model: ModelSection
    # Before stages: its source says which keys they may have, and fields are checked in their order.
    # SerializeAsAny, here and there: else model_dump writes the fields of the base class alone.
    data: Annotated[SerializeAsAny[DataSource], BeforeValidator(check_data)]
    optimiser: OptimiserSection = OptimiserSection()
    stages: tuple[Annotated[SerializeAsAny[StageSection], BeforeValidator(_check_stage)], ...] = ()
    validation: ValidationSection | None = ValidationSection()
    evaluation: EvaluationSection = EvaluationSection()
    checkpoint_every_steps: Positive = 200
    log_every_steps: Positive = 20
    chunk: Positive | None = None
    trackers: tuple[TrackerName, ...] = ()
    card: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _judged_on_a_test_split(self) -> Recipe:
        split = self.evaluation.split
        tests = self.data.test_splits() if self.data.splits else ()
        if split is not None and self.data.splits and split not in tests:
            raise ValueError(
                f"evaluation.split is {split!r}: the test splits of {self.data.title} are "
                f"{' and '.join(tests)}"
            )
        return self

    @model_validator(mode="after")
    def _lora_beside_fp32_towers(self) -> Recipe:
        if self.lora is not None and (self.weights == "fp16" or self.model.frozen_towers):
            other = "weights: fp16" if self.weights == "fp16" else "model.frozen_towers"
            raise ValueError(f"lora and {other} say two things of how the towers learn; leave one out")
        return self

    @model_validator(mode="after")
    def _fp16_as_released(self) -> Recipe:
        if self.weights == "fp16" and self.optimiser.algorithm != "bertadam":
            raise ValueError(
                f"weights is fp16, which only optimiser.algorithm bertadam steps, not "
                f"{self.optimiser.algorithm}; use bertadam, or weights: fp32"
            )
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if (self.steps is None) == (self.epochs is None):
            given = "neither is there" if self.steps is None else "both are there"
            raise ValueError(f"give steps or epochs, one of them: {given}")
        return self

    @model_validator(mode="after")
    def _source_has_the_split(self) -> Recipe:
        section = self.validation
        if section is None or section.path is not None or section.cut is not None:
            return self
        data = section.data or self.data
        tests = data.test_splits() if data.splits else ()
        known = [split for split in data.splits if split not in tests]
        if known and section.split not in known:
            raise ValueError(
                f"validation.split is {section.split!r}: {data.title} has {' and '.join(known)} to "
                "validate on; give one of them, validation.cut, or validation: null"
            )
        return self


def read_recipe(path: str | Path, overrides: Sequence[str] = (), *, variant: str | None = None) -> Recipe:
    """Read a recipe with all that it extends, and change it.

    Args:
        path: a YAML file; see :mod:`~vidsift.training.inheritance` for files that share.
        overrides: ``key=value``, the key with dots (``data.batch_size=32``, ``stages.0.share=0.2``), the
            value read as YAML; they win over everything in files.
        variant: one of the recipe's ``variants``.

    Raises:
        RecipeError: a file is missing or no YAML, there is no such variant, or keys or values are refused:
            each is named, with the file in which it stands.
    """
    merged = read_merged(path, variant)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise RecipeError(f"override {override!r}: expected key=value, e.g. optimiser.learning_rate=3e-4")
        try:
            value = parsed_value(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"override {override!r}: the value is no YAML: {error}") from error
        set_value(merged.values, key, value)
    return validated(Recipe, merged.values, str(path), merged)


def validated(
    kind: type[Checked], values: Mapping[str, Any], where: str, merged: MergedValues | None = None
) -> Checked:
    """Check values against a kind of page.

    Args:
        kind: :class:`Recipe`, or another page.
        values: as read from YAML.
        where: what the page is called in errors.
        merged: tells in which of several files a refused value stands.

    Raises:
        RecipeError: naming every key and value that is refused.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults: dict[str, list[str]] = {}
        for fault in error.errors():
            file = where if merged is None else merged.files_of(fault["loc"])
            faults.setdefault(file, []).append(_fault_line(fault, kind, values))
        lines = "; ".join(f"{file}: {'; '.join(its_faults)}" for file, its_faults in faults.items())
        raise RecipeError(lines) from error


def write_recipe(recipe: Recipe, path: str | Path) -> None:
    """Write a recipe with every default filled in; :func:`read_recipe` gives an equal one."""
    values = recipe.model_dump(mode="json")
    write_text_whole(Path(path), yaml_text(values))


def set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Change one value in place.

    Args:
        values: as read from YAML.
        key: with dots; numbers stand for places in lists, counted from 0.
        value: the new one.

    Raises:
        RecipeError: if the key names nothing.
    """
    if value is not None:
        values.pop(EITHER.get(key, ""), None)
    *path, last = key.split(".")
    place: Any = values
    for step in path:
        if isinstance(place, dict):
            inner = place.setdefault(step, {})
            # "optimiser:" with nothing below it is None.
            place[step] = place = {} if inner is None else inner
        else:
            place = place[_position(place, step, key)]
    if isinstance(place, dict):
        place[last] = value
    else:
        place[_position(place, last, key)] = value


def _position(place: Any, step: str, key: str) -> int:
    if isinstance(place, list) and step.isdigit() and int(step) < len(place):
        return int(step)
    what = f"a list of {len(place)}, counted from 0" if isinstance(place, list) else f"the value {place!r}"
    raise RecipeError(f"override of {key!r}: {step!r} names nothing there; it is {what}")


def _fault_line(error: Mapping[str, Any], kind: type[BaseModel], values: Mapping[str, Any]) -> str:
    """One line about one fault, in the words of the recipe."""
    place = [str(step) for step in error["loc"]]
    key = ".".join(place) or "the recipe"
    if error["type"] == "extra_forbidden":
        known = list(_section_at(error["loc"][:-1], kind, values).model_fields)
        if kind is Recipe and len(place) == 1:
            known += INHERITANCE_KEYS
        hint = did_you_mean(place[-1], known, alike=0.5)
        return f"unknown key {key}{hint}; known here: {', '.join(known)}"
    if error["type"] == "missing":
        return f"{key} is missing"
    # pydantic puts these words before those of a validator.
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error["input"]
    # A value is repeated, a whole section is not.
    shown = f" is {given!r}" if isinstance(given, str | int | float | bool) or given is None else ""
    return f"{key}{shown}: {message}"


def _section_at(
    location: Sequence[str | int], section: type[BaseModel], values: Mapping[str, Any]
) -> type[BaseModel]:
    """The kind of section at a place in a page; what its source decides, the page's own source decides."""
    place: Any = values
    for step in location:
        # A place in a list: its items are of one kind, which the annotation of the list holds.
        if isinstance(step, int):
            continue
        place = place.get(step) if isinstance(place, Mapping) else None
        inner = _sections_of(section.model_fields[step].annotation)
        if len(inner) != 1:
            continue
        section = inner[0]
        if section is DataSource and isinstance(place, Mapping):
            section = source_of(place.get("source"))
        elif section is StageSection:
            section = source_of(values["data"]["source"]).stage
    return section


def _sections_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in _sections_of(inner)]
