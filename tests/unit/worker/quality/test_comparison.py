"""What was sent, beside what Customer.io has: the verdict on each item."""

from typing import Any

import pytest

from tests.unit.worker.quality.test_sent_items import HASHER, NOW, remembered
from trackrelay import ObjectRef, Person, operations
from trackrelay.operations.operation import Operation
from trackrelay.worker.quality.comparison import HISTORY_S, Comparison, Finding, Seen, SeenEvent

LATER, EARLIER = int(NOW) + 60, int(NOW) - 60


def found(
    seen: Seen, *sent: Operation, key: str = "id:42", now: float = NOW + 300
) -> dict[str, Any]:
    """The verdict on each item, by its name."""
    subject = remembered(*sent)[key]
    findings = Comparison(subject, seen, HASHER.digest, now).findings(list(subject.items))
    return {finding.item: finding for finding in findings}


def verdicts(seen: Seen, *sent: Operation, **more: Any) -> dict[str, str | None]:
    return {name: finding.verdict for name, finding in found(seen, *sent, **more).items()}


def ada(**attributes: str) -> Seen:
    return Seen(exists=True, attributes={"id": "42", **attributes}, cio_id="a1")


def test_everything_that_is_there_is_verified() -> None:
    sent = operations.identify("42", {"plan": "pro", "age": 7, "gone": None})
    assert set(verdicts(ada(plan="pro", age="7"), sent).values()) == {"verified"}


def test_an_attribute_that_is_not_there_is_missing() -> None:
    phone = found(ada(), operations.identify("42", {"phone": "+4915112345678"}))["attribute:phone"]
    assert phone.verdict == "missing"
    assert (
        phone.reason
        == "the profile has no phone: Customer.io dropped it, or another profile has it"
    )
    assert "4915" not in phone.reason


@pytest.mark.parametrize(
    ("sent", "returned", "changed", "verdict", "reason"),
    [
        ("pro", "free", LATER, "different", "somebody else wrote it"),
        ("pro", "free", EARLIER, "missing", "still has what was there before"),
        ("pro", "free", None, "different", "has another value"),
        ("007", "7", None, "different", "type or precision"),
        (2**63 - 1, "9223372036854776000", None, "different", "type or precision"),
        (None, "free", LATER, "different", "somebody else wrote it"),
        (None, "free", EARLIER, "missing", "still has what was there before"),
        ({"a": 1}, "[object Object]", None, "different", "has another value"),
    ],
)
def test_another_value_is_another_persons_or_an_old_one(
    sent: Any, returned: str, changed: int | None, verdict: str, reason: str
) -> None:
    seen = Seen(
        exists=True,
        attributes={"plan": returned},
        timestamps={"plan": changed} if changed else {},
    )
    finding = found(seen, operations.identify("42", {"plan": sent}))["attribute:plan"]
    assert finding.verdict == verdict
    assert reason in finding.reason
    assert returned not in finding.reason


def test_a_missing_person_is_reported_once_and_not_for_each_attribute() -> None:
    sent = operations.identify("42", {"plan": "pro", "age": 7}), operations.track("42", "seen")
    assert [name for name, verdict in verdicts(Seen(exists=False), *sent).items() if verdict] == [
        "exists"
    ]
    exists = found(Seen(exists=False), *sent)["exists"]
    assert (exists.verdict, exists.reason[:20]) == ("missing", "nobody has this id: ")


def test_an_update_of_an_unknown_person_rightly_has_no_effect() -> None:
    sent = operations.identify("42", {"plan": "pro"}, update_only=True)
    assert verdicts(Seen(exists=False), sent) == {"attribute:plan": None}


def test_an_update_counts_only_if_the_person_existed_before() -> None:
    sent = operations.identify("42", {"plan": "pro"}, update_only=True)
    for created, verdict in ((LATER, None), (EARLIER, "missing"), (None, None)):
        seen = Seen(exists=True, timestamps={"cio_id": created} if created else {})
        assert verdicts(seen, sent) == {"attribute:plan": verdict}


def test_an_unknown_cio_id_was_ignored() -> None:
    sent = operations.identify(Person(cio_id="a9"), {"plan": "pro"})
    exists = found(Seen(exists=False), sent, key="cio_id:a9")["exists"]
    assert (exists.verdict, exists.reason[:22]) == ("ignored", "nobody has this cio_id")


def test_a_person_who_was_deleted_later_differs() -> None:
    sent = operations.identify("42", {"plan": "pro"})
    assert verdicts(Seen(exists=False, deleted_at=NOW + 60), sent)["exists"] == "different"
    assert verdicts(Seen(exists=False, deleted_at=NOW - 60), sent)["exists"] == "missing"


def test_what_a_person_had_before_a_deletion_is_different() -> None:
    sent = operations.identify("42", {"plan": "pro"})
    anew = Seen(exists=True, deleted_at=NOW + 60)
    assert verdicts(anew, sent) == {"exists": "verified", "attribute:plan": "different"}
    assert verdicts(Seen(exists=True, deleted_at=NOW - 60), sent)["attribute:plan"] == "missing"


