"""Campaigns over HTTP: defined, started, advanced in time, and explained."""

from __future__ import annotations

import pytest

from tests.support.sandbox_api import Api
from trackrelay.sandbox.client import SandboxError


def test_a_campaign_is_rehearsed_over_http(api: Api) -> None:
    api.client.define_campaign(
        "abandoned_cart", trigger="checkout_started", wait="1h", unless="order_completed"
    )
    with pytest.raises(SandboxError, match="is not a duration"):
        api.client.define_campaign("wrong", trigger="seen", wait="soon")
    for name in ("1", "2"):
        api.identify({"id": name}, email=f"{name}@example.com")
        api.track({"id": name}, "checkout_started", attributes={"cart_value": 49})
    api.track({"id": "2"}, "order_completed")
    assert api.client.outlook("abandoned_cart", "id:1")["sends"]
    held_back = api.client.outlook("abandoned_cart", "id:2")
    assert (held_back["sends"], held_back["end"]) == ([], "unless")
    assert "order_completed arrived at" in held_back["reason"]
    assert api.client.messages() == []
    api.client.advance("2h")
    assert [each["person"] for each in api.client.messages()] == ["id:1"]
    with pytest.raises(SandboxError, match="nobody called id:3; there are: id:1, id:2"):
        api.client.outlook("abandoned_cart", "id:3")
    api.client.reset()
    with pytest.raises(SandboxError, match="there is no campaign"):
        api.client.outlook("abandoned_cart", "id:1")
