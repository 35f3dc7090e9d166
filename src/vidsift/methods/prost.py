"""ProST: progressive spatio-temporal prototype matching for text-video retrieval (ICCV 2023).

A sentence is phrases, each a mixture of its words, and its end-of-text token. A video is the objects of its
frames, each a mixture of a frame's patches, and a few events that two decoders read off the objects: first
queries for the frames, then queries for the events. Objects meet phrases, events meet the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

import torch
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.mask_checks import require_prefix
from vidsift.interactions.masked import masked_mean
from vidsift.interactions.prototype import PrototypeMatching
from vidsift.losses.contrastive import info_nce
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import PaddedTokens, check_choice, sentence_set, until_the_end
from vidsift.types import Features, PatchShares, TokenSet

__all__ = [
    "Prost",
    "PrototypeDecoder",
    "PrototypeHead",
    "VideoMaps",
    "adaptive_window",
    "prost_weights_from_release",
]


_SHARES_ARE = (
    "Each square is the share of that patch in the object; what is missing from 1 is the frame's own token. "
    "A patch's token has seen its whole frame and the neighbouring ones. The shares do not depend on the "
    "question and are no part of the sum."
)


class VideoMaps(NamedTuple):
    """Where a video's prototypes came from, for figures; zero where frames are padded.

    Attributes:
        objects: ``(B, F, L, N_o - 1)``, share of each of a frame's L tokens (class token first, then the
            patches row by row) in each of its objects but the first, which is the class token itself; not
            negative, not normalised.
        frames: ``(layers, B, F, F * N_o)``, attention of each frame query to the objects of all frames, frame
            by frame, in each layer of the frame decoder.
        events: ``(layers, B, N_e, F)``, attention of each event query to the frames, in each layer of the
            event decoder.
    """

    objects: Tensor
    frames: Tensor
    events: Tensor


class Prost(Method):
    """ProST: object-phrase plus event-sentence matching.

    Use it where sentences name several things and what happens to them: phrases are matched with objects, the
    whole sentence with events, and the picture shows where an object was. It needs training of its
    prototypes and decoders, which start fresh. It gives up the words (a phrase has no name, only a number),
    and stores a dozen objects a frame.

    Source: ProST supplement, Algorithm 1 and Table 4; the generation of prototypes as in
        IMCCretrieval/ProST modules/modeling.py and modules/decoder.py.
    Differs: padded frames and padded words take no part, and the adaptive window is that of the video's real
        frames (``padding="included"`` gives the released rule); layers of a decoder start from weights of
        their own, not from copies of one.

    Args:
        towers: the CLIP towers.
        objects: object prototypes of a frame, its class token among them (N_o).
        phrases: phrase prototypes of a sentence (N_p).
        events: event prototypes of a video (N_e).
        frame_layers: layers of the frame decoder (N_fl).
        event_layers: layers of the event decoder (N_el).
        window: how far beyond its own frame a frame query sees, as a share of all objects; the released layer
            has 0.2 throughout, a comment in it says 0.5 for MSR-VTT.
        dropout: in the decoders, in training.
        max_frames: longest video, in frames; there is one learned query for each.
        shift_blocks: blocks of the image tower in which tokens move between frames (the last two of twelve).
        shift_n_div: how many tokens move, see :func:`~vidsift.encoders.token_shift.shift_tokens`.
        padding: "included" for the released treatment of padding: padded frames and words are encoded, mixed
            into prototypes and matched like real ones; texts and videos are then padded to full width.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        ``Model.create("prost", *clip, arguments={"phrases": 12, "max_frames": 24})``
    """

    traced_sets = ("object",)

    def __init__(
        self,
        towers: ClipTowers,
        *,
        objects: int = 12,
        phrases: int = 28,
        events: int = 3,
        frame_layers: int = 2,
        event_layers: int = 2,
        window: float = 0.2,
        dropout: float = 0.1,
        max_frames: int = 12,
        shift_blocks: Sequence[int] = (-2, -1),
        shift_n_div: int = 7,
        padding: PaddedTokens = "excluded",
    ) -> None:
        """See the class."""
        least = {"objects": (objects, 2), "phrases": (phrases, 1), "events": (events, 1)}
        least |= {"frame_layers": (frame_layers, 1), "event_layers": (event_layers, 1)}
        least |= {"max_frames": (max_frames, 1)}
        for name, (value, lowest) in least.items():
            if value < lowest:
                raise ValueError(f"prost: {name} is {value}, expected at least {lowest}")
        if not 0 <= window <= 1:
            raise ValueError(f"prost: window is {window}, a share of all objects: expected 0 to 1")
        check_choice("prost", "padding", padding, get_args(PaddedTokens))
        object_phrase = Term("phrase", "object", PrototypeMatching(objects))
        super().__init__(towers, [object_phrase, Term("sentence", "event", PrototypeMatching())])
        # One fewer is mixed: the first object of a frame is its class token.
        self.object_head = PrototypeHead(towers.dim, objects - 1)
        self.phrase_head = PrototypeHead(towers.dim, phrases)
        self.frame_decoder = PrototypeDecoder(towers.dim, max_frames, frame_layers, dropout=dropout)
        self.event_decoder = PrototypeDecoder(
            towers.dim, events, event_layers, self_attention=True, dropout=dropout
        )
        self.objects = objects
        self.window = window
        self.max_frames = max_frames
        self.shift_blocks = tuple(shift_blocks)
        self.shift_n_div = shift_n_div
        self.full_width = padding == "included"

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        """Return the sets "phrase" ``(Q, N_p, D)`` and "sentence" ``(Q, 1, D)``."""
        seen_QT = torch.ones_like(mask_QT) if self.full_width else mask_QT
        words_QTD = self.towers.encode_text(ids_QT, seen_QT).float()
        phrases_QPD, _ = self.phrase_head(words_QTD, seen_QT)
        # No phrase is padding, however short the sentence.
        real_QP = mask_QT.new_ones(phrases_QPD.shape[:2])
        # Numbered, so that nobody takes them for words where a text has as many.
        number_QP = torch.arange(real_QP.shape[1], device=real_QP.device).expand(real_QP.shape).contiguous()
        return {
            "phrase": TokenSet(phrases_QPD.float(), real_QP, group=number_QP),
            "sentence": sentence_set(words_QTD, mask_QT),
        }

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        """Return the sets "object" ``(B, F * N_o, D)``, with times, and "event" ``(B, N_e, D)``, without.

        Raises:
            ValueError: if a video has more frames than there are queries for.
        """
        seen_BF = torch.ones_like(mask_BF) if self.full_width else mask_BF
        tokens_BFLD = self._tokens(pixels_BF3SS, seen_BF)
        objects_BFOD, events_BED, _ = self.prototypes(tokens_BFLD, seen_BF)
        return {
            "object": _object_set(objects_BFOD, seen_BF, until_the_end(times_BF, mask_BF)),
            "event": TokenSet(events_BED.float(), mask_BF.new_ones(events_BED.shape[:2])),
        }

    def prototypes(self, tokens_BFLD: Tensor, mask_BF: Tensor) -> tuple[Tensor, Tensor, VideoMaps]:
        """Make the objects and events of videos from the tokens of their frames.

        Args:
            tokens_BFLD: projected tokens of each frame, class token first.
            mask_BF: bool, real frames first.

        Returns:
            Objects ``(B, F, N_o, D)``, the first of each frame its class token; events ``(B, N_e, D)``; and
            where they came from.

        Raises:
            ValueError: as :meth:`video_features`.
        """
        frames = mask_BF.shape[1]
        if frames > self.max_frames:
            raise ValueError(
                f"a video has {frames} frames, this model has queries for {self.max_frames}; sample fewer "
                "frames, or build and train it with a larger max_frames"
            )
        classes_BFD = tokens_BFLD[:, :, 0]
        # A frame is real or padded as a whole: (B, F, 1) for all its L tokens.
        mixed_BFOD, shares_BFLO = self.object_head(tokens_BFLD, mask_BF[:, :, None])
        objects_BFOD = torch.cat([classes_BFD.unsqueeze(2), mixed_BFOD], dim=2)
        seen_BFM = adaptive_window(mask_BF, self.objects, self.window)
        decoded_BFD, frames_SBFM = self.frame_decoder(objects_BFOD.flatten(1, 2), seen_BFM)
        # Half of it is the class token itself, as released; of events likewise.
        frame_BFD = 0.5 * decoded_BFD + 0.5 * classes_BFD
        seen_BEF = mask_BF[:, None, :].expand(-1, len(self.event_decoder.queries), -1)
        decoded_BED, events_SBEF = self.event_decoder(frame_BFD, seen_BEF)
        events_BED = 0.5 * decoded_BED + 0.5 * masked_mean(classes_BFD, mask_BF).unsqueeze(1)
        # Queries of padded frames attend to what the last real one sees; figures shall not show it.
        frames_SBFM = frames_SBFM.masked_fill(~mask_BF[None, :, :, None], 0)
        return objects_BFOD, events_BED, VideoMaps(shares_BFLO, frames_SBFM, events_SBEF)

    def video_maps(self, pixels_BF3SS: Tensor, mask_BF: Tensor) -> VideoMaps:
        """Tell which patches make up the objects, and what the frame and event queries look at.

        Call it in inference mode; ``eval()`` first, or dropout has a say.
        """
        seen_BF = torch.ones_like(mask_BF) if self.full_width else mask_BF
        return self.prototypes(self._tokens(pixels_BF3SS, seen_BF), seen_BF)[2]

    def patch_shares(self, pixels_BF3SS: Tensor, mask_BF: Tensor) -> dict[str, PatchShares]:
        """Tell how much of each object comes from each patch of its frame; the first is the class token.

        The shares of :meth:`video_maps`, divided by their sum over all tokens of the frame: an object is
        compared by its direction, which the sum does not change.
        """
        shares_BFLO = self.video_maps(pixels_BF3SS, mask_BF).objects
        # An object that no token goes into has no share of anything.
        whole_BF1O = shares_BFLO.sum(dim=2, keepdim=True).clamp_min(torch.finfo(shares_BFLO.dtype).tiny)
        mixed_BFOP = (shares_BFLO / whole_BF1O)[:, :, 1:].transpose(2, 3)
        firsts_BF1P = torch.zeros_like(mixed_BFOP[:, :, :1])
        shares_BNP = torch.cat([firsts_BF1P, mixed_BFOP], dim=2).flatten(1, 2)
        return {"object": PatchShares(shares_BNP, _SHARES_ARE)}

    def phrase_shares(self, ids_QT: Tensor, mask_QT: Tensor) -> Tensor:
        """Tell how much of each word goes into each phrase, ``(Q, T, N_p)``; not negative, not normalised."""
        seen_QT = torch.ones_like(mask_QT) if self.full_width else mask_QT
        words_QTD = self.towers.encode_text(ids_QT, seen_QT).float()
        shares_QTP: Tensor = self.phrase_head(words_QTD, seen_QT)[1]
        return shares_QTP

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """Return the mean of the terms' symmetric cross-entropies.

        Returns:
            Named scalars: ``"loss"``, and each term's own for the log.

        Source: IMCCretrieval/ProST modules/modeling.py, forward.
        """
        # A cross-entropy each, not one of the sum: both prototypes have to tell pairs apart by themselves.
        parts = {name: info_nce(sim, self.scale) for name, sim in self.term_scores(text, video).items()}
        total = torch.stack(list(parts.values())).mean()
        return {"loss": total, **{name: part.detach() for name, part in parts.items()}}

    def _tokens(self, pixels_BF3SS: Tensor, mask_BF: Tensor) -> Tensor:
        return self.towers.encode_frames(
            pixels_BF3SS, mask_BF, self.shift_blocks, shift_n_div=self.shift_n_div
        ).float()


class PrototypeHead(nn.Module):
    """Sparse mixtures of tokens: a perceptron gives each token its share in each prototype, ReLU drops most.

    A prototype that no token goes into is zero, and its cosine with anything is 0.

    Source: IMCCretrieval/ProST modules/modeling.py (``patch_prototype_weight``, ``word_prototype_weight``).

    Args:
        dim: channels of the tokens.
        prototypes: how many to make.
    """

    def __init__(self, dim: int, prototypes: int) -> None:
        """See the class."""
        super().__init__()
        self.shares = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, prototypes), nn.ReLU())

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mix tokens.

        Args:
            tokens: ``(..., N, D)``.
            mask: bool, broadcastable to ``(..., N)``; masked tokens go into no prototype.

        Returns:
            Prototypes ``(..., prototypes, D)`` and the shares ``(..., N, prototypes)``.
        """
        # No softmax: the ReLU makes the mixture sparse, and a prototype is compared by its direction.
        shares = self.shares(tokens).masked_fill(~mask.unsqueeze(-1), 0)
        return shares.transpose(-1, -2) @ tokens, shares


