"""``vidsift convert``: other people's checkpoints become vidsift folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from vidsift.methods.model import Model
    from vidsift.methods.released import Release

__all__ = ["convert"]

# In words and not from PROJECTS, for which --help would import torch.
_FORMS = ("clip4clip", "drl", "xclip", "ts2net", "prost", "xpool", "clip2video", "openai")


_Source = Annotated[
    str,
    typer.Option(
        "--from",
        help=f"Whose form the checkpoint has: {', '.join(_FORMS)} (the last also for plain CLIP state "
        "dicts).",
    ),
]
_Vocabulary = Annotated[
    Path | None,
    typer.Option(help="CLIP's BPE vocabulary file, or a folder with tokenizer files; default: beside it."),
]
_Sampling = Annotated[
    str | None,
    typer.Option(
        help="Which seconds to look at: uniform (openai, xpool), one_fps_linspace (others) or head; as "
        "trained."
    ),
]
_Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="An argument of the method that the weights' shapes do not determine.",
    ),
]


def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The file with the weights.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")],
    source: _Source = "openai",
    vocabulary: _Vocabulary = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames to look at in a stretch of video; 12 for openai, else as trained."),
    ] = None,
    max_words: Annotated[
        int | None,
        typer.Option(min=3, help="Longest text in tokens, start and end included, as trained."),
    ] = None,
    sampling: _Sampling = None,
    corrected: Annotated[
        bool,
        typer.Option(
            "--corrected", help="Leave padding out of scores, where the released code lets it take part."
        ),
    ] = False,
    settings: _Settings = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Store the weights in half the space.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open a TorchScript archive that OpenAI did not publish.")
    ] = False,
) -> None:
    """Turn a released checkpoint into a vidsift folder."""
    _check(checkpoint, output, source)
    arguments = _read_settings(settings or [])
    if source == "openai" and (corrected or arguments):
        raise ValueError("--corrected and --set are for released models; a plain CLIP has nothing to set")

    import torch

    target = _Target(output.resolve().name, frames, max_words, _policy(sampling, source), vocabulary)
    form, release = "a CLIP checkpoint of OpenAI's form", None
    if source == "openai":
        model = _plain_clip(checkpoint, target, trust=trust)
    else:
        form = f"a checkpoint of {source}'s released code"
        model, release = _released(checkpoint, source, target, corrected=corrected, arguments=arguments)
    card = {"Converted from": f"`{checkpoint.name}`, {form}."}
    model.save(output, dtype=torch.float16 if fp16 else torch.float32, card=card)
    _report(model, release)
    typer.echo(f"Wrote {output}. Try: vidsift index FOLDER --model {output}")


class _Target(NamedTuple):
    """What is asked of the new model, whatever it is converted from."""

    name: str
    frames: int | None
    max_words: int | None
    sampling: Any
    vocabulary: Path | None


def _check(checkpoint: Path, output: Path, source: str) -> None:
    """Refuse what cannot be read or written, before anything heavy is loaded."""
    if source not in _FORMS:
        raise ValueError(f"--from is {source!r}, expected one of: {', '.join(_FORMS)}")
    if not checkpoint.is_file():
        raise ValueError(f"{checkpoint}: there is no such file; name the file that holds the weights")
    if output.is_dir():
        from vidsift.files.whole import remove_leftovers
        from vidsift.methods.folder import SAVING

        remove_leftovers(output, [SAVING])  # what a conversion left that was killed
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} exists and is not empty; name a new folder")


def _policy(sampling: str | None, source: str) -> str:
    """Which seconds the model looks at: those asked for, or those of the source's own scripts."""
    from vidsift.video.preprocessing import SAMPLING

    policy = sampling or ("uniform" if source in ("openai", "xpool") else "one_fps_linspace")
    if policy not in SAMPLING:
        raise ValueError(f"--sampling is {policy!r}, expected one of: {', '.join(SAMPLING)}")
    return policy


def _plain_clip(checkpoint: Path, target: _Target, *, trust: bool) -> Model:
    from vidsift.encoders.weights import load_clip
    from vidsift.methods.model import Model

    clip = load_clip(checkpoint, vocabulary=target.vocabulary, trust_torchscript=trust)
    return Model.create(
        "zero_shot",
        *clip,
        frames=target.frames or 12,
        sampling=target.sampling,
        max_words=target.max_words,
        name=target.name,
    )


def _released(
    checkpoint: Path, source: str, target: _Target, *, corrected: bool, arguments: dict[str, Any]
) -> tuple[Model, Release]:
    from vidsift.encoders.weights import read_state_dict, with_tokenizer
    from vidsift.methods.model import Model
    from vidsift.methods.released import read_release
    from vidsift.video.preprocessing import Preprocessing

    release = read_release(
        read_state_dict(checkpoint),
        source,
        str(checkpoint),
        frames=target.frames,
        max_words=target.max_words,
        corrected=corrected,
        arguments=arguments,
    )
    clip = with_tokenizer(release.method.towers, checkpoint, vocabulary=target.vocabulary)
    norm = clip.norm
    model = Model(
        release.method,
        clip.tokenizer,
        Preprocessing(release.frames, target.sampling, norm.size_px, norm.mean, norm.std),
        method_name=release.method_name,
        arguments=release.arguments,
        max_words=release.max_words,
        name=target.name,
    )
    return model, release


def _read_settings(settings: list[str]) -> dict[str, Any]:
    """Turn ``NAME=VALUE`` into arguments; what is not JSON is a word."""
    arguments: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise ValueError(f"--set {setting!r}: expected NAME=VALUE, for example --set interaction=ti")
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return arguments


def _report(model: Model, release: Release | None) -> None:
    """Say what came of the checkpoint."""
    towers = model.method.towers
    parameters = sum(value.numel() for value in model.method.parameters())
    typer.echo(f"Every weight found its place: {parameters:,} parameters, none missing, none left over.")
    typer.echo(
        f"Pictures of {towers.image_size_px} px in {towers.patches} patches, texts of at most "
        f"{towers.max_tokens} tokens, {towers.dim} channels."
    )
    if release is None:
        return
    values = ", ".join(f"{key}={_shown(value)}" for key, value in release.arguments.items())
    typer.echo(f"Method {release.method_name}: {values}")
    typer.echo(
        f"Read with {release.frames} frames ({model.preprocessing.sampling}), texts with at most "
        f"{release.max_words} tokens."
    )
    if release.assumed:
        values = ", ".join(f"{key}={_shown(value)}" for key, value in release.assumed.items())
        typer.echo(f"Not in the weights, taken from the released code (change with --set): {values}")
    for line in release.cut:
        typer.echo(f"Cut to the longest video: {line}")
    if release.dead:
        typer.echo(
            f"Ignored, as the released code never uses them ({len(release.dead)}): {', '.join(release.dead)}"
        )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
