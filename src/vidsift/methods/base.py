"""What every method is: which token sets exist, which pairs of them are compared, and the loss of that.

A paper's file subclasses :class:`Method` and says three things: :meth:`Method.text_features`,
:meth:`Method.video_features` and the terms. Training, evaluation, index, search and explanation are
written once against this class.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.base import Interaction
from vidsift.losses.contrastive import info_nce
from vidsift.types import Alignment, Features, TokenSet

__all__ = ["MAX_LOGIT_SCALE", "Method", "Stage", "Term"]

MAX_LOGIT_SCALE = math.log(100)
"""CLIP's clamp on the learned scale, applied after each step (CLIP4Clip main_task_retrieval.py)."""


@dataclass(frozen=True, eq=False)
class Term:
    """One summand of a method's similarity: a text set, a video set, how they meet, how much it counts."""

    text: str
    video: str
    interaction: Interaction
    weight: float = 1.0

    @property
    def name(self) -> str:
        """Name of the term, e.g. ``word-frame``."""
        return f"{self.text}-{self.video}"


@dataclass(frozen=True)
class Stage:
    """A stretch of training in which some parts learn and the others stay as they are.

    Attributes:
        name: for logs.
        trained: prefixes of parameter names that learn; empty means all.
        share: the part of all training steps that the stage takes; shares are normalised to 1.
        without: parts of the method that do not take part yet, see :meth:`Method.leave_out`.
        own_rates: True if the rate warms up and falls within the stage, False if once over the run.
    """

    name: str
    trained: tuple[str, ...] = ()
    share: float = 1.0
    without: tuple[str, ...] = ()
    own_rates: bool = False


class Method(nn.Module, ABC):
    """A paper's model: towers, what comes after them, and the terms of its similarity.

    Attributes:
        full_width: padding takes part in the score (the released rule of some papers), so texts are padded to
            the model's longest and videos to its number of frames, whatever else is in the batch.

    Args:
        towers: the CLIP towers.
        terms: the summands of the similarity.

    Raises:
        ValueError: if two terms share a set but prepare it differently.
    """

    full_width: bool = False

    def __init__(self, towers: ClipTowers, terms: Sequence[Term]) -> None:
        """See the class."""
        super().__init__()
        self.towers = towers
        # Terms of one interaction share it; its weights are registered once.
        self.interactions = nn.ModuleList(dict.fromkeys(term.interaction for term in terms))
        self._use_terms(terms)

    def _use_terms(self, terms: Sequence[Term]) -> None:
        """Let the similarity be the sum of these terms, whose interactions are all registered."""
        self.terms = tuple(terms)
        self.text_preparers = _preparers(self.terms, "text")
        self.video_preparers = _preparers(self.terms, "video")

    @abstractmethod
    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> Features:
        """Encode sentences into named token sets.

        Args:
            ids_QT: token ids from the tokenizer, start and end included.
            mask_QT: bool, True at real tokens.

        Returns:
            The sets that the terms name.
        """

    @abstractmethod
    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> Features:
        """Encode videos into named token sets.

        Args:
            pixels_BF3SS: normalised pictures ``(B, F, 3, S, S)``.
            mask_BF: bool, True at real frames.
            times_BF: when each frame is shown, in seconds.

        Returns:
            The sets that the terms name; sets whose tokens have a time carry it.
        """

    def prepare_text(self, features: Features) -> dict[str, TokenSet]:
        """Do for every text set what its interaction needs of that side alone."""
        return {name: one.prepare_text(features[name]) for name, one in self.text_preparers.items()}

    def prepare_video(self, features: Features) -> dict[str, TokenSet]:
        """Do for every video set what its interaction needs of that side alone; the index stores this."""
        return {name: one.prepare_video(features[name]) for name, one in self.video_preparers.items()}

    def compact_video(self, video: Features) -> dict[str, TokenSet]:
        """Reduce prepared video sets to what :meth:`similarity` reads (smaller, not for :meth:`align`)."""
        return {name: one.compact_video(video[name]) for name, one in self.video_preparers.items()}

    def term_scores(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Score every prepared text with every prepared video, term by term: ``{name: sim_QV}``."""
        return {term.name: term.interaction.score(text[term.text], video[term.video]) for term in self.terms}

    def similarity(self, text: Features, video: Features) -> Tensor:
        """Sum the terms by their weights: ``sim_QV``, without the learned scale."""
        return self.combine(self.term_scores(text, video))

    def combine(self, scores: dict[str, Tensor]) -> Tensor:
        """Sum term scores by the terms' weights."""
        return torch.stack([term.weight * scores[term.name] for term in self.terms]).sum(dim=0)

    def align(self, text: Features, video: Features) -> dict[str, Alignment]:
        """Account for the score of matched pairs, term by term; weights of terms are not applied.

        Raises:
            NoAlignmentError: if a term's interaction is a black box.
        """
        return {term.name: term.interaction.align(text[term.text], video[term.video]) for term in self.terms}

    @property
    def scale(self) -> Tensor:
        """The learned inverse temperature that the loss multiplies similarities with."""
        return self.towers.logit_scale.exp()

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Compose the training loss of matched prepared sets: text i with video i.

        Returns:
            Named scalars; ``"loss"`` is the one to minimise, others are for the log.
        """
        return {"loss": info_nce(self.similarity(text, video), self.scale)}

    def after_step(self) -> None:
        """Keep learned values in their range; the trainer calls it after every optimiser step."""
        with torch.no_grad():
            self.towers.logit_scale.clamp_(max=MAX_LOGIT_SCALE)

    def stages(self) -> tuple[Stage, ...]:
        """Return the training stages that the paper declares; one stage of everything by default."""
        return (Stage("all"),)

    def leave_out(self, parts: Collection[str]) -> None:
        """Compute without some parts, as a stage of training asks, until called again (with none for all).

        Raises:
            ValueError: if the method has no such part.
        """
        if parts:
            raise ValueError(
                f"{type(self).__name__} has no parts that can be left out, asked for: {', '.join(parts)}"
            )

    def backbone_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Iterate over the pretrained part, which usually learns at a rate of its own."""
        return self.towers.named_parameters(prefix="towers")


def _preparers(terms: Sequence[Term], side: str) -> dict[str, Interaction]:
    preparers: dict[str, Interaction] = {}
    for term in terms:
        name = term.text if side == "text" else term.video
        first = preparers.setdefault(name, term.interaction)
        alike = first.preparation is not None and first.preparation == term.interaction.preparation
        if first is not term.interaction and not alike:
            raise ValueError(
                f"two terms compare the {side} set {name!r} but prepare it differently "
                f"({type(first).__name__} and {type(term.interaction).__name__}); "
                "give the second one its tokens under another set name"
            )
    return preparers
