"""Saved searches over HTTP: questions under a name, kept in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from pydantic import ValidationError

from vidsift.index.saved_searches import SavedSearches
from vidsift.service.problems import ProblemError, problem_responses
from vidsift.service.saved_changes import (
    CREATED,
    DELETED,
    SavedId,
    changing_saved,
    missing_is_a_problem,
    moment_in_time,
)
from vidsift.service.schemas_saved import (
    NameRequest,
    SavedQuestion,
    SavedSearch,
    SavedSearchesResponse,
    SaveSearchRequest,
)
from vidsift.service.service import CurrentService

if TYPE_CHECKING:
    from vidsift.index.saved_searches import NamedSearch

__all__ = ["router"]

router = APIRouter(tags=["saved"])


@router.get(
    "/v1/saved-searches",
    operation_id="list_saved_searches",
    summary="Saved searches",
    responses=problem_responses(),
)
def list_saved_searches(service: CurrentService) -> SavedSearchesResponse:
    """List the saved searches of the index, newest first."""
    saved = SavedSearches(service.live_index.folder).read()
    return SavedSearchesResponse(data=[_shown(search) for search in reversed(saved)])


@router.post(
    "/v1/saved-searches",
    operation_id="save_search",
    summary="Save a search",
    status_code=201,
    responses=problem_responses(409, 413, also=CREATED),
)
def save_search(service: CurrentService, body: SaveSearchRequest, response: Response) -> SavedSearch:
    """Keep a question in the index under a name, as it was set; nothing is asked."""
    question = body.question.model_dump(mode="json", exclude_defaults=True)
    with changing_saved(service):
        saved = SavedSearches(service.live_index.folder).add(body.name, question)
    response.headers["location"] = f"/v1/saved-searches/{saved.entry_id}"
    return _shown(saved)


@router.get(
    "/v1/saved-searches/{search_id}",
    operation_id="get_saved_search",
    summary="One saved search",
    responses=problem_responses(404),
)
def get_saved_search(service: CurrentService, search_id: SavedId) -> SavedSearch:
    """Return a saved search."""
    with missing_is_a_problem():
        return _shown(SavedSearches(service.live_index.folder).find(search_id))


@router.patch(
    "/v1/saved-searches/{search_id}",
    operation_id="rename_saved_search",
    summary="Rename a saved search",
    responses=problem_responses(404, 409, 413),
)
def rename_saved_search(service: CurrentService, search_id: SavedId, body: NameRequest) -> SavedSearch:
    """Give a saved search another name."""
    with changing_saved(service):
        return _shown(SavedSearches(service.live_index.folder).rename(search_id, body.name))


@router.delete(
    "/v1/saved-searches/{search_id}",
    operation_id="delete_saved_search",
    summary="Delete a saved search",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 409, also=DELETED),
)
def delete_saved_search(service: CurrentService, search_id: SavedId) -> None:
    """Delete a saved search; nothing else changes."""
    with changing_saved(service):
        SavedSearches(service.live_index.folder).remove(search_id)


def _shown(search: NamedSearch) -> SavedSearch:
    try:
        question = SavedQuestion.model_validate(search.question)
    except ValidationError as error:
        raise ProblemError(
            503,
            f"the saved search {search.name!r} holds what this version cannot ask; use the vidsift that "
            "saved it, or delete it there",
        ) from error
    return SavedSearch(
        search_id=search.entry_id,
        name=search.name,
        question=question,
        created=moment_in_time(search.created_seconds),
    )
