"""Draw the pictures of docs/figures.md: train the models of recipes/shapes/figures.yaml, run its commands.

python docs/make_figures.py

What was made before in runs/figures is used again; from nothing half an hour on two cores.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from vidsift.cli.main import main
from vidsift.data.folder import CAPTIONS_FILE
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


if __name__ == "__main__":
    if not (RUNS / "library" / CAPTIONS_FILE).is_file():
        write_library(RUNS / "library", "test", 160)
    for command in commands((HERE / "figures.md").read_text(encoding="utf-8")):
        if not done_before(command):
            run(command)
