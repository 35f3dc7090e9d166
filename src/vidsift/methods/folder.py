"""A model as a folder: ``config.json``, ``model.safetensors``, the tokenizer's files and a card to read."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.state_dict import UNSAVED, load_strictly, non_finite, require_finite
from vidsift.encoders.tokenizer import Tokenizer
from vidsift.errors import ModelFolderError
from vidsift.files.disk_errors import saving
from vidsift.files.whole import whole_files
from vidsift.methods.base import Method
from vidsift.methods.catalog import build_method, saved_arguments
from vidsift.video.preprocessing import Preprocessing

__all__ = [
    "FORMAT",
    "SAVING",
    "ModelParts",
    "assemble_method",
    "holds_model",
    "read_model_folder",
    "weights_digest",
    "write_model_folder",
]

FORMAT = 1
"""Version of the folder's layout; a change that older code would misread raises it."""

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
SAVING = "saving"
"""What :func:`write_model_folder` writes first: all files of a model, before they are put in place."""
# "reading" is what files of every version call the preprocessing.
_DECIDING = ("method", "arguments", "backbone", "reading", "max_words")
# Written by transformers, with values that change with its version and no feature.
_PASSING = frozenset({"transformers_version", "_name_or_path", "torch_dtype", "dtype", "architectures"})


@dataclass(frozen=True, eq=False)
class ModelParts:
    """All that a model is and that its folder holds; :class:`~vidsift.Model` computes with it.

    Attributes:
        method: the network.
        tokenizer: words to ids.
        preprocessing: how a stretch of video is looked at.
        method_name: in the catalogue.
        arguments: that the method was built with, as they are recorded.
        max_words: longest text in tokens.
        name: what people call the model.
        card: sections of the model card, title -> text or table (a mapping).
    """

    method: Method
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    method_name: str
    arguments: Mapping[str, Any]
    max_words: int
    name: str
    card: Mapping[str, Any]

    def config(self) -> dict[str, Any]:
        """Return what ``config.json`` holds of them, weights and fingerprint left out."""
        return {
            "name": self.name,
            "method": self.method_name,
            "arguments": dict(self.arguments),
            "reading": self.preprocessing.to_dict(),
            "max_words": self.max_words,
            "backbone": _backbone_config(self.method.towers),
            "card": dict(self.card),
        }

    def fingerprint_with(self, digest: str) -> str:
        """SHA-256 over all that decides features: config (name and card do not count) and weights.

        Args:
            digest: :func:`weights_digest` of the weights.
        """
        return _fingerprint(self.config(), digest)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and fp32 values: the weights as they compute, however they are stored."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        # fp32 whatever is stored, so that one model has one digest; NumPy has no bf16 either.
        values = weights[name].detach().to(device="cpu", dtype=torch.float32).contiguous()
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).numpy().view(np.uint8).data)
    return digest.hexdigest()


