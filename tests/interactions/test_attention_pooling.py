"""Attention pooling: held to the released code's values, to the equations in plain loops, to its own account.

No golden file of X-Pool exists. ``RELEASED`` was recorded by running ``Transformer`` (modules/transformer.py)
and ``sim_matrix_training`` (modules/metrics.py) of layer6ai-labs/xpool at commit bc88718, in evaluation mode,
on the weights and inputs that ``wave`` gives here; beside it, random ones of 512 channels agreed within 1e-7.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.methods import tiny
from torch import Tensor

from vidsift.interactions import attention_pooling
from vidsift.interactions.attention_pooling import AttentionPooling
from vidsift.types import TokenSet

DIM = 4
RELEASED = [[-0.404912, 0.394720], [0.295573, -0.444928], [-0.055017, 0.420531]]
PARTS = ("query", "key", "value", "out", "linear", "input_norm", "pooled_norm", "output_norm")


def wave(shape: tuple[int, ...], step: float) -> Tensor:
    """Numbers that no generator of random ones has to give again."""
    count = math.prod(shape)
    return torch.sin(step * (1.0 + torch.arange(count, dtype=torch.float64))).view(shape).float()


@pytest.fixture
def meet() -> AttentionPooling:
    built = AttentionPooling(DIM).eval()
    state: dict[str, Tensor] = {}
    for number, name in enumerate(PARTS):
        norm = name.endswith("norm")
        weight = wave((DIM,) if norm else (DIM, DIM), 0.7 + 0.1 * number)
        state[f"{name}.weight"] = 1 + 0.3 * weight if norm else weight
        state[f"{name}.bias"] = 0.2 * wave((DIM,), 1.3 + 0.1 * number)
    built.load_state_dict(state)
    return built.requires_grad_(requires_grad=False)


def sentences(tokens_QD: Tensor) -> TokenSet:
    return TokenSet(tokens_QD[:, None], torch.ones(len(tokens_QD), 1, dtype=torch.bool))


def frames(tokens_VFD: Tensor) -> TokenSet:
    return TokenSet(tokens_VFD, torch.ones(tokens_VFD.shape[:2], dtype=torch.bool))


def score(meet: AttentionPooling, text: TokenSet, video: TokenSet) -> Tensor:
    return meet.score(meet.prepare_text(text), meet.prepare_video(video))


def test_scores_are_those_of_the_released_code(meet: AttentionPooling) -> None:
    actual = score(meet, sentences(wave((3, DIM), 0.9)), frames(wave((2, 3, DIM), 1.7)))
    torch.testing.assert_close(actual, torch.tensor(RELEASED), atol=2e-6, rtol=0)


def by_the_equations(meet: AttentionPooling, sentence_D: Tensor, frames_FD: Tensor) -> float:
    """Score one sentence with one video (the steps of Figure 2), number by number, in numpy and float64."""
    state = {name: value.double().numpy() for name, value in meet.state_dict().items()}

    def linear(name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return np.array([sum(weight[i, j] * x[j] for j in range(len(x))) + bias[i] for i in range(len(bias))])

    def layer_norm(name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = sum(x) / len(x)
        spread = math.sqrt(sum((x - mean) ** 2) / len(x) + 1e-5)
        return np.asarray((x - mean) / spread * state[f"{name}.weight"] + state[f"{name}.bias"])

    text = sentence_D.double().numpy()
    query = linear("query", layer_norm("input_norm", text))
    normed = [layer_norm("input_norm", frame) for frame in frames_FD.double().numpy()]
    logits = [sum(query * linear("key", frame)) / math.sqrt(len(text)) for frame in normed]
    total = sum(math.exp(logit) for logit in logits)
    pooled = np.zeros(len(text))
    for logit, frame in zip(logits, normed, strict=True):
        pooled = pooled + math.exp(logit) / total * linear("value", frame)
    attended = layer_norm("pooled_norm", linear("out", pooled))
    video = layer_norm("output_norm", linear("linear", attended) + attended)
    return float(sum(text * video) / math.sqrt(sum(text**2)) / math.sqrt(sum(video**2)))


def test_scores_are_those_of_the_equations_and_padding_has_no_say(
    meet: AttentionPooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, video = tiny.token_set([1, 1, 1], 1, DIM), tiny.token_set([5, 1, 3, 4], 6, DIM, seed=1)
    expected = torch.tensor(
        [
            [
                by_the_equations(meet, text.tokens[q, 0], video.tokens[v][video.mask[v]])
                for v in range(len(video))
            ]
            for q in range(len(text))
        ]
    )
    for numbers_at_once in (1, 1 << 22):
        monkeypatch.setattr(attention_pooling, "_NUMBERS_AT_ONCE", numbers_at_once)
        torch.testing.assert_close(score(meet, text, video), expected, atol=1e-6, rtol=0)


def test_a_fresh_one_attends_by_likeness_and_changes_nothing_else() -> None:
    """Projections start as the identity, so that training starts near CLIP."""
    meet = AttentionPooling(DIM).eval()
    text, video = tiny.token_set([1], 1, DIM), tiny.token_set([3], 3, DIM, seed=1)
    account = meet.align(meet.prepare_text(text), meet.prepare_video(video))
    norm = torch.nn.LayerNorm(DIM)
    logits = norm(text.tokens[0]) @ norm(video.tokens[0]).t() / DIM**0.5
    torch.testing.assert_close(account.video_weights, logits.softmax(dim=1), atol=1e-6, rtol=0)


def test_the_account_sums_to_the_score_and_says_what_a_frame_alone_would_give(meet: AttentionPooling) -> None:
    text, video = tiny.token_set([1, 1, 1], 1, DIM), tiny.token_set([4, 1, 3], 4, DIM, seed=1)
    prepared = meet.prepare_text(text), meet.prepare_video(video)
    account, scores = meet.align(*prepared), meet.score(*prepared).diagonal()
    torch.testing.assert_close(account.contributions.sum(dim=(1, 2)), scores, atol=1e-6, rtol=0)
    torch.testing.assert_close(account.video_weights.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(account.contributions[:, 0], account.values[:, 0] * account.video_weights)
    assert not account.contributions[:, 0][~video.mask].any()
    # Where there is one frame, what it gives and what the pair scores are one number.
    torch.testing.assert_close(account.values[1, 0, 0], scores[1], atol=1e-6, rtol=0)
    # To leave a frame out is another question: the divisors change with it.
    without = score(meet, text[:1], TokenSet(video.tokens[:1, 1:], video.mask[:1, 1:]))[0, 0]
    assert abs(float(scores[0] - account.contributions[0, 0, 0] - without)) > 1e-3


def test_texts_of_several_tokens_are_refused(meet: AttentionPooling) -> None:
    with pytest.raises(ValueError, match="texts of 2 tokens; it asks with one token of a text"):
        meet.prepare_text(tiny.token_set([2], 2, DIM))


def test_dropout_is_for_training_alone() -> None:
    meet = AttentionPooling(8, dropout=0.5)
    text, video = tiny.token_set([1], 1), tiny.token_set([3], 3, seed=1)
    torch.manual_seed(0)
    assert not torch.equal(score(meet, text, video), score(meet, text, video))
    meet.eval()
    assert torch.equal(score(meet, text, video), score(meet, text, video))


def test_a_gallery_in_half_precision_scores_nearly_the_same(meet: AttentionPooling) -> None:
    text = meet.prepare_text(tiny.token_set([1, 1], 1, DIM))
    video = meet.prepare_video(tiny.token_set([3, 2], 3, DIM, seed=1))
    near = meet.score(text, video.to(dtype=torch.bfloat16))
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, meet.score(text, video), atol=0.02, rtol=0)
