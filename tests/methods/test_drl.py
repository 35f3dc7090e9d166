"""DRL's choices: what HI compares, which decorrelation is meant, what lambda weighs, and the cost table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, normalize
from transformers import CLIPConfig

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.tokenizer import TokenizedText
from vidsift.errors import NoAlignmentError
from vidsift.interactions.hierarchical import Hierarchical
from vidsift.interactions.mlp import PairPerceptron
from vidsift.losses.decorrelation import decorrelation
from vidsift.methods.catalog import build_method
from vidsift.methods.drl import Drl, DrlInteraction, complexity
from vidsift.methods.model import Model, load
from vidsift.search.searcher import Index
from vidsift.types import Features

PLAIN = {"temporal": "none"}


def deep(arguments: Mapping[str, Any], blocks: int = 4) -> Model:
    """A tiny model whose towers have enough blocks for levels."""
    config = tiny.towers().config.to_dict()
    for tower in ("text_config", "vision_config"):
        config[tower]["num_hidden_layers"] = blocks
    torch.manual_seed(0)
    towers = ClipTowers(CLIPConfig.from_dict(config))
    model = Model.create(
        "drl",
        towers,
        tiny.tokenizer(),
        PixelNorm(tiny.SIZE_PX),
        arguments=PLAIN | dict(arguments),
        frames=tiny.FRAMES,
    )
    with torch.no_grad():
        for value in model.method.parameters():
            if value.ndim > 1:
                value.add_(torch.randn_like(value) * 0.2)
    model.method.eval()
    return model


def encoded(model: Model, counts: tuple[int, ...] = (5, 1, 3, 2, 4)) -> tuple[Features, Features]:
    return model.encode_text(tiny.CAPTIONS), model.encode_frames(*tiny.videos(counts))


# HI


@torch.inference_mode()
def test_hi_compares_what_transformers_gives_at_the_last_three_blocks() -> None:
    model = deep({"interaction": "hi"})
    text, video = encoded(model)
    clip, meet = model.method.towers.clip, model.method.terms[0].interaction
    assert isinstance(meet, Hierarchical)
    pixels, _ = tiny.videos((5, 1, 3, 2, 4))
    for row, caption in enumerate(tiny.CAPTIONS):
        ids = model.tokenize([caption]).ids
        words = clip.text_model(ids, output_hidden_states=True).hidden_states[-3:]
        pictures = model.norm(torch.from_numpy(pixels[row]))
        frames = clip.vision_model(pictures, output_hidden_states=True).hidden_states[-3:]
        sentences = [clip.text_projection(clip.text_model.final_layer_norm(state[0, -1])) for state in words]
        classes = [clip.visual_projection(clip.vision_model.post_layernorm(state[:, 0])) for state in frames]
        means = [normalize(tokens, dim=-1).mean(dim=0) for tokens in classes]
        cosines = torch.stack(
            [cosine_similarity(*pair, dim=0) for pair in zip(sentences, means, strict=True)]
        )
        expected = (torch.softmax(meet.gate(sentences[-1]), dim=0) * cosines).sum()
        actual = model.similarity(text, video)[row, row]
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_the_deepest_level_alone_is_dp() -> None:
    hi, dp = deep({"interaction": "hi", "levels": 1}), deep({"interaction": "dp"})
    hi.method.load_state_dict(dp.method.state_dict(), strict=False)
    torch.testing.assert_close(hi.similarity(*encoded(hi)), dp.similarity(*encoded(dp)))


def test_levels_share_the_head_across_frames() -> None:
    model = deep({"interaction": "hi", "temporal": "transformer", "temporal_layers": 1})
    method = model.method
    assert isinstance(method, Drl)
    pixels, times = tiny.videos((3, 2))
    with_head = model.encode_frames(pixels, times)["level"]
    method.temporal = deep({}).method.temporal  # type: ignore[assignment]
    without = model.encode_frames(pixels, times)["level"]
    for level in range(3):
        assert not torch.allclose(with_head.tokens[0, level::3], without.tokens[0, level::3], atol=1e-3)
    assert with_head.group is not None
    assert with_head.frame is not None
    assert with_head.times_seconds is not None
    assert with_head.group[0].tolist() == [0, 1, 2] * 3
    assert with_head.frame[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert with_head.times_seconds[0].tolist() == np.repeat(times[0], 3).tolist()
    assert with_head.mask.sum(dim=1).tolist() == [9, 6]


@pytest.mark.parametrize("temporal", ["none", "lstm"])
def test_hi_scores_alone_saved_and_rounded_as_in_company(temporal: str, tmp_path: Path) -> None:
    model = deep({"interaction": "hi", "temporal": temporal})
    text, video = encoded(model)
    together = model.similarity(text, video)
    pixels, times = tiny.videos((5, 1, 3, 2, 4))
    for place in range(5):
        alone = model.similarity(
            model.encode_text([tiny.CAPTIONS[place]]), model.encode_frames([pixels[place]], [times[place]])
        )
        torch.testing.assert_close(alone[0, 0], together[place, place], atol=2e-6, rtol=1e-5)
    model.save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert torch.equal(again.similarity(*encoded(again)), together)
    rounded = load(tmp_path, device="cpu", precision="bf16")
    torch.testing.assert_close(rounded.similarity(*encoded(rounded)), together, atol=0.05, rtol=0.05)


def test_levels_that_the_towers_lack_are_refused() -> None:
    for levels in (0, 2):
        with pytest.raises(ValueError, match=f"levels is {levels}, expected 1 to 1, the blocks"):
            build_method("drl", tiny.towers(), {"interaction": "hi", "levels": levels})


# Training


def trained(method: Drl, model: Model, steps: int = 6) -> list[dict[str, Tensor]]:
    tokenized = model.tokenize(tiny.CAPTIONS)
    pixels, times = tiny.videos([3] * len(tiny.CAPTIONS))
    pictures, seconds = model.norm(torch.from_numpy(np.stack(pixels))), torch.from_numpy(np.stack(times))
    mask = torch.ones(seconds.shape, dtype=torch.bool)
    optimiser = torch.optim.AdamW(method.train().parameters(), lr=3e-3)
    history = []
    for _ in range(steps):
        words = method.prepare_text(method.text_features(tokenized.ids, tokenized.mask))
        frames = method.prepare_video(method.video_features(pictures, mask, seconds))
        history.append(method.loss(words, frames))
        optimiser.zero_grad()
        torch.autograd.backward(history[-1]["loss"])
        optimiser.step()
    return history


@pytest.mark.parametrize("cdcr", ["auto", "best_match", "weighted"])
def test_hi_learns_at_every_level(cdcr: str) -> None:
    model = deep({"interaction": "hi", "cdcr": cdcr})
    assert isinstance(model.method, Drl)
    history = trained(model.method, model)
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]
    assert history[-1]["cdcr"] < history[0]["cdcr"]
    gate = model.method.terms[0].interaction
    assert isinstance(gate, Hierarchical)
    assert gate.gate.weight.grad is not None
    assert bool(gate.gate.weight.grad.any())


@pytest.mark.parametrize(
    ("interaction", "cdcr", "form"),
    [
        ("dp", "auto", "single"),
        ("hi", "auto", "single"),
        ("ti", "auto", "best_match"),
        ("wti", "auto", "weighted"),
        ("mlp", "auto", None),
        ("xti", "auto", None),
        ("dp", "paper", "single"),
        ("hi", "paper", "single"),
        ("ti", "paper", "best_match"),
        ("wti", "paper", "best_match"),
        ("wti", "random", "random"),
        ("wti", "none", None),
    ],
)
def test_which_decorrelation_is_meant(interaction: str, cdcr: str, form: str | None) -> None:
    arguments = {"interaction": interaction, "cdcr": cdcr, "levels": 1, "cross_layers": 1} | PLAIN
    method = build_method("drl", tiny.towers(), arguments)
    assert isinstance(method, Drl)
    assert method.cdcr == form


@pytest.mark.parametrize(
    ("interaction", "cdcr", "message"),
    [
        ("xti", "paper", "xti is a black box; use cdcr=none"),
        ("mlp", "single", "mlp is a black box; use cdcr=none"),
        ("hi", "random", "would pair different levels"),
    ],
)
def test_decorrelation_that_makes_no_sense_is_refused(interaction: str, cdcr: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_method("drl", tiny.towers(), {"interaction": interaction, "cdcr": cdcr, "levels": 1} | PLAIN)


@pytest.mark.parametrize(
    "arguments",
    [
        {"interaction": "dp"},
        {"interaction": "hi"},
        {"interaction": "ti", "paths": "t2v"},
        {"interaction": "wti", "paths": "v2t"},
        {"interaction": "wti", "cdcr_centred": False, "cdcr": "best_match"},
    ],
)
def test_lambda_weighs_against_the_mean_of_the_directions(arguments: Mapping[str, Any]) -> None:
    """Twice the loss is the paper's Eq. 7 and 9 with twice the lambda."""
    model = deep({**arguments, "cdcr_lambda": 0.25, "cdcr_alpha": 0.5, "cdcr_on_diagonal": 0.75})
    method = model.method
    assert isinstance(method, Drl)
    text, video = encoded(model)
    logits = method.similarity(text, video) * method.scale
    truth = torch.arange(len(logits))
    eq_7 = cross_entropy(logits, truth) + cross_entropy(logits.t(), truth)
    (term,) = method.terms
    assert method.cdcr is not None
    parts = decorrelation(
        text[term.text],
        video[term.video],
        method.cdcr,
        term.interaction.align(text[term.text], video[term.video]),
        paths=method.paths,
        levels=method.levels,
        centred=method.cdcr_centred,
    )
    cdcr = 0.75 * parts.on_diagonal + 0.5 * parts.off_diagonal
    torch.testing.assert_close(2 * method.loss(text, video)["loss"], eq_7 + 2 * 0.25 * cdcr)


