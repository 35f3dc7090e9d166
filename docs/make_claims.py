"""Write docs/claims.md: what papers claim, what the controlled world can say of it, and what was measured.

python docs/make_claims.py

Claims and the papers' figures stand in recipes/shapes/methods.yaml, ours in results/shapes-claims.json once
`vidsift ablate recipes/shapes/methods.yaml --report results/shapes-claims.md` has run; those of words in
results/shapes-claims-words.json.
"""

# ruff: noqa: E501 - lines of a page

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from vidsift.training.grid import ALL, Claim, read_grid

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "claims.md"
RESULTS = ROOT / "results" / "shapes-claims.json"
WORDS = ROOT / "results" / "shapes-claims-words.json"
GRID = ROOT / "recipes" / "shapes" / "methods.yaml"

HEAD = """# The papers' claims

This page is written by `python docs/make_claims.py`; a test holds it to the recipe and the results.

Every claim is a comparison of two rows of [methods.yaml](../recipes/shapes/methods.yaml). "Paper" is what its source gains in points of R@1
on MSR-VTT 1k-A with ViT-B/32 ([published.json](../results/published.json)). "Ours" is the difference in the Shapes world with its standard
error over backbones, seeds and questions, the power with which the paper's difference would have been seen (by R@1 / by the likelihood among
hard negatives), and the verdict. *Holds* and *does not hold* are said where a test says so, all tests together false in at most 5 % of such
tables; *cannot be told* is no evidence against a claim; *does not count* is a comparison with a row whose right videos its training did not
make likelier, on validation, than they were before its first step (a black box, which begins at chance: above the backbone that it starts from).

That rule, and rates by the same measure, were chosen after 26 runs by R@1 had been judged on test; the test videos were then drawn anew. The
640 videos of validation choose rates and decide which rows count, the 2,560 of test do neither.

What Shapes can say: which method makes more of the same tokens of a small CLIP, in clips whose every fact is known, at a budget of minutes. What
it cannot: anything of photographs, of towers with hundreds of millions of weights that learn with the method, or of captions by people.

| claim | source | comparison | paper | what this world can and cannot say | ours |
|---|---|---|---|---|---|
"""

SAYS = {
    "Words beat one sentence vector": "Captions name things, colours and motions one by one: words have something to find. All of them are short.",
    "Levels lie between": "The towers have 3 and 4 blocks: three levels are nearly all of them, where the paper's are a quarter.",
    "Weights help words": "Half of a caption's words are function words; frames of a clip are about equally telling, so weights of frames have little to do.",
    "Weighted words beat one vector": "As the two above.",
    "Black boxes are worse than DP": "Few clips, which is what black boxes suffer from, as in the paper.",
    "Decorrelation helps": "128 channels for a world of some hundred facts: less to decorrelate than 512 of a CLIP of photographs.",
    "Both directions beat one": "Directions are told apart; the weight heads are as in the paper.",
    "A head across frames beats the mean": "The towers shift tokens between frames, so some order is in them before the head; on order the mean alone cannot tell.",
    "ProST beats TS2-Net beats CLIP4Clip": "TS2-Net's token shift is every row's here, so the comparison is of its selection alone.",
    "Deeper decoders are better": "Eight frames of two or three things: little to decode.",
    "Dynamic routing helps": "With sharp weights the best word has nearly all of the score: routing can tell only where others count.",
    "The patch branch helps": "A picture has 16 patches, a thing covers one to four; the paper's have 49.",
    "The patch branch sees motion": "Asked of clips that differ in motion alone, which no benchmark has.",
    "Both together help": "As the two above.",
    "PIDRo beats TS2-Net beats X-CLIP": "Three systems with frozen towers; the papers' learn with them.",
}
"""What the world can and cannot say of each claim."""

