"""Checkpoints that other projects released: what they are, how large, and every weight under our name.

The shapes of the weights say most of it. What they cannot say is asked for, what no one ever reads is listed,
and every other key must have its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torch import Tensor

from vidsift.encoders.openai_weights import clip_config_from_openai, clip_weights_from_openai
from vidsift.encoders.temporal import temporal_weights_from_release
from vidsift.errors import WeightsError
from vidsift.interactions.cross import cross_weights_from_release
from vidsift.methods.base import Method
from vidsift.methods.clip2video import clip2video_weights_from_release
from vidsift.methods.folder import assemble_method
from vidsift.methods.prost import prost_weights_from_release
from vidsift.methods.ts2net import selector_weights_from_release
from vidsift.methods.xclip import xclip_matrices_from_release
from vidsift.methods.xpool import pooling_weights_from_release

__all__ = ["PROJECTS", "Release", "read_release"]

_LAST_FRAME = "12 for MSR-VTT, MSVD, LSMDC and VATEX, 64 for DiDeMo and ActivityNet"
_LAST_WORD = "32 for MSR-VTT, MSVD, LSMDC and VATEX, 64 for DiDeMo and ActivityNet"
_SHIFTED = re.compile(r"visual\.transformer\.resblocks\.(\d+)\.attn\.net\.(.+)")
_WEIGHT_HEAD = re.compile(r"(text|video)_weight_fc\.(?:(\d+)\.)?(weight|bias)")
_POSITIONS = "frame_position_embeddings.weight"
_ACROSS_FRAMES = ("transformerClip.", "frame_position_embeddings.", "lstm_visual.")
_CROSS = ("cross.", "similarity_dense.")
_SHAPES = {
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
}
_FIRST_OF_MLP = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.mlp\.fc1\.weight")
_TOWER = {"text": "transformer", "vision": "visual.transformer"}


@dataclass(frozen=True)
class Release:
    """A released checkpoint, read.

    Attributes:
        method: with all its weights, in fp32 and evaluation mode.
        method_name: its name in the catalogue.
        arguments: those that the method was built with, but for those left at their default.
        frames: frames that a video is read with.
        max_words: longest text in tokens, start and end included.
        dead: keys that the project's own code never reads; left out.
        cut: tables of which only the first rows are kept, in words.
        assumed: arguments that neither the checkpoint nor the caller says.
    """

    method: Method
    method_name: str
    arguments: dict[str, Any]
    frames: int
    max_words: int
    dead: list[str]
    cut: list[str]
    assumed: dict[str, Any]


@dataclass
class _Sorting:
    """Weights of a checkpoint beside its CLIP, on their way from ``left`` to our names.

    ``fixed`` are the arguments that the checkpoint says, ``assumed`` those that the caller may replace.
    """

    source: str
    left: dict[str, Tensor]
    given: Mapping[str, Any]
    corrected: bool
    shifted: list[int]
    positions: int
    weights: dict[str, Tensor] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    fixed: dict[str, Any] = field(default_factory=dict)
    assumed: dict[str, Any] = field(default_factory=dict)
    frames: int | None = None
    max_words: int | None = None
    longest: int | None = None

    def has(self, *prefixes: str) -> bool:
        """Whether a weight left starts with one of the prefixes."""
        return any(key.startswith(prefixes) for key in self.left)

    def take(
        self,
        prefixes: str | tuple[str, ...],
        rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
        under: str = "",
        strip: str = "",
    ) -> None:
        """Give the weights that start so their new names; one at a time, so that all strange ones show."""
        # A copy of the keys, as they are taken out on the way.
        for key in [key for key in self.left if key.startswith(prefixes)]:
            value = self.left.pop(key)
            try:
                renamed = rename({key.removeprefix(strip): value})
            except ValueError:
                self.unknown.append(key)
                continue
            self.weights |= {under + name: weight for name, weight in renamed.items()}

    def drop(self, *prefixes: str) -> None:
        """Leave out the weights that start so: the released code never reads them."""
        self.dead += [key for key in self.left if key.startswith(prefixes)]
        self.left = {key: value for key, value in self.left.items() if not key.startswith(prefixes)}

    def rows(self, key: str) -> int:
        """Rows of a weight that fixes the architecture."""
        if key not in self.left or not self.left[key].ndim:
            raise WeightsError(
                f"{self.source}: missing {key}, without which the architecture is unknown; "
                "is this the whole model of the project that --from names?"
            )
        return len(self.left[key])

    def keep_rows(self, name: str, rows: int) -> None:
        """Keep the first rows of a table of positions; the others are beyond the longest video."""
        if name in self.weights and len(self.weights[name]) > rows:
            self.cut.append(f"{name}: the first {rows} of {len(self.weights[name])} rows")
            self.weights[name] = self.weights[name][:rows]

    def blocks(self, prefix: str) -> int:
        """Number of blocks among the renamed weights, at least 1."""
        numbers = [
            int(key.removeprefix(prefix).split(".")[0]) for key in self.weights if key.startswith(prefix)
        ]
        return 1 + max(numbers, default=0)


def _clip4clip(sorting: _Sorting) -> None:
    if sorting.has(*_CROSS):
        sorting.fixed["head"] = "tightTransf"
        _cross(sorting)
        sorting.longest = sorting.fixed["max_frames"]
        return
    kind = _across_frames(sorting)
    sorting.fixed["head"] = {"none": "meanP", "lstm": "seqLSTM", "transformer": "seqTransf"}[kind]
    if kind == "transformer":
        sorting.fixed["max_frames"] = sorting.longest


def _cross(sorting: _Sorting) -> None:
    """Sort the cross transformer; one of its positions is the sentence's."""
    rows = sorting.rows("cross.embeddings.position_embeddings.weight")
    sorting.take(_CROSS, cross_weights_from_release, "interactions.0.")
    sorting.fixed |= {"cross_layers": sorting.blocks("interactions.0.blocks."), "max_frames": rows - 1}


