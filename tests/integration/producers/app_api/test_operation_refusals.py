"""Calls of the App API that make no sense, and refusals of Customer.io."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.support.scripted_app_api import Reply, reading, scripted
from trackrelay import InvalidOperationError, ObjectRef, Person, configure
from trackrelay.app_api import (
    AppApi,
    AppApiCallError,
    AppApiRequestError,
    AttributeMetadata,
    EventMetadata,
    attr,
)

pytestmark = pytest.mark.usefixtures("no_limit")


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_would_lead_to_another_address_is_refused(name: str) -> None:
    with scripted([Reply({})]) as server, reading(server.url) as api:
        with pytest.raises(InvalidOperationError, match="a path and not a name"):
            api.attributes(name)
        with pytest.raises(InvalidOperationError, match="a path and not a name"):
            api.object_attributes(ObjectRef(1, name))
        with pytest.raises(AppApiCallError, match="another address"):
            api.email_suppressions("blocks", domain=name)
        assert server.asked == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda api: api.people(), "either email= or where="),
        (lambda api: api.people(email="a@b.c", where=attr("a").exists()), "either email= or"),
        (lambda api: api.people(email=""), "needs an address"),
        (lambda api: api.people(where={}), "an empty dict"),
        (lambda api: api.people(where=attr("a").exists(), limit=0), "limit must be at least 1"),
        (lambda api: api.people(where=attr("a").exists(), page_size=1001), "at most 1,000"),
        (lambda api: api.activities(page_size=101), "at most 100; it is 101"),
        (lambda api: api.activities(limit="5"), "not a str"),
        (lambda api: api.attributes(Person(anonymous_id="a")), "no anonymous visitors"),
        (lambda api: api.messages("42", start_ts=datetime(2026, 1, 1)), "without a time zone"),
        (lambda api: api.messages("42", end_ts="now"), "not a str"),
        (lambda api: api.relationships(ObjectRef(cio_object_id="o")), "needs its type"),
        (lambda api: api.relationships(ObjectRef(1, "o"), type=2), "has type 1, and the call"),
        (lambda api: api.relationships("42", type=2), "this is a person"),
        (lambda api: api.object_attributes("acme"), "an object is an ObjectRef"),
        (lambda api: api.objects("companies"), "TRACKRELAY_OBJECT_TYPES"),
        (lambda api: api.segment("vip"), "the id of a segment is a number"),
        (lambda api: api.email_suppressions("spam"), "type must be one of blocks"),
        (lambda api: api.email_suppressions("blocks", email="a"), "needs domain="),
        (lambda api: api.email_suppressions("blocks", start="x"), "a number of addresses"),
        (lambda api: api.write_event_metadata([]), "from 1 to 100 events; it has 0"),
        (
            lambda api: api.write_attribute_metadata([AttributeMetadata("a", "x" * 256)]),
            "at most 255 characters; one has 256",
        ),
        (lambda api: api.people(where=attr("a") == "\ud800"), "cannot be JSON"),
        (lambda api: list(api.people(email="\ud800")), "UTF-8"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_before_anything_is_sent(
    call: Callable[[AppApi], Any], words: str
) -> None:
    with scripted([Reply({})]) as server, reading(server.url) as api:
        with pytest.raises(AppApiCallError) as refused:
            call(api)
        assert words in str(refused.value)
        assert server.asked == []


def test_a_wrong_person_is_refused_where_calls_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(on_invalid="log", backend="off")
    nobody = Person(email="no address")
    with scripted([Reply({})]) as server, reading(server.url) as api:
        with pytest.raises(InvalidOperationError):
            api.attributes(nobody)
        assert server.asked == []


def test_object_types_have_the_names_of_the_settings() -> None:
    configure(object_types={"company": 3}, backend="off")
    reply = Reply({"identifiers": []})
    with scripted([reply]) as server, reading(server.url) as api:
        assert list(api.objects("company")) == []
    assert server.asked[0].json["object_type_id"] == "3"


def test_a_refusal_has_customer_ios_words_and_a_hint() -> None:
    replies = [
        Reply({"meta": {"errors": ["invalid\x1b request"]}}, 400),
        Reply(
            {"errors": [{"detail": "too many", "status": 422, "source": {"pointer": "/x"}}]}, 422
        ),
        Reply(b"<html>", 400),
    ]
    with scripted(replies) as server, reading(server.url) as api:
        with pytest.raises(AppApiRequestError) as first:
            api.subscriptions(Person(email="a@example.com"))
        with pytest.raises(AppApiRequestError) as second:
            api.write_event_metadata([EventMetadata("e")])
        with pytest.raises(AppApiRequestError) as third:
            api.attributes("42")
    assert (
        str(first.value)
        == "Customer.io refuses GET /v1/customers/{customer_id}/subscription_preferences (400): "
        "invalid\\x1b request; email may not be switched on as an identifier in the workspace"
    )
    assert str(second.value) == "Customer.io refuses POST /v1/data_index/events (422): too many"
    assert str(third.value) == (
        "Customer.io refuses GET /v1/customers/{customer_id}/attributes (400)"
    )
    assert len(server.asked) == 3
