"""A shop's traffic of three applications, clean or with the accidents of retention programs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from trackrelay.worker.storage.stored_job import Job

NOW = 1_780_000_000.0
_SKUS = ["A-1", "B-22", "1042", "C-3"]


@dataclass
class Call:
    """One call of an application."""

    source: str
    operation: str
    name: str
    attributes: dict[str, Any]
    #: Seconds between the event and its delivery.
    late_s: float = 1.0
    #: The ordering key of the person.
    key: str = "id:42"
    #: When it is delivered, in unix seconds.
    at: float = NOW
    #: The ordering key of the person who is merged into that one.
    other_key: str = ""
    #: The token of a device.
    device: str = ""

    def job(self) -> Job:
        """Return the call as a worker reads it."""
        document: dict[str, Any] = {"attributes": self.attributes}
        if self.device:
            document["device"] = {"token": self.device, "platform": "ios"}
        if self.name:
            document |= {"name": self.name, "timestamp": int(self.at - self.late_s)}
        return Job(
            id="0" * 26,
            operation=self.operation,
            keys=(self.key, self.other_key) if self.other_key else (self.key,),
            shards=(0, 0) if self.other_key else (0,),
            body=msgspec.json.encode(document),
            lane="live",
            enqueued_at=self.at,
            age_from=self.at,
            source=self.source,
            entry="1-0",
        )


@dataclass(frozen=True)
class Accident:
    """One thing that goes wrong in some calls.

    Args:
        rule: the id of the rule that must find it.
        subject: the subject of the finding must contain this.
        change: makes a call go wrong.
        applies: to which calls it can happen.
        share: how many of these it happens to.
        after: from which share of the stream on.
    """

    rule: str
    subject: str
    change: Callable[[Call], None]
    applies: Callable[[Call], bool]
    share: float = 1.0
    after: float = 0.0
    name: str = field(default="")


def clean_calls(count: int, seed: int = 1) -> Iterator[Call]:
    """Yield the calls of three applications that do everything right, with natural variety."""
    chance = random.Random(seed)
    for number in range(count):
        kind = chance.random()
        if kind < 0.30:
            yield _web(chance)
        elif kind < 0.55:
            yield _server(chance, number)
        elif kind < 0.75:
            yield _app(chance)
        else:
            yield _identify(chance, number)


def _money(chance: random.Random) -> float | int:
    # A whole amount is an integer in JSON.
    amount = round(chance.uniform(5, 300), 2)
    return int(amount) if chance.random() < 0.2 else amount


def _web(chance: random.Random) -> Call:
    sku = chance.choice(_SKUS)
    product = {"sku": sku, "product_id": f"p-{sku}", "price": _money(chance), "category": "shoes"}
    if chance.random() < 0.7:
        return Call("web", "person.event", "product_viewed", product, chance.expovariate(1))
    attributes = {"cart_value": _money(chance), "items": [product] * chance.randint(1, 3)}
    if chance.random() < 0.3:
        attributes["coupon"] = chance.choice(["SUMMER", "", None])
    name = chance.choice(["added_to_cart", "checkout_started"])
    return Call("web", "person.event", name, attributes, chance.expovariate(1))


def _server(chance: random.Random, number: int) -> Call:
    attributes: dict[str, Any] = {
        "order_id": f"O-{number}",
        "total": _money(chance),
        "currency": chance.choice(["EUR", "USD"]),
        "items": [{"sku": chance.choice(_SKUS), "quantity": chance.randint(1, 4)}],
    }
    name = chance.choices(
        ["order_completed", "order_shipped", "refund_created", "subscription_created"],
        [70, 20, 5, 5],
    )[0]
    if chance.random() < 0.1:
        attributes["gift_note"] = None if chance.random() < 0.5 else "Happy birthday"
    if name == "order_shipped":
        attributes["shipped_at"] = int(NOW) - chance.randint(0, 9_000)
    return Call("backend", "person.event", name, attributes, chance.expovariate(1))


def _app(chance: random.Random) -> Call:
    name = chance.choice(["app_opened", "product_viewed", "push_enabled"])
    attributes: dict[str, Any] = {"version": chance.choice(["4.1.0", "4.2.0"])}
    if name == "product_viewed":
        attributes |= {"sku": "A-1", "product_id": "p-A-1", "price": 12, "category": "shoes"}
    return Call("app", "person.event", name, attributes, chance.expovariate(0.5))


def _identify(chance: random.Random, number: int) -> Call:
    if number % 3:
        attributes: dict[str, Any] = {
            "email": f"p{number}@example.com",
            "created_at": int(NOW) - number,
            "accepts_marketing": chance.random() < 0.5,
            "country": "DE",
            "orders_count": chance.randint(0, 20),
            "lifetime_value": _money(chance),
        }
        if chance.random() < 0.4:
            attributes["phone"] = "+491701234567"
        return Call("backend", "person.identify", "", attributes)
    return Call("app", "person.identify", "", {"app_version": "4.1.0", "os": "ios"})


def _set(name: str, value: Callable[[Any], Any]) -> Callable[[Call], None]:
    def change(call: Call) -> None:
        call.attributes[name] = value(call.attributes.get(name))

    return change


def _rename(old: str, new: str) -> Callable[[Call], None]:
    def change(call: Call) -> None:
        call.attributes[new] = call.attributes.pop(old)

    return change


def _renamed(name: str) -> Callable[[Call], None]:
    def change(call: Call) -> None:
        call.name = name

    return change


def _wrap(call: Call) -> None:
    call.attributes = {"data": call.attributes}


def _again(call: Call) -> None:
    # The shop's first orders come in again.
    call.attributes["order_id"] = "O-1"


def _late(seconds: float) -> Callable[[Call], None]:
    def change(call: Call) -> None:
        call.late_s = seconds

    return change


def _from(source: str) -> Callable[[Call], None]:
    def change(call: Call) -> None:
        call.source = source

    return change


def _is(name: str, source: str | None = None) -> Callable[[Call], bool]:
    return lambda call: (call.name or call.operation) == name and source in (None, call.source)


def _both(*changes: Callable[[Call], None]) -> Callable[[Call], None]:
    def change(call: Call) -> None:
        for each in changes:
            each(call)

    return change


RARE = 1 / 5_000
_PURCHASE = _is("order_completed")
_REFUND = _is("refund_created")


def accidents() -> list[Accident]:
    """Return the accidents, blatant and rare ones."""
    rare = RARE * 10
    return [
        Accident("Q101", "order_completed.total", _set("total", str), _PURCHASE, rare),
        Accident(
            "Q101",
            "checkout_started.cart_value",
            _set("cart_value", str),
            _is("checkout_started"),
            0.3,
        ),
        Accident(
            "Q101",
            "person.identify.accepts_marketing",
            _set("accepts_marketing", lambda v: str(v).lower()),
            _is("person.identify", "backend"),
            rare,
        ),
        Accident(
            "Q101",
            "person.identify.orders_count",
            _set("orders_count", lambda _: "n/a"),
            _is("person.identify", "backend"),
            rare,
        ),
        Accident(
            "Q102",
            "person.identify.created_at",
            _set("created_at", lambda v: v * 1000),
            _is("person.identify", "backend"),
            rare,
        ),
        Accident(
            "Q102",
            "order_shipped.shipped_at",
            _set("shipped_at", lambda _: "2026-05-29T10:00:00Z"),
            _is("order_shipped"),
            0.1,
        ),
        Accident(
            "Q103",
            "product_viewed.category",
            _set("category", lambda v: {"name": v}),
            _is("product_viewed"),
            rare,
        ),
        Accident(
            "Q201",
            "product_viewed.product_id",
            _rename("product_id", "productId"),
            _is("product_viewed", "app"),
        ),
        Accident(
            "Q201", "order_completed.currency", _rename("currency", "curency"), _PURCHASE, rare
        ),
        Accident(
            "Q202",
            "order_completed.total",
            _both(_from("kiosk"), _rename("total", "amount")),
            _PURCHASE,
            0.3,
        ),
        Accident("Q203", "app_opened", _renamed("App Opened"), _is("app_opened"), rare),
        Accident("Q203", "refund_created", _renamed("refund_craeted"), _is("refund_created"), 0.02),
        Accident(
            "Q204", "order_completed", _both(_from("pos"), _renamed("purchase")), _PURCHASE, 0.1
        ),
        Accident(
            "Q301",
            "order_completed.currency",
            lambda call: call.attributes.pop("currency", None),
            _PURCHASE,
            after=0.8,
        ),
        Accident(
            "Q302",
            "product_viewed.price",
            lambda call: call.attributes.pop("price", None),
            _is("product_viewed"),
            rare,
        ),
        Accident("Q105", "refund_created.total", _set("total", lambda _: None), _REFUND, 0.02),
        Accident(
            "Q106",
            "product_viewed.category",
            _set("category", lambda _: None),
            _is("product_viewed", "web"),
            0.2,
            after=0.6,
        ),
        Accident("Q206", "order_completed", _again, _PURCHASE, rare),
        Accident("Q401", "order_completed", _late(4 * 3_600), _PURCHASE, rare),
        Accident("Q402", "order_completed", _late(5 * 86_400), _PURCHASE, rare),
        Accident("Q403", "order_completed", _late(-7_200), _PURCHASE, rare),
        Accident(
            "Q501",
            "person.identify.accepts_marketing",
            _set("accepts_marketing", lambda _: True),
            _is("person.identify", "app"),
            rare,
        ),
        Accident("Q104", "subscription_created.data", _wrap, _is("subscription_created")),
        Accident(
            "Q304",
            "order_shipped.order_id",
            _both(_from("kiosk"), lambda call: call.attributes.pop("order_id")),
            _is("order_shipped"),
            0.4,
        ),
        Accident(
            "Q503",
            "person.identify.lifetime_value",
            _set("lifetime_value", lambda _: 12.5),
            _is("person.identify", "app"),
            rare,
        ),
        Accident("Q504", "refund_created from web", _from("web"), _REFUND, 0.005),
        Accident("Q602", "undefined", _renamed("undefined"), _is("push_enabled"), rare),
        Accident(
            "Q603",
            "person.identify.password",
            _set("password", lambda _: "hunter2"),
            _is("person.identify", "backend"),
            rare,
        ),
        Accident(
            "Q601",
            "events of web",
            lambda call: _renamed(f"viewed_{id(call)}")(call),
            _is("product_viewed", "web"),
            0.2,
        ),
    ]


def spoilt_calls(count: int, wrong: Sequence[Accident], seed: int = 1) -> Iterator[Call]:
    """Yield the clean calls, some of which went wrong."""
    chance = random.Random(seed + 1)
    for number, call in enumerate(clean_calls(count, seed)):
        for each in wrong:
            if (
                number >= each.after * count
                and each.applies(call)
                and (chance.random() < each.share)
            ):
                each.change(call)
        yield call
