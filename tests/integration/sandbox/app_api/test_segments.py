"""Segments: manual ones, and those defined by attributes, events and other segments."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.sandbox_api import Api
from trackrelay.sandbox.client import SandboxError

PRO = {"attribute": {"field": "plan", "operator": "eq", "value": "pro"}}
BOUGHT = {"event": {"name": "order_placed", "days": 30}}
OLD = int(time.time()) - 40 * 24 * 3600


def members(api: Api, number: int) -> list[str]:
    answer = api.app("GET", f"/v1/segments/{number}/membership").json
    count = api.app("GET", f"/v1/segments/{number}/customer_count").json
    assert count == {"segment_id": number, "count": len(answer["identifiers"])}
    ids: list[str] = answer["ids"]
    return ids


@pytest.fixture
def people(api: Api) -> Api:
    api.identify({"id": "1"}, plan="pro")
    api.identify({"id": "2"}, plan="free")
    api.identify({"email": "bo@example.com"}, plan="pro")
    api.track({"id": "1"}, "order_placed", timestamp=OLD)
    api.track({"id": "2"}, "order_placed")
    api.track({"id": "2"}, "order_placed")
    api.entity(type="person", action="page", identifiers={"id": "1"}, name="/start")
    return api


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (PRO, ["1", ""]),
        (BOUGHT, ["2"]),
        ({"event": {"name": "order_placed"}}, ["1", "2"]),
        ({"event": {"name": "order_placed", "at_least": 2}}, ["2"]),
        ({"event": {"name": "/start", "type": "page"}}, ["1"]),
        ({"or": [BOUGHT, PRO]}, ["1", "2", ""]),
        ({"and": [{"not": BOUGHT}, PRO]}, ["1", ""]),
        ({"segment": {"id": 7}}, ["2"]),
    ],
)
def test_a_segment_has_whom_its_conditions_describe(
    people: Api, conditions: dict[str, Any], ids: list[str]
) -> None:
    people.call("POST", "/api/v1/segments/7/add_customers", {"ids": ["2"]})
    number = people.client.define_segment(conditions)
    assert number == 8
    assert members(people, number) == ids
    for name in ("1", "2"):
        segments = people.app("GET", f"/v1/customers/{name}/segments").json["segments"]
        assert (number in [each["id"] for each in segments]) is (name in ids)
    found = people.app("POST", "/v1/customers", {"filter": {"segment": {"id": number}}})
    assert found.json["ids"] == ids


def test_a_segment_follows_the_data(people: Api) -> None:
    number = people.client.define_segment(PRO, name="Paying")
    people.identify({"id": "2"}, plan="pro")
    people.entity(type="person", action="delete", identifiers={"id": "1"})
    assert members(people, number) == ["2", ""]
    segment = people.app("GET", f"/v1/segments/{number}").json["segment"]
    assert (segment["name"], segment["type"], segment["state"]) == ("Paying", "dynamic", "finished")


def test_nobody_can_be_added_to_a_segment_with_conditions(people: Api) -> None:
    number = people.client.define_segment(PRO)
    people.call("POST", f"/api/v1/segments/{number}/add_customers", {"ids": ["2"]})
    assert members(people, number) == ["1", ""]
    assert people.notes()[-1] == f"segment {number} is defined by conditions"


def test_without_the_email_as_identifier_members_have_none(people: Api) -> None:
    number = people.client.define_segment(PRO)
    people.client.settings(identifiers=["id"])
    answer = people.app("GET", f"/v1/segments/{number}/membership").json
    assert {frozenset(each) for each in answer["identifiers"]} == {frozenset({"id", "cio_id"})}


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"event": {}},
        {"event": {"name": "a", "at_least": 0}},
        {"event": {"name": "a", "when": "now"}},
        {"attribute": {"field": "a"}},
        {"segment": {"id": 5}},
    ],
)
def test_conditions_that_mean_nothing_are_refused(api: Api, conditions: dict[str, Any]) -> None:
    with pytest.raises(SandboxError):
        api.client.define_segment(conditions, id=5)


def test_segments_that_lead_back_to_themselves_are_refused(api: Api) -> None:
    api.client.define_segment({"segment": {"id": 6}}, id=5)
    with pytest.raises(SandboxError, match="lead back"):
        api.client.define_segment({"not": {"segment": {"id": 5}}}, id=6)
