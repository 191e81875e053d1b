"""Customer.io: whose credentials these are, and whether they are good."""

from __future__ import annotations

from collections.abc import Iterator

import requests

from trackrelay.worker.resources import ask_region
from trackrelay.worker.settings import Settings
from trackrelay.worker.track_api.credentials import Credentials, unset
from trackrelay.worker.track_api.http_client import TrackApi
from trackrelay.worker.track_api.region import WHERE

from .finding import Finding

AREA = "Customer.io"
#: Nobody's address: asking for it changes nothing and finds nobody.
NOBODY = "trackrelay-check@example.invalid"


def findings(settings: Settings) -> Iterator[Finding]:
    """The Track API's credentials, and the App API key if there is one."""
    missing = unset(Credentials(settings)())
    for name in missing:
        yield Finding(AREA, name, "wrong", f"not set: {WHERE}")
    if not missing:
        yield _track_api(settings)
    if settings.app_api_key.get_secret_value():
        yield _app_api(settings)
    else:
        yield Finding(
            AREA,
            "App API",
            "skipped",
            "CUSTOMERIO_APP_API_KEY is not set; delivery does not need it",
        )


def _track_api(settings: Settings) -> Finding:
    api = TrackApi(
        settings.base_url, settings.request_timeout.total_seconds(), Credentials(settings)
    )
    try:
        verdict = ask_region(api, settings)
    finally:
        api.close()
    if verdict.problem or verdict.account is None:
        return Finding(AREA, "Track API", "wrong", verdict.message)
    account = verdict.account
    pinned = (
        "as TRACKRELAY_ENVIRONMENT_ID says"
        if settings.environment_id
        else "TRACKRELAY_ENVIRONMENT_ID would pin it"
    )
    text = f"{settings.base_url}: region {account.region}, workspace {account.environment_id} ({pinned})"
    return Finding(AREA, "Track API", "ok", text)


def _app_api(settings: Settings) -> Finding:
    url = settings.app_base_url
    try:
        answer = requests.get(
            f"{url}/v1/customers",
            params={"email": NOBODY},
            headers={"Authorization": f"Bearer {settings.app_api_key.get_secret_value()}"},
            timeout=settings.request_timeout.total_seconds(),
            allow_redirects=False,
        )
    except (requests.RequestException, ValueError) as error:
        return Finding(AREA, "App API", "wrong", f"{url} cannot be reached: {type(error).__name__}")
    if answer.status_code == 200:
        return Finding(AREA, "App API", "ok", f"{url} accepts CUSTOMERIO_APP_API_KEY")
    if answer.status_code in (401, 403):
        text = (
            f"{url} refuses CUSTOMERIO_APP_API_KEY ({answer.status_code}): it may be a Track API key, or one of another "
            f"region (CUSTOMERIO_REGION is {settings.region})"
        )
        return Finding(AREA, "App API", "wrong", text)
    if answer.status_code == 429 or answer.status_code >= 500:
        return Finding(
            AREA,
            "App API",
            "wrong",
            f"{url} is in trouble (status {answer.status_code}): an outage, or a limit",
        )
    text = f"{url} answers {answer.status_code} instead of like Customer.io's App API: check CUSTOMERIO_APP_URL"
    return Finding(AREA, "App API", "wrong", text)
