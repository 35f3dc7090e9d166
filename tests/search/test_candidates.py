"""Black boxes are searched through the same index: a first stage finds candidates, and they rank them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.index.library import filled, findable, library
from tests.methods import tiny
from tests.methods.test_base import PairMlp, WithBlackBox
from torch import Tensor

from vidsift.cli.main import main
from vidsift.encoders.clip import ClipTowers
from vidsift.errors import NoAlignmentError, NotSearchableError, QueryError
from vidsift.index.build import build_index
from vidsift.index.encode import segment_id
from vidsift.interactions.base import Interaction
from vidsift.interactions.dot import MeanDot
from vidsift.interactions.token_wise import TokenWise, WeightedTokenWise
from vidsift.methods import catalog
from vidsift.methods.base import Method, Term
from vidsift.methods.model import Model
from vidsift.methods.parts import frame_set, sentence_set
from vidsift.search import gallery as gallery_module
from vidsift.search import ranking
from vidsift.search.searcher import Index
from vidsift.types import Hit, TokenSet

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3] * 2
QUERY = "a red circle moves left"
BOXES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "mlp": ("drl", {"interaction": "mlp", "temporal": "none"}),
    "xti": ("drl", {"interaction": "xti", "temporal": "none", "cross_layers": 1}),
    "xti of words": ("drl", {"interaction": "xti", "cross_text": "word", "cross_layers": 1}),
    "tightTransf": ("clip4clip", {"head": "tightTransf", "cross_layers": 1}),
}


@pytest.fixture(scope="module", params=BOXES)
def filled_index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Index:
    model = tiny.model(*BOXES[request.param])
    store = filled(tmp_path_factory.mktemp("black") / "index", model, COUNTS)
    return Index.open(store.folder, model)


def _id(hit: Hit) -> str:
    return segment_id(hit.video_id, hit.segment)


def _every_score(index: Index, query: str) -> dict[str, float]:
    """Each segment by itself, by the black box."""
    gallery, text = index.gallery, index.model.encode_text([query])
    scores = [float(index.model.similarity(text, gallery.exact([row]))[0, 0]) for row in range(len(gallery))]
    return dict(zip(gallery.segment_ids, scores, strict=True))


def _led_by_the_dot_product(index: Index, query: str, count: int) -> list[str]:
    """The segments that DP puts first: computed from the stored frames, unit length and averaged."""
    frames = index.gallery.exact(range(len(index.gallery)))["frame"]
    unit = torch.nn.functional.normalize(frames.tokens, dim=-1) * frames.mask[:, :, None]
    sentence = index.model.method.towers.encode_text(*_ids(index.model, query))[0, -1]
    cosines = torch.nn.functional.cosine_similarity(unit.sum(dim=1), sentence[None], dim=1)
    order = cosines.detach().argsort(descending=True)[:count]
    return [index.gallery.segment_ids[row] for row in order.tolist()]


def _ids(model: Model, query: str) -> tuple[Tensor, Tensor]:
    tokenized = model.tokenize([query])
    return tokenized.ids, tokenized.mask


def test_with_enough_candidates_hits_are_those_of_scoring_everything(filled_index: Index) -> None:
    scores = _every_score(filled_index, QUERY)
    hits = filled_index.search(QUERY, k=9, candidates=10_000)
    expected = sorted(scores, key=lambda name: (-scores[name], name))[:9]
    assert [_id(hit) for hit in hits] == expected
    assert [hit.score for hit in hits] == pytest.approx([scores[name] for name in expected], abs=1e-5)
    assert all(hit.candidates is None for hit in hits)
    assert filled_index.search(QUERY, k=9) == hits  # fewer segments than the default


def test_hits_are_the_best_of_the_candidates_that_the_dot_product_finds(filled_index: Index) -> None:
    scores = _every_score(filled_index, QUERY)
    candidates = _led_by_the_dot_product(filled_index, QUERY, 6)
    hits = filled_index.search(QUERY, k=4, candidates=6)
    assert [_id(hit) for hit in hits] == sorted(candidates, key=lambda name: -scores[name])[:4]
    assert [hit.score for hit in hits] == pytest.approx([scores[_id(hit)] for hit in hits], abs=1e-5)
    assert {hit.candidates for hit in hits} == {6}
    # At least as many as hits are asked for.
    assert {hit.candidates for hit in filled_index.search(QUERY, k=8, candidates=1)} == {8}


@pytest.mark.parametrize("scan_format", ["int8", "bf16", "fp32"])
@pytest.mark.parametrize(("block", "threads"), [(1, 2), (7, 1)])
def test_hits_are_the_same_bits_whatever_scans_and_whoever_asks(
    filled_index: Index, scan_format: gallery_module.ScanFormat, block: int, threads: int
) -> None:
    reference = filled_index.search(QUERY, k=4, candidates=7)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery_module, "BLOCK", block)
        patch.setattr(ranking, "_SCORED", 2)
        patch.setattr(ranking, "_SCORED_A_HIT", 1)
        try:
            torch.set_num_threads(threads)
            other = Index.open(filled_index.store.folder, filled_index.model, scan_format=scan_format)
            answers = other.search_many(["circle", QUERY, "two triangles"], k=4, candidates=7)
        finally:
            torch.set_num_threads(before)
    assert answers[1] == reference


def test_hits_do_not_depend_on_the_order_of_adding(filled_index: Index, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(len(COUNTS)).tolist()
    other = filled(tmp_path / "other", filled_index.model, COUNTS, order=order, commits=5)
    again = Index.open(other.folder, filled_index.model)
    for grouped in ("segment", "video"):
        arguments: dict[str, Any] = {"k": 5, "candidates": 6, "group_by": grouped}
        assert again.search(QUERY, **arguments) == filled_index.search(QUERY, **arguments)


def test_as_many_videos_are_found_as_were_asked_for(filled_index: Index) -> None:
    videos = len(set(filled_index.gallery.video_ids))
    assert len(filled_index.search(QUERY, k=videos, candidates=1, group_by="video")) == videos
    hits = filled_index.search(QUERY, k=3, candidates=8, group_by="video")
    assert len({hit.video_id for hit in hits}) == 3
    scores = _every_score(filled_index, QUERY)
    best: dict[str, str] = {}
    for name in sorted(_led_by_the_dot_product(filled_index, QUERY, 8), key=lambda name: -scores[name]):
        best.setdefault(name.split("-")[0], name)
    assert [_id(hit) for hit in hits] == list(best.values())[:3]


def test_filters_come_before_candidates(filled_index: Index) -> None:
    hits = filled_index.search(QUERY, k=2, candidates=2, under="/videos/a")
    inside = [
        name for name in _led_by_the_dot_product(filled_index, QUERY, 99) if int(name[:32], 16) % 2 == 0
    ]
    assert {_id(hit) for hit in hits} == set(inside[:2])
    assert filled_index.search(QUERY, min_duration_seconds=1000) == []


def test_there_is_no_account_and_the_moment_is_the_first_stage_s(tmp_path: Path) -> None:
    box, plain = tiny.model(*BOXES["tightTransf"]), tiny.model("clip4clip")
    assert torch.equal(box.method.towers.logit_scale, plain.method.towers.logit_scale)
    indexes = [Index.open(filled(tmp_path / model.method_name / str(n), model, COUNTS).folder, model)
               for n, model in enumerate((box, plain))]  # fmt: skip
    hits_of = [{_id(hit): hit for hit in index.search(QUERY, k=99)} for index in indexes]
    assert hits_of[0].keys() == hits_of[1].keys()
    assert all(hits_of[0][name].moment == hits_of[1][name].moment for name in hits_of[0])
    assert any(hit.moment != hit.segment for hit in hits_of[0].values())
    with pytest.raises(NoAlignmentError, match="CrossTransformer is a black box"):
        indexes[0].explain(QUERY, next(iter(hits_of[0].values())))


def test_the_scan_holds_one_small_token_a_segment_and_the_index_the_frames(filled_index: Index) -> None:
    assert filled_index.gallery.block(0)["frame"].tokens.shape[1] == 1
    assert filled_index.gallery.exact([0])["frame"].tokens.shape[1] == tiny.FRAMES


def test_candidates_that_make_no_sense_are_refused(filled_index: Index, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="candidates is 0, expected at least 1"):
        filled_index.search(QUERY, candidates=0)
    model = tiny.model("zero_shot")
    with pytest.raises(QueryError, match="but zero_shot scores every segment; leave candidates out"):
        Index.open(filled(tmp_path / "index", model, [5]).folder, model).search(QUERY, candidates=5)


@pytest.mark.parametrize("box", BOXES)
def test_real_files_are_indexed_and_ranked_as_by_the_similarity(tmp_path: Path, box: str) -> None:
    model = tiny.model(*BOXES[box])
    library(tmp_path / "videos", clips=4)
    report = build_index([tmp_path / "videos"], tmp_path / "index", model, segment=None, workers=1)
    assert (report.added, report.failed) == (4, [])
    hits = Index.open(tmp_path / "index", model).search(QUERY, k=4)
    scores = model.similarity([QUERY], [hit.path for hit in hits])[0]
    assert len({hit.path for hit in hits}) == 4
    # The index keeps fp16.
    torch.testing.assert_close(torch.tensor([hit.score for hit in hits]), scores, atol=5e-3, rtol=1e-2)
    for better, worse in zip(scores[:-1].tolist(), scores[1:].tolist(), strict=True):
        assert better > worse - 5e-3


class Narrow(Method):
    """A black box whose sentences have half as many channels as its frames."""

    def __init__(self, towers: ClipTowers) -> None:
        term = Term("sentence", "frame", PairMlp(towers.dim))
        super().__init__(towers, [term], [Term("sentence", "frame", MeanDot())])

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        sentence = sentence_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)
        return {"sentence": sentence.replace(tokens=sentence.tokens[:, :, ::2])}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        classes = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF)
        return {"frame": frame_set(classes, mask_BF, times_BF)}


@pytest.mark.parametrize(
    ("toy", "message"),
    [
        (
            WithBlackBox,
            r"sentence-raw \(PairMlp\) is too dear to score every .*declares no first stage; give Method",
        ),
        (Narrow, "compares texts of 8 channels with videos of 16; project both to one width"),
    ],
)
def test_a_black_box_without_a_usable_first_stage_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: type[Method], message: str
) -> None:
    monkeypatch.setitem(catalog.METHODS, "toy", toy)
    model = tiny.model("toy")
    library(tmp_path / "videos", clips=1)
    with pytest.raises(NotSearchableError, match=message):
        build_index([tmp_path / "videos"], tmp_path / "index", model, workers=1)
    assert not (tmp_path / "index").exists()
    with pytest.raises(NotSearchableError, match=message):
        Index.open(filled(tmp_path / "made", model, [5]).folder, model)


@pytest.mark.parametrize(
    ("meet", "keeper", "message"),
    [
        (PairMlp(16), PairMlp(16), "PairMlp is too dear to scan itself, so it cannot find candidates"),
        (WeightedTokenWise(16), PairMlp(16), "WeightedTokenWise has learned weights"),
        (
            MeanDot(),
            TokenWise(),
            "'sentence' is stored as TokenWise prepares it, and MeanDot needs it as encoded",
        ),
    ],
)
def test_a_first_stage_that_cannot_be_one_is_refused(
    meet: Interaction, keeper: Interaction, message: str
) -> None:
    class Toy(Narrow):
        def __init__(self, towers: ClipTowers) -> None:
            terms = [Term("sentence", "frame", keeper)]
            Method.__init__(self, towers, terms, [Term("sentence", "frame", meet)])

    with pytest.raises(ValueError, match=message):
        Toy(tiny.towers())


def test_a_first_stage_may_have_sets_of_its_own() -> None:
    class SeparateSets(WithBlackBox):
        def __init__(self, towers: ClipTowers) -> None:
            term = Term("sentence", "raw", PairMlp(towers.dim))
            Method.__init__(self, towers, [term], [Term("word", "frame", TokenWise())])

    method = SeparateSets(tiny.towers()).eval()
    assert (set(method.text_preparers), set(method.video_preparers)) == (
        {"sentence", "word"},
        {"raw", "frame"},
    )
    frames = tiny.token_set([3, 2], 3, 16)
    prepared = method.prepare_video({"raw": frames, "frame": frames})
    assert torch.equal(prepared["raw"].tokens, frames.tokens)
    assert prepared["frame"].weights is not None
    assert method.scanned.adapt_video(prepared)["frame"] is prepared["frame"]


def test_the_command_line_says_what_the_hits_are_the_best_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = findable(tmp_path, tiny.model(*BOXES["tightTransf"]), [5] * 9)

    def run(*arguments: str) -> tuple[list[str], str]:
        with pytest.raises(SystemExit):
            main([*arguments])
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err

    arguments = ("search", QUERY, "--index", str(folder), "-t", "2")
    lines, errors = run(*arguments, "--candidates", "4", "--json")
    assert "the best of 4 candidates found by MeanDot(sentence, frame); --candidates N takes more" in errors
    hits = [json.loads(line) for line in lines]
    assert [hit["candidates"] for hit in hits] == [4, 4]
    assert hits[0]["account"] == (
        "none: the model cannot say what each frame or word gave; the moment is that of the first stage"
    )
    lines, errors = run(*arguments, "--json")
    assert "candidates" not in errors
    assert json.loads(lines[0])["candidates"] is None
    lines, _ = run("info", str(tmp_path / "model"))
    assert any("candidates found by MeanDot(sentence, frame), which also gives the moments" in line
               for line in lines)  # fmt: skip


def test_nothing_fits_where_the_conditions_let_no_video_through(filled_index: Index) -> None:
    assert filled_index.calibration is not None
    for query in (QUERY, [QUERY, "a star"]):
        hits = filled_index.search(query, min_duration_seconds=1e6)
        assert hits == []
        assert filled_index.found(query, hits, min_duration_seconds=1e6) is False
