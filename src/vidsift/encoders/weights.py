"""Find, load and save CLIP checkpoints: folders, hub names, OpenAI's files, plain state dicts.

Nothing that can run code is opened: safetensors, ``torch.load(weights_only=True)``, and TorchScript archives
whose SHA-256 OpenAI published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from vidsift.encoders.clip import AttentionKind, ClipTowers
from vidsift.encoders.openai_weights import (
    clip_config_from_openai,
    clip_weights_from_openai,
    is_torchscript,
    looks_like_openai,
    read_torchscript,
)
from vidsift.encoders.pixels import OPENAI_MEAN, OPENAI_STD, PixelNorm
from vidsift.encoders.state_dict import UNSAVED, load_strictly, require_finite
from vidsift.encoders.tokenizer import Tokenizer
from vidsift.errors import WeightsError
from vidsift.files.disk_errors import plain_words, saving
from vidsift.files.whole import whole_files, write_json_whole

__all__ = [
    "LoadedClip",
    "load_clip",
    "pinned_name",
    "read_state_dict",
    "save_clip",
    "towers_from_openai",
    "with_tokenizer",
]

_COMMIT = re.compile("[0-9a-f]{40}")
_VOCABULARY_FILE = "bpe_simple_vocab_16e6.txt.gz"
_SETTINGS = ("*.json", "merges.txt")
# With a star: large checkpoints come in several files.
_SAFE, _PICKLED = "model*.safetensors", "pytorch_model*.bin"
# Index tables that older checkpoints stored as if they were weights.
_NOT_WEIGHTS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")


class LoadedClip(NamedTuple):
    """What a CLIP checkpoint gives; unpacks as ``towers, tokenizer, norm``."""

    towers: ClipTowers
    tokenizer: Tokenizer
    norm: PixelNorm


def load_clip(
    name_or_folder: str | Path,
    *,
    attention: AttentionKind = "sdpa",
    vocabulary: str | Path | None = None,
    trust_torchscript: bool = False,
) -> LoadedClip:
    """Load a CLIP in fp32, ready to encode (evaluation mode).

    Args:
        name_or_folder: a checkpoint folder of ``transformers``' form, the name of one on the Hugging Face
            hub, as ``NAME@REVISION`` no other than that revision, or a single file with OpenAI's names (a
            published archive, a plain state dict, safetensors).
        attention: see ``ClipTowers``.
        vocabulary: for a single file: OpenAI's BPE vocabulary file or a folder with tokenizer files; looked
            for beside the file when None.
        trust_torchscript: open a TorchScript archive that OpenAI did not publish.

    Raises:
        WeightsError: it cannot be found, read or trusted, or its weights do not fit (every key is listed).
    """
    path = Path(name_or_folder).expanduser()
    if path.is_file():
        weights = read_state_dict(path, trust_torchscript=trust_torchscript)
        return with_tokenizer(
            towers_from_openai(weights, str(path), attention=attention), path, vocabulary=vocabulary
        )
    folder = path if path.is_dir() else _download(str(name_or_folder))
    config = _read_config(folder)
    weights = _read_folder(folder)
    model = _empty_model(config)
    load_strictly(model, {k: v for k, v in weights.items() if k not in _NOT_WEIGHTS}, str(folder))
    towers = ClipTowers(_with_positions(model), attention=attention).eval()
    try:
        tokenizer = Tokenizer.from_folder(folder)
    except (FileNotFoundError, ValueError) as error:
        raise WeightsError(str(error)) from error
    return _checked(towers, tokenizer, _read_norm(folder, towers.image_size_px), str(folder))


def with_tokenizer(
    towers: ClipTowers, path: str | Path, *, vocabulary: str | Path | None = None
) -> LoadedClip:
    """Give towers the tokenizer that stands beside their weights file, and CLIP's colours.

    Args:
        towers: as read from ``path``.
        path: the weights file.
        vocabulary: see :func:`load_clip`.

    Raises:
        WeightsError: there is no vocabulary, or it has more entries than the text tower.
    """
    tokenizer = _vocabulary_of_file(Path(path), vocabulary)
    return _checked(towers, tokenizer, PixelNorm(towers.image_size_px), str(path))


def save_clip(folder: str | Path, towers: ClipTowers, tokenizer: Tokenizer, norm: PixelNorm) -> None:
    """Write a checkpoint folder that ``load_clip`` and ``transformers`` read.

    Args:
        folder: made when absent; files of the same names are replaced.
        towers: its ``clip`` becomes ``config.json`` and ``model.safetensors``.
        tokenizer: becomes the tokenizer files.
        norm: becomes ``preprocessor_config.json``.

    Raises:
        ValueError: the text tower has windows, which ``transformers`` would leave out without a word.
        NonFiniteWeightsError: a weight is NaN or infinite.
        NotSavedError: the disk takes no more.
    """
    folder = Path(folder)
    if towers.text_windows is not None:
        raise ValueError(
            f"the tokens of this text tower see {list(towers.text_windows)} tokens to either side, block by "
            "block; a plain CLIP would see everything before them, and compute something else. Save the "
            "model itself, with save(), for vidsift"
        )
    # Contiguous: safetensors takes nothing else.
    weights = {key: value.detach().cpu().contiguous() for key, value in towers.clip.state_dict().items()}
    require_finite(weights, "the model", UNSAVED)
    # save_pretrained of the model, which is not called here, would have set it.
    towers.config.architectures = [type(towers.clip).__name__]
    side = {"height": norm.size_px, "width": norm.size_px}
    settings = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": norm.size_px},
        "resample": 3,  # bicubic, by Pillow's number
        "do_center_crop": True,
        "crop_size": side,
        "do_convert_rgb": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(norm.mean),
        "image_std": list(norm.std),
    }
    with saving("the towers", folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Nothing is loaded without its config: a killed process leaves the old checkpoint, or none.
        with whole_files(folder, "checkpoint", last="config.json") as temporary:
            # Written by hand: save_pretrained of the model draws a progress bar.
            towers.config.save_pretrained(temporary)
            save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
            tokenizer.save(temporary)
            write_json_whole(temporary / "preprocessor_config.json", settings)


def towers_from_openai(
    weights: Mapping[str, Tensor], source: str, *, attention: AttentionKind = "sdpa"
) -> ClipTowers:
    """Build the towers that a state dict with OpenAI's names describes, in fp32 and evaluation mode.

    Args:
        weights: OpenAI's names without a prefix; fp16 is converted.
        source: where they come from, for messages.
        attention: see ``ClipTowers``.

    Raises:
        WeightsError: the names are not OpenAI's, or listing every missing, unexpected or misshapen key.
    """
    if not looks_like_openai(weights):
        shown = ", ".join(sorted(weights)[:5])
        raise WeightsError(
            f"{source} does not hold OpenAI's names for CLIP weights (it has {shown}, ...); for a checkpoint "
            "of transformers give the folder with its config.json"
        )
    model = _empty_model(CLIPConfig.from_dict(clip_config_from_openai(weights)))
    renamed, unknown = clip_weights_from_openai(weights)
    load_strictly(model, renamed, source, unknown)
    return ClipTowers(_with_positions(model), attention=attention).eval()


def read_state_dict(path: str | Path, *, trust_torchscript: bool = False) -> dict[str, Tensor]:
    """Read the tensors of one weights file without running code from it.

    Args:
        path: safetensors, a file of ``torch.save``, or a TorchScript archive (see ``read_torchscript``).
        trust_torchscript: open an archive that OpenAI did not publish.

    Raises:
        WeightsError: the file needs unpickling, or is not a flat mapping of names to tensors.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except Exception as error:  # SafetensorError derives from Exception alone
            raise WeightsError(f"{path} cannot be read as safetensors: {error}; fetch it again") from error
    if is_torchscript(path):
        return read_torchscript(path, trust=trust_torchscript)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and key errors all mean the same here
        raise WeightsError(
            f"{path} holds more than plain tensors, or is damaged, and is refused: opening it could run "
            "code. Save its state dict as safetensors where you trust it, and give that file"
        ) from error
    return _flat(content, path)


