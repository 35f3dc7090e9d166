"""From a recipe to the things that train: the model, the batches, the stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from math import floor
from typing import Any

import torch

from vidsift.data.entries import absent_videos
from vidsift.data.loading import BatchMaker
from vidsift.data.source import DataSource, PlannedStage
from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.temporal import start_as_identity
from vidsift.encoders.text_windows import set_windows
from vidsift.encoders.tokenizer import Tokenizer, train_tokenizer
from vidsift.errors import CaptionsError, RecipeError, WeightsError
from vidsift.evaluation.evaluate import refuse_test_split
from vidsift.evaluation.missing import refuse_missing
from vidsift.methods.base import Method
from vidsift.methods.model import Model, load
from vidsift.training.lora import is_adapter
from vidsift.training.recipe import NewClip, Recipe

__all__ = [
    "batch_maker",
    "begin_stage",
    "build_model",
    "epoch_line",
    "plan_stages",
    "refuse_unfit",
    "set_stage_trained",
    "set_trained",
    "steps_of",
]

_STEPS_TRIED = 20_000


def build_model(recipe: Recipe, tokenizer: Tokenizer | None = None) -> Model:
    """Build what the recipe trains, with the recipe's seed.

    Args:
        recipe: the run.
        tokenizer: the vocabulary of a new CLIP, where it was learned before.

    Raises:
        ValueError: if the start cannot be loaded, or the method refuses its arguments.
    """
    torch.manual_seed(recipe.seed)
    section = recipe.model
    started = None
    if section.new is not None:
        # Learned before the weights are drawn: its size is theirs.
        words = tokenizer or _learn_vocabulary(recipe, section.new)
        towers = ClipTowers(clip_config(section.new, words))
        _spread_embeddings(towers, section.new.embedding_std)
        norm, frames = PixelNorm(section.new.image_px), section.frames or 8
    else:
        started = _loaded(str(section.start))
        towers, words, norm = started.method.towers, started.tokenizer, started.norm
        frames = section.frames or started.preprocessing.frames
    # Before the method is built, which may copy blocks of the tower but never its windows.
    if section.text_windows is not None:
        set_windows(towers.clip.text_model.config, section.text_windows)
    if started is not None and section.method is None:
        started.preprocessing = replace(started.preprocessing, frames=frames, sampling=section.sampling)
        started.name, started.max_words = recipe.name, section.max_words or started.max_words
        return started
    model = Model.create(
        str(section.method),
        towers,
        words,
        norm,
        arguments=section.arguments,
        frames=frames,
        sampling=section.sampling,
        max_words=section.max_words,
        name=recipe.name,
    )
    if section.identity_heads:
        start_as_identity(model.method)
    return model


def _loaded(start: str) -> Model:
    try:
        return load(start, device="cpu")
    except WeightsError as error:
        # Most recipes start from a name on the hub, which a machine without a network does not have.
        raise WeightsError(f"model.start of the recipe: {error}: model.start=FOLDER") from error


def clip_config(sizes: NewClip, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the ``config.json`` of a CLIP of given sizes."""
    text = _tower(sizes.text_width, sizes.text_layers, sizes) | {
        "vocab_size": tokenizer.vocabulary_size,
        "max_position_embeddings": sizes.max_tokens,
        "bos_token_id": tokenizer.start_id,
        "eos_token_id": tokenizer.end_id,
        "pad_token_id": tokenizer.end_id,
    }
    vision = _tower(sizes.vision_width, sizes.vision_layers, sizes) | {
        "image_size": sizes.image_px,
        "patch_size": sizes.patch_px,
    }
    if sizes.shift_blocks:
        shift = {"token_shift_blocks": list(sizes.shift_blocks), "token_shift_n_div": sizes.shift_n_div}
        vision |= shift
    return {
        "text_config": text,
        "vision_config": vision,
        "projection_dim": sizes.dim,
        "logit_scale_init_value": math.log(1 / sizes.temperature),
    }


def _tower(width: int, layers: int, sizes: NewClip) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": round(width * sizes.mlp_ratio),
        "num_hidden_layers": layers,
        "num_attention_heads": width // sizes.head_width,
        "projection_dim": sizes.dim,
        "hidden_act": sizes.activation,
    }


