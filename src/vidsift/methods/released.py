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
from vidsift.methods.folder import assemble_method
from vidsift.methods.prost import prost_weights_from_release
from vidsift.methods.ts2net import selector_weights_from_release
from vidsift.methods.xclip import xclip_matrices_from_release

__all__ = ["PROJECTS", "Release", "read_release"]

_LAST_FRAME = "12 for MSR-VTT, MSVD, LSMDC and VATEX, 64 for DiDeMo and ActivityNet"
_LAST_WORD = "32 for MSR-VTT, MSVD, LSMDC and VATEX, 64 for DiDeMo and ActivityNet"
_SHIFTED = re.compile(r"visual\.transformer\.resblocks\.(\d+)\.attn\.net\.(.+)")
_WEIGHT_HEAD = re.compile(r"(text|video)_weight_fc\.(?:(\d+)\.)?(weight|bias)")
_POSITIONS = "frame_position_embeddings.weight"
_ACROSS_FRAMES = ("transformerClip.", "frame_position_embeddings.", "lstm_visual.")
_CROSS = ("cross.", "similarity_dense.")


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
        found = [
            int(key.removeprefix(prefix).split(".")[0]) for key in self.weights if key.startswith(prefix)
        ]
        return 1 + max(found, default=0)


def _clip4clip(found: _Sorting) -> None:
    if found.has(*_CROSS):
        found.fixed["head"] = "tightTransf"
        _cross(found)
        found.longest = found.fixed["max_frames"]
        return
    kind = _across_frames(found)
    found.fixed["head"] = {"none": "meanP", "lstm": "seqLSTM", "transformer": "seqTransf"}[kind]
    if kind == "transformer":
        found.fixed["max_frames"] = found.longest


def _cross(found: _Sorting) -> None:
    """Sort the cross transformer; one of its positions is the sentence's."""
    rows = found.rows("cross.embeddings.position_embeddings.weight")
    found.take(_CROSS, cross_weights_from_release, "interactions.0.")
    found.fixed |= {"cross_layers": found.blocks("interactions.0.blocks."), "max_frames": rows - 1}


def _across_frames(found: _Sorting) -> str:
    """Sort the head across frames and say which it is; the LSTM's positions are never read."""
    if found.has("lstm_visual."):
        found.drop("frame_position_embeddings.")
        found.take("lstm_visual.", temporal_weights_from_release, "temporal.")
        return "lstm"
    if not found.has(*_ACROSS_FRAMES):
        return "none"
    found.longest = found.rows(_POSITIONS)
    found.take(_ACROSS_FRAMES, temporal_weights_from_release, "temporal.")
    found.fixed["temporal_layers"] = found.blocks("temporal.blocks.")
    return "transformer"


def _drl(found: _Sorting) -> None:
    found.assumed["padding"] = "excluded" if found.corrected else "zero"
    if found.has("text_weight_fc.", "video_weight_fc."):
        found.fixed["interaction"] = "wti"
        found.take(("text_weight_fc.", "video_weight_fc."), _weight_heads, "interactions.0.")
        last = [key for key in found.weights if key.startswith("interactions.0.text_weight.")]
        found.fixed["weight_layers"] = 1 + max((int(key.split(".")[3]) for key in last), default=0) // 2
    elif found.has(*_CROSS):
        found.fixed["interaction"] = "xti"
        _cross(found)
    elif found.given.get("interaction") not in ("dp", "ti"):
        raise WeightsError(
            f"{found.source}: DRL's dp and ti have the same weights; say which it is with "
            "--set interaction=dp or --set interaction=ti"
        )
    found.fixed["temporal"] = _across_frames(found)
    if "max_frames" in found.fixed:
        found.longest = min(found.fixed["max_frames"], found.longest or found.fixed["max_frames"])
        found.fixed["max_frames"] = found.longest
        found.keep_rows("interactions.0.positions", found.longest + 1)
        found.keep_rows("temporal.positions", found.longest)
    elif found.longest is not None:
        found.fixed["max_frames"] = found.longest


