"""Events about one order are recognized by its id, in bounded memory, and nothing else is kept."""

from collections import Counter
from typing import Any

import pytest

from tests.support.catalog_memory import observed
from tests.support.retention_traffic import NOW, Call
from trackrelay.worker.quality import order_notes
from trackrelay.worker.quality.catalog_observer import CatalogObserver, Observation
from trackrelay.worker.quality.order_notes import OrderNotes
from trackrelay.worker.quality.order_rules import order_findings
from trackrelay.worker.storage.key_hasher import KeyHasher

ORDER = {"total": 12.5, "currency": "EUR", "items": []}


def sold(order: Any, name: str = "order_completed", source: str = "shop", **more: Any) -> Call:
    call = Call(source, "person.event", name, {"order_id": order, **ORDER})
    for field, value in more.items():
        setattr(call, field, value)
    return call


def keys(*calls: Call) -> list[str]:
    return [each.key for each in order_findings(observed(calls))]


def test_an_order_that_two_applications_send_is_found() -> None:
    calls = [sold(n, source=source) for n in range(3) for source in ("shop", "web")]
    assert keys(*calls) == ["Q206 order_completed from shop and order_completed from web"]
    assert keys(*calls[:4]) == []


def test_an_order_under_two_unknown_names_is_found() -> None:
    calls = [each for n in range(9) for each in (sold(n), sold(n, "conversion", "web"))]
    assert keys(*calls) == ["Q206 order_completed from shop and conversion from web"]


@pytest.mark.parametrize(
    "other",
    [
        # A shipment is another fact, and an application that sends both names tells them apart.
        lambda n: sold(n, "order_shipped", "warehouse"),
        lambda n: sold(n, "loyalty_noted"),
        # It comes an hour later.
        lambda n: sold(n, "conversion", "web", late_s=-3_600),
        # Points have another form.
        lambda n: Call("crm", "person.event", "points_added", {"order_id": n, "points": 3}),
        # Hardly any of its orders are the same.
        lambda n: sold(n if n < 3 else f"x{n}", "conversion", "web"),
        # Another attribute has the same value.
        lambda n: Call("web", "person.event", "order_completed", {"page_id": n}),
    ],
)
def test_another_fact_about_an_order_is_no_repetition(other: Any) -> None:
    assert keys(*(each for n in range(9) for each in (sold(n), other(n)))) == []


def test_an_order_that_is_sent_again_within_an_hour_is_found() -> None:
    once, again = sold(1), [sold(1, late_s=-60) for _ in range(3)]
    assert keys(once, *again) == ["Q206 order_completed from shop"]
    assert keys(once, *(sold(1, late_s=-7_200.0 * n) for n in range(1, 5))) == []


def test_memory_is_bounded_and_holds_no_order_in_the_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(order_notes, "MAX_ORDERS", 50)
    notes = OrderNotes(KeyHasher(b"secret").digest)
    written: list[Observation] = []
    observer = CatalogObserver(written.extend, clock=lambda: 0.0, notes=[notes])
    observer.note([sold(f"canary-{n}").job() for n in range(200)], NOW)
    assert len(notes._orders) == 50
    assert "canary" not in str(notes._orders)
    observer.flush()
    assert "canary" not in str(written)
    counts = Counter({each.type: each.jobs for each in written})
    assert counts["with order"] == 200
