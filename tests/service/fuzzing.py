"""Requests made up from the OpenAPI document, valid ones and broken ones, and what every answer has to be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import requests
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.service.serving import HERE

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def fuzz(client: TestClient, known: dict[str, str], examples: int) -> Counter[int]:
    """Ask every operation so many valid and so many broken requests; return how often each status came.

    Args:
        client: of a running application.
        known: identities that exist, by the name of their field; half of the requests use them.
        examples: of each kind for each operation.

    Raises:
        AssertionError: an answer is none of those that the document promises, or a fault of ours.
    """
    document = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=False,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            )
            @given(case=operation.as_strategy(mode), real=st.booleans())
            def ask(case: Case, real: bool) -> None:
                if real:
                    _use(case, known)
                answer = _answer(client, case)
                if answer is not None:
                    statuses[answer.status_code] += 1
                    assert answer.status_code < 500, f"{case.method} {case.path}: {answer.text}"
                    case.validate_response(answer, checks=CHECKS)

            try:
                ask()
            except schemathesis.errors.InvalidSchema:
                raise
            except Exception as error:
                if _nothing_to_break(error):
                    continue
                raise
    return statuses


def _use(case: Case, known: dict[str, str]) -> None:
    for name in set(case.path_parameters or {}) & set(known):
        case.path_parameters[name] = known[name]
    if isinstance(case.body, dict):
        for name in set(case.body) & set(known):
            case.body[name] = known[name]


def _answer(client: TestClient, case: Case) -> Any:
    """Send a request as a browser's library would; None for one that no library would send."""
    try:
        ready = requests.Request(**case.as_transport_kwargs(base_url=HERE)).prepare()
        assert ready.url is not None
        headers = {
            (name if isinstance(name, str) else name.decode()): value for name, value in ready.headers.items()
        }
        headers.pop("Content-Length", None)
        return client.request(ready.method or "GET", ready.url, headers=headers, content=ready.body)
    except (requests.RequestException, UnicodeError):
        return None


def _nothing_to_break(error: Exception) -> bool:
    """Whether an operation has no part that could be broken."""
    return type(error).__name__ in ("SkipTest", "Skipped", "Unsatisfiable", "NoExamples")
