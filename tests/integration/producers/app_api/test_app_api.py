"""The client against the sandbox, and against a server that answers as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.sandbox_api import Api
from tests.support.scripted_app_api import Reply, scripted
from trackrelay import ObjectRef, Person
from trackrelay.app_api import AppApi, AppApiNotFoundError, attr, object_attr
from trackrelay.sandbox import SandboxProcess

KEY = "an-app-api-key"


@pytest.fixture
def api(sandbox: SandboxProcess) -> Iterator[AppApi]:
    with AppApi(app_api_key=sandbox.app_api_key, app_url=sandbox.url) as api:
        yield api


@pytest.fixture
def entity(sandbox: SandboxProcess) -> Callable[[dict[str, Any]], None]:
    track = Api(sandbox)

    def send(document: dict[str, Any]) -> None:
        assert track.call("POST", "/api/v2/entity", document).status == 200

    return send


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


def scripted_api(url: str, **options: Any) -> AppApi:
    return AppApi(app_api_key=KEY, app_url=url, **options)


def activity(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"a{number}", "type": "event", "timestamp": 1397566226, **more}


def test_activities_of_a_person_and_of_the_workspace() -> None:
    pages = [
        Reply({"activities": [activity(1), activity(2)], "next": "MDox"}),
        Reply({"activities": [activity(2), activity(3, name="seen")], "next": ""}),
    ]
    with scripted(pages) as server, scripted_api(server.url) as api:
        found = list(api.activities(Person(cio_id="03000010"), type="event", page_size=2))
    assert [each.id for each in found] == ["a1", "a2", "a3"]
    assert found[-1].name == "seen"
    first, second = server.asked
    assert first.path == "/v1/customers/03000010/activities"
    assert first.query == {"id_type": "cio_id", "type": "event", "limit": "2"}
    assert second.query == {**first.query, "start": "MDox"}
    assert first.headers["authorization"] == f"Bearer {KEY}"

    with scripted([Reply({"activities": []})]) as server, scripted_api(server.url) as api:
        assert list(api.activities(Person(cio_id="cio_03000010"), deleted=True)) == []
        assert list(api.activities(type="failed_event")) == []
    of_deleted, of_all = server.asked
    assert of_deleted.path == of_all.path == "/v1/activities"
    assert of_deleted.query == {
        "customer_id": "cio_03000010",
        "id_type": "cio_id",
        "deleted": "true",
        "limit": "100",
    }
    assert of_all.query == {"type": "failed_event", "limit": "100"}