def _fingerprint(config: Mapping[str, Any], digest: str) -> str:
    deciding = {name: config[name] for name in _DECIDING}
    # Sorted and without spaces: one text for one content, whoever wrote the file.
    text = json.dumps([deciding, digest], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_model_folder(folder: Path, name: str) -> tuple[ModelParts, str]:
    """Read a model.

    Args:
        folder: written by :func:`write_model_folder`.
        name: of a model whose config says none.

    Returns:
        The model's parts, the method in fp32 and evaluation mode, and the fingerprint: by ``config.json``,
        with the digest of the weights that it states.

    Raises:
        ModelFolderError: if the folder is not ours or of another format, or its files do not fit.
    """
    config = _read_config(folder)
    try:
        parts = ModelParts(
            method=_read_method(folder, config),
            tokenizer=Tokenizer.from_folder(folder),
            preprocessing=Preprocessing.from_dict(config["reading"]),
            method_name=config["method"],
            arguments=dict(config["arguments"]),
            max_words=config["max_words"],
            name=config.get("name", name),
            card=dict(config.get("card") or {}),
        )
    # A ValueError as well, which names its folder already.
    except ModelFolderError:
        raise
    except ValueError as error:
        raise ModelFolderError(f"{folder}: {error}") from error
    # Of the config as it stands there: what an earlier version wrote keeps its fingerprint.
    return parts, _fingerprint(config, config["weights"]["digest"])


def _read_config(folder: Path) -> dict[str, Any]:
    """Read and check ``config.json``.

    Raises:
        ModelFolderError: if it is absent, not ours, of another format, or incomplete.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ModelFolderError(
            f"{folder}: there is no {CONFIG}, so this is not a model folder (or saving it was interrupted); "
            "name a folder written by vidsift or a CLIP checkpoint"
        )
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFolderError(f"{path}: not readable as JSON ({error}); restore the file") from error
    if not _is_vidsift_config(config):
        raise ModelFolderError(f"{path}: not the config of a vidsift model (no 'format' and 'method')")
    if config["format"] != FORMAT:
        newer = isinstance(config["format"], int) and config["format"] > FORMAT
        remedy = "update vidsift" if newer else "save the model again with this version of vidsift"
        raise ModelFolderError(
            f"{folder}: model folder of format {config['format']!r}, this version reads format {FORMAT}; "
            f"{remedy}"
        )
    missing = [name for name in (*_DECIDING, "weights") if name not in config]
    if missing:
        raise ModelFolderError(
            f"{path}: lacks {', '.join(missing)}; restore the file or save the model again"
        )
    return dict(config)


def holds_model(folder: Path) -> bool:
    """Whether a folder is one of ours, or the rest of one; a CLIP folder has a config of another kind."""
    path = folder / CONFIG
    if not path.is_file():
        return (folder / WEIGHTS).is_file()
    try:
        return _is_vidsift_config(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return True  # no JSON at all: reading the model says what is wrong


def _is_vidsift_config(config: Any) -> bool:
    """Whether the content of a ``config.json`` says that it is one of ours."""
    return isinstance(config, dict) and "format" in config and "method" in config


def _read_method(folder: Path, config: Mapping[str, Any]) -> Method:
    """Build the method that the config names and give it the folder's weights, in fp32.

    Raises:
        ModelFolderError: if the weights are absent, not those that were saved, or do not fit; every missing,
            unexpected and misshapen key is listed.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelFolderError(f"{folder}: {WEIGHTS} is missing; restore the file or save the model again")
    # The size alone: a digest would read all weights once more at every start.
    size = path.stat().st_size
    if size != config["weights"]["bytes"]:
        raise ModelFolderError(
            f"{path}: {size} bytes, but {CONFIG} was written for {config['weights']['bytes']}; the two files "
            "do not belong together or a copy was cut short: copy the folder again"
        )
    try:
        weights = load_file(path)
    # safetensors has an error of its own, which is none of the usual kinds.
    except Exception as error:
        raise ModelFolderError(
            f"{path}: not readable as safetensors ({error}); copy the folder again"
        ) from error
    arguments = saved_arguments(config["method"], config["arguments"])
    return assemble_method(config["method"], config["backbone"], arguments, weights, source=str(path))


def assemble_method(
    name: str,
    backbone: Mapping[str, Any],
    arguments: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    source: str,
    unknown: Sequence[str] = (),
) -> Method:
    """Build a method and give it all its weights, in fp32 and evaluation mode.

    Args:
        name: in the catalogue.
        backbone: the config of the CLIP towers, as transformers writes it into ``config.json``.
        arguments: of the method.
        weights: the method's state dict.
        source: where the weights come from, for messages.
        unknown: keys of the source that already had no counterpart when they were renamed.

    Raises:
        ValueError: if the method or an argument is refused, or listing every missing, unexpected and
            misshapen key.
    """
    # Neither memory nor random numbers for weights that are replaced at once.
    with torch.device("meta"):
        method = build_method(name, ClipTowers(backbone), arguments)
    load_strictly(method, weights, source, unknown)
    _number_positions(method, source)
    return method.eval()


def _number_positions(method: Method, source: str) -> None:
    """Fill in the positions, which are no weights and so not stored."""
    for name, buffer in list(method.named_buffers()):
        if not buffer.is_meta:
            continue
        if not name.endswith("position_ids"):
            raise ModelFolderError(f"{source}: no value for {name}; save the model again")
        owner = method.get_submodule(name.rpartition(".")[0])
        # As transformers makes them; it stores none of them either.
        owner.register_buffer("position_ids", torch.arange(buffer.shape[-1]).expand(1, -1), persistent=False)


def write_model_folder(folder: Path, parts: ModelParts, *, dtype: torch.dtype) -> str:
    """Write tokenizer, card, weights and, last, the config: a folder without one is no model.

    Args:
        folder: created where absent; a model in it is replaced.
        parts: what is stored.
        dtype: type that floating point weights are stored in.

    Returns:
        The fingerprint of what was written.

    Raises:
        ValueError: if a weight does not fit into ``dtype``, is NaN or infinite.
        NotSavedError: the disk takes no more; a model that was there stays.
    """
    weights = parts.method.state_dict()
    require_finite(weights, "the model", UNSAVED)
    stored = {name: _as_stored(name, value, dtype) for name, value in weights.items()}
    digest = weights_digest(stored)
    fingerprint = parts.fingerprint_with(digest)
    whole = {
        "format": FORMAT,
        **parts.config(),
        # The bytes are known once the file is written.
        "weights": {"dtype": str(dtype).removeprefix("torch."), "bytes": 0, "digest": digest},
        "fingerprint": fingerprint,
    }
    with saving("the model", folder):
        folder.mkdir(parents=True, exist_ok=True)
        # All is written before the model that may be there is touched: a full disk leaves it whole.
        with whole_files(folder, SAVING, last=CONFIG) as temporary:
            parts.tokenizer.save(temporary)
            (temporary / CARD).write_text(_card_text(parts), encoding="utf-8")
            save_file(stored, temporary / WEIGHTS)
            whole["weights"]["bytes"] = (temporary / WEIGHTS).stat().st_size
            _write_json(temporary / CONFIG, whole)
    return fingerprint


def _backbone_config(towers: ClipTowers) -> dict[str, Any]:
    """Return the towers' config as plain values, without what does not decide features (versions, paths)."""
    # Through JSON: the fingerprint is of what the file will hold, in which types are words.
    deciding: dict[str, Any] = json.loads(json.dumps(_without_passing(towers.config.to_dict()), default=str))
    return deciding


def _without_passing(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_passing(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in _PASSING
    }


def _as_stored(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    rounded = value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype)
    if non_finite({name: rounded}):
        raise ValueError(f"{name} holds values too large for {dtype}; save the model in torch.float32")
    # safetensors refuses tensors that share memory.
    return rounded.contiguous().clone()


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _card_text(parts: ModelParts) -> str:
    """Compose the model card, for the person who finds the folder: markdown."""
    method, video = parts.method, parts.preprocessing
    about, source = _docstring(method)
    terms = ", ".join(f"{term.weight:g} x {term.name}" for term in method.terms)
    parameters = sum(value.numel() for value in method.parameters())
    arguments = ", ".join(f"{name}={value}" for name, value in parts.arguments.items()) or "none"
    lines = [
        f"# {parts.name}",
        "",
        f"A text-video retrieval model of vidsift: method `{parts.method_name}`.",
        "",
        about,
        *(["", f"Source: {source}"] if source else []),
        "",
        "## Use",
        "",
        "```python",
        "import vidsift",
        "",
        'model = vidsift.load("path/to/this/folder")',
        'model.similarity(["a dog catches a frisbee"], ["video.mp4"])',
        "```",
        "",
        "## Facts",
        "",
        f"- Arguments: {arguments}",
        f"- Similarity: {terms}",
        f"- Parameters: {parameters:,}; shared space of {method.towers.dim} channels",
        f"- Video: at most {video.frames} frames of {video.size_px} px, sampling `{video.sampling}`",
        f"- Text: at most {parts.max_words} tokens, start and end included",
    ]
    for title, content in parts.card.items():
        lines += ["", f"## {title}", "", *_section(content)]
    return "\n".join(lines) + "\n"


def _docstring(method: Method) -> tuple[str, str]:
    """What the paper's file says it is, and the source that its class names."""
    module = inspect.getdoc(sys.modules[type(method).__module__]) or ""  # python -OO strips docstrings
    text = inspect.getdoc(type(method)) or ""
    source = next((line for line in text.splitlines() if line.startswith("Source: ")), "")
    return module, source.removeprefix("Source: ")


def _section(content: Any) -> list[str]:
    if not isinstance(content, Mapping):
        return [str(content)]
    rows = [f"| {name} | {_cell(value)} |" for name, value in content.items()]
    return ["| | |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
