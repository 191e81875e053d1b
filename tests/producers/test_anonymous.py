"""The cookie of a visitor nobody knows yet."""

from __future__ import annotations

import pytest

from producers import Person
from producers.anonymous import AnonymousCookie, Visitor, anonymous_id_in

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_a_visitor_who_brings_an_id_keeps_it() -> None:
    visitor = Visitor(UUID)
    assert visitor.id == visitor.known_id == UUID
    assert not visitor.must_set_cookie


def test_a_visitor_is_given_an_id_when_somebody_asks_for_it_and_not_before() -> None:
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


def test_a_renewed_visitor_is_somebody_else() -> None:
    visitor = Visitor(UUID)
    assert visitor.renew() == visitor.id != UUID
    assert visitor.must_set_cookie


@pytest.mark.parametrize("cookie", [f'"{UUID}"', f"%22{UUID}%22"])
def test_quotes_that_a_script_wrote_are_left_out(cookie: str) -> None:
    assert anonymous_id_in(cookie) == UUID


@pytest.mark.parametrize(
    "cookie",
    [None, "", "..", "1", "short", "a" * 101, "a b c d e f g h i j", "id:42\r\nSet-Cookie: x", "ada@example.com.au"],
)
def test_what_could_not_have_been_given_is_not_taken(cookie: str | None) -> None:
    assert anonymous_id_in(cookie) is None


def test_the_cookie_is_secure_over_https_unless_said_otherwise() -> None:
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
