"""Requests made up from the OpenAPI document, valid ones and broken ones, and what every answer has to be."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import requests
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
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


def fuzz(client: TestClient, known: dict[str, str], examples: int, *, fixed: bool = False) -> Counter[int]:
    """Ask every operation so many valid and so many broken requests; return how often each status came.

    Args:
        client: of a running application.
        known: identities that exist, by the name of their field; half of the requests use them.
        examples: of each kind for each operation.
        fixed: the same requests every time.

    Raises:
        AssertionError: an answer is none of those that the document promises, or a fault of ours.
    """
    document = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        about = document["paths"][operation.path][operation.method.lower()]
        breakable = "parameters" in about or "requestBody" in about
        for mode in (
            (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if breakable else (GenerationMode.POSITIVE,)
        ):

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=fixed,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                phases=[Phase.explicit, Phase.generate],  # the first failure is told as it is
            )
            @given(case=operation.as_strategy(mode), real=st.booleans())
            def ask(case: Case[Any], real: bool) -> None:
                if real:
                    _use(case, known)
                answer = _answer(client, case)
                if answer is not None:
                    statuses[answer.status_code] += 1
                    assert answer.status_code < 500, f"{case.method} {case.path}: {answer.text}"
                    case.validate_response(answer, checks=CHECKS)

            # Where nothing of a request can be broken there is nothing to ask.
            with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
                ask()
    return statuses


def _use(case: Case[Any], known: dict[str, str]) -> None:
    for name in set(case.path_parameters or {}) & set(known):
        case.path_parameters[name] = known[name]
    if isinstance(case.body, dict):
        for name in set(case.body) & set(known):
            case.body[name] = known[name]


def _answer(client: TestClient, case: Case[Any]) -> Any:
    """Send a request as a browser's library would; None for one that no library would send."""
    try:
        ready = requests.Request(**case.as_transport_kwargs(base_url=HERE)).prepare()
        assert ready.url is not None
        headers = [(_bytes(name), _bytes(value)) for name, value in ready.headers.items()]
        headers = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        body: Any = ready.body
        return client.request(ready.method or "GET", ready.url, headers=headers, content=body)
    except (requests.RequestException, UnicodeError):
        return None
    except Exception as refused:
        # httpx's or httpx2's: the test client of older releases of starlette speaks through the former.
        if type(refused).__name__ == "InvalidURL":
            return None
        raise


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
