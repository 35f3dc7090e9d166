"""What the recipe beside a model says of how it is evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from vidsift.data.source import DataSource
    from vidsift.evaluation.ranks import VideoToText

__all__ = ["EvaluationDefaults", "evaluation_defaults"]


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

    file = Path(model) / "recipe.yaml"
    if not file.is_file():
        return EvaluationDefaults(None, "closest_caption", {})
    values: dict[str, Any] = read_values(file)
    section = validated(EvaluationSection, values.get("evaluation") or {}, f"{file}: evaluation")
    trained_on = (values.get("data") or {}).get("source")
    seeds = {"training": values["seed"]} if isinstance(values.get("seed"), int) else {}
    return EvaluationDefaults(
        section.split if trained_on == source.source else None, section.video_to_text, seeds
    )