@pytest.mark.parametrize("arguments", [{"interaction": "hi"}, {"interaction": "mlp"}])
def test_towers_may_compute_in_bf16_while_training(arguments: Mapping[str, Any]) -> None:
    model = deep({**arguments, "temporal": "transformer", "temporal_layers": 1})
    method = model.method
    tokenized = model.tokenize(tiny.CAPTIONS)
    pixels, times = tiny.videos([3] * len(tiny.CAPTIONS))
    pictures, seconds = model.norm(torch.from_numpy(np.stack(pixels))), torch.from_numpy(np.stack(times))
    mask = torch.ones(seconds.shape, dtype=torch.bool)
    losses = []
    for rounded in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            words = method.text_features(tokenized.ids, tokenized.mask)
            frames = method.video_features(pictures, mask, seconds)
        assert all(
            token_set.tokens.dtype == torch.float32 for token_set in (*words.values(), *frames.values())
        )
        losses.append(method.loss(method.prepare_text(words), method.prepare_video(frames))["loss"])
        torch.autograd.backward(losses[-1])
    assert losses[0] != losses[1]
    torch.testing.assert_close(*losses, atol=0.1, rtol=0.1)
    assert all(value.grad is None or bool(value.grad.isfinite().all()) for value in method.parameters())


# Black boxes


