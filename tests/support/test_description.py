"""The validator finds what the description forbids, and its facts are those of the document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.description import description, original_document
from tests.support.description_facts import FACTS, reduce, write
from tests.support.skips import NO_ORIGINAL

ULID = "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"


def entity(**operation: Any) -> list[str]:
    return description().violations("POST", "/api/v2/entity", "", operation)


def test_a_plain_identify_is_fine_though_the_branches_overlap() -> None:
    assert not entity(
        type="person", action="identify", identifiers={"id": "42"}, attributes={"a": 1}
    )


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"type": "person", "action": "identify", "identifiers": {"id": "1", "email": "a@b.c"}},
            "exactly one",
        ),
        (
            {"type": "person", "action": "identify", "identifiers": {"anonymous_id": "a"}},
            "exactly one",
        ),
        ({"type": "person", "action": "identify", "identifiers": {"id": 42}}, "'string'"),
        ({"type": "person", "action": "enlighten", "identifiers": {"id": "1"}}, "enlighten"),
        ({"type": "person", "action": "event", "identifiers": {"id": "1"}}, "name"),
        (
            {
                "type": "person",
                "action": "event",
                "identifiers": {"id": "1"},
                "name": "a",
                "id": "no",
            },
            "ULID",
        ),
        (
            {
                "type": "person",
                "action": "event",
                "identifiers": {"id": "1"},
                "name": "a",
                "timestamp": "now",
            },
            "now",
        ),
        (
            {
                "type": "person",
                "action": "merge",
                "primary": {"id": "1"},
                "secondary": {"phone": "+1"},
            },
            "secondary",
        ),
        (
            {
                "type": "object",
                "action": "identify",
                "identifiers": {"object_type_id": 1, "object_id": "a"},
            },
            "string",
        ),
        (
            {
                "type": "object",
                "action": "add_relationships",
                "identifiers": {"object_type_id": "1", "object_id": "a"},
                "cio_relationships": [{"identifiers": {"nickname": "x"}}],
            },
            "cio_relationships[0]",
        ),
        (
            {"type": "delivery", "action": "event", "identifiers": {"id": "x"}, "name": "opened"},
            "attributes",
        ),
    ],
)
def test_a_bad_operation_is_found(operation: dict[str, Any], message: str) -> None:
    found = entity(**operation)
    assert any(message in each for each in found), found


def test_the_error_named_is_that_of_the_branch_that_was_meant() -> None:
    event = {
        "type": "person",
        "action": "event",
        "identifiers": {"id": "1"},
        "name": "a",
        "id": ULID[:-1],
    }
    assert description().violations("POST", "/api/v2/batch", "", {"batch": [event]}) == [
        f"$.batch[0].id: '{ULID[:-1]}' is not a 'ULID'"
    ]


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/api/v2/nothing", "", {}),
        ("GET", "/api/v2/batch", "", None),
        ("PUT", "/api/v1/customers/a@b.c", "", {}),
        ("PUT", "/api/v1/customers/a+b", "", {}),
        ("PUT", "/api/v1/customers/%2E%2E", "", {}),
        ("PUT", "/api/v1/customers/", "", {}),
        ("POST", "/api/v1/segments/x/add_customers", "", {"ids": ["1"]}),
        ("POST", "/api/v1/segments/1/add_customers", "id_type=phone", {"ids": ["1"]}),
        ("POST", "/api/v1/segments/1/add_customers", "who=1", {"ids": ["1"]}),
        ("POST", "/api/v1/segments/1/add_customers", "", {"ids": []}),
        ("POST", "/api/v1/customers/1/suppress", "", {"why": "asked"}),
        ("POST", "/api/v2/batch", "", b"{"),
        ("POST", "/api/v2/batch", "", b'{"batch": []' + b" " * 500_000 + b"}"),
        ("POST", "/api/v1/events", "", {"name": "a", "timestamp": 1_700_000_000_000}),
    ],
)
def test_a_bad_request_is_found(method: str, path: str, query: str, body: object) -> None:
    assert description().violations(method, path, query, body)


def test_a_body_must_be_sent_as_json() -> None:
    assert description().violations(
        "POST", "/unsubscribe/abc", "", b'{"unsubscribe": true}', content_type="text/plain"
    )


@pytest.mark.parametrize("identifier", ["42", "a%40b.c", "cio_a3000001", "a%2Fb", "x~y.z-1_2"])
def test_an_encoded_identifier_is_fine(identifier: str) -> None:
    assert not description().violations(
        "PUT", f"/api/v1/customers/{identifier}", "", {"plan": "pro"}
    )


def test_the_facts_are_those_of_the_original() -> None:
    document = original_document()
    if document is None:
        pytest.skip(NO_ORIGINAL)
    assert write(reduce(document)) == FACTS.read_text("utf-8")


def test_the_facts_hold_no_prose() -> None:
    assert not {"description", "example", "summary", "title"} & keywords(
        json.loads(FACTS.read_text("utf-8"))
    )


def keywords(node: Any) -> set[str]:
    """Return the names in a document that are keywords of schemas, not names of properties."""
    if isinstance(node, list):
        return {name for each in node for name in keywords(each)}
    if not isinstance(node, dict):
        return set()
    found = set(node)
    for name, value in node.items():
        below = value.values() if name == "properties" else [value]
        found |= {inner for each in below for inner in keywords(each)}
    return found
