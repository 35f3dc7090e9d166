"""A model as a folder: what is written, what is refused, and that what comes back is the same model."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.files.full_disk import full_disk
from tests.methods import tiny

from vidsift.errors import ModelFolderError, NotSavedError
from vidsift.methods.model import BUNDLED, Model, load


@pytest.fixture
def model() -> Model:
    return tiny.model("drl", {"temporal": "none"})


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    model.save(tmp_path / "saved")
    return tmp_path / "saved"


def config_of(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return content


def write_config(folder: Path, **changes: object) -> None:
    (folder / "config.json").write_text(json.dumps(config_of(folder) | changes), encoding="utf-8")


def test_the_folder_says_what_it_is(model: Model, folder: Path) -> None:
    config = config_of(folder)
    assert config["format"] == 1
    assert config["method"] == "drl"
    assert config["arguments"] == {**model.arguments, "temporal": "none"}
    assert config["max_words"] == tiny.MAX_WORDS
    assert config["reading"] == model.preprocessing.to_dict()
    assert config["fingerprint"] == model.fingerprint
    assert not list(folder.glob("*.partial"))


def test_the_card_tells_how_to_load_and_what_is_known(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path, card={"Trained on": "Shapes, and nothing else.", "Metrics": {"R@1": 51.25}})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for expected in ("method `drl`", "vidsift.load(", "arXiv 2203.07111", "word-frame", "| R@1 | 51.25 |"):
        assert expected in card
    # What the model brought along stays when it is saved again.
    again = load(tmp_path, device="cpu")
    again.save(tmp_path / "again", card={"Metrics": {"R@1": 52.0}})
    card = (tmp_path / "again" / "README.md").read_text(encoding="utf-8")
    assert "Shapes, and nothing else." in card
    assert "| R@1 | 52 |" in card


def test_a_model_says_what_it_knows_where_its_card_does(model: Model, tmp_path: Path) -> None:
    assert model.knows == ""
    model.save(tmp_path, card={"Knows": "Drawn shapes only."})
    assert load(tmp_path, device="cpu").knows == "Drawn shapes only."
    assert "drawn shapes only" in load(BUNDLED, device="cpu").knows


def test_the_fingerprint_follows_weights_and_config(model: Model, folder: Path) -> None:
    before = model.fingerprint
    assert load(folder, device="cpu").fingerprint == before
    assert load(folder, device="cpu").compute_fingerprint() == before
    with torch.no_grad():
        next(model.method.parameters()).add_(1e-3)
    assert model.fingerprint != before
    again = load(folder, device="cpu")
    again.preprocessing = replace(again.preprocessing, frames=again.preprocessing.frames + 1)
    assert again.fingerprint != before
    write_config(folder, max_words=tiny.MAX_WORDS - 1)
    assert load(folder, device="cpu").fingerprint != before


def test_half_precision_files_load_as_the_rounded_model(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path, dtype=torch.float16)
    stored = load_file(tmp_path / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    again = load(tmp_path, device="cpu")
    assert again.precision == torch.float32
    assert again.fingerprint == again.compute_fingerprint() != model.fingerprint
    exact, near = (instance.encode_text(tiny.CAPTIONS)["word"].tokens for instance in (model, again))
    torch.testing.assert_close(near, exact, atol=5e-3, rtol=5e-2)
    again.save(tmp_path / "again", dtype=torch.float16)
    assert load(tmp_path / "again", device="cpu").fingerprint == again.fingerprint


def test_weights_too_large_for_half_precision_are_not_rounded_to_infinity(
    model: Model, tmp_path: Path
) -> None:
    with torch.no_grad():
        next(model.method.parameters()).fill_(1e6)
    with pytest.raises(ValueError, match=r"too large for torch\.float16"):
        model.save(tmp_path, dtype=torch.float16)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_weights_that_are_no_numbers_are_neither_saved_nor_loaded(
    model: Model, folder: Path, value: float
) -> None:
    name = "towers.clip.text_projection.weight"
    before = (folder / "model.safetensors").read_bytes()
    broken = tiny.model("drl", {"temporal": "none"})
    broken.method.state_dict()[name][1, 2] = value
    with pytest.raises(ValueError, match=rf"the model holds NaN .*{name}.*nothing was written"):
        broken.save(folder)
    with pytest.raises(ValueError, match="nothing was written"):
        broken.save_backbone(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    load(folder, device="cpu")
    weights = load_file(folder / "model.safetensors")
    weights[name][1, 2] = value
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelFolderError, match=rf"model.safetensors holds NaN .*{name}"):
        load(folder, device="cpu")


def test_a_model_rounded_for_inference_is_not_saved(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="precision='fp32'"):
        load(folder, device="cpu", precision="bf16").save(tmp_path / "again")


def test_an_unknown_precision_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="'fp16', expected one of fp32, bf16, auto"):
        load(folder, precision="fp16")  # type: ignore[arg-type]


def test_another_format_is_refused_with_a_remedy(folder: Path) -> None:
    write_config(folder, format=2)
    with pytest.raises(ModelFolderError, match=r"format 2, this version reads format 1; update vidsift"):
        load(folder)


def test_a_folder_from_before_an_argument_is_the_model_that_it_was(model: Model, folder: Path) -> None:
    """The argument stands at its default, and what was indexed with the model still is of the model."""
    arguments = dict(model.arguments)
    assert arguments.pop("paths") == "dual"
    write_config(folder, arguments=arguments)
    older = load(folder, device="cpu")
    assert older.compute_fingerprint() == older.fingerprint != model.fingerprint
    older.save(folder)
    assert config_of(folder)["arguments"] == arguments
    assert load(folder, device="cpu").fingerprint == older.fingerprint
    text = model.encode_text(tiny.CAPTIONS)["word"]
    assert torch.equal(older.encode_text(tiny.CAPTIONS)["word"].tokens, text.tokens)


def test_an_interrupted_folder_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelFolderError, match=r"no config\.json.*interrupted"):
        load(folder)


def test_a_config_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"format": 1, "meth', encoding="utf-8")
    with pytest.raises(ModelFolderError, match="not readable as JSON"):
        load(folder)


def test_a_config_without_a_part_is_refused(folder: Path) -> None:
    config = config_of(folder)
    del config["reading"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelFolderError, match="lacks reading"):
        load(folder)


def test_an_unknown_method_in_a_folder_is_refused(folder: Path) -> None:
    write_config(folder, method="later")
    with pytest.raises(ModelFolderError, match=r"saved.*unknown method 'later'"):
        load(folder)


def test_weights_cut_short_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelFolderError, match="cut short"):
        load(folder)


def test_weights_that_do_not_fit_are_listed_key_by_key(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["surplus"] = weights.pop("interactions.0.text_weight.0.weight")
    save_file(weights, path)
    write_config(folder, weights={**config_of(folder)["weights"], "bytes": path.stat().st_size})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"missing \(1\): interactions\.0\.text_weight\.0\.weight.*surplus"):
        load(folder)


def test_the_bundled_model_is_explained_where_it_is_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vidsift.methods.model._ASSETS", tmp_path)
    with pytest.raises(ModelFolderError, match="bundled model 'shapes' is not part of this installation"):
        load("shapes")


def test_a_model_replaces_the_one_in_its_folder(model: Model, folder: Path) -> None:
    other = tiny.model("zero_shot", seed=3)
    other.save(folder)
    again = load(folder, device="cpu")
    assert again.method_name == "zero_shot"
    assert again.fingerprint == other.fingerprint != model.fingerprint


def test_a_full_disk_leaves_the_model_that_was_there(model: Model, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = tiny.model("clip4clip", {"head": "seqTransf"})
    for most_bytes in (0, 3000, 40_000):
        words = rf"the model could not be written to {folder}: "
        with pytest.raises(NotSavedError, match=words), full_disk(most_bytes):
            other.save(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert load(folder, device="cpu").fingerprint == model.fingerprint
