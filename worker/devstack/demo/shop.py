"""The calls of a small shop during one day, and the operations that Customer.io refuses."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from trackrelay import ObjectRef, Person, Producer, operations
from trackrelay.operations.operation import Operation
from trackrelay.sandbox.client import SandboxClient
from trackrelay.worker.dead_letters.patch import Patch

#: One call of the shop.
Step = Callable[[Producer], object]

PRODUCTS = {"SKU-1": 19.5, "SKU-2": 129.5, "SKU-3": 7.25, "SKU-4": 64.0}
#: Values that Customer.io refuses in the demo (see `FAULTS`). No other customer sends them.
BAD_TIER, BAD_COUPON, BAD_TOKEN = "platinum", "100%-OFF", "apns-of-the-test-app"
#: How many customers send each of them.
REFUSED_CUSTOMERS = 3
NEWSLETTER_SEGMENT = 7


class Shop:
    """Generates customers and their calls, the same in every run.

    Args:
        jobs: About how many jobs the calls enqueue.
    """

    def __init__(self, jobs: int) -> None:
        self._chance = random.Random(4)
        self._jobs = jobs

    def old_customers(self) -> Iterator[Operation]:
        """Yield the customers of last year, for an import: a fifth of the jobs."""
        for number in range(self._jobs // 5):
            yield operations.identify(
                f"old-{number}",
                {"name": f"Customer {number}", "since": 2024, "orders_count": number % 9},
            )

    def day(self) -> list[Step]:
        """Return the calls of all customers, interleaved; those of each customer are in order."""
        journeys: list[list[Step]] = [_companies()]
        count = 8
        while count < self._jobs * 4 // 5 or len(journeys) <= 4 * REFUSED_CUSTOMERS:
            journey, jobs = self._journey(len(journeys))
            journeys.append(journey)
            count += jobs
        return [*self._mixed(journeys), *_the_end(len(journeys))]

    def _mixed(self, journeys: list[list[Step]]) -> Iterator[Step]:
        # At any time, 40 customers are in the shop.
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
        product = self._chance.choice(list(PRODUCTS))
        return lambda shop: shop.track_anonymous(cookie, "product_viewed", {"sku": product})

    def _register(self, me: str, cookie: str, number: int) -> Step:
        attributes = {
            "email": f"{me}@example.com",
            "name": f"Customer {number}",
            "tier": self._chance.choice(["silver", "gold"]),
        }
        if 1 <= number <= REFUSED_CUSTOMERS:
            attributes["tier"] = BAD_TIER
        return lambda shop: shop.identify(me, attributes, anonymous_id=cookie)

    def _visit(self, me: str) -> Step:
        product = self._chance.choice(list(PRODUCTS))
        return lambda shop: shop.page(me, f"/products/{product}", {"sku": product})

    def _order(self, me: str, number: int, order: int) -> Step:
        product = self._chance.choice(list(PRODUCTS))
        data: dict[str, Any] = {
            "order_id": f"{me}-{order}",
            "sku": product,
            "total": PRODUCTS[product],
        }
        if order == 1 and REFUSED_CUSTOMERS < number <= 2 * REFUSED_CUSTOMERS:
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
        refused = 2 * REFUSED_CUSTOMERS < number <= 3 * REFUSED_CUSTOMERS
        token = BAD_TOKEN if refused else f"token-of-{me}"
        extras: list[Step] = [
            lambda shop: shop.add_device(me, f"{token}-{number}", "ios"),
            lambda shop: shop.add_relationships(me, company, attributes={"role": "buyer"}),
            lambda shop: shop.add_to_segment(NEWSLETTER_SEGMENT, me),
            lambda shop: shop.submit_form("newsletter", me, {"topic": "products", "from": me}),
            lambda shop: shop.report_metric(f"mail-to-{me}", "opened"),
            lambda shop: shop.screen(me, "Basket"),
        ]
        chosen = [extra for extra in extras[1:] if self._chance.random() < 0.35]
        return [*([extras[0]] if refused or self._chance.random() < 0.3 else []), *chosen]


def _companies() -> list[Step]:
    return [_company(number) for number in range(5)]


def _company(number: int) -> Step:
    return lambda shop: shop.identify_object(
        ObjectRef(1, f"company-{number}"), {"name": f"Company {number}"}
    )


def _the_end(customers: int) -> list[Step]:
    """Return the last calls: a merge, a customer known by email alone, and a deletion."""
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


#: Calls with a mistake: they raise an error and enqueue nothing.
MISTAKES: list[Step] = [
    lambda shop: shop.identify("ada@example.com", {"plan": "pro"}),
    lambda shop: shop.track("c-1", "order_completed", {"total": 12}, timestamp=1_767_225_600_000),
    lambda shop: shop.identify("c-1", {"bio": "Likes tea. " * 170}),
]


@dataclass(frozen=True, slots=True)
class DemoFault:
    """One kind of operation that Customer.io refuses, and the remedy."""

    #: The part of an operation by which the sandbox refuses it.
    contains: str
    field: str
    message: str
    #: What the operator does, in words, and the options of ``trackrelay replay``.
    remedy: str
    sets: tuple[str, ...] = ()
    unsets: tuple[str, ...] = ()
    even_if_newer: bool = False
    #: Whether the cause is removed at Customer.io, rather than in the operation.
    fixed_there: bool = False

    @property
    def patch(self) -> Patch:
        """The change of the operation."""
        return Patch.parse(self.sets, self.unsets)

    @property
    def command(self) -> str:
        """The command that an operator types."""
        options = [
            *(f"--set {each}" for each in self.sets),
            *(f"--unset {each}" for each in self.unsets),
            *(["--even-if-newer"] if self.even_if_newer else []),
        ]
        return " ".join(["trackrelay replay", f"--error '{self.message}'", *options])


FAULTS = (
    DemoFault(
        contains=f'"tier":{json.dumps(BAD_TIER)}',
        field="attributes.tier",
        message="value is not one of silver, gold",
        remedy="there is no platinum tier: set it to gold",
        sets=("attributes.tier=gold",),
    ),
    DemoFault(
        contains=json.dumps(BAD_COUPON),
        field="attributes.coupon",
        message="coupon is malformed",
        remedy="the coupon was a test: remove it",
        unsets=("attributes.coupon",),
    ),
    DemoFault(
        contains=BAD_TOKEN,
        field="device.token",
        message="push is not set up for this app",
        remedy="push is set up now, and the devices are valid although newer jobs arrived",
        even_if_newer=True,
        fixed_there=True,
    ),
)


def add_faults(sandbox: SandboxClient) -> dict[DemoFault, int]:
    """Make the sandbox refuse these operations; return the number of each fault."""
    return {
        fault: sandbox.add_fault(
            kind="reject",
            match={"contains": fault.contains},
            field=fault.field,
            message=fault.message,
        )
        for fault in FAULTS
    }
