"""Plausible data for every page of the console: a shop, its customers, and what went wrong."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.retention_traffic import NOW, Call, clean_calls
from trackrelay import Producer
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.quality.catalog_observer import OBSERVED, CatalogObserver
from trackrelay.worker.reasons import Act, VerdictKind
from trackrelay.worker.storage import acts, catalog_rows, plan_violations, plans, verdicts
from trackrelay.worker.storage.acts import Author
from trackrelay.worker.storage.counts import LATENCY_BOUNDS
from trackrelay.worker.storage.plan_violations import ViolationCount
from trackrelay.worker.storage.plans import NewPlan
from trackrelay.worker.storage.verdicts import NewVerdict

CUSTOMERS = ("Ada Okafor", "Ben Larsen", "Chloé Martin", "Dmitri Popov", "Emi Tanaka", "Finn Weber")
#: Who did what in the console.
ADA, BEN = Author("ada", "console"), Author("ben@ops-1", "command")
_DAYS = 28

_PLAN = """
plan: 1
name: Example shop
events:
  order_completed:
    owner: backend
    description: A customer paid.
    properties:
      order_id: {type: string}
      total: {type: number, minimum: 0}
      currency: {enum: [EUR, USD]}
    required: [order_id, total, currency]
  product_viewed:
    description: A visitor looked at a product.
    properties:
      sku: {type: string}
      price: {type: number}
    required: [sku]
"""

_HISTORY = sa.text("""
    INSERT INTO trackrelay_counters (period, at, shard, name, labels, value, sum_ms, buckets)
    VALUES (CAST(:period AS text), date_trunc(CAST(:period AS text), to_timestamp(:at), 'UTC'), -1,
        :name, :labels, :value, :sum_ms, CAST(:buckets AS bigint[]))
    ON CONFLICT DO NOTHING
""")
_CATALOG_DAYS = sa.text("""
    INSERT INTO trackrelay_catalog_days (day, catalog_id, count)
    SELECT CAST(now() AT TIME ZONE 'UTC' AS date) - back, id,
        greatest(1, round(count * (0.85 + 0.3 * abs(sin(back * 7))) / :days))
    FROM trackrelay_catalog, generate_series(0, :days - 1) AS back
    ON CONFLICT (day, catalog_id) DO UPDATE SET count = excluded.count
