"""``--fail-if``."""

import click
import pytest

from trackrelay.worker.cli.status.fail_conditions import MEASURES, parse
from trackrelay.worker.cli.status.snapshot import BreakerStatus, Memory
from trackrelay.worker.queue.failed_calls import FailedCall, FailedCalls
from trackrelay.worker.storage.forgotten import Summary
from trackrelay.worker.storage.incident_log import Incident, Kind
from trackrelay.worker.storage.queries.backlog_overview import Overview
from trackrelay.worker.storage.queries.verification_overview import VerificationOverview

from .snapshots import NOW, dead, redis_side, shard, snapshot, waits

FAILING = snapshot(
    redis_side(
        shards=[shard(live=7, age=700, pending=2)],
        breaker=BreakerStatus("halted", "credentials", "401"),
        memory=Memory(80, 100, "noeviction"),
        workers=[],
        beat=NOW - 200,
        delivered=[0] * 60,
        failed_calls=FailedCalls(
            [FailedCall("shop", "person.event", "name", 12)], [FailedCall("", "", "away", 3)]
        ),
    ),
    Overview(
        backlog=[waits(5)],
        dead_letters=[dead(3)],
        paused={0: NOW},
        shards=1,
        forgotten=Summary(keys=2, unfinished=1, jobs=4),
        incidents=[
            Incident(1, Kind.WIPED, NOW - 60, NOW - 59, at_least=2, at_most=4),
            Incident(2, Kind.ROLLED_BACK, None, NOW - 9, at_least=0, at_most=None),
        ],
        verification=VerificationOverview(open={"ignored": 4, "missing": 2, "different": 1}),
        # Three errors, two warnings and an info.
        findings={"Q101": 3, "Q901": 2, "Q303": 1},
    ),
)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("oldest>10m", "oldest>10m: age of the oldest undelivered job: 11 min"),
        ("dead_letters>0", "dead_letters>0: open dead letters: 3"),
        ("beat>2m", "beat>2m: time since the last beat: 3 min 20 s"),
        ("backlog>=5", "backlog>=5: jobs in the backlog: 5"),
        ("queue > 6", "queue > 6: jobs in the streams: 7"),
        ("pending>1", "pending>1: jobs read and not settled yet: 2"),
        ("workers<1", "workers<1: running workers: 0"),
        (
            "lost>0",
            "lost>0: lost jobs in unacknowledged incidents; one if unknown: 5",
        ),
        ("paused!=0", "paused!=0: paused shards: 1"),
        (
            "unforgotten>0",
            "unforgotten>0: requests to forget a person that are not complete: 1",
        ),
        (
            "ignored>0",
            "ignored>0: open verdicts: accepted by Customer.io and not applied: 4",
        ),
        ("missing>0", "missing>0: open verdicts: not at Customer.io: 2"),
        (
            "different>0",
            "different>0: open verdicts: Customer.io has something else: 1",
        ),
        (
            "findings>4",
            "findings>4: open findings about the data: errors and warnings that nobody "
            "acknowledged: 5",
        ),
        ("delivered<1", "delivered<1: jobs delivered in the last minute: 0"),
        ("memory>75%", "memory>75%: used part of Redis' maxmemory: 80%"),
        ("refused>0", "refused>0: calls refused in the last 24 hours: 12"),
        ("unavailable>0", "unavailable>0: calls only logged in the last 24 hours: 3"),
        ("breaker=halted", "breaker=halted: state of the breaker: halted"),
        ("breaker==halted", "breaker==halted: state of the breaker: halted"),
        ("breaker!=closed", "breaker!=closed: state of the breaker: halted"),
    ],
)
def test_a_condition_that_holds_fails_with_the_actual_value(text: str, failure: str) -> None:
    (condition,) = parse(text)
    assert condition.failure(FAILING) == failure


def test_there_is_a_test_for_every_measure() -> None:
    (mark,) = test_a_condition_that_holds_fails_with_the_actual_value.pytestmark  # type: ignore[attr-defined]
    assert {parse(text)[0].name for text, _ in mark.args[1]} == set(MEASURES)


@pytest.mark.parametrize(
    "text",
    [
        "oldest>1s",
        "dead_letters>0",
        "beat>2m",
        "backlog>0",
        "queue>0",
        "workers<1",
        "lost>0",
        "paused>0",
        "ignored>0",
        "missing>0",
        "different>0",
        "memory>75",
        "breaker!=closed",
    ],
)
def test_when_all_is_well_nothing_fails(text: str) -> None:
    assert [condition.failure(snapshot()) for condition in parse(text)] == [None]


def test_several_are_separated_by_commas() -> None:
    assert [condition.name for condition in parse("oldest>10m, dead_letters>0,beat>2m,")] == [
        "oldest",
        "dead_letters",
        "beat",
    ]


def test_a_beat_that_was_never_seen_is_older_than_any_limit() -> None:
    (condition,) = parse("beat>20h")
    assert (
        condition.failure(snapshot(redis_side(beat=None)))
        == "beat>20h: time since the last beat: more than a day"
    )


def test_what_cannot_be_known_fails() -> None:
    away = type(FAILING)(
        FAILING.settings, NOW, FAILING.redis, None, "", "Postgres at db cannot be reached"
    )

    assert [condition.failure(away) for condition in parse("oldest>1h,workers<0")] == [
        "oldest>1h: not known, because Postgres at db cannot be reached",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("oldst>10m", "'oldst' is not known; did you mean 'oldest'?"),
        ("xyz>1", "the names are oldest, beat, dead_letters"),
        ("oldest", "'oldest' is not a condition such as oldest>10m"),
        ("oldest>soon", "'soon' is not a duration such as 90s, 10m, 12h or 3d"),
        ("dead_letters>many", "'many' is not a number"),
        ("dead_letters>nan", "'nan' is not a number"),
        ("breaker>open", "breaker takes = or !=, not >"),
        ("breaker=ajar", "'ajar' is not one of closed, open, halted"),
        (" , ", "it is empty"),
    ],
)
def test_an_unknown_condition_is_reported(text: str, words: str) -> None:
    with pytest.raises(click.BadParameter, match=words.replace("?", r"\?")):
        parse(text)
