"""Observe the second business with its accidents, and return which of them the rules find.

By hand, with as many calls as the documentation names::

    python -m tests.support.second_check [CALLS] [SEED …]
"""

from __future__ import annotations

import copy
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tests.support.catalog_memory import observed, spread
from tests.support.retention_traffic import NOW, Call
from tests.support.second_traffic import ACCIDENTS, Accident, clean, with_accidents
from trackrelay.worker.quality.all_rules import findings
from trackrelay.worker.quality.catalog import Catalog
from trackrelay.worker.quality.rules import Finding, Severity

#: The rule that finds each accident.
FOUND = {
    "camel customer id": "Q201",
    "customer id as a number": "Q101",
    "e-mail spelt twice": "Q201",
    "camel anonymous id": "Q201",
    "anonymous id lost": "Q301",
    "anonymous id as a number": "Q101",
    "state of orders lost": "Q301",
    "orders count as text": "Q101",
    "site overwrites consent": "Q501",
    "app overwrites consent": "Q501",
    "CRM overwrites value": "Q503",
    "site sets plan status": "Q503",
    "consent as text": "Q101",
    "checkout without value": "Q304",
    "cart without product": "Q302",
    "shipment without order": "Q301",
    "pascal product viewed": "Q203",
    "product view": "Q203",
    "checkout began": "Q204",
    "second purchase event": "Q204",
    "order placed": "Q204",
    "old order name": "Q203",
    "order complete": "Q203",
    "camel product id": "Q201",
    "sku in refactoring": "Q201",
    "cart value as text": "Q101",
    "price as text": "Q101",
    "price with its sign": "Q101",
    "quantity as text": "Q101",
    "genres as one text": "Q103",
    "key with a blank": "Q201",
    "flag as a number": "Q101",
    "article number as a number": "Q101",
    "order in a blob": "Q104",
    "view in a blob": "Q302",
    "items as JSON text": "Q103",
    "items by number": "Q601",
    "items by key": "Q601",
    "total as an object": "Q103",
    "discount renamed": "Q301",
    "category renamed": "Q301",
    "plan name became an object": "Q103",
    "no orders": "Q205",
    "one l": "Q203",
    "nightly orders": "Q401",
    "late order": "Q401",
    "slow cancellation": "Q401",
    "refunds of last week": "Q402",
    "milliseconds": "Q403",
    "two hours ahead": "Q403",
    "an hour behind": "Q401",
    "time zero": "Q402",
    "created in text": "Q102",
    "order's milliseconds": "Q102",
    "end of trial in text": "Q102",
    "test event": "Q602",
    "undefined event": "Q602",
    "template as a name": "Q602",
    "undefined attribute": "Q602",
    "order without anything": "Q302",
    "order in the name": "Q601",
    "password": "Q603",
    "null total": "Q105",
    "pixel's orders": "Q206",
    "consent lost": "Q305",
    "brand lost at times": "Q305",
    "orders stopped": "Q306",
    "app's carts stopped": "Q306",
    "renewals stopped": "Q307",
    "end of playback renamed": "Q307",
    "country null at times": "Q105",
    "no state of orders": "Q309",
    "a few refunds of the app": "Q504",
}
#: What only a tracking plan can call wrong: these rules say as much, and warn of nothing.
INFO = {
    "no timezone": "Q310",
    "no lifetime value": "Q310",
    "orders of the site only": "Q505",
    "cancellation in the browser": "Q505",
    "no refunds": "Q207",
    "no cancellations": "Q207",
}
#: Accidents that only time shows, and how long the traffic goes on.
BY_TIME = {each for each, rule in FOUND.items() if rule in ("Q305", "Q306", "Q307")}
DURATION_S, FLUSHES = 20 * 86_400.0, 60


def worse_than_info(catalog: Catalog) -> list[Finding]:
    """Return what somebody should do something about."""
    return [each for each in findings(catalog, NOW) if each.severity != Severity.INFO]


@dataclass
class Traffic:
    """Calls of the second business.

    Args:
        count: how many.
        over_s: for how long they go on; 0: all come at once.
        rarest: the rarest accidents happen to one call in so many.
        seed: makes the draws repeatable.
    """

    count: int
    over_s: float = 0.0
    rarest: int = 5_000
    seed: int = 1

    @cached_property
    def catalog(self) -> Catalog:
        """What is observed without accidents."""
        return self.after_all([])

    def after(self, accident: Accident) -> Catalog:
        """Return what is observed if an accident happens alone."""
        calls = copy.deepcopy(self._by_event[accident.event])
        concerned = self._observed(calls, [accident])
        others = {
            subject: stats
            for subject, stats in self.catalog.subjects.items()
            if subject.name != accident.event
        }
        return Catalog({**others, **concerned.subjects})

    def after_all(self, accidents: Sequence[Accident]) -> Catalog:
        """Return what is observed if accidents happen together."""
        return self._observed(list(clean(self.count, self.seed)), accidents)

    @cached_property
    def _by_event(self) -> dict[str, list[Call]]:
        calls: dict[str, list[Call]] = {}
        for call in clean(self.count, self.seed):
            calls.setdefault(call.name, []).append(call)
        return calls

    def _observed(self, calls: list[Call], accidents: Sequence[Accident]) -> Catalog:
        spoilt = [replace(each, every=min(each.every, self.rarest)) for each in accidents]
        # As many writes as all calls together would cause.
        every = self.count // FLUSHES if self.over_s else 5_000
        flush_after = max(1, every * len(calls) // self.count)
        in_time = spread(calls, self.over_s) if self.over_s else calls
        sent = with_accidents(in_time, spoilt, len(calls))
        return observed(sent, flush_after, together=1 if self.over_s else min(500, flush_after))


def is_found(accident: Accident, found: Sequence[Finding]) -> bool:
    """Return whether the right rule found an accident."""
    rule = FOUND.get(accident.name) or INFO[accident.name]
    return any(
        rule == each.rule.id and any(one in each.subject for one in accident.subject)
        for each in found
    )


def _report(count: int, seed: int) -> None:
    at_once, weeks = Traffic(count, seed=seed), Traffic(count, DURATION_S, seed=seed)
    for name, traffic in (("at once", at_once), ("in three weeks", weeks)):
        alarms = worse_than_info(traffic.catalog)
        print(f"clean, {name}: {len(alarms)} false alarms {[each.key for each in alarms]}")
    alone, missed = Counter[str](), []
    for each in ACCIDENTS:
        traffic = weeks if each.name in BY_TIME else at_once
        kind = "info" if each.name in INFO else "warning"
        if is_found(each, findings(traffic.after(each), NOW)):
            alone[kind] += 1
        else:
            missed.append(each.name)
    print(f"alone: {len(ACCIDENTS)} accidents, found {dict(alone)}, missed {missed}")
    together = [each for each in ACCIDENTS if not each.alone]
    found = [*findings(at_once.after_all(together), NOW), *findings(weeks.after_all(together), NOW)]
    missed = [each.name for each in together if not is_found(each, found)]
    print(f"together: {len(together)} accidents, missed {missed}", flush=True)


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]] or [200_000]
    for seed in given[1:] or [1]:
        print(f"{given[0]:,} calls, seed {seed}")
        _report(given[0], seed)
