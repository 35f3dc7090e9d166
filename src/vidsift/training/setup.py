"""From a recipe to the things that train: the model, the batches, the stages, the validation set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidsift.data.folder import (
    Entry,
    absent_videos,
    captions_of,
    of_split,
    read_folder,
    read_test_splits,
)
from vidsift.data.loading import BatchMaker, Look
from vidsift.data.shapes import ShapesBatches, ShapesSetBatches
from vidsift.data.video_batches import FolderBatches, FrameCache
from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.feature_cache import RememberedTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import Tokenizer, train_tokenizer
from vidsift.errors import RecipeError
from vidsift.evaluation.evaluate import (
    judge,
    judge_gallery,
    read_gallery,
    refuse_test,
    require_readable,
)
from vidsift.evaluation.missing import MissingPolicy, refuse_missing
from vidsift.methods.base import Method
from vidsift.methods.model import Model, load
from vidsift.shapes.captions import captions
from vidsift.shapes.groups import draw_scene
from vidsift.shapes.library import draw_split
from vidsift.shapes.render import render
from vidsift.shapes.set import ShapesSet
from vidsift.shapes.stream import clip_times
from vidsift.shapes.world import TAGS
from vidsift.training.recipe import FolderPart, NewClip, Recipe, StagePart

__all__ = ["RunStage", "Validation", "batch_maker", "build_model", "plan_stages", "remember", "set_trained"]

_VOCABULARY_KEY = 11
_STEPS_TRIED = 20_000
_REMEDY = (
    "Replace the files or take their captions out, or say what they count: validation.missing=miss (their "
    "captions are not found) or validation.missing=skip (left out, and every line of validation says so)"
)


@dataclass(frozen=True)
class RunStage:
    """A stretch of the run with its steps: from ``first_step`` up to the next stage's.

    Attributes:
        name: for the log.
        first_step: its first step.
        trained: prefixes of the parameters that learn; empty for all.
        frames: pictures a clip.
        batch_size: clips a step.
        grouped: whether a batch of Shapes is made of groups of hard negatives.
        tags: kinds of scenes of Shapes that take turns; empty for the recipe's.
        steps: how many it has.
        without: parts of the method that do not take part.
        own_rates: whether the rate warms up and falls within the stage.
    """

    name: str
    first_step: int
    trained: tuple[str, ...]
    frames: int
    batch_size: int
    grouped: bool = True
    tags: tuple[str, ...] = ()
    steps: int = 0
    without: tuple[str, ...] = ()
    own_rates: bool = False


def build_model(recipe: Recipe, tokenizer: Tokenizer | None = None) -> Model:
    """Build what the recipe trains, with the recipe's seed.

    Args:
        recipe: the run.
        tokenizer: the vocabulary of a new CLIP, where it was learned before.

    Raises:
        ValueError: if the start cannot be loaded, or the method refuses its arguments.
    """
    torch.manual_seed(recipe.seed)
    part = recipe.model
    if part.new is not None:
        words = tokenizer or _learn_vocabulary(recipe, part.new)
        towers = ClipTowers(clip_config(part.new, words), attention=part.attention)
        _spread_embeddings(towers, part.new.embedding_std)
        norm, frames = PixelNorm(part.new.image_px), part.frames or 8
    else:
        started = load(str(part.start), device="cpu")
        towers, words, norm = started.method.towers, started.tokenizer, started.norm
        towers.clip.set_attn_implementation(part.attention)
        towers.attention = part.attention
        frames = part.frames or started.reading.frames
        if part.method is None:
            started.reading = replace(started.reading, frames=frames, sampling=part.sampling)
            started.name, started.max_words = recipe.name, part.max_words or started.max_words
            return started
    return Model.create(
        str(part.method),
        towers,
        words,
        norm,
        arguments=part.arguments,
        frames=frames,
        sampling=part.sampling,
        max_words=part.max_words,
        name=recipe.name,
    )


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
    if isinstance(recipe.data, FolderPart):
        said = captions_of(_training_entries(recipe.data))[: sizes.vocabulary_captions]
    else:
        rng = np.random.default_rng([recipe.seed, _VOCABULARY_KEY])
        said = [
            captions(draw_scene(rng, "train", TAGS[number % len(TAGS)]), rng, 1)[0]
            for number in range(sizes.vocabulary_captions)
        ]
    return train_tokenizer(said, sizes.vocabulary)


def plan_stages(recipe: Recipe, model: Model) -> list[RunStage]:
    """Fit the stages to the steps; those of the recipe, or else those that the method declares.

    Raises:
        RecipeError: if a stage gets no step, or a batch of Shapes is no multiple of 4.
    """
    frames, batch = recipe.model.frames or model.reading.frames, recipe.data.batch_size
    # What a method declares has no looks of its own; a recipe's stage may name them.
    declared = recipe.stages or tuple(StagePart(**asdict(stage)) for stage in model.method.stages())
    asked = [
        (
            one.share,
            RunStage(
                first_step=0,
                frames=one.frames or frames,
                batch_size=one.batch_size or batch,
                **one.model_dump(exclude={"share", "frames", "batch_size"}),
            ),
        )
        for one in declared
    ]
    planned: list[RunStage] = []
    spans = _spans([share for share, _ in asked], recipe.steps)
    for (_, stage), (first, end) in zip(asked, spans, strict=True):
        name, clips = stage.name, stage.batch_size
        planned.append(replace(stage, first_step=first, steps=end - first))
        if planned[-1].steps == 0:
            fewest = _fewest_steps([share for share, _ in asked], recipe.steps)
            raise RecipeError(
                f"stage {name!r} gets none of the {recipe.steps} steps; raise its share or steps ({fewest})"
            )
        if clips < 2:
            raise RecipeError(f"stage {name!r}: batch_size is {clips}, expected at least 2 videos to compare")
        if not isinstance(recipe.data, FolderPart) and clips % 4:
            raise RecipeError(f"stage {name!r}: batch_size is {clips}, expected a multiple of 4 for Shapes")
    return planned


def _spans(shares: Sequence[float], steps: int) -> list[tuple[int, int]]:
    """First step of each stage, and the one behind its last."""
    ends = [round(steps * done / sum(shares)) for done in accumulate(shares, initial=0.0)]
    return list(pairwise(ends))


def _fewest_steps(shares: Sequence[float], too_few: int) -> str:
    """Say what is the smallest number of steps beyond ``too_few`` of which every stage gets one."""
    for steps in range(too_few + 1, too_few + _STEPS_TRIED):
        if all(first < end for first, end in _spans(shares, steps)):
            return f"the smallest number of steps of which each stage gets one is {steps}"
    return f"no number of steps up to {too_few + _STEPS_TRIED} gives each stage one"


def set_trained(method: Method, prefixes: Sequence[str], *, frozen_towers: bool = False) -> int:
    """Let the parameters whose names begin with one of the prefixes learn, and no other.

    Args:
        method: what is trained.
        prefixes: none for all.
        frozen_towers: nothing of the towers learns, whatever the prefixes, but the scale of the loss.

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
        still = frozen_towers and name.startswith("towers.") and parameter is not method.towers.logit_scale
        parameter.requires_grad_(not still and (not prefixes or name.startswith(tuple(prefixes))))
        count += parameter.numel() * parameter.requires_grad
        if not parameter.requires_grad:
            parameter.grad = None
    return count