def test_mlp_has_the_layers_asked_for() -> None:
    for layers, given in ((4, {}), (2, {"mlp_layers": 2})):
        meet = deep({"interaction": "mlp", **given}).method.terms[0].interaction
        assert isinstance(meet, PairPerceptron)
        assert sum(isinstance(part, torch.nn.Linear) for part in meet.modules()) == layers


def test_xti_reads_the_sentence_or_all_words() -> None:
    both = [
        deep({"interaction": "xti", "cross_layers": 1, "cross_text": text_set})
        for text_set in ("sentence", "word")
    ]
    assert [model.method.terms[0].name for model in both] == ["sentence-frame", "word-frame"]
    positions = [len(model.method.terms[0].interaction.positions) for model in both]  # type: ignore[arg-type]
    assert positions == [76 + 1, 76 + both[1].method.towers.max_tokens]
    with pytest.raises(ValueError, match="cross_text is 'words', expected one of sentence, word"):
        deep({"interaction": "xti", "cross_text": "words"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"interaction": "hi"},
        {"interaction": "mlp"},
        {"interaction": "xti", "cross_text": "word", "cross_layers": 1},
        {"interaction": "wti", "paths": "v2t"},
    ],
)
def test_a_search_ranks_by_the_interaction_and_explains_where_there_is_an_account(
    arguments: Mapping[str, Any], tmp_path: Path
) -> None:
    model = deep(arguments)
    index = Index(filled(tmp_path, model, [5, 3, 4, 2]), model)
    query = "circle"
    hits = index.search(query, k=4)
    pixels, times = tiny.videos([5, 3, 4, 2], seed=3)
    features = model.encode_frames(pixels, times)
    scores = model.similarity(model.encode_text([query]), features)[0]
    expected = scores.sort(descending=True).values
    # The index keeps fp16.
    torch.testing.assert_close(torch.tensor([hit.score for hit in hits]), expected, atol=5e-3, rtol=1e-2)
    if not model.method.explains:
        with pytest.raises(NoAlignmentError, match="black box"):
            index.explain(query, hits[0])
        return
    account = index.explain(query, hits[0])
    assert account.total == pytest.approx(hits[0].score, abs=1e-6)
    if arguments["interaction"] == "hi":
        # A word between start and end has as many tokens as there are levels.
        assert len(model.tokenize([query]).pieces[0]) == 3
        assert account.terms[0].words == ["level 1", "level 2", "level 3"]


