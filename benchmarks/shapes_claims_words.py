"""What the papers say of words and objects, asked of the models that recipes/shapes/methods.yaml keeps.

    vidsift ablate recipes/shapes/methods.yaml --report results/shapes-claims.md
    PYTHONPATH=src python benchmarks/shapes_claims_words.py

Every kept model, of three backbones and five seeds, is measured as by ``vidsift evaluate --grounding`` on
test videos of Shapes. A claim is a difference of two numbers run by run: its error holds the backbones (whose
means are compared, so seeds are within them) and the videos (by the intervals over videos of both numbers, as
if these were independent, so rather too large); all claims are corrected together by Holm's method. Writes
``results/shapes-claims-words.md`` and ``.json``. What was measured stays in ``--work`` and is used again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from measuring import ROOT, command_line, features, machine, rows_of, where
from numpy.typing import NDArray
from shapes_words import Named, World, measure, rendered

from vidsift.errors import VidsiftError
from vidsift.evaluation.claims import LEVEL, holm_corrected
from vidsift.evaluation.run_differences import RunDifference
from vidsift.shapes.library import write_library
from vidsift.training.grid import Grid, jobs_of, read_grid

OUTPUT = ROOT / "results" / "shapes-claims-words.md"
_SIDES_OF_INTERVAL = 2 * 1.96
_EXACT, _PICTURE = ("grounding",), ("grounding", "leaving_out", "picture")


class Number(NamedTuple):
    """A number of a row: which, and where it stands in what was measured."""

    row: str
    name: str
    place: tuple[str, ...]


class WordClaim(NamedTuple):
    """What a paper says, as one number that has to be above another.

    Attributes:
        say: in words.
        source: where it is said.
        more: the number that has to be larger.
        less: the other.
        beside: numbers that a reader should see with them.
    """

    say: str
    source: str
    more: Number
    less: Number
    beside: tuple[Number, ...] = ()


def _weight(row: str, role: str) -> Number:
    return Number(row, f"weight of {role} words, %", (*_EXACT, "weight", role))


_END = tuple(Number(row, "weight of the end of text, %", (*_EXACT, "end_weight")) for row in ("wti", "ti"))
_EFFECTIVE = {
    row: Number(row, "effective words of the score", (*_EXACT, "effective_words"))
    for row in ("pidro-dr", "pidro-base")
}
_ON_THINGS = {
    name: Number("prost", said, (*_PICTURE, name))
    for name, said in (
        ("pointing", "best place is on a thing that the sentence names, %"),
        ("chance", "places on them, %"),
        ("other_caption", "best place of another caption is on them, %"),
    )
}
CLAIMS = (
    WordClaim(
        "WTI weighs content words",
        "DRL section 3.2, Figure 8",
        _weight("wti", "content"),
        _weight("ti", "content"),
        _END,
    ),
    WordClaim(
        "WTI takes weight off function words",
        "DRL section 3.2, Figure 8",
        _weight("ti", "function"),
        _weight("wti", "function"),
    ),
    WordClaim(
        "Dynamic routing spreads information over words",
        "PIDRo section 3.3",
        _EFFECTIVE["pidro-dr"],
        _EFFECTIVE["pidro-base"],
    ),
    WordClaim(
        "ProST's objects lie on things",
        "ProST, object prototypes",
        _ON_THINGS["pointing"],
        _ON_THINGS["chance"],
    ),
    WordClaim(
        "ProST's objects lie on the things that a sentence names",
        "ProST, object prototypes",
        _ON_THINGS["pointing"],
        _ON_THINGS["other_caption"],
    ),
)
"""All that is tested, together."""

Runs = dict[tuple[int, int], Any]


def main() -> None:
    """Measure and write the results."""
    options = options_of()
    torch.set_num_threads(1)
    grid, work = read_grid(options.grid), options.work
    world = rendered(World("Shapes", work / f"shapes-{options.videos}", 8), write_library, options.videos)
    measured: dict[str, Runs] = {}
    for row, backbone, seed, place in kept_models(grid, options.runs or Path("runs") / grid.name):
        numbers = measure(Named(row, str(place)), world, work)
        measured.setdefault(row, {})[backbone, seed] = numbers
        print(f"{row}, backbone {backbone}, seed {seed}: {numbers['cpu_s']} s", flush=True)
    facts = {
        "command": command_line(__file__, "PYTHONPATH=src"),
        **machine(),
        "able": features(),
        "videos": options.videos,
        "claims": judged(measured, options.videos),
    }
    OUTPUT.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    OUTPUT.write_text(page(facts), encoding="utf-8")
    print(page(facts))


def options_of() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", type=Path, default=ROOT / "recipes" / "shapes" / "methods.yaml")
    parser.add_argument("--runs", type=Path, help="folder of the grid (runs/NAME)")
    parser.add_argument("--videos", type=int, default=160, help="of Shapes, a multiple of 4")
    parser.add_argument("--work", type=Path, default=Path("runs/shapes-claims-words"), help="what stays")
    return parser.parse_args()


def kept_models(grid: Grid, folder: Path) -> list[tuple[str, int, int, Path]]:
    """Row, backbone, seed and folder of each model that the grid keeps.

    Raises:
        ValueError: some are not there.
    """
    models = [
        (job.row, job.backbone or 0, job.seed, folder / job.place / "run")
        for job in jobs_of(grid)
        if job.keep_model
    ]
    absent = [str(place) for *_, place in models if not (place / "model.safetensors").is_file()]
    if absent:
        raise ValueError(
            f"{len(absent)} of {len(models)} kept models are not there, such as {absent[0]}: run "
            "vidsift ablate recipes/shapes/methods.yaml first, or name its folder by --runs"
        )
    return models


def judged(measured: dict[str, Runs], videos: int) -> list[dict[str, Any]]:
    """Test every claim, all corrected together.

    Args:
        measured: of each row what :func:`shapes_words.measure` gave for each backbone and seed.
        videos: over how many the intervals in it are.
    """
    differences = [_difference(measured, claim, videos) for claim in CLAIMS]
    p_values = holm_corrected([it.p_value for it in differences])
    return [
        {
            "claim": claim.say,
            "source": claim.source,
            "numbers": [
                {"row": it.row, "name": it.name, "runs": _values(measured, it).ravel().tolist()}
                for it in (claim.more, claim.less, *claim.beside)
            ],
            "difference": it.difference,
            "error": it.error,
            "error_of_runs": it.of_runs,
            "error_of_questions": it.of_questions,
            "degrees_of_freedom": it.freedom,
            "interval": list(it.interval(LEVEL / len(CLAIMS))),
            "p_value": it.p_value,
            "corrected_p_value": p_value,
            "verdict": _verdict(it.difference, p_value),
        }
        for claim, it, p_value in zip(CLAIMS, differences, p_values, strict=True)
    ]


def _verdict(difference: float, p_value: float) -> str:
    if p_value >= LEVEL:
        return "cannot be told"
    return "holds" if difference > 0 else "does not hold"


def _difference(measured: dict[str, Runs], claim: WordClaim, videos: int) -> RunDifference:
    difference_BS = _values(measured, claim.more) - _values(measured, claim.less)
    mean_B = difference_BS.mean(axis=1)
    of_runs = float(mean_B.var(ddof=1)) / len(mean_B)
    of_videos = sum(float((_errors(measured, it) ** 2).mean()) for it in (claim.more, claim.less))
    variance = of_runs + of_videos
    parts = of_runs**2 / (len(mean_B) - 1) + of_videos**2 / (videos - 1)
    freedom = variance**2 / parts if parts else float(videos - 1)
    return RunDifference(
        float(difference_BS.mean()),
        variance**0.5,
        freedom,
        difference_BS.size,
        of_runs**0.5,
        of_videos**0.5,
    )


def _values(measured: dict[str, Runs], number: Number) -> NDArray[np.float64]:
    return _by_backbone(measured[number.row], number, lambda it: it["value"])


def _errors(measured: dict[str, Runs], number: Number) -> NDArray[np.float64]:
    """Standard errors over videos, from the 95 % intervals."""
    return _by_backbone(
        measured[number.row], number, lambda it: (it["interval"][1] - it["interval"][0]) / _SIDES_OF_INTERVAL
    )


def _by_backbone(runs: Runs, number: Number, part: Any) -> NDArray[np.float64]:
    """A part of a number in every run, ``(B, S)``."""
    backbones = {backbone for backbone, _ in runs}
    values = []
    for run in sorted(runs):
        measured = runs[run]
        for key in number.place:
            measured = measured[key]
        values.append(part(measured))
    return np.array(values, np.float64).reshape(len(backbones), -1)


def page(facts: dict[str, Any]) -> str:
    """Write the page in Markdown."""
    lines = []
    for claim in facts["claims"]:
        more, less = (f"{it['row']}: {_mean(it['runs'])}" for it in claim["numbers"][:2])
        low, high = claim["interval"]
        lines.append(
            [
                claim["claim"],
                claim["source"],
                _names(claim["numbers"][:2]),
                more,
                less,
                f"{claim['difference']:+.1f} ± {claim['error']:.1f} [{low:+.1f}, {high:+.1f}]",
                f"**{claim['verdict']}**",
            ]
        )
    beside = [
        [it["row"], it["name"], _mean(it["runs"])] for claim in facts["claims"] for it in claim["numbers"][2:]
    ]
    runs = len(facts["claims"][0]["numbers"][0]["runs"])
    about = (
        f"{runs} runs of each row of recipes/shapes/methods.yaml, on {facts['videos']} test videos of Shapes "
        "(docs/grounding.md says what is measured). ± of a number is the standard deviation over runs, of a "
        "difference its standard error over backbones and videos; in brackets the interval that holds for "
        f"all {len(facts['claims'])} tests together. Verdicts are corrected by Holm's method at "
        f"{100 * LEVEL:.0f} %."
    )
    return "\n".join(
        [
            "# What words and objects of the claims' models see",
            "",
            f"`{facts['command']}`",
            f"on {where(facts)}; {', '.join(facts['able'])}.",
            "",
            about,
            "",
            *rows_of(["claim", "source", "number", "more", "less", "difference", "verdict"], lines, left=3),
            "",
            "Beside them:",
            "",
            *rows_of(["row", "number", "mean"], beside, left=2),
            "",
        ]
    )


def _names(numbers: Sequence[dict[str, Any]]) -> str:
    return " / ".join(dict.fromkeys(it["name"] for it in numbers))


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


if __name__ == "__main__":
    try:
        main()
    except (VidsiftError, ValueError, OSError) as problem:
        raise SystemExit(f"shapes_claims_words: {problem}") from None
