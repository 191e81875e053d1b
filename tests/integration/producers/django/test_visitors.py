"""Users and visitors: who they are, from the first page to the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.test import AsyncClient, Client, RequestFactory
from django.utils.functional import SimpleLazyObject

import trackrelay
from tests.support import django_project
from trackrelay import InvalidOperationError, Person
from trackrelay.django import anonymous_id

pytestmark = pytest.mark.usefixtures("project")
Queued = Callable[[], list[Any]]
COOKIE = "trackrelay_anonymous_id"


@pytest.fixture
def ada() -> Any:
    return get_user_model().objects.create_user("ada", "ada@example.com", first_name="Ada")


@pytest.fixture
def calls() -> Iterator[list[Any]]:
    """The calls, in order, of a project that identifies its users."""
    told = {
        "IDENTIFY_FIELDS": ["email", "first_name"],
        "IDENTIFY_ON_LOGIN": True,
        "IDENTIFY_ON_SAVE": True,
    }
    with django_project.connected(BACKEND="memory", **told):
        yield trackrelay.default.default_producer().backend.operations  # type: ignore[attr-defined]


def documents(calls: list[Any]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(operation.body) for operation in calls]


# -- users


def test_a_user_is_the_person_with_their_primary_key(ada: Any, queued: Queued) -> None:
    trackrelay.track(ada, "seen")
    trackrelay.identify(SimpleLazyObject(lambda: ada), {"plan": "pro"})
    trackrelay.add_to_segment(7, [ada])
    assert {job.keys for job in queued()} == {(f"id:{ada.pk}",)}
    assert Person.of(ada) == Person(id=ada.pk)


def test_a_user_is_the_person_that_the_setting_names(ada: Any, redis_url: str) -> None:
    with django_project.connected(REDIS_URL=redis_url, PERSON="username"):
        assert Person.of(ada) == Person(id="ada")
    with django_project.connected(REDIS_URL=redis_url, PERSON=f"{__name__}.by_email"):
        assert Person.of(ada) == Person(email="ada@example.com")


def by_email(user: Any) -> Person:
    return Person(email=user.email)


def test_an_anonymous_or_unsaved_user_is_refused_with_advice() -> None:
    with pytest.raises(InvalidOperationError, match=r"visitor\(request\)"):
        trackrelay.track(AnonymousUser(), "seen")  # type: ignore[arg-type]
    with pytest.raises(InvalidOperationError, match="was it saved"):
        trackrelay.track(get_user_model()(username="ada"), "seen")


def test_what_is_no_user_is_refused_as_ever() -> None:
    with pytest.raises(InvalidOperationError):
        trackrelay.track(SimpleNamespace(pk=42), "seen")  # type: ignore[arg-type]


# -- visitors


def test_a_visitor_is_the_same_on_every_page(queued: Queued) -> None:
    client = Client()
    assert COOKIE not in client.get("/nothing/").cookies
    first = client.get("/look/")
    cookie = first.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    assert "Cookie" in first["Vary"]
    assert COOKIE not in client.get("/look/").cookies
    assert {job.keys for job in queued()} == {(f"anonymous:{cookie.value}",)}


async def test_a_visitor_of_an_asynchronous_page_is_one_too(queued: Queued) -> None:
    client = AsyncClient()
    response = await client.get("/look-async/")
    assert response.cookies[COOKIE].value in queued()[0].keys[0]


def test_the_cookie_is_secure_over_https() -> None:
    assert Client().get("/look/", secure=True).cookies[COOKIE]["secure"] is True


def test_a_visitor_who_logs_in_is_a_user(ada: Any, queued: Queued) -> None:
    client = Client()
    client.get("/log-in/?name=ada")
    client.get("/look/")
    assert [job.keys for job in queued()] == [(f"id:{ada.pk}",)]


def test_one_call_where_the_address_is_learned_joins_the_history(calls: list[Any]) -> None:
    client = Client()
    anonymous = client.get("/look/").cookies[COOKIE].value
    client.get("/sign-up/?email=ada@example.com")
    identify = documents(calls)[-1]
    assert identify["identifiers"] == {"email": "ada@example.com"}
    assert identify["attributes"] == {"plan": "free", "anonymous_id": anonymous}


def test_somebody_who_did_nothing_yet_has_no_history_to_join(calls: list[Any]) -> None:
    response = Client().get("/sign-up/?email=ada@example.com")
    assert documents(calls)[-1]["attributes"] == {"plan": "free"}
    assert COOKIE not in response.cookies


def test_a_visitor_after_a_logout_is_a_new_one(ada: Any) -> None:
    client = Client()
    before = client.get("/look/").cookies[COOKIE].value
    client.get("/log-in/?name=ada")
    assert client.get("/log-out/").cookies[COOKIE].value != before


def test_without_the_middleware_it_is_named() -> None:
    with pytest.raises(trackrelay.ConfigurationError, match="VisitorMiddleware"):
        anonymous_id(RequestFactory().get("/"))


# -- signals


def test_a_login_identifies_the_user_as_the_visitor_they_were(ada: Any, calls: list[Any]) -> None:
    client = Client()
    anonymous = client.get("/look/").cookies[COOKIE].value
    client.get("/log-in/?name=ada")
    identify = documents(calls)[-1]
    assert identify["identifiers"] == {"id": str(ada.pk)}
    assert identify["attributes"] == {
        "email": "ada@example.com",
        "first_name": "Ada",
        "anonymous_id": anonymous,
    }


def test_a_saved_user_is_identified_but_not_for_fields_that_are_not_sent(calls: list[Any]) -> None:
    ada = get_user_model().objects.create_user("ada", "ada@example.com", first_name="Ada")
    ada.save(update_fields=["last_login"])
    assert len(calls) == 1
    ada.first_name = "Augusta"
    ada.save(update_fields=["first_name"])
    assert documents(calls)[-1]["attributes"]["first_name"] == "Augusta"


def test_nobody_is_kept_from_logging_in_by_a_queue_that_is_away(
    ada: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with django_project.connected(REDIS_URL="redis://127.0.0.1:1/0", IDENTIFY_ON_LOGIN=True):
        assert Client().get("/log-in/?name=ada").status_code == 200
    assert "a user was not identified (job " in caplog.text


def test_nobody_is_kept_from_logging_in_by_a_function_of_the_project_that_fails(
    ada: Any, caplog: pytest.LogCaptureFixture, queued: Queued
) -> None:
    broken = {"IDENTIFY_FIELDS": f"{__name__}.broken_fields", "IDENTIFY_ON_LOGIN": True}
    with django_project.connected(REDIS_URL="redis://127.0.0.1:1/0", **broken):
        assert Client().get("/log-in/?name=ada").status_code == 200
    assert "a user was not identified" in caplog.text


def broken_fields(user: Any) -> dict[str, Any]:
    """Fail, as a project's function may."""
    return {"plan": user.subscription.plan}