class PrototypeDecoder(nn.Module):
    """Learned queries that gather prototypes from tokens, layer by layer.

    Source: IMCCretrieval/ProST modules/decoder.py (``Frame_decoder``; ``Event_decoder`` has self-attention).

    Args:
        dim: channels.
        queries: learned queries.
        layers: how often they gather.
        self_attention: the queries look at each other first, in every layer.
        dropout: in training.
    """

    def __init__(
        self, dim: int, queries: int, layers: int, *, self_attention: bool = False, dropout: float = 0.1
    ) -> None:
        """See the class."""
        super().__init__()
        self.queries = nn.Parameter(torch.empty(queries, dim))
        nn.init.xavier_uniform_(self.queries)
        self.layers = nn.ModuleList(_DecoderLayer(dim, self_attention, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, memory_BMD: Tensor, seen_BNM: Tensor) -> tuple[Tensor, Tensor]:
        """Gather.

        Args:
            memory_BMD: what is gathered from.
            seen_BNM: bool, which of it each query may look at; every query sees something. The first N
                queries are asked.

        Returns:
            Prototypes ``(B, N, D)`` and the attention of every layer ``(layers, B, N, M)``.
        """
        batch, count, _ = seen_BNM.shape
        # (N, D) shared by the batch; a shorter video has fewer frame queries.
        state_BND = self.queries[:count].expand(batch, -1, -1)
        attention = []
        for layer in self.layers:
            state_BND, seen_share_BNM = layer(state_BND, memory_BMD, ~seen_BNM)
            attention.append(seen_share_BNM)
        return self.norm(state_BND), torch.stack(attention)


class _DecoderLayer(nn.Module):
    """Norms, attention among the queries (its output replaces them), attention to the memory, perceptron.

    Residuals start from the normalised query, as in the released layer.
    """

    def __init__(self, dim: int, self_attention: bool, dropout: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.memory_norm = nn.LayerNorm(dim)
        self.own: nn.MultiheadAttention | None = None
        if self_attention:
            self.own = nn.MultiheadAttention(dim, 1, dropout=dropout, batch_first=True)
            self.own_norm = nn.LayerNorm(dim)
        self.cross = nn.MultiheadAttention(dim, 1, dropout=dropout, batch_first=True)
        self.cross_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim))
        self.mlp_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query_BND: Tensor, memory_BMD: Tensor, hidden_BNM: Tensor) -> tuple[Tensor, Tensor]:
        """Return the queries with what they gathered, and their attention."""
        query_BND, memory_BMD = self.query_norm(query_BND), self.memory_norm(memory_BMD)
        if self.own is not None:
            query_BND = self.own_norm(self.own(query_BND, query_BND, query_BND, need_weights=False)[0])
        # True hides. The mask is wanted for each head of each row, which with one head is (B, N, M).
        gathered_BND, share_BNM = self.cross(query_BND, memory_BMD, memory_BMD, attn_mask=hidden_BNM)
        query_BND = self.cross_norm(query_BND + self.dropout(gathered_BND))
        return self.mlp_norm(query_BND + self.dropout(self.mlp(query_BND))), share_BNM


