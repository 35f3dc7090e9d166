"""Draw the pictures of docs/figures.md: train the models of recipes/shapes/figures.yaml, run its commands.

python docs/make_figures.py

What was made before in runs/figures is used again; from nothing it trains a backbone, towers and six models.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from PIL import Image

from vidsift.cli.main import main
from vidsift.data.folder import CAPTIONS_FILE
from vidsift.shapes.joined import write_joined_library
from vidsift.shapes.library import write_library

HERE = Path(__file__).parent
RUNS = Path("runs") / "figures"


def commands(page: str) -> list[list[str]]:
    """Return the commands of a page: indented lines that begin with vidsift, joined where they go on."""
    text = re.sub(r"\\\n\s+", "", page)
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("    vidsift ")]


def run(arguments: list[str]) -> None:
    """Run a command as a shell would, and go on only if it worked."""
    print("vidsift", shlex.join(arguments), flush=True)
    try:
        main(arguments)
    except SystemExit as ended:
        if ended.code:
            raise


def done_before(arguments: list[str]) -> bool:
    """Whether a run, or saved numbers, that a command makes are there."""
    if arguments[0] == "train":
        return (Path(arguments[arguments.index("--output") + 1]) / "model.safetensors").is_file()
    return "--save" in arguments and Path(arguments[arguments.index("--save") + 1]).is_dir()


def write_joined(folder: Path, videos: int = 60) -> None:
    """Write videos of one, two and four scenes into one library."""
    lines = []
    for scenes in (1, 2, 4):
        name = f"{scenes}-scenes"
        write_joined_library(folder / name, videos=videos, seed=scenes, scenes=scenes)
        for line in (folder / name / CAPTIONS_FILE).read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            lines.append(json.dumps(values | {"video": f"{name}/{values['video']}"}))
    (folder / CAPTIONS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def shrink(picture: Path) -> None:
    """Store a picture with 256 colours, rare ones among them: a third of its size."""
    with Image.open(picture) as full:
        small = full.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
    small.save(picture, optimize=True)


if __name__ == "__main__":
    if not (RUNS / "joined" / CAPTIONS_FILE).is_file():
        write_joined(RUNS / "joined")
    if not (RUNS / "library" / CAPTIONS_FILE).is_file():
        write_library(RUNS / "library", "test", 160)
    for command in commands((HERE / "figures.md").read_text(encoding="utf-8")):
        if not done_before(command):
            run(command)
    for drawn in (HERE / "figures").glob("*.png"):
        shrink(drawn)
