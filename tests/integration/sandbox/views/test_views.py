"""What the sandbox shows of its traffic."""

from __future__ import annotations

import base64
import functools
from typing import Any

import pytest

from tests.support.sandbox_api import Api
from trackrelay.sandbox import SandboxProcess
from trackrelay.sandbox.client import SandboxError

PERSON: dict[str, Any] = {"type": "person", "action": "identify", "identifiers": {"id": "42"}}


def test_a_request_is_shown_as_it_came_but_for_its_credentials(api: Api) -> None:
    api.call("POST", "/api/v1/segments/7/add_customers?id_type=email", {"ids": ["ada@example.com"]})
    api.call("POST", "/api/v2/batch", raw=b"{not json")
    first, second = api.client.requests()
    assert (first["method"], first["path"], first["query"]) == (
        "POST",
        "/api/v1/segments/7/add_customers",
        "id_type=email",
    )
    assert first["body"] == {"ids": ["ada@example.com"]}
    assert (first["status"], first["operations"], first["bytes"]) == (200, 1, 28)
    assert first["finished"] is not None
    assert first["finished"] >= first["at"]
    assert first["headers"]["authorization"] == "Basic"
    assert (second["status"], second["body"]) == (400, "{not json")


def test_nothing_that_is_shown_contains_a_credential(api: Api) -> None:
    api.batch(PERSON)
    shown = api.call("GET", "/_sandbox/requests").body + api.call("GET", "/_sandbox/latest").body
    for secret in (
        api.server.api_key,
        base64.b64encode(b"sandbox-site:sandbox-track-key").decode(),
    ):
        assert secret.encode() not in shown


def test_the_summary_counts(api: Api) -> None:
    api.batch(PERSON, {**PERSON, "action": "event", "name": "a"}, {"type": "x"})
    api.call("PUT", "/api/v1/customers/7", {})
    api.call("GET", "/nowhere")
    api.client.add_fault(kind="close_before", times=1)
    with pytest.raises(ConnectionError):
        api.batch(PERSON)
    summary = api.client.summary()
    expected = {
        "requests": 4,
        "operations": 4,
        "effects": 3,
        "events": 1,
        "rejected": 1,
        "concurrent": 0,
        "people": 2,
    }
    assert {name: summary[name] for name in expected} == expected  # type: ignore[literal-required]
    assert summary["by_path"] == {
        "/api/v2/batch": 2,
        "/api/v1/customers/{identifier}": 1,
        "unknown": 1,
    }
    assert summary["by_action"] == {"person.identify": 2, "person.event": 1}
    assert summary["by_status"] == {"207": 1, "200": 1, "404": 1, "unanswered": 1}
    assert summary["max_concurrent"] == 1
    assert 1 <= summary["peak_per_second"] <= 4


def test_pages_are_followed_to_the_end(api: Api) -> None:
    assert api.batch(*[PERSON] * 1000).status == 200
    assert api.batch(*[PERSON] * 500).status == 200
    assert [effect["seq"] for effect in api.client.effects()] == list(range(1, 1501))
    page = api.call("GET", "/_sandbox/effects?after=10&limit=5").json
    assert [effect["seq"] for effect in page["effects"]] == [11, 12, 13, 14, 15]
    assert page["next"] == 15


def test_people_are_shown_by_each_of_their_keys(api: Api) -> None:
    api.identify({"id": "a/b:c"}, email="Ada@example.com", anonymous_id="x/y")
    person = api.person("id:a/b:c")
    for key in (*person["keys"], "email:ADA@EXAMPLE.COM"):
        assert api.person(key)["cio_id"] == person["cio_id"], key
    assert api.client.person("id:nobody") is None


def test_a_reset_is_as_just_started(api: Api) -> None:
    api.batch(PERSON)
    api.client.set_credentials(api_key="new")
    api.client.settings(region="eu", rate_limit=1)
    api.client.start_outage()
    api.client.reset()
    assert not [*api.client.people(), *api.client.effects(), *api.client.requests()]
    assert api.client.summary()["requests"] == 0
    assert api.client.settings()["region"] == "us"
    assert api.batch(PERSON).status == 200
    assert next(api.client.effects())["seq"] == 1


@pytest.mark.parametrize(
    "changes", [{"region": "mars"}, {"latency_s": -1}, {"rate_limit": 0}, {"colour": "red"}]
)
def test_a_setting_that_means_nothing_changes_nothing(api: Api, changes: dict[str, Any]) -> None:
    before = api.client.settings()
    with pytest.raises(SandboxError):
        api.client.settings(**changes)
    assert api.client.settings() == before


def test_what_is_remembered_is_bounded_and_the_client_says_so() -> None:
    with SandboxProcess(max_records=10, max_effects=100) as server:
        api = Api(server)
        for _ in range(50):
            assert api.batch(*[PERSON] * 5).status == 200
        summary = api.client.summary()
        requests = list(api.client.requests())
        assert (summary["requests"], summary["effects"]) == (50, 250)
        assert 10 <= len(requests) < 30
        assert requests[-1]["seq"] == 50
        with pytest.raises(SandboxError, match="are forgotten"):
            list(api.client.effects())
        recent = list(api.client.effects(after=summary["first_effect"] - 1))
        assert 100 <= len(recent) < 150
        assert recent[-1]["seq"] == 250


def test_bodies_go_first_when_they_are_too_many() -> None:
    with SandboxProcess(max_body_mb=1) as server:
        api = Api(server)
        for _ in range(10):
            assert api.batch(*[{**PERSON, "attributes": {"note": "x" * 900}}] * 200).status == 200
        bodies = [request["body"] is not None for request in api.client.requests()]
        attributes = [effect["attributes"] is not None for effect in api.client.effects()]
        assert bodies == sorted(bodies)
        assert attributes == sorted(attributes)
        assert (bodies[0], bodies[-1], attributes[0], attributes[-1]) == (False, True, False, True)


def test_without_bodies_everything_else_is_remembered() -> None:
    with SandboxProcess(bodies=False) as server:
        api = Api(server)
        api.identify({"id": "1"}, plan="pro")
        effect, request = next(api.client.effects()), next(api.client.requests())
        assert (effect["keys"], effect["attributes"]) == (["id:1"], None)
        assert (request["bytes"] > 0, request["body"]) == (True, None)
        assert api.person("id:1")["attributes"] == {"plan": "pro"}


def test_the_page_for_eyes_needs_nothing_from_elsewhere(api: Api) -> None:
    api.batch(PERSON)
    answer = api.call("GET", "/_sandbox/", auth=None)
    assert answer.headers["content-type"].startswith("text/html")
    # The icon names the format of its picture by an address; nothing is fetched from there.
    named = (b"http-equiv", b"http://www.w3.org/2000/svg")
    assert b"http" not in functools.reduce(
        lambda body, name: body.replace(name, b""), named, answer.body
    )
    latest = api.call("GET", "/_sandbox/latest", auth=None).json
    assert latest["people"][0]["keys"][0] == "id:42"
    assert (len(latest["effects"]), len(latest["requests"]), latest["faults"]) == (1, 1, [])
