"""Attributes: the newest change counts, whenever it arrives; empty values remove."""

from __future__ import annotations

from tests.support.sandbox_api import Api


def identify_at(api: Api, timestamp: int, **attributes: object) -> None:
    operation = {"type": "person", "action": "identify", "identifiers": {"id": "1"}}
    assert api.entity(**operation, timestamp=timestamp, attributes=attributes).status == 200


def test_an_older_change_that_arrives_later_does_not_undo_a_newer_one(api: Api) -> None:
    identify_at(api, 2_000, plan="pro")
    identify_at(api, 1_000, plan="free", city="Berlin")
    assert api.person("id:1")["attributes"] == {"plan": "pro", "city": "Berlin"}
    assert api.person("id:1")["timestamps"]["plan"] == 2_000


def test_the_later_arrival_of_two_changes_of_the_same_second_counts(api: Api) -> None:
    identify_at(api, 2_000, plan="free")
    identify_at(api, 2_000, plan="pro")
    assert api.person("id:1")["attributes"] == {"plan": "pro"}


def test_a_change_without_a_time_happened_when_it_arrived(api: Api) -> None:
    api.identify({"id": "1"}, plan="pro")
    identify_at(api, 2_000, plan="free")
    assert api.person("id:1")["attributes"] == {"plan": "pro"}


def test_v1_sends_the_time_in_a_field_that_is_no_attribute(api: Api) -> None:
    for at, plan in ((2_000, "pro"), (1_000, "free")):
        assert (
            api.call("PUT", "/api/v1/customers/1", {"plan": plan, "_timestamp": at}).status == 200
        )
    assert api.person("id:1")["attributes"] == {"plan": "pro"}
    assert [effect["timestamp"] for effect in api.client.effects()] == [2_000, 1_000]


def test_milliseconds_are_a_time_nothing_later_can_beat(api: Api) -> None:
    identify_at(api, 1_700_000_000_000, plan="pro")
    identify_at(api, 1_700_000_001, plan="free")
    assert api.person("id:1")["attributes"] == {"plan": "pro"}


def test_null_and_empty_remove_and_an_older_value_does_not_come_back(api: Api) -> None:
    identify_at(api, 1_000, plan="pro", city="Berlin", age=5)
    identify_at(api, 3_000, plan=None, city="")
    identify_at(api, 2_000, plan="old", city="old")
    assert api.person("id:1")["attributes"] == {"age": 5}


def test_a_person_has_at_most_300_attributes(api: Api) -> None:
    api.identify({"id": "1"}, **{f"a{n}": n for n in range(300)})
    api.identify({"id": "1"}, a0="changed", one_more=1)
    attributes = api.person("id:1")["attributes"]
    assert (len(attributes), attributes["a0"]) == (300, "changed")
    assert api.notes()[-1] == "attribute one_more exceeds the limit of 300 attributes"


def test_dots_reach_into_subscription_preferences(api: Api) -> None:
    api.identify(
        {"id": "1"}, cio_subscription_preferences={"topics": {"topic_1": True, "topic_2": True}}
    )
    api.identify({"id": "1"}, **{"cio_subscription_preferences.topics.topic_2": False})
    preferences = api.person("id:1")["attributes"]["cio_subscription_preferences"]
    assert preferences == {"topics": {"topic_1": True, "topic_2": False}}


def test_true_in_any_spelling_unsubscribes(api: Api) -> None:
    for value, expected in (
        (True, True),
        ("TRUE", True),
        (1, True),
        ("1", True),
        ("yes", False),
        (False, False),
    ):
        api.identify({"id": "1"}, unsubscribed=value)
        assert api.person("id:1")["unsubscribed"] is expected, value
