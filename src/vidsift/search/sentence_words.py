"""The words of a sentence, the text tokens that each became, and the sentence without one of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vidsift.encoders.tokenizer import Tokenizer


__all__ = [
    "SentenceWord",
    "is_function_word",
    "sentence_words",
    "without_word",
    "word_of_pieces",
]

# Hyphens, apostrophes, and what is written between letters without being seen.
_JOINERS = frozenset("-\u2010\u2011'\u2019\u00ad\u200c\u200d")
# They stand against the word before them; at an end of the sentence they separate nothing.
_CLOSING, _SEPARATING = (",", ".", ";", ":", "!", "?"), " \t\n,;:"

_FUNCTION_WORDS_LISTED = """
a an the this that these those some any each every no another other both all its his her their
my your our i you he she it we they him them us me who whom whose which what there here itself
himself herself themselves and or but nor so yet if while as when where because than though
although of in on at to from by with into onto about for toward towards is are was were be been
being am has have had having do does did doing can could will would shall should may might must
not very too also just only
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_LISTED.split())


class SentenceWord(NamedTuple):
    """A word of a sentence.

    Attributes:
        text: as it is written.
        start, end: its characters: ``sentence[start:end]``.
    """

    text: str
    start: int
    end: int


def sentence_words(sentence: str) -> list[SentenceWord]:
    """Find the words: letters and digits, with the hyphens and apostrophes between them.

    Punctuation, symbols and emoji belong to no word. Where a script writes no blanks between words (Chinese,
    Japanese, Thai) everything up to the next blank or mark is one word: put blanks between words there.

    Example:
        >>> [word.text for word in sentence_words("The dog's T-shirt, then: 2 cats")]
        ['The', "dog's", 'T-shirt', 'then', '2', 'cats']
    """
    words = []
    start: int | None = None
    # One place more, which is in no word and ends the last.
    for place in range(len(sentence) + 1):
        if _in_word(sentence, place):
            start = place if start is None else start
        elif start is not None:
            words.append(SentenceWord(sentence[start:place], start, place))
            start = None
    return words


def _in_word(sentence: str, place: int) -> bool:
    if place >= len(sentence):
        return False
    letter = sentence[place]
    if letter.isalnum():
        return True
    if not (_is_mark(letter) or letter in _JOINERS):
        return False
    # Accents and vowel signs belong to the letter that they follow, maybe after others of their kind.
    before = place - 1
    while before >= 0 and _is_mark(sentence[before]):
        before -= 1
    follows_letter = before >= 0 and sentence[before].isalnum()
    if _is_mark(letter):
        return follows_letter
    return follows_letter and place + 1 < len(sentence) and sentence[place + 1].isalnum()


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("M")


def is_function_word(text: str) -> bool:
    """Whether a word, in whatever case, is on a short list of English words that name nothing to be seen.

    Not on it are words for order ("first", "then", "before") and for places and ways ("behind", "up").
    """
    return text.lower().replace("\u2019", "'") in _FUNCTION_WORDS


def without_word(sentence: str, word: SentenceWord) -> str:
    """Return the sentence without a word of it, other words and their order untouched.

    The blanks around the word become one, or none before a mark such as a comma; commas and blanks that then
    begin or end the sentence go too. Nothing may be left: "" or marks alone.

    Raises:
        ValueError: the word does not stand there.

    Example:
        >>> sentence = "first, a red dog runs"
        >>> [without_word(sentence, word) for word in sentence_words(sentence)][:3]
        ['a red dog runs', 'first, red dog runs', 'first, a dog runs']
    """
    if word not in sentence_words(sentence):
        raise ValueError(
            f"{word.text!r} at characters {word.start} to {word.end} is no word of {sentence!r}; take one of "
            "sentence_words(sentence)"
        )
    before, after = sentence[: word.start], sentence[word.end :]
    left, right = before.rstrip(), after.lstrip()
    apart = (left != before or right != after) and not right.startswith(_CLOSING)
    if not left:
        right = right.lstrip(_SEPARATING)
    if not right:
        left = left.rstrip(_SEPARATING)
    return (left + (" " if apart and left and right else "") + right).strip()


def word_of_pieces(sentence: str, pieces: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """Tell which word each text token of a model comes from, so that what tokens gave can be summed by word.

    Several tokens of one word share it. A token that holds a mark and letters ("'s" of "'small'", which CLIP
    reads so) belongs to the letters' word.

    Args:
        sentence: as it was given to the model: capitals, HTML entities and broken encodings included.
        pieces: its tokens, readable, as :class:`~vidsift.encoders.tokenizer.TokenizedText` and the words of
            an account name them; with or without start and end, and maybe fewer than the sentence has, where
            the model cut it.
        tokenizer: of the model.

    Returns:
        For each piece the place of its word among :func:`sentence_words`; -1 for start, end, whatever stands
        after the end (padding), and punctuation.

    Raises:
        ValueError: the pieces are not those of the sentence.

    Example:
        ``word_of_pieces("Two discs!", ["two", "dis", "cs", "!", "<|endoftext|>"], tokenizer)`` is
        ``[0, 1, 1, -1, -1]``.
    """
    start, end = tokenizer.special
    first = 1 if pieces and pieces[0] == start else 0
    last = pieces.index(end) if end in pieces else len(pieces)
    read, tokens = tokenizer.spans(sentence)
    spelled = tokens[: last - first]
    if [token.piece for token in spelled] != list(pieces[first:last]):
        raise ValueError(
            f"the text tokens {list(pieces)} are not those of {sentence!r}; take both from one call of "
            "Model.tokenize"
        )
    words = sentence_words(sentence)
    word_of = {place: row for row, word in enumerate(words) for place in range(word.start, word.end)}
    owner_of = [word_of.get(place, -1) for place in _places_read(sentence, read)]
    owners = [
        next((word for word in owner_of[token.start : token.end] if word >= 0), -1) for token in spelled
    ]
    return [-1] * first + owners + [-1] * (len(pieces) - last)


def _places_read(sentence: str, read: str) -> list[int]:
    """Where in the sentence each character stands that the tokenizer reads."""
    written: list[tuple[str, int]] = []
    for place, letter in enumerate(sentence):
        if not letter.isspace():
            # One capital may become two small letters.
            written += [(small, place) for small in letter.lower()]
        elif written and written[-1][0] != " ":
            written.append((" ", place))
    as_written = "".join(small for small, _ in written)
    places = [place for _, place in written]
    if as_written.rstrip() == read:
        return places[: len(read)]
    # Cleaning changed more than case (entities, accents, broken encodings): what it left is found again, and
    # what it put in the place of something belongs there.
    origins = []
    for kind, a_start, a_end, b_start, b_end in SequenceMatcher(
        None, as_written, read, autojunk=False
    ).get_opcodes():
        for offset in range(b_end - b_start):
            ahead = 0 if kind == "insert" else offset * (a_end - a_start) // (b_end - b_start)
            origins.append(places[min(a_start + ahead, len(places) - 1)])
    return origins