def _spread_embeddings(towers: ClipTowers, std: float) -> None:
    """Draw the embeddings of words and places anew; small ones leave a small CLIP long on a plateau."""
    text, vision = towers.clip.text_model.embeddings, towers.clip.vision_model.embeddings
    torch.nn.init.normal_(text.token_embedding.weight, std=std)
    torch.nn.init.normal_(text.position_embedding.weight, std=std / 2)
    torch.nn.init.normal_(vision.position_embedding.weight, std=std)


def _learn_vocabulary(recipe: Recipe, sizes: NewClip) -> Tokenizer:
    refuse_unfit(recipe.data)
    return train_tokenizer(recipe.data.sentences(recipe.seed, sizes.vocabulary_captions), sizes.vocabulary)


def plan_stages(recipe: Recipe, model: Model) -> list[PlannedStage]:
    """Fit the stages to the steps, or epochs; those of the recipe, or else those that the method declares.

    Shares are of the steps, or of the epochs: where batches differ in size, so do the steps of an epoch.

    Returns:
        The stages with their steps; none where the recipe wants no step.

    Raises:
        RecipeError: if a stage gets no step, or its batches do not suit the source of the data.
        CaptionsError: epochs are asked for of data that have none.
    """
    if recipe.steps == 0:
        return []
    data, frames = recipe.data, recipe.model.frames or model.preprocessing.frames
    # A method's stages become those of the source, which may have options beside.
    sections = recipe.stages or tuple(data.stage(**asdict(stage)) for stage in model.method.stages())
    sizes = [section.batch_size or data.batch_size for section in sections]
    for section, size in zip(sections, sizes, strict=True):
        _refuse_size(data, section.name, size)
    shares = [section.share for section in sections]
    spans = (
        _spans(shares, recipe.steps)
        if recipe.steps is not None
        else _epoch_spans(shares, [data.epoch().steps(size) for size in sizes], recipe.epochs or 0.0)
    )
    planned = []
    for section, size, (first, end) in zip(sections, sizes, spans, strict=True):
        planned.append(PlannedStage(section, first, end - first, section.frames or frames, size))
        if first == end:
            if recipe.steps is None:
                length, remedy = f"{recipe.epochs:g} epochs", "raise its share or epochs, or lower batch_size"
            else:
                length = f"{recipe.steps} steps"
                remedy = f"raise its share or steps ({_fewest_steps(shares, recipe.steps)})"
            raise RecipeError(f"stage {section.name!r} gets none of the {length}; {remedy}")
    return planned


def _refuse_size(data: DataSource, stage: str, size: int) -> None:
    """Refuse batches that are too small, or no whole groups of the source."""
    if size < 2:
        raise RecipeError(f"stage {stage!r}: batch_size is {size}, expected at least 2 videos to compare")
    if size % data.group_size:
        raise RecipeError(
            f"stage {stage!r}: batch_size is {size}, expected a multiple of {data.group_size} for "
            f"{data.title}"
        )


def steps_of(stages: Sequence[PlannedStage]) -> int:
    """Return the steps of the whole run."""
    return sum(stage.steps for stage in stages)


def epoch_line(recipe: Recipe, stages: Sequence[PlannedStage]) -> str:
    """Say what an epoch is and how many steps the run has; "" for data without epochs.

    Example:
        an epoch is every caption once: 180,000 captions, steps of 128: 1,406.25; 5 epochs are 7,031 steps
    """
    try:
        epoch = recipe.data.epoch()
    except CaptionsError:
        return ""
    sizes = dict.fromkeys(stage.batch_size for stage in stages)
    steps = ", ".join(f"steps of {size}: {_number(float(epoch.steps(size)))}" for size in sizes)
    run = sum(stage.steps / epoch.steps(stage.batch_size) for stage in stages)
    epochs = float(run) if recipe.epochs is None else recipe.epochs
    return f"{epoch.about}, {steps}; {_number(epochs)} epochs are {steps_of(stages):,} steps"


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _spans(shares: Sequence[float], steps: int) -> list[tuple[int, int]]:
    """First step of each stage, and the one behind its last."""
    # Ends are rounded, not lengths: together the stages have all steps.
    ends = [round(steps * done / sum(shares)) for done in accumulate(shares, initial=0.0)]
    return list(pairwise(ends))


