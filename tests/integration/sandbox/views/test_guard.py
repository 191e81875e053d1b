"""The control endpoints answer local programs and the sandbox's own page, but no other site."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.support.sandbox_api import Api
from trackrelay.sandbox import SandboxProcess

PERSON = {"type": "person", "action": "identify", "identifiers": {"id": "42"}}


def ask(
    api: Api, method: str = "POST", path: str = "/_sandbox/outage", **headers: str
) -> tuple[int, str]:
    """Ask a control endpoint as a browser does."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    body = b"{}"
    for name, value in {
        "Host": f"127.0.0.1:{api.port}",
        "Content-Length": str(len(body)),
        **headers,
    }.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    answer = connection.getresponse()
    answered = answer.read().decode()
    connection.close()
    return answer.status, answered


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8462",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "x@localhost",
    ],
)
@pytest.mark.parametrize(
    "path", ["/_sandbox/outage", "/_sandbox/people", "/_sandbox/", "/_sandboxes"]
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(api: Api, host: str, path: str) -> None:
    status, answered = ask(api, "POST" if "outage" in path else "GET", path, Host=host)
    # A Host header that is none at all is refused by the server itself.
    assert status == 403 or (status == 400 and "Invalid" in answered)
    if status == 403:
        assert "--allowed-host" in json.loads(answered)["error"]
    assert api.client.faults() == []


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:80",
        "127.0.0.1",
        "127.1.2.3:9",
        "[::1]:8462",
        "shop.localhost",
        "localhost.",
    ],
)
def test_this_machine_s_own_names_are_answered(api: Api, host: str) -> None:
    assert ask(api, "GET", "/_sandbox/faults", Host=host)[0] == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1", ""]
)
def test_a_page_of_another_site_cannot_steer(api: Api, origin: str) -> None:
    status, answered = ask(api, Origin=origin)
    assert (status, "Origin" in answered) == (403, True)
    assert api.client.faults() == []
    assert api.entity(**PERSON).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_calls_foreign_cannot_steer_but_may_follow_a_link(
    api: Api, site: str
) -> None:
    assert ask(api, Sec_Fetch_Site=site)[0] == 403
    assert ask(api, "GET", "/_sandbox/", Sec_Fetch_Site=site)[0] == 200


def test_the_sandbox_s_own_page_can_steer_it(api: Api) -> None:
    own = f"http://127.0.0.1:{api.port}"
    assert ask(api, Origin=own, Sec_Fetch_Site="same-origin")[0] == 201
    assert ask(api, "DELETE", Origin=own)[0] == 200


def test_the_track_api_needs_the_credentials(api: Api) -> None:
    status, _ = ask(
        api,
        "POST",
        "/api/v2/entity",
        Host="track.customer.io",
        Authorization=api.auth,
        Content_Type="application/json",
    )
    assert status == 400  # for the document


def test_a_name_may_be_allowed() -> None:
    with SandboxProcess(allowed_host=("sandbox", "cio.test")) as server:
        api = Api(server)
        assert ask(api, "GET", "/_sandbox/faults", Host="sandbox:8462")[0] == 200
        assert ask(api, "GET", "/_sandbox/faults", Host="CIO.test")[0] == 200
        assert ask(api, "GET", "/_sandbox/faults", Host="other")[0] == 403
