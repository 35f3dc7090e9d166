"""Checkpoints found, refused, loaded whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from vidsift.encoders import weights as checkpoints
from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.openai_weights import PUBLISHED_SHA256
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import Tokenizer, train_tokenizer
from vidsift.encoders.weights import (
    load_clip,
    pinned_name,
    read_state_dict,
    save_clip,
    towers_from_openai,
)
from vidsift.errors import NotSavedError, WeightsError

PICTURES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a red square moves left then the blue disc grows slowly behind it"] * 2, 560)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    folder: Path, towers: ClipTowers, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", fail)
    with pytest.raises(NotSavedError, match="the towers could not be written"):
        save_clip(folder, towers, tokenizer, PixelNorm(32))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.fixture
def folder(towers: ClipTowers, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    save_clip(tmp_path / "clip", towers, tokenizer, PixelNorm(32, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    return tmp_path / "clip"


def openai_weights(width: int = 64, blocks: int = 2, vocabulary: int = 560) -> dict[str, Tensor]:
    """Make a random CLIP with OpenAI's names: 16 px pictures, 8 px patches, 12 text positions."""
    random = torch.Generator().manual_seed(0)

    def block(prefix: str) -> dict[str, tuple[int, ...]]:
        norms = {f"ln_{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
        shapes: dict[str, tuple[int, ...]] = {
            "attn.in_proj_weight": (3 * width, width),
            "attn.in_proj_bias": (3 * width,),
            "attn.out_proj.weight": (width, width),
            "attn.out_proj.bias": (width,),
            "mlp.c_fc.weight": (4 * width, width),
            "mlp.c_fc.bias": (4 * width,),
            "mlp.c_proj.weight": (width, 4 * width),
            "mlp.c_proj.bias": (width,),
            **norms,
        }
        return {prefix + key: shape for key, shape in shapes.items()}

    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (12, width),
        "text_projection": (width, 24),
        "logit_scale": (),
        "token_embedding.weight": (vocabulary, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (5, width),
        "visual.proj": (width, 24),
        "visual.conv1.weight": (width, 3, 8, 8),
        **{f"visual.ln_{norm}.{kind}": (width,) for norm in ("pre", "post") for kind in ("weight", "bias")},
    }
    for number in range(blocks):
        shapes |= block(f"transformer.resblocks.{number}.") | block(f"visual.transformer.resblocks.{number}.")
    return {key: torch.randn(shape, generator=random) * 0.1 for key, shape in shapes.items()}


@torch.no_grad()
def test_folder_round_trip(towers: ClipTowers, tokenizer: Tokenizer, folder: Path) -> None:
    loaded, words, norm = load_clip(folder)
    assert not loaded.training
    assert norm == PixelNorm(32, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert words.ids("the red disc") == tokenizer.ids("the red disc")
    for key, value in towers.clip.state_dict().items():
        assert torch.equal(loaded.clip.state_dict()[key], value), key
    assert torch.equal(loaded.encode_images(PICTURES), towers.encode_images(PICTURES))
    encoded = words.encode(["a red disc"], 12)
    ids, mask = encoded.ids, encoded.mask
    assert torch.equal(loaded.encode_text(ids, mask), towers.encode_text(ids, mask))
    assert load_clip(folder, attention="eager").towers.attention == "eager"


@torch.no_grad()
def test_transformers_loads_what_is_saved(towers: ClipTowers, tokenizer: Tokenizer, folder: Path) -> None:
    reference = CLIPModel.from_pretrained(folder)
    assert reference.state_dict().keys() == load_file(folder / "model.safetensors").keys()
    assert reference.config.architectures == ["CLIPModel"]
    features = reference.get_image_features(PICTURES).pooler_output
    torch.testing.assert_close(features, towers.encode_images(PICTURES)[:, 0], rtol=0, atol=1e-6)
    assert CLIPTokenizer.from_pretrained(folder)("the red disc")["input_ids"][0] == tokenizer.start_id
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    assert settings["crop_size"] == {"height": 32, "width": 32}


@torch.no_grad()
def test_half_precision_and_old_index_tables(towers: ClipTowers, folder: Path) -> None:
    file = folder / "model.safetensors"
    halves = {key: value.half() for key, value in load_file(file).items()}
    halves["text_model.embeddings.position_ids"] = torch.arange(12)[None]
    halves["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(halves, file)
    loaded = load_clip(folder).towers
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    assert all(weight.requires_grad for weight in loaded.parameters())
    expected = towers.encode_images(PICTURES)
    torch.testing.assert_close(loaded.encode_images(PICTURES), expected, rtol=0, atol=5e-3)


def test_every_key_that_does_not_fit_is_listed(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = load_file(file)
    del content["logit_scale"], content["text_projection.weight"]
    content["extra.weight"] = torch.zeros(2)
    content["visual_projection.weight"] = torch.zeros(24, 41)
    save_file(content, file)
    with pytest.raises(WeightsError) as caught:
        load_clip(folder)
    message = str(caught.value)
    assert "missing (2): logit_scale, text_projection.weight" in message
    assert "unexpected (1): extra.weight" in message
    assert "of another shape (1): visual_projection.weight is (24, 41), expected (24, 40)" in message


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")


def spoil_norm(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"crop_size": 224}', encoding="utf-8")


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop("config.json"), "has no config.json, so it is not a CLIP checkpoint"),
        (spoil_config, "a model of type 'bert', expected 'clip'"),
        (drop("model.safetensors"), "has no weights: expected model.safetensors"),
        (spoil_norm, "crops to 224 px but the vision tower takes 32 px"),
    ],
)
def test_folders_that_are_no_clip(folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(folder)
    with pytest.raises(WeightsError, match=message):
        load_clip(folder)


def test_tokenizer_of_another_checkpoint(towers: ClipTowers, folder: Path) -> None:
    letters = " ".join(chr(97 + first) + chr(97 + second) for first in range(20) for second in range(20))
    train_tokenizer([letters] * 2, 700).save(folder)
    with pytest.raises(WeightsError, match="the tokenizer has 700 entries but the text tower 560"):
        load_clip(folder)


def test_without_preprocessor_config_openais_colours_hold(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    assert load_clip(folder).norm == PixelNorm(32)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}), encoding="utf-8")
    assert load_clip(folder).norm == PixelNorm(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_openai_file_of_every_form(tokenizer: Tokenizer, tmp_path: Path) -> None:
    weights = openai_weights()
    tokenizer.save(tmp_path)
    save_file({key: value.half() for key, value in weights.items()}, tmp_path / "half.safetensors")
    torch.save(weights, tmp_path / "plain.pt")
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "nested.pt")
    reference = load_clip(tmp_path / "plain.pt").towers
    assert reference.clip.vision_model.encoder.layers[0].self_attn.num_heads == 1
    assert (reference.image_size_px, reference.patches, reference.max_tokens, reference.dim) == (
        16,
        4,
        12,
        24,
    )
    assert torch.equal(reference.clip.text_projection.weight, weights["text_projection"].T)
    layer = reference.clip.vision_model.encoder.layers[1].self_attn
    joint = weights["visual.transformer.resblocks.1.attn.in_proj_weight"]
    assert torch.equal(torch.cat([layer.q_proj.weight, layer.k_proj.weight, layer.v_proj.weight]), joint)
    for name in ("nested.pt", "half.safetensors"):
        loaded = load_clip(tmp_path / name, vocabulary=tmp_path).towers
        for key, value in reference.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[key], value, rtol=1e-3, atol=1e-4)


