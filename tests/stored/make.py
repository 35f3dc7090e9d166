"""Write what this version of vidsift leaves on disk into a folder of its own; see the README beside it."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from tests.methods import tiny
from tests.training import small
from tests.video.making import Recipe as Clip
from tests.video.making import make

import vidsift
from vidsift.index.build import build_index
from vidsift.index.storage import Store
from vidsift.search.searcher import Index
from vidsift.training.recipe import read_recipe
from vidsift.training.trainer import StoppedEarly, Trainer, train

QUERY = "a red circle moves left"
VIDEOS = Path("/videos")
CHANGES: dict[str, Any] = {
    "model": {
        **small.RECIPE["model"],
        "arguments": {"interaction": "wti", "temporal": "none", "cdcr": "auto", "cdcr_lambda": 0.01},
    },
    "validation": {"every_steps": 100, "videos": 8},
    "card": {"Knows": "nothing; stored for the tests"},
}


def main() -> None:
    version = ".".join(vidsift.__version__.split(".")[:2])
    home = Path(__file__).parent / f"v{version}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    expected = write_index(home) | write_run(home)
    (home / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


def write_index(home: Path) -> dict[str, Any]:
    """A model folder, and an index of a few clips, a broken file, a text beside them, tags and captions."""
    model = tiny.model()
    model.name, model.card = "stored", {"Knows": "nothing; stored for the tests"}
    model.save(home / "model")
    VIDEOS.mkdir()
    try:
        for number, name in enumerate(("one", "it's été", "two minutes", "long")):
            make(VIDEOS, Clip(frames=12 * (number + 1), fps=12, gop=12), name)
        shutil.copy(VIDEOS / "one.mp4", VIDEOS / "copy of one.mp4")
        (VIDEOS / "broken.mp4").write_bytes(b"not a video at all")
        (VIDEOS / "captions.jsonl").write_text(
            json.dumps({"video": "one.mp4", "captions": ["a circle", "two triangles"]}) + "\n", "utf-8"
        )
        build_index([VIDEOS], home / "index", model, segment=1.0, workers=1, device="cpu")
    finally:
        shutil.rmtree(VIDEOS)
    store = Store.open(home / "index")
    tagged = store.read_files()[str(VIDEOS / "one.mp4")].video_id
    store.set_tags(str(tagged), ["old friend"])
    index = Index.open(home / "index", home / "model", device="cpu")
    hits = index.search(QUERY, k=5)
    loaded = vidsift.load(home / "model", device="cpu")
    pixels, times = tiny.videos([5, 4, 2], seed=3)
    sim_QV = loaded.similarity(loaded.encode_text(list(tiny.CAPTIONS)), loaded.encode_frames(pixels, times))
    return {
        "query": QUERY,
        "files": sorted(store.read_files()),
        "segments": len(index),
        "hits": [
            [hit.path, hit.segment.start_seconds, hit.segment.end_seconds, round(hit.score, 5)]
            for hit in hits
        ],
        "confidence": [round(hit.confidence, 4) for hit in hits if hit.confidence is not None],
        "fingerprint": loaded.fingerprint,
        "captions": list(tiny.CAPTIONS),
        "similarity": [[round(value, 5) for value in row] for row in sim_QV.tolist()],
    }


def write_run(home: Path) -> dict[str, Any]:
    """A run of 8 steps, stopped after 4, and the losses of the same run when nothing stopped it."""
    work = home / "work"
    work.mkdir()
    recipe = small.write(work, **CHANGES)
    train(recipe, output=work / "whole", device="cpu", say=small.silent)
    losses = small.losses(work / "whole")
    steps = iter(range(100))
    with suppress(StoppedEarly):
        Trainer(
            read_recipe(recipe),
            home / "run",
            device="cpu",
            say=small.silent,
            should_stop=lambda: next(steps) == 3,
        ).run()
    shutil.rmtree(work)
    written = small.RECIPE | CHANGES
    (home / "recipe.yaml").write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
    shutil.copy(Path(__file__).parents[2] / "recipes" / "shapes" / "wti.yaml", home / "wti.yaml")
    shutil.copy(Path(__file__).parents[2] / "recipes" / "shapes" / "methods.yaml", home / "methods.yaml")
    return {"losses": losses}


if __name__ == "__main__":
    main()