def _weight_heads(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename WTI's heads; one of a single layer has no number there."""
    renamed: dict[str, Tensor] = {}
    for key, value in weights.items():
        part = _WEIGHT_HEAD.fullmatch(key)
        if part is None:
            raise ValueError(f"not part of a released weight head: {key}")
        renamed[f"{part[1]}_weight.{part[2] or 0}.{part[3]}"] = value
    return renamed


def _xclip(found: _Sorting) -> None:
    found.assumed["padding"] = "excluded" if found.corrected else "included"
    found.max_words, frames = found.rows("word_logit_weight"), found.rows("frame_logit_weight")
    found.take(
        ("global_mat", "local_mat", "word_logit", "frame_logit", "word_mat", "frame_mat"),
        xclip_matrices_from_release,
    )
    found.fixed["temporal"] = _across_frames(found)
    found.frames = found.longest = frames
    found.fixed |= {"max_words": found.max_words, "max_frames": frames}
    found.keep_rows("temporal.positions", frames)


def _ts2net(found: _Sorting) -> None:
    found.drop("visual_prompt_encoder.", "text_token_selector.")
    found.assumed["frame_mask"] = "frames" if found.corrected else "tiled"
    found.assumed["selected"] = 3
    _shift(found)
    selector = "visual_token_selector."
    found.take(selector, selector_weights_from_release, "selector.", strip=selector)
    found.rows(_POSITIONS)
    if _across_frames(found) != "transformer":
        raise WeightsError(f"{found.source}: an LSTM across frames, which ts2net here does not have")
    selected = found.given.get("selected", found.assumed["selected"])
    if not isinstance(selected, int) or selected < 1:
        raise WeightsError(f"{found.source}: --set selected={selected}, expected a number of patches")
    kept = 1 + selected
    found.longest = max(1, len(found.weights["temporal.positions"]) // kept)
    found.fixed["max_frames"] = found.longest
    found.keep_rows("temporal.positions", found.longest * kept)


def _prost(found: _Sorting) -> None:
    found.assumed |= {"padding": "excluded" if found.corrected else "included", "window": 0.2}
    _shift(found)
    found.frames = found.longest = found.rows("frame_decoder.V")
    found.fixed |= {
        "objects": 1 + found.rows("patch_prototype_weight.2.bias"),
        "phrases": found.rows("word_prototype_weight.2.bias"),
        "events": found.rows("event_decoder.V"),
        "max_frames": found.frames,
    }

    def rename(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        renamed, dead = prost_weights_from_release(weights)
        found.dead += dead
        return renamed

    found.take("", rename)
    for side in ("frame", "event"):
        found.fixed[f"{side}_layers"] = found.blocks(f"{side}_decoder.layers.")


def _shift(found: _Sorting) -> None:
    """Blocks with token shift are those that stand in a wrapper (``attn.net``)."""
    if found.shifted:
        found.fixed["shift_blocks"] = found.shifted
    elif "shift_blocks" not in found.given:
        raise WeightsError(
            f"{found.source}: no block of the image tower is marked as shifted (attn.net); say which ones "
            "are with --set shift_blocks=[10,11], or --set shift_blocks=[] for none"
        )


PROJECTS: dict[str, Callable[[_Sorting], None]] = {
    "clip4clip": _clip4clip,
    "drl": _drl,
    "xclip": _xclip,
    "ts2net": _ts2net,
    "prost": _prost,
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
    own = _without_prefix(weights)
    clip, shifted = _clip_weights(own, source, project)
    rest = {key: value for key, value in own.items() if not key.startswith("clip.")}
    given = dict(arguments or {})
    found = _Sorting(source, rest, given, corrected, shifted)
    PROJECTS[project](found)
    backbone = clip_config_from_openai(clip)
    renamed, unknown = clip_weights_from_openai(clip)
    everything = {f"towers.clip.{key}": value for key, value in renamed.items()} | found.weights
    strange = [*(f"clip.{key}" for key in unknown), *found.unknown, *found.left]
    chosen = _arguments(found)
    method = assemble_method(project, backbone, chosen, everything, source=source, unknown=strange)
    return Release(
        method,
        project,
        chosen,
        _frames(found, frames, method.full_width),
        _words(found, max_words, method.full_width),
        sorted(found.dead),
        found.cut,
        {key: value for key, value in found.assumed.items() if key not in given},
    )


def _without_prefix(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off the ``module.`` that training on several GPUs leaves before every key."""
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
            if part and bare not in clip:
                shifted.add(int(part[1]))
                clip[bare] = clip.pop(key)
    return clip, sorted(shifted)


def _arguments(found: _Sorting) -> dict[str, Any]:
    wrong = [
        f"{key} is {found.fixed[key]!r}, not {value!r}"
        for key, value in found.given.items()
        if key in found.fixed and value != found.fixed[key]
    ]
    if wrong:
        raise WeightsError(f"{found.source}: the checkpoint itself says that {'; '.join(wrong)}")
    return found.assumed | found.fixed | dict(found.given)


def _frames(found: _Sorting, frames: int | None, full_width: bool) -> int:
    if found.frames is not None and frames in (None, found.frames):
        return found.frames
    if frames is None:
        _ask(found, "how many frames a video is read with", "--frames", _LAST_FRAME)
    if found.frames is not None and full_width:
        raise WeightsError(f"{found.source}: --frames is {frames}, its weights are made for {found.frames}")
    if found.longest is not None and frames > found.longest:
        raise WeightsError(
            f"{found.source}: --frames is {frames}, its weights know at most {found.longest} frames"
        )
    return frames


def _words(found: _Sorting, max_words: int | None, full_width: bool) -> int:
    known = found.max_words
    if known is None:
        if max_words is None:
            _ask(found, "how many tokens a text is cut or padded to", "--max-words", _LAST_WORD)
        return max_words
    if max_words is not None and (max_words > known or (full_width and max_words != known)):
        raise WeightsError(f"{found.source}: --max-words is {max_words}, its weights are made for {known}")
    return known if max_words is None else max_words


def _ask(found: _Sorting, what: str, option: str, usual: str) -> NoReturn:
    raise WeightsError(
        f"{found.source}: {what} is not in the weights; say it with {option} "
        f"(in the released scripts {usual})"
    )
