"""What to do: each trouble is named, with the command that helps."""

from dataclasses import replace
from typing import Any

import pytest

from trackrelay.worker.cli.status.snapshot import BreakerStatus, Destination, Memory, Sample
from trackrelay.worker.cli.status.status_hints import hints
from trackrelay.worker.cli.status.status_verdict import verdict
from trackrelay.worker.queue.failed_calls import FailedCall, FailedCalls
from trackrelay.worker.storage.queries.backlog_overview import Overview

from .snapshots import GONE, NOW, WORKER, dead, redis_side, settings, shard, snapshot, waits


def breaker(state: str, reason: str, message: str = "503") -> BreakerStatus:
    return BreakerStatus(
        state, reason, message, until=NOW + 14, since=NOW - 720, last_success=NOW - 730, failures=9
    )


def test_when_all_is_well_there_is_nothing_to_do() -> None:
    assert hints(snapshot()) == []
    assert verdict(snapshot()).state == "idle"


def delivering_to(*places: tuple[str, str]) -> list[Any]:
    return [
        replace(WORKER, hostname=f"celery@{n}", destination=Destination(endpoint, "us", workspace))
        for n, (endpoint, workspace) in enumerate(places)
    ]


US, EU = "https://track.customer.io", "https://track-eu.customer.io"


@pytest.mark.parametrize("other", [(EU, "123"), (US, "456")])
def test_workers_that_deliver_to_different_places_are_wrong(other: tuple[str, str]) -> None:
    workers = delivering_to((US, "123"), (US, "123"), other)
    (hint,) = hints(snapshot(redis_side(workers=workers)))
    assert hint.severity == "wrong"
    assert "Workers deliver to different places" in hint.text
    assert all(each in hint.text for each in other)


def test_a_worker_that_does_not_know_its_workspace_is_no_other_place() -> None:
    assert hints(snapshot(redis_side(workers=delivering_to((US, "123"), (US, ""))))) == []


@pytest.mark.parametrize(
    ("state", "reason", "severity", "words", "command"),
    [
        ("open", "outage", "warning", "Nothing is lost, and nothing has to be done", ""),
        ("open", "rate_limited", "warning", "lower TRACKRELAY_REQUESTS_PER_SECOND", ""),
        (
            "halted",
            "credentials",
            "wrong",
            "correct it and restart the workers",
            "trackrelay check",
        ),
        ("halted", "region", "wrong", "correct it and restart the workers", "trackrelay check"),
        ("halted", "workspace", "wrong", "correct it and restart the workers", "trackrelay check"),
        ("halted", "refused", "wrong", "with the same message", "trackrelay check"),
    ],
)
def test_a_stopped_delivery_is_explained(
    state: str, reason: str, severity: str, words: str, command: str
) -> None:
    now = snapshot(redis_side(breaker=breaker(state, reason)))

    (hint,) = hints(now)

    assert (hint.severity, hint.command) == (severity, command)
    assert words in hint.text
    assert "503. Delivery stopped 12 min ago; the next attempt is in 14 s." in hint.text
    assert verdict(now).state == "stopped"


def only(now: Any) -> tuple[str, str, str]:
    (hint,) = hints(now)
    return hint.severity, hint.text, hint.command


def test_jobs_without_a_worker_are_wrong_and_an_idle_fleet_without_one_is_a_warning() -> None:
    severity, text, command = only(snapshot(redis_side(workers=[], shards=[shard(live=3)])))
    assert (severity, text, command) == (
        "wrong",
        "No worker runs, and 3 jobs wait. Start one.",
        "trackrelay worker",
    )

    assert only(snapshot(redis_side(workers=[])))[0] == "warning"


def test_the_last_worker_to_vanish_is_named() -> None:
    _, text, _ = only(snapshot(redis_side(workers=[GONE], shards=[shard(live=1)])))
    assert text.startswith(
        "No worker runs; the heartbeat of celery@two was lost 1 min 30 s ago, and 1 job waits."
    )


