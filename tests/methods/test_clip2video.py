"""CLIP2Video beside values recorded from its released code, what an index holds of it, and short videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import search_in_every_format
from torch import Tensor

from vidsift.losses.contrastive import info_nce
from vidsift.methods.catalog import build_method
from vidsift.methods.clip2video import Clip2Video, clip2video_weights_from_release
from vidsift.types import Features, TokenSet

DIM = 8
BLOCK = {
    "attn.in_proj_weight": (3 * DIM, DIM),
    "attn.in_proj_bias": (3 * DIM,),
    "attn.out_proj.weight": (DIM, DIM),
    "attn.out_proj.bias": (DIM,),
    "ln_1.weight": (DIM,),
    "ln_1.bias": (DIM,),
    "mlp.c_fc.weight": (4 * DIM, DIM),
    "mlp.c_fc.bias": (4 * DIM,),
    "mlp.c_proj.weight": (DIM, 4 * DIM),
    "mlp.c_proj.bias": (DIM,),
    "ln_2.weight": (DIM,),
    "ln_2.bias": (DIM,),
}
# Per variant: cosines of 3 sentences with 2 videos of 6 and then of 3 frames, the whole similarity of both,
# and the training loss of the first two pairs at scale exp(1.5). Recorded from CryhanFang/CLIP2Video
# e94131800a3a1434f6d00b89b7301d741db8ba06, modules/modeling.py with 8 channels, one head, two blocks, three
# centres: _similarity_TDB, get_inference_logits, calc_loss and calc_TAB_loss.
RELEASED: dict[str, Any] = {
    "sigmoid_selfA TAB_TDB": (
        {},
        [[-0.532741, -0.440353], [-0.006681, -0.040082], [-0.37289, -0.291301]],
        [[-0.328819, -0.120449], [0.214452, 0.327408], [-0.149134, 0.114538]],
        [[-0.530787, -0.311596], [0.059177, -0.179201], [-0.403759, -0.132265]],
        [[-0.381207, -0.062121], [0.196736, 0.242757], [-0.223573, 0.217547]],
        1.115370,
    ),
    "sigmoid_selfA TAB": (
        {"temporal_alignment": "frame"},
        [[-0.532741, -0.440353], [-0.006681, -0.040082], [-0.37289, -0.291301]],
        [[-0.383905, -0.050365], [0.176228, 0.355391], [-0.149283, 0.170712]],
        [[-0.530787, -0.311596], [0.059177, -0.179201], [-0.403759, -0.132265]],
        [[-0.44706, -0.008088], [0.13825, 0.271015], [-0.256673, 0.260459]],
        1.247492,
    ),
    "sigmoid_mlp TAB_TDB": (
        {"temporal_difference": "linear"},
        [[-0.514578, -0.467938], [-0.030225, -0.014883], [-0.348537, -0.323117]],
        [[-0.376284, -0.119088], [0.15876, 0.352469], [-0.173454, 0.107581]],
        [[-0.499072, -0.325114], [0.035292, -0.168258], [-0.369669, -0.147169]],
        [[-0.437272, -0.054222], [0.130211, 0.261151], [-0.246785, 0.219456]],
        1.131269,
    ),
    "plain TAB_TDB": (
        {"temporal_difference": "plain"},
        [[-0.509983, -0.387212], [-0.020333, -0.053515], [-0.350136, -0.2472]],
        [[-0.345715, -0.113587], [0.197192, 0.296035], [-0.146484, 0.130881]],
        [[-0.512409, -0.270329], [0.032739, -0.176567], [-0.377836, -0.104417]],
        [[-0.399286, -0.058035], [0.168214, 0.227483], [-0.22362, 0.221726]],
        1.144350,
    ),
}


def waves(name: str, shape: tuple[int, ...]) -> Tensor:
    """Weights by a formula over their released name, as in the recording."""
    start = sum(ord(letter) * (place + 1) for place, letter in enumerate(name)) % 997
    steps = torch.arange(1, int(torch.tensor(shape).prod()) + 1, dtype=torch.float64)
    values = (0.4 * torch.sin(0.7137 * steps + start)).reshape(shape).float()
    norm = ("ln_" in name and name.endswith("weight")) or name == "trans_layernorm.weight"
    return values + 1 if norm else values


def tokens(rows: int, width: int, start: int) -> Tensor:
    steps = torch.arange(1, rows * width * DIM + 1, dtype=torch.float64)
    return torch.sin(1.913 * steps + start).reshape(rows, width, DIM).float()


def released_method(arguments: Mapping[str, Any]) -> Clip2Video:
    """The method under the recording's weights, which also pass through the renaming of checkpoints."""
    method = build_method(
        "clip2video",
        tiny.towers(dim=DIM, text_width=DIM, text_heads=1),
        {"centres": 3, "temporal_layers": 2, "max_frames": 16, **arguments},
    )
    assert isinstance(method, Clip2Video)
    shapes: dict[str, tuple[int, ...]] = {
        "weight_center": (3, DIM),
        "emb_center": (3, DIM),
        "frame_position_embeddings.weight": (16, DIM),
        "type_position_embeddings.weight": (2, DIM),
    }
    kind = arguments.get("temporal_difference", "attention")
    if kind != "plain":
        shapes |= {"trans_layernorm.weight": (DIM,), "trans_layernorm.bias": (DIM,)}
    if kind == "linear":
        shapes["frame2t_projection"] = (DIM, DIM)
    stacks = {"transformerClip": 2, "actionClip": 1, "frame2t_attention": int(kind == "attention")}
    for stack, count in stacks.items():
        for number in range(count):
            shapes |= {f"{stack}.resblocks.{number}.{part}": shape for part, shape in BLOCK.items()}
    weights = clip2video_weights_from_release({name: waves(name, shape) for name, shape in shapes.items()})
    towers = {name: value for name, value in method.state_dict().items() if name.startswith("towers.")}
    method.load_state_dict({**towers, **weights})
    return method.eval()


