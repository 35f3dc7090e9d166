"""``vidsift train``: follow a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from vidsift.cli.text import ComputeDevice
from vidsift.errors import ProcessEndedError, SeveralProcessesError

__all__ = ["train"]


def train(  # noqa: PLR0917 - the options of the verb
    recipe: Annotated[Path, typer.Argument(help="A recipe, e.g. recipes/shapes/wti.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes, e.g. optimiser.learning_rate=3e-4."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Of those that the recipe names below variants, e.g. b16.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run.", show_default="runs/NAME")
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume",
            help="Go on from the checkpoint in the folder (also with other rates, clipping or precision), or "
            "start anew.",
            show_default="go on where there is one of this recipe",
        ),
    ] = None,
    device: ComputeDevice = "auto",
    processes: Annotated[
        int, typer.Option(min=1, help="Processes of this machine that train together; each takes a GPU.")
    ] = 1,
) -> None:
    """Train a model by a recipe; run the same command again to go on after an interruption.

    The folder receives the model (config.json, model.safetensors, tokenizer, README.md), the whole recipe
    (recipe.yaml), the log (metrics.jsonl) and the last two checkpoints. With several processes each batch is
    divided among them; torchrun and srun start them too.
    """
    arguments = locals().copy()
    from vidsift.training.placement import RENDEZVOUS, placement
    from vidsift.training.stopping import StoppedEarly, starting_up

    if processes > 1 and RENDEZVOUS not in os.environ:
        if (started := placement().processes) > 1:
            raise SeveralProcessesError(
                f"--processes {processes} in one of {started} processes that a launcher started; leave it out"
            )
        _launch(arguments)
    placement()  # refuses what a launcher left out, before torch is imported
    with starting_up("training began"):
        from vidsift.training.recipe import read_recipe
        from vidsift.training.trainer import Trainer

        read = read_recipe(recipe, overrides or (), variant=variant)
        folder = Path("runs") / read.name if output is None else output
        try:
            Trainer(read, folder, device=device, resume=resume, say=typer.echo).run()
        except StoppedEarly as stopped:
            typer.echo(str(stopped), err=True)
            raise typer.Exit(stopped.status) from None


def _launch(arguments: dict[str, Any]) -> NoReturn:
    """Start the verb in several processes, and end as they do."""
    from vidsift.training.launch import launch
    from vidsift.training.recipe import read_recipe

    # What is wrong with it is said here, once.
    read_recipe(arguments["recipe"], arguments["overrides"] or (), variant=arguments["variant"])
    raise typer.Exit(launch(_train_with_others, arguments, arguments["processes"]))


def _train_with_others(**arguments: Any) -> NoReturn:
    """Be one of several processes."""
    from vidsift.cli.main import end_with
    from vidsift.training.launch import ENDED_WITH_ANOTHER

    def run() -> None:
        try:
            train(**arguments)
        except ProcessEndedError:
            # The one that ended first says why.
            raise typer.Exit(ENDED_WITH_ANOTHER) from None

    end_with(run)