def adaptive_window(mask_BF: Tensor, objects: int, window: float) -> Tensor:
    """Which objects each frame query sees: those of its own frame, and as many after it as ``window`` allows.

    Of the M objects of the video's real frames, query i sees ``objects + floor(M * window)`` from the first
    one of its frame on. Where that reaches the last object, the window is moved back to end there, one object
    wider than elsewhere, as in the released code. The query of a padded frame sees what the last one sees;
    what comes of it means nothing.

    Args:
        mask_BF: bool, real frames first.
        objects: prototypes of a frame.
        window: share of the objects.

    Returns:
        bool ``(B, F, F * objects)``.

    Raises:
        ValueError: if padding stands before a real frame.

    Source: IMCCretrieval/ProST modules/decoder.py, adaptive_mask (there True hides).
    Differs: the objects counted are those of real frames, there of all.
    """
    require_prefix(mask_BF, "video", "frame")
    frames = mask_BF.shape[1]
    real_B1 = mask_BF.sum(dim=1, keepdim=True) * objects
    start_1F = torch.arange(frames, device=mask_BF.device)[None] * objects
    # In double, as the released int(L * N_o * a): in fp32 a whole product may land on the other side.
    end_BF = start_1F + objects + (real_B1.double() * window).floor().long()
    over_BF = end_BF > real_B1 - 1
    # The + 1 is the released code's: at the edge a window is one object wider.
    start_BF = torch.where(over_BF, start_1F - (end_BF - real_B1 + 1), start_1F)
    end_BF = torch.where(over_BF, real_B1, end_BF)
    column_M = torch.arange(frames * objects, device=mask_BF.device)
    return (column_M >= start_BF[..., None]) & (column_M < end_BF[..., None])


