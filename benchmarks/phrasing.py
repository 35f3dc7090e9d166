"""Does an answer depend on how a question is phrased: quotes, "show me", "videos of", "please" around it.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/phrasing.py     # writes results/phrasing.json and .md

A library of Shapes videos (test split, groups of four look-alikes) is searched with the bundled model.
Questions: captions of its videos, short names of things, and everyday English about nothing in it. Each is
asked as it is, and in every phrasing of two lists, exactly as written and as a search takes it. The top hit
is unchanged only where it is the same video: a look-alike is another. The second list holds phrasings that no
rule was written for.

With --towers the same captions are asked of a run's towers as a plain CLIP, in the templates that people put
around captions for one ("a video of ..."), to see whether a template helps.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from found import Bench, build, encode, identity
from measuring import ROOT, command_line, machine, write_results
from phrasing_page import page

from vidsift.index.plain_clip import SETTINGS
from vidsift.methods.model import load
from vidsift.search import calibration
from vidsift.search.calibration_sentences import CALIBRATION_SENTENCES
from vidsift.search.questions import can_read
from vidsift.search.searcher import Index
from vidsift.search.sums import normalise_query

COMMAND = command_line(__file__)

PHRASINGS = {
    "quotes": ('"{}"', "'{}'", "\u201c{}\u201d", "\u2018{}\u2019", "\u201e{}\u201c", "\u00ab {} \u00bb",
               "\u300c{}\u300d", "`{}`", "({})", '"{}'),
    "marks, blanks, capitals": ("{}.", "{}!", "{}?", "{}...", "{}\u2026", "{} ;", "{}\u3002", "  {}  ",
                                "upper"),
    "requests": ("show me {}", "Show me {}.", "show {}", "find {}", "find me {}", "search for {}",
                 "I am looking for {}", "I'm looking for {}", "I want to see {}", "I'd like to see {}",
                 "let me see {}", "can you find {}?", "can you show me {}?", "could you please find {}",
                 "where can I find {}?", "is there {}?", "do you have {}?"),
    "of videos": ("videos of {}", "a video of {}", "footage of {}", "a clip of {}", "find videos of {}",
                  "find me videos of {}", "show me a video of {}", "show me all the videos of {}",
                  "show me clips with {}", "clips where there is {}", "scenes where you see {}",
                  "the moment when there is {}", "are there any videos of {}?", "which videos show {}?",
                  "I am looking for a video that shows {}", "show me a picture of {}"),
    "manners": ("{} please", "{}, please", "please show me {}", "{}, thanks",
                "can you find {} for me, please?", "Hi, can you show me {}?", 'Show me "{}", please!'),
}  # fmt: skip
OTHERS = (
    "I wanna see {}", "gimme {}", "any {}?", "got any {}?", "{} video", "{} clips", "need {}", "q: {}",
    "VIDEO: {}", "where is {}?", "we see {}", "it shows {}", "the video shows {}", "the one with {}",
    "that clip with {} in it", "someone filmed {}", "a film with {}", "I remember {}", "looking for {}",
    "there should be {} somewhere", "zeig mir {}", "{} :)",
)  # fmt: skip
TEMPLATES = (
    "{}", "{}.", "a video of {}", "a video of {}.", "a photo of {}", "a photo of {}.", "a clip of {}",
    "a frame of a video of {}", "a scene with {}", "footage of {}",
)  # fmt: skip


def phrased(phrasing: str, question: str) -> str:
    return question.upper() if phrasing == "upper" else phrasing.format(question)


class Answer(NamedTuple):
    """The top hit of a question, the word for how good it is, and whether something in the library fits."""

    video: str
    word: str | None
    fits: bool


class Asker:
    """Asks an index, each text once."""

    def __init__(self, index: Index) -> None:
        """Keep the index; nothing is asked yet."""
        self._index = index
        self._answers: dict[str, Answer] = {}

    def ask(self, texts: Iterable[str]) -> list[Answer]:
        """Answer in the order of the texts."""
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._answers]
        short = [text for text in new if can_read(self._index.model, text)]
        # A phrase may make a question longer than the model takes; that is an answer too.
        self._answers |= dict.fromkeys(new, Answer("", None, fits=False))
        for text, hits in zip(short, self._index.search_many(short, k=1), strict=True):
            self._answers[text] = Answer(hits[0].video_id, hits[0].match, bool(self._index.found(text, hits)))
        return [self._answers[text] for text in texts]


def questions_of(bench: Bench, each: int, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Kind, question, and the video that it is about, "" for none."""
    captions = [(text, identity(clip)) for clip in bench.clips for text in clip.captions]
    chosen = [captions[place] for place in rng.permutation(len(captions))[:each]]
    things = sorted({f"{thing.colour} {thing.shape}" for clip in bench.clips for thing in clip.scene.things})
    names = [f"a {things[place]}" for place in rng.permutation(len(things))[: each // 2]]
    foreign = [bench.foreign[place] for place in rng.permutation(len(bench.foreign))[: each // 2]]
    return [
        *(("caption", text, video) for text, video in chosen),
        *(("name of a thing", text, "") for text in names),
        *(("everyday English", text, "") for text in foreign),
    ]


def compared(
    plain: Sequence[Answer], answers: Sequence[Answer], about: Sequence[str], groups: dict[str, int]
) -> Any:
    """How answers to phrased questions differ from those to the questions alone."""
    pairs = list(zip(plain, answers, strict=True))
    changed = [(before, after) for before, after in pairs if before.video != after.video]
    return {
        "same_top": 1 - len(changed) / len(pairs),
        "same_found": float(np.mean([before.fits == after.fits for before, after in pairs])),
        "same_word": float(np.mean([before.word == after.word for before, after in pairs])),
        "changed": len(changed),
        "to_look_alike": sum(groups[before.video] == groups.get(after.video) for before, after in changed),
        "right": float(
            np.mean([answer.video == video for answer, video in zip(answers, about, strict=True) if video])
        ),
    }


def rows_for(
    asker: Asker, phrasings: Sequence[str], questions: Sequence[tuple[str, str, str]], groups: dict[str, int]
) -> list[dict[str, Any]]:
    plain = asker.ask(text for _, text, _ in questions)
    about = [video for _, _, video in questions]
    rows = []
    for phrasing in phrasings:
        written = [phrased(phrasing, text) for _, text, _ in questions]
        normalised = [normalise_query(text) for text in written]
        rows.append(
            {
                "phrasing": phrasing,
                "example": normalise_query(phrased(phrasing, "a green heart")),
                "as_written": compared(plain, asker.ask(written), about, groups),
                "normalised": compared(plain, asker.ask(normalised), about, groups),
            }
        )
    return rows


def templates(bench: Bench, folder: Path, towers: Path) -> dict[str, Any]:
    """Whether captions in templates find their video, by towers as a plain CLIP of papers and of an index."""
    load(towers, "cpu").save_backbone(folder / "towers")
    plain = load(folder / "towers", "cpu", frames=8)
    captions = [(normalise_query(text), identity(clip)) for clip in bench.clips for text in clip.captions[:2]]
    ways = {}
    for name, model in {"mean of 8 frames": plain, "best frame": SETTINGS[0].applied_to(plain)}.items():
        index = build(folder / name, model, bench.clips, encode(model, bench.clips))
        right = {}
        for template in TEMPLATES:
            tops = index.search_many([template.format(text) for text, _ in captions], k=1)
            right[template] = np.array(
                [hits[0].video_id == video for hits, (_, video) in zip(tops, captions, strict=True)],
                np.float64,
            )
        more = {template: right[template] - right["{}"] for template in TEMPLATES}
        ways[name] = {
            template: {
                "right": float(right[template].mean()),
                "more": float(more[template].mean()),
                "error": float(more[template].std(ddof=1) / len(captions) ** 0.5),
            }
            for template in TEMPLATES
        }
    return {"towers": towers.as_posix(), "captions": len(captions), "ways": ways}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--videos", type=int, default=152, help="of the test split, a multiple of 4")
    options.add_argument(
        "--questions", type=int, default=40, help="captions; half as many of the other kinds"
    )
    options.add_argument(
        "--towers", type=Path, help="also ask the towers of a run as a plain CLIP: runs/shapes-stills"
    )
    options.add_argument("--out", type=Path, default=ROOT / "results")
    given = options.parse_args()
    began = time.process_time()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(CALIBRATION_SENTENCES))
    half = len(order) // 2
    # Half of the bank measures how sure hits are, the other half asks.
    calibration.CALIBRATION_SENTENCES = tuple(CALIBRATION_SENTENCES[place] for place in order[:half])
    bench = Bench(given.videos)
    bench.foreign = [CALIBRATION_SENTENCES[place] for place in order[half:]]
    groups = {identity(clip): clip.group for clip in bench.clips}
    questions = questions_of(bench, given.questions, rng)
    with tempfile.TemporaryDirectory() as folder:
        asker = Asker(bench.open(Path(folder) / "index", range(len(bench.clips))))
        (alone,) = rows_for(asker, ["{}"], questions, groups)
        listed = {
            kind: rows_for(asker, phrasings, questions, groups) for kind, phrasings in PHRASINGS.items()
        }
        others = rows_for(asker, OTHERS, questions, groups)
        plain_clip = None if given.towers is None else templates(bench, Path(folder), given.towers)
    measured = {
        "command": COMMAND,
        **machine(),
        "videos": len(bench.clips),
        "questions": {kind: sum(which == kind for which, _, _ in questions) for kind, _, _ in questions},
        "alone": alone,
        "listed": listed,
        "others": others,
        "plain_clip": plain_clip,
        "cpu_s": time.process_time() - began,
    }
    write_results(given.out, "phrasing", measured, page(measured))


if __name__ == "__main__":
    main()
