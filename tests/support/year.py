"""A year in fast motion: ``python -m tests.support.year``.

Real Valkey and PostgreSQL live through the days of a small shop. Their clocks are moved, and all
maintenance runs every day. At the end, nothing may have grown in the second half of the time: every
table, key and file is in steady state, and each one that the product knows has a bound in
``docs/explanation/growth.md``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import click

from benchmarks.documents import between_markers
from tests.support import growth_bounds
from tests.support.growth_bounds import Size
from tests.support.harness import Harness
from tests.support.moved_clock import MovedClock
from tests.support.outbox import Application
from tests.support.year_traffic import Shop
from trackrelay.queue.call_counts import flush_for
from trackrelay.worker.dead_letters.refused_calls import keep_refused
from trackrelay.worker.maintenance import probe
from trackrelay.worker.maintenance.failover_losses import record_lost_jobs
from trackrelay.worker.maintenance.queue_sample import sample_waiting
from trackrelay.worker.maintenance.retention import prune_all
from trackrelay.worker.maintenance.ticks import recover_orphans, wake_forgotten_shards
from trackrelay.worker.quality.finding_check import check_data

#: The longest that anything is kept by default, apart from settings: the days of the counters.
LONGEST_DAYS = 400
#: Settings with which the shop keeps things for less time than by default, so that their end comes.
SETTINGS = {
    "TRACKRELAY_FORGOTTEN_RETENTION": "200d",
    "TRACKRELAY_OPEN_DEAD_LETTER_RETENTION": "100d",
}
MONTH = 30

Sizes = dict[str, Size]


@dataclass
class Growth:
    """The sizes of everything at the end of days."""

    days: list[int] = field(default_factory=list)
    sizes: list[Sizes] = field(default_factory=list)

    def still_growing(self) -> dict[str, list[int]]:
        """Return what is larger at the end than when everything had reached its age.

        What has a limit must never exceed it.
        """
        aged = [
            sizes for day, sizes in zip(self.days, self.sizes, strict=True) if day > LONGEST_DAYS
        ]
        middle, last = aged[: len(aged) // 2], aged[len(aged) // 2 :]

        def most(samples: Sequence[Sizes], name: str) -> int:
            return max((sizes[name].count for sizes in samples if name in sizes), default=0)

        # A day has a few more or fewer of everything.
        return {
            name: self.counts(name)
            for name in self.names()
            if most(last, name) > most(middle, name) * 1.15 + 1
            or max(self.counts(name)) > growth_bounds.LIMITS.get(name, sys.maxsize)
        }

    def names(self) -> list[str]:
        """Return the tables, keys and folders that had anything."""
        return sorted({name for sizes in self.sizes for name in sizes})

    def counts(self, name: str) -> list[int]:
        """Return the elements of one table, key or folder."""
        return [sizes[name].count if name in sizes else 0 for sizes in self.sizes]


def live(
    harness: Harness, outbox: Application, *, days: int, step: int, say: Callable[[str], object]
) -> Growth:
    """Live through so many days, of which each ``step``-th has traffic and maintenance."""
    clock, growth = MovedClock(harness.engine, harness.redis), Growth()
    keys = growth_bounds.documented(growth_bounds.PAGE.read_text(), "Keys in Redis")
    clock.install()
    harness.settings |= SETTINGS
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(patch("tempfile.tempdir", folder))
        stack.enter_context(clock.running())
        shop = Shop(harness, outbox)
        stack.callback(shop.close)
        for day in range(step, days + 1, step):
            clock.advance(step)
            shop.live(day)
            # Otherwise a thread writes them, two seconds later by a clock that nobody moves.
            flush_for(harness.settings["TRACKRELAY_REDIS_URL"])
            _maintain(shop)
            if not growth.days or day >= growth.days[-1] + MONTH:
                growth.days.append(day)
                growth.sizes.append(_sizes(harness, keys))
                say(f"day {day}")
    return growth


def _maintain(shop: Shop) -> None:
    own = shop.worker.resources
    for observer in (own.observer, own.plan):
        if observer:
            observer.flush()
    wake_forgotten_shards(own)
    recover_orphans(own)
    record_lost_jobs(own)
    keep_refused(own)
    sample_waiting(own)
    assert prune_all(own)
    with own.engine.begin() as connection:
        check_data(connection, own.redis, time.time())
    probe.remove_stale()


def _sizes(harness: Harness, keys: list[str]) -> Sizes:
    files = list(Path(probe.folder()).glob("*"))
    return {
        **growth_bounds.tables(harness.engine),
        **growth_bounds.keys(harness.redis, keys),
        "files of probes": Size(len(files), sum(path.stat().st_size for path in files)),
    }


def table(growth: Growth, columns: int = 9) -> str:
    """Return the sizes over time, for a page."""
    every = max(1, len(growth.days) // columns)
    samples = range(len(growth.days) - 1, -1, -every)[::-1]
    heading = "| | " + " | ".join(f"day {growth.days[each]}" for each in samples) + " | kB |"
    lines = [heading, "|---|" + "---:|" * (len(samples) + 1)]
    for name in growth.names():
        counts, last = growth.counts(name), growth.sizes[-1].get(name, Size(0, 0))
        cells = [f"{counts[each]:,}" for each in samples]
        shown = name if " " in name else f"`{name}`"
        lines.append(f"| {shown} | " + " | ".join(cells) + f" | {last.bytes / 1000:,.0f} |")
    return "\n".join(lines)


def undocumented(growth: Growth) -> Mapping[str, set[str]]:
    """Return what the product has, or the stores hold, that the page does not name."""
    page = growth_bounds.PAGE.read_text()
    tables = set(growth_bounds.documented(page, "Tables"))
    keys = set(growth_bounds.documented(page, "Keys in Redis"))
    seen = {name for name in growth.names() if " " not in name}
    return {
        "tables without a bound": growth_bounds.known_tables() - tables,
        "bounds of no table": tables - growth_bounds.known_tables(),
        "keys without a bound": growth_bounds.known_keys() - keys,
        "bounds of no key": keys - growth_bounds.known_keys(),
        "in the stores and nowhere else": seen - tables - keys,
    }


@click.command()
@click.option("--days", default=3 * 365, show_default=True)
@click.option("--step", default=1, show_default=True, help="Days between two with traffic.")
@click.option("--pages", is_flag=True, help="Write the table of docs/explanation/growth.md.")
def main(days: int, step: int, pages: bool) -> None:
    """Live through the years, and print what grew."""
    from tests.support.fixtures.harness_fixtures import migrate
    from trackrelay.sandbox.client import SandboxClient
    from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess

    with PostgresProcess(durable=False) as postgres, ValkeyProcess() as valkey:
        settings = {
            "TRACKRELAY_REDIS_URL": valkey.url,
            "TRACKRELAY_DATABASE_URL": postgres.url,
            "CUSTOMERIO_SITE_ID": "site",
            "CUSTOMERIO_TRACK_API_KEY": "key",
            "CUSTOMERIO_APP_API_KEY": "key",
        }
        harness = Harness(settings, SandboxClient("http://127.0.0.1:1"))
        migrate(harness.engine, harness.redis, 4)
        outbox = Application(postgres.url)
        growth = live(harness, outbox, days=days, step=step, say=click.echo)
        click.echo(table(growth))
        if pages:
            between_markers(growth_bounds.PAGE, "year", table(growth))
        growing, missing = growth.still_growing(), undocumented(growth)
        harness.close()
    for name, counts in growing.items():
        click.echo(f"GROWS: {name}: {counts}")
    for what, names in missing.items():
        for name in sorted(names):
            click.echo(f"{what}: {name}")
    if growing or any(missing.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