def batch_maker(recipe: Recipe, model: Model, stages: Sequence[RunStage]) -> BatchMaker:
    """Return what makes the batch of any step.

    Raises:
        ValueError: if a folder of videos does not suit.
    """
    looks = tuple(
        Look(stage.first_step, stage.batch_size, stage.frames, stage.grouped, stage.tags) for stage in stages
    )
    data = recipe.data
    if not isinstance(data, FolderPart):
        if data.clips is not None:
            remembered = isinstance(model.method.towers, RememberedTowers)
            clips = _set_of_clips(recipe, model)
            return ShapesSetBatches(clips, recipe.seed, looks, data.captions_each, with_pixels=not remembered)
        return ShapesBatches(
            recipe.seed,
            looks,
            model.reading.size_px,
            captions_each=data.captions_each,
            jitter=data.jitter,
            tags=data.tags,
            sampling=model.reading.sampling,
        )
    entries = tuple(_training_entries(data))
    cache = None
    if data.cache is not None:
        cache = FrameCache.open(data.cache, [entry.path for entry in entries], model.reading)
    jitter = 1.0 if data.jitter is None else data.jitter
    return FolderBatches(entries, recipe.seed, looks, model.reading, cache, jitter)


def _set_of_clips(recipe: Recipe, model: Model) -> ShapesSet:
    data = recipe.data
    if isinstance(data, FolderPart) or data.clips is None or data.cache is None:
        raise ValueError("the recipe names no set of clips")
    return ShapesSet.open(
        data.cache,
        clips=data.clips,
        frames=model.reading.frames,
        size_px=model.reading.size_px,
        tags=data.tags or TAGS,
        sampling=model.reading.sampling,
    )