def _across_frames(sorting: _Sorting) -> str:
    """Sort the head across frames and say which it is; the LSTM's positions are never read."""
    if sorting.has("lstm_visual."):
        sorting.drop("frame_position_embeddings.")
        sorting.take("lstm_visual.", temporal_weights_from_release, "temporal.")
        return "lstm"
    if not sorting.has(*_ACROSS_FRAMES):
        return "none"
    sorting.longest = sorting.rows(_POSITIONS)
    sorting.take(_ACROSS_FRAMES, temporal_weights_from_release, "temporal.")
    sorting.fixed["temporal_layers"] = sorting.blocks("temporal.blocks.")
    return "transformer"


def _drl(sorting: _Sorting) -> None:
    sorting.assumed["padding"] = "excluded" if sorting.corrected else "zero"
    if sorting.has("text_weight_fc.", "video_weight_fc."):
        sorting.fixed["interaction"] = "wti"
        sorting.take(("text_weight_fc.", "video_weight_fc."), _weight_heads, "interactions.0.")
        # Linear layers stand at 0, 2 and 4: the ReLU between two has no weights.
        last = [key for key in sorting.weights if key.startswith("interactions.0.text_weight.")]
        sorting.fixed["weight_layers"] = 1 + max((int(key.split(".")[3]) for key in last), default=0) // 2
    elif sorting.has(*_CROSS):
        sorting.fixed["interaction"] = "xti"
        _cross(sorting)
    elif sorting.given.get("interaction") not in ("dp", "ti"):
        raise WeightsError(
            f"{sorting.source}: DRL's dp and ti have the same weights; say which it is with "
            "--set interaction=dp or --set interaction=ti"
        )
    sorting.fixed["temporal"] = _across_frames(sorting)
    if "max_frames" in sorting.fixed:
        # Both the cross transformer and a head across frames know positions: the shorter table counts.
        sorting.longest = min(sorting.fixed["max_frames"], sorting.longest or sorting.fixed["max_frames"])
        sorting.fixed["max_frames"] = sorting.longest
        sorting.keep_rows("interactions.0.positions", sorting.longest + 1)
        sorting.keep_rows("temporal.positions", sorting.longest)
    elif sorting.longest is not None:
        sorting.fixed["max_frames"] = sorting.longest


