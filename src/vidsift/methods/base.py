"""What every method is: which token sets exist, which pairs of them are compared, and the loss of that.

A paper's file subclasses :class:`Method` and says three things: :meth:`Method.text_features`,
:meth:`Method.video_features` and the terms. Training, evaluation, index, search and explanation are
written once against this class.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.interactions.base import Interaction
from vidsift.interactions.quantised import quantise
from vidsift.losses.contrastive import info_nce
from vidsift.types import Alignment, Features, PatchShares, TokenSet

__all__ = ["MAX_LOGIT_SCALE", "FirstStage", "Method", "Stage", "Term", "TermSum"]

Side = Literal["text", "video"]

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


class TermSum:
    """A sum of terms: how prepared sets are compared, reduced for a scan, and accounted for.

    Attributes:
        terms: the summands.
        text_preparers, video_preparers: which interaction each set belongs to.
    """

    terms: tuple[Term, ...]
    text_preparers: dict[str, Interaction]
    video_preparers: dict[str, Interaction]

    @property
    def explains(self) -> bool:
        """Whether every term accounts for its score, so that the whole score has an account."""
        return all(term.interaction.explains for term in self.terms)

    @property
    def scans(self) -> bool:
        """Whether every term is cheap enough that a search scores every segment with them."""
        return all(term.interaction.scans for term in self.terms)

    def adapt_text(self, text: Features) -> Features:
        """Return a method's prepared text sets as these terms compare them: a method's own as they are."""
        return text

    def adapt_video(self, video: Features) -> Features:
        """Return a method's prepared video sets, which the index stores, as these terms compare them."""
        return video

    def compact_video(self, video: Features) -> dict[str, TokenSet]:
        """Reduce prepared video sets to what :meth:`similarity` reads (smaller, not for :meth:`align`)."""
        return {name: meet.compact_video(video[name]) for name, meet in self.video_preparers.items()}

    def scan_text(self, text: Features, video: Features) -> dict[str, TokenSet]:
        """Bring prepared texts into the number format of a scan, once for all its blocks.

        Args:
            text: prepared, or returned by an earlier call.
            video: a block of the scan.
        """
        ready = dict(text)
        for name in self.text_preparers:
            # All terms of a text set share it: it goes to int8 only where each of them reads int8.
            met = [(term.interaction, video[term.video]) for term in self.terms if term.text == name]
            if met and all(meet.quantises_text and seen.scale is not None for meet, seen in met):
                # A scale is there already where an earlier block made it.
                ready[name] = text[name] if text[name].scale is not None else quantise(text[name])
        return ready

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


