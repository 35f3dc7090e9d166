"""What people write around a question, taken off: quotes, "show me", "videos of", "please", the last dot.

A model reads all of that as something to be seen, and the answer changes. What is taken off says nothing
about the video; when in doubt it stays. The phrases are English, as are the captions that models learn from;
quotes and marks are those of any script. Capitals and runs of blanks need nothing: every tokenizer of ours
lowers and joins them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from vidsift.search.sentence_words import is_function_word, sentence_words

__all__ = ["is_rephrased", "normalise_sentence"]

_DOUBLE_QUOTES = '"\u201c\u201d\u201e\u201f\uff02\u00ab\u00bb\u301d\u301e\u301f'
_SINGLE_QUOTES = "'\u2018\u2019\u201a\u201b`\u00b4\uff07\u2039\u203a"
# Corner brackets quote in Chinese and Japanese, double angles name titles there.
_BRACKETS = (
    "\u300c\u300d\u300e\u300f\uff62\uff63\ufe41\ufe42\ufe43\ufe44\u300a\u300b\u3008\u3009()[]\uff08\uff09"
)
_LAST_MARKS = (
    ".,;:!?\u2026\u203d"
    "\u3002\uff0e\u3001\uff0c\uff1b\uff1a\uff01\uff1f\uff61\uff64"  # Chinese, Japanese
    "\u061f\u060c\u061b\u06d4\u0964\u0965\u0589\u055e"  # Arabic, Urdu, Hindi, Armenian
)
_FIRST_MARKS = ".,;:\u2026\u00bf\u00a1\u3001\u3002"
# Letters with dots between: the last dot of "U.S." and "p.m." belongs to the word.
_ABBREVIATION = re.compile(r"(?:^| )(?:[^\W\d_]\.)+[^\W\d_]$")
# Seen by nobody, and no blanks to Python: zero width, byte order, directions of writing. Not all that is
# unseen: joiners hold emoji together.
_UNSEEN = "\u200b\u2060\ufeff\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

_ARTICLE = r"(?:all (?:of )?(?:the|my|our)|an?|the|my|our|your|some|any|all|every|more|other|another)"
_SOME = rf"(?:{_ARTICLE} )?(?:few |short |good |new |best )?(?:(?:video|movie|film) )?"
# What a library consists of: phrasing wherever a joint follows.
_VIDEOS = r"(?:videos?|clips?|footage|recordings?|movies?)"
# Things to be seen, too: "a shot of whiskey", "a segment of an orange", "the scene of the crime".
_PARTS = r"(?:scenes?|moments?|parts?|bits?|segments?|shots?|sequences?)"
# And these: "a picture of a dog on a wall".
_PICTURES = r"(?:pictures?|images?|photos?|photographs?|pics?|films?|snippets?|examples?|something|anything)"
_SHOW = r"(?:shows?|contains?|features?|depicts?|includes?|has|have)"
_CLAUSE = r"(?:where|when|in which)(?: there(?: is| are|'s)| (?:you|we|i) (?:can )?see)?"
_JOINT_OF_PARTS = rf"(?:showing|containing|featuring|depicting|including|(?:that|which) {_SHOW}|{_CLAUSE})"
# No "without": what is not to be seen stays.
_JOINT = rf"(?:{_JOINT_OF_PARTS}|with|of|about)"

_GREETING = r"(?:(?:hi|hey|hello|ok|okay)(?: there)?,? )?(?:(?:please|pls),? )?"
_YOU = r"(?:(?:can|could|would|will) you (?:please |kindly |help me )?)"
_ME = r"(?: me| us)"
_SEE = r"(?:see|find|watch|look for|search for)"
_REQUEST = (
    rf"(?:{_YOU}?(?:show{_ME}|find{_ME}?|search for|look for)|"
    rf"{_YOU}(?:show|get{_ME}?|give{_ME}|display|locate|play|search)|"
    rf"(?:i|we)(?: (?:want|need|wish|would like|would love)|'d (?:like|love)) to {_SEE}|"
    rf"(?:i am|i'm|im|we are|we're) (?:looking for|searching for|trying to {_SEE})|"
    rf"(?:let|help){_ME} {_SEE}|(?:where )?can (?:i|we) {_SEE})"
)
_REQUESTED = rf"(?:(?:{_VIDEOS}|{_PICTURES}) {_JOINT}|{_PARTS} {_JOINT_OF_PARTS}|scenes of)"
# These begin what may be seen, too ("play guitar", "show jumping"): requests in front of videos alone.
_WEAK_REQUEST = (
    rf"(?:{_REQUEST}|show|get{_ME}?|give{_ME}|play{_ME}?|display|list|locate|search|fetch{_ME}?|"
    r"bring up|pull up|watch|see|looking for|searching for|(?:i|we)(?: (?:want|need|would like)|'d like)|"
    r"do (?:you|we|i) have|have you got|(?:is|are) there)"
)
_BEFORE_ARTICLE = (
    r"(?:show|display|locate|get me|(?:is|are) there|do you have|have you got|i (?:want|need)) "
    rf"(?={_ARTICLE} )"
)
# "Show me the way", "show me how", "find out": what follows is no thing to be seen.
_UNLESS_SAYING = (
    r"(?!(?:the (?:way|money|meaning|ropes)|how|what|why|who|that|whether|if|out|your|themselves|himself|"
    r"herself|each other)\b|(?:love|mercy)$)"
)

_REQUESTS = [
    re.compile(_GREETING + pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:what|which|in which) {_VIDEOS} (?:do (?:i|we|you) have )?(?:{_SHOW}|with|of) ",
        rf"{_WEAK_REQUEST} {_SOME}{_REQUESTED} ",
        rf"{_REQUEST} (?:where|when) ",
        rf"(?:{_REQUEST}:?|search:) {_UNLESS_SAYING}",
        rf"{_BEFORE_ARTICLE}{_UNLESS_SAYING}",
    )
]
_WITHOUT_REQUEST = re.compile(rf"{_SOME}(?:{_VIDEOS} {_JOINT}|{_PARTS} {_JOINT_OF_PARTS}) ", re.IGNORECASE)

_PLEASE = re.compile(r"(?P<comma>,?) (?:please|pls|plz)$", re.IGNORECASE)
# In these sentences the word is seen or heard: "a sign that says please".
_SAYING = {"a", "read", "reads", "said", "say", "saying", "says", "the", "to", "word", "words", "written"}
_THANKS = re.compile(
    r"(?:,|[.!?]) (?:many )?(?:thanks|thank you|thx)(?: very much| a lot| so much)?$", re.IGNORECASE
)
_FOR_ME = re.compile(r" for (?:me|us)$", re.IGNORECASE)


def normalise_sentence(sentence: str) -> str:
    """Take off what says nothing about the video.

    Never is a sentence emptied: what would leave no word, or only words such as "me" and "the", stays. What
    stands inside a sentence is not touched, quoted or not, nor is what negates. The result is the same when
    normalised again.

    Returns:
        The sentence with single blanks, and else as it was written.

    Example:
        >>> normalise_sentence('Show me "a green heart", please!')
        'a green heart'
        >>> normalise_sentence("Can you find clips where nobody talks?")
        'nobody talks'
        >>> normalise_sentence("show me the way")
        'show me the way'
    """
    text = " ".join(sentence.split())
    while (shorter := _shortened(text)) != text:
        text = shorter
    return text


def is_rephrased(written: Sequence[str], searched: Sequence[str]) -> bool:
    """Whether sentences differ in more than blanks, so that whoever wrote them has to be shown the others."""
    return [text.split() for text in written] != [text.split() for text in searched]


def _shortened(text: str) -> str:
    """Apply the first rule that takes something off and leaves enough."""
    for rule, is_enough in _RULES:
        result = rule(text).strip()
        if result != text and is_enough(result):
            return result
    return text


def _without_marks(text: str) -> str:
    shorter = text.strip(_UNSEEN + " ").lstrip(_FIRST_MARKS + " ")
    end = shorter.rstrip(_LAST_MARKS + " ")
    is_abbreviated = shorter[len(end) :].startswith(".") and _ABBREVIATION.search(end) is not None
    return end + "." if is_abbreviated else end


def _without_quotes(text: str) -> str:
    for quotes in (_DOUBLE_QUOTES, _SINGLE_QUOTES, _BRACKETS):
        if text[:1] in quotes and text[-1:] in quotes:
            inside = text.strip(quotes + " ")
            if not _holds_quotes(inside, quotes):
                return inside
    # One was forgotten; after a digit it means inches.
    if sum(letter in _DOUBLE_QUOTES for letter in text) == 1:
        if text[0] in _DOUBLE_QUOTES:
            return text[1:]
        if text[-1] in _DOUBLE_QUOTES and not text[-2:-1].isdigit():
            return text[:-1]
    return text


def _holds_quotes(text: str, quotes: str) -> bool:
    """Whether a part of a text is quoted; an apostrophe between letters quotes nothing."""
    return any(
        letter in quotes and not (before.isalnum() and after.isalnum())
        for before, letter, after in zip(" " + text, text, text[1:] + " ", strict=False)
    )


def _without_opening(text: str) -> str:
    # As long as the text, so that places are the same.
    plain = text.replace("\u2019", "'")
    for opening in _REQUESTS:
        if match := opening.match(plain):
            return _FOR_ME.sub("", text[match.end() :])
    match = _WITHOUT_REQUEST.match(plain)
    return text if match is None else text[match.end() :]


def _without_closing(text: str) -> str:
    please = _PLEASE.search(text)
    if please is None:
        return _THANKS.sub("", text)
    before = text[: please.start()]
    is_said = not please["comma"] and before.split(" ")[-1].lower() in _SAYING
    return text if is_said else before


def _shows_anything(text: str) -> bool:
    # Emoji are symbols.
    return any(unicodedata.category(letter)[0] in "LNS" for letter in text)


def _names_anything(text: str) -> bool:
    """Whether a word is left that can be seen: "me", "it" and "the" cannot."""
    words = sentence_words(text)
    return not all(is_function_word(word.text) for word in words) if words else _shows_anything(text)


_RULES = (
    (_without_marks, _shows_anything),
    (_without_quotes, _shows_anything),
    (_without_closing, _names_anything),
    (_without_opening, _names_anything),
)