def _flat(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the mapping of names to tensors in what a file held, at most one level down."""
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a mapping of names to tensors")
    strange = sorted(str(key) for key, value in content.items() if not isinstance(value, Tensor))
    if strange:
        raise WeightsError(
            f"{path} holds entries that are not tensors: {', '.join(strange)}; "
            "save the model's state dict alone"
        )
    return {str(key): value for key, value in content.items()}


def _empty_model(config: CLIPConfig) -> CLIPModel:
    """Build the model without memory for weights; ``load_strictly`` gives it those of the file."""
    # Drawing weights that the file replaces at once would take longer than reading it.
    with torch.device("meta"):
        return CLIPModel(config)


def _with_positions(model: CLIPModel) -> CLIPModel:
    """Number the positions, which are no weights and so not in a checkpoint."""
    for module in model.modules():
        table = getattr(module, "position_ids", None)
        if isinstance(table, Tensor):
            module.position_ids = nn.Buffer(torch.arange(table.shape[-1]).expand(1, -1), persistent=False)
    return model


def _checked(towers: ClipTowers, tokenizer: Tokenizer, norm: PixelNorm, source: str) -> LoadedClip:
    rows = towers.clip.text_model.embeddings.token_embedding.num_embeddings
    if tokenizer.vocabulary_size > rows:
        raise WeightsError(
            f"{source}: the tokenizer has {tokenizer.vocabulary_size} entries but the text tower {rows}; "
            "they come from different checkpoints"
        )
    if norm.size_px != towers.image_size_px:
        raise WeightsError(
            f"{source}: preprocessor_config.json crops to {norm.size_px} px but the vision tower takes "
            f"{towers.image_size_px} px; they come from different checkpoints"
        )
    return LoadedClip(towers, tokenizer, norm)


def _vocabulary_of_file(path: Path, vocabulary: str | Path | None) -> Tokenizer:
    source = Path(vocabulary) if vocabulary is not None else path.parent / _VOCABULARY_FILE
    if vocabulary is None and not source.is_file():
        source = path.parent
    try:
        return Tokenizer.from_folder(source) if source.is_dir() else Tokenizer.from_bpe_file(source)
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path} holds weights but no vocabulary; put OpenAI's {_VOCABULARY_FILE} beside it, or name "
            "that file or a folder with tokenizer files as vocabulary"
        ) from error


def _read_config(folder: Path) -> CLIPConfig:
    file = folder / "config.json"
    if not file.is_file():
        raise WeightsError(
            f"{folder} has no config.json, so it is not a CLIP checkpoint; give a folder that has one"
        )
    try:
        kind = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise WeightsError(f"{file} is not a config: {error}; copy it from the checkpoint again") from error
    if kind != "clip":
        raise WeightsError(
            f"{folder} holds a model of type {kind!r}, expected 'clip'; give a CLIP checkpoint"
        )
    return CLIPConfig.from_pretrained(folder)


def _read_folder(folder: Path) -> dict[str, Tensor]:
    files = sorted(folder.glob(_SAFE)) or sorted(folder.glob(_PICKLED))
    if not files:
        raise WeightsError(f"{folder} has no weights: expected model.safetensors (or pytorch_model.bin)")
    weights: dict[str, Tensor] = {}
    for file in files:
        weights.update(read_state_dict(file))
    return weights


def _read_norm(folder: Path, side_px: int) -> PixelNorm:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return PixelNorm(side_px)
    settings = json.loads(file.read_text(encoding="utf-8"))
    if not settings.get("do_normalize", True):
        # Only the scale to 0 to 1 is left, which PixelNorm always does.
        return PixelNorm(_side(settings, side_px), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    mean, std = settings.get("image_mean", OPENAI_MEAN), settings.get("image_std", OPENAI_STD)
    if len(mean) != 3 or len(std) != 3:
        raise WeightsError(f"{file}: image_mean {mean} and image_std {std} must have three colours each")
    return PixelNorm(_side(settings, side_px), _colours(mean), _colours(std))


def _colours(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _side(settings: dict[str, Any], default_px: int) -> int:
    crop = settings.get("crop_size", default_px)
    return int(crop.get("height", default_px) if isinstance(crop, dict) else crop)


def pinned_name(name_or_folder: str | Path) -> str:
    """Return the name that gives the same weights for ever: of the hub's, the name with its commit.

    Args:
        name_or_folder: of a checkpoint that was loaded, so that the hub's cache has it.
    """
    text = str(name_or_folder)
    if Path(text).expanduser().exists():
        return text
    folder = _download(text, local_files_only=True)
    # The cache keeps each commit in a folder that is called by it.
    return f"{text.partition('@')[0]}@{folder.name}" if _COMMIT.fullmatch(folder.name) else text


def _download(name_and_revision: str, *, local_files_only: bool = False) -> Path:
    """Fetch a checkpoint from the hub, or take it from the hub's cache on this machine."""
    from huggingface_hub import snapshot_download

    name, at, revision = name_and_revision.partition("@")
    if at and not revision:
        raise WeightsError(
            f"{name_and_revision} names no revision; give a commit, a tag or a branch behind the @"
        )
    if (
        name.count("/") > 1
        or name.startswith((".", "~"))
        or Path(name).suffix in (".pt", ".pth", ".safetensors")
    ):
        raise WeightsError(f"{name} does not exist; give a checkpoint folder, a file, or a name on the hub")
    try:
        fetch = partial(snapshot_download, name, revision=revision or None, local_files_only=local_files_only)
        folder = Path(fetch(allow_patterns=[*_SETTINGS, _SAFE]))
        # Repositories often hold both; the pickled file is fetched only where it is the only one.
        if not any(folder.glob(_SAFE)):
            folder = Path(fetch(allow_patterns=[*_SETTINGS, _PICKLED]))
    except Exception as error:  # network, authentication, unknown name: the remedy is one
        raise WeightsError(
            f"{name_and_revision} is not a folder here and could not be fetched from the hub "
            f"({type(error).__name__}: {plain_words(error)}); check the name, or download the checkpoint on "
            "a machine with access and give its folder"
        ) from error
    return folder