class FirstStage(TermSum):
    """Cheap terms that stand in where a method cannot: candidates for one that is too dear to scan.

    They also give a hit its moment where the method has no account. They read the sets that the method stores
    as encoded, and prepare them for themselves; sets that only they read are prepared and stored like those
    of any term. Nothing in them is learned.

    Args:
        terms: at least one; all scan and explain.
        text_preparers, video_preparers: which interaction of the method prepares each of its sets.

    Raises:
        ValueError: if a term is too dear to scan, has no account or has learned weights, a set of its is not
            stored as encoded, or two terms compare the same pair of sets.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        text_preparers: Mapping[str, Interaction],
        video_preparers: Mapping[str, Interaction],
    ) -> None:
        """See the class."""
        for term in terms:
            why = _unfit_to_stand_in(term.interaction)
            if why:
                kind = type(term.interaction).__name__
                raise ValueError(
                    f"first stage {term.name}: {kind} {why}, so it cannot find candidates for another; "
                    "use an interaction that learns nothing, for example MeanDot or TokenWise"
                )
        self.terms = tuple(terms)
        self.text_preparers = _preparers(self.terms, "text")
        self.video_preparers = _preparers(self.terms, "video")
        _require_different_pairs(terms)
        # "As encoded" in the index, so prepared anew for every scan: the price of storing a set once.
        self._late_text = _prepared_late(self.text_preparers, text_preparers, "text")
        self._late_video = _prepared_late(self.video_preparers, video_preparers, "video")

    @property
    def label(self) -> str:
        """What the terms are, for people: ``MeanDot(sentence, frame)``."""
        return " + ".join(
            f"{type(term.interaction).__name__}({term.text}, {term.video})" for term in self.terms
        )

    def adapt_text(self, text: Features) -> dict[str, TokenSet]:
        """Prepare the text sets that the method stores as encoded."""
        return {
            name: meet.prepare_text(text[name]) if name in self._late_text else text[name]
            for name, meet in self.text_preparers.items()
        }

    def adapt_video(self, video: Features) -> dict[str, TokenSet]:
        """Prepare the video sets that the method stores as encoded."""
        return {
            name: meet.prepare_video(video[name]) if name in self._late_video else video[name]
            for name, meet in self.video_preparers.items()
        }


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


class Method(nn.Module, TermSum, ABC):
    """A paper's model: towers, what comes after them, and the terms of its similarity.

    Attributes:
        full_width: padding takes part in the score (the released rule of some papers), so texts are padded to
            the model's longest and videos to its number of frames, whatever else is in the batch.
        first_stage: what finds candidates where a term is too dear to scan, and moments where one has no
            account; None without.
        traced_sets: the video sets whose tokens :meth:`patch_shares` traces back to patches of their frames.

    Args:
        towers: the CLIP towers.
        terms: the summands of the similarity.
        first_stage: where a term is too dear to scan, the cheap terms by which a search finds what it
            scores; without them the method can be trained and evaluated, not searched with. Where a term
            only has no account, they may give hits their moments; without them that is the whole segment.

    Raises:
        ValueError: if two terms compare the same pair of sets, or share a set but prepare it differently; if
            an interaction neither has ``align`` nor says that it does not explain; or if the first stage is
            refused, see :class:`FirstStage`.
    """

    full_width: bool = False
    traced_sets: tuple[str, ...] = ()

    def __init__(self, towers: ClipTowers, terms: Sequence[Term], first_stage: Sequence[Term] = ()) -> None:
        """See the class."""
        super().__init__()
        self.towers = towers
        # Terms are a tuple, in which nn.Module finds no weights; one that two terms share is registered once.
        self.interactions = nn.ModuleList(dict.fromkeys(term.interaction for term in terms))
        self.first_stage: FirstStage | None = None
        self._use_terms(terms, first_stage)

    def _use_terms(self, terms: Sequence[Term], first_stage: Sequence[Term] | None = None) -> None:
        """Let the similarity be the sum of these terms, whose interactions are all registered.

        Args:
            terms: the summands.
            first_stage: its terms; those that it has already when None.
        """
        self.terms = tuple(terms)
        self.text_preparers = _preparers(self.terms, "text")
        self.video_preparers = _preparers(self.terms, "video")
        _require_different_pairs(terms)
        _require_accounts(terms)
        if first_stage is None:
            first_stage = () if self.first_stage is None else self.first_stage.terms
        if first_stage:
            # What the method itself prepares stays as it is: the first stage adapts to what is stored.
            stage = FirstStage(first_stage, self.text_preparers, self.video_preparers)
            self.first_stage = stage
            self.text_preparers = self.text_preparers | _added(stage.text_preparers, self.text_preparers)
            self.video_preparers = self.video_preparers | _added(stage.video_preparers, self.video_preparers)

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

    def patch_shares(
        self,
        pixels_BF3SS: Tensor,  # noqa: ARG002 - for methods that can tell
        mask_BF: Tensor,  # noqa: ARG002
    ) -> dict[str, PatchShares]:
        """Tell from which patches the tokens of the sets in ``traced_sets`` come; none by default.

        The image tower runs again for it: what explanations show is not stored with every segment. Call it in
        inference mode, after ``eval()``.

        Args:
            pixels_BF3SS: as for :meth:`video_features`, whose tokens are meant.
            mask_BF: likewise.
        """
        return {}

    def prepare_text(self, features: Features) -> dict[str, TokenSet]:
        """Do for every text set what its interaction needs of that side alone.

        Raises:
            ValueError: if a set that a term names is not among the features.
        """
        _require_sets(f"{type(self).__name__}.text_features", features, self.text_preparers)
        return {name: meet.prepare_text(features[name]) for name, meet in self.text_preparers.items()}

    def prepare_video(self, features: Features) -> dict[str, TokenSet]:
        """Do for every video set what its interaction needs of that side alone; the index stores this.

        Raises:
            ValueError: if a set that a term names is not among the features.
        """
        _require_sets(f"{type(self).__name__}.video_features", features, self.video_preparers)
        return {name: meet.prepare_video(features[name]) for name, meet in self.video_preparers.items()}

    @property
    def scanned(self) -> TermSum:
        """What a search scores every segment with: the method itself, or else its first stage."""
        return self if self.scans or self.first_stage is None else self.first_stage

    @property
    def moments_from(self) -> TermSum | None:
        """Whose account says where in a segment a hit lies: the method's, or else its first stage's."""
        return self if self.explains else self.first_stage

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
            # In place: the optimiser holds this very parameter.
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


def _unfit_to_stand_in(interaction: Interaction) -> str:
    """Why a first stage cannot be made of an interaction; "" where it can."""
    if not interaction.scans:
        return "is too dear to scan itself"
    if not interaction.explains:
        return "has no account itself"
    # The loss never reads a first stage, so they would stay as they were drawn.
    return "has learned weights" if any(True for _ in interaction.parameters()) else ""


def _require_different_pairs(terms: Sequence[Term]) -> None:
    """Refuse two terms of one pair of sets: scores and accounts go by the terms' names."""
    names = [term.name for term in terms]
    for term in terms:
        if names.count(term.name) > 1:
            raise ValueError(
                f"two terms compare the text set {term.text!r} with the video set {term.video!r}; add them "
                "up in one interaction, or give one of them its tokens under another set name"
            )


