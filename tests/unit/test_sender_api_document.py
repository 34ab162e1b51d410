"""What the OpenAPI document promises of every route."""

import json
from typing import Any

import pytest

from sender.artefacts import PATH, build_openapi_page

DOCUMENT: dict[str, Any] = json.loads(build_openapi_page()[PATH])
ROUTES = {
    f"{verb.upper()} {path}": (path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for verb, operation in operations.items()
}


@pytest.mark.parametrize("label", ROUTES)
def test_the_token_is_asked_for_below_api_and_nowhere_else(label: str) -> None:
    path, operation = ROUTES[label]
    guarded = path.startswith("/api/")
    assert operation.get("security") == ([{"adminToken": []}] if guarded else None)
    assert ("401" in operation["responses"]) is (guarded or label.startswith("POST /webhooks/"))


@pytest.mark.parametrize("label", ROUTES)
def test_every_refusal_is_a_problem(label: str) -> None:
    _, operation = ROUTES[label]
    for status, answer in operation["responses"].items():
        if status.startswith("4"):
            assert answer["content"].keys() == {"application/problem+json"}, status


@pytest.mark.parametrize("label", ROUTES)
def test_every_route_says_what_it_is_for(label: str) -> None:
    _, operation = ROUTES[label]
    assert operation["description"]
    assert operation["tags"]


def test_operations_have_names_of_their_own_and_references_lead_somewhere() -> None:
    names = [operation["operationId"] for _, operation in ROUTES.values()]
    assert len(names) == len(set(names))
    text = json.dumps(DOCUMENT)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.split('"')[0] in DOCUMENT["components"]["schemas"]


def test_every_field_of_an_answer_is_always_there() -> None:
    for name in ("Sessions", "RetryQueue", "ErrorPatterns", "Rehearsal", "MessageState"):
        schema = DOCUMENT["components"]["schemas"][name]
        assert set(schema["required"]) == set(schema["properties"]), name