def _object_set(objects_BFOD: Tensor, mask_BF: Tensor, times_BF: Tensor) -> TokenSet:
    """Objects frame by frame, with the time and place of their frame and their number in it."""
    batch, frames, objects, _ = objects_BFOD.shape
    place = torch.arange(frames * objects, device=mask_BF.device).expand(batch, -1)
    return TokenSet(
        tokens=objects_BFOD.flatten(1, 2).float(),
        mask=mask_BF.repeat_interleave(objects, dim=1),
        times_seconds=times_BF.double().repeat_interleave(objects, dim=1),
        frame=place // objects,
        group=place % objects,
    )


_RELEASED_HEADS = {"patch_prototype_weight": "object_head", "word_prototype_weight": "phrase_head"}
# norm1, norm2, ... of a released layer, in the order in which it runs them.
_RELEASED_NORMS = {
    "frame_decoder": ("query_norm", "memory_norm", "cross_norm", "mlp_norm"),
    "event_decoder": ("query_norm", "memory_norm", "own_norm", "cross_norm", "mlp_norm"),
}
# Between the layers of the perceptron, mlp.1 and mlp.2 have no weights: ReLU and dropout.
_RELEASED_PARTS = {"self_attn": "own", "multihead_attn": "cross", "linear1": "mlp.0", "linear2": "mlp.3"}
_RELEASED_LAYER = re.compile(r"(frame|event)_decoder\.event_decoder\.layers\.(\d+)\.(\w+)\.(.+)")
# Built, saved and never called by the released code.
_RELEASED_DEAD = re.compile(
    r"transformerClip\..*|frame_position_embeddings\..*|frame_prototype_weight\..*"
    r"|frame_decoder\..*\.self_attn\..*|.*\.self_attn_vis\..*"
)