def test_openai_keys_that_do_not_fit_are_all_listed() -> None:
    weights = openai_weights()
    del weights["ln_final.bias"], weights["transformer.resblocks.1.attn.in_proj_weight"]
    weights |= {"frame_position_embeddings.weight": torch.zeros(2), "visual.proj": torch.zeros(64, 25)}
    weights["transformer.resblocks.0.attn.extra"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        towers_from_openai(weights, "some file")
    message = str(caught.value)
    assert "missing (4): text_model.encoder.layers.1.self_attn.k_proj.weight" in message
    assert "text_model.final_layer_norm.bias" in message
    assert "unexpected (2): frame_position_embeddings.weight, transformer.resblocks.0.attn.extra" in message
    assert "visual_projection.weight is (25, 64), expected (24, 64)" in message


def test_openai_architectures_that_cannot_be() -> None:
    with pytest.raises(WeightsError, match="a ResNet vision tower"):
        towers_from_openai(openai_weights() | {"visual.layer1.0.conv1.weight": torch.zeros(1)}, "x")
    with pytest.raises(WeightsError, match="missing visual"):
        towers_from_openai({k: v for k, v in openai_weights().items() if "conv1" not in k}, "x")
    with pytest.raises(WeightsError, match="has 7 rows, expected a square number"):
        towers_from_openai(openai_weights() | {"visual.positional_embedding": torch.zeros(7, 64)}, "x")
    with pytest.raises(WeightsError, match="does not hold OpenAI's names"):
        towers_from_openai({"text_model.x": torch.zeros(1)}, "x")


def test_torchscript_only_when_published_or_trusted(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("logit_scale", torch.tensor(2.5))

        def forward(self, x: Tensor) -> Tensor:
            return x

    path = tmp_path / "ViT.pt"
    torch.jit.script(Holder()).save(str(path))  # type: ignore[no-untyped-call]
    with pytest.raises(
        WeightsError, match=r"none of OpenAI's published \(ViT-B/32, .*trust_torchscript=True"
    ):
        read_state_dict(path)
    assert read_state_dict(path, trust_torchscript=True)["logit_scale"] == 2.5
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(PUBLISHED_SHA256, digest, "a test")
    assert read_state_dict(path)["logit_scale"] == 2.5


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (pytest.fail, ("a file was unpickled",))


def test_whatever_unpickles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"weight": Evil()}, tmp_path / "zip.bin")
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 not a zip")
    for name in ("plain.pt", "zip.bin", "module.pt", "torn.pt"):
        with pytest.raises(WeightsError, match="is refused: opening it could run code"):
            read_state_dict(tmp_path / name)


