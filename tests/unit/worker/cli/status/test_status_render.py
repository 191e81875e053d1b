"""``status`` as it is read."""

from dataclasses import replace

import pytest
from rich.console import Console

from trackrelay.worker.cli.common.command_stores import OutboxJobs
from trackrelay.worker.cli.status.snapshot import Destination, Snapshot
from trackrelay.worker.cli.status.status_hints import hints
from trackrelay.worker.cli.status.status_render import render_status
from trackrelay.worker.storage.queries.backlog_overview import Overview

from .snapshots import WORKER, dead, redis_side, shard, snapshot


def lines(now: Snapshot, width: int = 80) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(render_status(now, hints(now)))
    return captured.get().splitlines()


@pytest.mark.parametrize("busy", [0, 4])
def test_when_all_is_well_it_fits_into_a_window_of_24_lines(busy: int) -> None:
    place = Destination("https://track-eu.customer.io", "eu", "123456")
    worker = replace(WORKER, hostname="celery@ip-10-0-123-45", destination=place)
    shards = [shard(n, live=n + 3 if n < busy else 0, held=n < busy) for n in range(4)]
    now = snapshot(
        redis_side(workers=[worker], shards=shards, delivered=[120] * 60),
        postgres=Overview(shards=4),
        outbox=OutboxJobs(),
    )

    shown = lines(now)

    # The prompt is in the window too.
    assert len(shown) <= 23
    assert max(len(line) for line in shown) <= 80
    assert shown[1].startswith("● Delivering: ")


def test_an_empty_section_takes_one_line() -> None:
    shown = lines(snapshot(), 120)
    assert "Queue         empty, in Redis at redis.example/0, 9.5 MiB of 95 MiB used" in shown
    assert "Backlog       empty, in Postgres at db.example/app" in shown
    assert "Dead letters  none" in shown


def test_dead_letters_are_shown_with_the_error_of_the_newest() -> None:
    shown = lines(snapshot(postgres=Overview(shards=1, dead_letters=[dead(12)])), 120)
    assert any("rejected" in line and "attributes.plan is too long" in line for line in shown)
