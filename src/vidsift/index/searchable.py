"""Which models an index can be searched with: one too dear to scan needs a first stage for its candidates."""

from __future__ import annotations

from collections.abc import Mapping

from vidsift.errors import NotSearchableError
from vidsift.index.schema import SetLayout
from vidsift.methods.base import FirstStage, Method
from vidsift.methods.model import Model

__all__ = ["check_searchable", "first_stage_of"]


def first_stage_of(method: Method) -> FirstStage:
    """What finds candidates for a method that is too dear to scan.

    Raises:
        NotSearchableError: if the method declares nothing.
    """
    if method.first_stage is not None:
        return method.first_stage
    name, dear = type(method).__name__, next(term for term in method.terms if not term.interaction.scans)
    raise NotSearchableError(
        f"{name} cannot be searched with: its term {dear.name} ({type(dear.interaction).__name__}) is "
        "too dear to score every segment, and it declares no first stage; give Method.__init__ "
        'one, for example first_stage=[Term("sentence", "frame", MeanDot())], or use the method for '
        "evaluation alone"
    )


def check_searchable(model: Model, sets: Mapping[str, SetLayout]) -> None:
    """Refuse a model that no index of such sets could be searched with.

    Raises:
        NotSearchableError: the method cannot scan and declares no first stage, or one whose sets cannot meet.
    """
    if model.method.scans:
        return
    stage = first_stage_of(model.method)
    text = stage.adapt_text(model.encode_text(["video"]))
    for term in stage.terms:
        words, frames = text[term.text].tokens.shape[2], sets[term.video].dim
        if words != frames:
            raise NotSearchableError(
                f"{model.name} cannot be searched with: its first stage {term.name} compares texts of "
                f"{words} channels with videos of {frames}; project both to one width, or declare a first "
                "stage over other sets"
            )