def test_a_deleted_person_is_gone_or_the_deletion_was_ignored() -> None:
    sent = operations.identify("42", {"a": 1}), operations.delete_person("42")
    assert verdicts(Seen(exists=False), *sent) == {"absent": "verified"}
    assert verdicts(ada(), *sent) == {"absent": "ignored"}
    again = Seen(exists=True, timestamps={"cio_id": LATER})
    assert verdicts(again, *sent) == {"absent": "different"}


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (Seen(exists=False), "verified"),
        (Seen(exists=True, cio_id="a1", primary_exists=True, primary_cio_id="a1"), "verified"),
        (Seen(exists=True, cio_id="a2", primary_exists=True, primary_cio_id="a1"), "ignored"),
        (Seen(exists=True, cio_id="a2"), "ignored"),
        (Seen(exists=True, cio_id="a3", timestamps={"cio_id": LATER}), "different"),
    ],
)
def test_a_merge_leaves_one_person(seen: Seen, verdict: str) -> None:
    sent = operations.merge(primary="1", secondary="42")
    assert verdicts(seen, sent) == {"merge": verdict}


def test_an_event_is_found_by_its_id_or_by_its_name_and_time() -> None:
    event = operations.track("42", "order_placed")
    item = f"event:order_placed:{event.id}"

    def verdict(*events: SeenEvent, **more: Any) -> str | None:
        seen = Seen(exists=True, events=events, **more)
        return verdicts(seen, event)[item]

    assert verdict(SeenEvent(event.id.lower(), "whatever", 0)) == "verified"
    assert verdict(SeenEvent("other", "order_placed", NOW - 1)) == "verified"
    assert verdict(SeenEvent("other", "order_placed", NOW - 600)) == "missing"
    assert verdict(SeenEvent("other", "order_shipped", NOW - 1)) == "missing"
    assert verdict() == "missing"
    assert verdict(is_complete=False) == "unknown"


def test_an_event_of_long_ago_is_not_shown() -> None:
    event = operations.track("42", "seen", timestamp=int(NOW - HISTORY_S - 3600))
    assert verdicts(Seen(exists=True, events=()), event)[f"event:seen:{event.id}"] == "unknown"


def test_relationships_are_there_or_not() -> None:
    acme = ObjectRef(1, "acme")
    item = "relationship:object:1:acme"
    there, nothing = (
        Seen(exists=True, relationships=frozenset(each)) for each in ({"object:1:acme"}, ())
    )
    added, removed = (
        operations.add_relationships("42", acme),
        operations.delete_relationships("42", acme),
    )
    assert verdicts(there, added)[item] == "verified"
    assert verdicts(nothing, added)[item] == "missing"
    assert verdicts(nothing, removed)[item] == "verified"
    assert verdicts(there, removed)[item] == "missing"
    some = Seen(exists=True, relationships=frozenset(), is_complete=False)
    assert verdicts(some, added)[item] == "unknown"


def test_devices_and_segments_are_there_or_not() -> None:
    device = HASHER.digest("device\0token")
    added = operations.add_device("42", "token", "ios")
    assert (
        verdicts(Seen(exists=True, devices=frozenset({device})), added)[f"device:{device}"]
        == "verified"
    )
    assert verdicts(Seen(exists=True), added)[f"device:{device}"] == "missing"
    (member,) = operations.add_to_segment(7, ["42"])
    assert verdicts(Seen(exists=True, segments=frozenset({7})), member) == {"segment:7": "verified"}
    assert verdicts(Seen(exists=True, segments=frozenset({8})), member) == {"segment:7": "missing"}


def test_a_topic_is_looked_for_inside_the_preferences() -> None:
    sent = operations.identify(
        "42", {"cio_subscription_preferences": {"topics": {"topic_1": True}}}
    )
    item = "attribute:cio_subscription_preferences.topics.topic_1"
    for text, verdict in [
        ('{"topics":{"topic_1":true,"topic_2":false}}', "verified"),
        ('{"topics":{"topic_1":false}}', "different"),
        ('{"topics":{}}', "missing"),
        ("no json", "missing"),
    ]:
        assert verdicts(ada(cio_subscription_preferences=text), sent)[item] == verdict, text


def test_unsubscribed_is_what_the_profile_says() -> None:
    sent = operations.identify("42", {"unsubscribed": True})
    assert (
        verdicts(Seen(exists=True, unsubscribed=True), sent)["attribute:unsubscribed"] == "verified"
    )
    assert verdicts(ada(), sent)["attribute:unsubscribed"] == "different"


def test_a_refusal_of_the_app_api_is_reported_once() -> None:
    seen = Seen(exists=False, problem="Customer.io refuses GET … (400)")
    sent = operations.identify("42", {"plan": "pro", "age": 7})
    assert {name: verdict for name, verdict in verdicts(seen, sent).items() if verdict} == {
        "exists": "unknown"
    }


def test_an_object_is_compared_like_a_person() -> None:
    acme = ObjectRef(1, "acme")
    sent = operations.identify_object(acme, {"plan": "pro", "email": "A@x.org"})
    right = Seen(exists=True, attributes={"plan": "pro", "email": "A@x.org"})
    assert set(verdicts(right, sent, key="object:1:acme").values()) == {"verified"}
    nothing = found(Seen(exists=False), sent, key="object:1:acme")["exists"]
    assert nothing == Finding("exists", nothing.verdict, "Customer.io has no such object")
