"""Vocabularies learned, saved and read; sentences cut, refused and shown."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, CLIPTokenizer

from vidsift.encoders import tokenizer as module
from vidsift.encoders.tokenizer import END, START, Tokenizer, clean_text, train_tokenizer

CAPTIONS = [
    "the red square moves left, then the blue disc grows",
    "a green triangle spins behind the red square",
    "two discs collide",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(CAPTIONS, 560)


def test_learned_vocabulary_has_clips_form(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocabulary_size == 560
    assert (tokenizer.start_id, tokenizer.end_id) == (558, 559)
    assert train_tokenizer([*CAPTIONS, "zebra zebra"], 560).ids("zebra") != tokenizer.ids("zebra")
    frequent = tokenizer.encode(["the red square"], 9)
    assert frequent.pieces == [[START, "the", "red", "square", END]]
    assert frequent.ids.shape == (1, 5)


def test_learning_again_gives_the_same_vocabulary() -> None:
    # Hundreds of pairs are equally frequent here; what comes first among them must not be left to chance.
    words = [f"{first}{second}{third}" for first in "abcdefg" for second in "hijkl" for third in "mnopqr"]
    learned = [train_tokenizer(words, 640).ids(" ".join(words)) for _ in range(8)]
    assert all(vocabulary == learned[0] for vocabulary in learned)


def test_learning_does_not_depend_on_order() -> None:
    there, back = train_tokenizer(CAPTIONS, 600), train_tokenizer(reversed(CAPTIONS), 600)
    text = CAPTIONS[0] + CAPTIONS[2]
    assert there.vocabulary_size == back.vocabulary_size
    assert there.ids(text) == back.ids(text)


def test_small_captions_give_a_smaller_vocabulary() -> None:
    assert train_tokenizer(["ab"], 2000).vocabulary_size == 512 + 1 + 2


def test_any_text_can_be_encoded(tokenizer: Tokenizer) -> None:
    text = "naïve 日本 🚀 zebra!"
    pieces = tokenizer.encode([text], 77).pieces[0]
    assert "".join(piece for piece in pieces if piece.isascii()).startswith(START + "na")
    special = {tokenizer.start_id, tokenizer.end_id}
    assert not special & set(tokenizer.ids(text))


def test_spans_say_which_characters_a_token_spells(tokenizer: Tokenizer) -> None:
    read, tokens = tokenizer.spans(f"The  RED {END} \U0001f680!")
    assert read == "the red <| endoftext |> \U0001f680!"
    assert [token.piece for token in tokens] == tokenizer.encode([read], 77).pieces[0][1:-1]
    assert [read[token.start : token.end] for token in tokens][:2] == ["the", "red"]
    # Each byte of a letter that the vocabulary does not hold spells the whole of it.
    assert [read[token.start : token.end] for token in tokens][-5:] == ["\U0001f680"] * 4 + ["!"]


def test_a_text_is_encoded_once_and_nobody_can_change_what_is_remembered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train_tokenizer(CAPTIONS, 560).save(tmp_path / "first")
    train_tokenizer(["zebra zebra"], 560).save(tmp_path / "second")
    read = Tokenizer.from_folder(tmp_path / "first")
    encoded = read.encode(["the red square"], 9)
    read.ids("the red square").clear()
    encoded.pieces[0].clear()
    other = Tokenizer.from_folder(tmp_path / "second").encode(["the red square"], 77)
    monkeypatch.setattr(module, "clean_text", lambda _text: pytest.fail("read again"))
    # Whoever loads the same file again shares what was encoded.
    for same in (read, Tokenizer.from_folder(tmp_path / "first")):
        again = same.encode(["the red square"], 9)
        assert again.pieces == [[START, "the", "red", "square", END]]
        assert torch.equal(again.ids, encoded.ids)
    assert other.ids.shape[1] > encoded.ids.shape[1]


def test_what_is_remembered_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = train_tokenizer(CAPTIONS, 560)
    monkeypatch.setattr(module, "_TEXTS_REMEMBERED", 3)
    expected = [train_tokenizer(CAPTIONS, 560).ids(text) for text in ("a", "b", "c", "d", "a")]
    assert [tokenizer.ids(text) for text in ("a", "b", "c", "d", "a")] == expected
    assert tokenizer.ids("red " * 100)
    assert [*tokenizer._encoded] == ["d", "a"]


def test_padding_mask_and_cut(tokenizer: Tokenizer) -> None:
    encoded = tokenizer.encode(["the red square the red square", "the red"], max_words=6)
    assert encoded.ids.dtype == torch.int64
    assert encoded.mask.dtype == torch.bool
    assert encoded.mask.tolist() == [[True] * 6, [True] * 4 + [False] * 2]
    assert encoded.cut == [True, False]
    assert encoded.ids[0, 5] == encoded.ids[1, 3] == tokenizer.end_id
    assert (encoded.ids[:, 0] == tokenizer.start_id).all()
    assert encoded.ids[1, 4:].tolist() == [0, 0]
    assert encoded.pieces[0] == [START, "the", "red", "square", "the", END]
    assert tokenizer.encode(["the red square the"], max_words=6).cut == [False]


def test_typed_special_tokens_stay_text(tokenizer: Tokenizer) -> None:
    text = f"the {END} red {START.upper()}<|<|endoftext|>endoftext|>"
    ids = tokenizer.encode([text], 77).ids[0]
    assert (ids == tokenizer.start_id).sum() == 1
    assert (ids == tokenizer.end_id).sum() == 1
    assert "endoftext" in "".join(tokenizer.encode([text], 77).pieces[0][2:-1])


def test_cleaning() -> None:
    assert clean_text("  SchÃ¶n\t&amp;lt;b&amp;gt; \n x") == "schön <b> x"


@pytest.mark.parametrize(
    ("texts", "max_words", "message"),
    [
        (["red", " \n"], 9, r"sentence 2 of 2 is ' \\n': there is nothing in it to look for"),
        ([], 9, "there is no sentence"),
        ("red", 9, r"expected a list of sentences, got one: write \['red'\]"),
        (["red"], 2, "max_words is 2, expected at least 3"),
        ([3], 9, "a sentence must be text, got int: 3"),
    ],
)
def test_refusals(tokenizer: Tokenizer, texts: list[str], max_words: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer.encode(texts, max_words)


def test_learning_refusals() -> None:
    with pytest.raises(ValueError, match="vocabulary_size is 514, expected more than 514"):
        train_tokenizer(CAPTIONS, 514)
    with pytest.raises(ValueError, match="there are no captions"):
        train_tokenizer(["", "  "], 600)


def test_saved_files_are_read_here_and_by_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    text = "the blue disc's 2 zebras"
    expected = [tokenizer.start_id, *tokenizer.ids(text), tokenizer.end_id]
    for reader in (CLIPTokenizer, AutoTokenizer):
        assert reader.from_pretrained(tmp_path)(text)["input_ids"] == expected
    assert Tokenizer.from_folder(tmp_path).ids(text) == expected[1:-1]
    (tmp_path / "tokenizer.json").unlink()
    from_tables = Tokenizer.from_folder(tmp_path)
    assert from_tables.ids(text) == expected[1:-1]
    assert (from_tables.start_id, from_tables.end_id) == (558, 559)


def test_files_saved_by_transformers_are_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "ours")
    CLIPTokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    text = f"the blue disc's 2 zebras {END}"
    assert Tokenizer.from_folder(tmp_path / "theirs").ids(text) == tokenizer.ids(text)


def test_bpe_file_plain_or_packed(tmp_path: Path) -> None:
    content = b'"bpe_simple_vocab\nr e\nre d</w>\n'
    (tmp_path / "plain.txt").write_bytes(content)
    (tmp_path / "packed.txt.gz").write_bytes(gzip.compress(content))
    for name in ("plain.txt", "packed.txt.gz"):
        read = Tokenizer.from_bpe_file(tmp_path / name)
        assert read.vocabulary_size == 512 + 2 + 2
        assert read.ids("red") == [513]
    (tmp_path / "bad.txt").write_text("head\none two three\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2 of the merges is 'one two three'"):
        Tokenizer.from_bpe_file(tmp_path / "bad.txt")


def test_folders_that_hold_no_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer: expected tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="is not a tokenizer file"):
        Tokenizer.from_folder(tmp_path)
    tokenizer.save(tmp_path)
    settings = {"bos_token": "<s>", "eos_token": {"content": END}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ValueError, match="the vocabulary has no '<s>' token"):
        Tokenizer.from_folder(tmp_path)
