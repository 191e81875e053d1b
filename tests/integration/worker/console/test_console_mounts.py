"""The console below a path of another application: ASGI, WSGI, Flask's users, Django's users."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, g
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client as WsgiClient

from tests.support.console_browser import ConsoleBrowser, user
from tests.support.harness import Harness
from trackrelay.configuration.console_values import ConsoleUser, Role
from trackrelay.worker.console.console_settings import ConsoleSettings
from trackrelay.worker.console.identity import SESSION_COOKIE
from trackrelay.worker.console.wsgi_bridge import console_wsgi
from trackrelay.worker.settings import load

if TYPE_CHECKING:
    from django.test import Client

Make = Callable[..., ConsoleBrowser]


def test_it_can_be_mounted_in_an_asgi_application(
    make_console: Make, console_users: ConsoleSettings
) -> None:
    inner = make_console()
    outer = ConsoleBrowser(Starlette(routes=[Mount("/ops", inner.app)]))
    assert outer.get("/ops/jobs").location == "/ops/sign-in?next=%2Fjobs"
    ada = console_users.user("ada")
    assert ada is not None
    session = inner.app.state.parts.identities.session(ada, time.time())
    outer.cookies[SESSION_COOKIE] = session
    page = outer.get("/ops/")
    assert (page.status, 'href="/ops/activity"' in page.body) == (200, True)


def test_it_can_be_mounted_in_flask_with_flask_s_users(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    flask = Flask(__name__)

    @flask.before_request
    def sign_in() -> None:
        from flask import request

        g.name = request.headers.get("x-test-user", "")

    def user_of(scope: dict[str, Any]) -> ConsoleUser | None:
        with flask.request_context(scope["wsgi.environ"]):
            flask.preprocess_request()
            return user(g.name, Role.OPERATE) if g.name else None

    console = console_wsgi(load(harness.settings), console_settings=ConsoleSettings(), user=user_of)
    client = WsgiClient(DispatcherMiddleware(flask.wsgi_app, {"/ops": console}))
    assert client.get("/ops/").status_code == 303
    signed_in = {"X-Test-User": "ada"}
    page = client.get("/ops/", headers=signed_in)
    assert page.status_code == 200
    assert "Sign out" not in page.text
    assert 'data-mode="poll"' in page.text
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token
    form = {"csrf": token[1], "shards": "1"}
    assert client.post("/ops/delivery/pause", data=form).status_code == 303
    assert not harness.rows("SELECT * FROM trackrelay_shards WHERE paused_at IS NOT NULL")
    done = client.post("/ops/delivery/pause", data=form, headers=signed_in)
    assert (done.status_code, done.location) == (303, "/ops/")
    assert harness.rows("SELECT author FROM trackrelay_acts")[0].author == "ada"


@pytest.fixture
def console_site(admin_project: None) -> None:
    from django.urls import clear_url_caches, include, path

    from tests.django_project import urls
    from trackrelay.worker.django import console_view

    console_view._application.cache_clear()
    if not any(str(each.pattern) == "ops/" for each in urls.urlpatterns):
        urls.urlpatterns.append(path("ops/", include("trackrelay.worker.django.console_urls")))
        clear_url_caches()


def test_it_can_be_mounted_in_django_with_django_s_users(
    harness: Harness, console_site: None, log_in: Callable[..., Client]
) -> None:
    from django.test import Client

    stranger = Client(enforce_csrf_checks=True)
    asked = stranger.get("/ops/jobs?key=id:42")
    assert asked.status_code == 302
    assert "next=/ops/jobs" in asked["location"]
    superuser = log_in(superuser=True)
    page = superuser.get("/ops/")
    text = page.content.decode()
    assert page.status_code == 200
    assert page["cache-control"] == "no-store"
    assert 'href="/ops/jobs"' in text
    style = re.search(r'href="(/ops/static/[^"]+console\.css)"', text)
    assert style
    assert stranger.get(style[1]).status_code == 200
    token = re.search(r'name="csrf" value="([^"]+)"', text)
    assert token
    kind = "application/x-www-form-urlencoded"
    refused = superuser.post("/ops/delivery/pause", "shards=1", content_type=kind)
    assert refused.status_code == 403
    fields = f"csrf={token[1]}&shards=1"
    done = superuser.post("/ops/delivery/pause", fields, content_type=kind)
    assert (done.status_code, done["location"]) == (303, "/ops/")
    assert harness.rows("SELECT author FROM trackrelay_acts")[0].author == "ada"


def test_django_s_permissions_are_roles(
    harness: Harness, console_site: None, log_in: Callable[..., Client]
) -> None:
    looker = log_in("view")
    text = looker.get("/ops/").content.decode()
    assert "Pause delivery" not in text
    assert "view_payloads" in text
