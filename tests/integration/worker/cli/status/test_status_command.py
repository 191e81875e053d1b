"""``trackrelay status`` on real servers."""

import json
import logging

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.waiting import wait_until
from trackrelay import Person
from trackrelay.worker.storage import shards


def test_it_shows_a_working_fleet(working_harness: Harness, run: CommandLine) -> None:
    working_harness.wait_delivered(
        [working_harness.producer.track(str(person), "greeted") for person in range(20)]
    )
    wait_until(lambda: run("status", "--json").json["workers"], 10, "the worker to show itself")

    answer = run("status")

    assert answer.code == 0
    assert "Delivering: 20 jobs in the last minute. No job waits." in answer.out
    assert "closed, requests pass; last success" in answer.out
    assert "worker@" in answer.out


def test_it_says_where_the_workers_deliver_whatever_is_set_in_this_process(
    working_harness: Harness, run: CommandLine
) -> None:
    wait_until(lambda: run("status", "--json").json["workers"], 10, "the worker to show itself")
    elsewhere = {"CUSTOMERIO_TRACK_URL": None, "CUSTOMERIO_REGION": "eu"}

    answer = run("status", **elsewhere)

    assert working_harness.sandbox.url in answer.out
    assert "workspace 123" in answer.out
    assert "track-eu.customer.io" not in answer.out
    (place,) = run("status", "--json", **elsewhere).json["delivers_to"]
    assert place == {"endpoint": working_harness.sandbox.url, "region": "us", "workspace": "123"}


def test_without_a_worker_it_does_not_guess_where_they_deliver(
    harness: Harness, run: CommandLine
) -> None:
    assert "not known: no worker runs" in run("status").out
    assert run("status", "--json").json["delivers_to"] == []


def test_the_document_has_every_number(working_harness: Harness, run: CommandLine) -> None:
    working_harness.wait_delivered([working_harness.producer.track("42", "greeted")])
    with working_harness.sandbox.outage():
        failed = working_harness.producer.track("42", "left")
        working_harness.wait_waiting(failed)
        working_harness.wait_waiting(working_harness.producer.track("42", "came back"))
        wait_until(
            lambda: run("status", "--json").json["breaker"]["state"] == "open",
            20,
            "the breaker to open",
        )
        now = run("status", "--json").json

    assert now["state"] == "stopped"
    assert now["breaker"]["reason"] == "outage"
    assert now["breaker"]["until"] >= now["breaker"]["since"]
    assert now["backlog"]["jobs"] == 2
    assert now["backlog"]["by_reason"]["failed"]["jobs"] == 1
    assert now["backlog"]["by_reason"]["key_waits"]["jobs"] == 1
    assert 0 < now["oldest_s"] < 60
    assert now["queue"]["jobs"] == 0
    assert [shard["shard"] for shard in now["queue"]["shards"]] == [0, 1, 2, 3]
    assert now["delivered"]["last_hour"] == 1
    assert now["budget"]["requests_per_second"] == 100
    assert now["workers"][0]["alive"] is True
    assert now["what_to_do"][0]["text"].startswith("Customer.io does not answer as it should: 503")


def test_dead_letters_are_counted_by_reason(working_harness: Harness, run: CommandLine) -> None:
    working_harness.sandbox.add_fault(kind="reject", match={"name": "odd"}, message="odd is odd")
    working_harness.wait_dead(working_harness.producer.track("42", "odd"))

    now = run("status", "--json").json

    assert now["dead_letters"] == {"open": 1, "replaying": 0, "by_reason": {"rejected": 1}}
    assert "trackrelay dead-letters list" in run("status").out


def test_what_waits_in_the_streams_is_shown_by_shard_and_lane(
    harness: Harness, run: CommandLine
) -> None:
    harness.producer.track("42", "greeted")
    harness.producer.enqueue_many([])
    now = run("status", "--json").json

    assert (now["state"], now["queue"]["jobs"]) == ("stopped", 1)
    (busy,) = (shard for shard in now["queue"]["shards"] if shard["live"])
    assert (busy["bulk"], busy["pending"], busy["held"], busy["paused"]) == (0, 0, False, False)
    assert "No worker runs, and 1 job waits." in run("status").out


def test_work_that_needs_a_request_each_is_seen_in_the_streams(
    harness: Harness, run: CommandLine
) -> None:
    with harness.producer.pipeline() as pipeline:
        for number in range(200):
            pipeline.track(Person(anonymous_id=f"visitor-{number}"), "looked")

    assert "need their own request" in run("status", TRACKRELAY_REQUESTS_PER_SECOND="1").out


def test_paused_shards_are_shown(harness: Harness, run: CommandLine) -> None:
    with harness.engine.begin() as connection:
        shards.set_paused(connection, [2], True)

    assert [each["shard"] for each in run("status", "--json").json["paused"]] == [2]
    assert "trackrelay resume --shard 2" in run("status").out


