"""Who sends a request: sessions, a proxy's header, and what is believed of a proxy."""

from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.requests import Request

from tests.support.console_browser import user
from trackrelay.configuration.console_values import ConsoleUser, Role
from trackrelay.worker.console.console_settings import ConsoleSettings, load_console_settings
from trackrelay.worker.console.identity import (
    CSRF_COOKIE,
    SESSION_COOKIE,
    SESSION_S,
    Identities,
    OneTimeLink,
)
from trackrelay.worker.console.signatures import Signer, peek

SIGNER = Signer(b"a key")
ADA = user("ada", Role.OPERATE, password_hash="a hash")
BEHIND_PROXY = load_console_settings(
    {
        "TRACKRELAY_CONSOLE_USERS": "ada:operate",
        "TRACKRELAY_CONSOLE_PROXY_HEADER": "X-User",
        "TRACKRELAY_CONSOLE_PROXY_ADDRESSES": "10.0.0.0/8,::1",
    }
)


def request(peer: str = "192.0.2.1", *headers: tuple[str, str], **cookies: str) -> Request:
    found = [(name.lower().encode(), value.encode()) for name, value in headers]
    if cookies:
        text = "; ".join(f"{name}={value}" for name, value in cookies.items())
        found.append((b"cookie", text.encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": found,
        "client": (peer, 1),
        "server": ("console", 80),
    }
    return Request(scope)


def identities(*users: ConsoleUser, link: OneTimeLink | None = None) -> Identities:
    return Identities(ConsoleSettings(users=users), SIGNER, link)


def signed_in(who: Identities, cookie: str) -> str | None:
    found = who.user_of(request(**{SESSION_COOKIE: cookie}))
    return found.name if found else None


def test_a_session_is_its_user_s_until_it_ends() -> None:
    who, now = identities(ADA), time.time()
    assert signed_in(who, who.session(ADA, now)) == "ada"
    assert signed_in(who, who.session(ADA, now - SESSION_S - 1)) is None
    assert signed_in(who, "") is None


def test_a_new_password_or_other_roles_end_a_session() -> None:
    cookie = identities(ADA).session(ADA, time.time())
    for changed in (
        user("ada", Role.OPERATE, password_hash="another"),
        user("ada", password_hash="a hash"),
        user("eve", Role.OPERATE, password_hash="a hash"),
    ):
        assert signed_in(identities(changed), cookie) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda cookie: cookie[:-1] + ("A" if cookie[-1] != "A" else "B"),
        lambda cookie: "x" + cookie,
        lambda cookie: cookie.partition(".")[0],
        lambda cookie: cookie.partition(".")[0] + ".",
        lambda cookie: "." + cookie.partition(".")[2],
        lambda cookie: "W10.x",
        lambda cookie: "é",
        lambda cookie: SIGNER.sign("notice", peek(cookie) or {}),
    ],
)
def test_a_session_that_was_altered_or_signed_for_something_else_is_invalid(change: Any) -> None:
    who = identities(ADA)
    assert signed_in(who, change(who.session(ADA, time.time()))) is None


def test_another_installations_session_is_invalid() -> None:
    other = Identities(ConsoleSettings(users=(ADA,)), Signer(b"another key"))
    assert signed_in(identities(ADA), other.session(ADA, time.time())) is None


def test_the_session_of_a_link_ends_with_its_process() -> None:
    first, second = OneTimeLink("ada@web"), OneTimeLink("ada@web")
    cookie = identities(link=first).session(first.user, time.time())
    assert signed_in(identities(link=first), cookie) == "ada@web"
    assert signed_in(identities(link=second), cookie) is None
    assert first.token not in repr(first)


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("10.1.2.3", [("X-User", "ada")], "ada"),
        ("::1", [("X-User", "ada")], "ada"),
        ("::ffff:10.1.2.3", [("X-User", "ada")], "ada"),
        ("192.0.2.1", [("X-User", "ada")], None),
        ("", [("X-User", "ada")], None),
        ("10.1.2.3", [("X-User", "mallory")], None),
        ("10.1.2.3", [("X-User", "ada"), ("X-User", "ada")], None),
        ("10.1.2.3", [("X-User", "")], None),
        ("10.1.2.3", [], None),
    ],
)
def test_a_header_is_believed_from_named_addresses_only(
    peer: str, headers: list[tuple[str, str]], expected: str | None
) -> None:
    found = Identities(BEHIND_PROXY, SIGNER).user_of(request(peer, *headers))
    assert (found.name if found else None) == expected


def test_a_session_does_not_count_behind_a_proxy() -> None:
    cookie = identities(ADA).session(ADA, time.time())
    assert Identities(BEHIND_PROXY, SIGNER).user_of(request(**{SESSION_COOKIE: cookie})) is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_a_visitor_s_address_is_what_named_proxies_say(
    peer: str, forwarded: str, address: str
) -> None:
    who = Identities(BEHIND_PROXY, SIGNER)
    headers = [("X-Forwarded-For", forwarded), ("X-Forwarded-Proto", "https")]
    assert who.address_of(request(peer, *headers)) == address
    assert who.is_encrypted(request(peer, *headers)) == (peer == "10.0.0.1")


def test_a_form_s_token_belongs_to_its_browser_and_its_user() -> None:
    who = identities(ADA)
    mine = who.csrf_token(request(**{CSRF_COOKIE: "n" * 24}), ADA)
    assert mine
    assert mine != who.csrf_token(request(**{CSRF_COOKIE: "m" * 24}), ADA)
    assert mine != who.csrf_token(request(**{CSRF_COOKIE: "n" * 24}), user("eve"))
    assert who.csrf_token(request(), ADA) == ""