def _epoch_spans(
    shares: Sequence[float], epoch_steps: Sequence[Fraction], epochs: float
) -> list[tuple[int, int]]:
    """Likewise, of so many epochs, each stage with its own steps an epoch."""
    # Fractions, of the decimal numbers that people write: 3 epochs of a third are whole ones.
    exact = [Fraction(str(share)) for share in shares]
    lengths = [
        Fraction(str(epochs)) * share / sum(exact) * steps
        for share, steps in zip(exact, epoch_steps, strict=True)
    ]
    return list(pairwise(floor(end) for end in accumulate(lengths, initial=Fraction(0))))


def _fewest_steps(shares: Sequence[float], too_few: int) -> str:
    """Say what is the smallest number of steps beyond ``too_few`` of which every stage gets one."""
    # By trial: with every end rounded there is no formula.
    for steps in range(too_few + 1, too_few + _STEPS_TRIED):
        if all(first < end for first, end in _spans(shares, steps)):
            return f"the smallest number of steps of which each stage gets one is {steps}"
    return f"no number of steps up to {too_few + _STEPS_TRIED} gives each stage one"


def set_trained(
    method: Method, prefixes: Sequence[str], *, frozen_towers: bool = False, lora: bool = False
) -> int:
    """Let the parameters whose names begin with one of the prefixes learn, and no other.

    Args:
        method: what is trained.
        prefixes: none for all.
        frozen_towers: nothing of the towers learns, whatever the prefixes, but the scale of the loss.
        lora: of the towers only what LoRA added learns, and the scale.

    Returns:
        How many numbers learn.

    Raises:
        RecipeError: if a prefix begins no name.
    """
    names = [name for name, _ in method.named_parameters()]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            known = dict.fromkeys(".".join(name.split(".")[:3]) for name in names)
            raise RecipeError(f"no parameter begins with {prefix!r}; they begin with: {', '.join(known)}")
    count = 0
    for name, parameter in method.named_parameters():
        # CLIP stores the scale among its weights, but it belongs to the loss.
        still = (
            (frozen_towers or (lora and not is_adapter(name)))
            and name.startswith("towers.")
            and parameter is not method.towers.logit_scale
        )
        parameter.requires_grad_(not still and (not prefixes or name.startswith(tuple(prefixes))))
        count += parameter.numel() * parameter.requires_grad
        if not parameter.requires_grad:
            parameter.grad = None
    return count


def set_stage_trained(recipe: Recipe, method: Method, stage: PlannedStage) -> int:
    """Let learn what learns in a stage of a recipe, and nothing else; see :func:`set_trained`."""
    frozen, lora = recipe.model.frozen_towers, recipe.lora is not None
    return set_trained(method, stage.section.trained, frozen_towers=frozen, lora=lora)


def begin_stage(recipe: Recipe, method: Method, stage: PlannedStage) -> str:
    """Let a stage's parts take part and its parameters learn, and no others; return a line that says so.

    Raises:
        RecipeError: see :func:`set_trained`.
        ValueError: the method has no such part to leave out.
    """
    method.leave_out(stage.section.without)
    learning = set_stage_trained(recipe, method, stage)
    return (
        f"stage {stage.section.name}: {learning / 1e6:.2f} M parameters learn, {stage.frames} frames, "
        f"batches of {stage.batch_size}"
    )


def batch_maker(
    recipe: Recipe,
    model: Model,
    stages: Sequence[PlannedStage],
    say: Callable[[str], None] = lambda _line: None,
) -> BatchMaker:
    """Return what makes the batch of any step; ``say`` takes a line where this takes a while.

    Raises:
        SelectionOnTestError: the data to train on are a test split.
        MissingVideosError: files to train on are not there.
        ValueError: if the data do not suit the stages.
    """
    refuse_unfit(recipe.data)
    return recipe.data.batches(stages, model.preprocessing, recipe.seed, say=say)


def refuse_unfit(data: DataSource) -> None:
    """Refuse to train on a test split, or on files that are not there.

    Raises:
        SelectionOnTestError: the data to train on are a test split.
        MissingVideosError: files to train on are not there.
    """
    purpose = f"training in {data.where}"
    refuse_test_split(data.training_split, data.test_splits(), purpose, data.test_split_remedy)
    files = data.training_files()
    remedy = f"Put them back, or take them out of {data.listed_in} in {data.where}"
    refuse_missing(absent_videos(files), len(files), remedy)
