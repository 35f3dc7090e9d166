"""TS2-Net: token shift and selection transformer for text-video retrieval (arXiv 2207.07852).

In the last blocks of the image tower some patch tokens change places with those of the neighbouring frames.
Of each frame the class token and its few most informative patches go on; a transformer lets those of all
frames see each other. The sentence then meets each frame's class token, and frames that fit better weigh
more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.init import init_linears
from vidsift.encoders.selection import PerturbedTopK, TopKGradient
from vidsift.interactions.frame_softmax import FrameSoftmax
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import check_choice, frame_set, sentence_set, temporal_head, until_the_end
from vidsift.types import PatchShares, TokenSet

__all__ = ["FrameMask", "TokenSelector", "Ts2Net", "selector_weights_from_release"]

FrameMask = Literal["frames", "tiled"]

_CHOICE_IS = (
    "The squares are the patches that token selection let through beside the frame's own token, the same for "
    "every question. A patch's token has seen its whole frame and the neighbouring ones; the frame's token, "
    "which met the sentence, has seen the selected tokens of all frames. The choice is no part of the sum."
)


class TokenSelector(nn.Module):
    """A frame's class token and its k patches of the highest scores.

    A patch is scored by an MLP over itself and the class token. In training the choice is averaged over
    noise, which gives the scores a gradient; at inference it is hard.

    Source: TS2-Net (arXiv 2207.07852); LiuRicky/ts2_net modules/differential_topk.py,
        VisualTokenSelection and PredictorLG.
    Differs: no noise at inference, where there scores change from run to run.

    Args:
        dim: channels of a token.
        k: patches that are chosen.
        samples, sigma, gradient: see :func:`~vidsift.encoders.selection.perturbed_top_k`.
    """

    def __init__(self, dim: int, k: int = 3, *, samples: int, sigma: float, gradient: TopKGradient) -> None:
        """See the class."""
        super().__init__()
        half = dim // 2
        self.lower = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, half, bias=False), nn.GELU())
        self.judge = nn.Sequential(
            nn.Linear(2 * half, half, bias=False), nn.GELU(), nn.Linear(half, 1, bias=False), nn.Tanh()
        )
        self.top_k = PerturbedTopK(k, samples, sigma, gradient)
        init_linears(self)

    def scores(self, tokens_NLD: Tensor) -> Tensor:
        """Score all tokens of N frames, class token first: ``(N, L)`` in [-1, 1]."""
        # (N, L, C) each: the token itself, and beside it its frame's class token.
        lower_NLC = self.lower(tokens_NLD)
        pair_NLC = torch.cat([lower_NLC, lower_NLC[:, :1].expand_as(lower_NLC)], dim=2)
        scores_NL: Tensor = self.judge(pair_NLC).squeeze(2)
        return scores_NL

    def forward(self, tokens_NLD: Tensor, noise_NSP: Tensor | None = None) -> Tensor:
        """Choose from N frames: ``(N, L, D)`` to ``(N, 1 + k, D)``, in the order of the tokens.

        Args:
            tokens_NLD: class token first, then P patches.
            noise_NSP: draws to choose by, for reproduction.
        """
        chosen_NkP = self.choice(tokens_NLD, noise_NSP)
        return torch.cat([tokens_NLD[:, :1], chosen_NkP @ tokens_NLD[:, 1:]], dim=1)

    def choice(self, tokens_NLD: Tensor, noise_NSP: Tensor | None = None) -> Tensor:
        """Tell which patches are chosen: indicators ``(N, k, P)``, of the arguments of :meth:`forward`."""
        # The class token is scored as well, as released, but goes on whatever its score.
        chosen_NkP: Tensor = self.top_k(self.scores(tokens_NLD)[:, 1:], noise_NSP)
        return chosen_NkP


class Ts2Net(Method):
    """TS2-Net.

    Use it where small things and movement between neighbouring frames matter. It needs towers that learn: in
    their last blocks tokens change frames. It gives up encoding frames one by one (a frame's token depends
    on its neighbours), and the words, as a sentence is one vector.

    Source: LiuRicky/ts2_net modules/modeling.py, modules/until_module.py, modules/differential_topk.py.
    Differs: padded frames take no part anywhere; the released code tiles the mask of frames over tokens that
        stand frame by frame, which hides real frames and shows padded ones of every video shorter than the
        longest (``frame_mask="tiled"``). Patches are selected without noise at inference. The transformer
        knows positions for ``max_frames`` frames; there 77 positions end after 19 frames. The text selector
        and the prompt encoder, which released checkpoints hold and no one calls, are left out.

    Args:
        towers: the CLIP towers.
        shift_blocks: blocks of the image tower in which tokens move between frames.
        shift_n_div: how many tokens move, see :func:`~vidsift.encoders.token_shift.shift_tokens`.
        selected: patches of a frame that go on beside its class token.
        samples: draws of noise for the selection in training.
        sigma: how far the noise moves the scores.
        gradient: "diagonal" is the released gradient of the selection, "full" the whole one, see
            :func:`~vidsift.encoders.selection.perturbed_top_k`.
        temporal_layers: blocks of the transformer across the selected tokens.
        max_frames: longest video, in frames; the transformer has ``max_frames * (1 + selected)`` positions,
            of which those beyond the text tower's start fresh.
        frame_mask: "tiled" for the released mask: padding is encoded, and some of it counts as frames;
            videos are then padded to full width.

    Raises:
        ValueError: if an argument is not one of its choices, or there are fewer patches than ``selected``.

    Example:
        ``Model.create("ts2net", *clip, arguments={"selected": 4})``
    """

    traced_sets = ("frame",)

    def __init__(
        self,
        towers: ClipTowers,
        *,
        shift_blocks: Sequence[int] = (-2, -1),
        shift_n_div: int = 7,
        selected: int = 3,
        samples: int = 500,
        sigma: float = 0.05,
        gradient: TopKGradient = "diagonal",
        temporal_layers: int = 4,
        max_frames: int = 76,
        frame_mask: FrameMask = "frames",
    ) -> None:
        """See the class."""
        check_choice("ts2net", "gradient", gradient, get_args(TopKGradient))
        check_choice("ts2net", "frame_mask", frame_mask, get_args(FrameMask))
        if not 1 <= selected <= towers.patches:
            raise ValueError(f"ts2net: selected is {selected}, expected 1 to the {towers.patches} patches")
        super().__init__(towers, [Term("sentence", "frame", FrameSoftmax())])
        self.shift_blocks = tuple(shift_blocks)
        self.shift_n_div = shift_n_div
        self.selector = TokenSelector(towers.dim, selected, samples=samples, sigma=sigma, gradient=gradient)
        # Positions are of tokens, not of frames, as released.
        self.temporal = temporal_head("transformer", towers, temporal_layers, max_frames * (1 + selected))
        self.max_frames = max_frames
        # Which tokens the tiled mask hides depends on the padded width: that must not vary.
        self.full_width = frame_mask == "tiled"

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the set "sentence" ``(Q, 1, D)``: the end-of-text token."""
        return {"sentence": sentence_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the set "frame" ``(B, F, D)``: class tokens that saw the selected tokens of all frames.

        Raises:
            ValueError: if a video has more than ``max_frames`` frames.
        """
        encoded_BF, tokens_NLD = self._tokens(pixels_BF3SS, mask_BF)
        chosen_NKD = self.selector(tokens_NLD)
        chosen_BFKD = chosen_NKD.new_zeros(*mask_BF.shape, *chosen_NKD.shape[1:])
        # Rows of N frames back to their places (B, F); padded ones stay zero.
        chosen_BFKD[encoded_BF] = chosen_NKD
        # Padding that the tiled mask shows needs a second to be shown at.
        return {"frame": self.frame_set(chosen_BFKD, mask_BF, until_the_end(times_BF, mask_BF))}

    def patch_shares(self, pixels_BF3SS: Tensor, mask_BF: Tensor) -> dict[str, PatchShares]:
        """Tell which patches of each frame were selected: 1 where one was, else 0."""
        encoded_BF, tokens_NLD = self._tokens(pixels_BF3SS, mask_BF)
        chosen_NP = self.selector.choice(tokens_NLD).sum(dim=1)
        shares_BFP = chosen_NP.new_zeros(*mask_BF.shape, chosen_NP.shape[1])
        shares_BFP[encoded_BF] = chosen_NP
        return {"frame": PatchShares(shares_BFP, _CHOICE_IS)}

    def _tokens(self, pixels_BF3SS: Tensor, mask_BF: Tensor) -> tuple[Tensor, Tensor]:
        """Encode frames: which were, bool ``(B, F)``, and the tokens of those N, class token first."""
        encoded_BF = torch.ones_like(mask_BF) if self.full_width else mask_BF
        tokens_BFLD = self.towers.encode_frames(
            pixels_BF3SS, encoded_BF, self.shift_blocks, shift_n_div=self.shift_n_div
        )
        return encoded_BF, tokens_BFLD[encoded_BF].float()

    def frame_set(self, tokens_BFKD: Tensor, mask_BF: Tensor, times_BF: Tensor) -> TokenSet:
        """Let the selected tokens of all frames see each other and keep each frame's first.

        Args:
            tokens_BFKD: class token and selected patches of each frame.
            mask_BF: bool, True at real frames.
            times_BF: in seconds.

        Raises:
            ValueError: if there are more than ``max_frames`` frames.
        """
        frames, tokens_each = tokens_BFKD.shape[1:3]
        if frames > self.max_frames:
            raise ValueError(
                f"a video has {frames} frames, this ts2net takes at most {self.max_frames}; sample fewer "
                "frames, or build and train it with a larger max_frames"
            )
        if self.full_width:
            # Tokens stand frame by frame, the mask of frames once after the other: as released.
            mask_BFK = mask_BF.repeat(1, tokens_each).view(-1, frames, tokens_each)
        else:
            mask_BFK = mask_BF[:, :, None].expand(-1, -1, tokens_each)
        passed_BND = self.temporal(tokens_BFKD.flatten(1, 2), mask_BFK.flatten(1))
        # Of the tokens of each frame the class token stands first.
        firsts_BFD = passed_BND[:, ::tokens_each]
        return frame_set(firsts_BFD, mask_BFK[:, :, 0], times_BF)


_RELEASED = {"score_predictor.in_conv.": "lower.", "score_predictor.out_conv.": "judge."}


def selector_weights_from_release(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released visual token selector to those of :class:`TokenSelector`.

    Args:
        weights: what stands below ``visual_token_selector.``.

    Raises:
        ValueError: listing every key that does not belong to it.

    Source: LiuRicky/ts2_net modules/differential_topk.py (parameter names).
    """
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, value in weights.items():
        start = next((prefix for prefix in _RELEASED if key.startswith(prefix)), None)
        if start is None:
            unknown.append(key)
        else:
            renamed[_RELEASED[start] + key.removeprefix(start)] = value
    if unknown:
        raise ValueError(f"not part of a released token selector: {', '.join(sorted(unknown))}")
    return renamed
