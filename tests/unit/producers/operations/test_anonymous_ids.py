"""The cookie of an anonymous visitor."""

from __future__ import annotations

from typing import Any

import pytest

from trackrelay import ConfigurationError, Person
from trackrelay.operations.anonymous_ids import AnonymousCookie, Visitor, anonymous_id_in

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_a_visitor_who_brings_an_id_keeps_it() -> None:
    visitor = Visitor(UUID)
    assert visitor.id == visitor.known_id == UUID
    assert not visitor.must_set_cookie


def test_a_visitor_gets_an_id_when_it_is_asked_for_and_not_before() -> None:
    visitor = Visitor(None)
    assert visitor.known_id is None
    assert not visitor.must_set_cookie

    given = visitor.id

    assert visitor.id == visitor.known_id == given
    assert visitor.must_set_cookie
    assert Visitor(given).id == given
    assert Person(anonymous_id=given).value == given


def test_no_two_visitors_have_the_same_id() -> None:
    assert len({Visitor(None).id for _ in range(1000)}) == 1000


def test_a_renewed_visitor_is_a_new_person() -> None:
    visitor = Visitor(UUID)
    assert visitor.renew() == visitor.id != UUID
    assert visitor.must_set_cookie


@pytest.mark.parametrize("cookie", [f'"{UUID}"', f"%22{UUID}%22"])
def test_quotes_that_a_script_wrote_are_left_out(cookie: str) -> None:
    assert anonymous_id_in(cookie) == UUID


@pytest.mark.parametrize(
    "cookie",
    [
        None,
        "",
        "..",
        "1",
        "short",
        "a" * 101,
        "a b c d e f g h i j",
        "id:42\r\nSet-Cookie: x",
        "ada@example.com.au",
    ],
)
def test_what_could_not_have_been_given_is_not_taken(cookie: str | None) -> None:
    assert anonymous_id_in(cookie) is None


def test_the_cookie_is_secure_over_https_by_default() -> None:
    assert AnonymousCookie().arguments(UUID, over_https=True) == {
        "key": "trackrelay_anonymous_id",
        "value": UUID,
        "max_age": 31_536_000,
        "path": "/",
        "domain": None,
        "secure": True,
        "httponly": True,
        "samesite": "Lax",
    }
    assert not AnonymousCookie().arguments(UUID, over_https=False)["secure"]
    assert AnonymousCookie(secure=True).arguments(UUID, over_https=False)["secure"]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            {"SAME_SITE": "Laxx"},
            "SAME_SITE of the anonymous cookie must be 'Lax', 'Strict' or 'None'; it is 'Laxx'",
        ),
        (
            {"MAX_AGE_S": "a year"},
            "MAX_AGE_S of the anonymous cookie must be a whole number of seconds .* it is 'a year'",
        ),
        ({"MAX_AGE_S": True}, "MAX_AGE_S"),
        ({"MAX_AGE_S": 0}, "it is 0"),
        ({"NAME": "my id"}, "NAME"),
        ({"NAME": 7}, "NAME"),
        ({"PATH": "shop"}, "PATH"),
        ({"PATH": "/;Domain=evil.example"}, "PATH"),
        ({"DOMAIN": "example.com; Secure"}, "DOMAIN"),
        ({"SECURE": "yes"}, "SECURE"),
        ({"HTTP_ONLY": None}, "HTTP_ONLY"),
        ({"NAEM": "anon"}, "has no setting 'NAEM'; did you mean 'NAME'"),
        ({7: "anon"}, "has no setting 7; it has NAME, MAX_AGE_S"),
        (["NAME"], "must be a dict of settings; it is a list"),
        (None, "must be a dict of settings; it is a NoneType"),
    ],
)
def test_a_cookie_that_cannot_be_set_is_refused_with_the_reason(told: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        AnonymousCookie.of(told)


def test_a_cookie_is_as_it_is_described() -> None:
    told = {
        "NAME": "anon",
        "MAX_AGE_S": 60,
        "PATH": "/shop",
        "DOMAIN": ".example.com",
        "SECURE": True,
    }
    arguments = AnonymousCookie.of({**told, "HTTP_ONLY": False, "SAME_SITE": "None"}).arguments(
        UUID, over_https=False
    )
    assert list(arguments.values()) == [
        "anon",
        UUID,
        60,
        "/shop",
        ".example.com",
        True,
        False,
        "None",
    ]
    assert AnonymousCookie.of({}) == AnonymousCookie()
