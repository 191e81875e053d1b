"""A good request for each operation of the Track API, and those of Customer.io's description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.description import Description, JsonObject

ENTITY = "/api/v2/entity"
#: The values of the variable parts of a path.
VALUES = {
    "{identifier}": "42",
    "{device_id}": "token-1",
    "{segment_id}": "7",
    "{form_id}": "signup",
    "{delivery_id}": "delivery-1",
}
#: Examples of Customer.io that are complete only together with their surroundings.
COMPLETED: dict[str, JsonObject] = {"Person: Merge": {"type": "person", "action": "merge"}}
#: Customer.io's examples that violate its own schema: a numeric id, a screen without anonymous_id.
AT_ODDS = {
    ("/api/v1/forms/signup/submit", "identify by id"),
    ("/api/v1/customers/42/events", "Mobile screen view"),
}


class Example(NamedTuple):
    """A request."""

    title: str
    method: str
    path: str
    document: JsonObject


def _person(action: str, /, **more: Any) -> JsonObject:
    return {"type": "person", "action": action, "identifiers": {"id": "p7"}, **more}


def _object(action: str, /, **more: Any) -> JsonObject:
    identifiers = {"object_type_id": "2", "object_id": "team-9"}
    return {"type": "object", "action": action, "identifiers": identifiers, **more}


_TO_TEAM = [{"identifiers": {"object_type_id": "2", "object_id": "team-9"}}]
_TO_PERSON = [{"identifiers": {"id": "p7"}, "relationship_attributes": {"seat": 3}}]
_PHONE = {"token": "t0k3n", "platform": "android", "last_used": 1_720_000_000}

#: Whole operations of v2, each action once.
OPERATIONS: list[JsonObject] = [
    _person("identify", attributes={"city": "Riga", "visits": 4}, cio_relationships=_TO_TEAM),
    _person("delete"),
    _person("event", name="tea_brewed", attributes={"grams": 2.5}, timestamp=1_720_000_000),
    _person("screen", name="Kettle", attributes={"build": "7"}),
    _person("page", name="/teas", attributes={"search": "?q=oolong"}),
    _person("add_relationships", cio_relationships=_TO_TEAM),
    _person("delete_relationships", cio_relationships=_TO_TEAM),
    _person("add_device", device={**_PHONE, "attributes": {"device_os": "15"}}),
    _person("delete_device", device={"token": "t0k3n"}),
    {
        "type": "person",
        "action": "merge",
        "primary": {"email": "ada@example.com"},
        "secondary": {"id": "p8"},
    },
    _person("suppress"),
    _person("unsuppress"),
    _object("identify", attributes={"size": 12}, cio_relationships=_TO_PERSON),
    _object("identify_anonymous", cio_relationships=[{"identifiers": {"anonymous_id": "a-1"}}]),
    _object("delete"),
    _object("add_relationships", cio_relationships=_TO_PERSON),
    _object("delete_relationships", cio_relationships=_TO_PERSON),
    {
        "type": "delivery",
        "action": "event",
        "identifiers": {"id": "delivery-1"},
        "name": "converted",
        "attributes": {"device_token": "t0k3n"},
    },
]

_V1 = [
    ("PUT", "/api/v1/customers/42", {"email": "ada@example.com", "city": "Riga"}),
    ("PUT", "/api/v1/customers/42/devices", {"device": {"id": "t0k3n", "platform": "ios"}}),
    ("POST", "/api/v1/customers/42/events", {"name": "tea_brewed", "data": {"grams": 2.5}}),
    ("POST", "/api/v1/customers/42/events", {"name": "/teas", "type": "page"}),
    (
        "POST",
        "/api/v1/customers/42/events",
        {"name": "Kettle", "type": "screen", "anonymous_id": "a-1"},
    ),
    ("POST", "/api/v1/events", {"name": "tea_seen", "anonymous_id": "a-1",
            "data": {"tea": "oolong"}}),
    ("POST", "/api/v1/events", {"name": "/teas", "type": "page", "anonymous_id": "a-1"}),
    ("POST", "/api/v1/events", {"name": "Kettle", "type": "screen", "anonymous_id": "a-1"}),
    ("POST", "/api/v1/forms/signup/submit",
        {"data": {"email": "ada@example.com", "tea": "oolong"}}),
    ("POST", "/api/v1/forms/signup/submit", {"data": {"id": "p7", "tea": "oolong"}}),
    ("POST", "/api/v1/merge_customers", {"primary": {"id": "p7"}, "secondary": {"id": "p8"}}),
    ("POST", "/api/v1/metrics", {"delivery_id": "delivery-1", "metric": "opened"}),
    ("POST", "/api/v1/push/events", {"delivery_id": "delivery-1", "event": "opened",
            "device_id": "t"}),
    ("POST", "/api/v1/segments/7/add_customers", {"ids": ["p7", "p8"]}),
    ("POST", "/api/v1/segments/7/remove_customers", {"ids": ["p7"]}),
    ("POST", "/unsubscribe/delivery-1", {"unsubscribe": True}),
]  # fmt: skip

EXAMPLES = [
    *(Example(f"{each['type']}.{each['action']}", "POST", ENTITY, each) for each in OPERATIONS),
    Example("a batch", "POST", "/api/v2/batch", {"batch": OPERATIONS}),
    *(Example(f"{method} {path}", method, path, document) for method, path, document in _V1),
]


def original_examples(description: Description) -> Iterator[Example]:
    """Yield every example of a whole request in Customer.io's own description."""
    for method, template, operation in description.operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        path = path_of(template)
        if "example" in content:
            yield Example(f"{method} {template}", method, path, content["example"])
        for title, document in _schema_examples(description.resolved(content["schema"])):
            yield Example(
                title or f"{method} {template}", method, path, document | COMPLETED.get(title, {})
            )


def path_of(template: str) -> str:
    """Return the path of a template."""
    for name, value in VALUES.items():
        template = template.replace(name, value)
    return template


def _schema_examples(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield the examples of a schema and of its branches, not those of single fields."""
    if "example" in schema:
        yield schema.get("title", ""), schema["example"]
    for branch in schema.get("anyOf", ()):
        yield from _schema_examples(branch)
    properties = schema.get("properties", {})
    if "data" in properties:
        yield from (
            (title, {"data": document}) for title, document in _schema_examples(properties["data"])
        )
