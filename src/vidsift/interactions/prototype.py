"""ProST's matching: every object meets its best phrase in its best frame, a sentence its best event."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from vidsift.interactions.base import UnitTokens
from vidsift.interactions.masked import lowest, masked_max, maximum, segment_max
from vidsift.interactions.matches import pair_matches
from vidsift.interactions.quantised import product, quantise
from vidsift.types import Alignment, TokenSet

__all__ = ["PrototypeMatching"]

_PRODUCTS_AT_ONCE = 2**20


class PrototypeMatching(UnitTokens):
    """Mean over groups of video tokens of the best cosine that a token of the group has with a text token.

    Object-phrase matching: ``groups`` is the number of objects in a frame; object o takes its best phrase in
    its best frame, and the objects are averaged. Event-sentence matching: one group, all events; the sentence
    takes its best event.

    Video tokens stand frame by frame, the objects of a frame in the same order everywhere: token n belongs to
    group ``n % groups``. A group without a real token is left out of the mean.

    Use it where video tokens have roles (objects of a frame, learned events) that may each find a part of the
    sentence. It needs tokens in that order; it learns nothing by itself. It gives up the other direction: a
    phrase that no object shows costs nothing.

    Source: ProST supplement, Algorithm 1; IMCCretrieval/ProST modules/modeling.py, get_max_similarity_logits.
    Differs: padded tokens are left out of the maxima (there they can win).

    Args:
        groups: objects of a frame; 1 for events.

    Raises:
        ValueError: if there is no group.

    Example:
        Two frames of two objects. The first object is what the phrase says, in the first frame; the second
        object never is.

        >>> text = TokenSet(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1).bool())
        >>> video = TokenSet(torch.tensor([[[1.0, 0], [0, 1], [0, 1], [0, 1]]]), torch.ones(1, 4).bool())
        >>> PrototypeMatching(groups=2).score(text, video)
        tensor([[0.5000]])
    """

    scans_int8 = True

    def __init__(self, groups: int = 1) -> None:
        """See the class."""
        super().__init__()
        if groups < 1:
            raise ValueError(f"PrototypeMatching: {groups} groups; expected at least 1")
        self.groups = groups

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Return the mean over groups of their best pairs, ``sim_QV``.

        Products are taken frame by frame and reduced at once: neither the forward pass nor the backward
        pass holds those of more than one frame, and without gradients of some texts only.
        """
        if video.scale is not None and text.scale is None:
            text = quantise(text)
        at_once = self._texts_at_once(text, video)
        parts = [
            self._best_by_frame(text[start : start + at_once], video)
            for start in range(0, len(text), at_once)
        ]
        best_FQGV = torch.cat(parts, dim=1)
        real_FGV = self._by_frame(video.mask.t())
        best_FQGV = best_FQGV.masked_fill(~real_FGV[:, None], lowest(best_FQGV.dtype))
        # A group counts in the mean if one of its tokens is real, whichever frame that is in.
        present_GV = real_FGV.any(dim=0)
        best_QGV = maximum(best_FQGV, dim=0).masked_fill(~present_GV, 0)
        sim_QV = best_QGV.sum(dim=1) / present_GV.sum(dim=0)
        if text.scale is not None and video.scale is not None:
            sim_QV = sim_QV * text.scale[:, None] * video.scale
        return sim_QV

    def align(self, text: TokenSet, video: TokenSet) -> Alignment:
        """Give each group's share to the one meeting that was its best."""
        values_BTN, _, best_video_BT, best_BN, best_text_BN = pair_matches(text, video)
        real_BFG = self._by_frame(video.mask, dim=1)
        best_BG, frame_BG = masked_max(self._by_frame(best_BN, dim=1), real_BFG, dim=1)
        present_BG = real_BFG.any(dim=1)
        share_B1 = 1 / present_BG.sum(dim=1, keepdim=True)
        group_G = torch.arange(self.groups, device=best_BG.device)
        # A group that is in no frame may name a token that does not exist; its share is 0.
        token_BG = (frame_BG * self.groups + group_G).clamp_max(values_BTN.shape[2] - 1)
        won_BN = torch.zeros_like(best_BN)
        # Added, not written: the token named for an absent group may be that of a real one.
        won_BN.scatter_add_(1, token_BG, best_BG.masked_fill(~present_BG, 0) * share_B1)
        contributions = torch.zeros_like(values_BTN)
        contributions.scatter_(1, best_text_BN.unsqueeze(1), won_BN.unsqueeze(1))
        both = text.mask[:, :, None] & video.mask[:, None, :]
        real = text.mask.to(values_BTN.dtype)
        return Alignment(
            values=values_BTN.masked_fill(~both, 0),
            contributions=contributions,
            best_video_token=best_video_BT,
            best_text_token=best_text_BN,
            text_weights=real / real.sum(dim=1, keepdim=True),
            video_weights=video.mask.to(values_BTN.dtype) * share_B1,
        )

    def compact_video(self, video: TokenSet) -> TokenSet:
        """Keep tokens and mask: the order says the groups."""
        return TokenSet(tokens=video.tokens, mask=video.mask)

    def _texts_at_once(self, text: TokenSet, video: TokenSet) -> int:
        """How many texts are multiplied at a time; products that a cache holds are reduced soonest."""
        if video.packed is not None:
            return 1  # packed tokens multiply as a whole, all frames together
        if torch.is_grad_enabled():
            return len(text)
        return max(1, _PRODUCTS_AT_ONCE // (text.mask.shape[1] * self.groups * len(video)))

    def _by_frame(self, part: Tensor, dim: int = 0) -> Tensor:
        """Split the tokens along ``dim`` into (frames, groups); the last frame is filled up with zeros."""
        missing = -part.shape[dim] % self.groups
        if missing:
            part = pad(part.movedim(dim, -1), (0, missing)).movedim(-1, dim)
        return torch.unflatten(part, dim, (-1, self.groups))

    def _best_by_frame(self, text: TokenSet, video: TokenSet) -> Tensor:
        """Best text token of each video token: ``(F, Q, G, V)``, not yet scaled; padding not yet masked."""
        lengths = text.mask.sum(dim=1).tolist()
        words_PD = text.tokens[text.mask]
        tokens_NVD = video.tokens.transpose(0, 1)
        if video.packed is not None:
            # (P, N x V)
            products_PN = product(words_PD, tokens_NVD.flatten(0, 1), video.packed)
            best_QNV = torch.unflatten(segment_max(products_PN, lengths), 1, tokens_NVD.shape[:2])
            return self._by_frame(best_QNV, dim=1).transpose(0, 1)
        best = []
        for frame_GVD in torch.split(tokens_NVD, self.groups):
            best_QN = segment_max(product(words_PD, frame_GVD.flatten(0, 1)), lengths)
            best_QGV = torch.unflatten(best_QN, 1, frame_GVD.shape[:2])
            # pad counts dimensions from the last: nothing along V, the missing groups along G.
            best.append(pad(best_QGV, (0, 0, 0, self.groups - len(frame_GVD))))
        return torch.stack(best)
