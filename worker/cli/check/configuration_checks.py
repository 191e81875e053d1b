"""Checks of the settings, and of Customer.io's credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trackrelay.app_api import AppApi, AppApiAuthError, AppApiError
from trackrelay.configuration.server_urls import place
from trackrelay.configuration.settings_loader import Given, find
from trackrelay.configuration.settings_table import ALL_NAMES, Setting
from trackrelay.configuration.settings_table import SETTINGS as ALL_SETTINGS
from trackrelay.configuration.unknown_settings import unknown_settings
from trackrelay.errors import ConfigurationError
from trackrelay.plan.plan_errors import PlanError
from trackrelay.plan.plan_loader import load_plan
from trackrelay.suggestion import closest_name
from trackrelay.worker.resources import ask_region
from trackrelay.worker.settings import Settings, problems
from trackrelay.worker.track_api.credentials import Credentials, unset
from trackrelay.worker.track_api.http_client import TrackApi
from trackrelay.worker.track_api.region import WHERE

from .findings import Finding, State

SETTINGS = "Settings"
CUSTOMERIO = "Customer.io"
_URLS = ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL", "TRACKRELAY_OUTBOX_URL")
#: A ``CUSTOMERIO_…`` name this similar to a setting is probably misspelt; others are foreign.
_SIMILARITY = 0.85
#: Nobody's address: looking it up changes nothing and finds nobody.
NOBODY = "trackrelay-check@example.invalid"


def settings_findings(environment: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each setting that is set, wrong, missing or unknown."""
    wrong = problems(environment)
    return [
        *(
            each
            for setting in ALL_SETTINGS
            for each in _set(setting, environment)
            if each.name not in wrong
        ),
        *(Finding(SETTINGS, name, "wrong", text) for name, text in wrong.items()),
        *_unknown(environment),
    ]


def _set(setting: Setting, environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        given = find(setting, environment)
    except ValueError:
        return  # one of the problems
    if given and setting.name == "TRACKRELAY_PLAN":
        yield _plan(given.text)
    elif given:
        origin = "" if given.variable == setting.name else f" (from {given.variable})"
        yield Finding(SETTINGS, setting.name, "ok", f"{_value(setting, given)}{origin}")


def _plan(file: str) -> Finding:
    try:
        plan = load_plan(file)
    except PlanError as error:
        # A worker's machine need not have the file of an application.
        state: State = "wrong" if error.problems[0].line else "warning"
        return Finding(SETTINGS, "TRACKRELAY_PLAN", state, str(error.problems[0]))
    except ConfigurationError as error:
        return Finding(SETTINGS, "TRACKRELAY_PLAN", "wrong", str(error))
    return Finding(SETTINGS, "TRACKRELAY_PLAN", "ok", f"{file}: {plan.name}")


def _value(setting: Setting, given: Given) -> str:
    if setting.name in _URLS:
        return place(given.text)
    return "set" if setting.is_secret else given.text


def _unknown(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name, meant in unknown_settings(environment).items():
        hint = f"; did you mean {meant}?" if meant else ""
        yield Finding(SETTINGS, name, "wrong", f"no such setting{hint}")
    known = {name for name in ALL_NAMES if name.startswith("CUSTOMERIO_")}
    for name in sorted(environment):
        if not name.startswith("CUSTOMERIO_") or name in known:
            continue
        if meant := closest_name(name, known, similarity=_SIMILARITY):
            text = f"not a setting of trackrelay; did you mean {meant}?"
            yield Finding(SETTINGS, name, "warning", text)


def customerio_findings(settings: Settings) -> Iterator[Finding]:
    """Yield findings about the Track API's credentials, and the App API key if there is one."""
    missing = unset(Credentials(settings)())
    for name in missing:
        yield Finding(CUSTOMERIO, name, "wrong", f"not set: {WHERE}")
    if not missing:
        yield _track_api(settings)
    if settings.app_api_key.get_secret_value():
        yield _app_api(settings)
    else:
        text = "CUSTOMERIO_APP_API_KEY is not set; delivery does not need it"
        yield Finding(CUSTOMERIO, "App API", "skipped", text)


def _track_api(settings: Settings) -> Finding:
    api = TrackApi(
        settings.base_url, settings.request_timeout.total_seconds(), Credentials(settings)
    )
    try:
        verdict = ask_region(api, settings)
    finally:
        api.close()
    if verdict.problem or verdict.account is None:
        return Finding(CUSTOMERIO, "Track API", "wrong", verdict.message)
    account = verdict.account
    pinned = (
        "as TRACKRELAY_ENVIRONMENT_ID requires"
        if settings.environment_id
        else "set TRACKRELAY_ENVIRONMENT_ID to refuse any other"
    )
    text = (
        f"{settings.base_url}: region {account.region}, "
        f"workspace {account.environment_id} ({pinned})"
    )
    return Finding(CUSTOMERIO, "Track API", "ok", text)


def _app_api(settings: Settings) -> Finding:
    state, text = _ask_app_api(settings)
    return Finding(CUSTOMERIO, "App API", "ok" if state else "wrong", text)


def _ask_app_api(settings: Settings) -> tuple[bool, str]:
    try:
        with AppApi(retry_for=0) as api:
            api.people(email=NOBODY).first()
            return True, f"{api.base_url} accepts CUSTOMERIO_APP_API_KEY"
    except AppApiAuthError as error:
        return False, f"{error} (CUSTOMERIO_REGION is {settings.region})"
    except (AppApiError, ConfigurationError) as error:
        return False, str(error)
