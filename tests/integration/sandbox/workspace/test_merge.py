"""Merges: what the primary takes over, and when nothing happens."""

from __future__ import annotations

from typing import Any

from tests.support.sandbox_api import Api


def merge(api: Api, primary: dict[str, Any], secondary: dict[str, Any]) -> None:
    assert (
        api.entity(type="person", action="merge", primary=primary, secondary=secondary).status
        == 200
    )


def test_a_merge_fills_in_what_the_primary_lacks_and_deletes_the_secondary(api: Api) -> None:
    api.identify({"id": "1"}, plan="pro")
    api.identify(
        {"id": "2"}, plan="free", city="Berlin", email="ada@example.com", anonymous_id="a-1"
    )
    api.track({"id": "2"}, "bought")
    api.track({"id": "2"}, "long ago", timestamp=1_000)
    assert api.call("POST", "/api/v1/segments/7/add_customers", {"ids": ["2"]}).status == 200
    merge(api, {"id": "1"}, {"email": "ADA@example.com"})
    person = api.person("id:1")
    assert person["attributes"] == {"plan": "pro", "city": "Berlin", "anonymous_id": "a-1"}
    assert person["identifiers"] == {"id": "1", "email": "ada@example.com"}
    assert [event["name"] for event in person["events"]] == ["bought"]
    assert person["segments"] == [7]
    assert api.client.person("id:2") is None
    assert list(api.client.effects())[-1]["keys"] == ["id:1", "email:ada@example.com"]
    assert api.client.others()["segments"] == {"7": ["id:1"]}


def test_without_a_primary_nothing_happens(api: Api) -> None:
    api.identify({"id": "2"}, plan="pro")
    merge(api, {"id": "1"}, {"id": "2"})
    assert api.person("id:2")["attributes"] == {"plan": "pro"}
    assert api.client.person("id:1") is None
    assert api.notes()[-1] == "the primary does not exist"
    assert len(list(api.client.effects())) == 1


def test_a_secondary_that_is_identified_again_is_a_new_person(api: Api) -> None:
    api.identify({"id": "1"})
    api.identify({"id": "2"})
    merge(api, {"id": "1"}, {"id": "2"})
    merge(api, {"id": "1"}, {"id": "2"})
    api.track({"id": "2"}, "came back")
    assert api.event_names("id:1") == []
    assert api.event_names("id:2") == ["came back"]
    assert api.notes()[3] == "the secondary does not exist"


def test_two_names_of_one_person_do_not_merge(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    merge(api, {"id": "1"}, {"email": "ada@example.com"})
    assert api.person("id:1")["identifiers"]["email"] == "ada@example.com"
