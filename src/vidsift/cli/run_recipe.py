"""What the recipe beside a model says of how it is evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidsift.data.entries import Entry
    from vidsift.data.source import DataSource
    from vidsift.evaluation.ranks import VideoToText

__all__ = ["EvaluationDefaults", "evaluation_defaults", "videos_trained_on"]

_RECIPE = "recipe.yaml"


class EvaluationDefaults(NamedTuple):
    """What an evaluation does where its command line says nothing.

    Attributes:
        split: None where the data have to say it.
        video_to_text: protocol of videos with several captions.
        seeds: of the run that the model comes from.
    """

    split: str | None
    video_to_text: VideoToText
    seeds: dict[str, int]


def evaluation_defaults(model: str, source: DataSource) -> EvaluationDefaults:
    """Read the ``evaluation`` section of ``recipe.yaml`` in a model's folder.

    The split counts for the data set that the recipe trains on alone; the protocol for every one, as it is
    that of the method's published numbers.

    Raises:
        RecipeError: the recipe cannot be read, or the section is wrong.
    """
    from vidsift.training.recipe import EvaluationSection, validated
    from vidsift.training.yaml_files import read_values

    folder = Path(model)
    # Of a run's other weights, in its folder "best" or "last", the recipe stands above.
    places = [folder, *([folder.parent] if folder.name in ("best", "last") else [])]
    file = next((place / _RECIPE for place in places if (place / _RECIPE).is_file()), None)
    if file is None:
        return EvaluationDefaults(None, "closest_caption", {})
    values: dict[str, Any] = read_values(file)
    section = validated(EvaluationSection, values.get("evaluation") or {}, f"{file}: evaluation")
    trained_on = (values.get("data") or {}).get("source")
    seeds = {"training": values["seed"]} if isinstance(values.get("seed"), int) else {}
    return EvaluationDefaults(
        section.split if trained_on == source.source else None, section.video_to_text, seeds
    )


def videos_trained_on(model: str, source: DataSource, entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Count how many of the videos the recipe beside a model trained on.

    Args:
        model: its folder, or the name of one that has no recipe.
        source: the data set that the videos are of.
        entries: the videos.

    Returns:
        ``split``, the split that was trained on, ``videos``, how many files are of it too, and ``of``, how
        many there are. None where it is none, or where nobody can say: the recipe trains on another
        data set, or the annotations of its split are not there.
    """
    from vidsift.data.catalog import check_data
    from vidsift.data.summary import count_shared
    from vidsift.training.yaml_files import read_values

    file = Path(model) / "recipe.yaml"
    data = read_values(file).get("data") if file.is_file() else None
    if not isinstance(data, dict) or data.get("source") != source.source:
        return None
    try:
        split = check_data(data).training_split
        trained = source.entries(split)
    except ValueError:  # annotations of it are not there, or the recipe is of another version
        return None
    videos = count_shared(trained, entries)
    return {"split": split, "videos": videos, "of": count_shared(entries, entries)} if videos else None
