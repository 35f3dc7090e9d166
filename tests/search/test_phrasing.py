"""What is taken off a question, and above all what is not."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.data import annotated

from vidsift.search.phrasing import is_rephrased, normalise_sentence

QUOTED = [
    '"{}"', "'{}'", "`{}`", "''{}''", '"{}', '{}"', "(\u201c{}\u201d)", "\u201c{}\u201d", "\u201d{}\u201d",
    "\u201e{}\u201c", "\u2018{}\u2019", "\u201a{}\u2018", "\u00ab{}\u00bb", "\u00ab\u00a0{}\u00a0\u00bb",
    "\u00bb{}\u00ab", "\u2039{}\u203a", "\u300c{}\u300d", "\u300e{}\u300f", "\u300a{}\u300b",
    "\uff02{}\uff02", "\u301d{}\u301e", "[{}]",
]  # fmt: skip
MARKED = [
    "{}.", "{}!", "{}?", "{}...", "{}\u2026", "{} ?!", "{};", "{}:", "{},", "\u00bf{}?", "\u00a1{}!",
    "{}\u3002", "{}\uff1f", "{}\uff01", "{}\u061f", "{}\u0964", "\ufeff{}\u200b", "  {}\t\n",
    "\u3000{}\u3000",
]  # fmt: skip
REQUESTED = [
    "show me {}", "Show me {}", "SHOW ME {}", "show us {}", "show {}", "find {}", "find me {}",
    "search for {}", "look for {}", "search: {}", "find: {}", "display {}", "I am looking for {}",
    "I'm looking for {}", "I\u2019m looking for {}", "we are searching for {}", "i'm trying to find {}",
    "I want to see {}", "I'd like to see {}", "I would like to find {}", "I need {}", "let me see {}",
    "help me find {}", "can you find {}?", "can you show me {}", "could you please show me {}?",
    "would you find {} for me", "Can you get me {}", "where can I find {}?", "is there {}?",
    "do you have {}?", "please find {}", "hi, can you find me {}, thanks!", "Hey, show me {}", "{} please",
    "{}, please", "{}, please!", "{}, thank you", "{}. Thanks!", 'show me "{}", please!', '"show me {}."',
]  # fmt: skip
OF_VIDEOS = [
    "videos of {}", "video of {}", "a video of {}", "footage of {}", "some clips of {}",
    "a clip showing {}", "find videos of {}", "find me videos of {}", "show me all the videos of {}",
    "show me a short video about {}", "clips where there is {}", "scenes in which you see {}",
    "the moment when there's {}", "search videos with {}", "any video that shows {}",
    "the part that has {}", "show me a picture of {}", "find photos of {}", "are there any videos of {}?",
    "do you have footage of {}?", "which videos show {}?", "what clips have {}",
    "give me videos containing {}", "play the video with {}", "I'm looking for something with {}",
    "can you find the scene where there is {}?", "get me the clip that contains {}",
]  # fmt: skip


@pytest.mark.parametrize("phrase", QUOTED + MARKED + REQUESTED + OF_VIDEOS)
def test_what_says_nothing_about_the_video_is_taken_off(phrase: str) -> None:
    assert normalise_sentence(phrase.format("a green heart")) == "a green heart"
    assert normalise_sentence(phrase.format("a man from the U.S.")) == "a man from the U.S."


@pytest.mark.parametrize(
    "sentence",
    [
        # Nothing else is left, or nothing that can be seen.
        "show", "Show me", "show me the", "find", "find me", "find it", "search", "please", "videos",
        "videos of me", "?", "...", '"', '""', "\u300c\u300d", "", "who",
        # Titles and sayings; words that begin what is seen.
        "show me the way", "show me the way to go home", "Show Me the Money", "show me love",
        "show me how it works", "the find", "a rare find", "finding nemo", "find out who did it",
        "show jumping", "show dog", "a show about cats", "search party", "play guitar", "give me five",
        "give me a break", "list of names", "looking for keys under a couch", "looking out of a window",
        "hello kitty", "please do not touch sign", "want a cookie", "watch on a wrist", "look out",
        "clips on a tie", "video game", "video call with a friend",
        # Things to be seen, and not what the library is made of.
        "a shot of whiskey", "a picture of a dog on a wall", "the scene of the crime",
        "a segment of an orange", "the part has a crack", "a film of oil on water", "a moment of silence",
        "people watching a video of a dog",
        # Parts of a question.
        'a man says "show me the way"', '"show me" is written on a wall', '"a dog" and "a cat"',
        "the dogs' toys", "'the dogs' toys'", "'twas the night", "a sign that says please",
        "a card with the words thank you", 'a pipe of 12"', '"12" pipe"', "a wall (painted red)",
        "(a) and (b)", "c++", "#dog", "5 %",
        # What is not to be seen.
        "don't show me dogs", "do not find cats", "never show me a dog", "videos without a dog",
        "videos that do not show a dog", "no video of a dog", "not a dog", "no green heart", "nobody",
    ],
)  # fmt: skip
def test_content_stays(sentence: str) -> None:
    assert normalise_sentence(sentence) == sentence


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("clips where nobody is talking", "nobody is talking"),
        ("show me videos with no people", "no people"),
        ("find me a street without cars", "a street without cars"),
        ("show me anything but a dog", "anything but a dog"),
        ("show me where the dog does not run", "the dog does not run"),
        ("can you find a sign that says \u201cshow me\u201d?", "a sign that says \u201cshow me\u201d"),
        ("show me a shot of whiskey", "a shot of whiskey"),
        ("what?", "what"),
        ("show me \u2764\ufe0f!", "\u2764\ufe0f"),
        ("\u300c\u7eff\u8272\u7684\u5fc3\u3002\u300d", "\u7eff\u8272\u7684\u5fc3"),
        ("at 8 p.m.?!", "at 8 p.m."),
        ("at 8 p.m.", "at 8 p.m."),
        ("'the dog's toy'", "the dog's toy"),
    ],
)
def test_negations_and_quoted_parts_stay_where_the_rest_goes(written: str, expected: str) -> None:
    assert normalise_sentence(written) == expected


PIECES = st.lists(
    st.sampled_from(
        [
            "show", "me", "find", "videos", "of", "a", "the", "dog", "please", ",", '"', "'", ".", "?", "for",
            "clips where", "\u201c", "\u201d", "(", ")", "can you", "is there", "\u2764", "U.S.", "no", "not",
            "12", " ", "",
        ]
    ),
    max_size=9,
)  # fmt: skip


@given(PIECES.map(" ".join) | PIECES.map("".join) | st.text(max_size=40))
@example('"')
@example("show me show me show me")
def test_a_question_is_never_emptied_and_what_is_normalised_stays(written: str) -> None:
    normalised = normalise_sentence(written)
    assert bool(normalised) == bool(written.split())
    assert normalise_sentence(normalised) == normalised
    # Nothing but what stood there, in its order and with its capitals.
    assert normalised in " ".join(written.split())
    for negation in ("no", "not"):
        assert normalised.split().count(negation) == written.split().count(negation)


def test_a_long_question_takes_no_longer_than_it_is_long() -> None:
    # What repeats makes careless patterns walk for ever.
    for piece in ("show me ", '"', "(", "please ", ", ", "a video of ", "can you ", "all of the "):
        text = piece * (4000 // len(piece))
        assert normalise_sentence(text)


def test_real_captions_keep_their_words() -> None:
    with (annotated.shared("msrvtt") / "MSRVTT_JSFUSION_test.csv").open(encoding="utf-8") as file:
        captions = [row["sentence"] for row in csv.DictReader(file)]
    for split in ("val", "test"):
        text = (annotated.shared("didemo") / f"{split}_data.json").read_text(encoding="utf-8")
        captions += [row["description"] for row in json.loads(text)]
    assert len(captions) == 9201
    ends = " .,;:!?"
    shortened = [
        text
        for text in captions
        if normalise_sentence(text).strip(ends) != " ".join(text.split()).strip(ends)
    ]
    # Some say what it is that they describe, "a video of a church choir": no more than these lose words.
    openings = ("a video ", "video ", "a clip ", "the moment when ", "moment when ")
    assert 0 < len(shortened) < 30
    assert [text for text in shortened if not text.lower().startswith(openings)] == []


def test_blanks_alone_are_nothing_to_tell() -> None:
    assert not is_rephrased(["a  dog "], ["a dog"])
    assert is_rephrased(["a dog", "show me a cat"], ["a dog", "a cat"])
