"""Rehearsals in an application's tests: a bundle on the phone, a purchase on the desktop."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from trackrelay import Person, identify, track, track_anonymous
from trackrelay.testing import capture
from trackrelay.worker.testing import DeliveringSandbox

ADA = Person(email="ada@example.com")


@pytest.fixture
def box() -> DeliveringSandbox:
    box = DeliveringSandbox()
    box.define_campaign(
        "abandoned_cart", trigger="checkout_started", wait="1h", unless="order_completed"
    )
    box.define_campaign(
        "upsell",
        trigger="order_completed",
        wait="1d",
        filter={"event": {"name": "added_to_cart", "data": {"sku": "bundle"}}},
    )
    return box


def phone(box: DeliveringSandbox, *, join: bool) -> None:
    """A visitor puts a bundle into the cart, starts to pay, and gives an email address."""
    with capture(deliver_to=box):
        track_anonymous("phone-1", "added_to_cart", {"sku": "bundle"})
        track_anonymous("phone-1", "checkout_started", {"cart_value": 49})
        identify(ADA, anonymous_id="phone-1" if join else None)


def desktop(box: DeliveringSandbox, event: str = "order_completed") -> None:
    """The same person, with an account, buys something else on another device."""
    with capture(deliver_to=box):
        identify("42", {"email": "ada@example.com"})
        track("42", event, {"sku": "tea"})


def test_with_the_join_the_buyer_is_spared_and_gets_the_upsell(box: DeliveringSandbox) -> None:
    phone(box, join=True)
    box.assert_would_send("abandoned_cart", ADA, times=1)
    desktop(box)
    box.assert_would_not_send("abandoned_cart", "42")
    box.assert_would_send("upsell", "42")


def test_without_the_join_the_reminder_and_the_upsell_fail(box: DeliveringSandbox) -> None:
    phone(box, join=False)
    with pytest.raises(AssertionError) as raised:
        box.assert_would_send("abandoned_cart", ADA)
    assert "no checkout_started of email:ada@example.com arrived" in str(raised.value)
    assert "anonymous visitor phone-1, whom no identify has joined" in str(raised.value)
    desktop(box)
    with pytest.raises(AssertionError, match="the person does not match its filter"):
        box.assert_would_send("upsell", "42")


def test_a_person_by_email_here_and_by_id_there_gets_the_reminder_after_buying(
    box: DeliveringSandbox,
) -> None:
    with capture(deliver_to=box):
        track(ADA, "checkout_started")
        # No call gave 42 this email address.
        track("42", "order_completed")
    with pytest.raises(AssertionError) as raised:
        box.assert_would_not_send("abandoned_cart", ADA)
    assert "order_completed arrived for other people: id:42." in str(raised.value)


def test_a_late_purchase_comes_after_the_reminder(box: DeliveringSandbox) -> None:
    phone(box, join=True)
    # Rounded up: a time before the sandbox's start would be shown as a negative one.
    bought_at = math.ceil(box.now)
    box.advance("4h")
    with capture(deliver_to=box):
        identify("42", {"email": "ada@example.com"})
        track("42", "order_completed", timestamp=bought_at)
    with pytest.raises(AssertionError) as raised:
        box.assert_would_not_send("abandoned_cart", "42")
    assert "and the message was sent at 01:00:" in str(raised.value)
    assert "order_completed happened at 00:00:" in str(raised.value)


def test_a_purchase_under_another_name_does_not_stop_the_reminder(box: DeliveringSandbox) -> None:
    phone(box, join=True)
    desktop(box, "purchase")
    with pytest.raises(AssertionError) as raised:
        box.assert_would_not_send("abandoned_cart", "42")
    assert '  purchase  {"sku":"tea"}' in str(raised.value).replace("  00:00:00", "")


def test_an_event_gets_the_time_of_the_sandbox_s_clock(box: DeliveringSandbox) -> None:
    box.advance("10d")
    phone(box, join=True)
    box.assert_would_send("abandoned_cart", ADA)


def test_how_often_a_message_is_sent_can_be_asserted(box: DeliveringSandbox) -> None:
    phone(box, join=True)
    phone(box, join=True)
    with pytest.raises(AssertionError, match="2 times, not 1: at 01:00:0"):
        box.assert_would_send("abandoned_cart", ADA, times=1)


def test_segments_are_validated_with_known_people(box: DeliveringSandbox) -> None:
    box.define_segment("buyers", {"event": {"name": "order_completed"}})
    phone(box, join=True)
    box.assert_not_in_segment("buyers", ADA)
    with pytest.raises(AssertionError, match="is not in the segment buyers"):
        box.assert_in_segment("buyers", ADA)
    desktop(box)
    box.assert_in_segment("buyers", "42")
    with pytest.raises(AssertionError, match=r"Known as email ada@example\.com, id 42"):
        box.assert_not_in_segment("buyers", "42")


def test_a_person_whom_nobody_knows_fails_every_assertion(box: DeliveringSandbox) -> None:
    box.define_segment("buyers", {"event": {"name": "order_completed"}})
    for check in (box.assert_would_send, box.assert_would_not_send):
        with pytest.raises(AssertionError, match="nobody called id:43; there are no people"):
            check("abandoned_cart", "43")
    for check in (box.assert_in_segment, box.assert_not_in_segment):
        with pytest.raises(AssertionError, match="nobody called id:43"):
            check("buyers", "43")


def test_what_holds_is_added_to_the_report(tmp_path: Path) -> None:
    report = tmp_path / "rehearsal.jsonl"
    box = DeliveringSandbox(report=report)
    box.define_campaign("cart", trigger="checkout_started", wait="1h", unless="order_completed")
    phone(box, join=True)
    box.assert_would_send("cart", ADA)
    desktop(box)
    box.assert_would_not_send("cart", "42")
    with pytest.raises(AssertionError):
        box.assert_would_send("cart", "42")
    assert [json.loads(line) for line in report.read_text().splitlines()] == [
        {"campaign": "cart", "sent": True, "why": "sent"},
        {"campaign": "cart", "sent": False, "why": "unless"},
    ]
