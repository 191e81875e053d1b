"""Campaigns in the sandbox: what starts and ends a journey, and its report."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from trackrelay.sandbox import sandbox_clock
from trackrelay.sandbox.in_process import InProcessSandbox
from trackrelay.sandbox.rehearsal.campaigns import JourneyEnd
from trackrelay.sandbox.rehearsal.outlooks import UnknownPersonError

CART = {"trigger": "checkout_started", "wait": "1h", "unless": "order_completed"}


class Box(InProcessSandbox):
    """A sandbox with short calls for operations."""

    def tell(self, action: str, person: str = "id:42", /, **more: Any) -> None:
        kind, _, value = person.partition(":")
        document = {"type": "person", "action": action, "identifiers": {kind: value}, **more}
        answer = self.send("POST", "/api/v2/entity", json.dumps(document).encode())
        assert answer.status == 200, answer.body

    def identify(self, person: str = "id:42", /, **attributes: Any) -> None:
        self.tell("identify", person, attributes=attributes)

    def event(self, name: str, person: str = "id:42", /, ago_s: float = 0, **data: Any) -> None:
        at = int(self.now - ago_s)
        self.tell("event", person, name=name, timestamp=at, attributes=data)

    def anonymous_event(self, name: str, anonymous_id: str, ago_s: float = 0) -> None:
        body = {"name": name, "anonymous_id": anonymous_id, "timestamp": int(self.now - ago_s)}
        assert self.send("POST", "/api/v1/events", json.dumps(body).encode()).status == 200

    def end(self, campaign: str = "cart", key: str = "id:42") -> JourneyEnd | None:
        return self.outlook(campaign, key).end


@pytest.fixture
def box() -> Box:
    box = Box()
    box.define_campaign("cart", **CART)
    box.identify(email="ada@example.com")
    return box


def test_a_message_is_sent_when_the_wait_is_over(box: Box) -> None:
    box.event("checkout_started")
    assert box.end() is JourneyEnd.SENT
    assert box.messages() == []
    box.advance("59m")
    assert box.messages() == []
    box.advance("2m")
    (message,) = box.messages()
    assert (message["campaign"], message["person"]) == ("cart", "id:42")


def test_an_event_in_time_holds_it_back_and_a_late_one_does_not(box: Box) -> None:
    box.event("checkout_started")
    box.advance("50m")
    box.event("order_completed")
    assert box.end() is JourneyEnd.UNLESS
    box.event("checkout_started")
    box.advance("4h")
    box.event("order_completed", ago_s=3.5 * 3_600)
    found = box.outlook("cart", "id:42")
    assert found.end is JourneyEnd.SENT
    assert len(found.sends) == 1
    assert "order_completed happened at 01:" in found.details


def test_time_that_passes_by_itself_counts_before_what_arrives_next(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.event("checkout_started")
    later = box.now + 2 * 3_600
    monkeypatch.setattr(sandbox_clock, "time", SimpleNamespace(time=lambda: later))
    box.event("order_completed")
    assert box.end() is JourneyEnd.SENT


def test_a_purchase_before_the_checkout_holds_nothing_back(box: Box) -> None:
    box.event("order_completed", ago_s=600)
    box.event("checkout_started")
    assert box.end() is JourneyEnd.SENT


def test_events_of_anonymous_visitors_count_from_the_join(box: Box) -> None:
    box.anonymous_event("checkout_started", "phone-1")
    found = box.outlook("cart", "id:42")
    assert found.end is None
    assert "for the anonymous visitor phone-1, whom no identify has joined" in found.details
    box.identify(anonymous_id="phone-1")
    assert box.end() is JourneyEnd.SENT


def test_events_older_than_three_days_start_nothing(box: Box) -> None:
    box.event("checkout_started", ago_s=73 * 3_600)
    assert box.end() is JourneyEnd.TOO_OLD
    box.anonymous_event("checkout_started", "phone-1", ago_s=73 * 3_600)
    box.identify(anonymous_id="phone-1")
    assert box.outlook("cart", "id:42").sends == ()
    assert "was older than 72 hours" in box.outlook("cart", "id:42").reason


@pytest.mark.parametrize(
    ("change", "end"),
    [
        (lambda box: box.identify(unsubscribed=True), JourneyEnd.UNSUBSCRIBED),
        (lambda box: box.tell("delete"), JourneyEnd.GONE),
        (lambda box: box.tell("suppress"), JourneyEnd.GONE),
    ],
)
def test_nobody_is_written_to_who_left(box: Box, change: Any, end: JourneyEnd) -> None:
    box.event("checkout_started")
    change(box)
    assert box.end() is end
    box.advance("2h")
    assert box.messages() == []


def test_what_was_sent_before_a_deletion_stays_sent(box: Box) -> None:
    box.event("checkout_started")
    box.advance("2h")
    box.tell("delete")
    found = box.outlook("cart", "id:42")
    assert len(found.sends) == 1
    assert "id:42 was deleted; before, it was sent at 01:00:0" in found.reason


def test_a_message_needs_an_address(box: Box) -> None:
    box.define_campaign("sms", trigger="order_completed", channel="sms")
    box.event("order_completed")
    assert box.end("sms") is JourneyEnd.NO_ADDRESS
    assert "has no phone number" in box.outlook("sms", "id:42").reason
    box.identify(phone="+4915112345678")
    box.event("order_completed")
    assert box.end("sms") is JourneyEnd.SENT


def test_a_filter_holds_at_the_start_and_at_the_end(box: Box) -> None:
    box.define_segment(
        "consented", {"attribute": {"field": "accepts", "operator": "eq", "value": True}}
    )
    box.define_campaign(
        "news", trigger="seen", wait="1h", filter={"segment": {"name": "consented"}}
    )
    box.event("seen")
    assert box.end("news") is JourneyEnd.FILTER
    box.identify(accepts=True)
    box.event("seen")
    assert len(box.outlook("news", "id:42").sends) == 1
    box.identify(accepts=False)
    box.advance("2h")
    assert box.end("news") is JourneyEnd.FILTER
    assert box.messages() == []


def test_a_trigger_can_ask_for_the_data_of_its_event(box: Box) -> None:
    event = {"name": "order_completed", "data": {"items[].sku": "tea", "total": {"gt": 20}}}
    box.define_campaign("refill", trigger={"event": event}, wait="30d", unless="order_completed")
    items = [{"sku": "cup"}, {"sku": "tea"}]
    box.event("order_completed", items=items, total=12.5)
    box.event("order_completed", items=items, total="40.00")
    assert box.end("refill") is None
    box.event("order_completed", items=items, total=40)
    assert box.end("refill") is JourneyEnd.SENT
    box.event("order_completed", items=[], total=1)
    assert box.end("refill") is JourneyEnd.UNLESS


def test_time_alone_lets_somebody_enter_and_return(box: Box) -> None:
    bought = {"event": {"name": "order_completed", "days": 30}}
    entry = {"and": [{"event": {"name": "order_completed"}}, {"not": bought}]}
    box.define_campaign("winback", trigger=entry)
    box.event("order_completed")
    box.advance("29d")
    box.event("order_completed")
    box.advance("29d")
    assert box.messages() == []
    box.advance("2d")
    box.identify(first_name="Ada")
    assert [message["campaign"] for message in box.messages()] == ["winback"]
    box.event("order_completed")
    box.advance("40d")
    assert len(box.outlook("winback", "id:42").sends) == 2


def test_a_time_in_an_attribute_counts_only_as_unix_seconds(box: Box) -> None:
    recent = {"attribute": {"field": "last_order_at", "operator": "within", "value": "30d"}}
    box.define_segment("recent", recent)
    for value, inside in [
        (int(box.now), True),
        (int(box.now * 1000), False),
        ("2026-11-30T10:00:00Z", False),
        (True, False),
    ]:
        box.identify(last_order_at=value)
        assert box.is_member("recent", "id:42") is inside, value
    box.identify(last_order_at=int(box.now))
    box.advance("31d")
    assert not box.is_member("recent", "id:42")


def test_the_primary_of_a_merge_continues_the_journey(box: Box) -> None:
    box.identify("email:shop@example.com")
    box.event("checkout_started", "email:shop@example.com")
    merge = {"primary": {"id": "42"}, "secondary": {"email": "shop@example.com"}}
    document = {"type": "person", "action": "merge", **merge}
    assert box.send("POST", "/api/v2/entity", json.dumps(document).encode()).status == 200
    assert box.end() is JourneyEnd.SENT
    box.event("order_completed")
    assert box.end() is JourneyEnd.UNLESS


def test_who_is_in_a_campaign_already_does_not_take_over_another_journey(box: Box) -> None:
    box.identify("email:shop@example.com")
    for person in ("email:shop@example.com", "id:42"):
        box.event("checkout_started", person)
    merge = {"primary": {"id": "42"}, "secondary": {"email": "shop@example.com"}}
    document = {"type": "person", "action": "merge", **merge}
    assert box.send("POST", "/api/v2/entity", json.dumps(document).encode()).status == 200
    box.advance("2h")
    assert len(box.messages()) == 1


def test_what_is_not_known_is_an_error_and_no_answer(box: Box) -> None:
    with pytest.raises(ValueError, match="there is no campaign 'carts'; there are: cart"):
        box.outlook("carts", "id:42")
    with pytest.raises(UnknownPersonError, match="nobody called id:43; there are: id:42"):
        box.outlook("cart", "id:43")
    with pytest.raises(ValueError, match="there is no segment 'buyers'"):
        box.is_member("buyers", "id:42")


@pytest.mark.parametrize(
    ("campaign", "problem"),
    [
        ({"trigger": 7}, "a filter is an object"),
        ({"trigger": {"event": {"name": "x", "days": 3}}}, "the event of a trigger has some of"),
        ({"trigger": {"event": {"name": "x", "since": "trigger"}}}, "only for unless and filter"),
        ({"trigger": "x", "wait": "soon"}, "'soon' is not a duration"),
        ({"trigger": "x", "wait": -1}, "must be between 0 and ten years"),
        ({"trigger": "x", "unless": {"segment": {"name": "none"}}}, "there is no segment 'none'"),
        ({"trigger": "x", "channel": "fax"}, "channel"),
        (
            {
                "trigger": "x",
                "filter": {"attribute": {"field": "a", "operator": "gt", "value": "1"}},
            },
            "the operator gt needs a number",
        ),
    ],
)
def test_a_campaign_that_is_not_valid_is_refused(
    box: Box, campaign: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        box.define_campaign("wrong", **campaign)
    with pytest.raises(ValueError, match="there is no campaign 'wrong'"):
        box.outlook("wrong", "id:42")
