"""Every operation of the App API is answered as its description says.

Every status, parameter and schema is compared.

The facts of the description are in `tests/support/app_api.json`; `description_facts` explains where
they come from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.support.description import original_app_document
from tests.support.description_facts import APP_FACTS, reduce_with_answers, write
from tests.support.sandbox_api import Api
from tests.support.skips import NO_ORIGINAL
from trackrelay.sandbox.app_api.app_endpoints import APP_ENDPOINTS

FACTS: dict[str, Any] = json.loads(APP_FACTS.read_text("utf-8"))
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), template, operation)
    for template, methods in FACTS["paths"].items()
    for method, operation in methods.items()
}

EMAIL, PHONE, ULID = "ada%40example.com", "%2B14155552671", "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"
PRO = {"attribute": {"field": "plan", "operator": "eq", "value": "pro"}}
BIG = {"object_attribute": {"field": "size", "operator": "exists", "type_id": "1"}}
MANY = {"attributes": [{"name": str(n)} for n in range(101)]}
SOON = int(time.time()) + 3600


class Sent(NamedTuple):
    """A request, the status that it must get, and the part of the answer that shows its effect."""

    operation: str
    path: str
    body: Any = None
    status: int = 200
    #: How many entries the answer's list has; None: it has no list, or any number.
    count: int | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


# fmt: off
SENT = [
    Sent("getPeopleEmail", f"/v1/customers?email={EMAIL}", count=1),
    Sent("getPeopleEmail", "/v1/customers?email=ada+tag@example.com", count=0),
    Sent("getPeopleFilter", "/v1/customers", {"filter": PRO}, count=2),
    Sent("getPeopleFilter", "/v1/customers?limit=1", {"filter": PRO}, count=1),
    Sent("getPeopleFilter", "/v1/customers?start={next}&limit=1", {"filter": PRO}, count=1),
    Sent("getPeopleFilter", "/v1/customers",
        {"filter": {"and": [PRO, {"not": {"segment": {"id": 7}}}]}}, count=1),
    Sent("getPeopleFilter", "/v1/customers", {"filter": {"segment": {"id": 8}}}, count=2),
    Sent("getPeopleById", "/v1/customers/attributes", {"ids": ["1", "nobody"]}, count=1),
    Sent("getPeopleById", "/v1/customers/attributes?id_type=email", {"ids": ["ada@example.com"]},
        count=1),
    Sent("getPeopleById", "/v1/customers/attributes?id_type=phone", {"ids": ["+14155552671"]},
        count=1),
    Sent("getPeopleById", "/v1/customers/attributes?id_type=cio_id",
        {"ids": ["{cio_id}", "cio_{cio_id}"]}, count=2),
    Sent("getPeopleById", "/v1/customers/attributes", {"ids": []}, 400),
    Sent("getPeopleById", "/v1/customers/attributes", {"ids": ["1"] * 101}, 400),
    *(
        each
        for operation, rest, more in (
            ("getPersonAttributes", "attributes", ""),
            ("getPersonRelationships", "relationships", ""), ("getPersonSegments", "segments", ""),
            ("getPersonMessages", "messages", ""), ("getPersonActivities", "activities", ""),
            ("getPersonSubscriptionPreferences", "subscription_preferences", ""),
        )
        for each in (
            Sent(operation, f"/v1/customers/1/{rest}{more}"),
            Sent(operation, f"/v1/customers/{EMAIL}/{rest}?id_type=email"),
            Sent(operation, f"/v1/customers/{PHONE}/{rest}?id_type=phone"),
            Sent(operation, f"/v1/customers/cio_{{cio_id}}/{rest}?id_type=cio_id"),
            Sent(operation, f"/v1/customers/nobody/{rest}", status=404),
        )
    ),
    Sent("getPersonAttributes", "/v1/customers/no-id%40example.com/attributes?id_type=email"),
    Sent("getPersonSubscriptionPreferences",
        "/v1/customers/no-id%40example.com/subscription_preferences?id_type=email"),
    Sent("getPersonMessages", "/v1/customers/no-id%40example.com/messages?id_type=email", count=1),
    Sent("getPersonRelationships", "/v1/customers/1/relationships?limit=1", count=1),
    Sent("getPersonRelationships", "/v1/customers/1/relationships?limit=1&start={next}", count=1),
    Sent("getPersonMessages", "/v1/customers/1/messages?limit=1", count=1),
    Sent("getPersonMessages", "/v1/customers/1/messages?limit=1&start={next}", count=1),
    Sent("getPersonMessages", f"/v1/customers/1/messages?start_ts=1&end_ts={SOON}", count=2),
    Sent("getPersonMessages", "/v1/customers/1/messages?start_ts=1&end_ts=2", count=0),
    Sent("getPersonActivities", "/v1/customers/1/activities?type=event&name=order_placed", count=1),
    Sent("getPersonActivities", "/v1/customers/1/activities?type=attribute_change&name=plan",
        count=1),
    Sent("getPersonActivities", "/v1/customers/1/activities?limit=1", count=1),
    Sent("getPersonActivities", "/v1/customers/1/activities?limit=1&start={next}", count=1),
    Sent("getPersonActivities", "/v1/customers/1/activities?type=_o:x", status=400),
    Sent("getPersonSubscriptionPreferences",
        "/v1/customers/1/subscription_preferences?language=de"),
    Sent("getPersonSubscriptionPreferences", "/v1/customers/1/subscription_preferences",
        headers={"Accept-Language": "de"}),
    Sent("getPersonSubscriptionPreferences",
        "/v1/customers/1/subscription_preferences?id_type=name", status=400),
    Sent("getObjectTypes", "/v1/object_types", count=2),
    Sent("getObjectsFilter", "/v1/objects", {"object_type_id": "1", "filter": BIG}, count=2),
    Sent("getObjectsFilter", "/v1/objects?limit=1", {"object_type_id": "1", "filter": BIG},
        count=1),
    Sent("getObjectsFilter", "/v1/objects?limit=1&start={next}",
        {"object_type_id": "1", "filter": BIG}, count=1),
    Sent("getObjectRelationships", "/v1/objects/1/acme/relationships?limit=1&id_type=object_id",
        count=1),
    Sent("getObjectRelationships", "/v1/objects/1/acme/relationships?limit=1&start={next}",
        count=1),
    Sent("getObjectRelationships",
        "/v1/objects/1/{cio_object_id}/relationships?id_type=cio_object_id", count=2),
    Sent("getObjectAttributes", "/v1/objects/1/acme/attributes?id_type=object_id"),
    Sent("getObjectAttributes", "/v1/objects/1/{cio_object_id}/attributes?id_type=cio_object_id"),
    Sent("listSegments", "/v1/segments", count=2),
    Sent("getSegment", "/v1/segments/7"),
    Sent("getSegment", "/v1/segments/9", status=404),
    Sent("getSegmentCount", "/v1/segments/8/customer_count"),
    Sent("getSegmentCount", "/v1/segments/9/customer_count", status=404),
    Sent("getSegmentMembership", "/v1/segments/7/membership", count=2),
    Sent("getSegmentMembership", "/v1/segments/7/membership?limit=1", count=1),
    Sent("getSegmentMembership", "/v1/segments/7/membership?limit=1&start={next}", count=1),
    Sent("getSegmentMembership", "/v1/segments/9/membership", status=404),
    Sent("listActivities", "/v1/activities?limit=100"),
    Sent("listActivities", "/v1/activities?limit=1&type=attribute_change", count=1),
    Sent("listActivities", "/v1/activities?limit=1&type=attribute_change&start={next}", count=1),
    Sent("listActivities", "/v1/activities?type=event&name=order_placed", count=2),
    Sent("listActivities", f"/v1/activities?customer_id={EMAIL}&id_type=email&type=device_change",
        count=1),
    Sent("listActivities", f"/v1/activities?customer_id={PHONE}&id_type=phone&type=device_change",
        count=1),
    Sent("listActivities",
        "/v1/activities?customer_id=cio_{cio_id}&id_type=cio_id&type=device_change", count=1),
    Sent("listActivities", "/v1/activities?deleted=true&type=profile_delete", count=1),
    Sent("listActivities", "/v1/activities?deleted=false&type=profile_delete", count=0),
    *(
        Sent("listActivities", f"/v1/activities?type={type}", count=count)
        for type, count in (
            ("failed_attribute_change", 2), ("failed_event", 1), ("skipped_update", 1),
            ("_o:1:create", 2), ("_o:1:add_relationship", 3), ("add_relationship", 3),
            ("_r:1:attribute_change", 2), ("relationship_attribute_change", 2),
            ("profile_create", 3), ("device_change", 1), ("anon_merge", 1), ("page", 1),
            ("screen", 1),
            ("sent_email", 2), ("opened_email", 1), ("_o:1:attribute_change", 2),
        )
    ),
    Sent("listWorkspaces", "/v1/workspaces", count=1),
    Sent("updateAttributeMetadata", "/v1/data_index/attributes",
        {"attributes": [{"name": "plan", "description": "What they pay for", "privacy_level": 1}]},
        204),
    Sent("updateAttributeMetadata", "/v1/data_index/attributes", {"attributes": "plan"}, 400),
    Sent("updateAttributeMetadata", "/v1/data_index/attributes", {"attributes": []}, 422),
    Sent("updateAttributeMetadata", "/v1/data_index/attributes", MANY, 422),
    Sent("updateAttributeMetadata", "/v1/data_index/attributes",
        {"attributes": [{"name": "plan", "privacy_level": 2}]}, 422),
    Sent("updateEventMetadata", "/v1/data_index/events",
        {"events": [{"name": "order_placed", "description": "They bought"}]}, 204),
    Sent("updateEventMetadata", "/v1/data_index/events", {}, 400),
    Sent("updateEventMetadata", "/v1/data_index/events",
        {"events": [{"name": "a", "description": "x" * 256}]}, 422),
    Sent("getSuppression", "/v1/esp/search_suppression/bo%40example.com", count=1),
    Sent("getSuppression", "/v1/esp/search_suppression/nobody%40example.com", count=0),
    Sent("getSuppressionByType", "/v1/esp/suppression/bounces", count=3),
    Sent("getSuppressionByType", "/v1/esp/suppression/bounces?limit=2&offset=2&domain=example.com",
        count=1),
    Sent("getSuppressionByType", "/v1/esp/suppression/spam_reports", count=1),
    Sent("getDomainSuppressionsByType", "/v1/esp/domains/example.com/suppression/bounces?limit=2",
        count=2),
    Sent("getDomainSuppressionsByType",
        "/v1/esp/domains/example.com/suppression/bounces?limit=2&start={next}", count=1),
    Sent("getDomainSuppressionsByType",
        "/v1/esp/domains/example.com/suppression/bounces?email=bo%40example.com", count=1),
]
# fmt: on


def resolved(node: Any) -> Any:
    """Replace every reference in a node by its target."""
    if isinstance(node, list):
        return [resolved(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return resolved(FACTS["components"]["schemas"][node["$ref"].rpartition("/")[2]])
    return {name: resolved(value) for name, value in node.items()}


def violations(operation: str, status: int, body: bytes) -> list[str]:
    """Return what the description has against an answer; empty if nothing."""
    answers = OPERATIONS[operation][2]["responses"]
    if str(status) not in answers:
        return [f"{operation} does not declare {status}"]
    content = answers[str(status)].get("content")
    if content is None:
        return [f"{operation} declares no body for {status}: {body[:200]!r}"] if body else []
    schema = resolved(content["application/json"]["schema"])
    checks = jsonschema.FormatChecker(formats=["email"])
    validator = jsonschema.Draft202012Validator(schema, format_checker=checks)
    found = [
        f"{error.json_path}: {error.message[:300]}"
        for error in validator.iter_errors(json.loads(body))
    ]
    undescribed = set(json.loads(body)) - set(_properties(schema)) - {"next"}
    return found + [f"{name} is not described" for name in undescribed]


def _properties(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema.get("properties", ())
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _properties(branch)


@pytest.fixture
def workspace(api: Api) -> Api:
    """A workspace that has something of everything."""
    client = api.client
    client.define_segment({"event": {"name": "order_placed"}}, id=8, name="Buyers")
    client.define_segment(id=7, name="Friends", description="People we like", tags=["a"])
    client.set_topics(
        [{"id": "1", "name": "News", "translations": {"de": {"name": "Neues"}}}], title="Yours"
    )
    client.set_object_type(2, name="Concerts", enabled=False)
    api.track({"id": "bo"}, "order_placed", id=ULID)
    api.identify({"id": "1"}, email="ada@example.com", plan="pro", age=36, anonymous_id="anon")
    api.identify({"id": "1"}, phone="+14155552671")
    api.identify({"email": "no-id@example.com"}, plan="pro", unsubscribed=True)
    api.identify({"id": "1"}, cio_subscription_preferences={"topics": {"topic_1": False}})
    api.call("POST", "/api/v1/events", {"anonymous_id": "later", "name": "seen"})
    api.identify({"id": "bo"}, anonymous_id="later")
    api.track({"id": "1"}, "order_placed")
    for action in ("page", "screen"):
        api.entity(
            type="person", action=action, identifiers={"id": "1"}, name="https://example.com"
        )
    device = {"token": "t", "platform": "ios", "attributes": {"push_enabled": "true"}}
    api.entity(type="person", action="add_device", identifiers={"id": "1"}, device=device)
    for object_id, people in (("acme", ("1", "bo")), ("zeta", ("1",))):
        related = [
            {"identifiers": {"id": each}, "relationship_attributes": {"role": "admin"}}
            for each in people
        ]
        api.entity(
            type="object",
            action="identify",
            identifiers={"object_type_id": "1", "object_id": object_id},
            attributes={"size": 3, "since": None},
            cio_relationships=related[:1] if object_id == "acme" else related,
        )
    api.entity(
        type="object",
        action="add_relationships",
        identifiers={"object_type_id": "1", "object_id": "acme"},
        cio_relationships=[{"identifiers": {"id": "bo"}}],
    )
    api.identify({"id": "bo"}, email="ada@example.com")
    api.identify({"cio_id": "unknown"}, plan="pro")
    api.track({"cio_id": "unknown"}, "order_placed")
    api.identify({"id": "gone"})
    api.entity(type="person", action="suppress", identifiers={"id": "gone"})
    api.identify({"id": "gone"}, plan="pro")
    api.call(
        "POST", "/api/v1/segments/7/add_customers?id_type=email", {"ids": ["no-id@example.com"]}
    )
    api.call("POST", "/api/v1/segments/7/add_customers", {"ids": ["bo"]})
    for delivery_id in ("d1", "d2"):
        client.set_recipient(delivery_id, "id:1", type="email", subject="Hello")
    client.set_recipient("d3", "email:no-id@example.com", type="push")
    api.call("POST", "/api/v1/metrics", {"delivery_id": "d1", "metric": "opened"})
    for name in ("bo", "cy", "di"):
        client.add_esp_suppression(f"{name}@example.com", "bounces")
    client.add_esp_suppression("ed@example.com", "spam_reports", domain="example.org")
    return api


def test_every_answer_is_as_described(workspace: Api) -> None:
    named = {
        "{cio_id}": workspace.person("id:1")["cio_id"],
        "{cio_object_id}": workspace.client.objects()[0]["cio_object_id"],
        "{next}": "",
    }
    problems = []
    for sent in SENT:
        path, body = sent.path, json.dumps(sent.body)
        for name, value in named.items():
            path, body = path.replace(name, value), body.replace(name, value)
        method = OPERATIONS[sent.operation][0]
        answer = workspace.app(method, path, json.loads(body), more_headers=sent.headers)
        found = violations(sent.operation, answer.status, answer.body)
        if answer.status != sent.status:
            found.append(f"the status is {answer.status}, not {sent.status}: {answer.body[:300]!r}")
        elif answer.status == 200:
            named["{next}"] = answer.json.get("next", "")
            lists = [value for value in answer.json.values() if isinstance(value, list)]
            if sent.count is not None and {len(each) for each in lists} != {sent.count}:
                found.append(f"{[len(each) for each in lists]} entries, not {sent.count}")
        problems += [f"{sent.operation} {path}: {each}" for each in found]
    assert "\n".join(problems) == ""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_credentials_limit_and_outage_end_as_described(api: Api, operation: str) -> None:
    method, template, described = OPERATIONS[operation]
    path = template.replace("{suppression_type}", "bounces")
    refused = api.call(method, path, {}, auth="Bearer another")
    # Most operations do not declare the 401 that is to be expected everywhere.
    assert (refused.status, refused.body) == (401, b"")
    answers = described["responses"]
    if "429" in answers:
        api.client.settings(app_rate_limit=1)
        limited = [api.app(method, path, {}) for _ in range(9)][-1]
        assert (limited.status, violations(operation, 429, limited.body)) == (429, [])
    if "500" in answers:
        api.client.add_fault(kind="status", status=500, match={"path": "/v1"})
        broken = api.app(method, path, {})
        assert (broken.status, violations(operation, 500, broken.body)) == (500, [])


def test_nothing_that_is_declared_was_left_out() -> None:
    elsewhere = {"401", "429", "500"}
    for operation, (_, template, described) in OPERATIONS.items():
        sent = [each for each in SENT if each.operation == operation]
        statuses = {str(each.status) for each in sent}
        assert statuses == set(described["responses"]) - elsewhere, operation
        for parameter in described["parameters"]:
            name = parameter["name"]
            values = parameter["schema"].get("enum", [""]) if name == "id_type" else [""]
            for value in values:
                assert value == "id" or any(
                    f"{name}={value}" in each.path
                    or f"{{{name}}}" in template
                    or name in each.headers
                    for each in sent
                ), (operation, name, value)


def test_the_table_of_the_sandbox_is_the_description() -> None:
    rows = {each.name: (each.method, each.template, each.is_limited) for each in APP_ENDPOINTS}
    assert rows == {
        name: (method, template, "429" in operation["responses"])
        for name, (method, template, operation) in OPERATIONS.items()
    }


@pytest.mark.parametrize(
    ("operation", "status", "body"),
    [
        ("getPeopleEmail", 200, b'{"results": [{"id": 1, "email": null, "cio_id": "a"}]}'),
        ("getPeopleEmail", 200, b'{"people": []}'),
        ("getPeopleEmail", 404, b""),
        ("getPersonAttributes", 404, b"{}"),
        ("listActivities", 200, b'{"activities": [{"type": "_o:x:create"}]}'),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(
    operation: str, status: int, body: bytes
) -> None:
    assert violations(operation, status, body)


def test_the_facts_are_those_of_the_original() -> None:
    document = original_app_document()
    if document is None:
        pytest.skip(NO_ORIGINAL)
    assert write(reduce_with_answers(document)) == APP_FACTS.read_text("utf-8")
