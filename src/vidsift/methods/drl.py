"""DRL: disentangled representation learning for text-video retrieval (arXiv 2203.07111).

A sentence is all its words (or its end-of-text token), a video the class tokens of its frames after a head
across them. How the two meet is the paper's question, and its answer is weighted token-wise (WTI). Channel
decorrelation (CDCR) is added to the contrastive loss of every interaction that is not a black box.

===========  ==========================================================  =============================
interaction  how a sentence and a video meet                             operations per pair (Table 1)
===========  ==========================================================  =============================
``dp``       cosine of the end-of-text token with the mean frame         D
``hi``       the same at S depths of the towers, gated by the sentence   S D
``mlp``      a perceptron of L layers over both, a black box             L D^2 + D
``xti``      a transformer of L layers over both, a black box            (N D^2 + N^2 D) L, N = N_t + N_v
``ti``       every word's best frame and every frame's best word         N_t N_v D
``wti``      the same, weighted by what heads read in each token         N_t N_v D + N_t + N_v
===========  ==========================================================  =============================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vidsift.encoders.clip import ClipTowers, end_of_text
from vidsift.interactions.base import Interaction
from vidsift.interactions.cross import CrossTransformer
from vidsift.interactions.dot import FrameMean, MeanDot
from vidsift.interactions.hierarchical import Hierarchical
from vidsift.interactions.masked import uniform_weights
from vidsift.interactions.matches import Padding
from vidsift.interactions.mlp import PairPerceptron
from vidsift.interactions.token_wise import MatchSum, Paths, TokenWise, WeightedTokenWise, token_wise
from vidsift.losses.contrastive import info_nce
from vidsift.losses.decorrelation import Deviation, MatchForm, Orientation, decorrelation
from vidsift.losses.faithfulness import faithfulness
from vidsift.methods.base import Method, Term
from vidsift.methods.left_out_words import drop_words, leave_one_out
from vidsift.methods.parts import (
    Temporal,
    check_choice,
    frame_set,
    keep_padded,
    sentence_set,
    start_from_text,
    temporal_head,
    word_set,
)
from vidsift.types import Alignment, Features, TokenSet

__all__ = ["Cdcr", "CrossText", "Drl", "DrlInteraction", "complexity"]

DrlInteraction = Literal["dp", "hi", "mlp", "xti", "ti", "wti"]
CrossText = Literal["sentence", "word"]
Cdcr = Literal["auto", "paper", "none", "single", "random", "best_match", "best_match_summed", "weighted"]

_TEXT_SET = {"dp": "sentence", "hi": "level", "mlp": "sentence", "ti": "word", "wti": "word"}
# Black boxes match no tokens that could be correlated.
_CDCR: dict[str, MatchForm | None] = {
    "dp": "single",
    "hi": "single",
    "mlp": None,
    "xti": None,
    "ti": "best_match",
    "wti": "weighted",
}

_CHOICES: dict[str, Any] = {
    "interaction": DrlInteraction,
    "cdcr": Cdcr,
    "padding": Padding,
    "paths": Paths,
    "cross_text": CrossText,
    "cdcr_orientation": Orientation,
    "cdcr_deviation": Deviation,
    "dp_frames": FrameMean,
    "ti_pooling": MatchSum,
}


class Drl(Method):
    """DRL with one of its interactions.

    Use it first where words should find their frames: WTI, the default, is exact about which word met which
    frame, scans in int8, and learns little beside CLIP. It needs captions with words worth weighing, and
    stores every frame. DP is the mean-frame baseline; MLP and XTI read text and video together and give up
    scan and account for it.

    Source: foolwood/DRL tvr/models/modeling.py; HI and MLP, which it lacks, from the paper's Eq. 2 and 3.
    Differs: padding is left out of every maximum (``padding="zero"`` gives the released rule); CDCR follows
        the paper's alpha and the interaction's own matches (the released scripts set alpha 0). Two defects of
        the released CDCR are not the default: its second half is transposed, so that what the halves say of
        different channels can cancel (``cdcr_orientation="released"``; Eq. 8 and Algorithm 4 have text
        channel i with video channel j in both), and its weighted matches are standardised as if they counted
        alike (``cdcr_deviation="plain"``). A third, that it divides by the deviation of channels that have
        none, cannot be had.

    Args:
        towers: the CLIP towers.
        interaction: "dp", "hi", "mlp", "xti", "ti" or "wti"; for MLP and XTI, which are too slow to score a
            whole library, a search finds candidates as DP does.
        weight_layers: fully connected layers of each weight head of WTI: 1, 2 or 3.
        temporal: the head across frames: "none", "lstm" or "transformer".
        temporal_layers: blocks of the transformer across frames.
        cross_layers: blocks of XTI.
        max_frames: longest video, in frames, that the transformers know positions for.
        cdcr: form of the decorrelation, see :func:`~vidsift.losses.decorrelation.decorrelation`. "auto" takes
            "single" for DP and HI, "best_match" for TI, "weighted" for WTI and "none" for the black boxes.
            "paper" is the same but for WTI, which takes Algorithm 4's "best_match". The released variants 1,
            2, 3 are "random", "best_match", "weighted" (all "single" for DP), with the released orientation
            and deviation.
        cdcr_alpha: weight of the redundancy between channels.
        cdcr_on_diagonal: weight of the agreement within channels.
        cdcr_lambda: weight of the decorrelation beside InfoNCE as the code takes it, the mean of its two
            directions. Beside Eq. 7, which adds them, the same training has twice this lambda.
        shift_blocks: blocks of the image tower in which tokens move between frames (from TS2-Net).
        shift_n_div: how many tokens move, see :func:`~vidsift.encoders.token_shift.shift_tokens`.
        padding: "zero" for the released treatment of padding in TI and WTI: padding is encoded and counts as
            similarity 0; texts and videos are then padded to full width.
        paths: "dual", or one direction of TI and WTI alone, "t2v" or "v2t" (Table 3); CDCR follows it.
        levels: S of HI: the last blocks of each tower that are compared.
        mlp_layers: L of MLP: 4 as the paper counts, 2 as the code builds.
        cross_text: what XTI reads of a text: "sentence", its end-of-text token (code), or "word", all its
            tokens (paper, Eq. 4).
        cdcr_centred: False takes the correlations of CDCR as Eq. 8 writes them, without centring.
        cdcr_orientation: "released" transposes the second half of CDCR as the code does, so that redundancy
            of opposite signs cancels.
        cdcr_deviation: "plain" standardises the weighted matches of CDCR as if all counted alike, as the code
            does; its correlations may then leave [-1, 1].
        dp_frames: what DP takes the mean of: "unit" frames (code), or "raw" ones (paper, Eq. 1).
        ti_pooling: how TI puts best matches together: their "mean" (code) or their "sum" (paper, Eq. 5), of
            which the learned scale, made for cosines, has to fall first.
        word_ends: whether start and end of text are among the words of TI and WTI (code). In a causal tower
            the end has read everything, and training leaves the words nothing to say.
        word_dropout: share of the words that are left out of each sentence in training, as if it had been
            written without them. What a word says then does not hang on all others being there.
        word_faithfulness: weight beside InfoNCE of :func:`~vidsift.losses.faithfulness.faithfulness`, for TI
            and WTI with ``paths="t2v"``: what a word gives is then what leaving it out costs. Sentences are
            encoded twice in training.
        temporal_window: how many frames to either side a frame sees in each block of the transformer across
            frames, so that a word that finds its frame finds its moment; all when None.
        loss_also: of WTI: "dp", "ti" or both, whose InfoNCE on the same tokens is averaged with its own.
            Towers then serve all of them; the score stays WTI's.

    Raises:
        ValueError: if an argument is not one of its choices or out of its range, or CDCR is asked of a black
            box.

    Example:
        ``Model.create("drl", *clip, arguments={"interaction": "wti", "weight_layers": 1})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        interaction: DrlInteraction = "wti",
        weight_layers: int = 2,
        temporal: Temporal = "transformer",
        temporal_layers: int = 4,
        cross_layers: int = 4,
        max_frames: int = 76,
        cdcr: Cdcr = "auto",
        cdcr_alpha: float = 0.06,
        cdcr_on_diagonal: float = 1.0,
        cdcr_lambda: float = 0.001,
        shift_blocks: Sequence[int] = (),
        shift_n_div: int = 7,
        padding: Padding = "excluded",
        paths: Paths = "dual",
        levels: int = 3,
        mlp_layers: int = 4,
        cross_text: CrossText = "sentence",
        cdcr_centred: bool = True,
        cdcr_orientation: Orientation = "paper",
        cdcr_deviation: Deviation = "weighted",
        dp_frames: FrameMean = "unit",
        ti_pooling: MatchSum = "mean",
        word_ends: bool = True,
        word_dropout: float = 0.0,
        word_faithfulness: float = 0.0,
        temporal_window: int | None = None,
        loss_also: Sequence[str] = (),
    ) -> None:
        """See the class."""
        _check(interaction=interaction, cdcr=cdcr, padding=padding, paths=paths, cross_text=cross_text)
        _check(cdcr_orientation=cdcr_orientation, cdcr_deviation=cdcr_deviation)
        _check(dp_frames=dp_frames, ti_pooling=ti_pooling)
        _check_words(interaction, padding, ends=word_ends, dropout=word_dropout)
        _check_faithfulness(word_faithfulness, interaction, padding, paths)
        if interaction == "ti":
            meeting: Interaction = TokenWise(padding, paths, ti_pooling)
        elif interaction == "wti":
            meeting = WeightedTokenWise(towers.dim, weight_layers, padding, paths)
        elif interaction == "xti":
            meeting = _cross(towers, cross_layers, max_frames, cross_text)
        else:
            meeting = _of_means(interaction, towers, levels, mlp_layers, dp_frames)
        text_set = cross_text if interaction == "xti" else _TEXT_SET[interaction]
        stage = [] if meeting.scans else [Term("sentence", "frame", MeanDot())]
        video_set, depths = ("level", levels) if interaction == "hi" else ("frame", 1)
        super().__init__(towers, [Term(text_set, video_set, meeting)], stage)
        self.temporal = temporal_head(temporal, towers, temporal_layers, max_frames, temporal_window)
        self.word_ends, self.word_dropout, self.word_faithfulness = word_ends, word_dropout, word_faithfulness
        self.cdcr, self.cdcr_centred = _cdcr_form(cdcr, interaction), cdcr_centred
        self.paths: Paths = paths if interaction in ("ti", "wti") else "dual"
        self.cdcr_alpha, self.cdcr_on_diagonal, self.cdcr_lambda = cdcr_alpha, cdcr_on_diagonal, cdcr_lambda
        self.loss_also = _check_losses(loss_also, interaction, word_ends=word_ends)
        self.cdcr_orientation: Orientation = cdcr_orientation
        self.cdcr_deviation: Deviation = cdcr_deviation
        self.shift_blocks, self.shift_n_div, self.levels = tuple(shift_blocks), shift_n_div, depths
        self.full_width = padding == "zero" and interaction in ("ti", "wti")

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return "word" ``(Q, T, D)``, "sentence" ``(Q, 1, D)`` or, for HI, "level" ``(Q, S, D)``.

        XTI over words gives its first stage the sentence as well. With ``word_faithfulness`` training gets
        "shortened" too, the words of each sentence without one of them, ``(Q, T, D)``.
        """
        if self.training and self.word_dropout:
            ids_QT, mask_QT = drop_words(ids_QT, mask_QT, self.word_dropout)
        if "level" in self.text_preparers:
            return {"level": self._sentence_levels(ids_QT, mask_QT)}
        # The released rule encodes padding like words; the sentence is still read where the text ends.
        seen_QT = torch.ones_like(mask_QT) if self.full_width else mask_QT
        tokens_QTD = self.towers.encode_text(ids_QT, seen_QT)
        sets = {
            name: word_set(tokens_QTD, mask_QT, ends=self.word_ends)
            if name == "word"
            else sentence_set(tokens_QTD, mask_QT)
            for name in self.text_preparers
        }
        if self.training and self.word_faithfulness:
            text = leave_one_out(ids_QT, mask_QT)
            words = word_set(self.towers.encode_text(text.ids, text.mask), text.mask, ends=self.word_ends)
            sets["shortened"] = text.in_place(words)
        return sets

    def prepare_text(self, features: Features) -> dict[str, TokenSet]:
        """See the base; the words of "shortened" sentences are prepared as those of whole ones."""
        prepared = super().prepare_text(features)
        if "shortened" in features:
            prepared["shortened"] = self.text_preparers["word"].prepare_text(features["shortened"])
        return prepared

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return "frame" ``(B, F, D)``, class tokens after the head across frames, or "level" for HI."""
        if self.terms[0].video == "level":
            return {"level": self._frame_levels(pixels_BF3SS, mask_BF, times_BF)}
        seen_BF = torch.ones_like(mask_BF) if self.full_width else mask_BF
        frames_BFD = self.towers.encode_frame_classes(
            pixels_BF3SS, seen_BF, self.shift_blocks, shift_n_div=self.shift_n_div
        ).float()
        if self.full_width:
            # Its similarity counts as 0 whatever its value, but CDCR may pick it and read the value.
            frames_BFD = keep_padded(self.temporal, frames_BFD, mask_BF)
        else:
            frames_BFD = self.temporal(frames_BFD, mask_BF)
        return {"frame": frame_set(frames_BFD, mask_BF, times_BF)}

    def _sentence_levels(self, ids_QT: Tensor, mask_QT: Tensor) -> TokenSet:
        """The end-of-text token after each of the last S blocks, ``(Q, S, D)``, the deepest last.

        Each goes through the tower's own last norm and projection, so that the deepest is DP's sentence.
        """
        _, states = self.towers.encode_text(ids_QT, mask_QT, hidden=True)
        ends_QSW = torch.cat([end_of_text(state, mask_QT) for state in states[-self.levels :]], dim=1)
        clip = self.towers.clip
        # Both work on each token by itself, so the ends alone go through them.
        tokens_QSD = clip.text_projection(clip.text_model.final_layer_norm(ends_QSW))
        level_QS = torch.arange(self.levels, device=mask_QT.device).repeat(len(ids_QT), 1)
        return TokenSet(tokens_QSD.float(), torch.ones_like(level_QS, dtype=torch.bool), group=level_QS)

    def _frame_levels(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> TokenSet:
        """The class tokens after each of the last S blocks, frame by frame, ``(B, F * S, D)``.

        Each goes through the tower's own last norm and projection, then through the head across frames, which
        the levels share; the deepest are DP's frames.
        """
        _, states = self.towers.encode_frames(
            pixels_BF3SS, mask_BF, self.shift_blocks, shift_n_div=self.shift_n_div, hidden=True
        )
        classes_SBFW = torch.stack([state[:, :, 0] for state in states[-self.levels :]])
        clip = self.towers.clip
        tokens_SBFD = clip.visual_projection(clip.vision_model.post_layernorm(classes_SBFW)).float()
        # Level by level: the head knows places in time, not depths.
        tokens_SBFD = torch.stack([self.temporal(tokens_BFD, mask_BF) for tokens_BFD in tokens_SBFD])
        frames = frame_set(tokens_SBFD[-1], mask_BF, times_BF)
        each = {
            # Frame by frame with its levels side by side, as the tokens are flattened below.
            name: getattr(frames, name).repeat_interleave(self.levels, dim=1)
            for name in ("mask", "times_seconds", "frame")
        }
        # (S,) repeated to (B, F * S).
        level_BN = torch.arange(self.levels, device=mask_BF.device).repeat(*mask_BF.shape)
        return TokenSet(tokens_SBFD.permute(1, 2, 0, 3).flatten(1, 2), group=level_BN, **each)

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return InfoNCE plus lambda times CDCR, and both parts (DRL Eq. 9).

        Source: foolwood/DRL tvr/models/modeling.py, forward.
        Differs: Eq. 7 adds the two directions of InfoNCE; the code, like ours, halves them, so lambda counts
            twice as much against it as the paper's formula says. Eq. 7 divides by a fixed tau of 100, which
            must mean times 100; the code learns the scale, up to that.
        """
        similarities = [self.similarity(text, video)]
        similarities += [_on_same_tokens(also, text["word"], video["frame"]) for also in self.loss_also]
        contrast = torch.stack([info_nce(sim_QV, self.scale) for sim_QV in similarities]).mean()
        losses = {"loss": contrast, "info_nce": contrast.detach()}
        if "shortened" in text:
            unfaithful = faithfulness(text["word"], text["shortened"], video["frame"], self.scale)
            losses["loss"] = contrast + self.word_faithfulness * unfaithful
            losses["faithfulness"] = unfaithful.detach()
        if self.cdcr is None:
            return losses
        # DRL compares by one interaction at a time.
        (term,) = self.terms
        text_set, video_set = text[term.text], video[term.video]
        alignment: Alignment | None = None
        # The alignment holds every token pair, (B, T, N); pooled and drawn tokens do without.
        if self.cdcr not in ("single", "random"):
            alignment = term.interaction.align(text_set, video_set)
        parts = decorrelation(
            text_set,
            video_set,
            self.cdcr,
            alignment,
            centred=self.cdcr_centred,
            paths=self.paths,
            levels=self.levels,
            orientation=self.cdcr_orientation,
            deviation=self.cdcr_deviation,
        )
        redundancy = parts.total(self.cdcr_alpha, self.cdcr_on_diagonal)
        losses["loss"] = losses["loss"] + self.cdcr_lambda * redundancy
        return losses | {"cdcr": redundancy.detach()}


def _on_same_tokens(interaction: str, text: TokenSet, video: TokenSet) -> Tensor:
    """Compare what WTI prepared by DP or TI: unit tokens, whose weights alone are others, ``sim_QV``."""
    if interaction == "dp":
        sentence_QD = end_of_text(text.tokens, text.mask)[:, 0]
        # Padded tokens of prepared sets are zero: the sum is that of the real ones.
        return sentence_QD @ normalize(video.tokens.sum(dim=1), dim=-1).T
    text, video = (
        side.replace(weights=uniform_weights(side.mask, side.tokens.dtype)) for side in (text, video)
    )
    return token_wise(text, video)


def _check_losses(also: Sequence[str], interaction: str, *, word_ends: bool) -> tuple[str, ...]:
    for name in also:
        check_choice("drl", "loss_also", name, ("dp", "ti"))
    if also and (interaction != "wti" or not word_ends):
        raise ValueError(
            f"drl: loss_also reads the tokens of interaction wti with word_ends, not of {interaction} with "
            f"word_ends={word_ends}; leave it out"
        )
    return tuple(also)


def _check(**arguments: str) -> None:
    for name, value in arguments.items():
        check_choice("drl", name, value, get_args(_CHOICES[name]))


def _check_words(interaction: str, padding: Padding, *, ends: bool, dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(
            f"drl: word_dropout is {dropout}, expected a share of the words: 0, or more and below 1"
        )
    if not ends and (interaction not in ("ti", "wti") or padding == "zero"):
        raise ValueError(
            "drl: word_ends=false leaves start and end of text out of the words of ti and wti, with padding "
            f"excluded; the interaction is {interaction}, padding {padding}"
        )


def _check_faithfulness(weight: float, interaction: str, padding: Padding, paths: Paths) -> None:
    if weight < 0:
        raise ValueError(f"drl: word_faithfulness is {weight}, expected a weight: 0 for none, or more")
    if weight and (interaction not in ("ti", "wti") or paths != "t2v" or padding == "zero"):
        raise ValueError(
            "drl: word_faithfulness holds words to what they give, which is exact for ti and wti with "
            f"paths=t2v and padding excluded; got {interaction} with paths={paths}, padding {padding}"
        )


def _cross(towers: ClipTowers, layers: int, max_frames: int, text: CrossText) -> Interaction:
    """XTI, started from the text tower."""
    # Sentence or words stand in front of the frames, and take their positions first.
    longest = max_frames + (towers.max_tokens if text == "word" else 1)
    cross = CrossTransformer(towers.dim, layers=layers, max_positions=longest)
    start_from_text(cross, towers)
    return cross


def _of_means(
    interaction: str, towers: ClipTowers, levels: int, mlp_layers: int, frames: FrameMean
) -> Interaction:
    """DP, HI or MLP: the sentence with the mean frame."""
    if interaction == "hi":
        return Hierarchical(towers.dim, _check_levels(levels, towers))
    return PairPerceptron(towers.dim, mlp_layers) if interaction == "mlp" else MeanDot(frames)


def complexity(
    interaction: DrlInteraction,
    *,
    dim: int = 512,
    words: int = 32,
    frames: int = 12,
    layers: int = 4,
    levels: int = 3,
) -> tuple[int, int]:
    """Multiplications for a pair, and numbers stored for a video, as the paper counts them.

    Args:
        interaction: one of the six.
        dim: D.
        words: N_t.
        frames: N_v.
        layers: L, of MLP and XTI.
        levels: S, of HI.

    Raises:
        ValueError: if there is no such interaction.

    Source: DRL Tables 1 and 6, section 7.3.
    Differs: section 7.3 gives XTI as 24,464 times DP, and WTI as 63.69 times less than XTI; both leave out
        the L = 4 of its own formula, with which they are 97,856 and 254.8.

    Example:
        >>> complexity("mlp")[0] // complexity("dp")[0]
        2049
    """
    check_choice("drl", "interaction", interaction, get_args(DrlInteraction))
    both = words + frames
    return {
        "dp": (dim, dim),
        "hi": (levels * dim, levels * dim),
        "mlp": (layers * dim**2 + dim, dim),
        "xti": ((both * dim**2 + both**2 * dim) * layers, frames * dim),
        "ti": (words * frames * dim, frames * dim),
        "wti": (words * frames * dim + both, frames * (dim + 1)),  # a weight beside each frame
    }[interaction]


def _cdcr_form(cdcr: str, interaction: str) -> MatchForm | None:
    """Which form is meant; None for none.

    HI takes DP's form at each of its levels, where it compares one sentence with one mean frame as DP does.
    All levels count alike: weighed by the gate, a level could be gated out of the loss instead of mended.
    """
    usual = _CDCR[interaction]
    if cdcr == "none" or (cdcr == "auto" and usual is None):
        return None
    if usual is None:
        raise ValueError(
            f"drl: cdcr={cdcr} needs matched tokens, {interaction} is a black box; use cdcr=none"
        )
    if cdcr == "random" and interaction == "hi":
        raise ValueError("drl: cdcr=random would pair different levels of hi; use cdcr=single")
    # Algorithm 4 knows no weights; what the code does for WTI is released variant 3.
    if cdcr == "paper":
        return "best_match" if usual == "weighted" else usual
    return usual if cdcr == "auto" else cdcr  # type: ignore[return-value]


def _check_levels(levels: int, towers: ClipTowers) -> int:
    most = min(len(towers.clip.text_model.encoder.layers), towers.vision_blocks)
    if not 1 <= levels <= most:
        raise ValueError(f"drl: levels is {levels}, expected 1 to {most}, the blocks of the shallower tower")
    return levels
