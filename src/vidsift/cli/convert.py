"""``vidsift convert``: other people's checkpoints become vidsift folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["convert"]

_FORMS = ("openai",)


def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The file with the weights.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")],
    source: Annotated[
        str,
        typer.Option("--from", help="Whose form the checkpoint has: openai (also plain CLIP state dicts)."),
    ] = "openai",
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            help="CLIP's BPE vocabulary file, or a folder with tokenizer files; default: beside it."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames to look at in a stretch of video.")] = 12,
    fp16: Annotated[bool, typer.Option("--fp16", help="Store the weights in half the space.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open a TorchScript archive that OpenAI did not publish.")
    ] = False,
) -> None:
    """Turn a released checkpoint into a vidsift folder."""
    if source not in _FORMS:
        raise ValueError(f"--from is {source!r}, expected one of: {', '.join(_FORMS)}")
    if not checkpoint.is_file():
        raise ValueError(f"{checkpoint}: there is no such file; name the file that holds the weights")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} exists and is not empty; name a new folder")

    import torch

    from vidsift.encoders.weights import load_clip
    from vidsift.methods.model import Model

    clip = load_clip(checkpoint, vocabulary=vocabulary, trust_torchscript=trust)
    model = Model.create("zero_shot", *clip, frames=frames, name=output.resolve().name)
    card = {"Converted from": f"`{checkpoint.name}`, a CLIP checkpoint of OpenAI's form."}
    model.save(output, dtype=torch.float16 if fp16 else torch.float32, card=card)

    towers = model.method.towers
    parameters = sum(value.numel() for value in model.method.parameters())
    typer.echo(f"Every weight found its place: {parameters:,} parameters, none missing, none left over.")
    typer.echo(
        f"Pictures of {towers.image_size_px} px in {towers.patches} patches, texts of at most "
        f"{towers.max_tokens} tokens, {towers.dim} channels."
    )
    typer.echo(f"Wrote {output}. Try: vidsift index FOLDER --model {output}")
