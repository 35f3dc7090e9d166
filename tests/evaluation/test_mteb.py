"""A model in mteb: its video tasks give what the model's own similarity says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.annotated import stand_ins
from tests.methods import tiny

from vidsift.errors import MissingVideosError
from vidsift.evaluation.mteb import MtebModel

mteb = pytest.importorskip("mteb", reason="mteb is an extra: pip install 'vidsift[mteb]'")

IDS = ("a", "b", "c", "d")
CAPTIONS = tiny.CAPTIONS[:4]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = stand_ins(tmp_path_factory.mktemp("mteb") / "videos", IDS)
    return sorted(folder.iterdir())


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def task(category: str, queries: dict[str, Any], corpus: dict[str, Any]) -> Any:
    """A made-up task of mteb: query i is right with document i."""
    from datasets import Dataset, Video
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    def table(columns: dict[str, Any]) -> Dataset:
        made = Dataset.from_dict({"id": list(IDS), **columns})
        return made.cast_column("video", Video()) if "video" in columns else made

    class MadeUp(AbsTaskRetrieval):  # type: ignore[misc, unused-ignore]
        metadata = TaskMetadata(
            name=f"MadeUp{category.upper()}",
            description="Four videos.",
            reference="https://example.org",
            dataset={"path": "none", "revision": "none"},
            type="Any2AnyRetrieval",
            category=category,
            modalities=["text", "video"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            date=("2026-01-01", "2026-01-01"),
            domains=["Web"],
            task_subtypes=[],
            license="cc0-1.0",
            annotations_creators="derived",
            dialect=[],
            sample_creation="created",
            bibtex_citation="",
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            split = {
                "queries": table(queries),
                "corpus": table(corpus),
                "relevant_docs": {name: {name: 1} for name in IDS},
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return MadeUp()


def scores(model: MtebModel, made: Any) -> dict[str, float]:
    result = mteb.evaluate(model, made, cache=None, show_progress_bar=False)
    (scored,) = result.task_results[0].scores["test"]
    return dict(scored)


def recall_at_1(sim_NM: np.ndarray[Any, Any]) -> float:
    return float((sim_NM.argmax(axis=1) == np.arange(len(sim_NM))).mean())


@pytest.mark.parametrize("method", ["drl", "zero_shot"])
def test_retrieval_is_scored_by_the_models_own_similarity(method: str, videos: list[Path]) -> None:
    model = tiny.model(method, {"temporal": "none"} if method == "drl" else None)
    sim_QV = model.similarity(list(CAPTIONS), videos).numpy()
    wrapped = MtebModel(model, workers=0)
    files = {"video": [str(path) for path in videos]}
    to_video = scores(wrapped, task("t2v", {"text": list(CAPTIONS)}, files))
    assert to_video["recall_at_1"] == pytest.approx(recall_at_1(sim_QV))
    ranks = (sim_QV > np.diag(sim_QV)[:, None]).sum(axis=1)
    assert to_video["ndcg_at_10"] == pytest.approx((1 / np.log2(ranks + 2)).mean(), abs=1e-4)
    to_text = scores(wrapped, task("v2t", files, {"text": list(CAPTIONS)}))
    assert to_text["recall_at_1"] == pytest.approx(recall_at_1(sim_QV.T))


def test_videos_held_as_bytes_are_the_same(videos: list[Path]) -> None:
    from datasets import Dataset, Video

    model = tiny.model("drl", {"temporal": "none"})
    wrapped = MtebModel(model, workers=0)
    content = [{"bytes": path.read_bytes(), "path": None} for path in videos]
    rows = Dataset.from_dict({"id": list(IDS), "video": content}).cast_column("video", Video())
    wrapped.index(rows)
    answer = wrapped.search(Dataset.from_dict({"id": ["q"], "text": [CAPTIONS[0]]}), top_k=2)
    sim_V = model.similarity([CAPTIONS[0]], videos)[0].numpy()
    best = np.argsort(-sim_V)[:2]
    assert list(answer["q"]) == [IDS[place] for place in best]
    np.testing.assert_allclose(list(answer["q"].values()), sim_V[best], atol=1e-6)
    among = wrapped.search(
        Dataset.from_dict({"id": ["q"], "text": [CAPTIONS[0]]}), top_k=10, top_ranked={"q": ["d", "a"]}
    )
    assert set(among["q"]) == {"a", "d"}


def test_vectors_of_a_method_that_has_them_give_its_cosines(videos: list[Path]) -> None:
    from datasets import Dataset, Video
    from torch.utils.data import DataLoader

    model = tiny.model("zero_shot")
    wrapped = MtebModel(model, workers=0)
    files = Dataset.from_dict({"video": [str(path) for path in videos]}).cast_column("video", Video())
    seen = wrapped.encode(DataLoader(files))
    said = wrapped.encode(DataLoader(Dataset.from_dict({"text": list(CAPTIONS)})))
    assert seen.shape == (4, 16)
    sim_QV = model.similarity(list(CAPTIONS), videos).numpy()
    np.testing.assert_allclose(wrapped.similarity(said, seen), sim_QV, atol=1e-5)
    np.testing.assert_allclose(wrapped.similarity_pairwise(said, seen), np.diag(sim_QV), atol=1e-5)


def test_it_is_what_mteb_takes(videos: list[Path]) -> None:
    from mteb.models import EncoderProtocol, SearchProtocol

    wrapped = MtebModel(tiny.model("drl", {"temporal": "none"}), name="lab/wti", workers=0)
    assert isinstance(wrapped, SearchProtocol)
    assert isinstance(wrapped, EncoderProtocol)
    meta = wrapped.mteb_model_meta
    assert (meta.name, meta.revision) == ("lab/wti", wrapped.model.fingerprint)
    assert set(meta.modalities) == {"text", "video"}


def test_what_it_cannot_do_is_refused(videos: list[Path], tmp_path: Path) -> None:
    from datasets import Dataset
    from torch.utils.data import DataLoader

    wrapped = MtebModel(tiny.model("drl", {"temporal": "none"}), workers=0)
    texts = Dataset.from_dict({"id": ["q"], "text": ["circle"]})
    with pytest.raises(ValueError, match="compares sets of tokens and has no single vector"):
        wrapped.encode(DataLoader(texts))
    with pytest.raises(ValueError, match="mteb calls index before search"):
        wrapped.search(texts, top_k=1)
    wrapped.index(texts)
    with pytest.raises(ValueError, match="queries are texts and documents are texts"):
        wrapped.search(texts, top_k=1)
    with pytest.raises(ValueError, match=r"columns audio, id, video; vidsift takes"):
        wrapped.index(Dataset.from_dict({"id": ["q"], "video": ["x"], "audio": ["y"]}))
    with pytest.raises(ValueError, match="expected the bytes of a file, or a path that is there"):
        wrapped.index(Dataset.from_dict({"id": ["q"], "video": ["missing.mp4"]}))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(MissingVideosError, match=r"1 of 1 videos missing: .*broken\.mp4"):
        wrapped.index(Dataset.from_dict({"id": ["q"], "video": [str(broken)]}))
