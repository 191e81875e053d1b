"""The client against the sandbox: every example of the Ruby gem customerio_api, and more."""

from __future__ import annotations

from typing import Any

import pytest

from trackrelay import ObjectRef, Person
from trackrelay.app_api import AppApi, AppApiNotFoundError, attr, object_attr


def identify(**person: Any) -> dict[str, Any]:
    attributes = person.pop("attributes", {})
    return {
        "type": "person",
        "action": "identify",
        "identifiers": person,
        "attributes": attributes,
    }


def identify_object(object_id: str, **attributes: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "action": "identify",
        "identifiers": {"object_type_id": "1", "object_id": object_id},
        "attributes": attributes,
    }


# -- the examples of the Ruby gem customerio_api


def test_people_are_found_by_email(api: AppApi, entity: Any) -> None:
    entity(identify(id="42", attributes={"email": "test@example.com"}))
    (found,) = api.people(email="test@example.com")
    assert (found.id, found.email) == ("42", "test@example.com")
    assert list(api.people(email="nobody@example.com")) == []


def test_people_are_found_by_a_filter_on_cio_id(api: AppApi, entity: Any) -> None:
    entity(identify(id="42"))
    entity(identify(id="43"))
    cio_id = api.attributes("42").cio_id
    document = {"and": [{"attribute": {"field": "cio_id", "operator": "eq", "value": cio_id}}]}
    assert [each.id for each in api.people(where=document)] == ["42"]
    assert [each.id for each in api.people(where=attr("cio_id") == cio_id)] == ["42"]


def test_objects_are_found_by_name_with_start_and_limit(api: AppApi, entity: Any) -> None:
    for number in range(12):
        entity(identify_object(f"o{number}", name="PostCo"))
    entity(identify_object("other", name="Other"))
    document = {
        "and": [
            {
                "object_attribute": {
                    "field": "name",
                    "operator": "eq",
                    "type_id": "1",
                    "value": "PostCo",
                }
            }
        ]
    }
    found = api.objects("1", where=document, start="0", limit=10)
    first = list(found)
    assert len(first) == 10
    rest = list(api.objects(1, where=object_attr("name") == "PostCo", start=found.next_start))
    assert {each.object_id for each in [*first, *rest]} == {f"o{number}" for number in range(12)}
    assert first[0].object == ObjectRef(1, "o0")


def test_the_people_of_an_object_are_found_by_each_of_its_ids(api: AppApi, entity: Any) -> None:
    entity(identify_object("PostCo", name="PostCo"))
    entity(
        {
            "type": "person",
            "action": "identify",
            "identifiers": {"id": "test1"},
            "attributes": {"email": "andy@example.com"},
            "cio_relationships": [{"identifiers": {"object_type_id": "1", "object_id": "PostCo"}}],
        }
    )
    (match,) = api.objects(1, where=object_attr("name") == "PostCo")
    by_own_id = list(api.relationships(ObjectRef(1, "PostCo"), limit=5))
    cio_ref = ObjectRef(cio_object_id=match.cio_object_id)
    by_cio_id = list(api.relationships(cio_ref, type=1))
    assert by_own_id == by_cio_id
    (related,) = by_own_id
    assert (related.id, related.email) == ("test1", "andy@example.com")


# -- what the gem does not show


@pytest.mark.parametrize(
    "person",
    [
        Person(id="42"),
        Person(email="ada@example.com"),
        Person(id="a/b?c#d%2F+é ☃"),
    ],
)
def test_attributes_are_texts_as_given(api: AppApi, entity: Any, person: Person) -> None:
    values = {"n": 3, "yes": True, "text": "5", "nested": {"a": [1]}}
    entity(identify(**person.identifiers, attributes=values))
    profile = api.attributes(person)
    wanted = {"n": "3", "yes": "true", "text": "5", "nested": '{"a":[1]}'}
    assert {name: profile.attributes[name] for name in wanted} == wanted
    assert profile.cio_id is not None
    assert api.attributes(Person(cio_id=profile.cio_id)) == profile


def test_a_person_who_is_not_there_is_not_found(api: AppApi) -> None:
    with pytest.raises(AppApiNotFoundError, match="no such person") as refused:
        api.attributes("42")
    assert refused.value.status == 404