def prepared(method: Clip2Video, frames: int) -> tuple[Features, Features]:
    """The recording's tokens behind the towers: three texts of 5, 3 and 4 tokens, two videos."""
    words_QTD, ends_Q = tokens(3, 5, 1), torch.tensor([4, 2, 3])
    mask_QT = torch.arange(5) <= ends_Q[:, None]
    counted_QT = mask_QT.clone()
    counted_QT[:, 0] = False
    text = {
        "sentence": TokenSet(words_QTD[torch.arange(3), ends_Q][:, None], torch.ones(3, 1).bool()),
        "word": TokenSet(words_QTD, counted_QT),
    }
    return method.prepare_text(text), method.prepare_video(video_sets(method, frames, torch.tensor([6, 6])))


def video_sets(method: Clip2Video, frames: int, counts: Tensor) -> dict[str, TokenSet]:
    """What ``video_features`` makes of the recording's frames, in the place of the image tower's."""
    frames_BFD = tokens(2, 6, 2)[:, :frames]
    mask_BF = torch.arange(frames) < counts[:, None]
    method.towers.encode_frame_classes = lambda *_: frames_BFD  # type: ignore[method-assign]
    return method.video_features(torch.empty(0), mask_BF, torch.arange(frames).expand(2, -1) / 2)


@pytest.mark.parametrize("name", RELEASED)
@torch.no_grad()
def test_similarities_and_loss_are_those_of_the_released_code(name: str) -> None:
    arguments, *expected, loss = RELEASED[name]
    method = released_method(arguments)
    for frames, sentence, whole in ((6, *expected[:2]), (3, *expected[2:])):
        text, video = prepared(method, frames)
        scores = method.term_scores(text, video)
        torch.testing.assert_close(scores["sentence-frame"], torch.tensor(sentence), atol=3e-6, rtol=0)
        torch.testing.assert_close(method.similarity(text, video), torch.tensor(whole), atol=3e-6, rtol=0)
    method.towers.logit_scale.fill_(1.5)
    text, video = prepared(method, 6)
    first = {key: value[torch.arange(2)] for key, value in text.items()}
    assert method.loss(first, video)["loss"].item() == pytest.approx(loss, abs=3e-6)


