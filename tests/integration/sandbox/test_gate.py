"""Authentication, rate limits, and unknown paths."""

from __future__ import annotations

import pytest

from tests.support.sandbox_api import Api, basic

PERSON = {"type": "person", "action": "identify", "identifiers": {"id": "42"}}


@pytest.mark.parametrize(
    "auth",
    [
        None,
        basic("sandbox-site", "wrong"),
        basic("wrong", "sandbox-track-key"),
        "Bearer sandbox-app-key",
        "Basic ???",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v2/batch"), ("GET", "/api/v1/accounts/region")]
)
def test_wrong_credentials_are_refused(api: Api, auth: str | None, method: str, path: str) -> None:
    answer = api.call(method, path, {"batch": [PERSON]} if method == "POST" else None, auth=auth)
    assert (answer.status, answer.json) == (401, {"meta": {"error": "unauthorized"}})
    assert list(api.client.effects()) == []


def test_an_app_api_key_is_not_a_track_api_key(api: Api) -> None:
    auth = basic("sandbox-site", "sandbox-app-key")
    assert api.call("POST", "/api/v2/entity", PERSON, auth=auth).status == 401
    assert api.call("GET", "/v1/customers?email=a@b.c").status == 401


def test_rotated_credentials_count_from_then_on(api: Api) -> None:
    api.client.set_credentials(api_key="new")
    assert api.call("POST", "/api/v2/entity", PERSON).status == 401
    assert (
        api.call("POST", "/api/v2/entity", PERSON, auth=basic("sandbox-site", "new")).status == 200
    )


def test_the_region_endpoint_says_where_the_account_is(api: Api) -> None:
    assert api.call("GET", "/api/v1/accounts/region").json == {
        "url": "https://track.customer.io",
        "region": "us",
        "environment_id": 123,
    }
    api.client.settings(region="eu", environment_id=7)
    assert api.call("GET", "/api/v1/accounts/region").json == {
        "url": "https://track-eu.customer.io",
        "region": "eu",
        "environment_id": 7,
    }


def test_requests_over_the_rate_are_turned_away(api: Api) -> None:
    api.client.settings(rate_limit=5, retry_after="2")
    answers = [api.call("POST", "/api/v2/entity", PERSON) for _ in range(7)]
    assert [answer.status for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].json["errors"][0]["message"] == "too many requests"
    assert len(list(api.client.effects())) == 5
    api.client.settings(rate_limit=None)
    assert api.call("POST", "/api/v2/entity", PERSON).status == 200


def test_what_is_not_described_is_not_there(api: Api) -> None:
    assert api.call("POST", "/api/v2/nothing", {}).status == 404
    assert api.call("GET", "/").status == 404
    answer = api.call("POST", "/api/v1/customers/42", {})
    assert (answer.status, answer.headers["allow"]) == (405, "PUT, DELETE")
