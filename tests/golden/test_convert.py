"""Released checkpoints through ``vidsift convert``: the folder gives the project's own similarities."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import save_file
from tests.methods import tiny
from torch import Tensor
from typer.testing import CliRunner

from vidsift.cli.convert import convert
from vidsift.encoders.clip import ClipTowers, end_of_text
from vidsift.errors import WeightsError
from vidsift.interactions.cross import CrossTransformer
from vidsift.methods.base import Method
from vidsift.methods.catalog import build_method
from vidsift.methods.model import Model, load
from vidsift.methods.prost import Prost
from vidsift.methods.ts2net import Ts2Net
from vidsift.methods.xclip import XClip
from vidsift.types import TokenSet

Weights = dict[str, Tensor]
WORDS = ["--frames", 3, "--max-words", 10]


def with_clip(clip: Mapping[str, Tensor], rest: Mapping[str, Tensor]) -> Weights:
    """Assemble a whole model; the token table grows to the tests' vocabulary, which changes no feature."""
    table = clip["token_embedding.weight"]
    longer = table.new_zeros(tiny.tokenizer().vocabulary_size - len(table), table.shape[1])
    whole = {f"clip.{key}": value for key, value in clip.items()}
    return whole | {"clip.token_embedding.weight": torch.cat([table, longer])} | dict(rest)


def run(folder: Path, weights: Mapping[str, Any] | Path, *options: object) -> str:
    """Write a checkpoint (unless it is one) and convert it to ``folder / "model"``; return the report."""
    checkpoint = weights if isinstance(weights, Path) else folder / "pytorch_model.bin"
    if not isinstance(weights, Path):
        torch.save(weights, checkpoint)
    tiny.tokenizer().save(folder)
    program = typer.Typer()
    program.command()(convert)
    result = CliRunner().invoke(
        program, [str(argument) for argument in (checkpoint, "-o", folder / "model", *options)]
    )
    if result.exception is not None:
        raise result.exception
    return result.output


def converted(folder: Path, weights: Mapping[str, Any], *options: object) -> tuple[Model, str]:
    report = run(folder, weights, *options)
    return load(folder / "model", device="cpu"), report


@torch.no_grad()
def similarity(model: Model, ids: Tensor, words: Tensor, pixels: Tensor, frames: Tensor) -> Tensor:
    method, times = model.method, torch.zeros(frames.shape, dtype=torch.float64)
    text = method.text_features(ids, words.bool())
    video = method.video_features(pixels, frames.bool(), times)
    return method.similarity(method.prepare_text(text), method.prepare_video(video))


