"""Whether a method scans and whether it explains are two things: all four kinds, indexed and searched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from tests.index.library import filled, findable
from tests.methods import tiny
from torch import Tensor

from vidsift.cli.main import main
from vidsift.encoders.clip import ClipTowers
from vidsift.errors import NoAlignmentError, NotSearchableError, QueryError
from vidsift.interactions.base import Interaction
from vidsift.interactions.dot import MeanDot
from vidsift.methods import catalog
from vidsift.methods.base import Method, Term
from vidsift.methods.parts import frame_set, sentence_set
from vidsift.search.searcher import Index
from vidsift.types import TokenSet

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3]
QUERY = "a red circle moves left"
SENTENCES = ["a red circle moves left", "two triangles"]


class DearDot(MeanDot):
    """Explained as the dot product is, and said to be too dear for all segments."""

    scans = False


class Bent(Interaction):
    """A black box that is cheap: a bent cosine with the mean frame, of which nothing is told."""

    explains = False

    def score(self, text: TokenSet, video: TokenSet) -> Tensor:
        plain = MeanDot()
        return torch.tanh(3 * plain.score(plain.prepare_text(text), plain.prepare_video(video)))


class DearBent(Bent):
    scans = False


class Toy(Method):
    def __init__(self, towers: ClipTowers, *, kind: str = "", first_stage: bool = False) -> None:
        stage = [Term("sentence", "frame", MeanDot())] if first_stage else []
        super().__init__(towers, [Term("sentence", "frame", MEETINGS[kind]())], stage)

    def text_features(self, ids_QT: Tensor, mask_QT: Tensor) -> dict[str, TokenSet]:
        return {"sentence": sentence_set(self.towers.encode_text(ids_QT, mask_QT), mask_QT)}

    def video_features(self, pixels_BF3SS: Tensor, mask_BF: Tensor, times_BF: Tensor) -> dict[str, TokenSet]:
        frames_BFD = self.towers.encode_frame_classes(pixels_BF3SS, mask_BF)
        return {"frame": frame_set(frames_BFD, mask_BF, times_BF)}


MEETINGS: dict[str, type[Interaction]] = {
    "": MeanDot,
    "dear": DearDot,
    "closed": Bent,
    "dear closed": DearBent,
}


class Kind(NamedTuple):
    name: str
    first_stage: bool
    scans: bool
    explains: bool


KINDS = [
    Kind("", False, scans=True, explains=True),
    Kind("dear", True, scans=False, explains=True),
    Kind("closed", False, scans=True, explains=False),
    Kind("closed", True, scans=True, explains=False),
    Kind("dear closed", True, scans=False, explains=False),
]


def id_of(kind: Kind) -> str:
    return f"{kind.name or 'plain'}{' with a first stage' if kind.first_stage else ''}"


@pytest.fixture(scope="module", autouse=True)
def _toy_in_the_catalogue() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalog.METHODS, "toy", Toy)
        yield


@pytest.fixture(scope="module", params=KINDS, ids=id_of)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def index(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Index:
    model = tiny.model("toy", {"kind": kind.name, "first_stage": kind.first_stage})
    store = filled(tmp_path_factory.mktemp("kind") / "index", model, COUNTS)
    return Index.open(store.folder, model)


def every_score(index: Index) -> dict[str, float]:
    text = index.model.encode_text([QUERY])
    gallery = index.gallery
    scores = index.model.similarity(text, gallery.exact(range(len(gallery))))[0].tolist()
    return dict(zip(gallery.segment_ids, scores, strict=True))


def test_a_method_is_what_its_terms_are(kind: Kind, index: Index) -> None:
    method = index.model.method
    assert (method.scans, method.explains) == (kind.scans, kind.explains)
    assert (method.scanned is method) == kind.scans
    assert method.moments_from is (method if kind.explains else method.first_stage)


def test_hits_are_scored_by_the_method_among_all_segments_or_the_candidates(kind: Kind, index: Index) -> None:
    scores = every_score(index)
    hits = index.search(QUERY, k=4) if kind.scans else index.search(QUERY, k=4, candidates=4)
    assert [hit.score for hit in hits] == pytest.approx([scores[hit.segment_id] for hit in hits], abs=1e-6)
    assert {hit.candidates for hit in hits} == ({None} if kind.scans else {4})
    # Both bend the same cosine, so the first stage finds what the method puts first.
    assert [hit.segment_id for hit in hits] == sorted(scores, key=lambda name: -scores[name])[:4]
    if kind.scans:
        with pytest.raises(QueryError, match="but toy scores every segment"):
            index.search(QUERY, candidates=4)


def test_hits_say_what_the_method_can_account_for(kind: Kind, index: Index) -> None:
    for hit in index.search(QUERY, k=6):
        if kind.explains:
            account = index.explain(QUERY, hit)
            assert account.total == pytest.approx(hit.score, abs=1e-6)
            assert sum(hit.shares) == pytest.approx(hit.score, abs=1e-5)
            assert hit.times_seconds
        else:
            with pytest.raises(NoAlignmentError, match="is a black box"):
                index.explain(QUERY, hit)
            assert hit.shares == hit.times_seconds == ()
        if not kind.explains and not kind.first_stage:
            assert hit.moment == hit.segment
        strip = index.strip(QUERY, hit.video_id)
        assert bool(strip.shares) is kind.explains
    moments = [hit.moment != hit.segment for hit in index.search(QUERY, k=6)]
    assert any(moments) is (kind.explains or kind.first_stage)


def test_confidence_is_that_of_what_was_scanned(kind: Kind, index: Index) -> None:
    hits = index.search(QUERY, k=6)
    sure = [hit.confidence for hit in hits if hit.confidence is not None]
    assert len(sure) == len(hits)
    # All kinds order segments as the cosine does.
    assert sure == sorted(sure, reverse=True)
    assert index.found(QUERY, hits) is not None
    if not kind.scans:
        assert index.model.method.first_stage is not None


def test_sentences_in_order_take_frames_or_where_there_are_none_segments(kind: Kind, index: Index) -> None:
    hits = index.search(SENTENCES, k=3)
    assert hits
    for hit in hits:
        scores = [
            every_of(index, sentence, part.segment_id)
            for sentence, part in zip(SENTENCES, hit.parts, strict=True)
        ]
        assert [part.score for part in hit.parts] == pytest.approx(scores, abs=1e-6)
        assert hit.parts[0].segment <= hit.parts[1].segment
        if kind.scans and not kind.explains:
            # Nothing says which frame gave what, so each sentence takes a segment of its own.
            assert hit.parts[0].segment < hit.parts[1].segment
            assert all(part.moment == part.segment for part in hit.parts)
        assert all(bool(part.shares) is (kind.scans and kind.explains) for part in hit.parts)


def every_of(index: Index, sentence: str, segment_id: str) -> float:
    row = index.gallery.segment_ids.index(segment_id)
    text = index.model.encode_text([sentence])
    return float(index.model.similarity(text, index.gallery.exact([row]))[0, 0])


def test_the_command_line_says_what_kind_it_is(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny.model("toy", {"kind": kind.name, "first_stage": kind.first_stage})
    folder = findable(tmp_path, model, COUNTS)

    def run(*arguments: str) -> list[str]:
        with pytest.raises(SystemExit):
            main([*arguments])
        return capsys.readouterr().out.splitlines()

    (facts,) = (json.loads(line) for line in run("info", str(tmp_path / "model"), "--json"))
    assert facts["explains"] is kind.explains
    stage = "MeanDot(sentence, frame)"
    assert (
        facts["searches"]
        == {
            ("", False): "every segment",
            ("dear", True): f"candidates found by {stage}",
            ("closed", False): "every segment; a hit's moment is the whole segment",
            ("closed", True): f"every segment; the moments are those of {stage}",
            ("dear closed", True): f"candidates found by {stage}, which also gives the moments",
        }[kind.name, kind.first_stage]
    )
    hit = json.loads(run("search", QUERY, "--index", str(folder), "-t", "1", "--json")[0])
    assert ("candidates" in hit) is not kind.scans
    moment = "that of the first stage" if kind.first_stage else "the whole segment"
    expected = (
        None
        if kind.explains
        else f"none: the model cannot say what each frame or word gave; the moment is {moment}"
    )
    assert hit.get("account") == expected


def test_only_what_cannot_scan_needs_a_first_stage(tmp_path: Path) -> None:
    model = tiny.model("toy", {"kind": "dear"})
    with pytest.raises(NotSearchableError, match="DearDot\\) is too dear to score every segment"):
        Index.open(filled(tmp_path / "index", model, [5]).folder, model)


def test_a_first_stage_scans_and_explains() -> None:
    class Blind(Toy):
        def __init__(self, towers: ClipTowers) -> None:
            Method.__init__(
                self, towers, [Term("sentence", "frame", DearBent())], [Term("sentence", "frame", Bent())]
            )

    with pytest.raises(ValueError, match="Bent has no account itself, so it cannot find candidates"):
        Blind(tiny.towers())
