"""Customer.io's own Python client, pointed at the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import customerio  # type: ignore[import-untyped]
import pytest
import requests
from requests.adapters import HTTPAdapter

from tests.support.sandbox_api import Api


class PlainHttp(HTTPAdapter):
    """The client knows https only; what it addresses so is sent without."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        request.url = str(request.url).replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture
def official(api: Api) -> Iterator[customerio.CustomerIO]:
    with customerio.CustomerIO(
        api.server.site_id, api.server.api_key, host="127.0.0.1", port=api.port
    ) as client:
        client.http.mount("https://", PlainHttp())
        yield client


def actions(api: Api) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (f"{effect['type']}.{effect['action']}", tuple(effect["keys"]))
        for effect in api.client.effects()
    ]


def test_identify_track_and_the_other_views_reach_the_person(api: Api, official: Any) -> None:
    official.identify(id="5", email="ada@example.com", plan="pro")
    official.track(
        customer_id="5", name="purchased", data={"price": 5}, id="01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"
    )
    official.pageview(customer_id="5", page="/pricing", referrer="x")
    official.backfill("5", "signed_up", 1_700_000_000, source="import")
    assert api.person("email:ADA@example.com")["identifiers"]["id"] == "5"
    assert api.event_names("id:5") == ["purchased", "/pricing", "signed_up"]
    assert api.person("id:5")["events"][2]["timestamp"] == 1_700_000_000


def test_anonymous_events_and_invites(api: Api, official: Any) -> None:
    official.track_anonymous(anonymous_id="anon-1", name="viewed", data={"sku": "a"})
    official.track_anonymous(
        anonymous_id=None, name="invited", data={"recipient": "bo@example.com"}
    )
    official.identify(id="5", anonymous_id="anon-1")
    assert api.event_names("id:5") == ["viewed"]
    assert actions(api)[1] == ("person.event", ())


def test_devices_suppression_and_deletion(api: Api, official: Any) -> None:
    official.add_device(customer_id="5", device_id="token/1", platform="ios")
    assert api.person("id:5")["devices"][0]["token"] == "token/1"
    official.delete_device(customer_id="5", device_id="token/1")
    assert api.person("id:5")["devices"] == []
    official.delete(customer_id="5")
    assert api.client.person("id:5") is None
    official.suppress(customer_id="5")
    official.identify(id="5", plan="pro")
    assert api.client.person("id:5") is None
    official.unsuppress(customer_id="5")
    official.identify(id="5", plan="pro")
    assert api.person("id:5")["attributes"] == {"plan": "pro"}


def test_merge(api: Api, official: Any) -> None:
    official.identify(id="a", email="ada@example.com")
    official.identify(id="b", plan="pro")
    official.merge_customers("email", "ada@example.com", "id", "b")
    assert api.person("id:a")["attributes"] == {"plan": "pro"}
    assert api.client.person("id:b") is None


def test_batch(api: Api, official: Any) -> None:
    identify = {
        "type": "person",
        "action": "identify",
        "identifiers": {"id": "5"},
        "attributes": {"plan": "pro"},
    }
    assert official.batch([identify, {"type": "nonsense"}]).status_code == 207
    assert actions(api) == [("person.identify", ("id:5",))]


def test_the_region_endpoint(api: Api, official: Any) -> None:
    answer = official.send_request("GET", f"{official.base_url}/accounts/region", {})
    assert answer.json() == {
        "url": "https://track.customer.io",
        "region": "us",
        "environment_id": 123,
    }
    api.client.set_credentials(api_key="rotated")
    with pytest.raises(customerio.CustomerIOException, match="401"):
        official.send_request("GET", f"{official.base_url}/accounts/region", {})


def test_push_events(api: Api, official: Any) -> None:
    push = {
        "delivery_id": "d1",
        "device_id": "token",
        "event": "opened",
        "timestamp": 1_700_000_000,
    }
    official.send_request("POST", f"{official.base_url}/push/events", push)
    assert api.client.others()["deliveries"]["d1"]["metrics"] == {"opened": 1}
    with pytest.raises(customerio.CustomerIOException, match="event must be one of"):
        official.send_request(
            "POST", f"{official.base_url}/push/events", {**push, "event": "eaten"}
        )


def test_what_the_sandbox_refuses_is_an_error_to_the_client(api: Api, official: Any) -> None:
    with pytest.raises(customerio.CustomerIOException, match="event name must not be blank"):
        official.track(customer_id="5", name=" ")
    api.client.set_credentials(api_key="rotated")
    with pytest.raises(customerio.CustomerIOException, match="401"):
        official.identify(id="5")


@pytest.mark.parametrize("identifier", ["a/b c&d", "x+y@example.com", "ünïcode", "100%"])
def test_identifiers_arrive_as_they_were_meant(api: Api, official: Any, identifier: str) -> None:
    official.identify(id=identifier, plan="pro")
    kind = "email" if "@" in identifier else "id"
    assert api.person(f"{kind}:{identifier}")["attributes"] == {"plan": "pro"}
