"""Entity and batch: what they take, what they refuse, and their errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.sandbox_api import Api

ULID = "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"
PERSON: dict[str, Any] = {"type": "person", "action": "identify", "identifiers": {"id": "42"}}
EVENT: dict[str, Any] = {**PERSON, "action": "event", "name": "bought"}
DEVICE: dict[str, Any] = {
    **PERSON,
    "action": "add_device",
    "device": {"token": "t", "platform": "ios"},
}
OBJECT: dict[str, Any] = {
    "type": "object",
    "action": "identify",
    "identifiers": {"object_type_id": "1", "object_id": "acme"},
}
DELIVERY: dict[str, Any] = {
    "type": "delivery",
    "action": "event",
    "identifiers": {"id": "d1"},
    "name": "opened",
    "attributes": {"device_token": "t"},
}
RELATED = {
    **PERSON,
    "action": "add_relationships",
    "cio_relationships": [{"identifiers": OBJECT["identifiers"]}],
}

BAD: list[tuple[dict[str, Any], str, str, str]] = [
    ({**PERSON, "type": None}, "type", "required", "must be present"),
    ({**PERSON, "type": "robot"}, "type", "invalid", "must be one of person, object, delivery"),
    ({**PERSON, "action": None}, "action", "required", "must be present"),
    (
        {**PERSON, "action": "identify_anonymous"},
        "action",
        "invalid",
        "unknown action for type person",
    ),
    ({**PERSON, "action": ["identify"]}, "action", "invalid", "unknown action for type person"),
    ({**OBJECT, "action": "event"}, "action", "invalid", "unknown action for type object"),
    ({**PERSON, "identifiers": None}, "identifiers", "required", "must be present"),
    (
        {**PERSON, "identifiers": {}},
        "identifiers",
        "invalid",
        "exactly one identifier is required, got 0",
    ),
    (
        {**PERSON, "identifiers": {"id": "1", "email": "a@b.c"}},
        "identifiers",
        "invalid",
        "exactly one identifier",
    ),
    (
        {**PERSON, "identifiers": {"anonymous_id": "a"}},
        "identifiers.anonymous_id",
        "invalid",
        "unknown identifier",
    ),
    ({**PERSON, "identifiers": {"id": 4.2}}, "identifiers.id", "invalid", "must be a string value"),
    (
        {**PERSON, "identifiers": {"id": True}},
        "identifiers.id",
        "invalid",
        "must be a string value",
    ),
    (
        {**PERSON, "identifiers": {"email": 42}},
        "identifiers.email",
        "invalid",
        "must be a string value",
    ),
    (
        {**PERSON, "identifiers": {"id": 2**70}},
        "identifiers.id",
        "invalid",
        "must be a string value",
    ),
    (
        {**PERSON, "identifiers": {"id": " "}},
        "identifiers.id",
        "invalid",
        "cannot be an empty string",
    ),
    (
        {**PERSON, "identifiers": {"id": "x" * 151}},
        "identifiers.id",
        "invalid",
        "cannot be longer than 150 bytes",
    ),
    (
        {**PERSON, "identifiers": {"email": "ada"}},
        "identifiers.email",
        "invalid",
        "is not an email address",
    ),
    (
        {**PERSON, "identifiers": {"phone": "0170 1234567"}},
        "identifiers.phone",
        "invalid",
        "must be in E.164 format",
    ),
    ({**PERSON, "attributes": []}, "attributes", "invalid", "must be an object"),
    (
        {**PERSON, "attributes": {"plan": "x" * 1001}},
        "attributes.plan",
        "invalid",
        "property value cannot be longer than 1000 bytes",
    ),
    (
        {**PERSON, "attributes": {"n" * 151: 1}},
        "attributes",
        "invalid",
        "property name cannot be longer than 150",
    ),
    (
        {**PERSON, "attributes": {f"a{n}": n for n in range(301)}},
        "attributes",
        "invalid",
        "cannot identify more than",
    ),
    (
        {**PERSON, "attributes": {"_update": "yes"}},
        "attributes._update",
        "invalid",
        "must be a boolean",
    ),
    (
        {**PERSON, "timestamp": "2026-01-01"},
        "timestamp",
        "invalid",
        "must be an integer, in unix seconds",
    ),
    ({**PERSON, "timestamp": True}, "timestamp", "invalid", "must be an integer, in unix seconds"),
    ({**PERSON, "cio_relationships": {}}, "cio_relationships", "invalid", "must be a list"),
    ({**EVENT, "name": None}, "name", "required", "must be present"),
    ({**EVENT, "name": " "}, "name", "invalid", "cannot be blank"),
    ({**EVENT, "name": "n" * 101}, "name", "invalid", "cannot be longer than 100 bytes"),
    ({**EVENT, "id": "42"}, "id", "invalid", "must be a valid ULID"),
    ({**EVENT, "attributes": "red"}, "attributes", "invalid", "must be an object"),
    (
        {**EVENT, "attributes": {"recipient": 5}},
        "attributes.recipient",
        "invalid",
        "must be a string value",
    ),
    (
        {**EVENT, "attributes": {"d": "x" * 32_000}},
        "",
        "invalid",
        "an operation cannot be larger than 32000 bytes",
    ),
    ({**DEVICE, "device": None}, "device", "required", "must be present"),
    ({**DEVICE, "device": {"platform": "ios"}}, "device.token", "required", "must be present"),
    (
        {**DEVICE, "device": {"token": "t"}},
        "device.platform",
        "invalid",
        "must be one of ios, android",
    ),
    ({**RELATED, "cio_relationships": None}, "cio_relationships", "required", "must be present"),
    (
        {**RELATED, "cio_relationships": [{"identifiers": {"object_type_id": "1"}}]},
        "cio_relationships[0].identifiers",
        "invalid",
        "an object is named by",
    ),
    ({**PERSON, "action": "merge"}, "primary", "required", "must be present"),
    (
        {**PERSON, "action": "merge", "primary": {"id": "1"}, "secondary": {"phone": "+4917"}},
        "secondary.phone",
        "invalid",
        "unknown identifier",
    ),
    (
        {**OBJECT, "identifiers": {"object_type_id": 1, "object_id": "acme"}},
        "identifiers.object_type_id",
        "invalid",
        "must be a string that holds an integer",
    ),
    (
        {**OBJECT, "identifiers": {"object_type_id": "1", "object_id": "x" * 151}},
        "identifiers.object_id",
        "invalid",
        "cannot be longer than 150 bytes",
    ),
    (
        {**OBJECT, "cio_relationships": [{"identifiers": {"phone": "+4917"}}]},
        "cio_relationships[0].identifiers.phone",
        "invalid",
        "unknown identifier",
    ),
    (
        {**DELIVERY, "name": "bounced"},
        "name",
        "invalid",
        "must be one of opened, converted, delivered",
    ),
    ({**DELIVERY, "attributes": {}}, "attributes.device_token", "required", "must be present"),
    (
        {**DELIVERY, "identifiers": {}},
        "identifiers.id",
        "required",
        "a delivery id must be present",
    ),
]


@pytest.mark.parametrize(("operation", "field", "reason", "message"), BAD)
def test_a_bad_operation_is_refused_with_its_field(
    api: Api, operation: dict[str, Any], field: str, reason: str, message: str
) -> None:
    answer = api.entity(**operation)
    [error] = answer.json["errors"]
    assert (answer.status, error["field"], error["reason"]) == (400, field, reason)
    assert error["message"].startswith(message)
    assert list(api.client.effects(ignored=True)) == []


def test_a_batch_accepts_what_it_does_not_list(api: Api) -> None:
    answer = api.batch(PERSON, {**EVENT, "name": ""}, EVENT, 5, {**PERSON, "type": "x"}, OBJECT)
    assert answer.status == 207
    assert [error["batch_index"] for error in answer.json["errors"]] == [1, 3, 4]
    assert set(answer.json["errors"][0]) == {"batch_index", "reason", "field", "message"}
    assert [effect["action"] for effect in api.client.effects()] == [
        "identify",
        "event",
        "identify",
    ]


def test_a_batch_without_faults_is_an_empty_object(api: Api) -> None:
    answer = api.batch(PERSON, EVENT)
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"batch": {}}',
        b'{"batch": [{"type": "person"}',
        b'{"batch": [{"a": NaN}]}',
        b'{"batch": ["\xff"]}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_batch_is_refused_as_a_whole(api: Api, raw: bytes) -> None:
    answer = api.call("POST", "/api/v2/batch", raw=raw)
    assert (answer.status, set(answer.json["errors"][0])) == (400, {"reason", "field", "message"})


def test_half_a_batch_is_no_batch(api: Api) -> None:
    good = json.dumps(PERSON).encode()
    assert (
        api.call(
            "POST", "/api/v2/batch", raw=b'{"batch": [' + good + b', {"type": "\xff"}]}'
        ).status
        == 400
    )
    assert list(api.client.effects()) == []


def sized_batch(size: int) -> bytes:
    events = [{**EVENT, "attributes": {"d": "x" * 20_000}} for _ in range(24)]
    document = json.dumps({"batch": [*events, PERSON]}).encode()
    return document[:-1] + b" " * (size - len(document)) + b"}"


def test_a_batch_must_be_smaller_than_500_kb(api: Api) -> None:
    assert api.call("POST", "/api/v2/batch", raw=sized_batch(499_999)).status == 200
    answer = api.call("POST", "/api/v2/batch", raw=sized_batch(500_000))
    assert (answer.status, answer.json["errors"][0]["field"]) == (400, "batch")
    assert api.client.summary()["operations"] == 25


def test_an_operation_of_a_batch_may_have_32_kb(api: Api) -> None:
    empty = len(json.dumps({**EVENT, "attributes": {"d": ""}}))
    fits, too_large = (
        {**EVENT, "attributes": {"d": "x" * (size - empty)}} for size in (32_000, 32_001)
    )
    answer = api.batch(fits, too_large)
    assert [error["batch_index"] for error in answer.json["errors"]] == [1]


def test_a_batch_may_have_1000_operations(api: Api) -> None:
    assert api.batch(*[PERSON] * 1000).status == 200
    assert api.batch(*[PERSON] * 1001).status == 400
    api.client.settings(batch_operations=2000)
    assert api.batch(*[PERSON] * 1001).status == 200


def test_a_body_must_be_called_json(api: Api) -> None:
    raw = json.dumps(PERSON).encode()
    assert api.call("POST", "/api/v2/entity", raw=raw, content_type=None).status == 400
    assert api.call("POST", "/api/v2/entity", raw=raw, content_type="text/plain").status == 400
    assert (
        api.call(
            "POST", "/api/v2/entity", raw=raw, content_type="Application/JSON; charset=utf-8"
        ).status
        == 200
    )


def test_a_body_larger_than_anything_the_api_takes_is_not_read(api: Api) -> None:
    assert api.call("POST", "/api/v2/batch", raw=b" " * 8_100_000).status == 413
