"""Each function's document, keys, and whether it takes the time of the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.support.description import description
from tests.support.refusals import document_of, refusal_of
from trackrelay import operations as ops
from trackrelay.operations.ids import companion_id
from trackrelay.operations.operation import Operation
from trackrelay.operations.refs import ObjectRef, Person

ADA = {"email": "ada@example.com"}
ACME = {"object_type_id": "1", "object_id": "acme"}
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SOME_UUID = UUID("2f1cbd1d-5d5c-4c26-8b5e-0a1d1bb7f8f0")


def person(action: str, *, by: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "person", "identifiers": by or {"id": "42"}, "action": action, **fields}


def obj(action: str, *, by: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "identifiers": by or ACME, "action": action, **fields}


def delivery(action: str, **fields: Any) -> dict[str, Any]:
    return {"type": "delivery", "identifiers": {"id": "RPIL"}, "action": action, **fields}


MADE: list[tuple[Operation, dict[str, Any], tuple[str, ...], bool]] = [
    (ops.identify("42"), person("identify"), ("id:42",), True),
    (ops.identify(42, {}), person("identify"), ("id:42",), True),
    (
        ops.identify(
            Person(email="Ada@Example.com"), {"plan": "pro", "seats": Decimal("2.5"), "gone": None}
        ),
        person("identify", by=ADA, attributes={"plan": "pro", "seats": 2.5, "gone": None}),
        ("email:ada@example.com",),
        True,
    ),
    (
        ops.identify(
            "42",
            {"email": " Ada@Example.com "},
            anonymous_id=SOME_UUID,
            update_only=True,
            timestamp=NOON,
        ),
        person(
            "identify",
            timestamp=1714564800,
            attributes={
                "email": "Ada@Example.com",
                "_update": True,
                "anonymous_id": str(SOME_UUID),
            },
        ),
        ("id:42", f"anonymous:{SOME_UUID}"),
        False,
    ),
    (
        ops.identify("42", {"anonymous_id": "c1"}),
        person("identify", attributes={"anonymous_id": "c1"}),
        ("id:42", "anonymous:c1"),
        True,
    ),
    (
        ops.identify(
            "42",
            relationships=[
                ObjectRef(1, "acme"),
                (ObjectRef(cio_object_id="ob1"), {"role": "admin"}),
            ],
        ),
        person(
            "identify",
            cio_relationships=[
                {"identifiers": ACME},
                {
                    "identifiers": {"cio_object_id": "ob1"},
                    "relationship_attributes": {"role": "admin"},
                },
            ],
        ),
        ("id:42",),
        True,
    ),
    (
        ops.identify("42", relationships=ObjectRef(1, "acme")),
        person("identify", cio_relationships=[{"identifiers": ACME}]),
        ("id:42",),
        True,
    ),
    (
        ops.identify(Person(cio_id="a3"), {"id": 43, "email": "new@example.com"}),
        person(
            "identify", by={"cio_id": "a3"}, attributes={"id": "43", "email": "new@example.com"}
        ),
        ("cio_id:a3",),
        True,
    ),
    (ops.identify("42", {"id": 42}), person("identify", attributes={"id": "42"}), ("id:42",), True),
    (
        ops.identify(Person(email="ada@example.com"), {"email": " Ada@Example.com"}),
        person("identify", by=ADA, attributes=ADA),
        ("email:ada@example.com",),
        True,
    ),
    (
        ops.identify("42", {"cio_subscription_preferences": {"topics": {"topic_1": True}}}),
        person(
            "identify", attributes={"cio_subscription_preferences": {"topics": {"topic_1": True}}}
        ),
        ("id:42",),
        True,
    ),
    (ops.track("42", " order\n"), person("event", name="order"), ("id:42",), True),
    (
        ops.track(
            Person(phone="+14155552671"),
            "order",
            {"total": 1.5, "reply_to": None},
            timestamp=1714564800.9,
        ),
        person(
            "event",
            by={"phone": "+14155552671"},
            name="order",
            timestamp=1714564800,
            attributes={"total": 1.5},
        ),
        ("phone:+14155552671",),
        False,
    ),
    (
        ops.page("42", "/pricing", {"referrer": None, "title": "Pricing"}),
        person("page", name="/pricing", attributes={"title": "Pricing"}),
        ("id:42",),
        True,
    ),
    (
        ops.screen(Person(cio_id="a3"), "Home", {}),
        person("screen", by={"cio_id": "a3"}, name="Home"),
        ("cio_id:a3",),
        True,
    ),
    *(
        (
            function(Person(anonymous_id="c1"), "x", {"a": 1}),
            {
                "type": "anonymous",
                "identifiers": {"anonymous_id": "c1"},
                "action": action,
                "name": "x",
                "attributes": {"a": 1},
            },
            ("anonymous:c1",),
            True,
        )
        for function, action in ((ops.track, "event"), (ops.page, "page"), (ops.screen, "screen"))
    ),
    (
        ops.track_anonymous("c1", "x", timestamp=1714564800),
        {
            "type": "anonymous",
            "identifiers": {"anonymous_id": "c1"},
            "action": "event",
            "name": "x",
            "timestamp": 1714564800,
        },
        ("anonymous:c1",),
        False,
    ),
    (ops.delete_person("42"), person("delete"), ("id:42",), False),
    (
        ops.suppress(Person(email="ADA@example.com")),
        person("suppress", by=ADA),
        ("email:ada@example.com",),
        False,
    ),
    (ops.unsuppress("42"), person("unsuppress"), ("id:42",), False),
    (
        ops.merge(primary=1, secondary=Person(email="ADA@example.com")),
        {"type": "person", "action": "merge", "primary": {"id": "1"}, "secondary": ADA},
        ("id:1", "email:ada@example.com"),
        False,
    ),
    (
        ops.add_device(
            "42", "t0ken", "ios", last_used=NOON, attributes={"push_enabled": True, "build": 7}
        ),
        person(
            "add_device",
            device={
                "token": "t0ken",
                "platform": "ios",
                "last_used": 1714564800,
                "attributes": {"push_enabled": "true", "build": "7"},
            },
        ),
        ("id:42",),
        False,
    ),
    (
        ops.add_device("42", "t0ken", "android"),
        person("add_device", device={"token": "t0ken", "platform": "android"}),
        ("id:42",),
        False,
    ),
    (
        ops.delete_device("42", "t0ken"),
        person("delete_device", device={"token": "t0ken"}),
        ("id:42",),
        False,
    ),
    (ops.identify_object(ObjectRef(1, "acme")), obj("identify"), ("object:1:acme",), False),
    (
        ops.identify_object(
            ObjectRef(cio_object_id="ob1"),
            {"name": "Acme", "gone": ""},
            relationships=["42", (Person(email="ADA@example.com"), {"role": "boss"})],
        ),
        obj(
            "identify",
            by={"cio_object_id": "ob1"},
            attributes={"name": "Acme", "gone": ""},
            cio_relationships=[
                {"identifiers": {"id": "42"}},
                {"identifiers": ADA, "relationship_attributes": {"role": "boss"}},
            ],
        ),
        ("cio_object:ob1",),
        False,
    ),
    (ops.delete_object(ObjectRef(1, "acme")), obj("delete"), ("object:1:acme",), False),
    (
        ops.add_relationships("42", ObjectRef(1, "acme"), attributes={"role": "admin"}),
        person(
            "add_relationships",
            cio_relationships=[{"identifiers": ACME, "relationship_attributes": {"role": "admin"}}],
        ),
        ("id:42",),
        False,
    ),
    (
        ops.add_relationships(
            ObjectRef(1, "acme"), ["42", (43, {"role": "boss"})], attributes={"role": "staff"}
        ),
        obj(
            "add_relationships",
            cio_relationships=[
                {"identifiers": {"id": "42"}, "relationship_attributes": {"role": "staff"}},
                {"identifiers": {"id": "43"}, "relationship_attributes": {"role": "boss"}},
            ],
        ),
        ("object:1:acme",),
        False,
    ),
    (
        ops.delete_relationships("42", (ObjectRef(1, "acme"), ObjectRef(2, "b"))),
        person(
            "delete_relationships",
            cio_relationships=[
                {"identifiers": ACME},
                {"identifiers": {"object_type_id": "2", "object_id": "b"}},
            ],
        ),
        ("id:42",),
        False,
    ),
    (
        ops.delete_relationships(ObjectRef(1, "acme"), Person(email="Ada@example.com")),
        obj("delete_relationships", cio_relationships=[{"identifiers": ADA}]),
        ("object:1:acme",),
        False,
    ),
    (
        ops.add_to_segment(7, Person(email="Ada@example.com"))[0],
        {"type": "segment", "action": "add", "identifiers": {"segment_id": 7}, "person": ADA},
        ("email:ada@example.com",),
        False,
    ),
    (
        ops.remove_from_segment("7", "42")[0],
        {
            "type": "segment",
            "action": "remove",
            "identifiers": {"segment_id": 7},
            "person": {"id": "42"},
        },
        ("id:42",),
        False,
    ),
    (
        ops.submit_form(
            "contact",
            Person(email="Ada@example.com"),
            {"email": "ADA@example.com", "age": 36, "ok": True, "at": NOON},
        ),
        {
            "type": "form",
            "action": "submit",
            "identifiers": {"form_id": "contact"},
            "person": ADA,
            "attributes": {"age": "36", "ok": "true", "at": "1714564800"},
        },
        ("email:ada@example.com",),
        False,
    ),
    (
        ops.submit_form(7, "42"),
        {
            "type": "form",
            "action": "submit",
            "identifiers": {"form_id": "7"},
            "person": {"id": "42"},
        },
        ("id:42",),
        False,
    ),
    (ops.unsubscribe("RPIL"), delivery("unsubscribe"), ("delivery:RPIL",), False),
    (
        ops.report_metric("RPIL", "opened"),
        delivery("metric", name="opened"),
        ("delivery:RPIL",),
        True,
    ),
    (
        ops.report_metric(
            "RPIL",
            "bounced",
            recipient=14155552671,
            reason="full",
            href="https://x.test",
            timestamp=NOON,
        ),
        delivery(
            "metric",
            name="bounced",
            recipient=14155552671,
            reason="full",
            href="https://x.test",
            timestamp=1714564800,
        ),
        ("delivery:RPIL",),
        False,
    ),
    (
        ops.entity(delivery("event", name="opened", attributes={"device_token": "t"})),
        delivery("event", name="opened", attributes={"device_token": "t"}),
        ("delivery:RPIL",),
        False,
    ),
    (
        ops.entity(obj("identify_anonymous", anonymous_id="c1")),
        obj("identify_anonymous", anonymous_id="c1"),
        ("object:1:acme",),
        False,
    ),
    (
        ops.entity(
            obj("identify_anonymous", cio_relationships=[{"identifiers": {"anonymous_id": "c1"}}])
        ),
        obj("identify_anonymous", cio_relationships=[{"identifiers": {"anonymous_id": "c1"}}]),
        ("object:1:acme",),
        False,
    ),
]
IDS = [f"{operation.name} {number}" for number, (operation, *_) in enumerate(MADE)]


@pytest.mark.parametrize(("operation", "document", "keys", "stamp"), MADE, ids=IDS)
def test_a_call_makes_this_document(
    operation: Operation, document: dict[str, Any], keys: tuple[str, ...], stamp: bool
) -> None:
    assert document_of(operation) == document
    assert operation.keys == keys
    assert operation.stamp == stamp
    assert operation.name == f"{document['type']}.{document['action']}"


@pytest.mark.parametrize("operation", [operation for operation, *_ in MADE], ids=IDS)
def test_a_document_that_passed_the_gate_passes_it_again_unchanged(operation: Operation) -> None:
    """Reading and building again changes nothing, so exports and repairs keep the operation."""
    again = ops.entity(json.loads(operation.body))
    assert (again.body, again.keys, again.stamp) == (
        operation.body if b'"id":"0' not in operation.body else again.body,
        operation.keys,
        operation.stamp,
    )
    assert json.loads(again.body) == json.loads(operation.body)


@pytest.mark.parametrize("operation", [operation for operation, *_ in MADE], ids=IDS)
def test_customer_ios_description_takes_every_document_of_v2(operation: Operation) -> None:
    known = description()
    if operation.type in ("person", "object") or operation.name == "delivery.event":
        assert known.violations("POST", "/api/v2/entity", body=operation.body) == []
        batch = {"batch": [json.loads(operation.body)]}
        assert known.violations("POST", "/api/v2/batch", body=json.dumps(batch).encode()) == []


def test_every_action_of_v2_is_made_here() -> None:
    known = description()
    schemas = known.resolved(known.document["components"]["schemas"])
    described = {
        f"{type}.{action}"
        for type in ("person", "object")
        for branch in schemas[f"{type}_operations"]["anyOf"]
        for part in [branch, *branch.get("allOf", ())]
        for action in part.get("properties", {}).get("action", {}).get("enum", ())
    }
    assert len(described) == 17
    assert described | {"delivery.event"} <= {operation.name for operation, *_ in MADE}


def test_an_event_carries_the_jobs_id() -> None:
    operation = ops.track("42", "x")
    assert json.loads(operation.body)["id"] == operation.id
    assert "id" not in json.loads(ops.identify("42").body)


def test_an_invite_is_nobodys_and_waits_for_nobody() -> None:
    invite = ops.track_anonymous(None, "invited", {"recipient": " Bob@Example.com "})
    assert invite.keys == (f"anonymous:{invite.id}",)
    assert document_of(invite) == {
        "type": "anonymous",
        "identifiers": {},
        "action": "event",
        "name": "invited",
        "attributes": {"recipient": "Bob@Example.com"},
    }


@pytest.mark.parametrize(
    "data", [None, {}, {"recipient": None}, {"recipient": "Bob"}, {"recipient": ["a@b.co"]}]
)
def test_an_invite_needs_an_address(data: Any) -> None:
    assert (
        refusal_of(lambda: ops.track_anonymous(None, "invited", data)).field
        == "attributes.recipient"
    )


def test_person_attributes_are_an_identify_that_travels_with_the_event() -> None:
    event = ops.track("42", "order", person_attributes={"orders": 7}, timestamp=NOON)
    companion = event.companion
    assert companion is not None
    assert document_of(companion) == person(
        "identify", timestamp=1714564800, attributes={"orders": 7}
    )
    assert companion.keys == event.keys
    assert companion.id == companion_id(event.id)
    assert not companion.stamp
    assert companion.companion is None
    assert ops.track("42", "order").companion is None


def test_a_repeated_call_has_the_same_companion() -> None:
    first, again = (
        ops.track("42", "order", person_attributes={"n": 1}, idempotency_key="A-1")
        for _ in range(2)
    )
    assert first == again
    assert first.companion is not None
    assert first.companion.id != first.id
    assert first.companion.idempotency_key == "A-1"


def test_neither_event_nor_companion_is_made_if_one_is_refused() -> None:
    error = refusal_of(lambda: ops.track("42", "order", person_attributes={"bio": "x" * 1001}))
    assert str(error) == "attribute 'bio' of person id:42 is 1,001 bytes; Customer.io takes 1,000"
    assert refusal_of(lambda: ops.track("42", "", person_attributes={"n": 1})).field == "name"


def test_person_attributes_need_a_known_person() -> None:
    call = lambda: ops.track(Person(anonymous_id="c"), "x", person_attributes={"n": 1})  # noqa: E731
    assert refusal_of(call).field == "person_attributes"


def test_an_idempotency_key_makes_the_same_call_the_same_job() -> None:
    id = ops.track("42", "order", idempotency_key="A-1").id
    assert (
        ops.track(42, " order ", {"more": 1}, timestamp=1_714_564_800, idempotency_key=" A-1 ").id
        == id
    )
    others = [
        ops.track("42", "order"),
        ops.track("43", "order", idempotency_key="A-1"),
        ops.track("42", "refund", idempotency_key="A-1"),
        ops.track("42", "order", idempotency_key="A-2"),
        ops.page("42", "order", idempotency_key="A-1"),
        ops.track(Person(anonymous_id="42"), "order", idempotency_key="A-1"),
        ops.identify("42", idempotency_key="A-1"),
        *ops.add_to_segment(7, ["42", "43"], idempotency_key="A-1"),
        *ops.add_to_segment(8, ["42", "43"], idempotency_key="A-1"),
        ops.submit_form("f", "42", idempotency_key="A-1"),
        ops.submit_form("g", "42", idempotency_key="A-1"),
        ops.merge(primary="42", secondary="1", idempotency_key="A-1"),
        ops.merge(primary="42", secondary="2", idempotency_key="A-1"),
        ops.track_anonymous(None, "order", {"recipient": "a@b.co"}, idempotency_key="A-1"),
        ops.track_anonymous(None, "order", {"recipient": "b@b.co"}, idempotency_key="A-1"),
    ]
    assert len({id, *(other.id for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(("key", "text"), [("A-1", "A-1"), (7, "7"), (SOME_UUID, str(SOME_UUID))])
def test_an_idempotency_key_is_text_or_made_text(key: Any, text: str) -> None:
    assert ops.delete_person("42", idempotency_key=key).idempotency_key == text


@pytest.mark.parametrize("key", ["", "  ", True, 1.5, b"x", ["x"], "a\0b", "\ud800"])
def test_an_invalid_idempotency_key_is_refused(key: Any) -> None:
    assert (
        refusal_of(lambda: ops.delete_person("42", idempotency_key=key)).field == "idempotency_key"
    )


def test_a_segment_gets_a_job_a_person() -> None:
    people = ops.add_to_segment(7, (each for each in ["1", Person(email="ADA@example.com"), 3]))
    assert [operation.keys for operation in people] == [
        ("id:1",),
        ("email:ada@example.com",),
        ("id:3",),
    ]
    assert ops.add_to_segment(7, []) == ()
    assert len(ops.add_to_segment(7, "42")) == 1
