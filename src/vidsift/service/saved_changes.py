"""What the routes for saved searches and for collections have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import fastapi

from vidsift.errors import IndexFolderError, MissingSavedError
from vidsift.index.manifest import MANIFEST
from vidsift.service.problems import ProblemError, Responses, error_message

if TYPE_CHECKING:
    from vidsift.service.service import Service

__all__ = ["CREATED", "DELETED", "SavedId", "changing_saved", "missing_is_a_problem", "moment_in_time"]

SavedId = Annotated[str, fastapi.Path(pattern="^[0-9a-f]{16}$", description="Its identity.")]

CREATED: Responses = {
    201: {
        "headers": {"Location": {"schema": {"type": "string"}, "description": "Where it can be asked for."}}
    }
}
DELETED: Responses = {204: {"description": "It is deleted."}}


@contextmanager
def changing_saved(service: Service) -> Iterator[None]:
    """Change what people saved; what is wrong becomes a problem.

    Raises:
        ProblemError: 403, the service only reads; 404, there is no such thing (any more); 409, nothing is
            indexed yet, the name is taken, there are too many, or it cannot be changed now.
    """
    if service.read_only:
        raise ProblemError(403, "this service only reads; nothing can be saved or deleted here")
    if not (service.live_index.folder / MANIFEST).is_file():
        raise ProblemError(409, "nothing has been indexed yet; add a folder of videos first")
    try:
        with missing_is_a_problem():
            yield
    except IndexFolderError as error:
        raise ProblemError(409, error_message(error)) from error
    except ValueError as error:
        raise ProblemError(409, str(error)) from error


@contextmanager
def missing_is_a_problem() -> Iterator[None]:
    """Answer 404 where there is no such thing (any more)."""
    try:
        yield
    except MissingSavedError as error:
        raise ProblemError(404, str(error)) from error


def moment_in_time(seconds: float) -> datetime:
    """Seconds since 1970 as JSON gives them."""
    return datetime.fromtimestamp(seconds, UTC)
