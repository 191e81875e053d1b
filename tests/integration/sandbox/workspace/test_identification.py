"""How operations identify people, and how people get, keep and lose identifiers."""

from __future__ import annotations

import pytest

from tests.support.sandbox_api import Api


def test_a_new_id_with_a_persons_email_updates_that_person(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com", plan="free")
    api.identify({"id": "2"}, email="ada@example.com", plan="pro")
    [person] = api.client.people()
    assert person["identifiers"] == {"id": "2", "email": "ada@example.com"}
    assert person["attributes"] == {"plan": "pro"}
    assert api.client.person("id:1") is None


def test_emails_identify_whatever_their_case(api: Api) -> None:
    api.identify({"email": "Ada@Example.com"}, plan="free")
    api.identify({"email": "ada@example.COM"}, plan="pro")
    [person] = api.client.people()
    assert person["identifiers"] == {"email": "Ada@Example.com"}
    assert next(api.client.effects())["keys"] == ["email:ada@example.com"]


def test_another_persons_email_fails_and_the_rest_is_done(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    api.identify({"id": "2"})
    api.identify({"id": "2"}, email="ADA@example.com", plan="pro")
    assert api.person("id:2")["identifiers"] == {"id": "2"}
    assert api.person("id:2")["attributes"] == {"plan": "pro"}
    assert api.notes()[-1] == "email belongs to somebody else"


def test_an_identifier_once_set_changes_only_by_cio_id(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    api.identify({"id": "1"}, email="countess@example.com")
    assert api.person("id:1")["identifiers"]["email"] == "ada@example.com"
    assert api.notes()[-1] == "email is already set; changing it needs cio_id"
    api.identify({"cio_id": api.person("id:1")["cio_id"]}, email="countess@example.com")
    assert api.person("email:countess@example.com")["identifiers"]["id"] == "1"
    assert api.client.person("email:ada@example.com") is None


def test_a_workspace_may_allow_updates_to_email_using_id(api: Api) -> None:
    api.client.settings(email_updates_with_id=True)
    api.identify({"id": "1"}, email="ada@example.com")
    api.identify({"id": "1"}, email="countess@example.com")
    assert api.person("id:1")["identifiers"]["email"] == "countess@example.com"


def test_an_identifier_is_not_removed_by_an_empty_value(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    api.identify({"id": "1"}, email="")
    assert api.person("email:ada@example.com")["identifiers"]["id"] == "1"


def test_a_phone_identifies_in_v2(api: Api) -> None:
    api.identify({"phone": "+491701234567"}, plan="pro")
    api.identify({"id": "1"}, phone="+491701234567")
    [person] = api.client.people()
    assert person["identifiers"] == {"phone": "+491701234567", "id": "1"}


@pytest.mark.parametrize("action", ["identify", "event", "add_device"])
def test_what_is_sent_to_an_unknown_cio_id_is_dropped(api: Api, action: str) -> None:
    more = {"name": "a", "device": {"token": "t", "platform": "ios"}}
    answer = api.entity(type="person", action=action, identifiers={"cio_id": "a30000ff"}, **more)
    assert answer.status == 200
    assert list(api.client.people()) == []
    assert list(api.client.effects()) == []
    assert api.notes() == ["nobody has this cio_id"]


def test_update_only_makes_nobody(api: Api) -> None:
    api.identify({"id": "1"}, _update=True, plan="pro")
    assert list(api.client.people()) == []
    api.identify({"id": "1"})
    api.identify({"id": "1"}, _update=True, plan="pro")
    assert api.person("id:1")["attributes"] == {"plan": "pro"}
    assert api.call("PUT", "/api/v1/customers/2", {"_update": True}).status == 200
    assert api.client.person("id:2") is None


def test_a_deleted_person_who_is_identified_again_is_new(api: Api) -> None:
    api.identify({"id": "1"}, plan="pro", email="ada@example.com")
    before = api.person("id:1")["cio_id"]
    assert api.entity(type="person", action="delete", identifiers={"id": "1"}).status == 200
    assert api.client.person("email:ada@example.com") is None
    api.track({"id": "1"}, "came back")
    after = api.person("id:1")
    assert after["cio_id"] != before
    assert after["attributes"] == {}


def test_a_suppressed_person_swallows_everything_until_unsuppressed(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    assert api.entity(type="person", action="suppress", identifiers={"id": "1"}).status == 200
    assert api.client.person("id:1") is None
    seen = len(list(api.client.effects()))
    api.identify({"id": "1"}, plan="pro")
    api.track({"email": "ADA@example.com"}, "opened")
    assert api.entity(type="person", action="delete", identifiers={"id": "1"}).status == 200
    assert len(list(api.client.effects())) == seen
    assert api.notes()[-3:] == ["suppressed"] * 3
    assert api.client.summary()["ignored"] == 3
    assert api.entity(type="person", action="unsuppress", identifiers={"id": "1"}).status == 200
    api.track({"email": "ada@example.com"}, "opened")
    assert api.event_names("email:ada@example.com") == ["opened"]


def test_a_suppressed_email_cannot_be_added_to_another_person(api: Api) -> None:
    assert (
        api.entity(
            type="person", action="suppress", identifiers={"email": "ada@example.com"}
        ).status
        == 200
    )
    api.identify({"id": "1"}, email="ada@example.com", plan="pro")
    assert api.person("id:1")["identifiers"] == {"id": "1"}
    assert api.notes()[-1] == "email is suppressed"
