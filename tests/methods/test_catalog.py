"""Every method of the catalogue: builds, trains, saves, scores; no padding or company changes a score."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods import tiny
from tests.methods.variants import VARIANTS, every_variant

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.errors import NoAlignmentError
from vidsift.methods.catalog import METHODS, build_method, resolve_arguments
from vidsift.methods.inputs import TextInputs, VideoInputs
from vidsift.methods.model import Model, load
from vidsift.methods.zero_shot import ZeroShot


def captioned(model: Model) -> tuple[TextInputs, VideoInputs]:
    """Inputs of the captions, with a video of three frames each."""
    pixels, times = (torch.from_numpy(np.stack(parts)) for parts in tiny.videos([3] * len(tiny.CAPTIONS)))
    inputs = model.inputs
    mask = torch.ones(times.shape, dtype=torch.bool)
    return inputs.text(inputs.tokenize(tiny.CAPTIONS)), inputs.video(pixels, mask, times)


def test_every_method_has_a_variant_here() -> None:
    missing = set(METHODS) - {method for method, _ in VARIANTS.values()}
    assert not missing, f"give {missing} a row in tests/methods/variants.py"


@every_variant
def test_loss_falls_over_a_few_steps(method: str, arguments: Mapping[str, Any]) -> None:
    model = tiny.model(method, arguments)
    text, video = captioned(model)
    network = model.method.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    history: list[float] = []
    torch.manual_seed(0)
    while len(history) < 24 and (not history or history[-1] >= 0.9 * history[0]):
        words = network.prepare_text(network.text_features(*text))
        frames = network.prepare_video(network.video_features(*video))
        loss = network.loss(words, frames)["loss"]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        network.after_step()
        history.append(loss.item())
    assert np.isfinite(history).all()
    assert history[-1] < 0.9 * history[0]


@every_variant
def test_saved_and_loaded_scores_are_the_same_bits(
    method: str, arguments: Mapping[str, Any], tmp_path: Path
) -> None:
    model = tiny.model(method, arguments)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model", device="cpu")
    pixels, times = tiny.videos([4, 1, 3])
    for instance in (model, again):
        assert instance.method_name == method
    text, video = model.encode_text(tiny.CAPTIONS), model.encode_frames(pixels, times)
    text_again, video_again = again.encode_text(tiny.CAPTIONS), again.encode_frames(pixels, times)
    for name, tokens in {**text, **video}.items():
        assert torch.equal(tokens.tokens, {**text_again, **video_again}[name].tokens)
    assert torch.equal(model.similarity(text, video), again.similarity(text_again, video_again))
    assert model.fingerprint == again.fingerprint


@every_variant
def test_scores_do_not_depend_on_what_else_is_scored(method: str, arguments: Mapping[str, Any]) -> None:
    model = tiny.model(method, arguments)
    counts = [5, 1, 3, 2]
    pixels, times = tiny.videos(counts)
    together = model.similarity(model.encode_text(tiny.CAPTIONS), model.encode_frames(pixels, times))
    assert together.std() > 1e-4
    for row, column in [(0, 0), (1, 1), (2, 2), (4, 3)]:
        text = model.encode_text([tiny.CAPTIONS[row]])
        video = model.encode_frames([pixels[column]], [times[column]])
        alone = model.similarity(text, video)
        torch.testing.assert_close(alone[0, 0], together[row, column], atol=2e-6, rtol=1e-5)


@every_variant
def test_contributions_sum_to_the_score_or_the_method_says_why_not(
    method: str, arguments: Mapping[str, Any]
) -> None:
    model = tiny.model(method, arguments)
    pixels, times = tiny.videos([5, 1, 3, 2, 4])
    text, video = model.encode_text(tiny.CAPTIONS), model.encode_frames(pixels, times)
    if not model.method.explains:
        with pytest.raises(NoAlignmentError, match="black box"):
            model.method.align(text, video)
        return
    diagonal = model.similarity(text, video).diagonal()
    accounts = model.method.align(text, video)
    total = sum(
        term.weight * accounts[term.name].contributions.sum(dim=(1, 2)) for term in model.method.terms
    )
    torch.testing.assert_close(total, diagonal, atol=1e-6, rtol=1e-5)


@pytest.mark.processor
@every_variant
def test_bf16_towers_score_nearly_the_same(method: str, arguments: Mapping[str, Any], tmp_path: Path) -> None:
    model = tiny.model(method, arguments)
    model.save(tmp_path)
    rounded = load(tmp_path, device="cpu", precision="bf16")
    pixels, times = tiny.videos([5, 1, 3])
    exact = model.similarity(model.encode_text(tiny.CAPTIONS), model.encode_frames(pixels, times))
    text = rounded.encode_text(tiny.CAPTIONS)
    video = rounded.encode_frames(pixels, times)
    assert all(tokens.tokens.dtype == torch.float32 for tokens in (*text.values(), *video.values()))
    near = rounded.similarity(text, video)
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, atol=0.05, rtol=0.05)
    assert not torch.equal(near, exact)
    assert rounded.fingerprint == model.fingerprint


@pytest.mark.processor
@every_variant
def test_training_encodes_in_bf16_and_scores_in_fp32(method: str, arguments: Mapping[str, Any]) -> None:
    model = tiny.model(method, arguments)
    text, video = captioned(model)
    scores = []
    for rounded in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            words = model.method.text_features(*text)
            frames = model.method.video_features(*video)
        words, frames = model.method.prepare_text(words), model.method.prepare_video(frames)
        scores.append(model.method.similarity(words, frames))
    assert scores[1].dtype == torch.float32
    torch.testing.assert_close(scores[1], scores[0], atol=0.05, rtol=0.05)
    assert not torch.equal(*scores)
    torch.autograd.backward(model.method.loss(words, frames)["loss"])
    gradients = [part.grad for part in model.method.parameters() if part.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_when_to_use_it_and_its_example_runs(name: str) -> None:
    text = inspect.getdoc(METHODS[name]) or ""
    for words in ("Use it", "It needs", "gives? up", "Source: "):
        assert re.search(words, " ".join(text.split())), words
    example = re.search(r"Example:\n +``(.+)``", text)
    assert example is not None, f'end the docstring with Example: and ``Model.create("{name}", *clip)``'
    clip = (tiny.towers(), tiny.tokenizer(), PixelNorm(tiny.SIZE_PX))
    made = eval(example[1], {"Model": Model, "clip": clip})
    assert isinstance(made.method, METHODS[name])  # type: ignore[arg-type]


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"unknown method 'dlr'; known methods: .*clip4clip, drl.*mean 'drl'"
    ):
        build_method("dlr", tiny.towers())


def test_an_argument_without_a_default_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Needs(ZeroShot):
        def __init__(self, towers: ClipTowers, dim: int) -> None:
            super().__init__(towers)
            self.dim = dim

    monkeypatch.setitem(METHODS, "needs", Needs)
    with pytest.raises(ValueError, match=r"argument 'dim' has no default; give it one in Needs.__init__"):
        resolve_arguments("needs")


def test_an_unknown_argument_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'drl' has no argument 'interactoin'.*did you mean 'interaction'"):
        resolve_arguments("drl", {"interactoin": "ti"})
    with pytest.raises(ValueError, match="its arguments: none"):
        resolve_arguments("zero_shot", {"head": "meanP"})


@pytest.mark.parametrize("value", ["many", float("nan"), float("inf"), None, True, [3]])
def test_where_a_number_belongs_no_other_thing_passes(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"'drl': cdcr_lambda is .*, expected a finite number such as 0\.001"
    ):
        resolve_arguments("drl", {"cdcr_lambda": value})
    assert resolve_arguments("drl", {"cdcr_lambda": 1})["cdcr_lambda"] == 1
    assert resolve_arguments("pidro", {"patch_tokens": None})["patch_tokens"] is None


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("drl", {"interaction": "it"}, "expected one of dp, hi, mlp, xti, ti, wti"),
        ("drl", {"temporal": "mean"}, "expected one of none, lstm, transformer"),
        ("drl", {"weight_layers": 4}, "expected 1, 2 or 3"),
        ("drl", {"cdcr": "both"}, "expected one of auto"),
        ("drl", {"padding": "keep"}, "expected one of excluded, zero"),
        ("drl", {"interaction": "xti", "cdcr": "single"}, "black box"),
        ("clip4clip", {"head": "mean"}, "expected one of meanP, seqLSTM"),
        ("xclip", {"padding": "zero"}, "expected one of excluded, included"),
        ("drl", {"cdcr_orientation": "code"}, "expected one of paper, released"),
        ("drl", {"cdcr_deviation": "none"}, "expected one of weighted, plain"),
        ("pidro", {"selector_noise": "none"}, "expected one of relative, absolute"),
        ("ts2net", {"selected": 17}, "selected is 17, expected 1 to the 16 patches"),
        ("ts2net", {"gradient": "none"}, "expected one of full, diagonal"),
        ("ts2net", {"frame_mask": "all"}, "expected one of frames, tiled"),
    ],
)
def test_a_refused_value_is_answered_with_its_choices(
    method: str, arguments: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_method(method, tiny.towers(), arguments)


@pytest.mark.parametrize(
    ("method", "arguments", "heads"),
    [
        ("clip4clip", {"head": "seqTransf"}, 1),
        ("clip4clip", {"head": "tightTransf"}, 8),
        ("drl", {"interaction": "xti", "temporal": "none"}, 8),
        ("xclip", {}, 1),
        ("pidro", {}, 1),
    ],
)
def test_transformers_start_from_the_text_tower_where_it_has_their_sizes(
    method: str, arguments: Mapping[str, Any], heads: int
) -> None:
    def starts_from_text(towers: ClipTowers) -> bool:
        there = towers.clip.text_model
        state = build_method(method, towers, arguments).state_dict()
        positions = next(v for name, v in state.items() if name.endswith("positions") and "patch" not in name)
        block = next(v for name, v in state.items() if name.endswith("blocks.0.attention_out.weight"))
        copied = torch.equal(block, there.encoder.layers[0].self_attn.out_proj.weight)
        words = there.embeddings.position_embedding.weight
        assert torch.equal(positions[: len(words), : words.shape[1]], words) is copied
        return copied

    assert starts_from_text(tiny.towers(text_heads=heads))
    assert not starts_from_text(tiny.towers(text_heads=heads, text_width=8))
    assert not starts_from_text(tiny.towers(text_heads=2))
    assert not starts_from_text(tiny.towers(text_heads=heads, mlp_ratio=2.5))
