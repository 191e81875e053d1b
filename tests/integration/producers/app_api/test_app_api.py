"""The client against the sandbox: every example of the Ruby gem customerio_api, and more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.sandbox_api import Api
from trackrelay import ObjectRef, Person
from trackrelay.app_api import (
    AppApi,
    AppApiNotFoundError,
    AttributeMetadata,
    EventMetadata,
    attr,
    object_attr,
)
from trackrelay.sandbox import SandboxProcess


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
    found = api.objects("1", where=document, limit=10)
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
        Person(email="ada+x@example.com"),
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
    assert list(api.people_by_ids([person])) == [profile]


def test_a_person_who_is_not_there_is_not_found(api: AppApi) -> None:
    with pytest.raises(AppApiNotFoundError, match="no such person") as refused:
        api.attributes("42")
    assert refused.value.status == 404


def test_every_read_of_a_person_who_has_everything(api: AppApi, entity: Any) -> None:
    entity(identify_object("acme", name="Acme"))
    relationship = {"identifiers": {"object_type_id": "1", "object_id": "acme"}}
    document = identify(id="42", attributes={"plan": "pro", "email": "ada@example.com"})
    entity(document | {"cio_relationships": [relationship]})
    entity({"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "seen"})
    (related,) = api.relationships("42")
    assert (related.object_type_id, related.object_id) == ("1", "acme")
    assert api.object_attributes(ObjectRef(1, "acme")).attributes == {"name": "Acme"}
    assert [each.id for each in api.object_types()] == ["1"]
    (event,) = api.activities("42", type="event")
    assert event.name == "seen"
    assert event.id in {each.id for each in api.activities(type="event", name="seen")}
    assert {each.type for each in api.activities("42")} >= {"event"}
    assert list(api.messages("42")) == []
    assert api.subscriptions("42").unsubscribed is False
    assert isinstance(api.segments("42"), list)
    assert isinstance(api.segments(), list)
    assert len(api.workspaces()) == 1
    assert api.email_suppression("ada@example.com") == []
    assert list(api.email_suppressions("bounces")) == []
    assert list(api.email_suppressions("bounces", domain="mail.example.com")) == []
    api.write_attribute_metadata([AttributeMetadata("plan", "What they pay for", 0)])
    api.write_event_metadata([EventMetadata("seen")])


def test_a_segment_is_read_by_its_number(
    api: AppApi, entity: Any, free_sandbox: SandboxProcess
) -> None:
    track = Api(free_sandbox)
    for number in range(5):
        entity(identify(id=str(number)))
    ids = {"ids": [str(number) for number in range(5)]}
    assert track.call("POST", "/api/v1/segments/7/add_customers", ids).status == 200
    segment = api.segment(7)
    assert (segment.get().id, segment.count()) == (7, 5)
    assert sorted(each.id or "" for each in segment.members(page_size=2)) == list("01234")
    assert [each.id for each in api.segments("3")] == [7]
    with pytest.raises(AppApiNotFoundError, match="no such segment"):
        api.segment(8).count()


def test_ten_requests_a_second_are_not_refused(
    start_sandbox: Callable[..., SandboxProcess],
) -> None:
    sandbox = start_sandbox(app_rate_limit=10)
    with AppApi(app_api_key=sandbox.app_api_key, app_url=sandbox.url, redis_url="") as api:
        for _ in range(25):
            api.segments()
    statuses = [each["status"] for each in sandbox.client.requests()]
    assert statuses == [200] * 25