def test_files_without_flat_weights(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1), "epoch": 3}, tmp_path / "mixed.pt")
    with pytest.raises(WeightsError, match="entries that are not tensors: epoch"):
        read_state_dict(tmp_path / "mixed.pt")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="holds a list, expected a mapping"):
        read_state_dict(tmp_path / "list.pt")
    (tmp_path / "torn.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        read_state_dict(tmp_path / "torn.safetensors")


def test_a_zip_that_is_not_torchscript_is_no_archive(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "nothing")
    (tmp_path / "some.pt").write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match="is refused"):
        read_state_dict(tmp_path / "some.pt")


def test_openai_file_without_vocabulary(tmp_path: Path) -> None:
    save_file(openai_weights(), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="holds weights but no vocabulary; put OpenAI's bpe_simple_vocab"):
        load_clip(tmp_path / "model.safetensors")


def test_hub_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[str, str | None, bool, list[str]]] = []

    def download(
        name: str, *, revision: str | None, local_files_only: bool, allow_patterns: list[str]
    ) -> str:
        requests.append((name, revision, local_files_only, allow_patterns))
        if name == "some/clip":
            return str(folder)
        raise ConnectionError("no route to host\nlong trace")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert load_clip("some/clip").towers.dim == 24
    wanted = ["*.json", "merges.txt", "model*.safetensors"]
    assert requests.pop() == ("some/clip", None, False, wanted)
    assert load_clip("some/clip@refs/pr/1").towers.dim == 24
    assert requests.pop() == ("some/clip", "refs/pr/1", False, wanted)
    with pytest.raises(WeightsError, match="some/clip@ names no revision; give a commit, a tag or a branch"):
        load_clip("some/clip@")
    with pytest.raises(WeightsError) as caught:
        load_clip("other/clip")
    assert "other/clip is not a folder here and could not be fetched from the hub" in str(caught.value)
    assert "(ConnectionError: no route to host)" in str(caught.value)
    assert "give its folder" in str(caught.value)


def test_a_name_of_the_hub_is_pinned_to_its_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
    snapshot = tmp_path / "snapshots" / commit
    shutil.copytree(folder, snapshot)
    revisions: list[str | None] = []

    def download(_name: str, *, revision: str | None, local_files_only: bool, **_options: object) -> str:
        assert local_files_only  # it was loaded before
        revisions.append(revision)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert pinned_name("some/clip") == f"some/clip@{commit}"
    assert pinned_name("some/clip@v1") == f"some/clip@{commit}"
    assert pinned_name(f"some/clip@{commit}") == f"some/clip@{commit}"
    assert revisions == [None, "v1", commit]
    assert pinned_name(folder) == str(folder)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c", "ViT-B-32.pt"])
def test_paths_that_do_not_exist_are_not_looked_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("looked up"))
    with pytest.raises(WeightsError, match="does not exist; give a checkpoint folder"):
        load_clip(name)
