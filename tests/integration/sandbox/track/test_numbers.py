"""Numbers as identifiers, and identifiers that are null, are accepted: real clients send them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sandbox_api import Api

IDENTIFY = {"type": "person", "action": "identify", "identifiers": {"id": 42}}
OBJECT = {
    "type": "object",
    "action": "identify",
    "identifiers": {"object_type_id": "1", "object_id": 7},
}


def test_a_number_names_the_same_person_as_its_text(api: Api) -> None:
    assert api.entity(**IDENTIFY, attributes={"plan": "pro", "id": 42}).status == 200
    assert api.call("PUT", "/api/v1/customers/42", {"id": 42, "city": "Rome"}).status == 200
    assert (
        api.entity(**{**IDENTIFY, "identifiers": {"id": "42"}}, attributes={"age": 5}).status == 200
    )
    assert api.person("id:42")["attributes"] == {"plan": "pro", "city": "Rome", "age": 5}
    assert api.notes() == [None, None, None]


def test_a_number_names_an_object_and_both_of_a_merge(api: Api) -> None:
    assert api.entity(**OBJECT, cio_relationships=[{"identifiers": {"id": 42}}]).status == 200
    assert [found["key"] for found in api.client.objects()] == ["object:1:7"]
    api.identify({"id": "43"})
    merge = {"primary": {"id": 42}, "secondary": {"id": 43}}
    assert api.call("POST", "/api/v1/merge_customers", merge).status == 200
    assert api.client.person("id:43") is None


def test_a_number_names_an_anonymous_person(api: Api) -> None:
    assert api.call("POST", "/api/v1/events", {"name": "looked", "anonymous_id": 9}).status == 200
    assert api.entity(**IDENTIFY, attributes={"anonymous_id": 9}).status == 200
    assert api.event_names("id:42") == ["looked"]


@pytest.mark.parametrize("way", ["v1", "v2"])
def test_an_anonymous_id_that_is_null_says_nothing(api: Api, way: str) -> None:
    attributes: dict[str, Any] = {"plan": "pro", "anonymous_id": None}
    if way == "v1":
        assert api.call("PUT", "/api/v1/customers/42", attributes).status == 200
    else:
        assert api.entity(**IDENTIFY, attributes=attributes).status == 200
    assert api.person("id:42")["attributes"] == {"plan": "pro"}
    assert api.person("id:42")["anonymous_ids"] == []


def test_an_event_whose_id_is_a_number_is_never_a_repeat(api: Api) -> None:
    for _ in range(2):
        assert (
            api.call("POST", "/api/v1/customers/42/events", {"id": 42, "name": "bought"}).status
            == 200
        )
    assert api.event_names("id:42") == ["bought", "bought"]
    assert api.client.duplicates() == {}