@torch.no_grad()
def test_a_short_video_beside_a_long_one_is_what_it_is_alone() -> None:
    method = released_method({})
    alone = video_sets(method, 3, torch.tensor([3, 3]))
    beside = video_sets(method, 6, torch.tensor([6, 3]))
    for name in ("frame", "clip"):
        both = [method.prepare_video(sets)[name][torch.tensor([1])] for sets in (alone, beside)]
        real = both[1].mask[0]
        torch.testing.assert_close(both[1].tokens[:, real], both[0].tokens, atol=2e-6, rtol=0)
        torch.testing.assert_close(both[1].weights[:, real], both[0].weights, atol=2e-6, rtol=0)  # type: ignore
    # Frames 0 and 2 have an enhanced token each, seen with them; real tokens stand first.
    clip = beside["clip"]
    assert clip.mask.sum(dim=1).tolist() == [9, 5]
    assert clip.mask[1, :5].all()
    assert clip.frame is not None
    assert clip.times_seconds is not None
    assert clip.frame[1, :5].tolist() == [0, 0, 1, 2, 2]
    assert clip.times_seconds[0].tolist() == [0, 0, 0.5, 1, 1, 1.5, 2, 2, 2.5]


def test_a_video_of_one_frame_has_no_differences_and_trains() -> None:
    model = tiny.model("clip2video", {"temporal_layers": 1})
    method, inputs = model.method, model.inputs
    text = method.prepare_text(method.text_features(*inputs.text(inputs.tokenize(tiny.CAPTIONS[:2]))))
    videos = inputs.pictures(*tiny.videos([1, 4]))
    video = method.prepare_video(method.video_features(*videos))
    losses = method.loss(text, video)
    parts = method.term_scores(text, video).values()
    mean = torch.stack([info_nce(sim, method.scale) for sim in parts]).mean()
    torch.testing.assert_close(losses["loss"], mean)
    torch.autograd.backward(losses["loss"])
    assert all(value.grad is None or value.grad.isfinite().all() for value in method.parameters())
    assert method.get_parameter("temporal.difference_block.mlp_in.weight").grad is not None


def test_it_starts_from_the_text_tower() -> None:
    towers = tiny.towers(text_heads=1)
    method = build_method("clip2video", towers, {"temporal_layers": 2, "temporal_difference": "linear"})
    layer, temporal = towers.clip.text_model.encoder.layers[0], method.get_submodule("temporal")
    positions = towers.clip.text_model.embeddings.position_embedding.weight
    assert torch.equal(temporal.get_parameter("types"), positions[:2])
    assert torch.equal(temporal.get_parameter("enhancing_block.mlp_in.weight"), layer.mlp.fc1.weight)
    assert torch.equal(temporal.get_parameter("projection"), towers.clip.visual_projection.weight.t())


def test_differences_that_are_left_out_cannot_align() -> None:
    with pytest.raises(ValueError, match="temporal_difference is none; use temporal_alignment=frame"):
        build_method(
            "clip2video", tiny.towers(), {"temporal_difference": "none", "temporal_alignment": "difference"}
        )
    with pytest.raises(ValueError, match="centres is 0, expected at least 1"):
        build_method("clip2video", tiny.towers(), {"centres": 0})


def test_it_is_scanned_and_explained_in_every_format(tmp_path: Path) -> None:
    model = tiny.model("clip2video", {"temporal_layers": 1})
    store = filled(tmp_path / "index", model, [5, 1, 3, 5, 4, 5, 2, 5, 3])
    assert store.manifest.sets["clip"].slots == tiny.FRAMES + 3
    query = "a red circle moves left"
    answer = search_in_every_format(model, store, query, k=4)
    for hit, account in zip(answer.hits, answer.accounts, strict=True):
        sentence, words = account.terms
        assert sentence.words == [query]
        # All but the start of text, which is no word.
        assert words.words == model.tokenize([query]).pieces[0][1:]
        assert sum(hit.shares) == pytest.approx(hit.score, abs=1e-5)
