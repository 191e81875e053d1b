"""Django's error pages and mails show no password and no key of ours, wherever it is set."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client, RequestFactory, override_settings
from django.views.debug import ExceptionReporter

from tests.support import django_project

PASSWORD = "Hq7vTz2Lkw"
SECRETS = {
    "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
    "DATABASE_URL": f"postgresql://app:{PASSWORD}@127.0.0.1:1/app",
    "OUTBOX_URL": f"postgresql://app:{PASSWORD}@127.0.0.1:1/app",
    "KEY_HASH_SECRET": PASSWORD,
    "CUSTOMERIO_SITE_ID": PASSWORD,
    "CUSTOMERIO_TRACK_API_KEY": PASSWORD,
    "CUSTOMERIO_APP_API_KEY": PASSWORD,
    "SOURCE": "the-shop",
}


@pytest.mark.parametrize("debug", [True, False])
def test_settings_and_environment_are_shown_without_what_is_secret(debug: bool) -> None:
    environment = {f"TRACKRELAY_{name}": value for name, value in SECRETS.items()}
    request = RequestFactory().get("/", **environment)
    with django_project.connected(**SECRETS), override_settings(DEBUG=debug):
        reporter = ExceptionReporter(request, RuntimeError, RuntimeError("a bug"), None)
        page, mail = reporter.get_traceback_html(), reporter.get_traceback_text()
    for shown in (page, mail):
        assert "the-shop" in shown
        assert PASSWORD not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"ENQUEUE_TIMEOUT": "soon"},
        {"REDIS_URL": f"http://:{PASSWORD}@h/0"},
        {"OUTBOX": "nowhere"},
        {"ON_UNAVAILABLE": "outbox"},
        {"PERSON": "no_such_attribute"},
    ],
    ids=str,
)
@override_settings(DEBUG=True)
def test_the_page_of_a_call_that_failed_shows_no_password(wrong: dict[str, Any]) -> None:
    client = Client(raise_request_exception=False)
    with django_project.connected(**{**SECRETS, **wrong}):
        assert settings.DEBUG
        answer = client.get("/look/")
    assert answer.status_code == 500
    page = answer.content.decode()
    assert "Traceback" in page
    assert [line[:200] for line in page.splitlines() if PASSWORD in line] == []
