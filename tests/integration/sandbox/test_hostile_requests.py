"""Hostile requests are answered with a 4xx, and the sandbox keeps working."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.sandbox_api import Api

PERSON: dict[str, Any] = {"type": "person", "action": "identify", "identifiers": {"id": "42"}}
DEPTHS = [100, 500, 900, 990, 5_000, 200_000]
V2 = [
    b'{"type":"person","action":"identify","identifiers":{"id":"1"},"attributes":{"a":%s}}',
    b"%s",
]
ENDPOINTS = [
    ("POST", "/api/v2/entity", V2[0]),
    (
        "POST",
        "/api/v2/entity",
        b'{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"a"},"attributes":{"a":%s}}',
    ),
    (
        "POST",
        "/api/v2/entity",
        b'{"type":"person","action":"event","name":"a","identifiers":{"id":"1"},"attributes":{"a":%s}}',
    ),
    ("POST", "/api/v2/batch", b'{"batch":[' + V2[0] + b"]}"),
    ("POST", "/api/v2/batch", b'{"batch":%s}'),
    ("PUT", "/api/v1/customers/1", b'{"a":%s}'),
    ("PUT", "/api/v1/customers/1", b'{"cio_subscription_preferences":{"topics":%s}}'),
    ("POST", "/api/v1/customers/1/events", b'{"name":"a","data":{"a":%s}}'),
    ("POST", "/api/v1/forms/f/submit", b'{"data":{"id":"1","a":%s}}'),
    ("POST", "/api/v1/segments/1/add_customers", b'{"ids":%s}'),
    ("POST", "/api/v1/metrics", b'{"delivery_id":"d","metric":"opened","more":%s}'),
    ("POST", "/v1/customers", b'{"filter":%s}'),
    ("POST", "/_sandbox/faults", b'{"kind":"status","match":%s}'),
    ("POST", "/_sandbox/outage", b"%s"),
    ("PUT", "/_sandbox/settings", b'{"region":%s}'),
    ("PUT", "/_sandbox/credentials", b'{"other":%s}'),
    ("PUT", "/_sandbox/deliveries/d", b"%s"),
]


def lists(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def objects(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def filters(depth: int) -> bytes:
    return b'{"not":' * depth + b'{"attribute":{"field":"a","operator":"exists"}}' + b"}" * depth


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("nested", [lists, objects, filters])
def test_what_is_nested_however_deep_is_taken_or_refused(api: Api, depth: int, nested: Any) -> None:
    for method, path, body in ENDPOINTS:
        auth = f"Bearer {api.server.app_api_key}" if path.startswith("/v1") else ""
        answer = api.call(method, path, raw=body % nested(depth), auth=auth)
        assert answer.status in (200, 204, 207, 400, 413), (method, path, answer)
    for look in (
        "people",
        "objects",
        "effects?ignored=1",
        "requests",
        "others",
        "latest",
        "people/id%3A1",
    ):
        assert api.call("GET", f"/_sandbox/{look}", auth=None).status in (200, 404), look
    shown = api.call("GET", "/v1/customers/1/attributes", auth=f"Bearer {api.server.app_api_key}")
    assert shown.status in (200, 404)


BODIES = [
    b"",
    b"null",
    b"[]",
    b"1",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b'"\xff"',
    b'{"a":"\\ud800"}',
    b"[" + b"9" * 5_000 + b"]",
    b"9" * 5_000,
    b"1e400",
    b'{"kind":"status","retry_after":"1\\r\\nx: y"}',
    b'{"kind":"redirect","location":"http://\xc3\xa9"}',
    b'{"kind":"delay","seconds":1e308}',
    b'{"kind":"delay","seconds":-1}',
    b'{"kind":"reject","errors":0}',
    b'{"kind":"reject","errors":1000000000}',
    b'{"latency_s":1e308}',
    b'{"latency_s":-1}',
    b'{"retry_after":"\\n"}',
    b'{"batch":null}',
    b'{"batch":{}}',
    b'{"batch":[null,1,"a",[]]}',
    b'{"identifiers":{"id":' + b"9" * 5_000 + b"}}",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:40]))
def test_no_body_is_too_strange(api: Api, body: bytes) -> None:
    control = ["faults", "outage", "settings", "credentials", "deliveries/d"]
    for method, path in [(m, p) for m, p, _ in ENDPOINTS] + [
        (m, f"/_sandbox/{p}") for p in control for m in ("POST", "PUT", "DELETE")
    ]:
        api.client.clear_faults()
        assert api.call(method, path, raw=body).status < 500, (method, path)
        api.call(
            "PUT",
            "/_sandbox/credentials",
            {"site_id": api.server.site_id, "api_key": api.server.api_key},
        )
    api.client.reset()
    assert api.entity(**PERSON).status == 200


NUMBERS = ["\u00b2", "9" * 5_000, "-1", "1e5", ""]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:5])
def test_no_number_in_a_query_is_too_strange(api: Api, number: str) -> None:
    for path in ("people?after=", "effects?limit=", "requests?after=", "people?limit="):
        assert api.call("GET", f"/_sandbox/{path}{quote(number)}").status == 200
    app = api.call(
        "GET",
        f"/v1/objects/1/a/relationships?start={quote(number)}",
        auth=f"Bearer {api.server.app_api_key}",
    )
    assert app.status < 500
    for start in ("start", "limit"):
        answer = api.app(
            "POST", f"/v1/customers?{start}={quote(number)}", {"filter": {"segment": {"id": 1}}}
        )
        assert answer.status in (200, 400)


PATHS = [
    "/%",
    "/%ff",
    "/%00",
    "/..",
    "//",
    "/api/v1/customers/%ff",
    "/api/v1/customers/%00/events",
    "/api/v1/segments/" + "9" * 5_000 + "/add_customers",
    "/_sandbox/people/%ff",
    "/_sandbox/people/%00",
    "/_sandbox/faults/" + "9" * 5_000 + "",
    "/_sandbox/deliveries/%ff",
    "/_sandbox/..",
    "/v1/customers/%ff/attributes",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:30])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_no_path_is_too_strange(api: Api, path: str, method: str) -> None:
    assert api.call(method, path, {}).status < 500
