"""Sections of a recipe that say how weights learn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vidsift.data.source import Positive, RecipeSection

__all__ = ["Algorithm", "Decay", "LoraSection", "OptimiserSection", "Rate", "Schedule"]

Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Algorithm = Literal["adamw", "muon", "bertadam"]
Schedule = Literal["cosine", "bertadam_cosine"]
Decay = Literal["matrices", "all_but_biases"]


class OptimiserSection(RecipeSection):
    """What steps the weights, at which rates over the run, and which of them decay.

    Attributes:
        algorithm: adamw, muon, or bertadam, which the released recipes of the CLIP4Clip family name (see
            :func:`~vidsift.training.optim.build_optimiser`).
        learning_rate: of the parts that are new.
        backbone_learning_rate: of the towers; the same where absent. The released 1e-7 goes with fp16 weights
            (``weights: fp16``): in fp32, AdamW and BertAdam move a weight by no more than about the rate a
            step, so that 7000 steps at 1e-7 leave CLIP as it was. Towers in fp32 learn at 1e-6 to 1e-5.
        weight_decay: of what decays.
        decay: what that is: "matrices" (no biases, norms, embeddings and no logit scale, as papers say), or
            "all_but_biases" (all whose names do not say bias, as the released code does).
        beta1: decay of the mean of the gradients.
        beta2: decay of the mean of their squares.
        epsilon: added to the root of the latter.
        schedule: "cosine" falls from the end of the warm-up on; "bertadam_cosine" is that of the released
            recipes: over the whole run, so that it drops at the end of the warm-up, from 1 to 0.9755 where
            that is 0.1, and the first step has rate 0.
        warmup_share: part of all steps in which the rate grows from 0.
        final_share: part of the rate that is left at the end; 0 with bertadam_cosine.
        clip_norm: largest norm of all gradients together, with bertadam of each tensor's too; 0 clips none.
    """

    algorithm: Algorithm = "adamw"
    learning_rate: Rate = 1e-3
    backbone_learning_rate: Rate | None = None
    weight_decay: Rate = 0.05
    decay: Decay = "matrices"
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    schedule: Schedule = "cosine"
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    final_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    clip_norm: Rate = 1.0

    @model_validator(mode="after")
    def _falls_to_zero(self) -> OptimiserSection:
        if self.schedule == "bertadam_cosine" and self.final_share:
            raise ValueError(
                f"final_share is {self.final_share}, but schedule bertadam_cosine falls to 0; leave "
                "final_share out, or use schedule: cosine"
            )
        return self


LinearLayer = Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


class LoraSection(RecipeSection):
    """What learns of the towers where they stay as they are: see :class:`~vidsift.training.lora.LoraLinear`.

    It learns at ``optimiser.learning_rate``, as the parts that are new. The finished model is an ordinary
    one.

    Attributes:
        rank: of the products beside the layers.
        alpha: the products' share is ``alpha / rank``.
        layers: beside which layers of a block: of attention (q_proj, k_proj, v_proj, out_proj) or of the
            perceptron (fc1, fc2). Queries and values are what the paper adapts (section 4.2).
    """

    rank: Positive = 8
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 16.0
    layers: Annotated[tuple[LinearLayer, ...], Field(min_length=1)] = ("q_proj", "v_proj")
