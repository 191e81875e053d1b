"""Objects, devices, and what relates people to objects."""

from __future__ import annotations

from typing import Any

from tests.support.sandbox_api import Api

ACME = {"object_type_id": "1", "object_id": "acme"}


def about_acme(api: Api, action: str, **more: Any) -> None:
    assert api.entity(type="object", action=action, identifiers=ACME, **more).status == 200


def acme(api: Api) -> dict[str, Any]:
    [found] = api.client.objects()
    return found


def people_of(found: dict[str, Any]) -> dict[str, Any]:
    return {person["keys"][0]: person["attributes"] for person in found["people"]}


def test_an_object_keeps_its_attributes_and_loses_the_emptied(api: Api) -> None:
    about_acme(api, "identify", attributes={"name": "Acme", "seats": 50, "plan": "pro"})
    about_acme(api, "identify", attributes={"plan": None, "name": "", "seats": 51})
    assert acme(api)["attributes"] == {"seats": 51}
    assert next(api.client.effects())["keys"] == ["object:1:acme"]


def test_an_object_is_updated_but_not_made_by_its_cio_object_id(api: Api) -> None:
    about_acme(api, "identify")
    cio_object_id = acme(api)["cio_object_id"]
    for given in (cio_object_id, "unknown"):
        operation = {
            "type": "object",
            "action": "identify",
            "identifiers": {"cio_object_id": given},
        }
        assert api.entity(**operation, attributes={"plan": "pro"}).status == 200
    assert acme(api)["attributes"] == {"plan": "pro"}
    assert api.notes()[-1] == "no object has this cio_object_id"


def test_relationships_are_the_same_from_both_ends(api: Api) -> None:
    person = {"type": "person", "identifiers": {"id": "1"}}
    related = [{"identifiers": ACME, "relationship_attributes": {"role": "admin", "since": 2026}}]
    assert api.entity(**person, action="add_relationships", cio_relationships=related).status == 200
    changed = [
        {"identifiers": {"id": "1"}, "relationship_attributes": {"role": "owner", "since": None}}
    ]
    about_acme(
        api,
        "add_relationships",
        cio_relationships=[*changed, {"identifiers": {"email": "bo@example.com"}}],
    )
    assert people_of(acme(api)) == {"id:1": {"role": "owner"}, "email:bo@example.com": {}}
    assert api.person("id:1")["relationships"] == [
        {"object": "object:1:acme", "attributes": {"role": "owner"}}
    ]
    assert (
        api.entity(**person, action="delete_relationships", cio_relationships=related).status == 200
    )
    about_acme(
        api,
        "delete_relationships",
        cio_relationships=[{"identifiers": {"email": "bo@example.com"}}],
    )
    assert people_of(acme(api)) == {}
    assert api.person("id:1")["relationships"] == []


def test_an_identify_relates_in_both_versions_and_v1_also_parts(api: Api) -> None:
    related = [{"identifiers": ACME, "relationship_attributes": {"role": "admin"}}]
    identify = {"type": "person", "action": "identify", "identifiers": {"id": "1"}}
    assert api.entity(**identify, cio_relationships=related).status == 200
    about_acme(api, "identify", cio_relationships=[{"identifiers": {"id": "2"}}])
    assert people_of(acme(api)) == {"id:1": {"role": "admin"}, "id:2": {}}
    for action, left in (
        ("delete_relationships", {"id:2"}),
        ("add_relationships", {"id:1", "id:2"}),
    ):
        body = {"cio_relationships": {"action": action, "relationships": related}}
        assert api.call("PUT", "/api/v1/customers/1", body).status == 200
        assert people_of(acme(api)).keys() == left


def test_an_anonymous_relationship_carries_over_to_the_person(api: Api) -> None:
    about_acme(api, "identify_anonymous", anonymous_id="a-1")
    people = [
        {"identifiers": {"anonymous_id": "a-2"}, "relationship_attributes": {"role": "guest"}}
    ]
    about_acme(api, "identify_anonymous", cio_relationships=people)
    assert people_of(acme(api)) == {}
    api.identify({"id": "1"}, anonymous_id="a-1")
    api.identify({"id": "2"}, anonymous_id="a-2")
    assert people_of(acme(api)) == {"id:1": {}, "id:2": {"role": "guest"}}


def test_deleting_either_end_ends_the_relationship(api: Api) -> None:
    about_acme(
        api,
        "identify",
        cio_relationships=[{"identifiers": {"id": "1"}}, {"identifiers": {"id": "2"}}],
    )
    assert api.entity(type="person", action="delete", identifiers={"id": "1"}).status == 200
    assert people_of(acme(api)).keys() == {"id:2"}
    about_acme(api, "delete")
    assert api.client.objects() == []
    assert api.person("id:2")["relationships"] == []


def test_devices_are_added_updated_and_deleted(api: Api) -> None:
    person = {"type": "person", "identifiers": {"id": "1"}}
    device = {
        "token": "t1",
        "platform": "ios",
        "last_used": 1713484800,
        "attributes": {"app_version": "2"},
    }
    assert api.entity(**person, action="add_device", device=device).status == 200
    v1 = {"device": {"id": "t1", "platform": "android"}}
    assert api.call("PUT", "/api/v1/customers/1/devices", v1).status == 200
    [found] = api.person("id:1")["devices"]
    assert (found["platform"], found["attributes"]) == ("android", {})
    assert api.entity(**person, action="delete_device", device={"token": "t1"}).status == 200
    assert api.person("id:1")["devices"] == []
    assert next(effect.get("device") for effect in api.client.effects()) == device
