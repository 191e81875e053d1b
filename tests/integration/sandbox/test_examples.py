"""Every example of the description: what Customer.io shows as right, the sandbox takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.description import Description
from tests.support.sandbox_api import Api

VALUES = {
    "{identifier}": "42",
    "{device_id}": "token-1",
    "{segment_id}": "7",
    "{form_id}": "signup",
    "{delivery_id}": "RPILAgUBcRhIBqSfeiIwdIYJKxTY",
}
#: Complete only together with their surroundings, which the example leaves out.
COMPLETED: dict[str, dict[str, Any]] = {"Person: Merge": {"type": "person", "action": "merge"}}
#: Examples at odds with their own schema: a form by a numeric id, a known person's screen without an anonymous_id.
AT_ODDS = {
    ("/api/v1/forms/signup/submit", "identify by id"),
    ("/api/v1/customers/42/events", "Mobile screen view"),
}


class Example(NamedTuple):
    title: str
    method: str
    path: str
    document: Any


def examples(description: Description) -> Iterator[Example]:
    for method, template, operation in description.operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        path = template
        for name, value in VALUES.items():
            path = path.replace(name, value)
        if "example" in content:
            yield Example(f"{method} {template}", method, path, content["example"])
        for title, document in schema_examples(description.resolved(content["schema"])):
            yield Example(
                title or f"{method} {template}", method, path, document | COMPLETED.get(title, {})
            )


def schema_examples(schema: Any) -> Iterator[tuple[str, Any]]:
    """The examples of whole operations: of the schema itself and of its branches, not of single fields."""
    if "example" in schema:
        yield schema.get("title", ""), schema["example"]
    for branch in schema.get("anyOf", ()):
        yield from schema_examples(branch)
    properties = schema.get("properties", {})
    if "data" in properties:
        yield from (
            (title, {"data": document}) for title, document in schema_examples(properties["data"])
        )


def test_every_example_of_the_description_is_taken(api: Api, description: Description) -> None:
    found = list(examples(description))
    assert len(found) > 25, [example.title for example in found]
    for example in found:
        answer = api.call(example.method, example.path, example.document)
        assert answer.status in (200, 204), (example, answer)
    assert not [request for request in api.client.requests() if request["status"] not in (200, 204)]


def test_every_example_of_the_description_satisfies_the_validator(description: Description) -> None:
    for example in examples(description):
        violations = description.violations(example.method, example.path, "", example.document)
        assert bool(violations) == ((example.path, example.title) in AT_ODDS), (example, violations)


@pytest.mark.parametrize("spoil", ["type", "action", "identifiers"])
def test_an_example_spoiled_is_refused_by_both(
    api: Api, description: Description, spoil: str
) -> None:
    for example in examples(description):
        if example.path != "/api/v2/entity" or example.title in COMPLETED:
            continue
        document = {
            **example.document,
            spoil: {"nickname": "x"} if spoil == "identifiers" else "nonsense",
        }
        assert description.violations("POST", example.path, "", document), document
        assert api.entity(**document).status == 400, document


def test_the_sandbox_has_every_operation_of_the_description(
    api: Api, description: Description
) -> None:
    for method, template, _ in description.operations():
        path = template
        for name, value in VALUES.items():
            path = path.replace(name, value)
        assert api.call(method, path, {}).status in (200, 204, 400), (method, template)
    assert len(list(description.operations())) == 18
