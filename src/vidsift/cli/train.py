"""``vidsift train``: follow a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for a GPU where there is one.")] = "auto",
) -> None:
    """Train a model by a recipe; run the same command again to go on after an interruption.

    The folder receives the model (config.json, model.safetensors, tokenizer, README.md), the whole recipe
    (recipe.yaml), the log (metrics.jsonl) and the last two checkpoints.
    """
    from vidsift.training.run_lock import refuse_several_processes
    from vidsift.training.stopping import StoppedEarly, starting_up

    refuse_several_processes()
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
