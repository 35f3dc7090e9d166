"""A model as a folder: ``config.json``, ``model.safetensors``, the tokenizer's files and a card to read."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.finite import UNSAVED, non_finite, require_finite
from vidsift.encoders.strict import load_strictly
from vidsift.encoders.tokenizer import Tokenizer
from vidsift.files.saving import saving
from vidsift.files.whole import aside_of
from vidsift.methods.base import Method
from vidsift.methods.catalog import build_method, saved_arguments

__all__ = [
    "FORMAT",
    "SAVING",
    "ModelFolderError",
    "assemble_method",
    "backbone_config",
    "fingerprint_of",
    "holds_model",
    "is_vidsift_config",
    "read_config",
    "read_method",
    "weights_digest",
    "write_folder",
]

FORMAT = 1
"""Version of the folder's layout; a change that older code would misread raises it."""

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
SAVING = "saving"
"""What :func:`write_folder` writes aside: all files of a model, before they are put in place."""
_DECIDING = ("method", "arguments", "backbone", "reading", "max_words")
_PASSING = frozenset({"transformers_version", "_name_or_path", "torch_dtype", "dtype", "architectures"})


class ModelFolderError(ValueError):
    """A folder does not hold a model that this version can load."""


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and fp32 values: the weights as they compute, however they are stored."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().to(device="cpu", dtype=torch.float32).contiguous()
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).numpy().view(np.uint8).data)
    return digest.hexdigest()


def fingerprint_of(config: Mapping[str, Any], digest: str) -> str:
    """SHA-256 over all that decides features: method, arguments, backbone, reading, longest text, weights.

    Args:
        config: as in ``config.json``; other entries (name, card) do not count.
        digest: :func:`weights_digest` of the weights.
    """
    deciding = {name: config[name] for name in _DECIDING}
    text = json.dumps([deciding, digest], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
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
    if not is_vidsift_config(config):
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
        return is_vidsift_config(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return True


def is_vidsift_config(config: Any) -> bool:
    """Whether the content of a ``config.json`` says that it is one of ours."""
    return isinstance(config, dict) and "format" in config and "method" in config


def read_method(folder: Path, config: Mapping[str, Any]) -> Method:
    """Build the method that the config names and give it the folder's weights, in fp32.

    Raises:
        ModelFolderError: if the weights are absent, not those that were saved, or do not fit; every missing,
            unexpected and misshapen key is listed.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelFolderError(f"{folder}: {WEIGHTS} is missing; restore the file or save the model again")
    size = path.stat().st_size
    if size != config["weights"]["bytes"]:
        raise ModelFolderError(
            f"{path}: {size} bytes, but {CONFIG} was written for {config['weights']['bytes']}; the two files "
            "do not belong together or a copy was cut short: copy the folder again"
        )
    try:
        weights = load_file(path)
    except Exception as error:
        raise ModelFolderError(
            f"{path}: not readable as safetensors ({error}); copy the folder again"
        ) from error
    backbone = CLIPConfig.from_dict(dict(config["backbone"]))
    arguments = saved_arguments(config["method"], config["arguments"])
    return assemble_method(config["method"], backbone, arguments, weights, source=str(path))


def assemble_method(
    name: str,
    backbone: CLIPConfig,
    arguments: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    source: str,
    unknown: Sequence[str] = (),
) -> Method:
    """Build a method and give it all its weights, in fp32 and evaluation mode.

    Args:
        name: in the catalogue.
        backbone: of the CLIP towers.
        arguments: of the method.
        weights: the method's state dict.
        source: where the weights come from, for messages.
        unknown: keys of the source that already had no counterpart when they were renamed.

    Raises:
        ValueError: if the method or an argument is refused, or listing every missing, unexpected and
            misshapen key.
    """
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
        owner.register_buffer("position_ids", torch.arange(buffer.shape[-1]).expand(1, -1), persistent=False)


def write_folder(
    folder: Path,
    method: nn.Module,
    tokenizer: Tokenizer,
    *,
    config: Mapping[str, Any],
    card: str,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """Write tokenizer, card, weights and, last, the config: a folder without one is no model.

    Args:
        folder: created where absent; a model in it is replaced.
        method: its weights are stored.
        tokenizer: its files are stored.
        config: without "format", "weights" and "fingerprint", which are added.
        card: text of ``README.md``.
        dtype: type that floating point weights are stored in.

    Returns:
        The config as written.

    Raises:
        ValueError: if a weight does not fit into ``dtype``, is NaN or infinite.
        NotSavedError: the disk takes no more; a model that was there stays.
    """
    weights = method.state_dict()
    require_finite(weights, "the model", UNSAVED)
    stored = {name: _as_stored(name, value, dtype) for name, value in weights.items()}
    digest = weights_digest(stored)
    whole = {
        "format": FORMAT,
        **config,
        "weights": {"dtype": str(dtype).removeprefix("torch."), "bytes": 0, "digest": digest},
        "fingerprint": fingerprint_of(config, digest),
    }
    with saving("the model", folder):
        folder.mkdir(parents=True, exist_ok=True)
        # All is written before the model that may be there is touched: a full disk leaves it whole.
        with _aside(folder) as aside:
            tokenizer.save(aside)
            (aside / CARD).write_text(card, encoding="utf-8")
            save_file(stored, aside / WEIGHTS)
            whole["weights"]["bytes"] = (aside / WEIGHTS).stat().st_size
            _write_json(aside / CONFIG, whole)
            (folder / CONFIG).unlink(missing_ok=True)
            for file in sorted(aside.iterdir(), key=lambda one: one.name == CONFIG):
                file.replace(folder / file.name)
    return whole


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder in the folder, for files that are written before they are put in place."""
    aside = aside_of(folder / SAVING)
    shutil.rmtree(aside, ignore_errors=True)  # of a killed process that had this one's number
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def backbone_config(towers: ClipTowers) -> dict[str, Any]:
    """Return the towers' config as plain values, without what does not decide features (versions, paths)."""
    kept: dict[str, Any] = json.loads(json.dumps(_without_passing(towers.config.to_dict()), default=str))
    return kept


def _without_passing(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_passing(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in _PASSING
    }


def _as_stored(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    kept = value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype)
    if non_finite({name: kept}):
        raise ValueError(f"{name} holds values too large for {dtype}; save the model in torch.float32")
    return kept.contiguous().clone()


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
