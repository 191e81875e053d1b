"""Each operation of the App API: its request, and the result of its answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from tests.support.scripted_app_api import KEY, Reply, reading, scripted
from trackrelay import ObjectRef, Person
from trackrelay.app_api import (
    Activity,
    AppApi,
    AppApiResponseError,
    AttributeMetadata,
    Device,
    EmailSuppression,
    EventMetadata,
    Message,
    ObjectMatch,
    ObjectProfile,
    ObjectType,
    PersonMatch,
    Profile,
    RelatedObject,
    RelatedPerson,
    Segment,
    Subscriptions,
    Topic,
    Workspace,
    attr,
)

pytestmark = pytest.mark.usefixtures("no_limit")

TIME = 1552341937
PHONE = Person(phone="+14155552671")


class Operation(NamedTuple):
    call: Callable[[AppApi], Any]
    #: Method and target, as they come over the wire.
    asked: str
    answer: Any
    result: Any
    body: Any = None


NAMED = {"email": "test@example.com", "id": "42", "cio_id": "a3000001"}
PERSON = PersonMatch("a3000001", "42", "test@example.com")
#: The published examples have numbers where their schema has text.
NUMBERED = {"id": 2, "email": None, "cio_id": 3000002}
CUSTOMER = {
    "customer": {
        "id": "1",
        "attributes": {"cio_id": "03000001", "id": "1", "email": None, "plan": "pro", "n": 5},
        "timestamps": {"cio_id": 1489014595, "plan": "1528932553"},
        "unsubscribed": False,
        "devices": [
            {
                "id": "token",
                "platform": "ios",
                "last_used": TIME,
                "attributes": {"push_enabled": "true"},
            }
        ],
    }
}
PROFILE = Profile(
    "1",
    "03000001",
    None,
    {"cio_id": "03000001", "id": "1", "plan": "pro", "n": "5"},
    {"cio_id": 1489014595, "plan": 1528932553},
    False,
    (Device("token", "ios", TIME, {"push_enabled": "true"}),),
)
SEGMENT = {
    "id": 7,
    "deduplicate_id": "15:1492548073",
    "name": "Manual",
    "description": "d",
    "state": "finished",
    "progress": None,
    "type": "manual",
    "tags": ["a"],
    "created_at": TIME,
    "updated_at": TIME,
}
FOUND_SEGMENT = Segment(
    7, "Manual", "d", "manual", "finished", None, ("a",), TIME, TIME, "15:1492548073"
)
ACTIVITY = {
    "customer_id": "42",
    "customer_identifiers": NAMED,
    "data": {"plan": {"from": "free", "to": "pro"}},
    "delivery_id": "d",
    "delivery_type": "email",
    "id": "01AK",
    "timestamp": 1397566226,
    "type": "attribute_change",
}
FOUND_ACTIVITY = Activity(
    "01AK",
    "attribute_change",
    1397566226,
    None,
    None,
    "42",
    "a3000001",
    "test@example.com",
    {"plan": {"from": "free", "to": "pro"}},
    "d",
    "email",
)
SUPPRESSED = {
    "category": "bounces",
    "suppressions": [{"created": TIME, "email": "b@example.com", "reason": "r", "status": 550}],
}
FOUND_SUPPRESSED = EmailSuppression("b@example.com", "bounces", "r", "550", TIME)

OPERATIONS = {
    "getPeopleEmail": Operation(
        lambda api: list(api.people(email="jane+x y@example.com")),
        "GET /v1/customers?email=jane%2Bx%20y%40example.com",
        {"results": [NAMED]},
        [PERSON],
    ),
    "getPeopleFilter": Operation(
        lambda api: list(api.people(where=attr("plan") == "pro", limit=2, start="a+b/c=")),
        "POST /v1/customers?start=a%2Bb%2Fc%3D&limit=2",
        {"identifiers": [NAMED, NUMBERED, NAMED], "ids": [42, 2], "next": "MDox"},
        [PERSON, PersonMatch("3000002", "2")],
        {"filter": {"attribute": {"field": "plan", "operator": "eq", "value": "pro"}}},
    ),
    "getPeopleById": Operation(
        lambda api: list(api.people_by_ids([PHONE, PHONE])),
        "POST /v1/customers/attributes?id_type=phone",
        {"customers": [CUSTOMER]},
        [PROFILE],
        {"ids": ["+14155552671"]},
    ),
    "getPersonAttributes": Operation(
        lambda api: api.attributes(PHONE),
        "GET /v1/customers/%2B14155552671/attributes?id_type=phone",
        CUSTOMER,
        PROFILE,
    ),
    "getPersonRelationships": Operation(
        lambda api: list(api.relationships("a/b%2F?é")),
        "GET /v1/customers/a%2Fb%252F%3F%C3%A9/relationships?limit=100",
        {
            "cio_relationships": [
                {
                    "object_type_id": 1,
                    "identifiers": {"object_id": "acme", "cio_object_id": "ob020101"},
                    "attributes": {"role": "admin", "n": 1},
                    "timestamps": {"role": TIME},
                }
            ],
            "next": "",
        },
        [RelatedObject("1", "acme", "ob020101", {"role": "admin", "n": 1}, {"role": TIME})],
    ),
    "getPersonSegments": Operation(
        lambda api: api.segments("42"),
        "GET /v1/customers/42/segments",
        {"segments": [{"id": 7, "name": "Manual", "description": "d"}]},
        [Segment(7, "Manual", "d")],
    ),
    "getPersonMessages": Operation(
        lambda api: list(
            api.messages("42", start_ts=1, end_ts=datetime(2026, 1, 1, tzinfo=UTC), page_size=50)
        ),
        "GET /v1/customers/42/messages?start_ts=1&end_ts=1767225600&limit=50",
        {
            "messages": [
                {
                    "id": "Z==",
                    "deduplicate_id": "15:1",
                    "customer_id": "42",
                    "campaign_id": 5,
                    "action_id": 96,
                    "recipient": "test@example.com",
                    "subject": "s",
                    "metrics": {"sent": TIME, "delivered": None},
                    "created": TIME,
                    "failure_message": None,
                    "newsletter_id": None,
                    "type": "email",
                    "forgotten": False,
                }
            ]
        },
        [
            Message(
                "Z==",
                "email",
                "test@example.com",
                "s",
                TIME,
                {"sent": TIME},
                None,
                "42",
                5,
                96,
                deduplicate_id="15:1",
            )
        ],
    ),
    "getPersonActivities": Operation(
        lambda api: list(api.activities(Person(cio_id="03000010"), type="event", name="a b&c")),
        "GET /v1/customers/03000010/activities?id_type=cio_id&type=event&name=a%20b%26c&limit=100",
        {"activities": [ACTIVITY]},
        [FOUND_ACTIVITY],
    ),
    "getPersonSubscriptionPreferences": Operation(
        lambda api: api.subscriptions(Person(email="me@example.com"), language="de"),
        "GET /v1/customers/me%40example.com/subscription_preferences?id_type=email&language=de",
        {
            "customer": {
                "id": "1",
                "identifiers": {"cio_id": "01000001", "email": "me@example.com", "id": "1"},
                "topics": [{"id": 1, "subscribed": True, "name": "Offers", "description": "d"}],
                "unsubscribed": False,
                "header": {"title": "t", "subtitle": "s"},
            }
        },
        Subscriptions(
            "1", "01000001", "me@example.com", False, (Topic("1", True, "Offers", "d"),), "t", "s"
        ),
    ),
    "getObjectTypes": Operation(
        lambda api: api.object_types(),
        "GET /v1/object_types",
        {"types": [{"enabled": True, "icon": "c", "id": "1", "name": "Concerts", "slug": "cs"}]},
        [ObjectType("1", "Concerts", None, "cs", None, True, "c")],
    ),
    "getObjectsFilter": Operation(
        lambda api: list(api.objects(1, start="0", limit=10)),
        "POST /v1/objects?start=0&limit=10",
        {"identifiers": [{"cio_object_id": "ob1", "object_id": "ae"}], "ids": ["ae"]},
        [ObjectMatch("1", "ae", "ob1")],
        {
            "object_type_id": "1",
            "filter": {
                "not": {
                    "object_attribute": {
                        "field": "trackrelay_no_such_attribute",
                        "operator": "exists",
                        "type_id": "1",
                    }
                }
            },
        },
    ),
    "getObjectRelationships": Operation(
        lambda api: list(api.relationships(ObjectRef(cio_object_id="ob/1"), type=1, page_size=7)),
        "GET /v1/objects/1/ob%2F1/relationships?id_type=cio_object_id&limit=7",
        {
            "cio_relationships": [
                {"identifiers": NAMED, "object_type_id": "1", "object_type_disabled": False}
            ]
        },
        [RelatedPerson("1", "a3000001", "42", "test@example.com")],
    ),
    "getObjectAttributes": Operation(
        lambda api: api.object_attributes(ObjectRef(1, "ac me")),
        "GET /v1/objects/1/ac%20me/attributes",
        {
            "object": {
                "attributes": {"name": "acme", "n": [1]},
                "timestamps": {"name": TIME},
                "identifiers": {"cio_object_id": "ob1", "id": "acme"},
                "object_type_id": "1",
            }
        },
        ObjectProfile("1", "acme", "ob1", {"name": "acme", "n": [1]}, {"name": TIME}),
    ),
    "listSegments": Operation(
        lambda api: api.segments(), "GET /v1/segments", {"segments": [SEGMENT]}, [FOUND_SEGMENT]
    ),
    "getSegment": Operation(
        lambda api: api.segment(7).get(),
        "GET /v1/segments/7",
        {"segment": SEGMENT},
        FOUND_SEGMENT,
    ),
    "getSegmentCount": Operation(
        lambda api: api.segment(7).count(),
        "GET /v1/segments/7/customer_count",
        {"segment_id": 7, "count": 42},
        42,
    ),
    "getSegmentMembership": Operation(
        lambda api: list(api.segment(7).members(page_size=30_000)),
        "GET /v1/segments/7/membership?limit=30000",
        {"segment_id": 7, "ids": ["42", ""], "identifiers": [NAMED, {"id": "", "cio_id": "b"}]},
        [PERSON, PersonMatch("b", None)],
    ),
    "listActivities": Operation(
        lambda api: list(api.activities(Person(cio_id="cio_03"), deleted=True, limit=3)),
        "GET /v1/activities?deleted=true&customer_id=cio_03&id_type=cio_id&limit=3",
        {"activities": [ACTIVITY], "next": None},
        [FOUND_ACTIVITY],
    ),
    "listWorkspaces": Operation(
        lambda api: api.workspaces(),
        "GET /v1/workspaces",
        {"workspaces": [{"id": 130001, "name": "W", "people": 5, "billable_messages_sent": 7}]},
        [Workspace("130001", "W", 5, None, None, None, 7)],
    ),
    "updateAttributeMetadata": Operation(
        lambda api: api.write_attribute_metadata([AttributeMetadata("a", "d", 0)]),
        "POST /v1/data_index/attributes",
        None,
        None,
        {"attributes": [{"name": "a", "description": "d", "privacy_level": 0}]},
    ),
    "updateEventMetadata": Operation(
        lambda api: api.write_event_metadata([EventMetadata("e")]),
        "POST /v1/data_index/events",
        None,
        None,
        {"events": [{"name": "e"}]},
    ),
    "getSuppression": Operation(
        lambda api: api.email_suppression("b+c@example.com"),
        "GET /v1/esp/search_suppression/b%2Bc%40example.com",
        SUPPRESSED,
        [FOUND_SUPPRESSED],
    ),
    "getSuppressionByType": Operation(
        lambda api: list(api.email_suppressions("bounces", limit=1)),
        "GET /v1/esp/suppression/bounces?offset=0&limit=1",
        SUPPRESSED,
        [FOUND_SUPPRESSED],
    ),
    "getDomainSuppressionsByType": Operation(
        lambda api: list(
            api.email_suppressions("blocks", domain="mail.example.com", email="b@example.com")
        ),
        "GET /v1/esp/domains/mail.example.com/suppression/blocks?email=b%40example.com&limit=1000",
        SUPPRESSED,
        [FOUND_SUPPRESSED],
    ),
}


def test_all_operations_are_here() -> None:
    assert len(OPERATIONS) == 24


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_asked_as_described_and_its_answer_read(name: str) -> None:
    operation = OPERATIONS[name]
    reply = Reply(operation.answer) if operation.answer is not None else Reply(status=204)
    with scripted([reply]) as server, reading(server.url) as api:
        assert operation.call(api) == operation.result
    (asked,) = server.asked
    assert f"{asked.method} {asked.target}" == operation.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    if operation.body is None:
        assert asked.body == b""
    else:
        assert asked.json == operation.body
        assert asked.headers["content-type"] == "application/json"


def strange(value: Any) -> list[Any]:
    """Every copy of a document in which one value has another type."""
    if isinstance(value, dict):
        inner = [{**value, key: each} for key in value for each in strange(value[key])]
    elif isinstance(value, list):
        inner = [[each, *value[1:]] for each in (strange(value[0]) if value else [])]
    else:
        return [{"x": {}}, [[]], True if isinstance(value, str) else "x y"]
    return [*inner, "x", 3, [[3]]]


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if each.answer])
def test_an_answer_with_a_wrong_type_is_an_error_or_is_read_and_quotes_nothing(name: str) -> None:
    operation = OPERATIONS[name]
    documents = strange(operation.answer)
    current: list[Any] = [None]
    messages = []
    with (
        scripted(lambda _: Reply(current[0])) as server,
        reading(server.url) as api,
    ):
        for document in documents:
            current[0] = document
            with contextlib.suppress(AppApiResponseError):
                operation.call(api)
                continue
            with pytest.raises(AppApiResponseError) as refused:
                operation.call(api)
            messages.append(str(refused.value))
    assert len(messages) > len(documents) / 3
    assert [each for each in messages if len(each) > 400 or "x y" in each or "@" in each] == []