def _weight_heads(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename WTI's heads; one of a single layer has no number there."""
    renamed: dict[str, Tensor] = {}
    for key, value in weights.items():
        part = _WEIGHT_HEAD.fullmatch(key)
        if part is None:
            raise ValueError(f"not part of a released weight head: {key}")
        renamed[f"{part[1]}_weight.{part[2] or 0}.{part[3]}"] = value
    return renamed


def _xclip(sorting: _Sorting) -> None:
    sorting.assumed["padding"] = "excluded" if sorting.corrected else "included"
    # Their rows are the words and frames that the released model was built for.
    sorting.max_words, frames = sorting.rows("word_logit_weight"), sorting.rows("frame_logit_weight")
    sorting.take(
        ("global_mat", "local_mat", "word_logit", "frame_logit", "word_mat", "frame_mat"),
        xclip_matrices_from_release,
    )
    sorting.fixed["temporal"] = _across_frames(sorting)
    sorting.frames = sorting.longest = frames
    sorting.fixed |= {"max_words": sorting.max_words, "max_frames": frames}
    sorting.keep_rows("temporal.positions", frames)


def _ts2net(sorting: _Sorting) -> None:
    # Parts that the released code builds and never calls.
    sorting.drop("visual_prompt_encoder.", "text_token_selector.")
    sorting.assumed["frame_mask"] = "frames" if sorting.corrected else "tiled"
    sorting.assumed["selected"] = 3
    _shift(sorting)
    selector = "visual_token_selector."
    sorting.take(selector, selector_weights_from_release, "selector.", strip=selector)
    # Without them it is none of theirs; said here, with the name of the weight.
    sorting.rows(_POSITIONS)
    if _across_frames(sorting) != "transformer":
        raise WeightsError(f"{sorting.source}: an LSTM across frames, which ts2net here does not have")
    selected = sorting.given.get("selected", sorting.assumed["selected"])
    if not isinstance(selected, int) or selected < 1:
        raise WeightsError(f"{sorting.source}: --set selected={selected}, expected a number of patches")
    # A frame takes as many positions as tokens of it go on: 77 of them are 19 frames and a rest.
    going_on = 1 + selected
    sorting.longest = max(1, len(sorting.weights["temporal.positions"]) // going_on)
    sorting.fixed["max_frames"] = sorting.longest
    sorting.keep_rows("temporal.positions", sorting.longest * going_on)


def _prost(sorting: _Sorting) -> None:
    sorting.assumed |= {"padding": "excluded" if sorting.corrected else "included", "window": 0.2}
    _shift(sorting)
    sorting.frames = sorting.longest = sorting.rows("frame_decoder.V")
    sorting.fixed |= {
        "objects": 1 + sorting.rows("patch_prototype_weight.2.bias"),
        "phrases": sorting.rows("word_prototype_weight.2.bias"),
        "events": sorting.rows("event_decoder.V"),
        "max_frames": sorting.frames,
    }

    def rename(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        renamed, dead = prost_weights_from_release(weights)
        sorting.dead += dead
        return renamed

    # All that is left: the names of ProST's parts have no common beginning.
    sorting.take("", rename)
    for side in ("frame", "event"):
        sorting.fixed[f"{side}_layers"] = sorting.blocks(f"{side}_decoder.layers.")


def _xpool(sorting: _Sorting) -> None:
    """Sort the attention over frames; its dropout is training's, and one head is what all scripts have."""
    sorting.take("pool_frames.", pooling_weights_from_release, "interactions.0.", strip="pool_frames.")
    # The released code cuts texts at the tower's end, and all its scripts look at 12 frames.
    sorting.frames, sorting.max_words = 12, sorting.positions


def _clip2video(sorting: _Sorting) -> None:
    """Sort the temporal blocks; both ways to enhance frames have the same weights, so one is assumed."""
    kind = "none"
    if sorting.has("type_position_embeddings."):
        kind = "linear" if sorting.has("frame2t_projection") else "plain"
        kind = "attention" if sorting.has("frame2t_attention.") else kind
    if kind in ("plain", "none"):
        sorting.drop("trans_layernorm.")  # built whatever it is used for
    sorting.fixed["temporal_difference"] = kind
    if sorting.has("actionClip.", "weight_center"):
        sorting.fixed["centres"] = sorting.rows("weight_center")
        sorting.assumed["temporal_alignment"] = "auto"
        sorting.assumed["alignment_weight"] = 0.5
    else:
        sorting.fixed["temporal_alignment"] = "none"
    sorting.longest = sorting.fixed["max_frames"] = sorting.rows(_POSITIONS)
    sorting.take("", clip2video_weights_from_release)
    sorting.fixed["temporal_layers"] = sorting.blocks("temporal.blocks.")


def _shift(sorting: _Sorting) -> None:
    """Blocks with token shift are those that stand in a wrapper (``attn.net``)."""
    if sorting.shifted:
        sorting.fixed["shift_blocks"] = sorting.shifted
    elif "shift_blocks" not in sorting.given:
        raise WeightsError(
            f"{sorting.source}: no block of the image tower is marked as shifted (attn.net); say which ones "
            "are with --set shift_blocks=[10,11], or --set shift_blocks=[] for none"
        )


PROJECTS: dict[str, Callable[[_Sorting], None]] = {
    "clip4clip": _clip4clip,
    "drl": _drl,
    "xclip": _xclip,
    "ts2net": _ts2net,
    "prost": _prost,
    "xpool": _xpool,
    "clip2video": _clip2video,
}
"""Project -> how its weights beside the CLIP are sorted; each is a method of the same name."""


def read_release(
    weights: Mapping[str, Tensor],
    project: str,
    source: str,
    *,
    frames: int | None = None,
    max_words: int | None = None,
    corrected: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> Release:
    """Read a released checkpoint: a whole model with its CLIP, under the project's own names.

    Args:
        weights: fp16 or fp32, with or without ``module.`` before every key.
        project: a key of :data:`PROJECTS`.
        source: where the weights come from, for messages.
        frames: frames that a video is read with; asked for where the weights do not say it.
        max_words: longest text in tokens; asked for where the weights do not say it.
        corrected: leave padding out, as methods here do by default, instead of treating it as the released
            code does.
        arguments: of the method, where shapes cannot tell.

    Raises:
        WeightsError: something must be asked for, contradicts the checkpoint, or does not fit; every missing,
            unexpected and misshapen key is listed.
        ValueError: the project or an argument is unknown.
    """
    if project not in PROJECTS:
        raise ValueError(f"project is {project!r}, expected one of {', '.join(PROJECTS)}")
    bare = _without_prefix(weights)
    clip, shifted = _clip_weights(bare, source, project)
    rest = {key: value for key, value in bare.items() if not key.startswith("clip.")}
    given = dict(arguments or {})
    backbone, renamed, unknown = _renamed_clip(clip)
    positions = backbone["text_config"]["max_position_embeddings"]
    sorting = _Sorting(source, rest, given, corrected, shifted, positions)
    PROJECTS[project](sorting)
    everything = {f"towers.clip.{key}": value for key, value in renamed.items()} | sorting.weights
    strange = [*(f"clip.{key}" for key in unknown), *sorting.unknown, *sorting.left]
    chosen = _arguments(sorting)
    method = assemble_method(project, backbone, chosen, everything, source=source, unknown=strange)
    return Release(
        method,
        project,
        chosen,
        _frames(sorting, frames, method.full_width),
        _words(sorting, max_words, method.full_width),
        sorted(sorting.dead),
        sorting.cut,
        {key: value for key, value in sorting.assumed.items() if key not in given},
    )


def _without_prefix(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off the ``module.`` that training on several GPUs leaves before every key."""
    # All keys or none: a mere part of that name would not stand before every key.
    wrapped = all(key.startswith("module.") for key in weights)
    return {key.removeprefix("module.") if wrapped else key: value for key, value in weights.items()}


def _clip_weights(
    weights: Mapping[str, Tensor], source: str, project: str
) -> tuple[dict[str, Tensor], list[int]]:
    """The CLIP under OpenAI's names, and the blocks of its image tower that shift tokens."""
    clip = {key.removeprefix("clip."): value for key, value in weights.items() if key.startswith("clip.")}
    if not clip:
        shown = ", ".join(sorted(weights)[:5])
        raise WeightsError(
            f"{source} has no weights under clip. (it has {shown}, ...), so it is no whole model of "
            f"{project}; for a plain CLIP use --from openai"
        )
    shifted: set[int] = set()
    if project in ("ts2net", "prost"):
        for key in list(clip):
            part = _SHIFTED.fullmatch(key)
            bare = key.replace(".attn.net.", ".attn.")
            # Where both are there, the wrapped one stays, and is listed as strange.
            if part and bare not in clip:
                shifted.add(int(part[1]))
                clip[bare] = clip.pop(key)
    return clip, sorted(shifted)


def _renamed_clip(clip: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor], list[str]]:
    """Config and weights of a CLIP, and its strange keys; under OpenAI's names or those of transformers."""
    # X-Pool has the CLIP of transformers inside, under its names; all others have OpenAI's.
    if not any(key.startswith("vision_model.") for key in clip):
        return clip_config_from_openai(clip), *clip_weights_from_openai(clip)
    shapes = {_SHAPES[key]: value for key, value in clip.items() if key in _SHAPES}
    for key, value in clip.items():
        block = _FIRST_OF_MLP.fullmatch(key)
        if block:
            shapes[f"{_TOWER[block[1]]}.resblocks.{block[2]}.mlp.c_fc.weight"] = value
        if key == "text_projection.weight":
            # A linear layer stores (out, in), OpenAI's parameter is (in, out).
            shapes["text_projection"] = value.T
    # Older versions of transformers also store the numbers of the positions, which are no weights.
    weights = {key: value for key, value in clip.items() if not key.endswith("position_ids")}
    return clip_config_from_openai(shapes), weights, []


def _arguments(sorting: _Sorting) -> dict[str, Any]:
    wrong = [
        f"{key} is {sorting.fixed[key]!r}, not {value!r}"
        for key, value in sorting.given.items()
        if key in sorting.fixed and value != sorting.fixed[key]
    ]
    if wrong:
        raise WeightsError(f"{sorting.source}: the checkpoint itself says that {'; '.join(wrong)}")
    # What is given wins over what is assumed; it cannot differ from what is fixed.
    return sorting.assumed | sorting.fixed | dict(sorting.given)


def _frames(sorting: _Sorting, frames: int | None, full_width: bool) -> int:
    if sorting.frames is not None and frames in (None, sorting.frames):
        return sorting.frames
    if frames is None:
        _ask(sorting, "how many frames a video is read with", "--frames", _LAST_FRAME)
    # Where padding is scored, another width is another model.
    if sorting.frames is not None and full_width:
        raise WeightsError(
            f"{sorting.source}: --frames is {frames}, its weights are made for {sorting.frames}"
        )
    if sorting.longest is not None and frames > sorting.longest:
        raise WeightsError(
            f"{sorting.source}: --frames is {frames}, its weights know at most {sorting.longest} frames"
        )
    return frames


def _words(sorting: _Sorting, max_words: int | None, full_width: bool) -> int:
    known = sorting.max_words
    if known is None:
        if max_words is None:
            _ask(sorting, "how many tokens a text is cut or padded to", "--max-words", _LAST_WORD)
        return max_words
    if max_words is not None and (max_words > known or (full_width and max_words != known)):
        raise WeightsError(f"{sorting.source}: --max-words is {max_words}, its weights are made for {known}")
    return known if max_words is None else max_words


def _ask(sorting: _Sorting, what: str, option: str, usual: str) -> NoReturn:
    raise WeightsError(
        f"{sorting.source}: {what} is not in the weights; say it with {option} "
        f"(in the released scripts {usual})"
    )