# The cost table


def test_the_paper_s_ratios_follow_from_its_table() -> None:
    names: list[DrlInteraction] = ["dp", "hi", "mlp", "xti", "ti", "wti"]
    operations = {name: complexity(name)[0] for name in names}
    assert operations["hi"] / operations["dp"] == 3
    assert operations["mlp"] / operations["dp"] == 2049
    assert operations["ti"] / operations["dp"] == 32 * 12
    assert operations["wti"] - operations["ti"] == 32 + 12
    # Section 7.3 forgets its L = 4 in both figures for XTI.
    assert operations["xti"] / operations["dp"] == 4 * 24464
    assert operations["xti"] / operations["wti"] / 4 == pytest.approx(63.69, abs=0.005)
    stored = {name: complexity(name)[1] for name in names}
    assert stored == {"dp": 512, "hi": 1536, "mlp": 512, "xti": 6144, "ti": 6144, "wti": 12 * 513}
    with pytest.raises(ValueError, match="expected one of dp, hi, mlp"):
        complexity("it")  # type: ignore[arg-type]


# Words without start and end, and words left out


@torch.inference_mode()
def test_start_and_end_are_no_words_where_they_are_left_out() -> None:
    model, all_words = (tiny.model("drl", PLAIN | {"word_ends": ends}) for ends in (False, True))
    pieces = [len(words) for words in model.tokenize(tiny.CAPTIONS).pieces]
    words, every = (of.encode_text(tiny.CAPTIONS)["word"] for of in (model, all_words))
    # Each token in its place, so that accounts know which piece it is.
    assert words.mask.shape == every.mask.shape
    for row, count in enumerate(pieces):
        assert words.mask[row].nonzero().flatten().tolist() == list(range(1, count - 1))
        assert every.mask[row].nonzero().flatten().tolist() == list(range(count))
    assert words.weights is not None
    torch.testing.assert_close(words.weights.sum(dim=1), torch.ones(5))
    assert not words.weights[~words.mask].any()
    torch.testing.assert_close(words.tokens[words.mask], every.tokens[words.mask])


@torch.inference_mode()
def test_a_sentence_cut_to_start_and_end_keeps_them() -> None:
    method = tiny.model("drl", PLAIN | {"word_ends": False}).method
    ids = torch.tensor([[1, 2, 0], [1, 5, 2]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()
    words = method.text_features(ids, mask)["word"]
    assert words.mask.tolist() == [[True, True, False], [False, True, False]]


def test_words_are_left_out_in_training_alone() -> None:
    torch.manual_seed(0)
    model = tiny.model("drl", PLAIN | {"word_dropout": 0.5})
    tokenized = model.tokenize(tiny.CAPTIONS)
    assert torch.equal(model.method.text_features(*tokenized_parts(tokenized))["word"].mask, tokenized.mask)
    model.method.train()
    assert model.method.text_features(*tokenized_parts(tokenized))["word"].mask.sum() < tokenized.mask.sum()


def tokenized_parts(tokenized: TokenizedText) -> tuple[Tensor, Tensor]:
    return tokenized.ids, tokenized.mask


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"word_dropout": 1.0}, "word_dropout is 1.0, expected a share"),
        ({"word_dropout": -0.1}, "word_dropout is -0.1"),
        ({"word_ends": False, "interaction": "dp"}, "the interaction is dp"),
        ({"word_ends": False, "padding": "zero"}, "padding zero"),
        ({"word_faithfulness": -1.0, "paths": "t2v"}, "word_faithfulness is -1.0, expected a weight"),
        ({"word_faithfulness": 0.3}, "got wti with paths=dual"),
        ({"word_faithfulness": 0.3, "interaction": "dp"}, "got dp with"),
        ({"temporal_window": 1}, "temporal_window is 1, but the head across frames is 'none'"),
        ({"temporal": "transformer", "temporal_window": -2}, "window across frames is -2"),
    ],
)
def test_words_and_windows_that_cannot_be_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.model("drl", PLAIN | arguments)