def remember(recipe: Recipe, model: Model) -> None:
    """Let frozen towers look only once at a set of clips; not where towers learn or clips are fresh."""
    data = recipe.data
    if isinstance(data, FolderPart) or data.clips is None or not recipe.model.frozen_towers:
        return
    seen = len(clip_times(model.reading.frames, model.reading.sampling))
    if model.method.full_width and seen < model.reading.frames:
        return  # padding takes part, which is in no memory
    clips, inputs = _set_of_clips(recipe, model), model.inputs

    def pixels_of(rows: slice) -> torch.Tensor:
        pixels = torch.from_numpy(clips.pixels(rows))
        mask = torch.ones(pixels.shape[:2], dtype=torch.bool)
        return inputs.video(pixels, mask, torch.zeros(mask.shape)).pixels

    model.method.towers = RememberedTowers(
        model.method.towers, clips.folder / "towers", clips.clips, pixels_of, asdict(model.norm)
    )


def _training_entries(data: FolderPart) -> list[Entry]:
    entries = read_folder(data.path)
    named = any(entry.split for entry in entries)
    chosen = of_split(entries, data.split if named else None, data.path)
    refuse_test(data.split, read_test_splits(data.path, entries), f"training in {data.path}")
    remedy = f"Put them back, or take them out of the captions in {data.path}"
    refuse_missing(absent_videos(chosen), len(chosen), remedy)
    return chosen


class Validation:
    """The validation split, looked at on the way.

    The Shapes split is drawn and rendered once and kept in memory; files are decoded each time.

    Args:
        recipe: with a validation part.
        model: tells how videos are looked at.
        say: takes a line where this takes a while.

    Raises:
        SelectionOnTestError: somebody asks for a test split.
        MissingVideosError: a video is missing, and the recipe does not say what that counts.
        ValueError: there are no validation videos.
    """

    def __init__(
        self, recipe: Recipe, model: Model, *, say: Callable[[str], None] = lambda _line: None
    ) -> None:
        """See the class."""
        part = recipe.validation
        if part is None:
            raise ValueError("the recipe asks for no validation")
        self._workers = min(1, recipe.data.workers)
        self._pixels: list[np.ndarray[Any, np.dtype[np.uint8]]] | None = None
        source = part.path or (recipe.data.path if isinstance(recipe.data, FolderPart) else None)
        if source is not None:
            entries = read_folder(source)
            refuse_test(part.split, read_test_splits(source, entries), f"validation in {source}")
            self.entries = of_split(entries, part.split, source)[: part.videos]
            if part.missing == "refuse":
                say(f"reading {len(self.entries)} validation videos once, to find those that are missing")
                require_readable(self.entries, model.reading, remedy=_REMEDY, workers=self._workers)
            # What breaks later costs its captions, not the run.
            self._missing: MissingPolicy = "skip" if part.missing == "skip" else "miss"
            return
        clips = draw_split(part.split, part.videos, 0)
        self.entries = [
            Entry(Path(clip.name), clip.captions, clip.scene.tag, str(clip.group), part.split)
            for clip in clips
        ]
        self._times = clip_times(model.reading.frames, model.reading.sampling)
        self._pixels = [render(clip.scene, self._times, model.reading.size_px) for clip in clips]

    def __call__(self, model: Model) -> dict[str, Any]:
        """Judge the model.

        Returns:
            What :func:`~vidsift.evaluation.evaluate.judge_gallery` gives of files, and
            :func:`~vidsift.evaluation.evaluate.judge` of Shapes.
        """
        if self._pixels is None:
            gallery = read_gallery(model, self.entries, missing=self._missing, workers=self._workers)
            return judge_gallery(model, gallery)
        videos = model.encode_frames(self._pixels, [self._times] * len(self._pixels), batch_size=32)
        texts = model.encode_text(captions_of(self.entries))
        return judge(model.similarity(texts, videos).float().cpu().numpy(), self.entries)