def _require_accounts(terms: Sequence[Term]) -> None:
    """Refuse an interaction whose author forgot its account: every search would end with that."""
    for term in terms:
        kind = type(term.interaction)
        if kind.explains and kind.align is Interaction.align:
            raise ValueError(
                f"{kind.__name__} has no align(), which says what each meeting gave to the score: write it, "
                "or set explains = False in the class"
            )


def _require_sets(source: str, features: object, names: Collection[str]) -> None:
    """Refuse what a method returned in place of the sets that its terms name."""
    if not isinstance(features, Mapping):
        raise ValueError(
            f"{source} returned a {type(features).__name__}, expected a dictionary of token sets: "
            f"{', '.join(names)}"
        )
    missing = [name for name in names if name not in features]
    if missing:
        raise ValueError(
            f"{source} returned the sets {', '.join(features) or 'none'}, and the terms compare "
            f"{', '.join(missing)} too; return it, or name another set in the terms"
        )


def _preparers(terms: Sequence[Term], side: Side) -> dict[str, Interaction]:
    preparers: dict[str, Interaction] = {}
    for term in terms:
        name = term.text if side == "text" else term.video
        # A set is prepared once and stored once, whatever meets it.
        first = preparers.setdefault(name, term.interaction)
        if not _prepare_alike(first, term.interaction, side):
            raise ValueError(
                f"two terms compare the {side} set {name!r} but prepare it differently "
                f"({type(first).__name__} and {type(term.interaction).__name__}); "
                "give the second one its tokens under another set name"
            )
    return preparers


def _added(new: Mapping[str, Interaction], there: Mapping[str, Interaction]) -> dict[str, Interaction]:
    return {name: meet for name, meet in new.items() if name not in there}


def _preparation(interaction: Interaction, side: Side) -> str | None:
    return interaction.text_preparation if side == "text" else interaction.video_preparation


def _prepare_alike(first: Interaction, second: Interaction, side: Side) -> bool:
    done = _preparation(first, side)
    # None stands for weights in the preparing: two instances of one class then differ.
    return first is second or (done is not None and done == _preparation(second, side))


def _prepared_late(
    staged: Mapping[str, Interaction], stored: Mapping[str, Interaction], side: Side
) -> frozenset[str]:
    """Which sets of a first stage are stored as encoded and have yet to be prepared."""
    late = set()
    for name, meet in staged.items():
        owner = stored.get(name, meet)
        if _prepare_alike(meet, owner, side):
            continue
        # Holds for both sides: the class gives both preparations the same default, "as is".
        if _preparation(owner, side) != Interaction.text_preparation:
            raise ValueError(
                f"first stage: the set {name!r} is stored as {type(owner).__name__} prepares it, and "
                f"{type(meet).__name__} needs it as encoded; give it the tokens under another set name"
            )
        late.add(name)
    return frozenset(late)