def test_words_are_held_to_what_they_give_in_training_alone() -> None:
    arguments = PLAIN | {"interaction": "ti", "paths": "t2v", "word_ends": False, "word_faithfulness": 0.3}
    model = tiny.model("drl", arguments)
    method = model.method
    assert set(model.encode_text(tiny.CAPTIONS)) == {"word"}
    method.train()
    torch.manual_seed(3)
    texts = method.prepare_text(method.text_features(*tokenized_parts(model.tokenize(tiny.CAPTIONS))))
    shortened = texts["shortened"]
    assert shortened.weights is not None
    # One word of each, but for the sentence of one, gets no weight; the others share it.
    words = texts["word"].mask.sum(dim=1)
    assert torch.equal(shortened.mask.sum(dim=1), torch.where(words > 1, words - 1, words))
    assert not (shortened.mask & ~texts["word"].mask).any()
    torch.testing.assert_close(shortened.weights.sum(dim=1), torch.ones(5))
    # A causal tower: what stands before the word that is left out says what it said, what follows does not.
    same = (texts["word"].tokens - shortened.tokens).abs().amax(dim=2) < 1e-5
    for row, out in (texts["word"].mask & ~shortened.mask).nonzero().tolist():
        assert same[row, 1:out].all()
        assert not (same[row] & shortened.mask[row])[out:].any()
    videos = method.prepare_video(encoded(model)[1])
    losses = method.loss(texts, videos)
    without = method.loss({"word": texts["word"]}, videos)
    assert losses["faithfulness"] > 0
    torch.testing.assert_close(losses["loss"], without["loss"] + 0.3 * losses["faithfulness"])
    assert {"info_nce", "loss"} <= without.keys()


def test_a_loss_of_three_interactions_is_the_mean_of_theirs() -> None:
    """Towers that serve DP, TI and WTI alike: the same tokens, three losses, and WTI's score."""
    torch.manual_seed(0)
    mixed = deep({"cdcr": "none", "loss_also": ["dp", "ti"]})
    texts, videos = encoded(mixed)
    texts = {name: tokens[:5] for name, tokens in texts.items()}
    assert texts["word"].mask.shape[0] == len(videos["frame"]) == 5
    expected = [mixed.method.loss(texts, videos)]
    state = mixed.method.state_dict()
    losses = []
    for interaction in ("dp", "ti", "wti"):
        alone = deep({"cdcr": "none", "interaction": interaction})
        alone.method.load_state_dict(state, strict=False)
        alone_texts, alone_videos = encoded(alone)
        alone_texts = {name: tokens[:5] for name, tokens in alone_texts.items()}
        losses.append(alone.method.loss(alone_texts, alone_videos)["loss"])
        if interaction == "wti":
            torch.testing.assert_close(
                alone.method.similarity(alone_texts, alone_videos), mixed.method.similarity(texts, videos)
            )
    torch.testing.assert_close(expected[0]["loss"], torch.stack(losses).mean(), rtol=0, atol=1e-5)
    with pytest.raises(
        ValueError, match="loss_also reads the tokens of interaction wti with word_ends, not of ti"
    ):
        deep({"interaction": "ti", "loss_also": ["dp"]})
    with pytest.raises(ValueError, match="loss_also is 'hi', expected one of dp, ti"):
        deep({"loss_also": ["hi"]})
