"""A new method is one file: toy papers with several terms, shared sets and black boxes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods import tiny
from torch import Tensor, nn

from vidsift.encoders.clip import ClipTowers
from vidsift.errors import NoAlignmentError
from vidsift.interactions.base import Interaction, UnitTokens
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.token_wise import TokenWise, WeightedTokenWise
from vidsift.losses.contrastive import info_nce
from vidsift.methods import catalog
from vidsift.methods.base import MAX_LOGIT_SCALE, Method, Stage, Term
from vidsift.methods.model import Model, load
from vidsift.methods.parts import frame_set, sentence_set, word_set
from vidsift.methods.zero_shot import ZeroShot
from vidsift.types import Features, TokenSet


class PairMlp(Interaction):
    """A black box: a perceptron over sentence and mean frame."""

    explains = False
    scans = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, 1))

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        shape = len(text), len(video), -1
        sentence_QVD = text.tokens[:, :1].expand(shape)
        mean_VD = (video.tokens * video.mask.unsqueeze(-1)).sum(1) / video.mask.sum(1, keepdim=True)
        joined = torch.cat([sentence_QVD, mean_VD[None].expand(shape)], dim=-1)
        scores: Tensor = self.layers(joined).squeeze(-1)
        return scores


class TwoTerms(Method):
    """Words against frames and, at a fifth of the weight, against patches: PIDRo's form."""

    def __init__(self, towers: ClipTowers, *, patch_weight: float = 0.2) -> None:
        meet = WeightedTokenWise(towers.dim, 1)
        super().__init__(towers, [Term("word", "frame", meet), Term("word", "patch", meet, patch_weight)])

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        return {"word": word_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        tokens_BFND = self.towers.encode_frames(pixels_BF3SS, mask_BF)
        patches = tokens_BFND.shape[2] - 1
        places = torch.arange(mask_BF.shape[1])[:, None].expand(-1, patches).flatten()
        patch = TokenSet(
            tokens_BFND[:, :, 1:].flatten(1, 2),
            mask_BF.repeat_interleave(patches, dim=1),
            times_seconds=times_BF.repeat_interleave(patches, dim=1),
            frame=places.expand(len(mask_BF), -1).contiguous(),
            group=torch.arange(patches).repeat(mask_BF.shape[1]).expand(len(mask_BF), -1).contiguous(),
        )
        return {"frame": frame_set(tokens_BFND[:, :, 0], mask_BF, times_BF), "patch": patch}

    def loss(self, text: Features, video: Features) -> dict[str, Tensor]:
        """One cross-entropy a term, as ProST."""
        terms = {name: info_nce(sim, self.scale) for name, sim in self.term_scores(text, video).items()}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def stages(self) -> tuple[Stage, ...]:
        return Stage("heads", ("interactions.",), 1.0), Stage("all", share=3.0)


class WithBlackBox(Method):
    """An open term beside a black box that compares sets of its own."""

    def __init__(self, towers: ClipTowers) -> None:
        super().__init__(
            towers, [Term("word", "frame", TokenWise()), Term("sentence", "raw", PairMlp(towers.dim), 0.5)]
        )

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        tokens = self.towers.encode_text(ids_QT, mask_QT)
        return {"word": word_set(tokens, mask_QT), "sentence": sentence_set(tokens, mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        frames = frame_set(self.towers.encode_frames(pixels_BF3SS, mask_BF)[:, :, 0], mask_BF, times_BF)
        return {"frame": frames, "raw": frames}


@pytest.fixture(autouse=True)
def _toys_in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.METHODS, "two_terms", TwoTerms)
    monkeypatch.setitem(catalog.METHODS, "with_black_box", WithBlackBox)


def encoded(model: Model) -> tuple[Features, Features]:
    pixels, times = tiny.videos([5, 1, 3, 2, 4])
    return model.encode_text(tiny.CAPTIONS), model.encode_frames(pixels, times)


def test_terms_are_summed_by_weight_and_share_their_interaction() -> None:
    model = tiny.model("two_terms", {"patch_weight": 0.3})
    text, video = encoded(model)
    assert set(video) == {"frame", "patch"}
    assert len(model.method.interactions) == 1
    with torch.inference_mode():
        scores = model.method.term_scores(text, video)
    assert set(scores) == {"word-frame", "word-patch"}
    torch.testing.assert_close(
        model.similarity(text, video), scores["word-frame"] + 0.3 * scores["word-patch"]
    )


def test_patches_keep_time_frame_and_place() -> None:
    model = tiny.model("two_terms")
    patch = encoded(model)[1]["patch"]
    patches = model.method.towers.patches
    assert patch.tokens.shape[1] == 5 * patches
    assert patch.mask.sum(dim=1).tolist() == [count * patches for count in (5, 1, 3, 2, 4)]
    assert patch.frame is not None
    assert set(patch.frame[0, patches : 2 * patches].tolist()) == {1}
    assert patch.group is not None
    assert patch.group[0, :patches].tolist() == list(range(patches))
    assert patch.times_seconds is not None
    assert patch.times_seconds[0, patches].item() == 1.5


def test_contributions_of_all_terms_add_up() -> None:
    model = tiny.model("two_terms")
    text, video = encoded(model)
    accounts = model.method.align(text, video)
    total = sum(
        term.weight * accounts[term.name].contributions.sum(dim=(1, 2)) for term in model.method.terms
    )
    torch.testing.assert_close(total, model.similarity(text, video).diagonal(), atol=1e-6, rtol=1e-5)


def test_a_loss_of_its_own_and_stages() -> None:
    model = tiny.model("two_terms")
    text, video = encoded(model)
    losses = model.method.loss(text, video)
    torch.testing.assert_close(losses["loss"], losses["word-frame"] + losses["word-patch"])
    first, second = model.method.stages()
    trained = [name for name, _ in model.method.named_parameters() if name.startswith(first.trained)]
    assert trained
    assert all(name.startswith("interactions.0.") for name in trained)
    assert second.trained == ()


@pytest.mark.parametrize("name", ["two_terms", "with_black_box"])
def test_toys_are_saved_and_loaded_like_any_method(name: str, tmp_path: Path) -> None:
    model = tiny.model(name)
    model.save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert torch.equal(model.similarity(*encoded(model)), again.similarity(*encoded(again)))


def test_a_black_box_beside_an_open_term() -> None:
    model = tiny.model("with_black_box")
    text, video = encoded(model)
    whole = model.similarity(text, video)
    compact = model.method.compact_video(video)
    torch.testing.assert_close(model.similarity(text, compact), whole, atol=1e-6, rtol=1e-5)
    with pytest.raises(NoAlignmentError, match="PairMlp is a black box"):
        model.method.align(text, video)


def test_a_set_that_two_terms_prepare_differently_is_refused() -> None:
    class Clash(TwoTerms):
        def __init__(self, towers: ClipTowers) -> None:
            Method.__init__(
                self, towers, [Term("word", "frame", TokenWise()), Term("word", "patch", MeanDot())]
            )

    with pytest.raises(
        ValueError, match=r"text set 'word' but prepare it differently \(TokenWise and MeanDot\)"
    ):
        Clash(tiny.towers())


def test_two_terms_of_one_pair_of_sets_are_refused() -> None:
    class Twice(TwoTerms):
        def __init__(self, towers: ClipTowers) -> None:
            terms = [Term("word", "frame", TokenWise()), Term("word", "frame", TokenWise(paths="t2v"), 0.5)]
            Method.__init__(self, towers, terms)

    with pytest.raises(ValueError, match="the text set 'word' with the video set 'frame'"):
        Twice(tiny.towers())


def test_what_is_prepared_alike_is_told_for_each_side() -> None:
    class OwnWords(TokenWise):
        """Prepares frames as the other does, and words by weights of its own."""

        text_preparation = None

    class Shared(TwoTerms):
        def __init__(self, towers: ClipTowers, terms: list[Term]) -> None:
            Method.__init__(self, towers, terms)

    apart = [Term("word", "frame", TokenWise()), Term("own", "frame", OwnWords())]
    assert set(Shared(tiny.towers(), apart).text_preparers) == {"word", "own"}
    with pytest.raises(ValueError, match="two terms compare the text set 'word' but prepare it differently"):
        Shared(tiny.towers(), [Term("word", "frame", TokenWise()), Term("word", "frame", OwnWords())])


def test_two_interactions_that_prepare_alike_may_share_a_set() -> None:
    class Alike(TwoTerms):
        def __init__(self, towers: ClipTowers) -> None:
            Method.__init__(
                self, towers, [Term("word", "frame", TokenWise()), Term("word", "patch", TokenWise())]
            )

    assert len(Alike(tiny.towers()).interactions) == 2


def test_sets_of_the_first_stage_stay_when_terms_are_left_out() -> None:
    class Partly(TwoTerms):
        """Its first stage reads sentences, which no term does, and words, which a term prepares."""

        def __init__(self, towers: ClipTowers) -> None:
            stage = [Term("sentence", "frame", MeanDot()), Term("word", "patch", TokenWise())]
            self.every = [
                Term("word", "frame", PairMlp(towers.dim)),
                Term("word", "patch", PairMlp(towers.dim)),
            ]
            Method.__init__(self, towers, self.every, stage)

        def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
            tokens = self.towers.encode_text(ids_QT, mask_QT)
            return {"word": word_set(tokens, mask_QT), "sentence": sentence_set(tokens, mask_QT)}

        def leave_out(self, parts: Collection[str]) -> None:
            self._use_terms(self.every[: 2 - len(parts)])

    method = Partly(tiny.towers())
    whole = dict(method.text_preparers), dict(method.video_preparers)
    method.leave_out(["patch"])
    assert set(method.text_preparers) == {"word", "sentence"}
    assert set(method.video_preparers) == {"frame", "patch"}
    stage = method.first_stage
    assert stage is not None
    # No term prepares patches now: the first stage itself does, and has nothing left to do with them.
    assert isinstance(method.video_preparers["patch"], TokenWise)
    patches = {"frame": tiny.token_set([2], 2, 16), "patch": tiny.token_set([3], 3, 16)}
    prepared = method.prepare_video(patches)
    assert torch.equal(stage.adapt_video(prepared)["patch"].tokens, prepared["patch"].tokens)
    method.leave_out([])
    assert (method.text_preparers, method.video_preparers) == whole


def test_the_learned_scale_stays_below_its_clamp() -> None:
    method = tiny.model("zero_shot").method
    with torch.no_grad():
        method.towers.logit_scale.fill_(9.0)
    method.after_step()
    assert method.towers.logit_scale.item() == pytest.approx(MAX_LOGIT_SCALE)
    assert method.scale.item() == pytest.approx(100.0, rel=1e-5)


def test_the_backbone_is_the_towers_and_nothing_else() -> None:
    method = tiny.model("drl").method
    backbone = dict(method.backbone_parameters())
    assert {id(value) for value in backbone.values()} == {id(value) for value in method.towers.parameters()}
    assert set(backbone) < set(dict(method.named_parameters()))


class _Misnamed(TwoTerms):
    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        return {"sentence": word_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}


class _Bare(TwoTerms):
    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> Any:
        return super().video_features(pixels_BF3SS, mask_BF, times_BF)["frame"]


def test_features_without_a_set_that_the_terms_name_are_refused() -> None:
    method = _Misnamed(tiny.towers())
    ids = torch.ones(1, 3, dtype=torch.long)
    features = method.text_features(ids, ids.bool())
    with pytest.raises(ValueError, match=r"text_features returned the sets sentence, and .* word too"):
        method.prepare_text(features)
    with pytest.raises(ValueError, match="returned a TokenSet, expected a dictionary"):
        _Bare(tiny.towers()).prepare_video(tiny.token_set([2], 2))  # type: ignore[arg-type]


class _NoAccount(UnitTokens):
    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        return text.tokens[:, 0] @ video.tokens[:, 0].T


def test_an_interaction_whose_account_was_forgotten_is_refused() -> None:
    with pytest.raises(ValueError, match=r"_NoAccount has no align\(\).*set explains = False"):
        _Summed(tiny.towers(), [Term("sentence", "frame", _NoAccount())])


class _Summed(ZeroShot):
    def __init__(self, towers: ClipTowers, terms: list[Term]) -> None:
        Method.__init__(self, towers, terms)
