"""PIDRo: parallel isomeric attention with dynamic routing for text-video retrieval (ICCV 2023).

A video is seen twice, by transformers in opposite order. The S-T frame branch looks within each frame first
and then across frames, and gives frame tokens; the T-S patch branch looks along each place of the picture
first and then across places, and gives patch tokens. A sentence is all its words, each told what the whole
sentence says (dynamic routing). Words meet frames and words meet patches, and both similarities add up.

No code was ever released. This file follows the paper and its supplement equation by equation; what they
leave open is decided in ``docs/pidro.md``, with reasons.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from vidsift.encoders.clip import ClipTowers, end_of_text
from vidsift.encoders.init import init_linears
from vidsift.encoders.mask_checks import require_real
from vidsift.encoders.selection import NoiseScale, PerturbedTopK
from vidsift.encoders.temporal import TemporalBlock, TemporalTransformer
from vidsift.interactions.sharpened import SharpenedTokenWise
from vidsift.losses.contrastive import info_nce
from vidsift.methods.base import Method, Stage, Term
from vidsift.methods.parts import check_choice, frame_set, temporal_head, word_set
from vidsift.types import Features, TokenSet

__all__ = [
    "BlockChoice",
    "DynamicRouting",
    "PatchBranch",
    "PatchSelector",
    "Pidro",
    "Routing",
    "RoutingTransformer",
    "tower_blocks",
]

Routing = Literal["mlp", "transformer", "none"]
BlockChoice = Literal["first", "last", "spread"]

_PARTS = ("routing", "patches")


class Pidro(Method):
    """PIDRo, whole or with parts left out (Table 1).

    Use it where what a sentence names is small in the picture: beside frames, words meet places. It needs
    training in its three stages, see :meth:`stages`, and a second transformer as deep as the image tower. It
    gives up size: every place of the picture is stored with each segment, unless ``patch_tokens`` selects.

    Source: Guan et al., ICCV 2023, with its supplement; there is no released code.
    Differs: in the scale of ``selector_noise``; ``docs/pidro.md`` lists what the equations leave open.

    Args:
        towers: the CLIP towers; their inside is not changed.
        routing: "mlp" (dynamic routing, Eq. 3), "transformer" (the supplement's alternative) or "none".
        patches: whether there is a T-S patch branch.
        patch_layers: M, blocks of the patch branch's temporal transformer, 1 to those of the image tower; as
            many by default (12 in the paper).
        patch_blocks: which blocks of the tower fewer ones start from and are added from: "first", "last" or
            "spread" evenly, see :func:`tower_blocks`.
        patch_width: channels of that transformer; those of the image tower by default. Another width starts
            from fresh weights, with a projection wherever Eq. 3 adds.
        patch_tokens: K, how many patch tokens are selected; all by default, without a selector.
        selector_samples: draws of noise in the selector's training.
        selector_sigma: how far that noise moves the scores.
        selector_noise: whether sigma is "relative", a share of the distance between a video's lowest score
            and its highest (ours), or "absolute", added to the scores of Eq. 1 as they are.
        head_layers: blocks of the transformers behind both branches.
        max_frames: longest video, in frames, that the transformers across frames know positions for.
        patch_lambda: weight of the patch branch's similarity (Eq. 5).
        eta: sharpness of the weights in the similarity (Eq. 4).
        tau: inverse temperature of the loss (Eq. 6, 7); it does not learn.

    Raises:
        ValueError: if an argument is not one of its choices or out of its range.

    Example:
        ``Model.create("pidro", *clip, arguments={"patch_tokens": 8, "selector_samples": 50})``
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        routing: Routing = "mlp",
        patches: bool = True,
        patch_layers: int | None = None,
        patch_blocks: BlockChoice = "first",
        patch_width: int | None = None,
        patch_tokens: int | None = None,
        selector_samples: int = 500,
        selector_sigma: float = 0.05,
        selector_noise: NoiseScale = "relative",
        head_layers: int = 4,
        max_frames: int = 76,
        patch_lambda: float = 0.2,
        eta: float = 100.0,
        tau: float = 100.0,
    ) -> None:
        """See the class."""
        check_choice("pidro", "routing", routing, get_args(Routing))
        check_choice("pidro", "selector_noise", selector_noise, get_args(NoiseScale))
        # Shared, as it has no weights: words are prepared once for frames and patches.
        meeting = SharpenedTokenWise(eta)
        every = [Term("word", "frame", meeting), Term("word", "patch", meeting, patch_lambda)]
        super().__init__(towers, every if patches else every[:1])
        self._every_term = self.terms
        self._without: frozenset[str] = frozenset()
        self.tau = tau
        self.frame_head = temporal_head("transformer", towers, head_layers, max_frames)
        self.routing = _routing(routing, towers.dim)
        self.patch_branch = (
            PatchBranch(
                towers,
                layers=patch_layers,
                blocks=patch_blocks,
                width=patch_width,
                keep=patch_tokens,
                samples=selector_samples,
                sigma=selector_sigma,
                noise=selector_noise,
                head_layers=head_layers,
                max_frames=max_frames,
            )
            if patches
            else None
        )

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "word" ``(Q, T, D)``: T of section 3.3, start and end of text included."""
        tokens_QTD = self.towers.encode_text(ids_QT, mask_QT).float()
        if self.routing is not None and "routing" not in self._without:
            tokens_QTD = self.routing(tokens_QTD, mask_QT)
        return {"word": word_set(tokens_QTD, mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the sets "frame" ``(B, F, D)`` and, with a patch branch, "patch" ``(B, K, D)``."""
        if self.patch_branch is None or "patches" in self._without:
            # Where no patch is read, the tower runs its last block for the class tokens alone.
            frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF)
            return {"frame": self._frames(frames_BFD, mask_BF, times_BF)}
        tokens_BFLD, states = self.towers.encode_frames(pixels_BF3SS, mask_BF, hidden=True)
        return {
            "frame": self._frames(tokens_BFLD[:, :, 0], mask_BF, times_BF),
            "patch": self.patch_branch(states, mask_BF),
        }

    def _frames(self, frames_BFD: Tensor, mask_BF: Tensor, times_BF: Tensor) -> TokenSet:
        """The second half of the S-T frame branch: attention across frames (section 3.2.1)."""
        return frame_set(self.frame_head(frames_BFD.float(), mask_BF), mask_BF, times_BF)

    @property
    def scale(self) -> Tensor:
        """The fixed tau of Eq. 6 and 7."""
        return torch.tensor(self.tau)

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return the symmetric InfoNCE of Eq. 6 to 8."""
        return {"loss": info_nce(self.similarity(text, video), self.tau)}

    def stages(self) -> tuple[Stage, ...]:
        """The three steps of section 4.2, of 5, 3 and 2 epochs; those of absent parts are left out.

        The rates there are 1e-7 for CLIP and 1e-4 for the rest: a recipe's ``backbone_learning_rate`` and
        ``learning_rate``. Each stage has a warm-up and a cosine of its own.
        """
        base = Stage("base", ("towers.", "frame_head."), 5, without=self._present(*_PARTS), own_rates=True)
        routing = Stage("routing", ("routing.",), 3, without=self._present("patches"), own_rates=True)
        patches = Stage("patches", ("patch_branch.",), 2, own_rates=True)
        later = {"routing": routing, "patches": patches}
        return (base, *(later[part] for part in self._present(*_PARTS)))

    def _present(self, *parts: str) -> tuple[str, ...]:
        """Those of the parts that this model has."""
        there = {"routing": self.routing is not None, "patches": self.patch_branch is not None}
        return tuple(part for part in parts if there[part])

    def leave_out(self, parts: Collection[str]) -> None:
        """Compute without "routing", "patches" or both until called again.

        Raises:
            ValueError: if this model has no such part.
        """
        known = self._present(*_PARTS)
        for part in parts:
            if part not in known:
                raise ValueError(
                    f"pidro: there is no part {part!r} to leave out, only: {', '.join(known) or 'none'}"
                )
        self._without = frozenset(parts)
        self._use_terms(
            [term for term in self._every_term if term.video != "patch" or "patches" not in parts]
        )


class PatchBranch(nn.Module):
    """The T-S patch branch: attention along each patch cube, then across cubes (section 3.2.1).

    A cube is what all frames show at one place of the picture. Cubes start from the tower's embedded patches
    and a class token; after every layer but the last, what the tower makes of the same patches at that layer
    is added to them (the parallel isomeric interaction). Tokens of padded frames are seen by nobody.

    Source: PIDRo section 3.2.1; supplement Eq. 1 to 3.

    Args:
        towers: give weights to start from, see :class:`Pidro` for these and the other arguments.
        layers: M.
        blocks: which blocks of the tower.
        width: channels inside.
        keep: K.
        samples, sigma, noise: of the selector.
        head_layers: blocks of the transformer across cubes.
        max_frames: frames that it knows positions for.

    Raises:
        ValueError: if there cannot be so many layers or selected patches, or heads do not divide the width.
    """

    def __init__(
        self,
        towers: ClipTowers,
        *,
        layers: int | None = None,
        blocks: BlockChoice = "first",
        width: int | None = None,
        keep: int | None = None,
        samples: int = 500,
        sigma: float = 0.05,
        noise: NoiseScale = "relative",
        head_layers: int = 4,
        max_frames: int = 76,
    ) -> None:
        """See the class."""
        super().__init__()
        tower = towers.clip.vision_model
        self.sources = tower_blocks(
            towers.vision_blocks if layers is None else layers, towers.vision_blocks, blocks
        )
        width = towers.vision_width if width is None else width
        if width == towers.vision_width:
            self.lifts = nn.ModuleList(nn.Identity() for _ in self.sources)
            self.blocks = nn.ModuleList(copy.deepcopy(tower.encoder.layers[n - 1]) for n in self.sources)
            self.post_norm = copy.deepcopy(tower.post_layernorm)
            self.projection = copy.deepcopy(towers.clip.visual_projection)
            self.class_token = nn.Parameter(_class_token(towers))
        else:
            head = towers.vision_head_width
            if width < head or width % head:
                raise ValueError(
                    f"pidro: patch_width is {width}, expected a multiple of {head}, the size of a head"
                )
            self.lifts = nn.ModuleList(_linear(towers.vision_width, width) for _ in self.sources)
            self.blocks = towers.new_vision_blocks(len(self.sources), width)
            self.post_norm = nn.LayerNorm(width, eps=tower.config.layer_norm_eps)
            self.projection = _linear(width, towers.dim)
            self.class_token = nn.Parameter(torch.randn(width) * width**-0.5)
        # What is copied from a frozen tower would be frozen too.
        self.requires_grad_(True)
        # Fresh, as CLIP knows no order of frames; without them forwards would look like backwards.
        self.positions = nn.Parameter(torch.randn(max_frames, width) * 0.02)
        self.cube_head = _cube_head(towers, head_layers)
        self.selector = None
        if keep is not None and keep != towers.patches:
            if not 1 <= keep < towers.patches:
                raise ValueError(
                    f"pidro: patch_tokens is {keep}, expected 1 to {towers.patches}, the patches of a frame"
                )
            self.selector = PatchSelector(towers.dim, keep, samples, sigma, noise)

    def forward(self, states: Sequence[Tensor], mask_BF: Tensor) -> TokenSet:
        """Return the selected patch tokens; ``group`` says at which patch of the picture each stands.

        Args:
            states: of the image tower after each block, ``states[0]`` the embedded patches,
                ``(B, F, 1+P, vision width)``.
            mask_BF: bool, True at real frames.

        Returns:
            ``(B, K, D)`` in fp32, all real.
        """
        cubes_BPD = self.cubes(states, mask_BF)
        everything_BP = mask_BF.new_ones(cubes_BPD.shape[:2])
        patches_BPD = self.cube_head(cubes_BPD, everything_BP).float()
        place_BP = torch.arange(patches_BPD.shape[1], device=mask_BF.device).repeat(len(patches_BPD), 1)
        if self.selector is None:
            return TokenSet(tokens=patches_BPD, mask=everything_BP, group=place_BP)
        indicators_BKP = self.selector(patches_BPD)
        chosen_BKD = (indicators_BKP @ patches_BPD).float()  # Eq. 2
        place_BK = indicators_BKP.argmax(dim=2)  # in training its most frequent one
        return TokenSet(tokens=chosen_BKD, mask=everything_BP[:, : place_BK.shape[1]], group=place_BK)

    def cubes(self, states: Sequence[Tensor], mask_BF: Tensor) -> Tensor:
        """Return the class token of each cube after attention along it, in the shared space, ``(B, P, D)``.

        Raises:
            ValueError: if a video has no real frame, or more frames than there are positions.
        """
        require_real(mask_BF, "video", "frame")
        videos, frames = mask_BF.shape
        if frames > len(self.positions):
            raise ValueError(
                f"a video has {frames} frames, the patch branch takes at most {len(self.positions)}; "
                "sample fewer frames, or build and train with a larger max_frames"
            )
        # N cubes of 1 + F tokens each, N = B x P.
        moving_NFW = self.permuted(states[0], 0) + self.positions[:frames]
        state_NLW = torch.cat([self.class_token.expand(len(moving_NFW), 1, -1), moving_NFW], dim=1)
        unseen_N11L = _unseen(mask_BF, len(state_NLW))
        last = len(self.blocks)
        for layer, (block, source) in enumerate(zip(self.blocks, self.sources, strict=True), start=1):
            state_NLW = block(state_NLW, unseen_N11L)
            if layer < last:
                # Supplement Eq. 3; the class tokens of both sides are left alone.
                state_NLW = state_NLW + pad(self.permuted(states[source], layer), (0, 0, 1, 0))
        cubes_ND: Tensor = self.projection(self.post_norm(state_NLW[:, 0]))
        return cubes_ND.view(videos, -1, cubes_ND.shape[-1])

    def permuted(self, state_BFLW: Tensor, layer: int) -> Tensor:
        """Perm of Eq. 3: ``(B, F, 1+P, W)``, frames of patches, to ``(B x P, F, width)``, cubes of frames."""
        patches_BPFW = state_BFLW[:, :, 1:].float().transpose(1, 2)
        lifted: Tensor = self.lifts[layer](patches_BPFW)
        return lifted.flatten(0, 1)


def tower_blocks(layers: int, blocks: int, choice: BlockChoice = "first") -> tuple[int, ...]:
    """Which block of the image tower stands beside each layer of the patch branch, both counted from 1.

    Args:
        layers: M, layers of the patch branch's temporal transformer.
        blocks: of the image tower.
        choice: "first" takes "that same layer", as section 3.2.1 says; "last" lets both end together;
            "spread" takes evenly spaced blocks up to the tower's last.

    Raises:
        ValueError: if there are not so many blocks, or ``choice`` is another word.

    Example:
        >>> tower_blocks(4, 12), tower_blocks(4, 12, "last"), tower_blocks(4, 12, "spread")
        ((1, 2, 3, 4), (9, 10, 11, 12), (3, 6, 9, 12))
    """
    check_choice("pidro", "patch_blocks", choice, get_args(BlockChoice))
    if not 1 <= layers <= blocks:
        raise ValueError(
            f"pidro: patch_layers is {layers}, expected 1 to {blocks}, the blocks of the image tower"
        )
    if choice == "first":
        return tuple(range(1, layers + 1))
    if choice == "last":
        return tuple(range(blocks - layers + 1, blocks + 1))
    return tuple(-(-blocks * layer // layers) for layer in range(1, layers + 1))


class PatchSelector(nn.Module):
    """Scores patches and selects the K best (Eq. 1 and 2); smoothed in training, hard at inference.

    Source: PIDRo section 3.2.2; the perturbed maximum of Berthet et al., arXiv 2002.08676.
    Differs: the noise is scaled to the scores, which a softmax makes: of 49 patches each has 1/49 on average,
        and noise of 0.05 as it is would choose at chance (``noise="absolute"``).

    Args:
        dim: channels of the patches.
        keep: K.
        samples, sigma, noise: in training, see :func:`~vidsift.encoders.selection.perturbed_top_k`.
    """

    def __init__(
        self, dim: int, keep: int, samples: int = 500, sigma: float = 0.05, noise: NoiseScale = "relative"
    ) -> None:
        """See the class."""
        super().__init__()
        self.hidden = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, 1)
        self.top = PerturbedTopK(keep, samples, sigma, noise=noise)
        init_linears(self)

    def scores(self, patches_BPD: Tensor) -> Tensor:
        """S of Eq. 1, the importance of each patch; rows sum to 1, ``(B, P)``."""
        logits_BP1: Tensor = self.out(gelu(self.hidden(patches_BPD)))
        return logits_BP1.squeeze(-1).float().softmax(dim=1)

    def forward(self, patches_BPD: Tensor) -> Tensor:
        """I of Eq. 2, ``(B, K, P)``: in each row one 1, or in training how often the draws put it there."""
        indicators_BKP: Tensor = self.top(self.scores(patches_BPD))
        return indicators_BKP


class DynamicRouting(nn.Module):
    """Tells each word what the whole sentence says; the end-of-text token stays the same (Eq. 3).

    It starts close to passing each word through, so that its training begins at the base model's scores.

    Source: PIDRo section 3.3, Eq. 3.

    Args:
        dim: channels of the words.
    """

    _SHIFT = 2.0
    """Where GELU is nearly linear."""

    def __init__(self, dim: int) -> None:
        """See the class."""
        super().__init__()
        self.hidden = nn.Linear(2 * dim, dim)
        self.out = nn.Linear(dim, dim)
        with torch.no_grad():
            nn.init.eye_(self.hidden.weight)
            nn.init.eye_(self.out.weight)
            self.hidden.bias.fill_(self._SHIFT)
            self.out.bias.fill_(-self._SHIFT)

    def forward(self, words_QTD: Tensor, mask_QT: Tensor) -> Tensor:
        """Return the enhanced tokens ``(Q, T, D)``, zero where masked."""
        last_Q1D = end_of_text(words_QTD, mask_QT)
        both_QTE = torch.cat([words_QTD, last_Q1D.expand_as(words_QTD)], dim=2)
        return _keep_last(self.out(gelu(self.hidden(both_QTE))), words_QTD, mask_QT)


class RoutingTransformer(nn.Module):
    """The alternative to dynamic routing: a small transformer over the words of a sentence.

    Every word sees every other. Blocks are built like those of CLIP's text tower, but are not causal: no word
    would see the end-of-text token. That token itself stays the same, as under Eq. 3.

    Source: PIDRo supplement, section 3 and Table 5.

    Args:
        dim: channels of the words.
        layers: blocks.
    """

    def __init__(self, dim: int, layers: int = 2) -> None:
        """See the class."""
        super().__init__()
        # 64 channels a head, as in CLIP.
        self.blocks = nn.ModuleList(TemporalBlock(dim, max(1, dim // 64)) for _ in range(layers))

    def forward(self, words_QTD: Tensor, mask_QT: Tensor) -> Tensor:
        """Return the enhanced tokens ``(Q, T, D)``, zero where masked."""
        state_QTD = words_QTD
        for block in self.blocks:
            state_QTD = block(state_QTD, ~mask_QT[:, None, None, :])
        return _keep_last(state_QTD, words_QTD, mask_QT)


def _routing(kind: str, dim: int) -> nn.Module | None:
    if kind == "none":
        return None
    return DynamicRouting(dim) if kind == "mlp" else RoutingTransformer(dim)


def _keep_last(routed_QTD: Tensor, words_QTD: Tensor, mask_QT: Tensor) -> Tensor:
    """Routed words, but the end-of-text token as it was; zero where masked."""
    # False at the end of text and behind it.
    follows_QT = pad(mask_QT[:, 1:], (0, 1), value=False)
    kept_QTD = torch.where(follows_QT[:, :, None], routed_QTD, words_QTD)
    return kept_QTD.masked_fill(~mask_QT[:, :, None], 0)


def _unseen(mask_BF: Tensor, cubes: int) -> Tensor | None:
    """What is added to the attention of each cube: -inf at padded frames, never at the class token."""
    if bool(mask_BF.all()):
        return None  # without a mask sdpa may take a faster kernel
    seen_BL = pad(mask_BF, (1, 0), value=True)
    unseen_BL = torch.zeros(seen_BL.shape, device=mask_BF.device).masked_fill(~seen_BL, -torch.inf)
    return unseen_BL.repeat_interleave(cubes // len(mask_BF), dim=0)[:, None, None, :]


def _cube_head(towers: ClipTowers, layers: int) -> TemporalTransformer:
    """The transformer across cubes: blocks as those across frames, positions of its own."""
    head = temporal_head("transformer", towers, layers, towers.patches)
    assert isinstance(head, TemporalTransformer)
    # A sentence's positions are in a row, those of patches in a grid.
    nn.init.normal_(head.positions, std=0.02)
    return head


@torch.no_grad()
def _class_token(towers: ClipTowers) -> Tensor:
    """The class token of a picture as it enters the first block of the image tower."""
    tower = towers.clip.vision_model
    embedded = tower.embeddings.class_embedding + tower.embeddings.position_embedding.weight[0]
    token: Tensor = tower.pre_layrnorm(embedded)
    return token.clone()


def _linear(width_in: int, width_out: int) -> nn.Linear:
    """A projection without bias, started as CLIP starts its own."""
    linear = nn.Linear(width_in, width_out, bias=False)
    nn.init.normal_(linear.weight, std=width_in**-0.5)
    return linear
