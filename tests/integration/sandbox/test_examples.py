"""The sandbox and the description agree on good requests: our own, and Customer.io's examples."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support.description import Description, description, original_document
from tests.support.request_examples import (
    AT_ODDS,
    COMPLETED,
    ENTITY,
    EXAMPLES,
    Example,
    original_examples,
    path_of,
)
from tests.support.sandbox_api import Api
from tests.support.skips import NO_ORIGINAL


@pytest.fixture(params=["ours", "Customer.io's"])
def examples(request: pytest.FixtureRequest) -> Iterable[Example]:
    """Good requests."""
    if request.param == "ours":
        return EXAMPLES
    document = original_document()
    if document is None:
        pytest.skip(NO_ORIGINAL)
    found = list(original_examples(Description(document)))
    assert len(found) > 25, [example.title for example in found]
    return found


def test_every_example_is_taken(api: Api, examples: Iterable[Example]) -> None:
    for example in examples:
        answer = api.call(example.method, example.path, example.document)
        assert answer.status in (200, 204), (example, answer)
    assert not [request for request in api.client.requests() if request["status"] not in (200, 204)]


def test_every_example_satisfies_the_description(examples: Iterable[Example]) -> None:
    for example in examples:
        violations = description().violations(example.method, example.path, "", example.document)
        assert bool(violations) == ((example.path, example.title) in AT_ODDS), (example, violations)


@pytest.mark.parametrize("spoil", ["type", "action", "identifiers"])
def test_an_example_spoiled_is_refused_by_both(
    api: Api, examples: Iterable[Example], spoil: str
) -> None:
    for example in examples:
        if example.path != ENTITY or example.title in COMPLETED or "primary" in example.document:
            continue
        document = {
            **example.document,
            spoil: {"nickname": "x"} if spoil == "identifiers" else "nonsense",
        }
        assert description().violations("POST", example.path, "", document), document
        assert api.entity(**document).status == 400, document


def test_the_sandbox_has_every_operation_of_the_description(api: Api) -> None:
    operations = list(description().operations())
    for method, template, _ in operations:
        assert api.call(method, path_of(template), {}).status in (200, 204, 400), (method, template)
    assert len(operations) == 18


def test_there_is_an_example_of_every_request_that_has_a_body() -> None:
    shown = {(example.method, example.path) for example in EXAMPLES}
    described = {
        (method, path_of(template))
        for method, template, operation in description().operations()
        if "requestBody" in operation
    }
    assert shown == described
