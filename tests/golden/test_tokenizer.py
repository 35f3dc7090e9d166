"""The tokenizer against OpenAI's, caption by caption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from vidsift.encoders.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.golden.conftest import Golden

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
CAPTIONS, IDS = "openai_tokenizer", "openai_tokenizer_ids"


@pytest.fixture(scope="module", params=["bpe file", "folder"])
def tokenizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _golden_of_module: Any
) -> Tokenizer:
    read = Tokenizer.from_bpe_file(_golden_of_module.path(VOCABULARY))
    if request.param == "bpe file":
        return read
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    read.save(folder)
    return Tokenizer.from_folder(folder)


def captions(golden: Golden, *, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """Captions with their row: "injected" ones hold a literal special token, "empty" ones nothing."""
    file = golden(CAPTIONS)

    def kind_of(item: dict[str, Any]) -> str:
        if {file["sot"], file["eot"]} & set(item["encode"]):
            return "injected"
        return "plain" if item["encode"] else "empty"

    return [(row, item) for row, item in enumerate(file["items"]) if kind_of(item) == kind]


def test_ids_of_every_caption(golden: Golden, tokenizer: Tokenizer) -> None:
    for _, item in [*captions(golden, kind="plain"), *captions(golden, kind="empty")]:
        assert tokenizer.ids(item["text"]) == item["encode"], item["text"]


def test_literal_special_tokens_are_ordinary_text(golden: Golden, tokenizer: Tokenizer) -> None:
    injected = captions(golden, kind="injected")
    assert injected
    for _, item in injected:
        ids = tokenizer.ids(item["text"])
        assert not {tokenizer.start_id, tokenizer.end_id} & set(ids)
        special = {tokenizer.start_id, tokenizer.end_id}
        rest = [number for number in item["encode"] if number not in special]
        remaining = iter(ids)
        assert all(number in remaining for number in rest), "the words around them keep their ids and order"


def test_special_ids(golden: Golden, tokenizer: Tokenizer) -> None:
    file = golden(CAPTIONS)
    assert (tokenizer.start_id, tokenizer.end_id) == (file["sot"], file["eot"])
    assert tokenizer.vocabulary_size == file["eot"] + 1
    assert file["source"]
    assert file["versions"]


def test_batches_are_cut_as_openai_truncates(golden: Golden, tokenizer: Tokenizer) -> None:
    plain = captions(golden, kind="plain")
    rows = torch.tensor([row for row, _ in plain])
    assert len(golden(IDS))
    for key in golden(IDS):
        expected_QT = golden(IDS)[key].long()[rows]
        max_words = expected_QT.shape[1]
        encoded = tokenizer.encode([item["text"] for _, item in plain], max_words)
        length = encoded.ids.shape[1]
        assert torch.equal(encoded.ids, expected_QT[:, :length])
        assert (expected_QT[:, length:] == golden(CAPTIONS)["pad"]).all()
        assert torch.equal(encoded.mask.sum(1), (expected_QT == tokenizer.end_id).int().argmax(1) + 1)
        assert encoded.cut == [len(item["encode"]) > max_words - 2 for _, item in plain]


def test_cut_is_told_where_openai_raises(golden: Golden, tokenizer: Tokenizer) -> None:
    plain = [item for _, item in captions(golden, kind="plain")]
    encoded = tokenizer.encode([item["text"] for item in plain], golden(CAPTIONS)["context_length"])
    assert encoded.cut == [item["too_long_without_truncate"] for item in plain]


def test_pieces_read_as_the_caption(golden: Golden, tokenizer: Tokenizer) -> None:
    for _, item in captions(golden, kind="plain"):
        text = item["decode"]
        pieces = tokenizer.encode([item["text"]], 500).pieces[0][1:-1]
        assert len(pieces) == len(item["encode"])
        if "\N{REPLACEMENT CHARACTER}" not in "".join(pieces):
            assert "".join(pieces).split() == "".join(text.split()).split()


def test_empty_captions_are_refused(golden: Golden, tokenizer: Tokenizer) -> None:
    empty = captions(golden, kind="empty")
    assert empty
    for _, item in empty:
        with pytest.raises(ValueError, match="nothing in it to look for"):
            tokenizer.encode([item["text"]], 32)


def test_every_key_was_used(golden: Golden, request: pytest.FixtureRequest) -> None:
    golden.assert_all_used(request, CAPTIONS)
    golden.assert_all_used(request, IDS)