FURTHER = """
## Claims that only this world can test

They need the truth of words: which is true of which frames and where ([grounding.md](grounding.md)). The grid keeps the models of five rows, and
`PYTHONPATH=src python benchmarks/shapes_claims_words.py` judges them on test videos of Shapes: a difference with its standard error over backbones and videos, corrected together by
Holm's method ([shapes-claims-words.md](../results/shapes-claims-words.md)). That the patch branch sees motion is asked above, of clips that differ in motion alone.

| claim | source | what is compared | what this world can and cannot say | ours |
|---|---|---|---|---|
"""

FURTHER_CLAIMS = {
    "WTI weighs content words": (
        "DRL section 3.2, Figure 8",
        "weight of content words in wti, beside ti, which weighs all tokens alike",
        "Weight, and not what the score comes from: a light word may still meet its frames.",
    ),
    "WTI takes weight off function words": (
        "DRL section 3.2, Figure 8",
        "weight of function words in ti, beside wti",
        "Function words of these captions are few: articles, prepositions and the words of order.",
    ),
    "Dynamic routing spreads information over words": (
        "PIDRo section 3.3",
        "effective words of the score (exp of the entropy of what each gives) in pidro-dr, beside pidro-base",
        "The towers are trained by words that meet frames, so their words are no strangers to the picture before routing.",
    ),
    "ProST's objects lie on things": (
        "ProST, object prototypes",
        "share of best places on a thing that the sentence names, beside that of all places",
        "Things stand out from plain backgrounds: a map that knows nothing of words lies on them too.",
    ),
    "ProST's objects lie on the things that a sentence names": (
        "ProST, object prototypes",
        "the same, beside the best places of another caption",
        "As above, without what things attract by themselves.",
    ),
}
"""The source of each claim, what is compared, and what the world can and cannot say of it."""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page, from the recipe and, where they are there, the results."""
    ours = {(it["claim"], it["tag"], it["comparison"]): it for it in _claims_of(RESULTS)}
    lines = [line for claim in read_grid(GRID).claims for line in _lines(claim, ours)]
    return HEAD + "\n".join(lines) + "\n" + FURTHER + "\n".join(_further_lines()) + "\n"


def _claims_of(file: Path) -> list[dict[str, Any]]:
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    claims: list[dict[str, Any]] = results.get("claims", [])
    return claims


def _further_lines() -> list[str]:
    ours = {it["claim"]: it for it in _claims_of(WORDS)}
    lines = []
    for claim, (source, compared, says) in FURTHER_CLAIMS.items():
        cells = [claim, source, compared, says, _of_words(ours[claim]) if claim in ours else "not yet run"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _of_words(measured: dict[str, Any]) -> str:
    more, less = (statistics.mean(number["runs"]) for number in measured["numbers"][:2])
    return f"{more:.1f} beside {less:.1f}, {measured['difference']:+.1f} ± {measured['error']:.1f}: **{measured['verdict']}**"


def _lines(claim: Claim, ours: dict[tuple[str, str, str], Any]) -> list[str]:
    lines = []
    for place, comparison in enumerate(claim.comparisons):
        effect = claim.effect[place] if claim.effect else None
        measured = ours.get((claim.say, claim.tag, comparison.text))
        cells = [
            claim.say if claim.tag == ALL else f"{claim.say} (on {claim.tag})",
            claim.source,
            comparison.text.replace(">", "&gt;"),
            "no figure" if effect is None else f"{effect:+.1f}",
            SAYS[claim.say],
            "not yet run" if measured is None else _ours(measured),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _ours(measured: dict[str, Any]) -> str:
    recall, likelihood = (measured["measures"][name] for name in ("R@1", "log-likelihood"))
    powers = "/".join("-" if it["power"] is None else f"{it['power']:.2f}" for it in (recall, likelihood))
    lost = f" ({', '.join(measured['not_improved'])} not improved)" if measured["not_improved"] else ""
    return f"{recall['difference']:+.1f} ± {recall['error']:.1f}, power {powers}: **{measured['verdict']}**{lost}"


if __name__ == "__main__":
    main()