def test_conditions_fail_one_line_each_and_quiet_prints_nothing_else(
    harness: Harness, run: CommandLine
) -> None:
    well = run("status", "--fail-if", "oldest>10m,dead_letters>0", "-q")
    assert (well.code, well.out, well.err) == (0, "", "")

    answer = run("status", "--quiet", "--fail-if", "workers<1", "--fail-if", "beat>2m,breaker=open")
    assert answer.code == 1
    assert answer.lines == [
        "workers<1: running workers: 0",
        "beat>2m: time since the last beat: more than a day",
    ]
    assert answer.out == ""


def test_failed_conditions_are_in_the_document(harness: Harness, run: CommandLine) -> None:
    answer = run("status", "--json", "--fail-if", "workers<1")
    assert answer.json["failed"] == ["workers<1: running workers: 0"]
    assert answer.code == 1


@pytest.mark.parametrize(
    ("away", "known", "unknown"),
    [
        ({"TRACKRELAY_REDIS_URL": "redis://127.0.0.1:1/0"}, "backlog", "queue"),
        ({"TRACKRELAY_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "queue", "backlog"),
    ],
)
def test_it_tells_what_it_can_when_a_store_is_away(
    harness: Harness, run: CommandLine, away: dict[str, str], known: str, unknown: str
) -> None:
    answer = run("status", "--json", **away)

    assert answer.code == 1
    assert answer.json[known] is not None
    assert answer.json[unknown] is None
    assert answer.json["oldest_s"] is None
    assert len(answer.json["problems"]) == len(answer.lines) == 1
    assert "must be repaired first" in run("status", **away).out


def test_watching_goes_with_nothing_that_ends(run: CommandLine) -> None:
    assert run("status", "--watch", "--json").code == 2


def test_one_family_that_is_down_is_named_and_the_rest_is_delivering(
    working_harness: Harness, run: CommandLine
) -> None:
    working_harness.sandbox.add_fault(kind="status", status=503, match={"path": "/api/v1/forms"})
    form = working_harness.producer.submit_form("f", "42", {"a": "1"})
    working_harness.wait_waiting(form)
    wait_until(
        lambda: working_harness.breaker("forms").get("state") == "open",
        30,
        "the breaker of forms to open",
    )
    working_harness.wait_delivered([working_harness.producer.track("7", "greeted")])

    now, screen = run("status", "--json").json, run("status").out

    assert now["state"] == "delivering"
    assert now["breaker"]["families"]["forms"]["state"] == "open"
    assert now["breaker"]["families"]["v2"]["state"] == "closed"
    assert "Delivering, but not forms: Customer.io has a problem there." in screen
    assert "Everything is delivered" not in screen
    assert "open for forms (outage)" in screen
    assert run("status", "--fail-if", "breaker=open").code == 1


def test_calls_that_enqueued_nothing_are_shown_for_a_day(
    harness: Harness, run: CommandLine
) -> None:
    hour = int(harness.redis.time()[0] / 3600)  # type: ignore[index]
    shop = json.dumps(["shop", "person.event", "attributes.total"])
    harness.redis.hset(
        f"trackrelay:calls:refused:{hour}",
        mapping={shop: 3, json.dumps(["", "person.identify", "email"]): 1},
    )
    harness.redis.hset(f"trackrelay:calls:refused:{hour - 23}", shop, 4)
    harness.redis.hset(f"trackrelay:calls:refused:{hour - 24}", shop, 100)
    harness.redis.hset(
        f"trackrelay:calls:unavailable:{hour - 1}",
        json.dumps(["blog", "person.event", "QueueUnavailableError"]),
        2,
    )
    # A foreign value hides no other one.
    harness.redis.hset(
        f"trackrelay:calls:unavailable:{hour}",
        mapping={b"\xff[": 1, "[1, 2]": "many", "[" * 100_000: 1},
    )
    harness.redis.set(f"trackrelay:calls:unavailable:{hour - 2}", "a string")

    answer = run("status", "--json", "--fail-if", "refused>7,unavailable>3")

    calls = answer.json["calls"]
    assert calls["refused"]["last_24_hours"] == 8
    assert calls["refused"]["by"] == [
        {"source": "shop", "operation": "person.event", "field": "attributes.total", "calls": 7},
        {"source": None, "operation": "person.identify", "field": "email", "calls": 1},
    ]
    assert calls["unavailable"]["last_24_hours"] == 4
    assert calls["unavailable"]["by"][0] == {
        "source": "blog",
        "operation": "person.event",
        "reason": "QueueUnavailableError",
        "calls": 2,
    }
    assert answer.lines == [
        "refused>7: calls refused in the last 24 hours: 8",
        "unavailable>3: calls only logged in the last 24 hours: 4",
    ]
    screen = run("status").out
    assert "8 calls of the last 24 hours were refused" in screen
    assert "Failed calls  of the last 24 hours" in screen
    assert run("status", "--fail-if", "refused>8,unavailable>4").code == 0
    checked = run("check").out
    assert "refused calls" in checked
    assert "calls only logged" in checked


def test_alembic_s_lines_stay_out_of_it_whatever_the_application_logs(
    harness: Harness, run: CommandLine, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("alembic").setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        assert run("status").code == 0

    assert not [record.name for record in caplog.records if record.name.startswith("alembic")]
