"""Video-ColBERT: MeanMaxSim at two levels by its definition, expansion tokens, and the dual sigmoid loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.index.library import filled
from tests.methods import tiny
from tests.methods.searching import search_in_every_format
from torch.nn.functional import cosine_similarity, logsigmoid

from vidsift.methods.catalog import build_method
from vidsift.methods.video_colbert import VideoColbert

ARGUMENTS = {"temporal_layers": 1}
QUERY = "a red circle moves left"


@torch.inference_mode()
def test_the_score_is_two_means_of_best_matches() -> None:
    model = tiny.model("video_colbert", ARGUMENTS)
    inputs, method = model.inputs, model.method
    text = method.text_features(*inputs.text(inputs.tokenize(tiny.CAPTIONS)))["word"]
    video = method.video_features(*inputs.pictures(*tiny.videos([5, 2])))
    sim = method.similarity(method.prepare_text({"word": text}), method.prepare_video(video))
    for row in range(len(tiny.CAPTIONS)):
        for column in range(2):
            words, parts = text.tokens[row][text.mask[row]], []
            for tokens in video.values():
                seen = tokens.tokens[column][tokens.mask[column]]
                parts.append(cosine_similarity(words[:, None], seen[None], dim=-1).amax(dim=1).mean())
            torch.testing.assert_close(sim[row, column], parts[0] + parts[1], atol=2e-6, rtol=0)


@torch.inference_mode()
def test_expansion_tokens_of_both_sides_take_part() -> None:
    model = tiny.model("video_colbert", ARGUMENTS)
    inputs, method = model.inputs, model.method
    text = method.text_features(*inputs.text(inputs.tokenize(["circle"])))["word"]
    # All places of the text count, and those behind its end have read it.
    assert text.mask.shape == (1, tiny.MAX_WORDS)
    assert text.mask.all()
    other = method.text_features(*inputs.text(inputs.tokenize(["square"])))["word"]
    assert not torch.allclose(text.tokens[0, -1], other.tokens[0, -1], atol=1e-3)
    video = method.video_features(*inputs.pictures(*tiny.videos([5, 2])))
    assert video["frame"].mask.sum(dim=1).tolist() == [5, 2]
    assert video["video"].mask.sum(dim=1).tolist() == [7, 4]
    assert video["video"].times_seconds is None
    # A learned token stands before the frames and has seen them.
    assert not torch.allclose(video["video"].tokens[0, 0], video["video"].tokens[1, 0], atol=1e-3)
    bare = tiny.model("video_colbert", {**ARGUMENTS, "query_expansion": False, "visual_expansion": 0})
    assert set(bare.encode_text(["circle"])["word"].mask.sum(dim=1).tolist()) == {3}
    assert bare.encode_frames(*tiny.videos([5]))["video"].mask.shape == (1, 5)


def test_the_loss_is_a_sigmoid_loss_for_each_level() -> None:
    method = tiny.model("video_colbert", {**ARGUMENTS, "frame_lambda": 2.0, "video_lambda": 0.5}).method
    assert isinstance(method, VideoColbert)
    sets = {"frame": tiny.token_set([3, 2], 3, 16), "video": tiny.token_set([4, 3], 4, 16, seed=1)}
    text = method.prepare_text({"word": tiny.token_set([2, 4], 4, 16, seed=2)})
    video = method.prepare_video(sets)
    with torch.no_grad():
        method.log_scale.fill_(1.0)
        method.bias.fill_(-0.5)
    expected = 0.0
    for weight, sim in zip((2.0, 0.5), method.term_scores(text, video).values(), strict=True):
        for row in range(2):
            for column in range(2):
                sign = 1 if row == column else -1
                logit = sim[row, column] * torch.tensor(1.0).exp() - 0.5
                expected -= weight * float(logsigmoid(sign * logit)) / 2
    losses = method.loss(text, video)
    assert losses["loss"].item() == pytest.approx(expected, rel=1e-5)
    torch.autograd.backward(losses["loss"])
    assert method.bias.grad is not None
    # CLIP's own scale has no part in it.
    assert method.towers.logit_scale.grad is None


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="visual_expansion is -1, expected 0 or more"):
        build_method("video_colbert", tiny.towers(), {"visual_expansion": -1})
    model = tiny.model("video_colbert", {**ARGUMENTS, "max_frames": 3})
    with pytest.raises(ValueError, match="a video has 5 frames, the temporal head takes at most 3"):
        model.encode_frames(*tiny.videos([5]))


def test_it_is_scanned_and_explained_in_every_format(tmp_path: Path) -> None:
    model = tiny.model("video_colbert", ARGUMENTS)
    store = filled(tmp_path / "index", model, [5, 1, 3, 5, 4, 5, 2, 5, 3])
    answer = search_in_every_format(model, store, QUERY, k=4)
    pieces = model.tokenize([QUERY]).pieces[0]
    for hit, account in zip(answer.hits, answer.accounts, strict=True):
        frames, video = account.terms
        for term in (frames, video):
            assert term.words[: len(pieces)] == pieces
            assert term.words[len(pieces) :] == [
                f"padding {number + 1}" for number in range(tiny.MAX_WORDS - len(pieces))
            ]
        assert video.times_seconds is None
        assert account.moment_from == ["word-frame"]
        assert frames.times_seconds is not None
        assert hit.moment.start_seconds <= frames.times_seconds.max()