def test_a_worker_that_vanished_beside_others_is_a_note() -> None:
    severity, text, _ = only(snapshot(redis_side(workers=[WORKER, GONE])))
    assert severity == "note"
    assert "celery@two" in text


def test_dead_letters_are_pointed_to_with_the_error_of_the_newest() -> None:
    severity, text, command = only(snapshot(postgres=Overview(dead_letters=[dead(12)], shards=1)))
    assert severity == "warning"
    assert text.startswith(
        "12 open dead letters; the newest: rejected 3 min ago: attributes.plan is too long"
    )
    assert command == "trackrelay dead-letters list"


def test_dead_letters_that_are_being_replayed_are_nobodys_task() -> None:
    assert (
        hints(snapshot(postgres=Overview(dead_letters=[dead(state="replaying")], shards=1))) == []
    )


def test_paused_shards_are_named_with_the_command_that_resumes_them() -> None:
    some = snapshot(postgres=Overview(paused={1: NOW - 120, 3: NOW - 60}, shards=4))
    assert only(some) == (
        "warning",
        "Paused: shard 1 and 3, for 2 min.",
        "trackrelay resume --shard 1 --shard 3",
    )

    everything = snapshot(postgres=Overview(paused={0: NOW - 120}, shards=1))
    assert only(everything) == ("warning", "Delivery is paused for 2 min.", "trackrelay resume")
    assert verdict(everything).state == "paused"
    away = snapshot(
        redis_side(breaker=BreakerStatus("open")),
        postgres=Overview(paused={0: NOW - 120}, shards=1),
    )
    assert verdict(away).sentence.startswith(
        "Delivery is paused. Before the pause, Customer.io had a problem."
    )


def test_a_shard_that_no_worker_takes_is_a_problem() -> None:
    assert (
        "Shard 0: jobs have waited" in only(snapshot(redis_side(shards=[shard(live=1, age=90)])))[1]
    )
    assert hints(snapshot(redis_side(shards=[shard(live=1, age=90, held=True)]))) == []
    assert hints(snapshot(redis_side(shards=[shard(live=1, age=5)]))) == []


def test_an_entry_that_keeps_coming_back_is_named() -> None:
    looping = redis_side(shards=[shard(2, live=1, held=True, deliveries=4)])
    assert only(snapshot(looping))[1].startswith("Shard 2: workers took its first entry 4 times")


def test_a_redis_that_is_filling_up_or_evicting_is_wrong() -> None:
    assert (
        "calls raise QueueFullError"
        in only(snapshot(redis_side(memory=Memory(80, 100, "noeviction"))))[1]
    )
    assert (
        "may delete queued jobs"
        in only(snapshot(redis_side(memory=Memory(1, 100, "allkeys-lru"))))[1]
    )


def test_work_that_needs_a_request_each_is_pointed_out_when_it_outgrows_the_budget() -> None:
    full = redis_side(shards=[shard(live=20_000, held=True)], sample=Sample(100, 50))
    severity, text, _ = only(snapshot(full))
    assert severity == "warning"
    assert "About 10,000 waiting jobs" in text
    assert "takes 2 min 13 s" in text

    assert hints(snapshot(full, settings=settings(TRACKRELAY_REQUESTS_PER_SECOND="1000"))) == []


def test_a_beat_that_ended_is_noted_and_one_that_never_ran_is_not_missed() -> None:
    assert only(snapshot(redis_side(beat=NOW - 300)))[::2] == ("note", "trackrelay beat")
    assert hints(snapshot(redis_side(beat=None))) == []


def test_workers_of_two_versions_are_pointed_out() -> None:
    other = type(WORKER)("celery@old", True, NOW, "prefork", 4, "0.9", 13, NOW)
    assert "0.9 and 1.0" in only(snapshot(redis_side(workers=[WORKER, other])))[1]


def test_a_store_that_is_away_comes_first_and_says_what_happens_meanwhile() -> None:
    away = snapshot(
        redis_side(shards=[shard(live=2)]),
        postgres_problem="Postgres at db cannot be reached: refused",
    )
    away = type(away)(away.settings, away.now, away.redis, None, "", away.postgres_problem)

    first, second = hints(away)

    assert first.text == "Postgres at db cannot be reached: refused."
    assert "the jobs wait in Redis, none is lost" in second.text
    assert verdict(away).sentence == "Nothing is delivered: Postgres must be repaired first."


