"""What every interaction owes: padding has no say, company has none, contributions add up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods import tiny

from vidsift.errors import NoAlignmentError
from vidsift.interactions.base import Interaction, pooled, weights_of
from vidsift.interactions.batches import pad_tokens
from vidsift.interactions.best_match import best_matches
from vidsift.interactions.centre_alignment import CentreAlignment
from vidsift.interactions.cross import CrossTransformer
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.frame_softmax import FrameSoftmax
from vidsift.interactions.prototype import PrototypeMatching
from vidsift.interactions.quantised import quantise
from vidsift.interactions.sharpened import SharpenedTokenWise
from vidsift.interactions.similarity_attention import SimilarityAttention
from vidsift.interactions.token_wise import TokenWise, WeightedTokenWise
from vidsift.types import TokenSet

DIM = 8


def seeded(build: Callable[[], Interaction]) -> Interaction:
    torch.manual_seed(7)
    interaction = build().eval()
    with torch.no_grad():
        for value in interaction.parameters():
            value.normal_(std=0.4)
    return interaction


INTERACTIONS: dict[str, Interaction] = {
    "dot": MeanDot(),
    "dot-raw": MeanDot("raw"),
    "ti": TokenWise(),
    "ti-sum": TokenWise(pooling="sum"),
    "wti1": seeded(lambda: WeightedTokenWise(DIM, 1)),
    "wti2": seeded(lambda: WeightedTokenWise(DIM, 2)),
    "wti3": seeded(lambda: WeightedTokenWise(DIM, 3)),
    "centres": seeded(lambda: CentreAlignment(DIM, 3)),
    "sharpened": SharpenedTokenWise(20.0),
    "cross": seeded(lambda: CrossTransformer(DIM, layers=1, heads=2, max_positions=24)),
}
OPEN = [name for name, interaction in INTERACTIONS.items() if interaction.explains]
every = pytest.mark.parametrize("name", INTERACTIONS)
every_open = pytest.mark.parametrize("name", OPEN)
counts = st.lists(st.integers(1, 5), min_size=1, max_size=4)
seeds = st.integers(0, 2**16)
few = settings(max_examples=25, deadline=None)


@torch.inference_mode()
def score(interaction: Interaction, text: TokenSet, video: TokenSet) -> torch.Tensor:
    return interaction.score(interaction.prepare_text(text), interaction.prepare_video(video))


@every
@few
@given(words=counts, frames=counts, more=st.integers(1, 3), seed=seeds)
def test_padding_never_changes_a_score(
    name: str, words: list[int], frames: list[int], more: int, seed: int
) -> None:
    interaction = INTERACTIONS[name]
    text, video = (
        tiny.token_set(words, max(words), DIM, seed),
        tiny.token_set(frames, max(frames), DIM, seed + 1),
    )
    wider_text, wider_video = pad_tokens(text, max(words) + more), pad_tokens(video, max(frames) + more)
    # Whatever stands in the padding, also where it is larger than anything real.
    for wider in (wider_text, wider_video):
        wider.tokens[~wider.mask] = 100.0
    torch.testing.assert_close(
        score(interaction, wider_text, wider_video), score(interaction, text, video), atol=2e-6, rtol=1e-5
    )


@every
@few
@given(words=counts, frames=counts, seed=seeds)
def test_an_entry_depends_on_its_own_text_and_video_only(
    name: str, words: list[int], frames: list[int], seed: int
) -> None:
    interaction = INTERACTIONS[name]
    text, video = tiny.token_set(words, 5, DIM, seed), tiny.token_set(frames, 5, DIM, seed + 1)
    together = score(interaction, text, video)
    assert together.shape == (len(words), len(frames))
    for row in range(len(words)):
        for column in range(len(frames)):
            alone = score(interaction, text[row : row + 1], video[column : column + 1])
            torch.testing.assert_close(alone[0, 0], together[row, column], atol=2e-6, rtol=1e-5)


@every_open
@few
@given(pairs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4), seed=seeds)
def test_contributions_sum_to_the_score(name: str, pairs: list[tuple[int, int]], seed: int) -> None:
    interaction = INTERACTIONS[name]
    words, frames = [count for count, _ in pairs], [count for _, count in pairs]
    text = interaction.prepare_text(tiny.token_set(words, 5, DIM, seed))
    video = interaction.prepare_video(tiny.token_set(frames, 5, DIM, seed + 1))
    account = interaction.align(text, video)
    diagonal = interaction.score(text, video).diagonal()
    torch.testing.assert_close(account.contributions.sum(dim=(1, 2)), diagonal, atol=2e-6, rtol=1e-5)
    both = text.mask[:, :, None] & video.mask[:, None, :]
    assert bool((account.contributions[~both] == 0).all())
    assert bool((account.values[~both] == 0).all())
    # The best matches are real, and the best there are.
    assert bool(video.mask.gather(1, account.best_video_token)[text.mask].all())
    assert bool(text.mask.gather(1, account.best_text_token)[video.mask].all())
    best_value = account.values.gather(2, account.best_video_token.unsqueeze(2)).squeeze(2)
    ceiling = account.values.masked_fill(~both, -torch.inf).amax(dim=2)
    torch.testing.assert_close(best_value[text.mask], ceiling[text.mask])
    for weights, side in ((account.text_weights, text), (account.video_weights, video)):
        assert bool((weights[~side.mask] == 0).all())


@every
def test_a_row_without_a_real_token_is_refused(name: str) -> None:
    interaction = INTERACTIONS[name]
    with pytest.raises(ValueError, match="text 1 of the batch has no real token"):
        interaction.prepare_text(tiny.token_set([1, 0], 3, DIM))
    with pytest.raises(ValueError, match="video 0 of the batch has no real token"):
        interaction.prepare_video(tiny.token_set([0, 2], 3, DIM))


@every
def test_the_order_of_video_tokens_matters_only_where_positions_do(name: str) -> None:
    interaction = INTERACTIONS[name]
    text, video = tiny.token_set([3], 3, DIM), tiny.token_set([4], 4, DIM, seed=1)
    turned = TokenSet(video.tokens.flip(1), video.mask)
    same = torch.allclose(score(interaction, text, turned), score(interaction, text, video), atol=1e-6)
    assert same == interaction.explains


@every
def test_gradients_reach_both_sides(name: str) -> None:
    interaction = INTERACTIONS[name]
    text, video = tiny.token_set([3, 2], 3, DIM), tiny.token_set([4, 1], 4, DIM, seed=1)
    sides = [side.replace(tokens=side.tokens.requires_grad_()) for side in (text, video)]
    sim = interaction.score(interaction.prepare_text(sides[0]), interaction.prepare_video(sides[1]))
    torch.autograd.backward(sim.square().sum())
    for side in sides:
        assert side.tokens.grad is not None
        assert bool(side.tokens.grad.isfinite().all())
        assert bool((side.tokens.grad[~side.mask] == 0).all())
        assert bool((side.tokens.grad[side.mask].abs().amax(dim=-1) > 0).any())


@every_open
def test_compact_sets_score_the_same(name: str) -> None:
    interaction = INTERACTIONS[name]
    text = interaction.prepare_text(tiny.token_set([3, 2], 3, DIM))
    video = interaction.prepare_video(tiny.token_set([4, 1, 2], 4, DIM, seed=1))
    torch.testing.assert_close(
        interaction.score(text, interaction.compact_video(video)),
        interaction.score(text, video),
        atol=1e-6,
        rtol=1e-5,
    )


@pytest.mark.processor
@every_open
@pytest.mark.parametrize("width", [1, 3])
def test_scanning_in_int8_stays_within_its_stated_error(name: str, width: int) -> None:
    interaction = INTERACTIONS[name]
    dim = 8
    text = interaction.prepare_text(tiny.token_set([width, 1, width], width, dim))
    video = interaction.prepare_video(tiny.token_set([4, 1, 2, 3, 4], 4, dim, seed=1))
    exact = interaction.score(text, video)
    scanned = interaction.score(text, quantise(interaction.compact_video(video)))
    assert interaction.scans_int8
    assert scanned.dtype == torch.float32
    # Half a step of 1/127 in every channel on both sides, at worst in one direction.
    assert (scanned - exact).abs().max() < 0.02
    assert not torch.equal(scanned, exact)


@pytest.mark.processor
@every
def test_whole_sets_in_int8_score_like_compact_ones(name: str) -> None:
    interaction = INTERACTIONS[name]
    if not interaction.scans_int8:
        assert not interaction.explains
        return
    text = interaction.prepare_text(tiny.token_set([3, 1], 3, DIM))
    video = interaction.prepare_video(tiny.token_set([4, 1, 2], 4, DIM, seed=1))
    scanned = interaction.score(text, quantise(video))
    torch.testing.assert_close(scanned, interaction.score(text, video), atol=0.02, rtol=0.0)


@pytest.mark.processor
@every_open
def test_bf16_sets_score_nearly_the_same(name: str) -> None:
    interaction = INTERACTIONS[name]
    text = interaction.prepare_text(tiny.token_set([3, 1], 3, DIM))
    video = interaction.prepare_video(tiny.token_set([4, 1, 2], 4, DIM, seed=1))
    halved = [side.to(dtype=torch.bfloat16) for side in (text, interaction.compact_video(video))]
    near = interaction.score(*halved).float()
    torch.testing.assert_close(near, interaction.score(text, video), atol=0.03, rtol=0.03)


@pytest.mark.processor
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        # Unit tokens rounded on both sides move a product by less than twice the rounding, 2**-9 and 2**-12
        # of it, and rounding the product adds as much; sharpened weights follow the products' errors.
        (torch.bfloat16, 0.02),
        (torch.float16, 0.002),
    ],
)
@pytest.mark.parametrize("name", [*OPEN, "prototype", "frame softmax", "attention"])
def test_texts_in_fp32_meet_a_gallery_kept_in_half_of_it(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    """A search asks so: the question is encoded in fp32, the index may be kept smaller."""
    others = {
        "prototype": PrototypeMatching(2),
        "frame softmax": FrameSoftmax(),
        "attention": SimilarityAttention(max_video=4, temperature=0.1),
    }
    interaction = INTERACTIONS[name] if name in INTERACTIONS else others[name]
    words = [1, 1] if name in ("frame softmax", "attention") else [3, 1]
    text = interaction.prepare_text(tiny.token_set(words, max(words), DIM))
    video = interaction.prepare_video(tiny.token_set([4, 1, 2], 4, DIM, seed=1))
    stored = video.to(dtype=dtype)
    for gallery in (stored, interaction.compact_video(stored)):
        near = interaction.score(text, gallery).float()
        torch.testing.assert_close(near, interaction.score(text, video), atol=tolerance, rtol=0)


def test_frames_outermost_in_memory_give_the_same_matches() -> None:
    """A scan lays its blocks out so; the formula is one."""
    text = TokenWise().prepare_text(tiny.token_set([3, 1, 2], 3, DIM))
    video = TokenWise().prepare_video(tiny.token_set([4, 1, 2, 3], 4, DIM, seed=1))
    turned = video.replace(tokens=video.tokens.transpose(0, 1).contiguous().transpose(0, 1))
    for left, right in zip(best_matches(text, video), best_matches(text, turned), strict=True):
        torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-6)


def test_a_black_box_says_what_to_use_instead() -> None:
    cross = INTERACTIONS["cross"]
    text, video = tiny.token_set([1], 1, DIM), tiny.token_set([2], 2, DIM)
    with pytest.raises(NoAlignmentError, match=r"CrossTransformer is a black box.*token-wise"):
        cross.align(text, video)


def test_too_many_tokens_for_the_cross_transformer_are_refused() -> None:
    text, video = tiny.token_set([5], 5, DIM), tiny.token_set([20], 20, DIM)
    with pytest.raises(ValueError, match="a pair has 25 tokens together, the cross transformer takes 24"):
        INTERACTIONS["cross"].score(text, video)


def test_the_cross_transformer_scores_in_blocks_what_it_scores_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, video = tiny.token_set([2, 1, 3], 3, DIM), tiny.token_set([2, 4], 4, DIM, seed=1)
    whole = score(INTERACTIONS["cross"], text, video)
    monkeypatch.setattr("vidsift.interactions.cross._TOKENS_AT_ONCE", 8)
    torch.testing.assert_close(score(INTERACTIONS["cross"], text, video), whole, atol=1e-6, rtol=1e-5)


def test_a_set_that_was_not_prepared_is_refused() -> None:
    text, video = tiny.token_set([2], 2, DIM), tiny.token_set([2], 2, DIM)
    with pytest.raises(ValueError, match="without weights; pass it through prepare_text"):
        TokenWise().score(text, video)
    with pytest.raises(ValueError, match="without weights; pass it through prepare_text"):
        MeanDot().score(text, video)


def test_a_pooled_set_is_one_unit_vector_a_row() -> None:
    prepared = MeanDot().prepare_video(tiny.token_set([4, 1, 2], 4, DIM))
    vectors = pooled(prepared)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vectors, MeanDot().compact_video(prepared).tokens[:, 0])


def test_a_worked_example_of_the_token_wise_score() -> None:
    """Two words, two frames: word 1 meets frame 1 exactly, word 2 is at 60 degrees to frame 2."""
    half = 3**0.5 / 2
    text = TokenSet(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), torch.ones(1, 2, dtype=torch.bool))
    video = TokenSet(torch.tensor([[[1.0, 0.0], [-half, 0.5]]]), torch.ones(1, 2, dtype=torch.bool))
    # Words: best 1 (frame 1) and 0.5 (frame 2). Frames: best 1 (word 1) and 0.5 (word 2).
    assert score(TokenWise(), text, video).item() == pytest.approx(0.75)
    account = TokenWise().align(TokenWise().prepare_text(text), TokenWise().prepare_video(video))
    torch.testing.assert_close(account.contributions, torch.tensor([[[0.5, 0.0], [0.0, 0.25]]]))
    assert account.best_video_token.tolist() == [[0, 1]]
    assert account.best_text_token.tolist() == [[0, 1]]


def test_a_worked_example_of_the_mean_frame() -> None:
    """Frames at 0 and 90 degrees: their mean stands at 45, whatever their lengths."""
    text = TokenSet(torch.tensor([[[5.0, 0.0]]]), torch.ones(1, 1, dtype=torch.bool))
    video = TokenSet(torch.tensor([[[1.0, 0.0], [0.0, 9.0]]]), torch.ones(1, 2, dtype=torch.bool))
    assert score(MeanDot(), text, video).item() == pytest.approx(2**-0.5)
    account = MeanDot().align(MeanDot().prepare_text(text), MeanDot().prepare_video(video))
    torch.testing.assert_close(account.contributions, torch.tensor([[[2**-0.5, 0.0]]]))


def test_raw_frames_count_by_their_length() -> None:
    """DRL Eq. 1: the mean of (1, 0) and (0, 9) is (0.5, 4.5)."""
    text = TokenSet(torch.tensor([[[5.0, 0.0]]]), torch.ones(1, 1, dtype=torch.bool))
    video = TokenSet(
        torch.tensor([[[1.0, 0.0], [0.0, 9.0], [7.0, 7.0]]]), torch.tensor([[True, True, False]])
    )
    raw = MeanDot("raw")
    assert score(raw, text, video).item() == pytest.approx(1 / 82**0.5)
    prepared = raw.prepare_video(video)
    assert weights_of(prepared)[0].tolist() == pytest.approx([1 / 82**0.5, 9 / 82**0.5, 0])
    torch.testing.assert_close(
        raw.align(raw.prepare_text(text), prepared).values, torch.tensor([[[1.0, 0, 0]]])
    )
    assert raw.video_preparation != MeanDot().video_preparation
    with pytest.raises(ValueError, match="frames is 'mean', expected one of unit, raw"):
        MeanDot("mean")  # type: ignore[arg-type]


def test_best_matches_are_added_up_as_eq_5_is_printed() -> None:
    text, video = tiny.token_set([3, 1], 3, DIM), tiny.token_set([4, 2], 4, DIM, seed=1)
    summed, expected = TokenWise(pooling="sum"), torch.zeros(2, 2)
    for row in range(2):
        for column in range(2):
            met = torch.nn.functional.cosine_similarity(
                text.tokens[row][text.mask[row]][:, None],
                video.tokens[column][video.mask[column]][None],
                dim=-1,
            )
            expected[row, column] = (met.amax(dim=1).sum() + met.amax(dim=0).sum()) / 2
    torch.testing.assert_close(score(summed, text, video), expected)
    assert summed.text_preparation != TokenWise().text_preparation
    with pytest.raises(ValueError, match="pooling 'max': expected one of mean, sum"):
        TokenWise(pooling="max")  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", [0, 4])
def test_weight_heads_have_one_to_three_layers(layers: int) -> None:
    with pytest.raises(ValueError, match="expected 1, 2 or 3"):
        WeightedTokenWise(DIM, layers)
