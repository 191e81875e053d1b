"""The activity log: changes, failures with their reasons, and pages."""

from __future__ import annotations

import time
from typing import Any

from tests.support.sandbox_api import Api

ULID = "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"


def data(api: Api, query: str) -> list[Any]:
    return [activity.get("data") for activity in api.activities(query)]


def test_an_identify_shows_what_changed_from_and_to(api: Api) -> None:
    api.identify({"id": "1"}, plan="free", age=36)
    api.identify({"id": "1"}, plan="pro", age=36, vip=True)
    api.identify({"id": "1"}, plan="pro", age=36, vip=True)
    latest, first = data(api, "type=attribute_change")
    assert latest == {"plan": {"from": "free", "to": "pro"}, "vip": {"from": "", "to": "true"}}
    assert first["id"] == {"from": "", "to": "1"}
    assert data(api, "type=attribute_change&name=vip") == [latest]


def test_a_value_that_changes_its_type_only_is_a_change(api: Api) -> None:
    api.identify({"id": "1"}, vip=True)
    api.identify({"id": "1"}, vip=1)
    assert data(api, "type=attribute_change")[0] == {"vip": {"from": "true", "to": "1"}}


def test_an_event_keeps_its_id_its_time_and_its_name(api: Api) -> None:
    at = int(time.time()) - 3600
    api.track({"id": "1"}, "order_placed", id=ULID, timestamp=at)
    (event,) = api.activities("type=event")
    assert (event["id"], event["timestamp"], event["name"]) == (ULID, at, "order_placed")
    assert event["customer_identifiers"]["id"] == "1"


def test_what_is_older_than_thirty_days_is_not_listed(api: Api) -> None:
    api.track({"id": "1"}, "old", timestamp=int(time.time()) - 31 * 24 * 3600)
    assert api.activities("type=event") == []
    assert api.event_names("id:1") == ["old"]


def test_anonymous_events_are_listed_once_a_person_is_known(api: Api) -> None:
    api.call("POST", "/api/v1/events", {"anonymous_id": "a", "name": "seen"})
    assert api.activities("type=event") == []
    api.identify({"id": "1"}, anonymous_id="a")
    assert [each["customer_id"] for each in api.activities("type=event")] == ["1"]
    assert api.activities("type=anon_merge")


def test_a_merge_moves_the_events_to_the_primary(api: Api) -> None:
    for name in ("1", "2"):
        api.identify({"id": name})
        api.track({"id": name}, f"seen {name}")
    api.entity(type="person", action="merge", primary={"id": "1"}, secondary={"id": "2"})
    events = api.activities("type=event&customer_id=1")
    assert [each["name"] for each in events] == ["seen 2", "seen 1"]
    (merged,) = api.activities("type=profile_merge")
    assert merged["data"]["secondary"]["id"] == "2"


def test_deleted_people_are_listed_apart(api: Api) -> None:
    api.identify({"id": "1"}, plan="pro")
    api.track({"id": "1"}, "seen")
    api.entity(type="person", action="delete", identifiers={"id": "1"})
    api.identify({"id": "1"})
    assert [each["type"] for each in api.activities("customer_id=1")] == [
        "attribute_change",
        "profile_create",
    ]
    gone = api.activities("customer_id=1&deleted=true")
    assert sorted(each["type"] for each in gone) == [
        "attribute_change",
        "event",
        "profile_create",
        "profile_delete",
    ]
    assert {each["customer_id"] for each in gone} == {"1"}


def test_what_fails_by_the_rules_is_listed_with_the_reason(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com", **{f"a{n}": n for n in range(295)})
    api.identify({"id": "2"})
    api.identify({"id": "2"}, email="ada@example.com")
    api.identify({"id": "1"}, **{f"b{n}": n for n in range(10)})
    api.entity(type="person", action="merge", primary={"id": "1"}, secondary={"id": "nobody"})
    api.track({"cio_id": "nobody"}, "seen", id=ULID)
    many, taken = data(api, "type=failed_attribute_change")
    assert taken["email"]["error"] == "email belongs to somebody else"
    assert "limit of 300" in next(iter(many.values()))["error"]
    assert data(api, "type=skipped_update") == [{"error": "the secondary does not exist"}]
    (event,) = api.activities("type=failed_event")
    assert event["id"] == ULID
    assert event["customer_identifiers"]["cio_id"] == "nobody"


def test_objects_and_relationships_have_activities(api: Api) -> None:
    acme = {"object_type_id": "1", "object_id": "acme"}
    related = [{"identifiers": {"id": "1"}, "relationship_attributes": {"role": "admin"}}]
    for attributes in ({"size": 1}, {"size": 2}, {f"a{n}": n for n in range(300)}):
        api.entity(
            type="object",
            action="identify",
            identifiers=acme,
            attributes=attributes,
            cio_relationships=related,
        )
    api.entity(
        type="object", action="delete_relationships", identifiers=acme, cio_relationships=related
    )
    api.entity(type="object", action="delete", identifiers=acme)
    seen = [each["type"] for each in reversed(api.activities()) if "acme" in str(each)]
    assert seen == [
        "_o:1:create",
        "_o:1:attribute_change",
        "add_relationship",
        "_o:1:add_relationship",
        "relationship_attribute_change",
        "_r:1:attribute_change",
        "_o:1:attribute_change",
        "_o:1:attribute_change",
        "_o:1:failed_attribute_change",
        "delete_relationship",
        "_o:1:delete_relationship",
        "_o:1:delete",
    ]
    assert data(api, "type=_o:1:attribute_change&name=size")[0]["size"] == {"from": "1", "to": "2"}


def test_pages_of_activities_stay_while_others_come(api: Api) -> None:
    for number in range(25):
        api.track({"id": "1"}, str(number))
    seen: list[str] = []
    start = ""
    for _ in range(3):
        page = api.app("GET", f"/v1/customers/1/activities?type=event&start={start}").json
        seen += [each["name"] for each in page["activities"]]
        start = page["next"]
        api.track({"id": "1"}, "later")
    assert seen == [str(number) for number in reversed(range(25))]
    assert start == ""


def test_a_person_keeps_a_bounded_number_of_changes(api: Api) -> None:
    api.batch(
        *(
            {
                "type": "person",
                "action": "identify",
                "identifiers": {"id": "1"},
                "attributes": {"n": n},
            }
            for n in range(300)
        )
    )
    first = api.app("GET", "/v1/customers/1/activities?limit=100").json
    assert first["activities"][0]["data"] == {"n": {"from": "298", "to": "299"}}
    assert (len(first["activities"]), first["next"]) == (100, "")
