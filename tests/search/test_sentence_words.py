"""Words of sentences, the tokens of each, and sentences without one: against the real tokenizer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsift.encoders.tokenizer import END, START, Tokenizer, clean_text, train_tokenizer
from vidsift.search.sentence_words import (
    SentenceWord,
    is_function_word,
    sentence_words,
    without_word,
    word_of_pieces,
)

TOKENIZER = train_tokenizer(
    ["the red square moves left, then the blue disc grows", "two dog's tails don't 日本 été " + "it's " * 9],
    620,
)
LONG = 4000
VOCABULARY = Path(__file__).parents[3] / "shared" / "golden" / "bpe_simple_vocab_16e6.txt.gz"

letters = st.characters(
    categories=("Lu", "Ll", "Lo", "Nd", "Mn", "Mc", "So"), include_characters="'-’é日🚀\u200d"
)
texts = st.text(st.one_of(letters, st.sampled_from(" ,.;!?-'&<>\n\t\"")), max_size=30)
plain_words = st.one_of(
    st.sampled_from(
        ["Red", "dog's", "T-shirt", "don't", "moves", "7", "naïve", "日本語", "नमस्ते", "Straße", "été"]
    ),
    st.text(st.characters(categories=("Ll", "Lu"), max_codepoint=0x24F), min_size=1, max_size=9),
)
marks = st.sampled_from([",", "!", "...", "🚀", "(", '"', "—", "&"])


def words_of(sentence: str) -> list[str]:
    return [word.text for word in sentence_words(sentence)]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a dog, a cat", ["a", "dog", "a", "cat"]),
        ("The dog's T-shirt isn’t 2-coloured!", ["The", "dog's", "T-shirt", "isn’t", "2-coloured"]),
        ("'quoted' dogs' -dash- rock'n'roll", ["quoted", "dogs", "dash", "rock'n'roll"]),
        ("cafe\u0301 नमस्ते", ["cafe\u0301", "नमस्ते"]),
        ("犬が走る, 猫", ["犬が走る", "猫"]),
        ("3.5 m \U0001f680 x_y", ["3", "5", "m", "x", "y"]),
        ("\u0301 - ' \U0001f680", []),
        ("", []),
    ],
)
def test_words(sentence: str, expected: list[str]) -> None:
    assert words_of(sentence) == expected
    assert all(sentence[word.start : word.end] == word.text for word in sentence_words(sentence))


@pytest.mark.parametrize(
    ("sentence", "place", "expected"),
    [
        ("a red dog runs", 1, "a dog runs"),
        ("a red  dog", 1, "a dog"),
        ("a dog, running", 1, "a, running"),
        ("a dog, running", 2, "a dog"),
        ("Suddenly, a dog", 0, "a dog"),
        ("it moves (left).", 2, "it moves ()."),
        ("the dog and the cat", 3, "the dog and cat"),
        ("  dog ", 0, ""),
        ("dog!", 0, "!"),
        ("犬が走る", 0, ""),
    ],
)
def test_without_word(sentence: str, place: int, expected: str) -> None:
    assert without_word(sentence, sentence_words(sentence)[place]) == expected


def test_a_word_that_does_not_stand_there_is_refused() -> None:
    with pytest.raises(ValueError, match="'cat' at characters 2 to 5 is no word of 'a dog'"):
        without_word("a dog", SentenceWord("cat", 2, 5))


def test_function_words() -> None:
    assert all(is_function_word(word) for word in ("The", "of", "and", "is"))
    assert not any(
        is_function_word(word)
        for word in ("red", "first", "then", "before", "behind", "two", "left", "discs", "no-one")
    )


@given(texts)
@settings(max_examples=150, deadline=None)
def test_one_word_less_and_no_other_change(sentence: str) -> None:
    words = sentence_words(sentence)
    for row, word in enumerate(words):
        rest = without_word(sentence, word)
        assert words_of(rest) == [other.text for other in words[:row] + words[row + 1 :]]
        assert rest == rest.strip()


def tokens_of(sentence: str, most: int = LONG) -> list[str]:
    return TOKENIZER.encode([sentence], most).pieces[0]


def test_tokens_of_words() -> None:
    sentence = "The DOGS' tails, zebra don't!"
    pieces = tokens_of(sentence)
    places = word_of_pieces(sentence, pieces, TOKENIZER)
    spelled = ["".join(p for p, w in zip(pieces, places, strict=True) if w == row) for row in range(5)]
    assert spelled == ["the", "dogs", "tails", "zebra", "don't"]
    assert places[0] == places[-1] == -1
    # Accounts may leave out the start, and go on with padding.
    assert word_of_pieces(sentence, [*pieces[1:], "padding 1"], TOKENIZER) == [*places[1:], -1]
    # A mark that CLIP reads together with the letter after it.
    quoted = "a 'small' dog"
    assert tokens_of(quoted)[1:3] == ["a", "'s"]
    assert word_of_pieces(quoted, tokens_of(quoted), TOKENIZER)[1:3] == [0, 1]


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("CafÃ© ok", {"café": 0, "ok": 1}),
        ("red &amp;amp; blue", {"red": 0, "&": -1, "blue": 3}),
        ("cafe\u0301 ﬁne", {"café": 0, "fine": 1}),
        (f"a {END} dog", {"a": 0, "<|": -1, "endoftext": 1, "|>": -1, "dog": 2}),
        ("ΣΟΦΟΣ  Red", {"σοφος": 0, "red": 1}),
        ("İzmir 日本語\U0001f680", {"i\u0307zmir": 0, "日本語": 1, "\U0001f680": -1}),
    ],
)
def test_what_cleaning_changed_keeps_its_word(sentence: str, words: dict[str, int]) -> None:
    expected = [place for word, place in words.items() for _ in TOKENIZER.ids(word)]
    pieces = tokens_of(sentence)
    assert word_of_pieces(sentence, pieces, TOKENIZER) == [-1, *expected, -1]


@given(
    st.lists(
        st.tuples(plain_words, st.sampled_from(["", *"!,"]), st.lists(marks, max_size=2)),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_token_goes_to_the_word_it_spells(chunks: list[tuple[str, str, list[str]]]) -> None:
    # What each word and mark becomes by itself says how many tokens it has in the sentence.
    written: list[str] = []
    owners: list[int] = []
    for row, (word, end, between) in enumerate(chunks):
        written.append(word + end)
        owners += [row] * len(TOKENIZER.ids(word)) + [-1] * len(TOKENIZER.ids(end))
        for mark in between:
            written.append(mark)
            owners += [-1] * len(TOKENIZER.ids(mark))
    sentence = " ".join(written)
    assert words_of(sentence) == [word for word, _, _ in chunks]
    pieces = tokens_of(sentence)
    assert word_of_pieces(sentence, pieces, TOKENIZER) == [-1, *owners, -1]


@given(texts)
@settings(max_examples=200, deadline=None)
def test_any_sentence_has_its_tokens_in_order(sentence: str) -> None:
    if not TOKENIZER.ids(sentence):
        return
    pieces = tokens_of(sentence)
    places = word_of_pieces(sentence, pieces, TOKENIZER)
    assert len(places) == len(pieces)
    owned = [place for place in places if place >= 0]
    assert owned == sorted(owned)
    # Cleaning takes words away only where it reads something else in their place.
    if _is_clean(sentence):
        assert set(owned) == set(range(len(sentence_words(sentence))))


def _is_clean(sentence: str) -> bool:
    return "".join(clean_text(sentence).split()) == re.sub(r"\s", "", sentence.lower())


@given(
    st.lists(st.sampled_from(["red", "zebra", "dog's", ",", "T-shirt"]), min_size=1, max_size=9),
    st.integers(3, 14),
)
@settings(max_examples=60, deadline=None)
def test_cut_sentences(words: list[str], most: int) -> None:
    sentence = " ".join(words)
    if not sentence_words(sentence):
        return
    whole = word_of_pieces(sentence, tokens_of(sentence), TOKENIZER)
    cut = word_of_pieces(sentence, tokens_of(sentence, most), TOKENIZER)
    assert cut == [*whole[: min(most, len(whole)) - 1], -1]


@pytest.mark.skipif(not VOCABULARY.is_file(), reason=f"{VOCABULARY} is not there")
def test_clips_vocabulary_spells_words_in_its_pieces() -> None:
    tokenizer = Tokenizer.from_bpe_file(VOCABULARY)
    sentence = "A skateboarder's 'small' dog, Dragonfruit-coloured, isn\u2019t at 日本 \U0001f680 in 2024"
    pieces = tokenizer.encode([sentence], 77).pieces[0]
    # The mark before "small" and its first letter are one token of this vocabulary.
    words = [["a"], ["skate", "boarder", "'s"], ["'s", "mall"], ["dog"], ["dragon", "fruit", "-", "coloured"]]
    words += [["isn", "'t"], ["at"], ["日", "\ufffd", "\ufffd"], ["in"], list("2024")]
    places = word_of_pieces(sentence, pieces, tokenizer)
    spelled = [[p for p, place in zip(pieces, places, strict=True) if place == row] for row in range(10)]
    assert spelled == words
    outside = [piece for piece, place in zip(pieces, places, strict=True) if place < 0]
    assert outside == [START, "'", ",", ",", "\U0001f680", END]


def test_tokens_of_another_sentence_are_refused() -> None:
    with pytest.raises(ValueError, match="are not those of 'a dog'"):
        word_of_pieces("a dog", [START, "a", "cat", END], TOKENIZER)
