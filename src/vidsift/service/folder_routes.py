"""Folders of the machine over HTTP, where the service runs for the person who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from vidsift.service.folder_choice import list_folders, starting_places
from vidsift.service.job_routes import full_path
from vidsift.service.problems import ProblemError, problem_responses
from vidsift.service.schemas_library import FoldersResponse
from vidsift.service.service import CurrentService

__all__ = ["router"]

router = APIRouter(tags=["library"])


@router.get(
    "/v1/folders",
    operation_id="list_folders",
    summary="Folders of the machine",
    responses=problem_responses(403),
)
def folders(
    service: CurrentService,
    path: Annotated[
        str | None, Query(min_length=1, max_length=4096, description="Full path; where to begin without it.")
    ] = None,
) -> FoldersResponse:
    """List the folders in a folder, to choose one to add; no files, and nothing of what they hold."""
    if not service.folder_chooser:
        raise ProblemError(
            403, "this service does not show the folders of its machine; type the full path of a folder"
        )
    places = starting_places()
    folder = full_path(path) if path is not None else places[0] if places else "/"
    try:
        listed = list_folders(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ProblemError(422, f"{folder!r} cannot be looked into ({reason}); choose another") from None
    return FoldersResponse(**listed._asdict(), places=places)
