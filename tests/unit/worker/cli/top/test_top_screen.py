"""The screen of ``top``: what it says, at any size, with any store away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tests.unit.worker.cli.status.snapshots import (
    GONE,
    NOW,
    WORKER,
    dead,
    redis_side,
    shard,
    snapshot,
    waits,
)
from trackrelay.worker.cli.common.output import SafeConsole
from trackrelay.worker.cli.status.snapshot import BreakerStatus, Snapshot
from trackrelay.worker.cli.status.status_verdict import verdict
from trackrelay.worker.cli.top.top_facts import Reading
from trackrelay.worker.cli.top.top_screen import TopScreen, View
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage.counters import Point
from trackrelay.worker.storage.counts import LATENCY_BOUNDS, Name, Tally
from trackrelay.worker.storage.incident_log import Incident, Kind
from trackrelay.worker.storage.queries.backlog_overview import Overview

SIZES = [(80, 24), (120, 40), (200, 60), (80, 10), (40, 12), (20, 5), (1, 1)]


def points(snapshot: Snapshot, delivered: int = 300) -> list[Point]:
    minute = snapshot.now // 60 * 60
    buckets = [delivered, *[0] * len(LATENCY_BOUNDS)]
    return [
        point
        for back in range(60)
        for point in (
            Point(minute - 60 * back, Name.DELIVERED, ("v2",), Tally(delivered, 9.0, buckets)),
            Point(minute - 60 * back, Name.DEFERRED, ("failed",), Tally(3)),
            Point(minute - 60 * back, Name.DEFERRED, ("key_waits",), Tally(1000)),
            Point(minute - 60 * back, Name.WAITING, (), Tally(40 + back, 7.0)),
        )
    ]


def busy() -> Snapshot:
    """Much of everything."""
    families = [BreakerStatus(family=each, last_success=NOW - 3) for each in Family]
    families[1] = BreakerStatus(
        "open", "outage", "503", NOW + 7, NOW - 60, failures=4, family=Family.V1_EVENTS
    )
    return snapshot(
        redis_side(
            shards=[shard(number, live=number, age=number, held=True) for number in range(16)],
            workers=[*(replace(WORKER, hostname=f"celery@{n}") for n in range(9)), GONE],
            breakers=families,
            delivered=[300] * 60,
        ),
        Overview(
            shards=16,
            backlog=[replace(waits(5, reason=f"reason_{n}"), shard=n) for n in range(9)],
            dead_letters=[dead(n, f"why_{n}") for n in range(1, 9)],
            incidents=[Incident(7, Kind.WIPED, NOW - 90, NOW - 60, 2, 5)],
            findings={"Q101": 2, "Q999": 1},
        ),
    )


def frame(
    now: Snapshot,
    width: int = 110,
    height: int | None = None,
    *,
    counted: bool = True,
    **changes: Any,
) -> list[str]:
    reading = Reading(now, points(now) if counted and now.postgres else None)
    screen = TopScreen((reading, None), **{"interval_s": 2.0, "height": height, **changes})
    return drawn(screen, width)


def drawn(screen: TopScreen, width: int) -> list[str]:
    console = SafeConsole(width=width, height=25, force_terminal=False)
    options = console.options.update(width=width)
    return "".join(segment.text for segment in console.render(screen, options)).split("\n")


def line(lines: list[str], start: str) -> str:
    return next(each for each in lines if each.strip().startswith(start))


def test_the_verdict_is_the_one_of_status() -> None:
    for now in (snapshot(), busy(), snapshot(postgres=None, postgres_problem="it is away")):
        first = " ".join(frame(now, 300)[0].split())
        assert first == f"● {verdict(now).sentence}"


def test_when_all_is_well_the_sections_say_so() -> None:
    lines = frame(snapshot(redis_side(breakers=[BreakerStatus(family=Family.V2)])), 110, 40)
    assert "What to do" not in "\n".join(lines)
    assert "breakers closed; at most 100 requests/s; last success 2 s ago" in line(
        lines, "Customer.io"
    )
    assert line(lines, "Backlog").split() == ["Backlog", "empty"]
    assert line(lines, "Dead letters").split() == ["Dead", "letters", "none"]
    assert line(lines, "delivered").split()[1:4] == ["–", "600", "18,000"]
    # A job that waits behind another of its person was not retried.
    assert line(lines, "retried").split()[3] == "180"
    assert line(lines, "waiting").split()[1:4] == ["–", "0", "99"]
    assert "95 of 100" in line(lines, "arrival")


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("shows_help", [True, False])
def test_no_frame_is_larger_than_the_window(width: int, height: int, shows_help: bool) -> None:
    for now in (snapshot(), busy(), snapshot(redis=None, postgres=None)):
        for held in (None, (Reading(now, None), None)):
            view = View(held=held, shows_help=shows_help)
            lines = frame(now, width, height, view=view)
            assert len(lines) <= height
            assert max(len(each) for each in lines) <= width


def test_a_small_window_has_the_numbers_and_counts_what_it_leaves_out() -> None:
    lines = frame(busy(), 80, 24)
    text = "\n".join(lines)
    assert lines[0].startswith("● Delivering, but not")
    assert "Redis lost the queue" in text
    assert "the worst 2 of" in text
    assert line(lines, "delivered")
    assert line(lines, "waiting")
    assert "1 breaker not closed" in text
    assert "9 running, 1 lost" in text


def test_a_large_window_has_all_rows_until_they_do_not_fit() -> None:
    lines = frame(busy(), 120, 44)
    assert sum(" held " in f"{each} " for each in lines) > 5
    assert any("more" in each for each in lines)
    # Without a limit, everything is there.
    every = "\n".join(frame(busy(), 160))
    assert "… " not in every
    for expected in ("celery@8", "heartbeat lost", "reason 8", "why_8", "Q101", "503"):
        assert expected in every


def test_a_store_that_is_away_is_not_known_and_never_0() -> None:
    away = replace(busy(), redis=None, redis_problem="Redis at x cannot be reached")
    lines = frame(away, 110, 60)
    assert "not known: Redis at x cannot be reached" in line(lines, "Redis")
    assert line(lines, "waiting").split()[1:4] == ["–", "not", "known"]
    assert line(lines, "Dead letters")
    away = replace(busy(), postgres=None, postgres_problem="Postgres at y cannot be reached")
    lines = frame(away, 110, 60)
    assert "not known: Postgres does not answer" in line(lines, "Flow")
    assert "not known: Postgres at y cannot be reached" in line(lines, "Postgres")
    assert line(lines, "Workers")
    assert " not known" in "\n".join(lines)


def test_lists_are_sorted_by_name_by_jobs_or_by_age() -> None:
    shards = [shard(0, live=5, age=1), shard(1, live=9, age=2), shard(2, live=1, age=99)]
    now = snapshot(redis_side(shards=shards), Overview(shards=3))

    def order(view: View) -> list[str]:
        lines = frame(now, 120, 40, view=view)
        start = next(n for n, each in enumerate(lines) if each.strip().startswith("shard "))
        return [each.split()[0] for each in lines[start + 1 : start + 4]]

    view = View()
    assert order(view) == ["0", "1", "2"]
    view = view.after("s", None)
    assert order(view) == ["1", "0", "2"]
    view = view.after("s", None)
    assert order(view) == ["2", "1", "0"]
    assert view.after("s", None) == View()


def test_the_screen_can_be_paused_and_says_that_delivery_is_not() -> None:
    shown = (Reading(snapshot(), None), None)
    view = View().after("p", shown)
    assert view.held is shown
    assert "screen paused, delivery is not" in frame(snapshot(), 120, 40, view=view)[1]
    assert view.after("p", shown).held is None
    # There is nothing to hold yet.
    assert View().after("p", None).held is None


def test_help_explains_keys_and_words() -> None:
    view = View().after("?", None)
    text = "\n".join(frame(snapshot(), 120, 40, view=view))
    assert "quit" in text
    assert "the call to Customer.io's answer" in text
    assert view.after("\x1b", None) == view.after("?", None) == View()
    assert View().after("x", None) == View()


def test_it_says_that_it_reads_and_that_nothing_newer_comes() -> None:
    assert drawn(TopScreen(None), 80) == ["Reading … (q: quit)"]
    assert drawn(TopScreen(None, late_s=8), 80) == ["Reading for 8 s … (q: quit)"]
    assert "no newer facts for 8 s" in frame(snapshot(), 120, 40, late_s=8.4)[1]


def test_foreign_text_cannot_steer_the_terminal() -> None:
    worker = replace(WORKER, hostname="celery@\x1b[2J\u202eevil")
    postgres = Overview(shards=1, dead_letters=[replace(dead(), error="\x1b]0;x\x07[bold]")])
    text = "\n".join(frame(snapshot(redis_side(workers=[worker]), postgres), 160))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\u001b[2J" in text
    assert "[bold]" in text


def test_without_colours_it_has_the_same_words() -> None:
    def printed(**options: Any) -> str:
        console = Console(width=120, force_terminal=True, color_system="standard", **options)
        with console.capture() as captured:
            console.print(TopScreen((Reading(busy(), points(busy())), None)))
        return captured.get()

    plain = printed(no_color=True)
    assert "\x1b[31" not in plain
    assert "\x1b[31" in printed()
    assert "1 breaker not closed" in plain
