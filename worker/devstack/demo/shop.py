"""A small shop's day: what its visitors and customers do, as the calls an application makes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from trackrelay import ObjectRef, Person, Producer, operations
from trackrelay.operations.operation import Operation

#: One call, or a few that belong together.
Step = Callable[[Producer], object]

WARES = {"SKU-1": 19.5, "SKU-2": 129.5, "SKU-3": 7.25, "SKU-4": 64.0}
#: What Customer.io refuses in this story (see `trouble.py`); no customer of the shop says it by chance.
BAD_TIER, BAD_COUPON, BAD_TOKEN = "platinum", "100%-OFF", "apns-of-the-test-app"
#: How many customers say each of them.
TROUBLED = 3
NEWSLETTER_SEGMENT = 7


class Shop:
    """Makes up customers and what they do; the same every time.

    Args:
        jobs: about how many jobs it all makes.
    """

    def __init__(self, jobs: int) -> None:
        self._chance = random.Random(4)
        self._jobs = jobs

    def old_customers(self) -> Iterator[Operation]:
        """Last year's customers, imported in bulk: a fifth of the jobs."""
        for number in range(self._jobs // 5):
            yield operations.identify(
                f"old-{number}",
                {"name": f"Customer {number}", "since": 2024, "orders_count": number % 9},
            )

    def day(self) -> list[Step]:
        """The steps of everybody's day, mixed, each customer's own in order."""
        journeys: list[list[Step]] = [_companies()]
        count = 8
        while count < self._jobs * 4 // 5 or len(journeys) <= 4 * TROUBLED:
            journey, jobs = self._journey(len(journeys))
            journeys.append(journey)
            count += jobs
        return [*self._mixed(journeys), *_the_end(len(journeys))]

    def _mixed(self, journeys: list[list[Step]]) -> Iterator[Step]:
        # As customers come and go: a few dozen are in the shop at any time.
        coming = list(reversed(journeys))
        present: list[list[Step]] = []
        while coming or present:
            while coming and len(present) < 40:
                present.append(coming.pop())
            journey = self._chance.choice(present)
            yield journey.pop(0)
            if not journey:
                present.remove(journey)

    def _journey(self, number: int) -> tuple[list[Step], int]:
        me, cookie = f"c-{number}", f"visitor-{number:04d}"
        looks = [self._look(cookie) for _ in range(self._chance.randint(1, 2))]
        orders = [
            self._order(me, number, order) for order in range(1, self._chance.randint(1, 3) + 1)
        ]
        steps = [
            *looks,
            self._register(me, cookie, number),
            self._visit(me),
            *self._extras(me, number),
            *orders,
        ]
        return steps, len(steps) + len(orders)

    def _look(self, cookie: str) -> Step:
        ware = self._chance.choice(list(WARES))
        return lambda shop: shop.track_anonymous(cookie, "product_viewed", {"sku": ware})

    def _register(self, me: str, cookie: str, number: int) -> Step:
        attributes = {
            "email": f"{me}@example.com",
            "name": f"Customer {number}",
            "tier": self._chance.choice(["silver", "gold"]),
        }
        if 1 <= number <= TROUBLED:
            attributes["tier"] = BAD_TIER
        return lambda shop: shop.identify(me, attributes, anonymous_id=cookie)

    def _visit(self, me: str) -> Step:
        ware = self._chance.choice(list(WARES))
        return lambda shop: shop.page(me, f"/wares/{ware}", {"sku": ware})

    def _order(self, me: str, number: int, order: int) -> Step:
        ware = self._chance.choice(list(WARES))
        data: dict[str, Any] = {"order_id": f"{me}-{order}", "sku": ware, "total": WARES[ware]}
        if order == 1 and TROUBLED < number <= 2 * TROUBLED:
            data["coupon"] = BAD_COUPON
        key = f"{me}-{order}"
        return lambda shop: shop.track(
            me,
            "order_completed",
            data,
            person_attributes={"orders_count": order, "last_order": key},
            idempotency_key=key,
        )

    def _extras(self, me: str, number: int) -> list[Step]:
        company = ObjectRef(1, f"company-{number % 5}")
        troubled = 2 * TROUBLED < number <= 3 * TROUBLED
        token = BAD_TOKEN if troubled else f"token-of-{me}"
        extras: list[Step] = [
            lambda shop: shop.add_device(me, f"{token}-{number}", "ios"),
            lambda shop: shop.add_relationships(me, company, attributes={"role": "buyer"}),
            lambda shop: shop.add_to_segment(NEWSLETTER_SEGMENT, me),
            lambda shop: shop.submit_form("newsletter", me, {"topic": "wares", "from": me}),
            lambda shop: shop.report_metric(f"mail-to-{me}", "opened"),
            lambda shop: shop.screen(me, "Basket"),
        ]
        chosen = [extra for extra in extras[1:] if self._chance.random() < 0.35]
        return [*([extras[0]] if troubled or self._chance.random() < 0.3 else []), *chosen]


def _companies() -> list[Step]:
    return [_company(number) for number in range(5)]


def _company(number: int) -> Step:
    return lambda shop: shop.identify_object(
        ObjectRef(1, f"company-{number}"), {"name": f"Company {number}"}
    )


def _the_end(customers: int) -> list[Step]:
    """Two who turned out to be one, one who is back after having been forgotten, one who leaves for good."""
    one, same, leaving = (f"c-{customers - back}" for back in (1, 2, 3))
    return [
        lambda shop: shop.merge(primary=one, secondary=same),
        lambda shop: shop.track(one, "accounts_joined", {"was": same}),
        lambda shop: shop.identify(Person(email="walk-in@example.com"), {"name": "Walk-in"}),
        lambda shop: shop.track(
            Person(email="walk-in@example.com"), "gift_card_bought", {"total": 50}
        ),
        lambda shop: shop.delete_person(leaving),
    ]


#: Calls with a mistake in them: they raise at once, and nothing is enqueued.
MISTAKES: list[Step] = [
    lambda shop: shop.identify("ada@example.com", {"plan": "pro"}),
    lambda shop: shop.track("c-1", "order_completed", {"total": 12}, timestamp=1_767_225_600_000),
    lambda shop: shop.identify("c-1", {"bio": "Likes tea. " * 170}),
]
