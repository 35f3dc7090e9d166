"""CLIP2TV: its three losses, matching that is training's alone, and search by vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import search_in_every_format
from torch.nn.functional import logsigmoid

from vidsift.interactions.cross import CrossTransformer
from vidsift.losses.contrastive import info_nce
from vidsift.methods.catalog import build_method
from vidsift.methods.clip2tv import Clip2Tv, distilled_contrast, hardest_pairs
from vidsift.types import Features

ARGUMENTS = {"temporal_layers": 1, "matching_layers": 1}


def training(arguments: dict[str, float]) -> tuple[Clip2Tv, Features, Features]:
    """A method in training, without dropout so that it repeats, and a prepared batch of three pairs."""
    model = tiny.model("clip2tv", {**ARGUMENTS, **arguments})
    method, inputs = model.method, model.inputs
    assert isinstance(method, Clip2Tv)
    assert method.matching is not None
    method.train()
    method.matching.dropout.p = 0.0
    text = method.text_features(*inputs.text(inputs.tokenize(tiny.CAPTIONS[:3])))
    video = method.video_features(*inputs.pictures(*tiny.videos([3, 5, 2])))
    return method, method.prepare_text(text), method.prepare_video(video)


def test_the_matching_head_is_asked_about_right_and_hardest_pairs() -> None:
    method, text, video = training({"distillation": 0.0, "matching_weight": 0.5})
    sim, matching = method.similarity(text, video).detach(), method.matching
    assert isinstance(matching, CrossTransformer)
    logits = matching.score(text["word"], video["encoded"]).detach()
    expected = 0.0
    for row in range(3):
        others = [other for other in range(3) if other != row]
        video_of, text_of = max(others, key=lambda o: sim[row, o]), max(others, key=lambda o: sim[o, row])
        pairs = [(row, row, 1), (row, video_of, -1), (text_of, row, -1)]
        expected -= sum(float(logsigmoid(sign * logits[i, j])) for i, j, sign in pairs) / 9
    losses = method.loss(text, video)
    assert losses["matching"].item() == pytest.approx(expected, rel=1e-5)
    plain = info_nce(method.similarity(text, video), method.scale)
    assert losses["alignment"].item() == pytest.approx(plain.item(), rel=1e-6)
    assert losses["loss"].item() == pytest.approx(plain.item() + 0.5 * expected, rel=1e-5)
    torch.autograd.backward(losses["loss"])
    for name in ("matching.out.weight", "temporal.positions", "towers.clip.text_projection.weight"):
        assert method.get_parameter(name).grad is not None, name


def test_one_pair_alone_has_no_wrong_one() -> None:
    assert [part.tolist() for part in hardest_pairs(torch.tensor([[0.3]]))] == [[0], [0]]


def test_targets_are_softened_by_what_is_alike_on_both_sides() -> None:
    sim = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.8, 0.1], [0.0, 0.4, 0.7]])
    alike = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.1], [0.0, 0.1, 1.0]])
    torch.testing.assert_close(distilled_contrast(sim, alike, 5.0, share=0.0), info_nce(sim, 5.0))
    target = 0.6 * torch.eye(3) + 0.4 * (5 * alike).softmax(dim=1)
    expected = 0.0
    for logits in (5 * sim, 5 * sim.t()):
        for row in range(3):
            expected -= float((target[row] * logits[row].log_softmax(dim=0)).sum()) / 6
    assert distilled_contrast(sim, alike, 5.0, share=0.4).item() == pytest.approx(expected, rel=1e-6)


def test_what_teaches_is_not_moved() -> None:
    alike = torch.eye(2, requires_grad=True)
    scale = torch.tensor(2.0, requires_grad=True)
    sim = torch.tensor([[0.5, 0.2], [0.1, 0.4]])
    soft = (2.0 * alike.detach()).softmax(dim=1)
    by_hand = torch.tensor(2.0, requires_grad=True)
    target = 0.5 * torch.eye(2) + 0.5 * soft
    halves = [-(target * (by_hand * side).log_softmax(dim=1)).sum(dim=1).mean() for side in (sim, sim.t())]
    torch.autograd.backward((halves[0] + halves[1]) / 2)
    torch.autograd.backward(distilled_contrast(sim, alike, scale, share=0.5))
    assert alike.grad is None
    assert scale.grad is not None
    torch.testing.assert_close(scale.grad, by_hand.grad)


def test_matching_is_training_s_alone() -> None:
    model = tiny.model("clip2tv", ARGUMENTS)
    assert set(model.encode_text(["circle"])) == {"sentence"}
    assert set(model.encode_frames(*tiny.videos([2]))) == {"frame"}
    method, text, video = training({})
    assert set(text) == {"sentence", "word"}
    assert set(video) == {"frame", "encoded"}
    bare = {"sentence": text["sentence"]}, {"frame": video["frame"]}
    assert set(method.loss(*bare)) == {"loss", "alignment"}
    assert method.loss(*bare)["loss"].item() == pytest.approx(method.loss(text, video)["alignment"].item())
    for value in (-0.1, 1.0):
        with pytest.raises(ValueError, match="expected from 0 to below 1"):
            build_method("clip2tv", tiny.towers(), {"distillation": value})


def test_it_is_scanned_and_explained_in_every_format(tmp_path: Path) -> None:
    model = tiny.model("clip2tv", ARGUMENTS)
    store = filled(tmp_path / "index", model, [5, 1, 3, 5, 4, 5, 2, 5, 3])
    assert set(store.manifest.sets) == {"frame"}
    search_in_every_format(model, store, "a red circle moves left", k=4)
