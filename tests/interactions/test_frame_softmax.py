"""The sentence against every frame: cosines weighted by themselves (TS2-Net), and query-scoring."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods import tiny
from torch import Tensor

from vidsift.interactions.batches import pad_tokens
from vidsift.interactions.frame_softmax import FrameSoftmax, frame_weights
from vidsift.interactions.masked import masked_mean
from vidsift.interactions.quantised import pack, quantise
from vidsift.types import TokenSet

DIM = 8
counts = st.lists(st.integers(1, 5), min_size=1, max_size=4)
few = settings(max_examples=20, deadline=None)
meet = FrameSoftmax()
query_scoring = FrameSoftmax(10.0, "cosine", "frame")
every_average = pytest.mark.parametrize(
    "meeting", [meet, FrameSoftmax(10.0, "cosine"), query_scoring], ids=["ts2net", "cosine", "frame"]
)
# similarity_queryscoring of m-bain/clip-hitchhiker query_scoring.py at commit 4cb1cc7, for the sentences and
# (unit) frames of released_sets() and each temperature.
RELEASED = {
    0.1: [[0.7301803, 0.4256941], [0.4349184, 0.3779645]],
    1.0: [[0.6453265, 0.4943219], [0.3285458, 0.3779645]],
}


def released_sets() -> tuple[TokenSet, TokenSet]:
    text = torch.tensor([[[1.0, 2.0, -1.0]], [[0.5, -1.0, 2.0]]])
    video = torch.tensor([[[2.0, 1.0, 0.0], [0.0, 3.0, 4.0]], [[1.0, 0.0, 0.0], [-1.0, 2.0, 2.0]]])
    real = torch.ones(2, 2, dtype=torch.bool)
    return query_scoring.prepare_text(TokenSet(text, real[:, :1])), query_scoring.prepare_video(
        TokenSet(video, real)
    )


def prepared(texts: int, frames: list[int], width: int = 5, seed: int = 0) -> tuple[TokenSet, TokenSet]:
    text = meet.prepare_text(tiny.token_set([1] * texts, 1, DIM, seed))
    return text, meet.prepare_video(tiny.token_set(frames, width, DIM, seed + 1))


def test_a_worked_example() -> None:
    """Cosines .6 and .8 are a unit vector already: softmax of 2.4 and 3.2."""
    sentence = TokenSet(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1, dtype=torch.bool))
    frames = TokenSet(torch.tensor([[[0.6, 0.8], [0.8, 0.6]]]), torch.ones(1, 2, dtype=torch.bool))
    weights = torch.tensor([2.4, 3.2]).softmax(dim=0)
    sim = meet.score(meet.prepare_text(sentence), meet.prepare_video(frames))
    torch.testing.assert_close(sim, (weights @ torch.tensor([0.6, 0.8])).view(1, 1))


def test_weights_do_not_follow_the_size_of_the_cosines() -> None:
    cosines, real = torch.tensor([[0.3, 0.1, -0.2]]), torch.tensor([[True, True, True]])
    torch.testing.assert_close(frame_weights(cosines / 10, real), frame_weights(cosines, real))
    assert frame_weights(cosines, torch.tensor([[True, False, False]])).tolist() == [[1.0, 0.0, 0.0]]


@every_average
@few
@given(frames=counts, more=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_padding_and_company_never_change_a_score(
    meeting: FrameSoftmax, frames: list[int], more: int, seed: int
) -> None:
    text, video = tiny.token_set([1, 1], 1, DIM, seed), tiny.token_set(frames, 5, DIM, seed + 1)
    wider = pad_tokens(video, 5 + more)
    wider.tokens[~wider.mask] = 100.0
    together = meeting.score(meeting.prepare_text(text), meeting.prepare_video(video))
    padded = meeting.score(meeting.prepare_text(text), meeting.prepare_video(wider))
    torch.testing.assert_close(padded, together, atol=2e-6, rtol=1e-5)
    for column in range(len(frames)):
        single = video[column : column + 1]
        alone = meeting.score(meeting.prepare_text(text[1:]), meeting.prepare_video(single))
        torch.testing.assert_close(alone[0, 0], together[1, column], atol=2e-6, rtol=1e-5)


@every_average
@few
@given(frames=counts, seed=st.integers(0, 2**16))
def test_contributions_sum_to_the_score(meeting: FrameSoftmax, frames: list[int], seed: int) -> None:
    text, video = prepared(len(frames), frames, seed=seed)
    account = meeting.align(text, video)
    torch.testing.assert_close(
        account.contributions.sum(dim=(1, 2)), meeting.score(text, video).diagonal(), atol=2e-6, rtol=1e-5
    )
    if meeting.average == "cosine":
        torch.testing.assert_close(account.video_weights.sum(dim=1), torch.ones(len(frames)))
    assert bool((account.video_weights[~video.mask] == 0).all())
    assert bool((account.values.transpose(1, 2)[~video.mask] == 0).all())
    assert bool(video.mask.gather(1, account.best_video_token).all())


@pytest.mark.parametrize("temperature", RELEASED)
def test_query_scoring_scores_as_released(temperature: float) -> None:
    text, video = released_sets()
    meeting = FrameSoftmax(1 / temperature, "cosine", "frame")
    torch.testing.assert_close(meeting.score(text, video), torch.tensor(RELEASED[temperature]))


def test_the_ends_of_the_temperature_are_mean_and_best_frame() -> None:
    text, video = prepared(3, [4, 1, 2, 5])
    cosines = torch.einsum("qd,vfd->qvf", text.tokens[:, 0], video.tokens)
    best = cosines.masked_fill(~video.mask, -torch.inf).amax(dim=2)
    means = torch.nn.functional.normalize(masked_mean(video.tokens, video.mask), dim=-1)
    for average in ("cosine", "frame"):
        sharp = FrameSoftmax(1e5, "cosine", average).score(text, video)
        torch.testing.assert_close(sharp, best, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        FrameSoftmax(0.0, "cosine", "frame").score(text, video), text.tokens[:, 0] @ means.t()
    )


def test_frames_that_cancel_out_score_zero() -> None:
    sentence = TokenSet(torch.tensor([[[0.0, 1.0]]]), torch.ones(1, 1, dtype=torch.bool))
    frames = TokenSet(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), torch.ones(1, 2, dtype=torch.bool))
    assert query_scoring.score(sentence, frames).item() == 0


def outermost(video: TokenSet) -> TokenSet:
    """Lay frames outermost in memory, as a scan does."""
    return video.replace(tokens=video.tokens.transpose(0, 1).contiguous().transpose(0, 1))


def test_mean_frames_are_scanned_in_floats() -> None:
    """int8 tokens that are packed for a product are there for nothing else."""
    assert (meet.scans_int8, query_scoring.scans_int8) == (True, False)
    text, video = prepared(3, [4, 1, 2, 5])
    exact = query_scoring.score(text, video)
    torch.testing.assert_close(query_scoring.score(text, outermost(video)), exact)
    halved = query_scoring.score(text, video.to(dtype=torch.bfloat16)).float()
    torch.testing.assert_close(halved, exact, atol=0.02, rtol=0.03)


@pytest.mark.parametrize("meet", [meet, FrameSoftmax(10.0, "cosine")], ids=["ts2net", "cosine"])
def test_scans_find_the_same_scores_in_every_format(meet: FrameSoftmax) -> None:
    text, video = prepared(3, [4, 1, 2, 5])
    exact = meet.score(text, video)
    torch.testing.assert_close(meet.score(text, outermost(video)), exact)
    small = quantise(video)
    scanned = meet.score(text, small)
    torch.testing.assert_close(scanned, exact, atol=0.02, rtol=0)
    assert not torch.equal(scanned, exact)
    torch.testing.assert_close(meet.score(text, outermost(small)), scanned)
    halved = meet.score(text, video.to(dtype=torch.bfloat16)).float()
    torch.testing.assert_close(halved, exact, atol=0.02, rtol=0.03)
    packed = pack(outermost(small).tokens.transpose(0, 1).flatten(0, 1))
    if packed is not None:
        shape_only = outermost(small).tokens.transpose(0, 1).to("meta").transpose(0, 1)
        torch.testing.assert_close(meet.score(text, small.replace(tokens=shape_only, packed=packed)), scanned)


@every_average
def test_gradients_reach_both_sides_and_no_padding(meeting: FrameSoftmax) -> None:
    text, video = tiny.token_set([1, 1], 1, DIM), tiny.token_set([4, 1], 4, DIM, seed=1)
    leaves: list[Tensor] = [text.tokens.requires_grad_(), video.tokens.requires_grad_()]
    sim = meeting.score(meeting.prepare_text(text), meeting.prepare_video(video))
    of_text, of_video = torch.autograd.grad(sim.square().sum(), leaves)
    assert bool((of_text != 0).any())
    assert bool((of_video[~video.mask] == 0).all())
    assert bool((of_video[video.mask] != 0).any(dim=-1).all())


def test_arguments_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="sharpness is -1, expected a finite number of at least 0"):
        FrameSoftmax(-1)
    with pytest.raises(ValueError, match="logits is 'raw', expected one of unit, cosine"):
        FrameSoftmax(logits="raw")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="average is 'max', expected one of cosine, frame"):
        FrameSoftmax(average="max")  # type: ignore[arg-type]


def test_words_and_empty_videos_are_refused() -> None:
    with pytest.raises(ValueError, match="texts of 3 tokens; it compares one token"):
        meet.prepare_text(tiny.token_set([3], 3, DIM))
    with pytest.raises(ValueError, match="video 0 of the batch has no real token"):
        meet.prepare_video(tiny.token_set([0, 2], 3, DIM))


def test_a_video_at_right_angles_scores_zero() -> None:
    sentence = TokenSet(torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1, dtype=torch.bool))
    frames = TokenSet(torch.tensor([[[0.0, 1.0], [0.0, -1.0]]]), torch.ones(1, 2, dtype=torch.bool))
    assert meet.score(meet.prepare_text(sentence), meet.prepare_video(frames)).item() == 0