""")


@dataclass(frozen=True, slots=True)
class Pictured:
    """What the data has, for the addresses of pages."""

    #: A delivered job, and a dead letter that can be repaired.
    delivered: str
    letter: str
    #: The key of a person.
    person: str = "id:1001"
    #: The name of an event in the catalog.
    event: str = "order_completed"


class DataSeed:
    """Fills the stores.

    Args:
        harness: its stores, and the sandbox. A worker delivers.
        canary: something hostile that is part of every name and every error.
    """

    def __init__(self, harness: Harness, canary: str = "") -> None:
        self._harness = harness
        self._canary = canary
        self._chance = random.Random(7)
        self._shop = Producer(
            redis_url=harness.settings["TRACKRELAY_REDIS_URL"],
            source=self._named("shop"),
            enqueue_timeout=30,
        )

    def fill(self) -> Pictured:
        """Fill everything, and wait until each job is where it stays."""
        self._catalog()
        self._history()
        pictured = self._jobs()
        self._verdicts(pictured)
        self._plan(pictured)
        self._acts(pictured)
        self._shop.close()
        return pictured

    def _named(self, text: str) -> str:
        return text + self._canary

    def _jobs(self) -> Pictured:
        sandbox, shop = self._harness.sandbox, self._shop
        refusals = (
            ("platinum", "attributes.tier", "value is not one of silver, gold"),
            ("100%-OFF", "attributes.coupon", "coupon is malformed"),
        )
        for contains, field, message in refusals:
            sandbox.add_fault(
                kind="reject",
                match={"contains": contains},
                field=self._named(field),
                message=self._named(message),
            )
        good, bad = [], []
        for number, name in enumerate(CUSTOMERS, 1001):
            who = str(number)
            profile = {
                "name": self._named(name),
                "email": f"{name.split()[0].lower()}@example.com",
                self._named("tier"): self._chance.choice(["silver", "gold"]),
            }
            good.append(shop.identify(who, profile))
            for order in range(4):
                total = round(self._chance.uniform(9, 250), 2)
                good.append(
                    shop.track(
                        who,
                        self._named("order_completed"),
                        {"order_id": f"O-{number}-{order}", "total": total, "currency": "EUR"},
                        idempotency_key=self._named(f"O-{number}-{order}"),
                    )
                )
        for number in range(1101, 1108):
            upgraded = {self._named("tier"): "platinum", "name": self._named("Grace Kim")}
            bad.append(shop.identify(str(number), upgraded))
        for number in range(1201, 1205):
            data = {"order_id": f"O-{number}", "coupon": "100%-OFF", "total": 20}
            bad.append(shop.track(str(number), self._named("order_completed"), data))
        self._harness.wait_delivered(good, 60)
        for job in bad:
            self._harness.wait_dead(job, 60)
        # Anonymous events have endpoints of their own, which are away: the others are not.
        sandbox.add_fault(kind="status", status=503, match={"path": "/api/v1/events"})
        waiting = [
            shop.track_anonymous(f"visitor-{number}", self._named("product_viewed"), {"sku": "A-1"})
            for number in range(24)
        ]
        for job in waiting:
            self._harness.wait_waiting(job, 60)
        return Pictured(good[1], bad[0], event=self._named("order_completed"))

    def _catalog(self) -> None:
        engine = self._harness.engine
        observer = CatalogObserver(lambda seen: catalog_rows.add(engine, seen, OBSERVED))
        calls: list[Call] = []
        for call in clean_calls(1_500):
            # Totals that are strings, from one of the applications.
            if call.name == "order_completed" and self._chance.random() < 0.06:
                call.attributes["total"] = str(call.attributes["total"])
            if call.name == "checkout_started" and self._chance.random() < 0.1:
                call.attributes["Cart_Value"] = call.attributes.pop("cart_value")
            call.name = call.name and self._named(call.name)
            call.attributes = {self._named(each): value for each, value in call.attributes.items()}
            calls.append(call)
        observer.note([call.job() for call in calls], NOW)
        observer.flush()
        with engine.begin() as connection:
            connection.execute(_CATALOG_DAYS, {"days": _DAYS})

    def _history(self) -> None:
        """Write what was counted before: a day has a morning, a peak and a night."""
        now = time.time()
        rows: list[dict[str, Any]] = []
        for period, seconds, steps in (
            ("minute", 60, 180),
            ("hour", 3600, 190),
            ("day", 86400, 30),
        ):
            # The shorter periods are part of the longer ones.
            first = {"minute": 1, "hour": 4, "day": 9}[period]
            for back in range(first, steps):
                at = now - back * seconds
                hour = at / 3600 % 24
                level = 3.2 + 2.6 * math.sin((hour - 8) / 24 * 2 * math.pi)
                level *= self._chance.uniform(0.85, 1.15) * seconds
                rows += self._counted(period, at, round(level))
        with self._harness.engine.begin() as connection:
            connection.execute(_HISTORY, rows)
        # What `status` counts by the minute.
        for row in rows:
            if (row["period"], row["name"]) == ("minute", "delivered"):
                minute = int(row["at"] // 60)
                self._harness.redis.set(f"{PREFIX}delivered:{minute}", row["value"], ex=3_600)

    def _counted(self, period: str, at: float, delivered: int) -> list[dict[str, Any]]:
        wave = math.sin(at / 900) + 0.3 * self._chance.uniform(-1, 1)
        shares = [0.34, 0.4, 0.2, 0.05, 0.01]
        buckets = [round(delivered * share) for share in shares]
        buckets += [0] * (len(LATENCY_BOUNDS) + 1 - len(buckets))
        values: list[tuple[str, str, int, int, list[int] | None]] = [
            ("delivered", "v2", delivered, delivered * 240, buckets),
            ("waiting", "", round(8 + 6 * wave), round(900 + 500 * wave), None),
            ("died", "rejected", int(self._chance.random() < 0.06), 0, None),
        ]
        return [
            {
                "period": period,
                "at": at,
                "name": name,
                "labels": labels,
                "value": value,
                "sum_ms": sum_ms,
                "buckets": buckets and "{" + ",".join(map(str, buckets)) + "}",
            }
            for name, labels, value, sum_ms, buckets in values
            if value
        ]

    def _verdicts(self, pictured: Pictured) -> None:
        found = (
            ("missing", "id:1003", "event:order_completed", "not among the person's activities"),
            ("ignored", "id:1005", "attribute:tier", "the workspace does not allow this value"),
            ("different", "id:1002", "attribute:name", "somebody wrote another value later"),
        )
        with self._harness.engine.begin() as connection:
            for kind, key, item, reason in found:
                verdict = NewVerdict(
                    job_id=pictured.delivered,
                    key=key,
                    operation="person.identify",
                    item=self._named(item),
                    verdict=VerdictKind(kind),
                    reason=self._named(reason),
                )
                verdicts.record(connection, verdict)

    def _plan(self, pictured: Pictured) -> None:
        plan = parse_plan(_PLAN)
        with self._harness.engine.begin() as connection:
            new = NewPlan(self._named("Example shop"), plan.text, plan.digest)
            plans.apply(connection, new, timedelta(0), self._named("ada"))

        def violation(subject: str, path: str, actual: str, count: int) -> ViolationCount:
            return ViolationCount(
                version=1,
                source=self._named("web"),
                subject=self._named(subject),
                path=self._named(path),
                kind="type",
                action="warn",
                expected="a number",
                actual=self._named(actual),
                count=count,
                jobs=(pictured.delivered,),
            )

        plan_violations.add(
            self._harness.engine,
            [
                violation("order_completed", "total", "a string", 37),
                violation("product_viewed", "price", "a string", 5),
            ],
        )

    def _acts(self, pictured: Pictured) -> None:
        done = (
            (BEN, Act.DELIVERY_PAUSED, "shard 2", {}),
            (BEN, Act.DELIVERY_RESUMED, "shard 2", {}),
            (ADA, Act.PAYLOAD_SEEN, pictured.letter, {}),
            (ADA, Act.LETTERS_DISCARDED, "", {"letters": 3}),
            (ADA, Act.FINDING_ACKNOWLEDGED, "Q201 product_viewed", {"until": "2026-12-31"}),
        )
        for author, act, subject, details in done:
            named = Author(self._named(author.name), author.origin)
            with self._harness.engine.begin() as connection:
                acts.record(connection, named, act, self._named(subject), details)
