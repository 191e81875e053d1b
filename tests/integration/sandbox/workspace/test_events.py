"""Events: once each, with the person they belong to, also when that is known only later."""

from __future__ import annotations

import time
from typing import Any

from tests.support.sandbox_api import Api

ULID = "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"
OTHER = "01J9ZQ0V8Z3Y6M4T2K1C5W7XBP"


def anonymous(api: Api, anonymous_id: str, name: str, **more: Any) -> None:
    assert (
        api.call(
            "POST", "/api/v1/events", {"anonymous_id": anonymous_id, "name": name, **more}
        ).status
        == 200
    )


def test_a_ulid_counts_once_over_both_versions_of_the_api(api: Api) -> None:
    api.track({"id": "1"}, "bought", id=ULID)
    api.track({"id": "1"}, "bought", id=ULID.lower())
    assert (
        api.call("POST", "/api/v1/customers/1/events", {"name": "bought", "id": ULID}).status == 200
    )
    api.track({"id": "1"}, "bought", id=OTHER)
    assert api.event_names("id:1") == ["bought", "bought"]
    assert api.client.duplicates() == {ULID: 2}
    assert [event["id"] for event in api.client.events()] == [ULID, OTHER]
    assert api.client.summary()["duplicates_ignored"] == 2
    assert api.notes() == [None, "duplicate", "duplicate", None]


def test_a_ulid_counts_once_within_a_batch_and_for_everybody(api: Api) -> None:
    event = {"type": "person", "action": "event", "name": "bought", "id": ULID}
    assert api.batch(*[{**event, "identifiers": {"id": each}} for each in "123"]).status == 200
    assert [person["keys"][0] for person in api.client.people()] == ["id:1"]


def test_a_refused_event_does_not_use_up_its_ulid(api: Api) -> None:
    assert api.call("POST", "/api/v1/customers/1/events", {"name": " ", "id": ULID}).status == 400
    api.track({"id": "1"}, "bought", id=ULID)
    assert api.event_names("id:1") == ["bought"]


def test_events_without_a_ulid_all_count(api: Api) -> None:
    api.track({"id": "1"}, "bought")
    api.track({"id": "1"}, "bought")
    assert api.event_names("id:1") == ["bought", "bought"]


def test_anonymous_events_join_the_person_who_is_identified(api: Api) -> None:
    anonymous(api, "a-1", "viewed")
    anonymous(api, "a-2", "elsewhere")
    anonymous(api, "a-1", "put in cart", id=ULID)
    api.identify({"id": "1"}, anonymous_id="a-1")
    anonymous(api, "a-1", "viewed again")
    assert api.event_names("id:1") == ["viewed", "put in cart", "viewed again"]
    assert api.client.others()["anonymous_events"] == {"a-2": 1}
    effects = list(api.client.effects())
    assert effects[0]["keys"] == ["anonymous:a-1"]
    assert effects[3]["keys"] == ["id:1", "anonymous:a-1"]
    assert api.person("anonymous:a-1")["identifiers"] == {"id": "1"}


def test_anonymous_events_older_than_30_days_do_not_join(api: Api) -> None:
    now = int(time.time())
    anonymous(api, "a-1", "long ago", timestamp=now - 31 * 24 * 3600)
    anonymous(api, "a-1", "lately", timestamp=now - 29 * 24 * 3600)
    assert api.call("PUT", "/api/v1/customers/1", {"anonymous_id": "a-1"}).status == 200
    assert api.event_names("id:1") == ["lately"]


def test_an_anonymous_id_belongs_to_the_first_person_that_had_it(api: Api) -> None:
    api.identify({"id": "1"}, anonymous_id="a-1")
    api.identify({"id": "2"}, anonymous_id="a-1")
    anonymous(api, "a-1", "viewed")
    assert api.event_names("id:1") == ["viewed"]
    assert api.event_names("id:2") == []
    assert api.notes()[1] == "anonymous_id belongs to somebody else"


def test_without_event_merging_anonymous_events_stay_anonymous(api: Api) -> None:
    api.client.settings(event_merging=False)
    anonymous(api, "a-1", "viewed")
    api.identify({"id": "1"}, anonymous_id="a-1")
    assert api.event_names("id:1") == []


def test_effects_are_in_the_order_of_acceptance(api: Api) -> None:
    operations = [
        {"type": "person", "action": "event", "identifiers": {"id": str(n % 3)}, "name": f"e{n}"}
        for n in range(50)
    ]
    assert api.batch(*operations[:30]).status == 200
    assert api.batch(*operations[30:]).status == 200
    effects = list(api.client.effects())
    assert [effect["name"] for effect in effects] == [f"e{n}" for n in range(50)]
    assert [effect["seq"] for effect in effects] == list(range(1, 51))
    assert [effect["name"] for effect in api.client.effects(after=48)] == ["e48", "e49"]
