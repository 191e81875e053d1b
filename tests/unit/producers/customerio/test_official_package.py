"""The documented examples of Customer.io's PHP, Ruby and Node clients, in each of our forms.

The shapes are those of the clients' READMEs, the values are ours. An example holds the document
that it stands for, the call of a typed function, and the request of the client, sent with the
drop-in client for Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import trackrelay
from trackrelay import ObjectRef, Person, operations
from trackrelay.customerio import CustomerIO
from trackrelay.operations.operation import Operation

WHEN = 1_700_000_000


class Example(NamedTuple):
    """One example of one client."""

    client: str
    what: str
    #: The example in v2's terms, as ported code has it.
    document: dict[str, Any]
    typed: Callable[[], Operation]
    #: How the example reads with the drop-in.
    call: Callable[[CustomerIO], Any]
    #: The document that goes to Customer.io, without what is ours: an event's id.
    sent: dict[str, Any]


def person(action: str, **fields: Any) -> dict[str, Any]:
    return {"type": "person", "identifiers": {"id": "7"}, "action": action, **fields}


def put(path: str, body: dict[str, Any]) -> Callable[[CustomerIO], Any]:
    return lambda cio: cio.send_request("PUT", f"{cio.base_url}{path}", body)


def post(path: str, body: dict[str, Any]) -> Callable[[CustomerIO], Any]:
    return lambda cio: cio.send_request("POST", f"{cio.base_url}{path}", body)


def entity(document: dict[str, Any]) -> Callable[[CustomerIO], Any]:
    return lambda cio: cio.entity(document)


PROFILE = {"id": 7, "email": "mia@example.com", "plan": "basic", "created_at": WHEN}
SENT_PROFILE = PROFILE | {"id": "7"}
LAMP = {
    "type": "object",
    "identifiers": {"object_type_id": "product", "object_id": "LAMP-9"},
    "action": "identify",
}
SENT_LAMP = LAMP | {"identifiers": {"object_type_id": "1", "object_id": "LAMP-9"}}
LAMP_ATTRIBUTES = {"name": "Desk lamp", "price": 34.5, "category": "Light"}
OWNS = {
    "identifiers": {"object_type_id": "product", "object_id": "LAMP-9"},
    "relationship_attributes": {"role": "owner", "created_at": "2025-03-04T05:06:07Z"},
}
SENT_OWNS = OWNS | {"identifiers": SENT_LAMP["identifiers"]}
ORDER = {"kind": "lamp", "total": "34.50"}
TIMED = ORDER | {"timestamp": WHEN}

EXAMPLES = [
    # PHP sends the person's id in the body as well, as the number it is, and as the id of events.
    Example(
        "PHP",
        "a customer is added",
        person("identify", identifiers={"id": 7}, attributes=PROFILE),
        lambda: operations.identify(7, PROFILE),
        put("/customers/7", PROFILE),
        person("identify", attributes=SENT_PROFILE),
    ),
    Example(
        "PHP",
        "a customer is deleted",
        person("delete", identifiers={"id": 7}),
        lambda: operations.delete_person(7),
        lambda cio: cio.send_request("DELETE", f"{cio.base_url}/customers/7", {}),
        person("delete"),
    ),
    Example(
        "PHP",
        "an event of a customer",
        person("event", identifiers={"id": 7}, name="order-placed", attributes=ORDER),
        lambda: operations.track(7, "order-placed", ORDER),
        post("/customers/7/events", {"id": 7, "name": "order-placed", "data": ORDER}),
        person("event", name="order-placed", attributes=ORDER),
    ),
    Example(
        "PHP",
        "a page view",
        person("page", identifiers={"id": 7}, name="https://shop.example/cart",
            attributes={"referrer": "https://a.example"}),
        lambda: operations.page(7, "https://shop.example/cart", {"referrer": "https://a.example"}),
        post(
            "/customers/7/events",
            {"type": "page", "id": 7, "name": "https://shop.example/cart",
                "data": {"referrer": "https://a.example"}},
        ),
        person("page", name="https://shop.example/cart",
            attributes={"referrer": "https://a.example"}),
    ),
    Example(
        "PHP",
        "an invite",
        {
            "type": "anonymous",
            "identifiers": {},
            "action": "event",
            "name": "invited",
            "attributes": {"recipient": "lee@example.com"},
        },
        lambda: operations.track_anonymous(None, "invited", {"recipient": "lee@example.com"}),
        post("/events", {"name": "invited", "data": {"recipient": "lee@example.com"}}),
        {
            "type": "anonymous",
            "identifiers": {},
            "action": "event",
            "name": "invited",
            "attributes": {"recipient": "lee@example.com"},
        },
    ),
    Example(
        "PHP",
        "a person of v2, an attribute of whom goes",
        person("identify", attributes={"name": "Mia", "nickname": None, "seen_at": WHEN}),
        lambda: operations.identify("7", {"name": "Mia", "nickname": None, "seen_at": WHEN}),
        entity(person("identify", attributes={"name": "Mia", "nickname": None, "seen_at": WHEN})),
        person("identify", attributes={"name": "Mia", "nickname": None, "seen_at": WHEN}),
    ),
    Example(
        "PHP",
        "a person by Customer.io's id, with its prefix",
        person("identify", identifiers={"cio_id": "cio_0301"}, attributes={"name": "Mia"}),
        lambda: operations.identify(Person(cio_id="cio_0301"), {"name": "Mia"}),
        entity(person("identify", identifiers={"cio_id": "cio_0301"}, attributes={"name": "Mia"})),
        person("identify", identifiers={"cio_id": "0301"}, attributes={"name": "Mia"}),
    ),
    Example(
        "PHP",
        "an object whose type has a name",
        LAMP | {"attributes": LAMP_ATTRIBUTES},
        lambda: operations.identify_object(ObjectRef("product", "LAMP-9"), LAMP_ATTRIBUTES),
        entity(LAMP | {"attributes": LAMP_ATTRIBUTES}),
        SENT_LAMP | {"attributes": LAMP_ATTRIBUTES},
    ),
    Example(
        "PHP",
        "one relationship, and no list around it",
        person("add_relationships", cio_relationships=OWNS),
        lambda: operations.add_relationships(
            "7", ObjectRef("product", "LAMP-9"), attributes=OWNS["relationship_attributes"]
        ),
        entity(person("add_relationships", cio_relationships=OWNS)),
        person("add_relationships", cio_relationships=[SENT_OWNS]),
    ),
    Example(
        "PHP",
        "a batch, with its envelope",
        LAMP | {"attributes": {"in_stock": True}},
        lambda: operations.identify_object(ObjectRef("product", "LAMP-9"), {"in_stock": True}),
        lambda cio: cio.batch({"batch": [LAMP | {"attributes": {"in_stock": True}}]}),
        SENT_LAMP | {"attributes": {"in_stock": True}},
    ),
    Example(
        "Ruby",
        "a customer who is logged in",
        person("identify", identifiers={"id": 7}, attributes=PROFILE),
        lambda: operations.identify(7, PROFILE),
        put("/customers/7", PROFILE),
        person("identify", attributes=SENT_PROFILE),
    ),
    Example(
        "Ruby",
        "a new email for a customer known by Customer.io's id",
        person("identify", identifiers={"cio_id": "0301"},
            attributes={"cio_id": "0301", "email": "mia@example.org"}),
        lambda: operations.identify(Person(cio_id="0301"),
            {"cio_id": "0301", "email": "mia@example.org"}),
        put("/customers/cio_0301", {"cio_id": "0301", "email": "mia@example.org"}),
        person("identify", identifiers={"cio_id": "0301"},
            attributes={"cio_id": "0301", "email": "mia@example.org"}),
    ),
    Example(
        "Ruby",
        "an id for a customer known by email",
        person("identify", identifiers={"email": "mia@example.com"},
            attributes={"id": 7, "plan": "basic"}),
        lambda: operations.identify(Person(email="mia@example.com"), {"id": 7, "plan": "basic"}),
        put("/customers/mia%40example.com", {"id": 7, "plan": "basic"}),
        person("identify", identifiers={"email": "mia@example.com"},
            attributes={"id": "7", "plan": "basic"}),
    ),
    Example(
        "Ruby",
        "when the change happened, among the attributes",
        person("identify", attributes={"plan": "basic", "_timestamp": WHEN}),
        lambda: operations.identify("7", {"plan": "basic", "_timestamp": WHEN}),
        put("/customers/7", {"plan": "basic", "_timestamp": WHEN}),
        person("identify", timestamp=WHEN, attributes={"plan": "basic"}),
    ),
    Example(
        "Ruby",
        "two customers are one",
        {
            "type": "person",
            "action": "merge",
            "primary": {"email": "mia@example.com"},
            "secondary": {"email": "mia@example.org"},
        },
        lambda: operations.merge(primary=Person(email="mia@example.com"),
            secondary=Person(email="mia@example.org")),
        lambda cio: cio.merge_customers("email", "mia@example.com", "email", "mia@example.org"),
        {
            "type": "person",
            "action": "merge",
            "primary": {"email": "mia@example.com"},
            "secondary": {"email": "mia@example.org"},
        },
    ),
    Example(
        "Ruby",
        "an event of the past, whose time is in its data too",
        person("event", name="ordered", timestamp=WHEN, attributes=TIMED),
        lambda: operations.track(7, "ordered", TIMED, timestamp=WHEN),
        post("/customers/7/events", {"name": "ordered", "data": TIMED, "timestamp": WHEN}),
        person("event", name="ordered", timestamp=WHEN, attributes=TIMED),
    ),
    Example(
        "Ruby",
        "an anonymous event",
        {
            "type": "anonymous",
            "identifiers": {"anonymous_id": "c0ffee-1"},
            "action": "event",
            "name": "looked",
            "attributes": ORDER,
        },
        lambda: operations.track_anonymous("c0ffee-1", "looked", ORDER),
        post("/events", {"name": "looked", "data": ORDER, "anonymous_id": "c0ffee-1"}),
        {
            "type": "anonymous",
            "identifiers": {"anonymous_id": "c0ffee-1"},
            "action": "event",
            "name": "looked",
            "attributes": ORDER,
        },
    ),
    Example(
        "Ruby",
        "a device",
        person("add_device", identifiers={"id": 7},
            device={"token": "t-1", "platform": "ios", "last_used": WHEN}),
        lambda: operations.add_device(7, "t-1", "ios", last_used=WHEN),
        put("/customers/7/devices",
            {"device": {"last_used": WHEN, "id": "t-1", "platform": "ios"}}),
        person("add_device", device={"token": "t-1", "platform": "ios", "last_used": WHEN}),
    ),
    Example(
        "Ruby",
        "a device goes",
        person("delete_device", identifiers={"id": 7}, device={"token": "t-1"}),
        lambda: operations.delete_device(7, "t-1"),
        lambda cio: cio.send_request("DELETE", f"{cio.base_url}/customers/7/devices/t-1", {}),
        person("delete_device", device={"token": "t-1"}),
    ),
    Example(
        "Ruby",
        "a customer is suppressed",
        person("suppress", identifiers={"id": 7}),
        lambda: operations.suppress(7),
        post("/customers/7/suppress", {}),
        person("suppress"),
    ),
    Example(
        "Ruby",
        "a push was opened",
        {"type": "delivery", "identifiers": {"id": "d-1"}, "action": "metric", "name": "opened",
            "recipient": "t-1",
         "timestamp": WHEN},
        lambda: operations.report_metric("d-1", "opened", recipient="t-1", timestamp=WHEN),
        lambda cio: cio.send_request(
            "POST",
            "https://track.customer.io/push/events",
            {"delivery_id": "d-1", "device_id": "t-1", "timestamp": WHEN, "event": "opened"},
        ),
        {"type": "delivery", "identifiers": {"id": "d-1"}, "action": "metric", "name": "opened",
            "recipient": "t-1",
         "timestamp": WHEN},
    ),
    Example(
        "Node",
        "a device, with a field beside its attributes",
        person("add_device", device={"token": "t-1", "platform": "ios", "primary": True}),
        lambda: operations.entity(person("add_device",
                device={"token": "t-1", "platform": "ios", "primary": True})),
        put("/customers/7/devices", {"device": {"primary": True, "id": "t-1", "platform": "ios"}}),
        person("add_device", device={"token": "t-1", "platform": "ios", "primary": True}),
    ),
]  # fmt: skip


@pytest.fixture
def enqueued() -> list[Operation]:
    """What was enqueued."""
    trackrelay.configure(backend="memory", object_types="product=1, company=2")
    return trackrelay.default.default_producer().backend.operations  # type: ignore[attr-defined,no-any-return]


def sent(operation: Operation) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(operation.body)
    if operation.type != "delivery" and operation.action in ("event", "page"):
        assert document.pop("id") == operation.id
    return document


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=lambda example: f"{example.client}: {example.what}"
)
def test_an_example_gives_the_same_request_in_each_form(
    example: Example, enqueued: list[Operation]
) -> None:
    ways = {"entity()": operations.entity(example.document), "the typed function": example.typed()}
    example.call(CustomerIO("site", "key"))
    (ways["the drop-in"],) = enqueued
    assert {way: sent(operation) for way, operation in ways.items()} == dict.fromkeys(
        ways, example.sent
    )
    assert (
        len({operation.keys for operation in ways.values() if operation.type != "anonymous"}) <= 1
    )


def test_the_drop_ins_entity_takes_keyword_arguments_too(enqueued: list[Operation]) -> None:
    answer = CustomerIO("site", "key").entity(**person("event", name="seen", timestamp=WHEN))
    assert answer.status_code == 200
    assert sent(enqueued[0]) == person("event", name="seen", timestamp=WHEN)


def test_an_unnumbered_type_of_object_is_refused_and_the_setting_named(
    enqueued: list[Operation],
) -> None:
    with pytest.raises(
        trackrelay.InvalidOperationError,
        match=r"'produkt'.*TRACKRELAY_OBJECT_TYPES.*mean 'product'",
    ) as raised:
        operations.entity(
            LAMP | {"identifiers": {"object_type_id": "produkt", "object_id": "LAMP-9"}}
        )
    assert raised.value.field == "identifiers.object_type_id"
    with pytest.raises(
        trackrelay.InvalidOperationError, match="TRACKRELAY_OBJECT_TYPES; it has company, product"
    ):
        ObjectRef("warehouse", "north")
    trackrelay.configure(object_types={})
    with pytest.raises(
        trackrelay.InvalidOperationError, match="TRACKRELAY_OBJECT_TYPES, which is not set"
    ):
        CustomerIO("site", "key").entity(LAMP)


def test_a_time_among_the_attributes_contradicts_another_in_the_call(
    enqueued: list[Operation],
) -> None:
    same = operations.identify("7", {"_timestamp": WHEN}, timestamp=WHEN)
    assert (sent(same), same.stamp) == (person("identify", timestamp=WHEN), False)
    none = operations.identify("7", {"_timestamp": None, "plan": "basic"})
    assert (sent(none), none.stamp) == (person("identify", attributes={"plan": "basic"}), True)
    with pytest.raises(
        trackrelay.InvalidOperationError, match=r"_timestamp.*contradicts the timestamp"
    ) as raised:
        operations.identify("7", {"_timestamp": WHEN}, timestamp=WHEN + 1)
    assert raised.value.field == "attributes._timestamp"
    with pytest.raises(trackrelay.InvalidOperationError, match="milliseconds"):
        operations.identify("7", {"_timestamp": WHEN * 1000})


@pytest.mark.parametrize(
    "document",
    [
        person("event", name="seen", context={"page": {"path": "/"}}),
        person("identify", channel="web"),
        person("merge", primary={"id": "7"}, secondary={"id": "8"}),
        {
            "type": "object",
            "identifiers": {"object_type_id": "1", "object_id": "a"},
            "action": "delete",
            "why": "gone",
        },
        {
            "type": "delivery",
            "identifiers": {"id": "d"},
            "action": "event",
            "name": "opened",
            "attributes": {"device_token": "t"},
            "timestamp": WHEN,
        },
        person(
            "add_relationships",
            cio_relationships=[
                {"identifiers": {"object_type_id": "1", "object_id": "a"}, "note": [1]}
            ],
        ),
        person("delete_device", device={"token": "t-1", "platform": "ios"}),
    ],
)
def test_fields_that_the_description_leaves_open_are_kept(document: dict[str, Any]) -> None:
    assert sent(operations.entity(document)) == document


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (person("event", name="seen", data={}), "data"),
        (person("identify", atributes={}), "atributes"),
        (person("identify", traits={}), "traits"),
        (person("identify", wide=float("nan")), "wide"),
        (
            person("add_device", device={"token": "t", "platform": "ios", "atributes": {}}),
            "device.atributes",
        ),
        (
            {
                "type": "segment",
                "identifiers": {"segment_id": 1},
                "action": "add",
                "person": {"id": "1"},
                "x": 1,
            },
            "x",
        ),
    ],
)
def test_a_field_that_looks_like_a_slip_is_refused(document: dict[str, Any], field: str) -> None:
    with pytest.raises(trackrelay.InvalidOperationError) as raised:
        operations.entity(document)
    assert raised.value.field == field
