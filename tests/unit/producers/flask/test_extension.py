"""The Flask extension: settings, producers and identities of an application."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import flask
import pytest

import trackrelay
from trackrelay import ConfigurationError, ObjectRef, Person, track
from trackrelay.default import default_producer
from trackrelay.flask import TrackRelay, anonymous_id, forget_visitor, identify_visitor, visitor
from trackrelay.testing import Captured, capture

relay = TrackRelay()


def create_app(**config: Any) -> flask.Flask:
    """An application factory."""
    app = flask.Flask(__name__)
    app.config.update(config, SECRET_KEY="x")
    relay.init_app(app)

    @app.get("/plain")
    def plain() -> str:
        return "nobody asked"

    @app.get("/product")
    def product() -> str:
        return track(visitor(), "product_viewed")

    @app.get("/sign-up")
    def sign_up() -> str:
        flask.session["user"] = "42"
        return identify_visitor("42", {"email": "ada@example.com"})

    @app.get("/log-out")
    def log_out() -> str:
        flask.session.clear()
        forget_visitor()
        return "bye"

    return app


@relay.person_loader
def who() -> str | None:
    return flask.session.get("user")


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


def test_settings_come_from_configure_then_the_application_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKRELAY_BACKEND", "off")
    monkeypatch.setenv("TRACKRELAY_SOURCE", "environment")
    monkeypatch.setenv("TRACKRELAY_ENQUEUE_TIMEOUT", "3")
    create_app(
        TRACKRELAY_SOURCE="application",
        TRACKRELAY_ENQUEUE_TIMEOUT=timedelta(seconds=2),
        TRACKRELAY_SHARDS=None,
    )
    trackrelay.configure(source="configured")
    settings = default_producer().settings
    assert (settings.source, settings.enqueue_timeout_s, settings.backend) == (
        "configured",
        2.0,
        "off",
    )


@pytest.mark.parametrize("object_types", [{"company": 2}, "company=2"])
def test_an_application_names_its_object_types(object_types: Any) -> None:
    create_app(TRACKRELAY_BACKEND="off", TRACKRELAY_OBJECT_TYPES=object_types)
    assert ObjectRef("company", "acme").type_id == "2"


def test_a_wrong_setting_raises_at_the_first_call_and_not_before() -> None:
    create_app(TRACKRELAY_BACKEND="rabbit")
    with pytest.raises(ConfigurationError, match="TRACKRELAY_BACKEND must be one of redis"):
        track("42", "seen")


def test_a_misspelt_setting_is_pointed_out() -> None:
    with pytest.warns(
        RuntimeWarning,
        match="TRACKRELAY_REDIS_ULR of app.config is not a setting; "
        "did you mean TRACKRELAY_REDIS_URL",
    ):
        create_app(TRACKRELAY_REDIS_ULR="redis://127.0.0.1/0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_app(
            TRACKRELAY_REDIS_URL="redis://127.0.0.1/0", TRACKRELAY_ANONYMOUS_COOKIE={"NAME": "anon"}
        )


def test_a_cookie_that_could_not_be_set_is_pointed_out_and_raises_where_it_is_needed() -> None:
    with pytest.warns(
        RuntimeWarning, match="TRACKRELAY_ANONYMOUS_COOKIE .*'NAEM'; did you mean 'NAME'"
    ):
        app = create_app(
            TRACKRELAY_BACKEND="off", TRACKRELAY_ANONYMOUS_COOKIE={"NAEM": "anon"}, TESTING=True
        )
    assert app.test_client().get("/plain").status_code == 200
    with pytest.raises(ConfigurationError, match="'NAEM'"):
        app.test_client().get("/product")


def test_the_application_made_last_says_the_settings() -> None:
    create_app(TRACKRELAY_BACKEND="off", TRACKRELAY_SOURCE="one")
    assert default_producer().settings.source == "one"
    create_app(TRACKRELAY_BACKEND="off", TRACKRELAY_SOURCE="two")
    assert default_producer().settings.source == "two"


def test_an_anonymous_visitor_keeps_one_id_and_what_they_did_becomes_theirs(
    captured: Captured,
) -> None:
    client = create_app().test_client()
    client.get("/product")
    client.get("/product")
    cookie = client.get_cookie("trackrelay_anonymous_id")
    assert cookie is not None
    assert cookie.http_only
    client.get("/sign-up")
    client.get("/product")
    captured.assert_tracked(Person(anonymous_id=cookie.value), "product_viewed", times=2)
    captured.assert_joined("42", cookie.value)
    captured.assert_tracked("42", "product_viewed", times=1)


def test_a_visitor_after_a_logout_is_another_person(captured: Captured) -> None:
    client = create_app().test_client()
    client.get("/product")
    first = client.get_cookie("trackrelay_anonymous_id")
    client.get("/log-out")
    client.get("/product")
    second = client.get_cookie("trackrelay_anonymous_id")
    assert first is not None
    assert second is not None
    assert second.value != first.value
    captured.assert_tracked(Person(anonymous_id=second.value), "product_viewed")


def test_a_page_that_does_not_ask_sets_no_cookie_and_one_that_asks_says_that_it_varies(
    captured: Captured,
) -> None:
    client = create_app().test_client()
    assert "Set-Cookie" not in client.get("/plain").headers
    asked = client.get("/product")
    assert "Cookie" in asked.headers["Vary"]
    assert "Secure" not in asked.headers["Set-Cookie"]
    assert "Set-Cookie" not in client.get("/product").headers


def test_the_cookie_is_as_the_settings_say_and_over_https_secure(captured: Captured) -> None:
    app = create_app(
        TRACKRELAY_ANONYMOUS_COOKIE={"NAME": "anon", "HTTP_ONLY": False, "SAME_SITE": "Strict"}
    )
    header = app.test_client().get("/product", base_url="https://localhost").headers["Set-Cookie"]
    assert header.startswith("anon=")
    assert "Secure" in header
    assert "SameSite=Strict" in header
    assert "HttpOnly" not in header


@pytest.mark.parametrize(
    "forged", ["x", "a" * 200, "ada@example.com........", "id with blanks in it"]
)
def test_a_cookie_that_is_no_id_of_ours_is_replaced(captured: Captured, forged: str) -> None:
    client = create_app().test_client()
    client.set_cookie("trackrelay_anonymous_id", forged)
    client.get("/product")
    assert captured.events[0].key != f"anonymous:{forged}"


def test_requests_in_one_application_context_are_visitors_of_their_own(captured: Captured) -> None:
    app = create_app()
    with app.app_context():
        app.test_client().get("/product")
        app.test_client().get("/product")
    assert len({event.key for event in captured.events}) == 2


def test_an_application_without_the_extension_says_so() -> None:
    with (
        flask.Flask(__name__).test_request_context(),
        pytest.raises(ConfigurationError, match="init_app"),
    ):
        anonymous_id()


def test_without_an_anonymous_past_only_the_person_is_identified(captured: Captured) -> None:
    create_app().test_client().get("/sign-up")
    assert captured.assert_identified("42", email="ada@example.com").attributes == {
        "email": "ada@example.com"
    }
