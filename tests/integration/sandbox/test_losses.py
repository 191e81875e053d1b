"""What the sandbox accepts and then loses, and what others do in the workspace."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sandbox_api import Api
from trackrelay.sandbox.client import SandboxError

ULID = "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"


def types(api: Api) -> list[str]:
    return [activity["type"] for activity in reversed(api.activities())]


def test_a_lost_attribute_leaves_no_trace_but_the_note(api: Api) -> None:
    api.client.lose("attribute", name="phone", person="id:1")
    for name in ("1", "2"):
        api.identify({"id": name}, phone=f"+4917012345{name}", plan="pro")
    assert api.person("id:1")["identifiers"] == {"id": "1"}
    assert api.person("id:1")["attributes"] == {"plan": "pro"}
    assert api.person("id:2")["identifiers"]["phone"] == "+49170123452"
    assert api.notes() == ["lost phone (loss 1)", None]
    assert "failed_attribute_change" not in types(api)


def test_a_person_is_found_by_any_key(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    api.client.lose("attribute", name="plan", person="email:ADA@example.com")
    api.identify({"cio_id": api.person("id:1")["cio_id"]}, plan="pro")
    assert api.person("id:1")["attributes"] == {}


def test_a_lost_event_can_be_sent_again(api: Api) -> None:
    number = api.client.lose("event", name="order_placed")
    api.track({"id": "1"}, "order_placed", id=ULID)
    api.track({"id": "1"}, "seen")
    assert api.event_names("id:1") == ["seen"]
    (lost,) = [each for each in api.client.effects(ignored=True) if each["ignored"]]
    assert (lost["name"], lost["note"]) == ("order_placed", f"lost (loss {number})")
    api.client.delete_loss(number)
    api.track({"id": "1"}, "order_placed", id=ULID)
    assert api.event_names("id:1") == ["seen", "order_placed"]


def test_any_operation_can_be_lost(api: Api) -> None:
    for name in ("1", "2", "3", "4"):
        api.identify({"id": name})
    api.client.lose("operation", action="merge", person="id:2")
    for primary, secondary in (("1", "2"), ("3", "4")):
        api.entity(
            type="person", action="merge", primary={"id": primary}, secondary={"id": secondary}
        )
    assert api.client.person("id:2")
    assert api.client.person("id:4") is None


def test_a_failed_attribute_is_shown_with_its_reason(api: Api) -> None:
    api.identify({"id": "1"}, plan="free")
    api.client.lose("failed_attribute", name="plan", reason="not allowed")
    api.identify({"id": "1"}, plan="pro", age=36)
    assert api.person("id:1")["attributes"] == {"plan": "free", "age": 36}
    (failed,) = api.activities("type=failed_attribute_change")
    assert failed["customer_id"] == "1"
    assert failed["data"] == {"plan": {"from": "free", "to": "pro", "error": "not allowed"}}
    assert api.activities("type=failed_attribute_change&name=plan") == [failed]
    assert api.activities("type=failed_attribute_change&name=age") == []


def test_a_failed_event_is_shown_under_its_own_id(api: Api) -> None:
    api.identify({"id": "1"})
    api.client.lose("failed_event", name="order_placed", reason="too late")
    api.track({"id": "1"}, "order_placed", id=ULID)
    (failed,) = api.activities("type=failed_event")
    assert failed["id"] == ULID
    assert (failed["name"], failed["data"]) == ("order_placed", {"error": "too late"})
    assert failed["customer_id"] == "1"
    assert api.event_names("id:1") == []


def test_a_loss_counts_its_hits_and_ends_after_them(api: Api) -> None:
    api.client.lose("event", times=2, skip=1)
    for number in range(5):
        api.track({"id": "1"}, str(number))
    assert api.event_names("id:1") == ["0", "3", "4"]
    (loss,) = api.client.losses()
    assert (loss["hits"], loss["kind"]) == (2, "event")
    api.client.clear_losses()
    assert api.client.losses() == []


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"kind": "attribute"}, "needs the name of an attribute"),
        ({"kind": "operation"}, "needs an action"),
        ({"kind": "event", "rate": 0}, "rate is 0"),
        ({"kind": "everything"}, "everything"),
        ({"kind": "event", "who": "id:1"}, "who"),
    ],
)
def test_a_loss_that_means_nothing_is_refused(api: Api, loss: dict[str, Any], message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        api.client.lose(**loss)


def test_another_writer_overwrites_an_attribute(api: Api) -> None:
    api.identify({"id": "1"}, plan="pro", age=36)
    api.client.overwrite("id:1", "plan", "basic")
    api.client.overwrite("id:1", "age", None)
    assert api.person("id:1")["attributes"] == {"plan": "basic"}
    latest = api.activities("type=attribute_change&customer_id=1")
    assert [each["data"] for each in latest[:2]] == [
        {"age": {"from": "36", "to": ""}},
        {"plan": {"from": "pro", "to": "basic"}},
    ]


def test_an_email_that_was_taken_over_fails_at_its_previous_holder(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    api.client.take_over("ada@example.com", "id:9")
    assert api.person("email:ada@example.com")["identifiers"]["id"] == "9"
    assert "email" not in api.person("id:1")["identifiers"]
    api.identify({"id": "1"}, email="ada@example.com")
    (failed,) = api.activities("type=failed_attribute_change")
    assert failed["customer_identifiers"]["id"] == "1"
    assert failed["data"]["email"]["error"] == "email belongs to somebody else"


def test_a_silently_suppressed_person_is_gone_and_later_operations_leave_no_trace(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    api.client.suppress("email:ada@example.com")
    before = types(api)
    api.identify({"id": "1"}, plan="pro")
    api.track({"id": "1"}, "seen")
    assert api.client.person("id:1") is None
    assert types(api) == before
    assert api.notes()[-2:] == ["suppressed", "suppressed"]
    api.entity(type="person", action="unsuppress", identifiers={"id": "1"})
    api.entity(type="person", action="suppress", identifiers={"id": "1"})
    api.identify({"id": "1"}, plan="pro")
    assert types(api)[-1] == "skipped_update"


def test_a_cio_id_can_be_forgotten(api: Api) -> None:
    api.identify({"id": "1"})
    cio_id = api.person("id:1")["cio_id"]
    api.client.forget_cio_id(f"cio_{cio_id}")
    api.identify({"cio_id": cio_id}, plan="pro")
    assert api.app("GET", f"/v1/customers/{cio_id}/attributes?id_type=cio_id").status == 404
    assert api.person("id:1")["attributes"] == {}
    api.client.overwrite("id:1", "plan", "basic")
    assert api.person("id:1")["attributes"] == {"plan": "basic"}
    (failed,) = api.activities("type=failed_attribute_change")
    assert failed["customer_identifiers"] == {"id": None, "email": None, "cio_id": cio_id}
    assert failed["data"]["plan"] == {"from": "", "to": "pro", "error": "nobody has this cio_id"}


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("overwrite", ("id:nobody", "plan", "pro")),
        ("overwrite", ("nobody", "plan", "pro")),
        ("take_over", ("ada@example.com", "cio_id:nobody")),
        ("suppress", ("anonymous:1",)),
        ("forget_cio_id", ("nobody",)),
    ],
)
def test_what_nobody_can_do_is_refused(api: Api, call: str, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SandboxError):
        getattr(api.client, call)(*arguments)


def test_a_reset_ends_losses(api: Api) -> None:
    api.client.lose("event")
    api.client.reset()
    api.track({"id": "1"}, "seen")
    assert api.event_names("id:1") == ["seen"]