def prost_weights_from_release(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename the weights of a released ProST, all but those of its CLIP, to the names used here.

    Args:
        weights: state dict entries without ``clip.*`` and without a ``module.`` prefix.

    Returns:
        Entries of the state dict of :class:`Prost`, and the keys that the released code never uses.

    Raises:
        ValueError: listing every key that belongs to neither.

    Source: IMCCretrieval/ProST modules/modeling.py and modules/decoder.py (parameter names).
    """
    renamed: dict[str, Tensor] = {}
    dead: list[str] = []
    unknown: list[str] = []
    for key, value in weights.items():
        name = _renamed(key)
        if _RELEASED_DEAD.fullmatch(key):
            dead.append(key)
        elif name is None:
            unknown.append(key)
        else:
            renamed[name] = value
    if unknown:
        raise ValueError(f"not part of a released ProST: {', '.join(sorted(unknown))}")
    return renamed, sorted(dead)


def _renamed(key: str) -> str | None:
    head, _, rest = key.partition(".")
    if head in _RELEASED_HEADS:
        return f"{_RELEASED_HEADS[head]}.shares.{rest}"
    layer = _RELEASED_LAYER.fullmatch(key)
    if layer:
        decoder, part = f"{layer[1]}_decoder", layer[3]
        number = re.fullmatch(r"norm([1-5])", part)
        if number and int(number[1]) <= len(_RELEASED_NORMS[decoder]):
            return f"{decoder}.layers.{layer[2]}.{_RELEASED_NORMS[decoder][int(number[1]) - 1]}.{layer[4]}"
        known = _RELEASED_PARTS.get(part)
        return None if known is None else f"{decoder}.layers.{layer[2]}.{known}.{layer[4]}"
    if head in _RELEASED_NORMS and rest == "V":
        return f"{head}.queries"
    if head in _RELEASED_NORMS and rest.startswith("event_decoder.norm."):
        return f"{head}.{rest.removeprefix('event_decoder.')}"
    return None
