"""What a retention program needs, and who may send it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.support.catalog_memory import observed
from tests.support.retention_traffic import NOW, Call
from trackrelay.worker.quality.all_rules import findings

STATE = {"created_at": 1, "accepts_marketing": True, "country": "DE", "timezone": "CET"}
ORDERS = {"last_order_at": 1, "orders_count": 1, "lifetime_value": 1}


def event(name: str, source: str = "backend", **attributes: Any) -> Call:
    return Call(source, "person.event", name, attributes)


def person(source: str = "backend", **attributes: Any) -> Call:
    return Call(source, "person.identify", "", attributes)


def found(calls: Iterable[Call]) -> list[str]:
    return [f"{each.severity} {each.key}" for each in findings(observed(calls, together=100), NOW)]


SHOP = [event("order_completed"), event("refund_created"), person(**STATE, **ORDERS)] * 200


def test_a_shop_with_all_that_is_needed_has_no_finding() -> None:
    assert found(SHOP) == []
    # What a young or a small shop lacks yet says nothing.
    assert found([event("order_completed"), person()] * 199) == []


def test_what_nobody_sends_is_named_once_people_buy() -> None:
    without = [event("refund_created"), event("order_completed"), person(**STATE)] * 200
    assert found(without) == [
        "warning Q309 person.identify without last_order_at and orders_count",
        "info Q310 person.identify.lifetime_value",
    ]
    known = [*SHOP[:2], person(**STATE, total_orders=1, ltv=2.5, lastPurchaseAt=3)] * 200
    assert found(known) == []


def test_what_nothing_ends_is_no_more_than_worth_knowing() -> None:
    kept = [event("order_completed"), event("subscription_created"), SHOP[2]] * 200
    assert found(kept) == [
        "info Q207 order_completed without a refund",
        "info Q207 subscription_created without a cancellation",
    ]
    ended = [event("order_cancelled"), event("subscription_expired")]
    assert found([*kept, *ended]) == []


@pytest.mark.parametrize(
    "view", [event("product_viewed", "web"), Call("web", "person.page", "/", {})]
)
def test_an_application_that_shows_pages_should_send_no_facts(view: Call) -> None:
    few = [*SHOP, *[view] * 200, event("order_completed", "web")]
    assert found(few) == ["warning Q504 order_completed from web"]
    # Another server's few orders are a new channel.
    assert found([*SHOP, event("order_completed", "kiosk")]) == []
    elsewhere = [
        event(each.name, "web" if each.name == "order_completed" else each.source)
        for each in SHOP
        if each.name
    ]
    assert found([*elsewhere, view]) == ["info Q505 order_completed"]
    # An application that does everything is a server.
    assert found([*[event(each.name, "web") for each in SHOP if each.name], view]) == []


# -- nulls


def test_a_fact_of_people_is_null_now_and_then() -> None:
    nulls = [person(**STATE | ORDERS | {"country": None})] * 3
    assert found([*SHOP, *nulls]) == ["warning Q105 person.identify.country from backend"]
    assert found([*SHOP, *nulls[:2]]) == []
    # Often null: an optional attribute. Without an order there is no last one.
    assert found([*SHOP, *nulls * 20]) == []
    assert found([*SHOP, *[person(**STATE | ORDERS | {"last_order_at": None})] * 3]) == []


def test_an_attribute_that_was_never_null_is_null_now() -> None:
    known = [event("rated", stars=1)] * 5_000
    often = [event("rated", stars=None), event("rated", stars=1)] * 2_500
    assert found([*known, *often]) == ["warning Q106 rated.stars from backend"]
    assert found([*often, *known]) == []
    # So few may be chance, and a rare null was only not seen yet.
    assert found([*known, *often[:40]]) == []
    few = [event("rated", stars="")] * 30
    assert found([*known, *known, *few]) == ["warning Q106 rated.stars from backend"]


def test_one_application_does_not_know_a_fact_that_another_one_knows() -> None:
    site = [event("product_viewed", "web", product_id="p-1")] * 300
    app = [event("product_viewed", "app", product_id="p-1")] * 99
    nulls = [event("product_viewed", "app", product_id=None)] * 9
    assert found([*site, *app, *nulls]) == ["warning Q105 product_viewed.product_id from app"]
    # Without one that knows it, pages without a product are natural.
    assert found([*app, *nulls]) == []