def whole(tokens: Tensor) -> TokenSet:
    return TokenSet(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


# CLIP4Clip


def clip4clip(golden: Any) -> Weights:
    return with_clip(golden("clip4clip_e2e_eval").under("clip."), {})


def clip4clip_logits(model: Model, golden: Any) -> Tensor:
    file = golden("clip4clip_e2e_eval")
    names = ("in.ids", "in.attention_mask", "in.video", "in.video_mask")
    return similarity(model, *(file[name] for name in names)) * model.method.scale


def test_clip4clip(golden: Any, tmp_path: Path) -> None:
    model, report = converted(tmp_path, clip4clip(golden), "--from", "clip4clip", *WORDS)
    expected = golden("clip4clip_e2e_eval")["out.meanP_logits"]
    torch.testing.assert_close(clip4clip_logits(model, golden), expected, atol=1e-4, rtol=0)
    assert "Method clip4clip: head=meanP" in report
    assert "3 frames (one_fps_linspace), texts with at most 10 tokens" in report
    assert model.preprocessing.sampling == "one_fps_linspace"
    assert "CLIP4Clip".lower() in (tmp_path / "model" / "README.md").read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("head", ["seqLSTM", "seqTransf", "tightTransf"])
def test_clip4clip_s_heads_are_told_by_their_weights(golden: Any, tmp_path: Path, head: str) -> None:
    file = golden("clip4clip_similarity")
    rest = file.under(f"{head}.w.")
    if head == "seqLSTM":
        rest["frame_position_embeddings.weight"] = torch.zeros(16, 128)
    clip = golden("clip4clip_e2e_eval").under("clip.") | {"logit_scale": file["in.logit_scale"]}
    model, report = converted(
        tmp_path, with_clip(clip, rest), "--from", "clip4clip", "--frames", 6, "--max-words", 10
    )
    assert f"head={head}" in report
    assert (
        "Ignored, as the released code never uses them (1): frame_position_embeddings.weight" in report
    ) == (head == "seqLSTM")
    mask = file["in.video_mask7"].bool()
    method = model.method
    frames = TokenSet(method.get_submodule("temporal")(file["in.visual_output7"], mask), mask)
    text, video = {"sentence": whole(file["in.sequence_output"])}, {"frame": frames}
    with torch.no_grad():
        logits = method.similarity(method.prepare_text(text), method.prepare_video(video))
        logits = logits if head == "tightTransf" else logits * method.scale
    torch.testing.assert_close(logits, file[f"{head}.eval_logits_5x7"], atol=1e-4, rtol=0)


def test_a_checkpoint_of_several_gpus_in_half_precision(golden: Any, tmp_path: Path) -> None:
    whole_model = {f"module.{key}": value for key, value in clip4clip(golden).items()}
    # As released: all that convert_weights rounds is fp16, norms and tables are fp32.
    exact = [key for key, value in whole_model.items() if torch.equal(value.half().float(), value)]
    weights = {key: value.half() if key in exact else value for key, value in whole_model.items()}
    assert "module.clip.visual.proj" in exact
    model, _ = converted(tmp_path, weights, "--from", "clip4clip", *WORDS)
    assert model.precision == torch.float32
    expected = golden("clip4clip_e2e_eval")["out.meanP_logits"]
    torch.testing.assert_close(clip4clip_logits(model, golden), expected, atol=1e-4, rtol=0)


def test_safetensors_hold_a_released_model_too(golden: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(clip4clip(golden), path)
    assert "Every weight found its place" in run(tmp_path, path, "--from", "clip4clip", *WORDS)


def test_all_strange_keys_of_all_parts_are_listed(golden: Any, tmp_path: Path) -> None:
    weights = clip4clip(golden)
    weights["clip.visual.conv2.weight"] = weights["cross_surplus"] = torch.zeros(2)
    weights["clip.visual.ln_pre.weight"] = torch.zeros(3)
    weights["lstm_visual.weight_hh_l0"] = torch.zeros(512, 128)
    weights["lstm_visual.bias"] = torch.zeros(512)
    del weights["clip.ln_final.bias"]
    with pytest.raises(WeightsError) as caught:
        run(tmp_path, weights, "--from", "clip4clip", *WORDS)
    for part in (
        "missing (4): temporal.lstm.bias_hh_l0, temporal.lstm.bias_ih_l0, temporal.lstm.weight_ih_l0, towers",
        "unexpected (3): clip.visual.conv2.weight, cross_surplus, temporal.lstm.bias",
        "of another shape (1): towers.clip.vision_model.pre_layrnorm.weight is (3,)",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "model").exists()


class Harm:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("harmed"),)  # type: ignore[return-value]


def test_nothing_is_unpickled_beyond_tensors(
    golden: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="refused"):
        run(tmp_path, clip4clip(golden) | {"harm": Harm()}, "--from", "clip4clip", *WORDS)
    path = tmp_path / "pickled.pth"
    path.write_bytes(pickle.dumps({"clip.logit_scale": Harm()}, protocol=2))
    with pytest.raises(WeightsError, match="refused"):
        run(tmp_path, path, "--from", "clip4clip", *WORDS)
    assert not Path("harmed").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "clip4clip", "--max-words", 10], "say it with --frames (in the released scripts 12"),
        (["--from", "clip4clip", "--frames", 3], "say it with --max-words (in the released scripts 32"),
        (["--from", "drl", *WORDS], "--set interaction=dp or --set interaction=ti"),
        (["--from", "xclip"], "missing word_logit_weight, without which the architecture is unknown"),
        (["--from", "ts2net", *WORDS], "--set shift_blocks=[10,11]"),
        (["--from", "ts2net", *WORDS, "--set", "shift_blocks=[]"], "missing frame_position_embeddings"),
        (["--from", "prost", *WORDS, "--set", "shift_blocks=[]"], "missing frame_decoder.V"),
        (["--from", "clip4clip", *WORDS, "--set", "head=seqLSTM"], "head is 'meanP', not 'seqLSTM'"),
        (["--from", "clip4clip", *WORDS, "--set", "hed=meanP"], "did you mean 'head'?"),
        (["--from", "clip4clip", *WORDS, "--set", "head"], "expected NAME=VALUE"),
        (["--from", "clip4clip", *WORDS, "--sampling", "all"], "expected one of: uniform"),
        (["--from", "openai", "--corrected"], "a plain CLIP has nothing to set"),
    ],
)
def test_what_shapes_cannot_tell_is_asked_for(
    golden: Any, tmp_path: Path, options: list[object], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        run(tmp_path, clip4clip(golden), *options)
    assert not (tmp_path / "model").exists()


def test_a_plain_clip_is_no_released_model(golden: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="for a plain CLIP use --from openai"):
        run(tmp_path, golden("clip4clip_e2e_eval").under("clip."), "--from", "clip4clip", *WORDS)


# DRL


def drl(golden: Any) -> Weights:
    file = golden("drl_agg_e2e")
    return with_clip(file.under("clip."), file.under("e2e.w.") | file.under("seqTransf.w."))


def test_drl(golden: Any, tmp_path: Path) -> None:
    file = golden("drl_agg_e2e")
    model, report = converted(tmp_path, drl(golden), "--from", "drl", *WORDS)
    names = ("e2e.text_ids", "e2e.text_mask", "e2e.video", "e2e.video_mask")
    sim_QV = similarity(model, *(file[name] for name in names))
    logits = sim_QV * model.method.scale
    torch.testing.assert_close(logits, file["e2e.eval_logits"] * model.method.scale, atol=1e-4, rtol=0)
    assert model.arguments["interaction"] == "wti"
    assert (model.arguments["weight_layers"], model.arguments["temporal_layers"]) == (2, 4)
    assert "taken from the released code (change with --set): padding=zero" in report
    pixels = [np.zeros((count, 32, 32, 3), dtype=np.uint8) for count in (1, 3)]
    videos = model.encode_frames(
        pixels, [np.arange(len(frames_of_video), dtype=np.float64) for frames_of_video in pixels]
    )
    assert videos["frame"].mask.shape == (2, 3)
    assert model.encode_text(["a red circle"])["word"].mask.shape == (1, 10)
    run_again = tmp_path / "again"
    run_again.mkdir()
    ours, _ = converted(run_again, drl(golden), "--from", "drl", *WORDS, "--corrected")
    assert ours.arguments["padding"] == "excluded"


@pytest.mark.parametrize("name", ["dp", "ti", "wti1", "wti2", "wti3", "xti"])
def test_drl_s_interactions(golden: Any, tmp_path: Path, name: str) -> None:
    file = golden("drl_interactions")
    weights = with_clip(golden("drl_agg_e2e").under("clip."), file.under(f"{name}.w."))
    options = ["--set", f"interaction={name}"] if name in ("dp", "ti") else []
    model, _ = converted(tmp_path, weights, "--from", "drl", "--frames", 6, "--max-words", 10, *options)
    method = model.method
    mask = file["in.text_mask"].bool()
    text = TokenSet(file["in.text_feat"], mask)
    if name in ("dp", "xti"):
        text = whole(end_of_text(text.tokens, mask))
    video = TokenSet(file["in.video_feat7"], file["in.video_mask7"].bool())
    term = method.terms[0]
    with torch.no_grad():
        sim = method.similarity(
            method.prepare_text({term.text: text}), method.prepare_video({term.video: video})
        )
    torch.testing.assert_close(sim, file[f"{name}.eval_logits_5x7"], atol=1e-5, rtol=1e-5)


def test_drl_s_transformers_know_the_same_frames(golden: Any, tmp_path: Path) -> None:
    rest = golden("drl_interactions").under("xti.w.") | golden("drl_agg_e2e").under("seqTransf.w.")
    rest["frame_position_embeddings.weight"] = torch.zeros(77, 64)
    weights = with_clip(golden("drl_agg_e2e").under("clip."), rest)
    model, report = converted(tmp_path, weights, "--from", "drl", *WORDS)
    assert "Cut to the longest video: temporal.positions: the first 76 of 77 rows" in report
    (meet,) = model.method.interactions
    assert isinstance(meet, CrossTransformer)
    assert len(meet.positions) == 77
    other = tmp_path / "long"
    other.mkdir()
    with pytest.raises(WeightsError, match="--frames is 77, its weights know at most 76 frames"):
        run(other, weights, "--from", "drl", "--frames", 77, "--max-words", 10)


# X-CLIP


@pytest.mark.parametrize("head", ["meanP", "seqTransf"])
def test_xclip(golden: Any, tmp_path: Path, head: str) -> None:
    file = golden("xclip_similarity")
    clip = golden("drl_agg_e2e").under("clip.") | {"logit_scale": file["in.logit_scale"]}
    model, report = converted(tmp_path, with_clip(clip, file.under(f"{head}.w.")), "--from", "xclip")
    assert (model.preprocessing.frames, model.max_words) == (6, 10)
    assert "padding=included" in report
    assert ("temporal.positions: the first 6 of 16 rows" in report) == (head == "seqTransf")
    method = model.method
    assert isinstance(method, XClip)
    frames, mask = file["in.visual7"], file["in.video_mask7"].bool()
    with torch.no_grad():
        text = {"sentence": whole(file["in.sequence_output"]), "word": whole(file["in.seq_features"])}
        video = {"video": method.video_set(frames, mask), "frame": whole(frames)}
        sim = method.similarity(method.prepare_text(text), method.prepare_video(video))
    torch.testing.assert_close(sim * method.scale, file[f"{head}.eval_logits_5x7"], atol=1e-4, rtol=0)


def test_xclip_s_matrices_fix_frames_and_words(golden: Any, tmp_path: Path) -> None:
    weights = with_clip(golden("drl_agg_e2e").under("clip."), golden("xclip_similarity").under("meanP.w."))
    with pytest.raises(WeightsError, match="--frames is 4, its weights are made for 6"):
        run(tmp_path, weights, "--from", "xclip", "--frames", 4)
    with pytest.raises(WeightsError, match="--max-words is 8, its weights are made for 10"):
        run(tmp_path, weights, "--from", "xclip", "--max-words", 8)
    model, _ = converted(tmp_path, weights, "--from", "xclip", "--frames", 4, "--max-words", 8, "--corrected")
    assert (model.preprocessing.frames, model.max_words, model.arguments["max_words"]) == (4, 8, 10)


# TS2-Net


def test_ts2net(golden: Any, tmp_path: Path) -> None:
    file = golden("ts2net_similarity_e2e")
    clip = file.under("e2e.clip.")
    for key in [key for key in clip if key.startswith("visual.transformer.resblocks.0.")]:
        for block in range(1, 10):  # recorded once for all of them
            clip[key.replace("resblocks.0.", f"resblocks.{block}.")] = clip[key].clone()
    rest = file.under("e2e.w.") | {"frame_position_embeddings.weight": clip["positional_embedding"].clone()}
    for key in [
        key for key in clip if key.startswith(("transformer.resblocks.0.", "transformer.resblocks.1."))
    ]:
        rest[key.replace("transformer.", "transformerClip.", 1)] = clip[key].clone()
    rest["visual_prompt_encoder.pos_embedding"] = torch.zeros(4, 8)
    rest["text_token_selector.score_predictor.in_conv.0.bias"] = torch.zeros(8)
    shifted = re.compile(r"(visual\.transformer\.resblocks\.1[01]\.attn)\.")
    wrapped = {shifted.sub(r"\1.net.", key): value for key, value in clip.items()}
    assert "visual.transformer.resblocks.11.attn.net.out_proj.bias" in wrapped
    model, report = converted(tmp_path, with_clip(wrapped, rest), "--from", "ts2net", *WORDS)
    assert model.arguments["shift_blocks"] == [10, 11]
    assert model.arguments["max_frames"] == 19
    assert "frame_mask=tiled, selected=3" in report
    assert "temporal.positions: the first 76 of 77 rows" in report
    assert (
        "Ignored, as the released code never uses them (2): text_token_selector.score_predictor.in_conv.0"
        in report
    )
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(WeightsError, match="--set selected=x, expected a number of patches"):
        run(other, with_clip(wrapped, rest), "--from", "ts2net", *WORDS, "--set", "selected=x")
    method = model.method
    assert isinstance(method, Ts2Net)
    method.selector.register_forward_pre_hook(lambda _, tokens: (*tokens, file["e2e.noise"]))
    mask = file["e2e.video_mask"]
    pixels = file["e2e.video"].unflatten(0, mask.shape)
    sim = similarity(model, file["e2e.ids"], file["e2e.attention_mask"], pixels, mask)
    torch.testing.assert_close(sim * method.scale, file["e2e.final_logits"], atol=1e-4, rtol=0)


# ProST


def test_prost(golden: Any, tmp_path: Path) -> None:
    file = golden("prost")
    clip = golden("openai_clip_tiny").under("w.")
    rest = file.under("w.") | {"transformerClip.resblocks.0.ln_1.bias": torch.zeros(32)}
    model, report = converted(
        tmp_path, with_clip(clip, rest), "--from", "prost", "--max-words", 7, "--set", "shift_blocks=[-1]"
    )
    assert model.preprocessing.frames == 4
    assert "padding=included, window=0.2" in report
    assert "transformerClip.resblocks.0.ln_1.bias" in report.partition("Ignored")[2]
    method = model.method
    assert isinstance(method, Prost)
    assert (method.objects, model.arguments["phrases"], model.arguments["events"]) == (5, 6, 3)
    words = file["in.word_tokens"]
    with torch.no_grad():
        objects, events, _ = method.prototypes(file["in.frame_tokens"], torch.ones(3, 4, dtype=torch.bool))
        phrases, _ = method.phrase_head(words, torch.ones(words.shape[:2], dtype=torch.bool))
        sentence = end_of_text(words, file["in.text_mask"].bool())
        text = method.prepare_text({"phrase": whole(phrases), "sentence": whole(sentence)})
        video = method.prepare_video({"object": whole(objects.flatten(1, 2)), "event": whole(events)})
        sim = method.similarity(text, video)
    expected = file["out.object_phrase_logits"] + file["out.event_sentence_logits"]
    torch.testing.assert_close(sim, expected, atol=1e-5, rtol=1e-5)


# CLIP2Video: no golden file exists; the names of its checkpoints, over a model with weights of ours


def clip2video(method: Method) -> Weights:
    """A checkpoint's weights beside the CLIP, as the released code names them."""
    names = {
        "interactions.1.selectors": "weight_center",
        "interactions.1.centres": "emb_center",
        "temporal.types": "type_position_embeddings.weight",
        "temporal.positions": "frame_position_embeddings.weight",
        "temporal.norm.weight": "trans_layernorm.weight",
        "temporal.norm.bias": "trans_layernorm.bias",
        "temporal.blocks.": "transformerClip.resblocks.",
        "temporal.difference_block": "frame2t_attention.resblocks.0",
        "temporal.enhancing_block": "actionClip.resblocks.0",
        "attention_in.": "attn.in_proj_",
        "attention_out": "attn.out_proj",
        "attention_norm": "ln_1",
        "mlp_norm": "ln_2",
        "mlp_in": "mlp.c_fc",
        "mlp_out": "mlp.c_proj",
    }
    weights: Weights = {}
    for key, value in method.state_dict().items():
        renamed = key
        for ours, theirs in names.items():
            renamed = renamed.replace(ours, theirs)
        if not key.startswith("towers."):
            weights[renamed] = value
    return weights


def test_clip2video(golden: Any, tmp_path: Path) -> None:
    clip = golden("openai_clip_tiny").under("w.")
    arguments = {"temporal_layers": 2, "max_frames": 9, "centres": 7}
    method = build_method("clip2video", tiny.towers(dim=32), arguments)
    with torch.no_grad():
        for value in method.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    rest = clip2video(method)
    options = ["--from", "clip2video", "--frames", 6, "--max-words", 10]
    model, report = converted(tmp_path, with_clip(clip, rest), *options)
    assert "alignment_weight=0.5" in report
    assert model.arguments == {
        **arguments,
        "temporal_difference": "attention",
        "temporal_alignment": "auto",
        "alignment_weight": 0.5,
    }
    for name, value in method.state_dict().items():
        if not name.startswith("towers."):
            assert torch.equal(model.method.state_dict()[name], value), name
    # Without the blocks, what is left is a transformer across frames; its norm is there all the same.
    parts = ("frame_position", "transformerClip.", "trans_layernorm.")
    other = tmp_path / "other"
    other.mkdir()
    model, report = converted(
        other, with_clip(clip, {key: rest[key] for key in rest if key.startswith(parts)}), *options
    )
    assert (model.arguments["temporal_difference"], model.arguments["temporal_alignment"]) == ("none", "none")
    assert "never uses them (2): trans_layernorm.bias, trans_layernorm.weight" in report
    strange = tmp_path / "strange"
    strange.mkdir()
    with pytest.raises(WeightsError, match=r"unexpected \(1\): actionClip.resblocks.1.ln_1.bias"):
        run(strange, with_clip(clip, rest | {"actionClip.resblocks.1.ln_1.bias": torch.zeros(2)}), *options)


# X-Pool: no golden file exists; the names of its checkpoints, over a model with weights of ours


def xpool(method: Method) -> Weights:
    """A checkpoint as the released scripts write it: transformers' names of the CLIP, positions numbered."""
    names = {
        "query": "cross_attn.q_proj",
        "key": "cross_attn.k_proj",
        "value": "cross_attn.v_proj",
        "out": "cross_attn.out_proj",
        "linear": "linear_proj",
        "input_norm": "layer_norm1",
        "pooled_norm": "layer_norm2",
        "output_norm": "layer_norm3",
    }
    weights: Weights = {"clip.text_model.embeddings.position_ids": torch.arange(16)[None]}
    for key, value in method.state_dict().items():
        part, _, kind = key.removeprefix("interactions.0.").rpartition(".")
        weights[f"pool_frames.{names[part]}.{kind}" if part in names else key.removeprefix("towers.")] = value
    return weights


def test_xpool(tmp_path: Path) -> None:
    tower = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1}
    text = tower | {"vocab_size": tiny.tokenizer().vocabulary_size, "max_position_embeddings": tiny.MAX_WORDS}
    vision = tower | {"image_size": tiny.SIZE_PX, "patch_size": 4}
    torch.manual_seed(0)
    towers = ClipTowers({"projection_dim": 24, "text_config": text, "vision_config": vision})
    method = build_method("xpool", towers)
    with torch.no_grad():
        for value in method.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    method.eval()
    weights = xpool(method)
    checkpoint = tmp_path / "model_best.pth"
    torch.save({"epoch": 3, "state_dict": weights, "optimizer": {"state": {}}}, checkpoint)
    report = run(tmp_path, checkpoint, "--from", "xpool", "--set", "dropout=0.4")
    assert "Read with 12 frames (uniform), texts with at most 16 tokens" in report
    model = load(tmp_path / "model", device="cpu")
    assert model.arguments == {"dropout": 0.4}
    for name, value in method.state_dict().items():
        assert torch.equal(model.method.state_dict()[name], value), name
    strange = weights | {"pool_frames.cross_attn.q_norm.weight": torch.zeros(2)}
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(WeightsError, match=r"unexpected \(1\): pool_frames.cross_attn.q_norm.weight"):
        run(other, strange, "--from", "xpool")
    released = {key: value for key, value in weights.items() if not key.startswith("pool_frames.")}
    with pytest.raises(WeightsError, match=r"missing \(16\): interactions.0.*query"):
        run(other, released, "--from", "xpool")
