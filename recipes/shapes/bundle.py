"""Make a trained Shapes model the one that comes with the package, in half precision, with its numbers.

    python recipes/shapes/bundle.py runs/shapes-words

It is judged on the files of the test library, which are rendered once. Writes src/vidsift/assets/shapes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml
from report import recipe_of, start_of

import vidsift
from vidsift.data.folder import read_folder
from vidsift.evaluation.evaluate import evaluate_model
from vidsift.search.grounding_evaluation import evaluate_grounding
from vidsift.shapes.library import write_library

RECIPES = Path(__file__).parent
ASSETS = RECIPES.parents[1] / "src" / "vidsift" / "assets" / "shapes"
VIDEOS = 640
KNOWS = (
    "This demonstration model knows drawn shapes only (docs/shapes.md) and has never seen a photograph. "
    "For your own footage, make an index with another model, such as openai/clip-vit-base-patch32."
)


def main() -> None:
    """Judge and store."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("run", type=Path, help="A folder that vidsift train wrote.")
    options.add_argument(
        # Where benchmarks/shapes_words.py has it.
        "--library",
        type=Path,
        default=Path(f"runs/shapes-words/shapes-{VIDEOS}"),
        help="Rendered here.",
    )
    chosen = options.parse_args()
    if not (chosen.library / "captions.jsonl").is_file():
        write_library(chosen.library, "test", VIDEOS, seed=0, grounding=True)
    model = vidsift.load(chosen.run)
    evaluation = evaluate_model(model, read_folder(chosen.library), split="test", with_gallery=True)
    assert evaluation.gallery is not None
    words = evaluate_grounding(model, evaluation.gallery)
    measured = evaluation.report["text_to_video"]
    card = {
        "Knows": KNOWS,
        "Training": f"{', then '.join(training(chosen.run))}, seed {recipe_of(chosen.run)['seed']}",
        "Test split of Shapes, text to video": {
            name: round(value, 1) for name, value in measured.items() if name != "questions"
        },
        "Words, on the same videos (docs/grounding.md)": {
            name: round(words[name]["value"], 1)
            for name in ("pointing", "chance", "deletion", "effective_words")
        },
    }
    model.name = "shapes"
    model.save(ASSETS, dtype=torch.float16, card=card)
    print(card)


def training(run: Path) -> list[str]:
    """Say which recipes made a run, from fresh weights on, and with how many steps."""
    files = {
        yaml.safe_load(file.read_text(encoding="utf-8")).get("name"): file for file in RECIPES.glob("*.yaml")
    }
    recipe = recipe_of(run)
    step = f"{recipe['steps']} steps of `recipes/shapes/{files[recipe['name']].name}`"
    if recipe["model"]["start"] is None:
        return [step]
    return [*training(start_of(run, recipe)), step]


if __name__ == "__main__":
    main()