def test_the_worst_comes_first() -> None:
    now = snapshot(
        redis_side(workers=[], beat=NOW - 300, shards=[shard(live=1)]),
        Overview(dead_letters=[dead()], shards=1),
    )
    assert [hint.severity for hint in hints(now)] == ["wrong", "warning", "note"]


def test_the_last_minute_is_reckoned_from_two_counters() -> None:
    # Twenty seconds into a minute, a third of the minute before has passed.
    counters = [50, 300] + [0] * 58
    now = snapshot(redis_side(now=NOW + 20, delivered=counters), now=NOW - NOW % 60 + 20)
    assert verdict(now).sentence.startswith("Delivering: 250 jobs in the last minute.")


def test_waiting_jobs_are_reported_with_their_age() -> None:
    now = snapshot(
        redis_side(shards=[shard(live=2, age=5, held=True)]),
        Overview(backlog=[waits(3, age=75)], shards=1),
    )
    assert verdict(now).sentence.endswith("5 jobs wait, the oldest for 1 min 15 s.")


@pytest.mark.parametrize("recent", [0, 250])
@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        (
            {
                "redis": redis_side(
                    failed_calls=FailedCalls([FailedCall("shop", "person.event", "name", 2)], [])
                )
            },
            "warning",
        ),
        (
            {
                "redis": redis_side(
                    failed_calls=FailedCalls([], [FailedCall("", "person.event", "away", 2)])
                )
            },
            "wrong",
        ),
        ({"redis": redis_side(memory=Memory(95, 100, "noeviction"))}, "wrong"),
        ({"redis": redis_side(memory=Memory(1, 100, "allkeys-lru"))}, "wrong"),
        ({"postgres": Overview(shards=1, dead_letters=[dead(3)])}, "warning"),
        ({"postgres": Overview(shards=2, paused={0: NOW})}, "warning"),
        ({"outbox_problem": "the application's database at db cannot be reached"}, "wrong"),
    ],
)
def test_no_verdict_says_that_all_is_well_beside_a_problem(
    changes: dict[str, Any], severity: str, recent: int
) -> None:
    now = snapshot(**changes)
    assert now.redis is not None
    now.redis.delivered[:2] = [recent, 0]

    judged = verdict(now)

    assert judged.severity == severity
    assert "is delivered" not in judged.sentence
    assert judged.sentence.endswith("But there is 1 problem: see What to do.")
    now.redis.delivered[:2] = [0, 0]


def test_all_is_well_only_if_it_is() -> None:
    assert verdict(snapshot()).sentence == "Everything is delivered, and nothing is coming in."
    assert verdict(snapshot()).severity is None


def test_findings_about_the_data_are_reported_once() -> None:
    found = {"Q101": 1, "Q204": 2, "Q302": 1, "Q303": 9, "Q901": 3, "Q777": 1}
    (hint,) = hints(snapshot(postgres=Overview(shards=4, findings=found)))

    assert hint.severity == "warning"
    assert hint.text.startswith("The data has 3 errors and 2 warnings: ")
    assert hint.command == "trackrelay quality"
    assert verdict(snapshot(postgres=Overview(findings={"Q303": 9}))).severity is None


def test_failed_calls_are_named_with_the_most_frequent_first() -> None:
    refused = [
        FailedCall("shop", f"person.{name}", "identifiers.email", 9 - name) for name in range(5)
    ]
    (hint,) = hints(snapshot(redis_side(failed_calls=FailedCalls(refused, []))))

    assert hint.severity == "warning"
    assert "35 calls of the last 24 hours were refused" in hint.text
    assert "9 person.0 of shop (identifiers.email), 8 person.1 of shop" in hint.text
    assert "and 11 others" in hint.text
    assert "TRACKRELAY_ON_INVALID=dead_letter" in hint.text
